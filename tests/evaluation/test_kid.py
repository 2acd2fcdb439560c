"""The features of KID against Keras's own VGG16, and what is said of them."""

import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from pir_tf.evaluation import kid
from pir_tf.evaluation.kid import kid as estimate

SHARED = os.environ.get("PIR_TF_SHARED")
needs_weights = pytest.mark.skipif(not SHARED, reason="PIR_TF_SHARED names no folder with weights")


def noise(count, seed=0, size=64):
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), np.uint8)


def by_keras(images, weights):
    """pool5 of `keras.applications`, with its preprocessing, averaged by NumPy."""
    network = keras.applications.VGG16(include_top=False, weights=None)
    network.set_weights(weights)
    large = tf.image.resize(images.astype(np.float32), (224, 224), method="bilinear").numpy()
    return np.asarray(network(keras.applications.vgg16.preprocess_input(large))).mean(axis=(1, 2))


def test_features_are_the_mean_of_pool5():
    network = kid.feature_network("none")
    images = noise(3)
    found = network(images)[kid.LAYER]
    assert found.shape == (3, 512) and found.dtype == np.float32
    expected = by_keras(images, network.network.get_layer("vgg16_cut").get_weights())
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def features(count, mean, seed):
    return np.random.default_rng(seed).normal(mean, 1, (count, 6)).astype(np.float32)


def test_the_report_holds_both_distances_and_how_they_were_measured():
    before, after, real = features(240, 0.2, 1), features(240, 1.0, 2), features(240, 0.0, 3)
    found = kid.compare(before, after, real, weights="file:some.h5", seed=4)
    first, second = estimate(before, real, seed=4), estimate(after, real, seed=4)
    assert (found["before"], found["before_se"]) == (first.value, first.standard_error)
    assert (found["after"], found["after_se"]) == (second.value, second.standard_error)
    assert found["after"] > found["before"]
    assert (found["images"], found["real_images"], found["block_size"], found["blocks"]) == (240, 240, 100, 2)
    assert "VGG16 pool5" in found["network"] and found["network"].endswith("file:some.h5")
    assert found["reason"] is None
    json.dumps(found, allow_nan=False)


def test_too_few_images_are_no_number_but_a_reason():
    found = kid.compare(features(9, 0, 1), features(9, 0, 2), features(3, 0, 3), weights="imagenet", seed=0)
    assert found["before"] is found["after"] is found["before_se"] is None
    assert found["reason"].startswith("KID needs 4 images of each kind or more, and there are 3")


def test_both_forms_have_the_same_entries():
    measured = kid.compare(features(9, 0, 1), features(9, 0, 2), features(9, 0, 3), weights="imagenet", seed=0)
    assert set(measured) == set(kid.not_measured("why"))


@needs_weights
@pytest.mark.slow
def test_on_real_features_noise_is_far_from_landscapes_and_landscapes_are_near_each_other():
    from pir_tf.data.landscapes import render

    weights = f"file:{Path(SHARED) / 'weights' / 'vgg16_notop.weights.h5'}"
    network = kid.feature_network(weights)
    images, _ = render(48, seed=0)  # the classes take turns
    first, second, far = (network(x)[kid.LAYER] for x in (images[:24], images[24:], noise(24)))
    near, away = estimate(first, second, seed=0), estimate(first, far, seed=0)
    assert away.value > 5 * abs(near.value) and away.value > 5 * away.standard_error
