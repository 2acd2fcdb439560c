"""The figures over many experiments: what they are drawn from, how many points they have, what empty ones say."""

import numpy as np
import pandas as pd
import pytest
from many_rows import ROTATIONS, experiment, whole
from synthetic_run import pictures

from pir_tf.errors import InputError
from pir_tf.paper.figures import samples
from pir_tf.paper.figures.points import CHANGE, EFFECT, ESTIMATED, NONZERO, SPREAD, Rounds
from pir_tf.paper.figures.settings import Pairs, TradeOff
from pir_tf.paper.figures.style import LOOKS, PALE, significance_in_words
from pir_tf.paper.rows import table
from pir_tf.paper.select import TASKS

ROUNDS, TRADE_OFF, PAIRS = Rounds(), TradeOff(), Pairs()
UNDEFINED = {"cohens_d": None, "cohens_d_interval": None, "p_value": None}


def marks(axes):
    """Points as (x, y, opacity)."""
    lines = [line for line in axes.lines if line.get_marker() not in ("None", "", None)]
    return [(float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_alpha()) for line in lines]


def words(figure):
    texts = [text for axes in figure.axes for text in axes.texts]
    return " | ".join(text.get_text() for text in [*texts, *figure.texts])


def drawn(figure, rows):
    """A figure, its caption and its table."""
    own = table(figure.table(table(rows)), figure.columns)  # as it comes back from its CSV
    return figure.draw(own), figure.caption(own), own


def values(rows, *names):
    return list(rows[list(names)].itertuples(index=False, name=None))


@pytest.mark.slow
def test_empty_figures_undefined_values_and_single_runs_say_so_and_each_task_has_its_look():
    for figure, said, times in (
        *((strips, "no runs", 3) for strips in (EFFECT, CHANGE)),
        *((scatter, scatter.nothing, 1) for scatter in (ESTIMATED, SPREAD, NONZERO)),
        *((compared, "no runs that differ in", 1) for compared in (TRADE_OFF, PAIRS)),
        (ROUNDS, "no second rounds", 2),
    ):
        picture, caption, _ = drawn(figure, [experiment(interactions__source="csv:ratings.csv")])
        assert words(picture).count(said) == times and said in caption, figure
    figure, said, _ = drawn(SPREAD, [experiment()])
    assert len(marks(figure.axes[0])) == 1 and "no line is fitted (1 rows" in said
    figure, said, _ = drawn(EFFECT, [experiment()])
    assert len(marks(figure.axes[2])) == 1 and "no runs of VGG16, single filters" in words(figure)
    assert "n = 1" in said and "Highest: blue with +1.00" in said
    figure, said, _ = drawn(EFFECT, [experiment(measured=UNDEFINED)])
    assert "undefined" in words(figure) and "1 more have no value" in said
    assert set(LOOKS) == set(values(TASKS, "kind", "layer")) and len(set(LOOKS.values())) == len(TASKS)
    p = pd.DataFrame({"p_value": [0.0009, 0.001, None]})
    for some, said in ((p, "2 are"), (p[:2], "1 is"), (p[:1], "all changes are significant"), (p[1:], "all are")):
        assert significance_in_words(some).startswith(said)


@pytest.mark.parametrize("strips", [EFFECT, CHANGE])
def test_strips_have_a_point_for_each_objective_in_its_column(strips):
    rows, value = whole(), strips.value
    figure, said, own = drawn(strips, rows)
    assert len(own) == 62 and "n = 62" in said
    assert [len(marks(axes)) for axes in figure.axes] == [25, 25, 12]
    for axes, kind in zip(figure.axes, ("vgg single", "vgg k=20", "color"), strict=True):
        shown = sorted(y for _, y, _ in marks(axes))
        assert shown == pytest.approx(sorted(row[value] for row in rows if kind in row["kind"]))
    for x, y, _ in marks(figure.axes[0]):
        group = next(row for row in rows if row["kind"] == "vgg single" and row[value] == y)
        assert round(x) == group["layer_index"] - 1
    pale = [mark for axes in figure.axes for mark in marks(axes) if mark[2] == PALE]
    assert len(pale) == sum(row["p_value"] >= 0.001 for row in rows) > 0
    # Layers without runs are named, not left out.
    assert words(figure).count("no runs") == 6
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()][::7] == ["pool1\nn = 5", "fc8\n"]


def test_a_column_that_was_tuned_longer_than_most_says_so():
    longer = [experiment(f"color:{name}", tuning__steps=1500) for name in ROTATIONS]
    figure, *_ = drawn(
        EFFECT, [*(row for row in whole() if row["objective"] not in {o["objective"] for o in longer}), *longer]
    )
    steps = [
        [label.get_text() for label in axes.get_xticklabels() if "steps" in label.get_text()] for axes in figure.axes
    ]
    assert steps == [[], [], ["three\nn = 3\n1,500 steps"]]


@pytest.mark.parametrize("scatter", [ESTIMATED, SPREAD, NONZERO])
def test_scatter_plots_show_each_objective_at_its_numbers(scatter):
    rows = [row for row in whole() if scatter is not NONZERO or row["kind"] != "vgg k=20"]
    figure, said, _ = drawn(scatter, whole())
    axes, points = figure.axes[0], values(table(rows), scatter.model.about, scatter.model.outcome)
    assert np.allclose(sorted((x, y) for x, y, _ in marks(axes)), sorted(points), rtol=1e-12)
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and not line.get_label().startswith("_")]
    slope, intercept = np.polyfit(*zip(*points, strict=True), 1)
    assert lines[-1].get_ydata() == pytest.approx(intercept + slope * np.asarray(lines[-1].get_xdata()))
    assert f"{slope:.3f}" in said and len(lines) == (2 if scatter is ESTIMATED else 1)
    if scatter is ESTIMATED:
        assert list(lines[0].get_xdata()) == list(lines[0].get_ydata())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend.count("pool1") == (1 if scatter is NONZERO else 2) and "fc8" not in legend


@pytest.mark.slow
def test_the_legend_fits_beside_the_axes_and_labels_keep_apart():
    figure, *_ = drawn(ESTIMATED, whole(("pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "fc7", "fc8")))
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 16 + 3 + 3 + 1 + 3
    assert 0 <= legend.y0 and legend.y1 <= figure.bbox.y1 and axes.x1 <= legend.x0 and legend.x1 <= figure.bbox.x1
    # Two points at one place: their labels share no area.
    rows = curve()
    rows[0]["pir_after_mean"], rows[0]["ms_ssim_after"] = 0.5, 0.39
    figure, *_ = drawn(TRADE_OFF, rows)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    assert not [(i, box) for i, box in enumerate(boxes) for other in boxes[:i] if box.overlaps(other)]


def second_round(objective, first, both, p=1e-9):
    known = {"first_round": {"cohens_d_from_start": first}, "cohens_d_from_start": both, "p_value": p}
    return experiment(objective, both - first, first_round="x", measured=known)


def test_rounds_are_lines_from_zero():
    effects = ((1.0, 1.4, 1e-9), (0.8, 0.7, 0.4), (0.5, 1.2, 1e-9))
    rows = [second_round(f"vgg:pool2:filters={i}", *effect) for i, effect in enumerate(effects, 1)]
    unknown = experiment("vgg:pool2:filters=9", first_round="x")  # its first round's effect size
    figure, said, own = drawn(ROUNDS, [*rows, unknown, *whole()])
    assert values(own, "round", "cohens_d")[:3] == [(0, 0.0), (1, 1.0), (2, 1.4)]
    assert list(own["p_value"].notna())[:3] == [False, False, True]
    pool2, fc8 = figure.axes
    paths = [list(line.get_ydata()) for line in pool2.lines if len(line.get_xdata()) == 3]
    assert paths == [[0.0, 1.0, 1.4], [0.0, 0.8, 0.7], [0.0, 0.5, 1.2]]
    assert [list(line.get_ydata()) for line in pool2.lines if line.get_linestyle() == "--"] == [[0.8, 0.7]]
    assert {text.get_text() for text in pool2.texts} == {"filter 1", "filter 2", "filter 3"}
    assert fc8.texts[0].get_text() == "no second rounds of fc8"
    # 1.0 then 0.4 more is less; 0.5 then 0.7 more is not.
    assert "improved 2 of them again, 1 of these by less" in said and "worsened 1; dashed lines (1)" in said
    figure, *_ = drawn(ROUNDS, [second_round("color:blue", 1.0, 1.5), second_round("vgg:pool4:filters=1", 1.0, 1.1)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["pool2", "pool4", "fc8", "colours"]


def curve(kid=True):
    rows = []
    for name, d, ms_ssim, after in (("0", 0.0, 0.4, 0.05), ("100", 0.33, 0.41, 0.06), ("1000", 3.3, 0.5, 0.15)):
        kids = {"kid": {"before": 0.05, "after": after, "after_se": 0.01}} if kid else {}
        measured = {"ms_ssim": ms_ssim, **kids}
        rows.append(experiment(name=name, d=d, measured=measured, tuning__pir_weight=float(name)))
    measured = {"ms_ssim": 0.9, **({"kid": {**kids["kid"], "after": 0.5}} if kid else {})}
    alone = {"tuning__fools_weight": 0.0, "gan__fake_class_weight": 0.0}
    return [*rows, experiment(name="x", d=5.0, measured=measured, **alone)]


@pytest.mark.slow
def test_the_trade_off_has_a_named_point_for_each_weight_and_one_before():
    figure, said, own = drawn(TRADE_OFF, curve())
    assert list(own["label"]) == ["before tuning", "0", "100", "1,000", "1,000, no generator loss"]
    start = own.iloc[0]
    assert (start["pir_after_mean"], start["kid_after"]) == (0.5, 0.05) and np.isnan(start["pir_weight"])
    assert start["ms_ssim_after"] == pytest.approx(0.39)
    for axes, field in zip(figure.axes, ("ms_ssim_after", "kid_after"), strict=True):
        shown = sorted((x, y) for x, y, _ in marks(axes))
        assert np.allclose(shown, sorted(values(own, field, "pir_after_mean")), rtol=1e-12)
    left, right = figure.axes
    assert [text.get_text() for text in right.texts] == list(own["label"])
    assert "no KID" not in words(figure) and "blue, 4 runs" in said
    # The extreme is no further weight, so the line ends before it.
    assert max(len(line.get_xdata()) for line in left.lines) == 3
    figure, said, _ = drawn(TRADE_OFF, curve(kid=False))
    assert "no KID" in words(figure) and [len(marks(axes)) for axes in figure.axes] == [5, 0]
    assert "KID was not measured" in said


def test_ablations_are_pairs_with_their_intervals():
    normalised = {"unscaled": {"change": 0.04, "cohens_d": 1.7, "cohens_d_interval": [1.5, 1.9]}}
    rows = [
        experiment(name="base", d=2.0),
        experiment(name="scalar", d=1.0, estimator__output="scalar"),
        experiment(name="normalised", d=9.0, interactions__scaling="normalized", measured=normalised),
    ]
    figure, said, own = drawn(PAIRS, rows)
    assert values(own, "pair", "side", "setting", "cohens_d") == [
        (1, "first", "100 bins", 2.0),
        (1, "second", "one output", 1.0),
        (2, "first", "as they are", 2.0),
        (2, "second", "normalised", 1.7),  # as the PIRs were before, so that both sides mean the same
    ]
    assert [sorted(x for x, _, _ in marks(axes)) for axes in figure.axes] == [[1.0, 2.0], [1.7, 2.0]]
    spans = [tuple(line.get_xdata()) for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
    assert (1.5, 1.9) in spans and (1.9, 2.1) in spans
    several = [experiment(name=f"b{seed}", seed=seed) for seed in range(2)]
    several += [experiment(name="s0", estimator__output="scalar", measured=UNDEFINED)]  # a side that is left open
    axes = drawn(PAIRS, [*several, experiment(name="s1", seed=1, estimator__output="scalar")])[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["blue, seed 0", "blue, seed 1"]
    assert len(marks(axes)) == 3
    assert "Plain GAN" in figure._supxlabel.get_text() and "-1.00 (n = 1)" in said and "-0.30 (n = 1)" in said


def archive(path, before, after, n=20):
    np.savez(path, before=pictures(n, before)[0], after=pictures(n, after)[0])
    return path


@pytest.mark.slow
def test_samples_are_drawn_by_the_seed_with_one_block_before_tuning(tmp_path):
    names = [f"color-{colors}" for colors in ("blue", "red-blue", *ROTATIONS)]
    archives = {name: archive(tmp_path / f"{name}.npz", 1, 10 + i) for i, name in enumerate(names)}
    own, images = samples.draw_samples(table(whole()), archives, seed=4)
    assert images.shape == (6 * 12, 64, 64, 3) and images.dtype == np.uint8 and len(own) == 72
    assert list(own["title"][::12])[:3] == ["before tuning", "blue", "red left, blue right"]
    with np.load(archives["color-blue"]) as blue:
        for row, image in zip(own[:24].itertuples(), images, strict=False):
            assert np.array_equal(image, blue[row.when][row.sample])
    assert own["sample"][:12].nunique() == 12  # without replacement
    again, others = (samples.draw_samples(table(whole()), archives, seed=seed)[0] for seed in (4, 5))
    assert again.equals(own) and list(others["sample"]) != list(own["sample"])
    figure = samples.draw(own, images)
    assert [axes.get_title(loc="left") for axes in figure.axes] == list(own["title"][::12])
    # The second image of the second block, beside a margin of two pixels.
    assert np.array_equal(figure.axes[1].images[0].get_array()[2:66, 68:132], images[13])
    assert "seed 4" in samples.caption(own)
    # Another start gets its own block.
    other = {**archives, "color-red-blue": archive(tmp_path / "s.npz", 2, 3)}
    own, _ = samples.draw_samples(table(whole()), other, seed=0)
    assert list(own["when"][::12])[:4] == ["before", "after", "before", "after"]
    one = {"color-blue": archive(tmp_path / "s.npz", 2, 3, n=3)}
    own, images = samples.draw_samples(table([experiment()]), one, seed=0)
    assert len(images) == 6 and len(samples.draw(own, images).axes) == 2
    with pytest.raises(InputError, match="names 5 images and figure-3.npz holds 6"):
        samples.draw(own[1:], images)
    none, nothing = samples.draw_samples(table(whole()), {}, seed=0)
    assert "no samples" in words(samples.draw(none, nothing)) and "no samples" in samples.caption(none)
    (tmp_path / "s.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="can't be read .*: repeat the evaluation"):
        samples.draw_samples(table([experiment()]), one, seed=0)
