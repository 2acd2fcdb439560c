"""Draws with stated probabilities: each item's share of many draws is its probability, and their number is fixed."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.statistics.drawing import inclusion_probabilities, systematic_draw


def test_probabilities_are_proportional_up_to_one_and_sum_to_the_count():
    np.testing.assert_allclose(inclusion_probabilities([1, 2, 3, 4], 2), [0.2, 0.4, 0.6, 0.8])
    # 8 of 11 would have a chance of 16 / 11: it is sure, and the others share what is left.
    np.testing.assert_allclose(inclusion_probabilities([1, 2, 8], 2), [1 / 3, 2 / 3, 1])
    np.testing.assert_allclose(inclusion_probabilities([5, 0, 5], 2), [1, 0, 1])
    for size, count in (([1, 0], 2), ([1, np.nan], 1), ([1, -1, 1], 1)):
        with pytest.raises(InputError, match="draw fewer"):
            inclusion_probabilities(size, count)


def test_each_is_drawn_with_its_probability_and_as_many_as_asked_for():
    chance = inclusion_probabilities(np.arange(1, 21), 6)
    drawn = np.zeros(20)
    for seed in range(4000):
        rows = systematic_draw(chance, seed)
        assert len(set(rows.tolist())) == 6 and (np.diff(rows) > 0).all()
        drawn[rows] += 1
    spread = np.sqrt(chance * (1 - chance) / 4000)
    assert np.all(np.abs(drawn / 4000 - chance) < 4.5 * spread)
