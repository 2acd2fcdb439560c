"""What a change costs: each way of raising PIR is a row with its own KL and distance, whatever else was measured."""

import math

import pandas as pd
import pytest
from many_rows import write_run
from PIL import Image
from scipy import integrate

from pir_tf.paper import costs, publish

KEPT = {"before": {}, "after": {}, "real": {}, "after_over_before": [0.9, 0.7, None], "collapsed": [False] * 3}
BEST = {
    "n": 16,
    "before": {"change": 0.04, "before_sd": 0.03, "after_sd": 0.01, "cohens_d": 1.4, "after_over_before": [0.6, 0.95]},
    "after": {"change": 9.0},
}
WALKED = {
    "weight": 100.0,
    "change": 0.03,
    "before_sd": 0.03,
    "after_sd": 0.03,
    "cohens_d": 1.1,
    "after_over_before": [0.5],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("costs")
    measured = {"diversity": KEPT, "objective": "color:blue"}
    write_run(root / "runs" / "linear", 2.0, measured={**measured, "best_of": BEST})
    # By the same networks, but for rounding: they are no second tuning.
    write_run(
        root / "runs" / "walked", 2.001, measured={**measured, "plug_and_play": WALKED}, evaluation__plug_and_play=100.0
    )
    for kind, kl, d in (("shift", 0.5, 0.5), ("shift", 2.0, 1.0), ("residual", 1.5, 1.2)):
        moved = {"tuning__kind": kind, "tuning__kl_weight": 10 / kl}
        write_run(root / "runs" / f"{kind}-{kl}", d, measured={**measured, "kl": kl}, **moved)
    write_run(root / "runs" / "control", 0.1, measured=measured, tuning__pir_weight=0.0)
    write_run(root / "runs" / "unfinished", None)
    assert publish.main(["costs", str(root / "runs"), str(root / "to")]) == 0
    return root


def test_each_way_is_a_row_with_what_it_cost(folder):
    rows = pd.read_csv(folder / "to" / "costs.csv").set_index(["way", "setting"])
    assert rows.index.is_unique and len(rows) == 6  # the control, without a PIR term, has none
    assert (
        rows.kl[("best of n", 16)] == pytest.approx(math.log(16) - 15 / 16) and rows.change[("best of n", 16)] == 0.04
    )
    assert rows.cohens_d[("best of n", 16)] == pytest.approx(0.04 / math.sqrt(0.0005))  # both sides alike
    assert rows.cohens_d[("plug and play", 100)] == pytest.approx(1.0)
    assert rows.distance_kept[("best of n", 16)] == 0.6 and rows.distance_kept[("plug and play", 100)] == 0.5
    assert rows.kl[[("shift", 20), ("shift", 5)]].tolist() == [0.5, 2.0] and set(rows.loc["shift"].distance_kept) == {
        0.7
    }
    assert rows.loc["weights"].kl.isna().all() and rows.loc["plug and play"].kl.isna().all()
    assert (
        rows.loc["weights"].change.tolist() == [2.0 * 0.05] and min(Image.open(folder / "to" / "costs.png").size) > 500
    )


def test_runs_of_one_name_in_several_folders_each_have_their_row(tmp_path):
    measured = {"diversity": KEPT, "objective": "color:blue"}
    for folder, seed, d in (("one", 0, 1.0), ("two", 1, 2.0), ("three", 1, 2.0)):
        write_run(tmp_path / folder / "a", d, measured=measured, seed=seed)
    write_run(tmp_path / "two" / "b", 2.0, measured={**measured, "plug_and_play": WALKED}, seed=1)
    rows = costs.costs([tmp_path / name for name in ("one", "two", "three")])
    assert sorted(zip(rows.seed, rows.way, strict=True)) == [(0, "weights"), (1, "plug and play"), (1, "weights")]


@pytest.mark.parametrize("n", [1, 2, 16])
def test_kl_of_a_choice_is_that_of_the_greatest_of_n_draws(n):
    def integrand(u):  # of n uniform draws the greatest has density n u^(n - 1)
        return n * u ** (n - 1) * math.log(n * u ** (n - 1)) if u else 0.0

    assert costs.kl_of_best(n) == pytest.approx(integrate.quad(integrand, 0, 1)[0], abs=1e-8)


def test_runs_without_a_pir_term_alone_are_refused(folder, capsys):
    assert publish.main(["costs", str(folder / "runs" / "control"), str(folder / "no")]) == 2
    assert "None of these runs was tuned by a PIR term" in capsys.readouterr().err and not (folder / "no").exists()
