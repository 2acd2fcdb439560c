"""Tests of the figures: edge cases draw something or say that there is nothing, and labels keep apart."""

import numpy as np
import pandas as pd
import pytest

from pir_tf.report import figures, style

EMPTY = np.empty(0)
IMAGES = np.random.default_rng(0).integers(0, 256, (24, 64, 64, 3), dtype=np.uint8)

pytestmark = pytest.mark.filterwarnings("error")  # such as a log axis without a positive value or a missing glyph


def test_every_term_of_an_acgan_is_drawn():
    acgan = pytest.importorskip("pir_tf.gan.acgan")
    assert {*acgan.TERMS, *acgan.SOURCE_TERMS.values()} == set(figures.PRETRAINING_TERMS)


def of_log(history):
    """The figures of a log."""
    return [
        figures.pir_along(history),
        figures.loss_terms(history, figures.TUNING_TERMS),
        figures.gradient_norms(history),
        figures.distance_along(history),
    ]


def assert_drawn(figure, tmp_path):
    style.save(figure, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_the_lower_mean_is_named_at_the_left_and_labels_at_line_ends_keep_apart():
    rng = np.random.default_rng(0)
    figure = figures.before_after([("true PIR", rng.uniform(0.6, 0.7, 50), rng.uniform(0.4, 0.5, 50))])
    places = {text.get_text().partition(":")[0]: text.xy[0] for text in figure.axes[0].texts}
    assert places["after"] < places["before"]
    axes = style.new_figure(2.0).subplots()
    axes.set_ylim(0, 1)
    style.label_ends(axes, [(0.99, "a", "k"), (1.0, "b", "k"), (0.98, "c", "k"), (0.1, "d", "k")])
    places = {text.get_text(): text.xy[1] for text in axes.texts}
    assert places["d"] < places["c"] < places["a"] < places["b"] <= 0.98
    assert min(np.diff(sorted(places.values()))) >= 0.0999


def test_nothing_measured_draws_nothing_and_constant_pirs_and_one_row_of_a_log_something(tmp_path):
    history = pd.DataFrame({"step": [1.0, 2.0], "L_PIR": [np.nan, np.nan], "gradient_pir": [0.0, np.nan]})
    assert of_log(history) == [None] * 4
    assert figures.before_after([("true PIR", EMPTY, EMPTY)]) is figures.training_spread(EMPTY) is None
    assert figures.calibration([("temperature 1", [])]) is figures.pairs(IMAGES[:0], IMAGES[:0]) is None
    assert figures.samples(IMAGES[:9], np.full(9, 5), ["one"]) is None
    assert_drawn(figures.before_after([("true PIR", np.zeros(50), np.ones(50))]), tmp_path)
    assert_drawn(figures.training_spread(np.array([0.5])), tmp_path)
    row = {"step": 2.0, "L_PIR": 0.6, "true_pir": 0.6, "gradient_pir": 1.0, "gradient_fools": 0.0, "swd": 0.0}
    for figure in of_log(pd.DataFrame([row])):
        assert_drawn(figure, tmp_path)


def test_the_judge_that_may_stop_the_tuning_has_a_curve():
    log = pd.DataFrame({"step": [2.0, 4.0], "L_PIR": [0.5, 0.6], "true_pir": [0.5, 0.55], "judge_pir": [0.52, 0.5]})
    shown = {text.get_text() for text in figures.pir_along(log).axes[0].texts}
    assert shown == {"estimated", "the judge", "true"}
    assert {text.get_text() for text in figures.pir_along(log[["step", "L_PIR"]]).axes[0].texts} == {"estimated"}


def test_an_anchored_tuning_has_curves_of_its_own_terms_and_every_axis_has_a_name():
    steps = np.array([2.0, 4.0])
    log = {"step": steps, "L_PIR": steps, "L_anchor": steps, "gradient_pir": steps, "gradient_anchor": steps / 2}
    _, losses, norms, _ = of_log(pd.DataFrame(log))
    assert [axes.get_title(loc="left") for axes in losses.axes] == [r"$L_{\mathrm{PIR}}$", r"$L_{\mathrm{anchor}}$"]
    assert {"PIR", "anchor"} <= {text.get_text() for text in norms.axes[0].texts}
    log = {"step": [1.0, 2.0], "true_pir": [0.5, 0.6], "gradient_pir": [1.0, 2.0], "swd": [0.3, 0.2]}
    along, _, norms, distance = of_log(pd.DataFrame({**log, "L_PIR": log["true_pir"]}))
    values = np.linspace(0.4, 0.6, 20)
    calibration = figures.calibration([("temperature 1", [{"mean_predicted": 0.5, "mean_true": 0.6}])])
    histograms = figures.training_spread(values), figures.before_after([("true PIR", values, values + 0.1)])
    for figure in (along, norms, distance, calibration, *histograms):
        assert all(axes.get_xlabel() and axes.get_ylabel() for axes in figure.axes)


def test_what_pulls_at_next_to_nothing_is_below_the_axis_of_gradients():
    log = pd.DataFrame({"step": [2.0, 4.0], "gradient_pir": [3.0, 2.0], "gradient_fools": [1e-12, 0.5]})
    assert figures.gradient_norms(log).axes[0].get_ylim() == pytest.approx((10.0 ** (1 - figures.DECADES), 10.0))
    assert figures.gradient_norms(log[1:]).axes[0].get_ylim() == pytest.approx((0.1, 10.0))


def test_pictures_of_any_count_and_class_names_of_any_kind(tmp_path):
    assert [len(figures.pairs(IMAGES[:n], IMAGES[:n]).axes[0].images) for n in (1, 3, 9)] == [2, 6, 16]
    numbered = [f"class {i} of ${i}$" for i in range(12)]
    names = ["山脈", "côte", "🏖️ مرحبا", "two\nlines", "\udcff", "long " * 10]
    shown = ["class 0", "côte", "class 2", "class 3", "class 4", f"{'long ' * 10}"[:39] + "…"]
    for labels, given, expected in (
        (np.array([0, 0, 0, 0, 0, 2, 2, 11, 11]), numbered, [numbered[0], numbered[2], numbered[11]]),
        (np.arange(6), names, shown),  # numbers for what the font can't write
    ):
        figure = figures.samples(IMAGES[: len(labels)], labels, given)
        assert [text.get_text() for text in figure.texts] == expected
        assert_drawn(figure, tmp_path)


@pytest.mark.parametrize("size", [(64, 64), (28, 28), (128, 128), (20, 40)])
def test_pictures_lie_within_the_figure_and_keep_their_proportions(size):
    images = np.zeros((24, *size, 3), np.uint8)
    samples, pairs = figures.samples(images, np.arange(24) % 2, ["a", "b"]), figures.pairs(images, images)
    for figure, count in ((samples, 24), (pairs, 16)):
        figure.canvas.draw()
        sheet, pictures = figure.bbox, figure.axes[0].images
        assert len(pictures) == count
        for picture in pictures:
            box = picture.get_window_extent()
            assert (
                box.x0 >= -1e-6 and box.y0 >= -1e-6 and box.x1 <= sheet.width + 1e-6 and box.y1 <= sheet.height + 1e-6
            )
            assert box.height / box.width == pytest.approx(size[0] / size[1], rel=0.02)
