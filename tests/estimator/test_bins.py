"""Bins, expectation and loss against numbers worked by hand."""

import math

import numpy as np
import pytest
import tensorflow as tf

from pir_tf.errors import InputError
from pir_tf.estimator.bins import bin_centers, bin_index, bin_of_counts, expected_pir, pir_loss

EXTREME = np.array([[0.0, 1000.0, -1000.0] + [0.0] * 97], np.float32)


def test_bin_edges_belong_to_the_upper_bin_and_one_to_the_last():
    rates = [0.0, 0.0099, 0.01, 0.29, 0.5, 0.989, 0.99, 1.0]
    assert bin_index(rates, 100).tolist() == [0, 0, 1, 29, 50, 98, 99, 99]
    assert bin_index([0.0, 0.24, 0.25, 1.0], 4).tolist() == [0, 0, 1, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [3, 7, 100])
def test_rates_and_counts_fall_into_the_same_bins(bins, dtype):
    pairs = np.array([(n, k) for n in range(1, 121) for k in range(n + 1)])
    impressions, positives = pairs.T
    of_counts = bin_of_counts(tf.constant(impressions), tf.constant(positives), bins).numpy()
    exact = np.minimum(positives * bins // impressions, bins - 1)
    assert np.array_equal(of_counts, exact)
    assert np.array_equal(bin_index((positives / impressions).astype(dtype), bins), exact)


def test_large_counts_do_not_overflow():
    n = np.array([2**53])
    assert bin_of_counts(tf.constant(n), tf.constant(n // 2), 100).numpy().tolist() == [50]


@pytest.mark.parametrize("rate", [-0.1, 1.1, math.nan])
def test_other_rates_are_refused(rate):
    with pytest.raises(InputError, match="expected rates in"):
        bin_index([0.5, rate], 100)


def test_centers():
    assert bin_centers(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert bin_centers(100)[[0, 99]] == pytest.approx([0.005, 0.995])
    with pytest.raises(InputError, match="2 or more"):
        bin_centers(1)


def test_expected_pir_by_hand():
    # softmax([0, log 3]) = [1/4, 3/4], centres 1/4 and 3/4: 1/16 + 9/16.
    logits = tf.constant([[0.0, math.log(3.0)]])
    assert expected_pir(logits, 1.0).numpy() == pytest.approx([0.625], rel=1e-6)
    # At T = 1/2 the odds are 3 squared: [1/10, 9/10].
    assert expected_pir(logits, 0.5).numpy() == pytest.approx([0.7], rel=1e-6)
    assert expected_pir(tf.constant([[math.log(3.0)]]), 0.01).numpy() == pytest.approx([0.75], rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize("temperature", [1, 0.01])
def test_extreme_logits_stay_finite(temperature, dtype):
    logits = tf.constant(EXTREME.astype(dtype))
    assert expected_pir(logits, temperature).numpy() == pytest.approx([0.015])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = pir_loss(logits, tf.constant([10]), tf.constant([0]))
    assert float(loss) == pytest.approx(1000.0)
    assert np.isfinite(tape.gradient(loss, logits).numpy()).all()


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf, None, "1", True])
def test_other_temperatures_are_refused(temperature):
    with pytest.raises(InputError, match="finite number above 0"):
        expected_pir(tf.zeros((1, 100)), temperature)


def test_loss_by_hand():
    logits = tf.constant([[0.0, math.log(3.0)], [0.0, math.log(3.0)], [9.0, -9.0]])
    # 1 of 4 is in the lower bin, 3 of 4 in the upper; the third image was never shown.
    loss = pir_loss(logits, tf.constant([4, 4, 0]), tf.constant([1, 3, 0]))
    assert float(loss) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, rel=1e-6)
    assert float(pir_loss(logits, tf.zeros(3, tf.int64), tf.zeros(3, tf.int64))) == 0.0


def test_scalar_loss_is_least_at_the_observed_rate():
    def loss(rate):
        logit = math.log(rate / (1 - rate))
        return float(pir_loss(tf.constant([[logit]]), tf.constant([1000]), tf.constant([250])))

    assert loss(0.25) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75), rel=1e-5)
    assert loss(0.25) < min(loss(0.24), loss(0.26))
