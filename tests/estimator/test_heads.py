"""Bins, expectation and loss against numbers worked by hand."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator.heads import Bins, Scalar, head_of


def pir(head, logits, temperature=1.0):
    found = head.pir(tf.constant(logits), temperature)
    assert found.dtype == tf.float32 and found.shape == (len(logits), 1)
    return found.numpy()[:, 0]


def loss(head, logits, impressions, positives):
    return head.loss(tf.constant(logits), tf.constant(impressions), tf.constant(positives))


def test_the_config_names_the_head():
    config = EstimatorConfig()
    assert head_of(config) == Bins(100) and head_of(config).units == 100
    assert head_of(dataclasses.replace(config, bins=7)) == Bins(7)
    assert head_of(dataclasses.replace(config, output="scalar")) == Scalar() and Scalar().units == 1
    with pytest.raises(InputError, match="2 or more"):
        Bins(1)


@pytest.mark.parametrize("bins", [3, 4, 100])
def test_edges_belong_to_the_upper_bin_and_one_to_the_last(bins):
    pairs = np.array([(n, k) for n in range(1, 121) for k in range(n + 1)])
    impressions, positives = pairs.T
    found = Bins(bins).index(tf.constant(impressions), tf.constant(positives)).numpy()
    # Bin b holds b / bins <= k / n < (b + 1) / bins, in whole numbers.
    assert (found * impressions <= positives * bins).all()
    inside = positives * bins < (found + 1) * impressions
    assert (inside | (positives == impressions)).all() and (found[positives == impressions] == bins - 1).all()


def test_bins_worked_by_hand():
    index = lambda n, k: Bins(100).index(tf.constant(n), tf.constant(k)).numpy().tolist()  # noqa: E731
    assert index([100, 100, 100, 0], [29, 0, 100, 0]) == [29, 0, 99, 0]  # 0.29 * 100 is 28.999999999999996
    assert index([2**53], [2**52]) == [50]  # without overflow
    assert Bins(4).centers().tolist() == [0.125, 0.375, 0.625, 0.875]
    assert Bins(100).centers()[[0, 99]] == pytest.approx([0.005, 0.995])


def test_pir_worked_by_hand():
    # softmax([0, log 3]) = [1/4, 3/4], centres 1/4 and 3/4: 1/16 + 9/16. At T = 1/2 the odds are 3 squared.
    assert pir(Bins(2), [[0.0, math.log(3.0)]]) == pytest.approx([0.625], rel=1e-6)
    assert pir(Bins(2), [[0.0, math.log(3.0)]], 0.5) == pytest.approx([0.7], rel=1e-6)
    for temperature in (1.0, 0.01):
        assert pir(Scalar(), [[math.log(3.0)]], temperature) == pytest.approx([0.75], rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_extreme_logits_stay_finite(dtype):
    logits = tf.constant([[0.0, 1000.0, -1000.0] + [0.0] * 97], dtype)
    for temperature in (1, 0.01):
        assert pir(Bins(100), logits, temperature) == pytest.approx([0.015])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = loss(Bins(100), logits, [10], [0])
    assert float(found) == pytest.approx(1000.0)
    assert np.isfinite(tape.gradient(found, logits).numpy()).all()


@pytest.mark.parametrize("head", [Bins(2), Scalar()])
def test_other_temperatures_are_refused(head):
    for temperature in (0, -1.0, math.nan, math.inf, None, "1", True):
        with pytest.raises(InputError, match="finite number above 0"):
            head.pir(tf.zeros((1, head.units)), temperature)


def test_loss_worked_by_hand():
    logits = [[0.0, math.log(3.0)], [0.0, math.log(3.0)], [9.0, -9.0]]
    # 1 of 4 is in the lower bin, 3 of 4 in the upper; the third image was never shown.
    found = loss(Bins(2), logits, [4, 4, 0], [1, 3, 0])
    assert float(found) == pytest.approx((math.log(4) + math.log(4 / 3)) / 2, rel=1e-6)
    for head in (Bins(2), Scalar()):
        assert float(loss(head, np.ones((3, head.units), np.float32), [0, 0, 0], [0, 0, 0])) == 0.0


def test_the_scalars_loss_is_least_at_the_observed_rate():
    at = lambda rate: float(loss(Scalar(), [[math.log(rate / (1 - rate))]], [1000], [250]))  # noqa: E731
    assert at(0.25) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75), rel=1e-5)
    assert at(0.25) < min(at(0.24), at(0.26))
