"""Tests of the e-process: an exact martingale, Ville's bound by brute force, and what is bet on."""

import itertools
import math

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.statistics.betting import LAMBDAS, block_bets, e_values

pytestmark = pytest.mark.filterwarnings("error")


def test_by_hand():
    assert e_values([1.0])[0] == pytest.approx(1 + np.mean(LAMBDAS))
    assert e_values([1.0, -0.5])[1] == pytest.approx(np.mean([(1 + s) * (1 - s / 2) for s in LAMBDAS]))
    assert e_values([]).shape == (0,)


def test_wealth_is_a_martingale_over_all_coins():
    # A mean rater's trick: the size of the next difference depends on how the bets went so far.
    coins = np.array(list(itertools.product((-1.0, 1.0), repeat=12)))
    x = np.empty_like(coins)
    for t in range(12):
        x[:, t] = coins[:, t] * np.where(x[:, :t].sum(axis=1) > 0, 1.0, 0.25 * (t % 5))
    e = e_values(x)
    assert e.mean(axis=0) == pytest.approx(np.ones(12), abs=1e-12)
    for alpha in (0.5, 0.1, 0.05):
        assert np.mean(e.max(axis=1) >= 1 / alpha) <= alpha


def test_never_infinite_and_one_sided():
    for x in (np.ones(100_000), -np.ones(100_000)):
        e = e_values(x)
        assert np.isfinite(e).all() and e.min() >= 0
    assert e_values(np.ones(100_000))[-1] == pytest.approx(math.exp(690))
    assert e_values(-np.ones(50))[-1] < 0.2


def test_blocks_by_hand():
    side = [0, 1, 0, 1, 0, 1]
    # Block 0 of rater 0: 1 (after) then 0 (before); block 0 of rater 1 is finished first; block 1 of rater 0 shows image 3 again.
    rater, image, block = [0, 1, 1, 0, 0, 0, 1], [1, 2, 3, 0, 3, 4, 5], [0, 0, 0, 0, 1, 1, 1]
    value = [1.0, 0.25, 0.5, 0.0, 1.0, 0.0, 1.0]
    assert block_bets(rater, image, value, side, block).tolist() == [0.25, 1.0]
    # Two images of one side are no bet, nor is half a block.
    assert block_bets([0, 0, 0], [0, 2, 1], [1, 0, 1], side, [0, 0, 1]).size == 0
    assert block_bets([], [], [], [], []).size == 0


def test_pairs_and_grids_are_blocks_of_one_place():
    side = [0, 1, 0, 1, 0]
    # A pair that the image after won, a grid of three before and after, and a pair whose image before was in the first.
    rater, image, block = [0, 0, 1, 1, 1, 0, 0], [0, 1, 2, 3, 4, 0, 3], [5, 5, 5, 5, 5, 6, 6]
    value = [0.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0]
    assert block_bets(rater, image, value, side, block).tolist() == [1.0, 0.5]


def test_an_image_seen_in_an_unfair_block_is_fresh_no_more():
    side, rater, image, block = [0, 1, 0, 1], [0, 0, 1, 1], [0, 3, 0, 1], [0, 0, 0, 0]
    assert block_bets(rater, image, [0, 1, 0, 1], side, block, [False, False, True, True]).size == 0
    assert block_bets(rater, [0, 3, 2, 1], [0, 1, 0, 1], side, block, [False, False, True, True]).tolist() == [1.0]


def test_only_first_answers_or_a_set_s_luck_is_learned():
    """Twenty images answered again and again by people who agree: betting on all answers would be wrong, on first ones is not."""
    generator = np.random.default_rng(1)
    all_answers, first_only = 0, 0
    for _ in range(300):
        pir, side = generator.random(20), np.repeat([0, 1], 10)
        image = np.stack([generator.integers(0, 10, 200), generator.integers(10, 20, 200)], axis=1)
        value = (generator.random((200, 2)) < pir[image]).astype(float)
        block = np.repeat(np.arange(200), 2)
        all_answers += e_values(value[:, 1] - value[:, 0]).max() >= 20
        x = block_bets(np.zeros(400, int), image.ravel(), value.ravel(), side, block)
        first_only += x.size > 0 and e_values(x).max() >= 20
    assert all_answers > 0.1 * 300 and first_only <= 0.05 * 300


@pytest.mark.parametrize("x", [[1.01], [-2.0], [math.nan]])
def test_bad_bets(x):
    with pytest.raises(InputError, match="expected -1 to 1"):
        e_values(x)
    with pytest.raises(InputError, match="block"):
        block_bets([0], [0], [1], [0], [0, 1])
