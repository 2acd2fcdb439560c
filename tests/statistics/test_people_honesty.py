"""Whole studies at the level of statistics: false alarms when tuning changed nothing, power when it did."""

import math

import numpy as np
import pytest
from scipy import stats

from pir_tf.statistics.betting import block_bets, e_values, needed
from pir_tf.statistics.effects import welch_t
from pir_tf.statistics.pairs import prove_pairs
from pir_tf.statistics.proof import image_values, prove

pytestmark = [pytest.mark.filterwarnings("error"), pytest.mark.slow]


def study(
    generator, raters=12, each=84, images=408, d=0.0, sd=0.2, taste=0.2, lenient=0.2, order="blocks", groups=None
):
    """One study of likes, raters answering in turns.

    Args:
        images: Of each side. PIRs are normal about 1/2 with `sd`, `d` apart; each rater's taste about each image is normal about
            that with `taste` (shared in `groups`), leniency as well; chances to like are cut to [0, 1].
        order: "blocks": images are paired once, and raters walk the list of pairs round and round, so each comes to several
            raters; "any": each rater sees images of each side at random.
    """
    side, half = np.repeat([0, 1], images), each // 2
    pir = 0.5 + sd * generator.standard_normal(2 * images) + d * sd * (side - 0.5)
    if order == "blocks":
        turn = np.arange(raters * half)  # nobody sees an image twice: the second time round the next rater takes it
        who = (turn + turn // images) % raters
        before = (turn % images)[np.argsort(who, kind="stable")].reshape(raters, half)
        after = before + images
    else:
        before = np.argsort(generator.random((raters, images)), axis=1)[:, :half]
        after = images + np.argsort(generator.random((raters, images)), axis=1)[:, :half]
    coin = generator.random((raters, half)) < 0.5
    image = np.stack([np.where(coin, after, before), np.where(coin, before, after)], axis=2).reshape(raters, 2 * half)
    tastes = taste * generator.standard_normal((groups or raters, 2 * images))[np.arange(raters) % (groups or raters)]
    chance = pir[image] + np.take_along_axis(tastes, image, axis=1) + lenient * generator.standard_normal((raters, 1))
    value = (generator.random(image.shape) < chance).astype(float)
    rater, block = np.broadcast_arrays(np.arange(raters)[:, None], np.arange(2 * half) // 2)
    return tuple(array.T.ravel() for array in (rater, image, value)) + (side, block.T.ravel())


def outcomes(studies, **settings):
    """Of each study Welch's p, and the most that its e-process ever reaches, read after every answer."""
    generator, sides, most = np.random.default_rng(0), [], []
    for _ in range(studies):
        rater, image, value, side, block = study(generator, **settings)
        sides.append(image_values(rater, image, value, side))
        most.append(e_values(block_bets(rater, image, value, side, block)).max(initial=1.0))
    # What welch_t computes, for all studies at once.
    count = np.array([[one.size for one in both] for both in sides])
    square = np.array([[one.var(ddof=1) for one in both] for both in sides]) / count
    t = np.array([after.mean() - before.mean() for before, after in sides]) / np.sqrt(square.sum(axis=1))
    p = 2 * stats.t.sf(np.abs(t), square.sum(axis=1) ** 2 / (square**2 / (count - 1)).sum(axis=1))
    for i in range(3):
        assert p[i] == pytest.approx(welch_t(*sides[i])[2])
    return p, np.array(most)


def alarms(found, alpha):
    """Shares of studies that Welch calls at alpha, and whose e-process reaches 1 / alpha."""
    p, most = found
    return np.mean(p < alpha), np.mean(most >= 1 / alpha)


NULL = [
    ("as planned", 2000, {}),
    ("tastes and leniency strong", 500, {"taste": 0.5, "lenient": 0.4}),
    ("images chosen at random", 500, {"order": "any"}),
    ("two groups of tastes, few images", 500, {"groups": 2, "taste": 0.4, "images": 60, "order": "any"}),
    ("two raters, the same images", 500, {"raters": 2, "each": 200, "images": 100}),
    ("each image to one rater, ten answers each", 500, {"raters": 50, "each": 10, "images": 250}),
    ("each image to one rater, two answers each", 500, {"raters": 200, "each": 2, "images": 200}),
    ("ten answers each, images shared by many", 500, {"raters": 60, "each": 10, "images": 60, "order": "any"}),
    ("two answers each, images shared by many", 500, {"raters": 300, "each": 2, "images": 50, "order": "any"}),
]


@pytest.mark.parametrize(("studies", "settings"), [row[1:] for row in NULL], ids=[row[0] for row in NULL])
def test_false_alarms_stay_within_alpha(studies, settings):
    alpha = 0.05
    bound = alpha + 3 * math.sqrt(alpha * (1 - alpha) / studies)
    welch, betting = alarms(outcomes(studies, **settings), alpha)
    assert welch <= bound and betting <= bound


def test_false_alarms_of_pairs_stay_within_alpha():
    """Raters' own leanings to a side of the screen, to ties and to kinds of image; pairs shown to two raters each."""
    generator, alpha, studies, called, betting = np.random.default_rng(0), 0.05, 2000, 0, 0
    for _ in range(studies):
        rater, pair = np.tile(np.arange(10), 60), np.arange(600) // 2
        gap = np.repeat(generator.normal(0, 0.3, 300), 2) + generator.normal(
            0, 0.4, 600
        )  # after less before, as each rater sees it
        left = np.where(generator.random(600) < 0.5, 1, -1) * generator.normal(0.2, 0.3, 10)[rater]
        win = np.where(np.abs(gap + left) < 0.1, 0.5, gap + left > 0).astype(float)
        called += prove_pairs(rater, pair, win).p < alpha
        betting += e_values(2 * win[::2] - 1).max() >= 1 / alpha
    bound = alpha + 3 * math.sqrt(alpha * (1 - alpha) / studies)
    assert called / studies <= bound and betting / studies <= bound


def test_false_gains_of_a_study_that_may_end_early_stay_within_alpha():
    """By its evidence at any time or, where that isn't reached, by the test at its size."""
    alpha, studies = 0.05, 2000
    generator, gains = np.random.default_rng(0), 0
    for _ in range(studies):
        rater, image, value, side, block = study(generator, raters=10, each=40, images=160)
        t, _, p = welch_t(*image_values(rater, image, value, side))
        early = e_values(block_bets(rater, image, value, side, block)).max() >= needed(alpha)
        gains += early or (p < alpha and t > 0)
    assert gains / studies <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / studies)


def test_a_thousand_answers_see_d_of_1():
    found = outcomes(100, d=1.0)
    for alpha in (0.001, 0.05):
        welch, betting = alarms(found, alpha)
        assert welch > 0.9 and betting > 0.75


def test_people_of_two_minds_are_seen_by_the_rater_interval_alone():
    """Half of the people like the change, half dislike it: for these raters there may be a gain, for others not."""
    generator, welch, outside = np.random.default_rng(0), 0, 0
    for _ in range(40):
        rater, image, value, side, _ = study(generator, taste=0.0, images=252)
        leaning = 0.3 * generator.standard_normal(12)[rater] * (2 * side[image] - 1)
        value = np.where(generator.random(value.size) < np.abs(leaning), leaning > 0, value).astype(float)
        proof = prove(rater, image, value, side)
        welch += proof.p < 0.05
        outside += not proof.rater_interval[0] <= 0 <= proof.rater_interval[1]
    assert welch > 12 and outside <= 6
