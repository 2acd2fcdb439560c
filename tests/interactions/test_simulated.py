"""Tests of the simulated users: the binomial's moments, seeds, the ends, and what is refused."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.interactions.records import Interactions
from pir_tf.interactions.simulated import simulate


def draw(pir, impressions=1000, seed=0, **changes):
    n = len(np.atleast_1d(pir))
    columns = {"image_ids": [f"i{k}" for k in range(n)], "class_index": np.zeros(n, int)}
    return simulate(pir, impressions=impressions, seed=seed, **{**columns, **changes})


@pytest.mark.parametrize("p", [0.01, 0.3, 0.9])
def test_moments_are_binomial(p):
    n, impressions = 20_000, 1000
    positives = draw(np.full(n, p), impressions, seed=1).positives
    variance = impressions * p * (1 - p)
    assert abs(positives.mean() - impressions * p) < 4 * np.sqrt(variance / n)
    spread = positives.var(ddof=1) / variance
    assert abs(spread - 1) < 4 * np.sqrt(2 / n) * 1.1  # 1.1: somewhat heavier than normal tails


def test_all_columns_and_the_ends_are_certain():
    found = draw([0.0, 1.0], 50, image_ids=["x", "y"], class_index=[1, 0], round=2)
    assert found == Interactions(["x", "y"], [1, 0], [50, 50], [0, 50], round=2)
    np.testing.assert_array_equal(draw([0.2, 0.8]).round, [1, 1])


def test_same_seed_same_positives_and_the_global_generator_untouched():
    pir, before = np.linspace(0, 1, 100), np.random.get_state()[1].tolist()
    assert draw(pir, seed=5) == draw(pir, seed=5) != draw(pir, seed=6)
    assert np.random.get_state()[1].tolist() == before


def test_images_are_independent():
    positives = draw(np.full(20_000, 0.5), 100).positives
    assert abs(np.corrcoef(positives[:-1], positives[1:])[0, 1]) < 4 / np.sqrt(20_000)


@pytest.mark.parametrize(
    ("pir", "changes", "words"),
    [
        *(([0.5, x], {}, f"Row 2 has the PIR {x:g}") for x in (-0.1, 1.1, np.nan, np.inf)),
        (0.5, {}, "shape ()"),
        ([[0.5, 0.5]], {}, "shape (1, 2)"),
        *(([0.5, 0.5], {"impressions": x}, f"impressions is {x!r}") for x in (0, -3, 10.5, True)),
        *(([0.5, 0.5], {"seed": x}, f"seed is {x!r}") for x in (None, -1)),
        ([0.5, 0.5], {"round": -1}, "round -1"),
        ([0.5, 0.5], {"image_ids": ["a", "a"]}, "Row 2 repeats the image_id 'a'"),
        ([0.5, 0.5], {"image_ids": ["a"]}, "class_index has shape (2,) beside 1 image ids"),
        ([0.5, 0.5], {"image_ids": ["a", "b", "c"], "class_index": [0, 0, 0]}, "impressions has shape (2,)"),
    ],
)
def test_wrong_arguments_are_named(pir, changes, words):
    with pytest.raises(InputError) as error:
        draw(pir, **changes)
    assert words in str(error.value) and "expected" in str(error.value)
