"""Tests of the plan: power as promised by simulation, how it scales, and budgets that see nothing."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.power import TTestIndPower

from pir_tf.errors import InputError
from pir_tf.people.study import Study
from pir_tf.statistics.planning import LEARNT, REPEATS, plan

pytestmark = pytest.mark.filterwarnings("error")


def test_the_measured_case():
    it = plan(1800, "like", answers_per_rater=100)
    assert (it.learn, it.proof, it.images, it.raters, it.answers_per_rater) == (800, 1000, 800, 19, 100)
    assert it.smallest_observed_d == pytest.approx(TTestIndPower().solve_power(None, 400, 0.001, 0.8), rel=0.01)
    assert it.reliability == pytest.approx(0.04 / (0.04 + 0.21 * (0.75 + 0.25 / 2)))
    assert it.smallest_d == pytest.approx(it.smallest_observed_d / math.sqrt(it.reliability))
    pair = plan(1800, "pair")
    assert (pair.learn, pair.proof, pair.images, pair.answers_per_image) == (800, 1000, 2000, 1)
    assert pair.smallest_win_rate == pytest.approx(stats.norm.cdf(pair.smallest_observed_d / math.sqrt(2)))
    assert pair.smallest_d < it.smallest_d
    assert plan(1800, "grid").smallest_d < plan(1800, "rating").smallest_d < it.smallest_d


def test_power_is_as_promised():
    generator = np.random.default_rng(0)
    it = plan(1000, "like", proof_share=1, answers_per_image=4, alpha=0.01, power=0.8)
    assert it.proof == 1000 and it.learn == 0
    side = it.images // 2
    gain = it.smallest_d * it.pir_sd
    pir = 0.5 + it.pir_sd * generator.uniform(-math.sqrt(3), math.sqrt(3), (2, 3000, side))
    pir += np.array([-gain / 2, gain / 2])[:, None, None]
    seen = generator.binomial(4, np.clip(pir, 0, 1)) / 4
    p = stats.ttest_ind(seen[0], seen[1], axis=1, equal_var=False).pvalue
    assert np.mean(p < 0.01) == pytest.approx(0.8, abs=0.03)

    pairs = plan(400, "pair", proof_share=1, alpha=0.01)
    wins = generator.binomial(400, pairs.smallest_win_rate, 4000)
    tests = {w: stats.binomtest(int(w), 400).pvalue for w in np.unique(wins)}
    assert np.mean([tests[w] < 0.01 for w in wins]) == pytest.approx(0.8, abs=0.03)


def test_more_answers_see_more_and_shared_images_cost_little():
    seen = [plan(n, "like").smallest_d for n in (400, 800, 1600, 3200)]
    assert seen == sorted(seen, reverse=True)
    assert seen[3] == pytest.approx(seen[2] / math.sqrt(2), rel=0.02)
    once = plan(1800, "like", answers_per_image=1)
    assert plan(1800, "like").smallest_d / once.smallest_d == pytest.approx(1.06, abs=0.005)
    assert plan(1800, "like", answers_per_image=2).smallest_d / once.smallest_d == pytest.approx(1.08, abs=0.005)
    assert plan(3600, "like", answers_per_rater=30, repeats=0).raters == 120
    assert plan(3600, "like", answers_per_rater=30, repeats=0.2).raters == 150  # 6 of 30 are repeats
    few = plan(200, "like")  # by ten, so that the result isn't for these raters alone
    assert (few.raters, few.answers_per_rater) == (10, 22) and 10 * 22 * (1 - REPEATS) >= 200
    assert REPEATS == Study().repeats


@pytest.mark.parametrize("each", [1, 1.25, 2, 3])
def test_as_many_raters_as_at_least_can_fill_the_proof(each):
    for budget in range(900, 1000, 7):
        it = plan(budget, "like", answers_per_image=each)
        assert it.images * math.ceil(each) >= it.proof and it.images % 2 == 0


def test_sentences():
    text = plan(2000, "pair").sentences()
    assert text[0].startswith("2000 answers: 888 to learn from and 1112 for the proof")
    assert "a win rate of 56.2% of pairs" in text[1] and "each answered once" in text[0]
    assert "each answered 1.25 times on average" in plan(2000, "like").sentences()[0]
    assert "At least" not in text[2]
    few = plan(1800, "like", answers_per_image=3, answers_per_rater=2000)
    assert "At least 3 raters: each answers an image of the proof once." in few.sentences()[2] and few.raters >= 3
    for line in (*text, *plan(20000, "grid").sentences()):
        assert line.endswith(".") and "nan" not in line and "inf" not in line


@pytest.mark.parametrize("mode", ["like", "rating", "pair", "grid"])
def test_a_budget_too_small_says_what_it_could_see_and_what_is_enough(mode):
    for budget in (1, 2, 10):
        with pytest.raises(InputError, match=r"could see .* plan for \d+ answers") as refused:
            plan(budget, mode)
        enough = int(str(refused.value).split("plan for ")[1].split()[0])
        assert plan(enough, mode).smallest_d <= 2.5
    assert all(math.isfinite(v) for v in dataclasses.astuple(plan(enough, mode)) if isinstance(v, float))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"mode": "swipe"}, "mode"),
        ({"repeats": 1}, "repeats"),
        ({"budget": 0}, "budget"),
        ({"answers_per_image": 0}, "answers_per_image"),
    ]
    + [({name: value}, name) for name in ("alpha", "power", "mean", "proof_share") for value in (0, 1.5)]
    + [({"pir_sd": 0.6}, "pir_sd"), ({"pir_sd": 0}, "pir_sd"), ({"taste_sd": -1}, "taste_sd")],
)
def test_bad_settings(change, match):
    with pytest.raises(InputError, match=match):
        plan(**{"budget": 1800, "mode": "like"} | change)


def test_what_was_learnt_from_so_few_is_that_of_the_published_tables():
    folder = Path(__file__).parents[2] / "experiments" / "beyond" / "few-answers"
    tables = [pd.read_csv(folder / f"{name}.csv") for name in ("blue", "red-blue", "pool3-filter-28")]
    for total, said in LEARNT.items():
        images = min(total, 1000)
        rows = [
            table[(table.method == "linear") & (table.images == images) & (table.impressions == total / images)]
            for table in tables
        ]
        assert said == tuple(round(float(row.spearman.iloc[0]), 2) for row in rows)
    lines = plan(1800, "like", proof_share=0.4).sentences()
    assert lines[-1].startswith(
        "From 1,000 likes of simulated users the estimator ranked new images at a correlation of 0.83"
    )
    assert not any("simulated" in line for line in (*plan(1800, "pair").sentences(), *plan(300, "like").sentences()))
