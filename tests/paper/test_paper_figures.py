"""The figures over many experiments: what they are drawn from, how many points they have, what empty ones say."""

import numpy as np
import pytest
from many_rows import experiment, whole
from synthetic_run import pictures

from pir_tf.paper.figures import ablations, rounds, scatter, strips, tradeoff
from pir_tf.paper.figures.list import FIGURES, ORDER, SAMPLES, draw_all, write_tables
from pir_tf.paper.rows import read_rows
from pir_tf.paper.tasks import PALE


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


# Figures 2 and 7


@pytest.mark.parametrize("value", ["cohens_d", "change"])
def test_strips_have_a_point_for_each_objective_in_its_column(value):
    rows = whole()
    table = strips.points(rows)
    assert len(table) == 62 and list(table[0]) == list(strips.COLUMNS)
    figure = strips.strips(table, value)
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


def test_strips_of_one_run_and_of_none():
    one = strips.points([experiment()])
    figure = strips.strips(one, "cohens_d")
    assert len(marks(figure.axes[2])) == 1
    assert "no runs of VGG16, single filters" in words(figure)
    assert "n = 1" in strips.caption(one, "cohens_d") and "blue" in strips.caption(one, "cohens_d")
    assert words(strips.strips([], "cohens_d")).count("no runs of") == 3
    assert strips.caption([], "cohens_d").endswith("no runs.")


def test_strips_say_what_is_undefined():
    table = strips.points([experiment(measured={"cohens_d": None, "p_value": None})])
    assert "undefined" in words(strips.strips(table, "cohens_d"))
    assert "1 more have no value" in strips.caption(table, "cohens_d")


# Figures 4, 5 and 8


@pytest.mark.parametrize("scatter", [scatter.ESTIMATED, scatter.SPREAD, scatter.NONZERO])
def test_scatter_plots_show_each_objective_at_its_numbers(scatter):
    rows = whole()
    table = scatter.table(rows, scatter)
    expected = [row for row in rows if not (scatter.single and row["kind"] == "vgg k=20")]
    figure = scatter.draw(table, scatter)
    axes = figure.axes[0]
    shown = sorted((x, y) for x, y, _ in marks(axes))
    assert np.allclose(shown, sorted((row[scatter.x], row[scatter.y]) for row in expected), rtol=1e-12)
    lines = [line for line in axes.lines if len(line.get_xdata()) == 2 and not line.get_label().startswith("_")]
    assert len(lines) == (2 if scatter.identity else 1)
    x, y = (np.asarray(lines[-1].get_xdata()), np.asarray(lines[-1].get_ydata()))
    slope, intercept = np.polyfit([row[scatter.x] for row in expected], [row[scatter.y] for row in expected], 1)
    assert y == pytest.approx(intercept + slope * x)
    assert f"{slope:.3f}" in scatter.caption(table, scatter)
    if scatter.identity:
        assert list(lines[0].get_xdata()) == list(lines[0].get_ydata())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend.count("pool1") == (1 if scatter.single else 2) and "fc8" not in legend


@pytest.mark.parametrize("scatter", [scatter.ESTIMATED, scatter.SPREAD, scatter.NONZERO])
def test_scatter_plots_of_little(scatter):
    assert scatter.nothing in words(scatter.draw([], scatter))
    one = scatter.table([experiment()], scatter)
    assert len(marks(scatter.draw(one, scatter).axes[0])) == 1
    assert "no line is fitted (1 rows" in scatter.caption(one, scatter)
    same = scatter.table([experiment(name=str(seed), seed=seed) for seed in range(5)], scatter)
    assert "is the same in every row" in scatter.caption(same, scatter)
    scatter.draw(same, scatter)


def test_the_legend_of_all_groups_fits_beside_the_axes():
    layers = ("pool1", "pool2", "pool3", "pool4", "pool5", "fc6", "fc7", "fc8")
    figure = scatter.draw(scatter.table(whole(layers), scatter.ESTIMATED), scatter.ESTIMATED)
    figure.draw_without_rendering()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    assert len(figure.legends[0].get_texts()) == 16 + 3 + 3 + 1 + 3
    assert 0 <= legend.y0 and legend.y1 <= figure.bbox.y1 and axes.x1 <= legend.x0 and legend.x1 <= figure.bbox.x1


# Figure 6


def second_round(filters, first, both, p=1e-9, layer="pool2"):
    known = {"first_round": {"cohens_d": first}, "cohens_d_from_start": both, "p_value": p}
    return experiment(f"vgg:{layer}:filters={filters}", both - first, first_round="x", measured=known)


def test_rounds_are_lines_from_zero():
    rows = [second_round(1, 1.0, 1.4), second_round(2, 0.8, 0.7, p=0.4), second_round(3, 0.5, 1.2), *whole()]
    table = rounds.table(rows)
    assert [(row["round"], row["cohens_d"]) for row in table[:3]] == [(0, 0.0), (1, 1.0), (2, 1.4)]
    figure = rounds.draw(table)
    pool2, fc8 = figure.axes
    paths = [line.get_ydata() for line in pool2.lines if len(line.get_xdata()) == 3]
    assert [list(path) for path in paths] == [[0.0, 1.0, 1.4], [0.0, 0.8, 0.7], [0.0, 0.5, 1.2]]
    dashed = [line for line in pool2.lines if line.get_linestyle() == "--"]
    assert [list(line.get_ydata()) for line in dashed] == [[0.8, 0.7]]
    assert {text.get_text() for text in pool2.texts} == {"filter 1", "filter 2", "filter 3"}
    assert fc8.texts[0].get_text() == "no second rounds of fc8"
    said = rounds.caption(table)
    # 1.0 then 0.4 more is less; 0.5 then 0.7 more is not.
    assert "improved 2 of them again, 1 of these by less" in said and "worsened 1" in said


def test_rounds_of_other_layers_and_colours_have_their_panels():
    known = {"first_round": {"cohens_d": 1.0}, "cohens_d_from_start": 1.5}
    rows = [second_round(1, 1.0, 1.1, layer="pool4"), experiment(first_round="x", measured=known)]
    titles = [axes.get_title(loc="left") for axes in rounds.draw(rounds.table(rows)).axes]
    assert titles == ["pool2", "pool4", "fc8", "colours"]


def test_no_rounds():
    figure = rounds.draw(rounds.table(whole()))
    assert words(figure).count("no second rounds") == 2
    assert rounds.caption([]).endswith("no second rounds.")


# Trade-off


def curve(kid=True):
    rows = []
    for weight in (0, 100, 1000):
        more = {"ms_ssim": 0.4 + weight / 1e4, "kid": {"before": 0.05, "after": 0.05 + weight / 1e4, "after_se": 0.01}}
        more = more if kid else {"ms_ssim": 0.4}
        rows.append(experiment(name=f"w{weight}", d=weight / 300, tuning__pir_weight=float(weight), measured=more))
    more = {"ms_ssim": 0.9, "kid": {"before": 0.05, "after": 0.5, "after_se": 0.01}} if kid else {}
    rows.append(experiment(name="x", d=5.0, tuning__fools_weight=0.0, gan__fake_class_weight=0.0, measured=more))
    return rows


def test_the_trade_off_has_a_named_point_for_each_weight_and_one_before():
    table = tradeoff.table(curve())
    assert [row["label"] for row in table] == ["before tuning", "0", "100", "1,000", "1,000, no generator loss"]
    assert (
        table[0]["pir_after"] == 0.5
        and table[0]["ms_ssim_after"] == pytest.approx(0.39)
        and table[0]["kid_after"] == 0.05
    )
    figure = tradeoff.draw(table)
    left, right = figure.axes
    for axes, field in ((left, "ms_ssim_after"), (right, "kid_after")):
        points = [(row[field], row["pir_after"]) for row in table]
        assert np.allclose(sorted((x, y) for x, y, _ in marks(axes)), sorted(points), rtol=1e-12)
    assert [text.get_text() for text in right.texts] == [row["label"] for row in table]
    assert "no KID" not in words(figure)
    # The extreme is no further weight, so the line ends before it.
    assert max(len(line.get_xdata()) for line in left.lines) == 3


def test_labels_keep_apart():
    """Two points at one place: their labels share no area."""
    rows = curve()
    rows[0]["pir_after"], rows[0]["ms_ssim_after"] = 0.5, 0.39
    figure = tradeoff.draw(tradeoff.table(rows))
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    for i, box in enumerate(boxes):
        assert not [other for other in boxes[:i] if box.overlaps(other)]


def test_the_trade_off_without_kid_or_without_runs():
    figure = tradeoff.draw(tradeoff.table(curve(kid=False)))
    assert "no KID" in words(figure) and len(marks(figure.axes[0])) == 5 and not marks(figure.axes[1])
    assert "no runs that differ" in words(tradeoff.draw([])) and tradeoff.table(whole()) == []


# Ablations


def test_ablations_are_pairs_with_their_intervals():
    normalised = {"unscaled": {"change": 0.04, "cohens_d": 1.7, "cohens_d_interval": [1.5, 1.9]}}
    rows = [
        experiment(name="base", d=2.0),
        experiment(name="scalar", d=1.0, estimator__output="scalar"),
        experiment(name="normalised", d=9.0, interactions__scaling="normalized", measured=normalised),
    ]
    table = ablations.table(rows)
    assert [(row["pair"], row["side"], row["setting"], row["cohens_d"]) for row in table] == [
        (1, "first", "100 bins", 2.0),
        (1, "second", "one output", 1.0),
        (2, "first", "as they are", 2.0),
        (2, "second", "normalised", 1.7),  # as the PIRs were before, so that both sides mean the same
    ]
    figure = ablations.draw(table)
    assert [sorted(x for x, _, _ in marks(axes)) for axes in figure.axes] == [[1.0, 2.0], [1.7, 2.0]]
    spans = [tuple(line.get_xdata()) for line in figure.axes[1].lines if len(line.get_xdata()) == 2]
    assert (1.5, 1.9) in spans and (1.9, 2.1) in spans
    assert "Plain GAN" in figure._supxlabel.get_text()
    assert "-1.00 (n = 1)" in ablations.caption(table) and "-0.30 (n = 1)" in ablations.caption(table)


def test_ablations_of_many_seeds_name_them_and_undefined_sides_are_left_open():
    rows = [experiment(name=f"b{seed}", seed=seed) for seed in range(2)]
    rows += [experiment(name="s0", estimator__output="scalar", measured={"cohens_d": None, "cohens_d_interval": None})]
    rows += [experiment(name="s1", seed=1, estimator__output="scalar")]
    figure = ablations.draw(ablations.table(rows))
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["blue, seed 0", "blue, seed 1"]
    assert len(marks(figure.axes[0])) == 3


def test_no_ablations():
    assert "no runs that differ in one setting" in words(ablations.draw(ablations.table(whole())))


# All of them


@pytest.mark.slow
def test_every_figure_comes_back_from_its_table(tmp_path):
    np.savez(tmp_path / "samples.npz", before=pictures(20, 1)[0], after=pictures(20, 2)[0])
    rows = [*whole(), *curve(), second_round(1, 1.0, 1.4), experiment(name="s", estimator__output="scalar")]
    write_tables(tmp_path, rows, {"color-blue": tmp_path / "samples.npz"}, seed=0)
    for figure in FIGURES:
        assert figure.read(tmp_path / f"{figure.name}.csv") == figure.table(rows)
    drawn = draw_all(tmp_path)
    assert tuple(drawn) == ORDER and SAMPLES in ORDER
    first = {path.name: path.read_bytes() for path in tmp_path.glob("*.png")}
    assert set(first) == {f"{name}.png" for name in ORDER}
    assert all(data.startswith(b"\x89PNG") for data in first.values())
    draw_all(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.png")} == first


def test_a_changed_table_changes_the_figure_and_an_absent_one_is_passed_over(tmp_path):
    write_tables(tmp_path, [experiment(), experiment("color:red", d=2.0)], {}, seed=0)
    for figure in FIGURES[1:]:
        (tmp_path / f"{figure.name}.csv").unlink()
    (tmp_path / f"{SAMPLES}.csv").unlink()
    lines = (tmp_path / "figure-2.csv").read_text().splitlines()
    (tmp_path / "figure-2.csv").write_text("\n".join(lines[:-1]) + "\n")
    drawn = draw_all(tmp_path)
    assert list(drawn) == ["figure-2"] and "n = 1" in drawn["figure-2"][1]
    assert len(read_rows(tmp_path / "figure-2.csv")) == 1
