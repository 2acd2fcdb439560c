"""Tests of the rates: the limits of the prior, coverage, reliability, fractions, and sets that say nothing."""

import numpy as np
import pytest
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics.rates import answer_worth, image_rates

pytestmark = pytest.mark.filterwarnings("error")


def test_without_answers_every_pir_is_uniform():
    rates = image_rates([0, 0], [0, 0])
    assert rates.pir == pytest.approx([0.5, 0.5], abs=1e-4)
    assert rates.low == pytest.approx([0.025, 0.025], abs=1e-3)
    assert rates.high == pytest.approx([0.975, 0.975], abs=1e-3)
    assert rates.reliability is None
    assert image_rates([], []).pir.shape == (0,)


def test_one_image_all_equal_and_images_without_answers():
    one = image_rates([5], [5])
    assert 0.8 < one.pir[0] < 1 and one.low[0] < 0.8 and one.reliability is None
    equal = image_rates([5] * 40 + [0], [3] * 40 + [0])
    assert equal.pir[:40] == pytest.approx(0.6, abs=0.01) and equal.pir[40] == pytest.approx(0.6, abs=0.01)
    assert equal.reliability == 0.0 and equal.high[40] - equal.low[40] > 0.05
    assert image_rates([5, 5, 5], [5, 5, 5]).reliability is None
    assert (
        image_rates([1] * 30, [0, 1] * 15).reliability is None
    )  # one answer an image: nothing tells noise from images


def test_posterior_means_lean_on_the_set_and_many_answers_do_not():
    rates = image_rates([1000] * 4 + [1], [100, 300, 600, 900, 1])
    assert rates.pir[:4] == pytest.approx([0.1, 0.3, 0.6, 0.9], abs=0.005)
    assert 0.5 < rates.pir[4] < 0.85
    assert image_rates([1000] * 4, [100, 300, 600, 900]).reliability == pytest.approx(1, abs=0.01)
    assert np.all((rates.low <= rates.pir) & (rates.pir <= rates.high))


def test_intervals_cover_and_reliability_is_the_share_between_images():
    generator = np.random.default_rng(0)
    pir = generator.beta(4, 6, 4000)
    n = generator.integers(2, 9, 4000)
    rates = image_rates(n, generator.binomial(n, pir))
    assert np.mean((rates.low <= pir) & (pir <= rates.high)) == pytest.approx(0.95, abs=0.015)
    assert (rates.mean, rates.sd) == pytest.approx((0.4, stats.beta(4, 6).std()), abs=0.015)
    # Variance of PIRs m (1 - m) / 11, of a rate given the PIR m (1 - m) 10 / 11 / n.
    assert rates.reliability == pytest.approx(1 / (1 + 10 * np.mean(1 / n)), abs=0.04)
    # The posterior's mean is nearer than the rate itself.
    assert np.mean((rates.pir - pir) ** 2) < 0.7 * np.mean(pir * (1 - pir) / n)


def test_fractions_are_worth_more_than_likes():
    assert answer_worth([0, 0, 1, 1], [0, 1, 1, 1]) == 1.0
    # Images 0 and 1: 0.25, 0.75 twice; variance 0.125, v (1 - v) 3/16.
    assert answer_worth([0, 0, 1, 1, 2], [0.25, 0.75, 0.25, 0.75, 0.1]) == pytest.approx(1 + 0.1875 / 0.125)
    assert answer_worth([], []) == answer_worth([0, 1], [0.5, 0.5]) == answer_worth([0, 0], [0.5, 0.5]) == 1.0

    generator = np.random.default_rng(1)
    pir = generator.uniform(0.25, 0.75, 1000)
    image = np.repeat(np.arange(1000), 4)
    value = np.round(4 * np.clip(pir[image] + 0.2 * generator.standard_normal(4000), 0, 1)) / 4
    worth = answer_worth(image, value)
    assert 3 < worth < 6
    plain, better = (image_rates([4] * 1000, np.bincount(image, value), w) for w in (1.0, worth))
    assert plain.reliability < 0.5 < 0.6 < better.reliability < 0.75
    assert np.mean((better.low <= pir) & (pir <= better.high)) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize("counts", [([1], [2]), ([-1], [0]), ([1, 2], [1]), ([np.nan], [0]), ([2], [-1])])
def test_impossible_counts(counts):
    with pytest.raises(InputError, match="expected"):
        image_rates(*counts)
    with pytest.raises(InputError, match="worth"):
        image_rates([1], [1], worth=0)
