"""Both methods side by side: each of our runs finds the paper's of its objective, and the means are those of plain NumPy."""

import shutil

import numpy as np
import pandas as pd
import pytest
from many_rows import experiment, write_run
from PIL import Image
from statsmodels.stats.multitest import multipletests

from pir_tf.paper import both_methods, publish
from pir_tf.paper.rows import COLUMNS, write_rows

OURS = {"vgg:pool2:filters=30": 4.0, "vgg:pool3:filters=28": 2.0, "vgg:pool4:filters=243": 0.6, "color:blue": 3.5}
PAPERS = {"vgg:pool2:filters=30": 0.5, "vgg:pool3:filters=28": 0.2, "vgg:pool4:filters=243": 0.3, "color:blue": 3.8}


def picked(d):
    """Of fewer images than those before: their own d, by numbers of images, isn't what stands beside that of tuning."""
    return {"cohens_d": 0.8 * d, "change": 0.05 * d, "before_sd": 0.06, "after_sd": 0.0374165738677}


def measured(control=0.1, best=1.0):
    return {
        "control": {"cohens_d": control},
        "best_of": {"before": picked(best), "after": picked(5.0)},
        "diversity": {"after_over_before": [0.9, 0.8, None], "collapsed": [False] * 3},
        "kid": {"before": 200.0, "after": 250.0, "control": 230.0},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root, vgg = tmp_path_factory.mktemp("both"), {"interactions__vgg_weights": "file:vgg.h5"}
    for name, objectives in (("ours", OURS), ("papers", PAPERS)):
        for place, (objective, d) in enumerate(objectives.items()):
            features = "inception_v3+discriminator" if objective.startswith("vgg") else "discriminator"
            linear = {"estimator__output": "linear", "estimator__backbone": features}
            about = {**vgg, **(linear if name == "ours" else {})}
            write_run(root / name / f"run-{place}", d, objective=objective, measured=measured(), **about)
    offline = {"estimator__output": "linear", "estimator__backbone": "discriminator", **vgg}
    for place, d in enumerate([2.2, 1.4]):
        write_run(root / "ours" / f"offline-{place}", d, objective=[*OURS][place], measured=measured(), **offline)
    longer = {**offline, "estimator__backbone": "inception_v3+discriminator", "tuning__steps": 600}
    write_run(root / "ours" / "longer", 9.0, objective="vgg:pool2:filters=30", measured=measured(), **longer)
    moved = {**longer, "tuning__kind": "shift", "tuning__steps": 150}
    write_run(root / "ours" / "moved", 7.0, objective="vgg:pool2:filters=30", measured=measured(), **moved)
    guarded = {**longer, "tuning__keep_distance": 0.85}
    kept = {"step": 590, "of": 600, "stopped_at": None, "chosen_by": "distance"}
    more = {**measured(), "kept": kept}
    write_run(root / "ours" / "guarded", 6.0, objective="vgg:pool2:filters=30", measured=more, **guarded)
    assert publish.main(["methods", str(root / "ours"), str(root / "papers"), str(root / "to")]) == 0
    return root


@pytest.mark.slow
def test_each_of_ours_stands_beside_the_papers_of_its_objective(folder):
    rows = pd.read_csv(folder / "to" / "both-methods.csv")
    assert 7.0 not in set(rows.cohens_d)  # moved latents are another method
    assert rows.tuning_steps.max() == 600 and set(rows.paper_steps) == {rows.tuning_steps.min()}
    rows = rows[(rows.tuning_steps == rows.paper_steps) & ~rows.experiment.str.startswith("offline")].set_index(
        "objective"
    )
    assert rows.cohens_d.to_dict() == OURS and rows.paper_d.to_dict() == PAPERS
    assert (rows[["kid_before", "kid_after", "kid_control"]] == [200, 250, 230]).all(axis=None)
    assert (rows.control_d == 0.1).all() and np.allclose(rows.best_of_d, 1) and (rows.distance_kept == 0.8).all()
    expected = multipletests([*rows.p_value, 0.0], alpha=0.001, method="holm")[0][:-1]
    assert (rows.holm == expected).all() and rows.holm.all()
    assert min(Image.open(folder / "to" / "both-methods.png").size) > 500


def test_the_ratio_of_means_is_over_the_single_filters(folder):
    rows = both_methods.both_methods([folder / "ours"], [folder / "papers"])
    rows = rows[(rows.tuning_steps == rows.paper_steps) & ~rows.experiment.str.startswith("offline")]
    ratio, low, high = both_methods.ratio_of_means(rows)
    assert ratio == pytest.approx((4 + 2 + 0.6) / (0.5 + 0.2 + 0.3))
    assert 2 <= low < ratio < high <= 10  # the least and the greatest of the filters' own
    assert both_methods.ratio_of_means(rows.iloc[:1]) is None


def test_the_summary_says_what_was_measured(folder):
    said = (folder / "to" / "both-methods.md").read_text()
    assert (
        "At equal steps: Over the 3 single filters of pool2 to pool4 the mean d is 6.6 times the paper's method's"
        in said
    )
    assert "| VGG16, single filters, pool2 | 600 | 1 | 150 | 0.50 | 9.00 |" in said
    assert "above the best of 16 untouched ones in 3 of 4 runs" in said
    assert "| VGG16, single filters, pool3 | 150 | 1 | 150 | 0.20 | 2.00 |" in said
    assert "0.80 (0.80) | 200, 250, 230 |" in said
    assert f"The estimated change is {1 / 1.6:.2f} times the true one in the median of 4. 0 of 4 keep 0.85" in said
    assert "In 600 steps, the paper's in 150: Tuned images are above" in said  # of one filter there is no ratio
    assert "| VGG16, single filters, pool2 | 600, keeping distance | 1 | 150 | 0.50 | 6.00 |" in said
    assert "By the discriminator alone: Tuned images are above the best of 16 untouched ones in 2 of 2 runs." in said
    assert "On the 2 objectives that both have it changes PIR by +0." in said and ": 0.60 of it." in said
    assert "| VGG16, single filters, pool2 | 150, discriminator alone | 1 | 150 | 0.50 | 2.20 |" in said
    assert "In 600 steps at most, 590 in the median, that keep the distance: Tuned images are above" in said


def test_filters_that_settings_were_chosen_by_are_not_held_out(folder):
    rows = both_methods.both_methods([folder / "ours"], [folder / "papers"])
    rows = rows[(rows.tuning_steps == rows.paper_steps) & ~rows.experiment.str.startswith("offline")]
    two = rows[rows.objective == "vgg:pool2:filters=30"]
    more = [two.assign(objective=f"vgg:pool2:filters={i}", cohens_d=d, paper_d=1.0) for i, d in ((31, 5.0), (32, 6.0))]
    more.append(more[0].assign(seed=1, cohens_d=7.0))  # with the other seed, 6 of filter 31
    rows = pd.concat([rows, *more], ignore_index=True)
    held_out = (
        "Without pool3 filter 28 and pool4 filter 243, by which our settings were chosen, the mean d of the other 3 is"
    )
    at_equal, in_more = both_methods.summary(
        pd.concat([rows, rows.assign(tuning_steps=600, cohens_d=2 * rows.cohens_d)], ignore_index=True)
    ).split("\n\n")
    assert "Over the 5 single filters" in at_equal  # of the 2 by pool3 and pool4, d 2.0 and 0.6
    # (4 + 6 + 6) / 3 against (0.5 + 1 + 1) / 3; the least and the greatest of the filters' own ratios are 6 and 8.
    found = f"{held_out} 5.33, the paper's method's 0.83: 6.4 times"
    assert f"{found} (95% bootstrap interval over filters 6.00 to 8.00)." in at_equal
    assert f"{held_out} 10.67, the paper's method's 0.83: 12.8 times" in in_more
    alone = rows[rows.objective.isin(both_methods.CHOSEN_BY)]
    assert "settings were chosen" not in both_methods.summary(alone)
    assert "the other 1 is 4.00, the paper's method's 0.50: 8.0 times." in both_methods.summary(two)


def test_more_steps_are_compared_by_themselves(folder):
    rows = both_methods.both_methods([folder / "ours"], [folder / "papers"])
    rows = rows[~rows.experiment.str.startswith("offline")]
    longer = rows[rows.tuning_steps == rows.paper_steps].assign(
        tuning_steps=600, distance_kept=0.9, cohens_d=lambda row: 2 * row.cohens_d
    )
    at_equal, in_more = both_methods.summary(
        pd.concat([rows[rows.tuning_steps < 600], longer], ignore_index=True)
    ).split("\n\n")
    assert at_equal.startswith("At equal steps") and "is 6.6 times" in at_equal and "0 of 4 keep" in at_equal
    assert in_more.startswith("In 600 steps, the paper's in 150") and "is 13.2 times" in in_more
    assert "in 4 of 4 runs" in in_more and "4 of 4 keep 0.85 of the distance" in in_more


def test_seeds_are_no_more_objectives_and_two_weights_are_not_mixed(folder, tmp_path, capsys):
    shutil.copytree(folder / "ours", tmp_path / "ours")
    vgg = {"interactions__vgg_weights": "file:vgg.h5", "estimator__output": "linear"}
    vgg |= {"estimator__backbone": "inception_v3+discriminator", "objective": "vgg:pool3:filters=28"}
    write_run(tmp_path / "ours" / "again", 4.0, measured=measured(), seed=1, **vgg)
    write_run(tmp_path / "ours" / "another", 5.0, measured=measured(), **(vgg | {"objective": "vgg:pool3:filters=43"}))
    words = ["methods", str(tmp_path / "ours"), str(folder / "papers"), str(tmp_path / "to")]
    assert publish.main(words) == 0, capsys.readouterr().err
    said = (tmp_path / "to" / "both-methods.md").read_text()
    assert "| VGG16, single filters, pool3 | 150 | 2 (3 runs) | 150 | 0.20 | 4.00 |" in said  # of 3 and of 5
    # The paper's method of the same seed stands beside it, from either folder; others beside the mean.
    papers = {"interactions__vgg_weights": "file:vgg.h5", "objective": vgg["objective"]}
    write_run(tmp_path / "ours" / "papers-again", 0.6, measured=measured(), seed=1, **papers)
    write_run(tmp_path / "ours" / "third", 4.0, measured=measured(), seed=2, **vgg)
    rows = both_methods.both_methods([tmp_path / "ours"], [folder / "papers"])
    rows = rows[(rows.objective == vgg["objective"]) & ~rows.experiment.str.startswith("offline")]
    assert rows.set_index("seed").paper_d.round(9).to_dict() == {0: 0.2, 1: 0.6, 2: 0.4}
    shutil.rmtree(tmp_path / "ours" / "third")
    write_run(tmp_path / "ours" / "walked", 3.999, measured=measured(), seed=1, evaluation__plug_and_play=100.0, **vgg)
    assert "walked" not in set(both_methods.both_methods([tmp_path / "ours"], [folder / "papers"]).experiment)
    write_run(tmp_path / "ours" / "alone", 3.9, measured=measured(), seed=3, evaluation__plug_and_play=100.0, **vgg)
    assert "alone" in set(both_methods.both_methods([tmp_path / "ours"], [folder / "papers"]).experiment)
    heavy = {**vgg, "tuning__pir_gradient_ratio": 4.0}
    write_run(tmp_path / "ours" / "heavier", 6.0, measured=measured(), **heavy)
    assert publish.main(words) == 2 and "differ in other settings alone" in capsys.readouterr().err


def test_a_run_that_only_a_table_knows_has_no_more_than_its_row(tmp_path, folder, capsys):
    row = {"estimator__output": "linear", "estimator__backbone": "discriminator"}
    (tmp_path / "sweep").mkdir()
    lines = [{"status": "done", "reason": "", **experiment("color:blue", d=2.0, name="gone", **row)}]
    write_rows(tmp_path / "sweep" / "results.csv", lines, ("status", "reason", *COLUMNS))
    words = ["methods", str(tmp_path / "sweep"), str(folder / "papers"), str(tmp_path / "to")]
    assert publish.main(words) == 0, capsys.readouterr().err
    rows = pd.read_csv(tmp_path / "to" / "both-methods.csv")
    assert rows.cohens_d.tolist() == [2.0] and rows.control_d.isna().all()


def test_a_seed_that_was_only_tuned_for_longer_is_no_point_at_equal_steps(folder):
    rows = both_methods.both_methods([folder / "ours"], [folder / "papers"])
    again = rows[rows.experiment == "longer"].assign(seed=1, cohens_d=9.5)
    axes = both_methods.draw(pd.concat([rows, again], ignore_index=True)).axes
    drawn = [line.get_ydata()[0] for ax in axes for line in ax.lines if len(line.get_xdata()) == 1]
    assert sorted(drawn) == sorted([*OURS.values(), *PAPERS.values(), 9.0])  # each objective's two points, and a dash


def test_holm_stops_at_the_first_that_fails():
    found = both_methods.holm(pd.Series([0.0003, np.nan, 0.0006, 1e-9]))
    assert found.tolist() == [True, False, False, True]  # against 0.001 / 4, / 3, / 2


def test_runs_of_the_papers_method_alone_are_refused(folder, capsys):
    assert publish.main(["methods", str(folder / "papers"), str(folder / "ours"), str(folder / "no")]) == 2
    assert "None of these runs has a linear estimator" in capsys.readouterr().err and not (folder / "no").exists()
