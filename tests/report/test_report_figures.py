"""Tests of the figures: edge cases draw something or say that there is nothing, and labels keep apart."""

import numpy as np
import pandas as pd
import pytest

from pir_tf.report import figures, style


def drawn(figure, tmp_path):
    """Saves a figure; warnings are errors, such as a log axis without a positive value."""
    style.save(figure, tmp_path / "figure.png")
    return (tmp_path / "figure.png").stat().st_size


def texts(figure):
    return [text for text in figure.findobj(lambda item: hasattr(item, "get_text")) if text.get_text()]


@pytest.mark.filterwarnings("error")
def test_constant_pirs_at_the_edge_are_drawn(tmp_path):
    figure = figures.before_after([("true PIR", np.zeros(50), np.ones(50))])
    assert drawn(figure, tmp_path) > 5000
    assert drawn(figures.training_spread(np.array([0.5])), tmp_path) > 5000


def test_the_lower_mean_is_named_at_the_left():
    rng = np.random.default_rng(0)
    figure = figures.before_after([("true PIR", rng.uniform(0.6, 0.7, 50), rng.uniform(0.4, 0.5, 50))])
    places = {text.get_text().partition(":")[0]: text.xy[0] for text in texts(figure) if ": mean" in text.get_text()}
    assert places["after"] < places["before"]


def test_nothing_measured_draws_nothing():
    empty = np.empty(0)
    history = pd.DataFrame({"step": [1.0, 2.0], "L_PIR": [np.nan, np.nan], "gradient_pir": [0.0, np.nan]})
    assert figures.before_after([("true PIR", empty, empty)]) is None
    assert figures.training_spread(empty) is None
    assert figures.calibration([("temperature 1", [])]) is None
    assert figures.pir_along(history) is None
    assert figures.loss_terms(history, figures.TUNING_TERMS) is None
    assert figures.gradient_norms(history) is None
    assert figures.distance_along(history) is None
    assert figures.pairs(np.empty((0, 64, 64, 3), np.uint8), np.empty((0, 64, 64, 3), np.uint8)) is None


@pytest.mark.filterwarnings("error")
def test_one_row_of_a_log_is_drawn(tmp_path):
    row = {
        "step": [2.0],
        "L_PIR": [0.6],
        "true_pir": [0.6],
        "gradient_pir": [1.0],
        "gradient_fools": [0.0],
        "swd": [0.0],
    }
    history = pd.DataFrame(row)
    for figure in (
        figures.pir_along(history),
        figures.loss_terms(history, figures.TUNING_TERMS),
        figures.gradient_norms(history),
        figures.distance_along(history),
    ):
        assert drawn(figure, tmp_path) > 5000


def test_an_anchored_tuning_has_curves_of_its_own_terms(tmp_path):
    steps = np.array([2.0, 4.0])
    log = {
        "step": steps,
        "L_PIR": steps / 10,
        "L_anchor": steps / 100,
        "gradient_pir": steps,
        "gradient_anchor": steps / 2,
    }
    history = pd.DataFrame(log)
    losses = figures.loss_terms(history, figures.TUNING_TERMS)
    titles = [axes.get_title(loc=loc) for axes in losses.axes for loc in ("left", "center") if axes.get_title(loc=loc)]
    assert titles == [figures.SYMBOLS["L_PIR"], figures.SYMBOLS["L_anchor"]]
    assert drawn(losses, tmp_path) > 5000
    norms = figures.gradient_norms(history)
    assert {"PIR", "anchor"} <= {text.get_text() for text in norms.axes[0].texts}


def test_labels_at_line_ends_keep_apart_and_inside():
    axes = style.new_figure(2.0).subplots()
    axes.set_ylim(0, 1)
    style.label_ends(axes, [(0.99, "a", "k"), (1.0, "b", "k"), (0.98, "c", "k"), (0.1, "d", "k")])
    places = {text.get_text(): text.xy[1] for text in axes.texts}
    assert places["d"] < places["c"] < places["a"] < places["b"] <= 0.98
    assert min(np.diff(sorted(places.values()))) >= 0.0999


def test_every_axis_has_a_name():
    history = pd.DataFrame({"step": [1.0, 2.0], "L_PIR": [0.5, 0.6], "gradient_pir": [1.0, 2.0], "swd": [0.3, 0.2]})
    groups = [{"mean_predicted": 0.5, "mean_true": 0.6}]
    for figure in (
        figures.pir_along(history),
        figures.gradient_norms(history),
        figures.distance_along(history),
        figures.training_spread(np.linspace(0.4, 0.6, 20)),
        figures.calibration([("temperature 1", groups)]),
        figures.before_after([("true PIR", np.linspace(0.4, 0.6, 20), np.linspace(0.5, 0.7, 20))]),
    ):
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


def test_pictures_of_any_count_and_number_of_classes(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (9, 64, 64, 3), dtype=np.uint8)
    assert len(figures.pairs(images[:1], images[:1]).axes) == 2
    assert len(figures.pairs(images[:3], images[:3]).axes) == 6
    assert len(figures.pairs(images, images).axes) == 16
    labels = np.array([0, 0, 0, 0, 0, 2, 2, 11, 11])
    names = [f"class {i} of ${i}$" for i in range(12)]
    figure = figures.samples(images, labels, names)
    assert [text.get_text() for text in figure.texts] == [names[0], names[2], names[11]]
    assert drawn(figure, tmp_path) > 5000
    assert figures.samples(images, np.full(9, 5), ["one"]) is None


def test_pictures_lie_within_the_figure_and_are_square():
    images = np.zeros((24, 64, 64, 3), np.uint8)
    for figure in (figures.samples(images, np.arange(24) % 2, ["a", "b"]), figures.pairs(images, images)):
        width, height = figure.get_size_inches()
        for axes in figure.axes:
            box = axes.get_position()
            assert box.x0 >= -1e-9 and box.y0 >= -1e-9 and box.x1 <= 1 + 1e-9 and box.y1 <= 1 + 1e-9
            assert box.width * width == pytest.approx(box.height * height)


@pytest.mark.parametrize("size", [(28, 28), (128, 128), (20, 40)])
def test_pictures_of_any_size_keep_their_proportions(size):
    images = np.zeros((8, *size, 3), np.uint8)
    for figure in (figures.samples(images, np.arange(8) % 2, ["a", "b"]), figures.pairs(images, images)):
        figure.canvas.draw()
        for axes in figure.axes:
            box = axes.get_window_extent()
            assert box.height / box.width == pytest.approx(size[0] / size[1], rel=0.02)
