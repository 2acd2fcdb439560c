"""The figures over many experiments: what they are drawn from, how many points they have, what empty ones say."""

import numpy as np
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


def marks(axes):
    """Points as (x, y, opacity)."""
    return [
        (float(line.get_xdata()[0]), float(line.get_ydata()[0]), line.get_alpha())
        for line in axes.lines
        if line.get_marker() not in ("None", "", None)
    ]


def words(figure):
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    return " | ".join(texts + [text.get_text() for text in figure.texts])


def drawn(figure, rows):
    """A figure, and its caption."""
    own = figure.table(table(rows))
    return figure.draw(own), figure.caption(own)


@pytest.mark.parametrize(
    ("figure", "said", "times"),
    [
        *((strips, "no runs", 3) for strips in (EFFECT, CHANGE)),
        *((scatter, scatter.nothing, 1) for scatter in (ESTIMATED, SPREAD, NONZERO)),
        (ROUNDS, "no second rounds", 2),
        *((compared, "no runs that differ in", 1) for compared in (TRADE_OFF, PAIRS)),
    ],
)
def test_an_empty_figure_says_so(figure, said, times):
    # One experiment of people's answers belongs to none of them.
    picture, caption = drawn(figure, [experiment(interactions__source="csv:ratings.csv")])
    assert words(picture).count(said) == times and said in caption


# Figures 2 and 7


@pytest.mark.parametrize("strips", [EFFECT, CHANGE])
def test_strips_have_a_point_for_each_objective_in_its_column(strips):
    rows, value = whole(), strips.value
    assert len(strips.table(table(rows))) == 62
    figure, said = drawn(strips, rows)
    assert [len(marks(axes)) for axes in figure.axes] == [25, 25, 12] and "n = 62" in said
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


def test_strips_of_one_run_and_of_what_is_undefined():
    figure, said = drawn(EFFECT, [experiment()])
    assert len(marks(figure.axes[2])) == 1 and "no runs of VGG16, single filters" in words(figure)
    assert "n = 1" in said and "Highest: blue with +1.00" in said
    figure, said = drawn(EFFECT, [experiment(measured={"cohens_d": None, "p_value": None})])
    assert "undefined" in words(figure) and "1 more have no value" in said


def test_every_task_has_its_own_look():
    assert set(LOOKS) == set(TASKS[["kind", "layer"]].itertuples(index=False, name=None))
    assert len(set(LOOKS.values())) == len(TASKS)


def test_significance_is_at_the_paper_s_threshold():
    for p, said in (
        ([0.0009, 0.001], "1 is pale"),
        ([0.0009], "all changes are significant"),
        ([0.001, None], "all are pale"),
        ([0.0, 0.5, None], "2 are pale"),
    ):
        rows = table([experiment(measured={"p_value": value}) for value in p])
        assert significance_in_words(rows).startswith(said)


# Figures 4, 5 and 8


@pytest.mark.parametrize("scatter", [ESTIMATED, SPREAD, NONZERO])
def test_scatter_plots_show_each_objective_at_its_numbers(scatter):
    rows = whole()
    x_name, y_name = scatter.model.about, scatter.model.outcome
    points = [(row[x_name], row[y_name]) for row in rows if not (scatter is NONZERO and row["kind"] == "vgg k=20")]
    figure, said = drawn(scatter, rows)
    axes = figure.axes[0]
    assert np.allclose(sorted((x, y) for x, y, _ in marks(axes)), sorted(points), rtol=1e-12)
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and not line.get_label().startswith("_")]
    assert len(lines) == (2 if scatter is ESTIMATED else 1)
    slope, intercept = np.polyfit(*zip(*points, strict=True), 1)
    assert lines[-1].get_ydata() == pytest.approx(intercept + slope * np.asarray(lines[-1].get_xdata()))
    assert f"{slope:.3f}" in said
    if scatter is ESTIMATED:
        assert list(lines[0].get_xdata()) == list(lines[0].get_ydata())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend.count("pool1") == (1 if scatter is NONZERO else 2) and "fc8" not in legend


def test_a_scatter_plot_of_little_says_why_it_has_no_line():
    figure, said = drawn(SPREAD, [experiment()])
    assert len(marks(figure.axes[0])) == 1 and "no line is fitted (1 rows" in said
    own = SPREAD.table(table([experiment(name=str(seed), seed=seed) for seed in range(5)]))
    assert "is the same in every row" in SPREAD.caption(own)


def test_the_legend_of_all_groups_fits_beside_the_axes():
    figure, _ = drawn(ESTIMATED, whole(("pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "fc7", "fc8")))
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 16 + 3 + 3 + 1 + 3
    assert 0 <= legend.y0 and legend.y1 <= figure.bbox.y1 and axes.x1 <= legend.x0 and legend.x1 <= figure.bbox.x1


# Figure 6


def second_round(objective, first, both, p=1e-9):
    known = {"first_round": {"cohens_d_from_start": first}, "cohens_d_from_start": both, "p_value": p}
    return experiment(objective, both - first, first_round="x", measured=known)


def test_rounds_are_lines_from_zero():
    effects = ((1.0, 1.4, 1e-9), (0.8, 0.7, 0.4), (0.5, 1.2, 1e-9))
    rows = [second_round(f"vgg:pool2:filters={i}", *effect) for i, effect in enumerate(effects, 1)]
    own = ROUNDS.table(table([*rows, *whole()]))
    assert list(zip(own["round"], own["cohens_d"], strict=True))[:3] == [(0, 0.0), (1, 1.0), (2, 1.4)]
    assert list(own["p_value"].notna())[:3] == [False, False, True]
    pool2, fc8 = ROUNDS.draw(own).axes
    paths = [list(line.get_ydata()) for line in pool2.lines if len(line.get_xdata()) == 3]
    assert paths == [[0.0, 1.0, 1.4], [0.0, 0.8, 0.7], [0.0, 0.5, 1.2]]
    dashed = [line for line in pool2.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[0.8, 0.7]]
    assert {text.get_text() for text in pool2.texts} == {"filter 1", "filter 2", "filter 3"}
    assert fc8.texts[0].get_text() == "no second rounds of fc8"
    # 1.0 then 0.4 more is less; 0.5 then 0.7 more is not.
    said = ROUNDS.caption(own)
    assert "improved 2 of them again, 1 of these by less" in said and "worsened 1; dashed lines (1)" in said


def test_rounds_of_other_layers_and_colours_have_their_panels():
    figure, _ = drawn(ROUNDS, [second_round("color:blue", 1.0, 1.5), second_round("vgg:pool4:filters=1", 1.0, 1.1)])
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["pool2", "pool4", "fc8", "colours"]


# Trade-off


def curve(kid=True):
    rows = []
    for weight in (0, 100, 1000):
        kid_after = {"kid": {"before": 0.05, "after": 0.05 + weight / 1e4, "after_se": 0.01}} if kid else {}
        more = {"ms_ssim": 0.4 + weight / 1e4, **kid_after}
        rows.append(experiment(name=f"w{weight}", d=weight / 300, tuning__pir_weight=float(weight), measured=more))
    more = {"ms_ssim": 0.9, "kid": {"before": 0.05, "after": 0.5, "after_se": 0.01}} if kid else {}
    rows.append(experiment(name="x", d=5.0, tuning__fools_weight=0.0, gan__fake_class_weight=0.0, measured=more))
    return rows


def test_the_trade_off_has_a_named_point_for_each_weight_and_one_before():
    own = TRADE_OFF.table(table(curve()))
    assert list(own["label"]) == ["before tuning", "0", "100", "1,000", "1,000, no generator loss"]
    start = own.iloc[0]
    assert (start["pir_after_mean"], start["kid_after"]) == (0.5, 0.05) and np.isnan(start["pir_weight"])
    assert start["ms_ssim_after"] == pytest.approx(0.39)
    figure = TRADE_OFF.draw(own)
    left, right = figure.axes
    for axes, field in ((left, "ms_ssim_after"), (right, "kid_after")):
        points = sorted(zip(own[field], own["pir_after_mean"], strict=True))
        assert np.allclose(sorted((x, y) for x, y, _ in marks(axes)), points, rtol=1e-12)
    assert [text.get_text() for text in right.texts] == list(own["label"])
    assert "no KID" not in words(figure) and "blue, 4 runs" in TRADE_OFF.caption(own)
    # The extreme is no further weight, so the line ends before it.
    assert max(len(line.get_xdata()) for line in left.lines) == 3


def test_labels_keep_apart():
    """Two points at one place: their labels share no area."""
    rows = curve()
    rows[0]["pir_after_mean"], rows[0]["ms_ssim_after"] = 0.5, 0.39
    figure, _ = drawn(TRADE_OFF, rows)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    for i, box in enumerate(boxes):
        assert not [other for other in boxes[:i] if box.overlaps(other)]


def test_the_trade_off_without_kid():
    figure, said = drawn(TRADE_OFF, curve(kid=False))
    assert "no KID" in words(figure) and len(marks(figure.axes[0])) == 5 and not marks(figure.axes[1])
    assert "KID was not measured" in said


# Ablations


def test_ablations_are_pairs_with_their_intervals():
    normalised = {"unscaled": {"change": 0.04, "cohens_d": 1.7, "cohens_d_interval": [1.5, 1.9]}}
    rows = [
        experiment(name="base", d=2.0),
        experiment(name="scalar", d=1.0, estimator__output="scalar"),
        experiment(name="normalised", d=9.0, interactions__scaling="normalized", measured=normalised),
    ]
    own = PAIRS.table(table(rows))
    assert list(own[["pair", "side", "setting", "cohens_d"]].itertuples(index=False, name=None)) == [
        (1, "first", "100 bins", 2.0),
        (1, "second", "one output", 1.0),
        (2, "first", "as they are", 2.0),
        (2, "second", "normalised", 1.7),  # as the PIRs were before, so that both sides mean the same
    ]
    figure, said = PAIRS.draw(own), PAIRS.caption(own)
    assert [sorted(x for x, _, _ in marks(axes)) for axes in figure.axes] == [[1.0, 2.0], [1.7, 2.0]]
    spans = [tuple(line.get_xdata()) for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
    assert (1.5, 1.9) in spans and (1.9, 2.1) in spans
    assert "Plain GAN" in figure._supxlabel.get_text()
    assert "-1.00 (n = 1)" in said and "-0.30 (n = 1)" in said


def test_ablations_of_many_seeds_name_them_and_undefined_sides_are_left_open():
    undefined = {"cohens_d": None, "cohens_d_interval": None}
    rows = [experiment(name=f"b{seed}", seed=seed) for seed in range(2)]
    rows += [experiment(name="s0", estimator__output="scalar", measured=undefined)]
    rows += [experiment(name="s1", seed=1, estimator__output="scalar")]
    figure, _ = drawn(PAIRS, rows)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["blue, seed 0", "blue, seed 1"]
    assert len(marks(figure.axes[0])) == 3


# Figure 3


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Samples of all colour objectives: the same images before, others after."""
    found = {}
    for i, colors in enumerate(("blue", "red-blue", *ROTATIONS)):
        path = tmp_path_factory.mktemp("samples") / "samples.npz"
        np.savez(path, before=pictures(20, 1)[0], after=pictures(20, 10 + i)[0])
        found[f"color-{colors}"] = path
    return found


def test_samples_are_drawn_by_the_seed_with_one_block_before_tuning(archives, tmp_path):
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
    shown = figure.axes[1].images[0].get_array()
    assert np.array_equal(shown[2:66, 68:132], images[13])  # the second image of the second block
    assert "seed 4" in samples.caption(own)
    # Another start gets its own block.
    np.savez(tmp_path / "s.npz", before=pictures(20, 2)[0], after=pictures(20, 3)[0])
    both = {**archives, "color-red-blue": tmp_path / "s.npz"}
    own, _ = samples.draw_samples(table(whole()), both, seed=0)
    assert list(own["when"][::12])[:4] == ["before", "after", "before", "after"]


def test_few_samples_none_and_damaged_ones(tmp_path):
    np.savez(tmp_path / "s.npz", before=pictures(3, 2)[0], after=pictures(3, 3)[0])
    own, images = samples.draw_samples(table([experiment()]), {"color-blue": tmp_path / "s.npz"}, seed=0)
    assert len(images) == 6 and len(samples.draw(own, images).axes) == 2
    with pytest.raises(InputError, match="names 5 images and figure-3.npz holds 6"):
        samples.draw(own[1:], images)
    own, images = samples.draw_samples(table(whole()), {}, seed=0)
    assert own.empty and "no samples" in words(samples.draw(own, images)) + samples.caption(own)
    (tmp_path / "s.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="can't be read .*: repeat the evaluation"):
        samples.draw_samples(table([experiment()]), {"color-blue": tmp_path / "s.npz"}, seed=0)
