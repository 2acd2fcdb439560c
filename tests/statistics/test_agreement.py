"""Tests of agreement: published values of Krippendorff's alpha, and correlations worked by hand."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.statistics.agreement import krippendorff_alpha, one_predicts_the_others, rank_correlation

pytestmark = pytest.mark.filterwarnings("error")

# Krippendorff (2011), part C: four observers, twelve units, values 1 to 5.
PUBLISHED = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]


def published():
    rows = [
        (rater, image, (int(mark) - 1) / 4)
        for rater, line in enumerate(PUBLISHED)
        for image, mark in enumerate(line)
        if mark != "."
    ]
    return [np.array(column) for column in zip(*rows, strict=True)]


def test_published_example():
    assert krippendorff_alpha(*published()) == pytest.approx(0.849, abs=5e-4)


def test_two_raters_by_hand():
    # Part A of the same paper: two observers, ten units, zeros and ones; alpha is 0.095.
    a, b = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    rater, image = [0] * 10 + [1] * 10, list(range(10)) * 2
    assert krippendorff_alpha(rater, image, a + b) == pytest.approx(1 - 4 / 10 * 19 / (2 * 6 * 14 / 20), abs=1e-9)
    assert krippendorff_alpha(rater, image, a + a) == pytest.approx(1)


def test_second_answers_of_a_rater_and_lone_images_do_not_count():
    rater, image, value = published()
    more = np.r_[rater, 0, 1], np.r_[image, 0, 50], np.r_[value, 1.0, 0.3]
    assert krippendorff_alpha(*more) == krippendorff_alpha(rater, image, value)
    assert one_predicts_the_others(*more) == one_predicts_the_others(rater, image, value)


def test_one_predicts_the_others_by_hand():
    # Two raters, one more lenient: their answers less their means are (-1, 0, 1) / 3 and (-1, 1, 0) / 3: r = 1/2.
    rater, image = [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]
    assert one_predicts_the_others(rater, image, [0, 1 / 3, 2 / 3, 1 / 3, 1, 2 / 3]) == pytest.approx(0.5)
    assert one_predicts_the_others(rater, image, [0, 0.1, 0.2, 0.8, 0.9, 1]) == pytest.approx(1)
    assert one_predicts_the_others(rater, image, [0, 0.1, 0.2, 1, 0.9, 0.8]) == pytest.approx(-1)


def test_what_does_not_exist_is_none_and_chance_is_zero():
    for rater, image, value in (([], [], []), ([0, 0], [0, 1], [0, 1]), ([0, 1], [0, 0], [1, 1])):
        assert krippendorff_alpha(rater, image, value) is None
        assert one_predicts_the_others(rater, image, value) is None
    generator = np.random.default_rng(0)
    rater, image = np.repeat(np.arange(5), 1000), np.tile(np.arange(1000), 5)
    value = generator.integers(0, 2, 5000)
    assert krippendorff_alpha(rater, image, value) == pytest.approx(0, abs=0.04)
    assert one_predicts_the_others(rater, image, value) == pytest.approx(0, abs=0.05)


def test_ranks_are_of_those_that_both_have():
    assert rank_correlation([0.1, 0.2, np.nan, 0.3, 0.4], [0.2, np.nan, 0.1, 0.4, 0.5]) == pytest.approx(1.0)


def test_bad_input():
    with pytest.raises(InputError, match="value 1.5"):
        krippendorff_alpha([0], [0], [1.5])
    with pytest.raises(InputError, match="shapes"):
        one_predicts_the_others([0, 1], [0], [1, 1])
    with pytest.raises(InputError, match="as rater"):
        one_predicts_the_others([-1], [0], [1])
