"""Plug & Play sampling against the stationary distribution of a linear PIR, and on a small generator."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import small_generator

from pir_tf.evaluation.plug_and_play import STEP_SIZE, plug_and_play, walk


def test_a_linear_pir_moves_the_mean_by_its_weight_and_keeps_the_spread():
    slope = tf.constant([0.01, 0.0, -0.02])
    z = np.random.default_rng(0).standard_normal((20_000, 3)).astype(np.float32)
    walked = walk(lambda z: tf.linalg.matvec(z, slope), z, 100.0, seed=1, steps=60)
    np.testing.assert_allclose(walked.mean(axis=0), 100 * slope, atol=0.04)
    np.testing.assert_allclose(walked.var(axis=0), 1 / (1 - STEP_SIZE / 4), atol=0.05)
    assert np.array_equal(walked, walk(lambda z: tf.linalg.matvec(z, slope), z, 100.0, seed=1, steps=60))


def test_images_of_walked_latents_have_a_higher_estimate_and_a_weight_of_0_changes_nothing_on_average():
    image = keras.Input((8, 8, 3))
    brightness = keras.layers.Dense(1, kernel_initializer="ones")(keras.layers.GlobalAveragePooling2D()(image))
    generator, estimator = small_generator(), keras.Model(image, brightness)
    means = []
    for weight in (0.0, 20.0):
        images, labels = plug_and_play(generator, estimator, weight, 40, seed=0, title="Walk")
        assert images.shape == (40, 8, 8, 3) and images.dtype == np.uint8
        np.testing.assert_array_equal(labels, np.arange(40) % 2)
        means.append(images.mean())
    plain = generator([np.random.default_rng(1).standard_normal((40, 5)), np.eye(2)[labels]])
    assert means[1] > means[0] + 3
    assert means[0] == pytest.approx(float(np.mean(plain)) * 127.5 + 127.5, abs=4)
