"""What nine answers of a grid count for: the correlation that the plan assumes is the simulated raters', and it says so."""

import math

import numpy as np
import pytest

from pir_tf.cli import main
from pir_tf.errors import InputError
from pir_tf.people.simulated_raters import SimulatedRater
from pir_tf.statistics.planning import GRID_RHO, plan


class Told(SimulatedRater):
    """A simulated rater who is told how likely each image is to be liked, in place of its address."""

    def _likes(self, address):
        chance = float(address)
        return 1 / (1 + math.exp(-(math.log(chance / (1 - chance)) + self.leniency)))


def correlation(grids):
    """Intraclass correlation of 0 and 1 `[n, 9]`, one-way analysis of variance."""
    between, within = 9 * grids.mean(1).var(ddof=1), grids.var(1, ddof=1).mean()
    return (between - within) / (between + 8 * within)


def test_the_correlation_is_that_of_the_demonstrations_raters():
    rng, rows = np.random.default_rng(0), []
    for number in range(600):
        rater = Told("http://x/y", None, number, leniency=float(rng.normal(0, 0.7)))
        for place in range(4):
            chances = np.clip(rng.normal(0.5, 0.2, 9), 0.02, 0.98)
            slot = {"place": place, "images": [{"src": str(chance)} for chance in chances]}
            rows.append(np.isin(np.arange(9), rater._answer("grid", slot)[1]["value"]))
    assert correlation(np.array(rows, float)) == pytest.approx(GRID_RHO, abs=0.015)


def test_nine_answers_count_for_what_they_are_worth():
    free, usual, same = (plan(1800, "grid", grid_correlation=rho) for rho in (0, GRID_RHO, 1))
    like = plan(1800, "like")
    assert same.smallest_d == pytest.approx(like.smallest_d, rel=1e-6) and same.images == free.images == 9 * like.images
    assert usual.design_effect == pytest.approx(1.6)
    assert usual.smallest_d == pytest.approx(free.smallest_d * math.sqrt(1.6), rel=0.01)
    assert plan(1800, "like", grid_correlation=1).smallest_d == like.smallest_d
    with pytest.raises(InputError, match="grid_correlation: received 1.5, expected a number from 0 to 1"):
        plan(1800, "grid", grid_correlation=1.5)


def test_the_plan_says_so(capsys):
    assert main(["people", "plan", "--budget", "1800", "--mode", "grid", "--grid-correlation", "0.5"]) == 0
    said = capsys.readouterr().out
    assert (
        "a correlation of 0.5 between two of them (--grid-correlation) they count as 1.8 likes, a design effect of 5.00."
        in said
    )
    assert main(["people", "plan", "--budget", "1800"]) == 0
    assert "grid" not in capsys.readouterr().out
