"""The kernel distance against a case worked by hand and a double loop, its features against Keras's own VGG16, and its report."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from pir_tf.errors import InputError
from pir_tf.evaluation import kid
from pir_tf.evaluation.kid import kid as estimate
from pir_tf.evaluation.kid import unbiased_mmd2


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def double_loop(x, y):
    """The unbiased estimate, a pair at a time."""
    k = lambda a, b: (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3  # noqa: E731
    within = lambda s: np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])  # noqa: E731
    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_cases_worked_by_hand_and_by_a_double_loop():
    # d = 1, x = {0, 1}, y = {1, 2}. Within x: k(0, 1) = 1. Within y: k(1, 2) = 27.
    # Between: k(0, 1) = 1, k(0, 2) = 1, k(1, 1) = 8, k(1, 2) = 27, mean 9.25. 1 + 27 - 18.5 = 9.5.
    assert unbiased_mmd2(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5, abs=1e-12)
    # d = 2, all entries 2 in x and 0 in y: k within x is (8 / 2 + 1)^3 = 125, else 1. 125 + 1 - 2 = 124.
    assert unbiased_mmd2(np.full((2, 2), 2.0), np.zeros((3, 2))) == pytest.approx(124.0, abs=1e-12)
    x, y = normal(0, 7, 5), 2 * normal(1, 9, 5) + 0.3
    assert unbiased_mmd2(x, y) == pytest.approx(double_loop(x, y), rel=1e-10)


def test_blocks_are_disjoint_and_give_the_standard_error():
    x, y = normal(1, 7, 3), normal(2, 8, 3)
    found = estimate(x, y, seed=4, block_size=3)
    assert (found.block_size, found.blocks) == (3, 2)
    order = np.random.default_rng(4)
    rows_x, rows_y = order.permutation(7)[:6].reshape(2, 3), order.permutation(8)[:6].reshape(2, 3)
    values = [double_loop(x[a], y[b]) for a, b in zip(rows_x, rows_y, strict=True)]
    assert found.value == pytest.approx(np.mean(values), rel=1e-10)
    assert found.standard_error == pytest.approx(abs(values[0] - values[1]) / 2, rel=1e-10)
    small = estimate(normal(6, 64, 4), normal(7, 50, 4), seed=0)
    assert (small.block_size, small.blocks) == (25, 2)  # small sets are cut into two


def test_equal_distributions_give_about_0_of_either_sign_and_the_error_is_honest():
    estimates = [estimate(*normal(seed, 2, 200, 8), seed=seed, block_size=20) for seed in range(60)]
    values = np.array([found.value for found in estimates])
    assert (values < 0).any() and (values > 0).any()
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values))
    assert np.mean([found.standard_error for found in estimates]) == pytest.approx(values.std(ddof=1), rel=0.3)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((3, 2)), np.ones((9, 2)), "features of 3 images, expected 4 or more"),
        (np.ones((9, 2)), np.ones((9, 3)), "2 and 3 entries"),
        (np.ones(9), np.ones((9, 1)), r"x has shape \(9,\)"),
        (np.full((9, 2), np.nan), np.ones((9, 2)), "not finite"),
    ],
)
def test_what_has_no_distance_is_refused(x, y, said):
    with pytest.raises(InputError, match=said):
        estimate(x, y, seed=0)


@pytest.mark.slow
def test_features_are_the_mean_of_pool5_of_kerass_vgg16(monkeypatch):
    assert kid.IMAGE_SIZE == 224
    monkeypatch.setattr(kid, "IMAGE_SIZE", 72)  # quicker
    network, images = kid.feature_network("none"), np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    found = network(images)[kid.LAYER]
    assert found.shape == (3, 512) and found.dtype == np.float32
    theirs = keras.applications.VGG16(include_top=False, weights=None)
    theirs.set_weights(network.network.get_layer("vgg16_cut").get_weights())
    large = tf.image.resize(images.astype(np.float32), (72, 72), method="bilinear").numpy()
    expected = np.asarray(theirs(keras.applications.vgg16.preprocess_input(large))).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_the_report_holds_both_distances_and_how_they_were_measured():
    before, after, real = normal(1, 240, 6) + 0.2, normal(2, 240, 6) + 1.0, normal(3, 240, 6)
    found = kid.compare(before, after, real, weights="file:some.h5", seed=4)
    first, second = estimate(before, real, seed=4), estimate(after, real, seed=4)
    assert (found["before"], found["before_se"]) == (first.value, first.standard_error)
    assert (found["after"], found["after_se"]) == (second.value, second.standard_error)
    assert found["after"] > found["before"] and found["control"] is found["control_se"] is None
    control = normal(5, 240, 6)
    third, beside = (
        kid.compare(before, after, real, control, weights="file:some.h5", seed=4),
        estimate(control, real, seed=4),
    )
    assert third == {**found, "control": beside.value, "control_se": beside.standard_error}
    assert (found["images"], found["real_images"], found["block_size"], found["blocks"]) == (240, 240, 100, 2)
    assert "VGG16 pool5" in found["network"] and found["network"].endswith("file:some.h5")
    assert found["reason"] is None and set(found) == set(kid.not_measured("why"))
    json.dumps(found, allow_nan=False)


def test_too_few_images_are_no_number_but_a_reason():
    found = kid.compare(normal(1, 9, 6), normal(2, 9, 6), normal(3, 3, 6), weights="imagenet", seed=0)
    assert found["before"] is found["after"] is found["before_se"] is None
    assert found["reason"].startswith("KID needs 4 images of each kind or more, and there are 3")
