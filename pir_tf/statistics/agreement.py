"""How far raters agree: Krippendorff's alpha, and how well one person predicts the others.

The second tells how much of a rate is taste that people share. It is no mark for an estimator whose ranks are compared with the
rates of other images: a mean of many raters has less noise than the rate of an image with an answer or two. Of an image that a
rater answered twice the first answer counts.

Arrays are `rater` int [m], `image` int [m] and `value` float [m] in [0, 1], in server order; others raise an `InputError`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pir_tf.statistics.rates import check_answers


def _first_of_each(rater: ArrayLike, image: ArrayLike, value: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first answer of each rater to each image, and only images with answers of two raters."""
    raters, images, values = check_answers(rater, image, value)
    if not values.size:
        return raters, images, values
    first = np.sort(np.unique(np.stack([raters, images]), axis=1, return_index=True)[1])
    raters, images, values = raters[first], images[first], values[first]
    shared = np.bincount(images)[images] > 1
    return raters[shared], images[shared], values[shared]


def krippendorff_alpha(rater: ArrayLike, image: ArrayLike, value: ArrayLike) -> float | None:
    """Krippendorff's alpha: 1 - observed disagreement / disagreement expected by chance.

    Disagreement of two values is their squared difference (its level `interval`).

    Returns:
        1 for perfect agreement, 0 for chance, below 0 for less; `None` where no image has two raters or all values are equal.

    Source: Krippendorff, Computing Krippendorff's alpha-reliability (2011).
    """
    _, images, values = _first_of_each(rater, image, value)
    if not values.size or np.ptp(values) == 0:
        return None
    _, unit = np.unique(images, return_inverse=True)
    size = np.bincount(unit)
    # Sums over ordered pairs of different answers, in each image and in all.
    centred = values - values.mean()
    within = 2 * (size * np.bincount(unit, centred**2) - np.bincount(unit, centred) ** 2)
    overall = 2 * values.size * np.sum(centred**2)
    observed = np.sum(within / (size - 1)) / values.size
    return float(1 - observed / (overall / (values.size * (values.size - 1))))


def one_predicts_the_others(rater: ArrayLike, image: ArrayLike, value: ArrayLike) -> float | None:
    """Correlation of a rater's answers with the mean of the others' on the same images.

    Both are taken about the rater's own means, so that leniency counts neither for nor against, and pooled over raters:
    r = sum x y / sqrt(sum x^2 sum y^2).

    Returns:
        r in [-1, 1]; `None` where no two raters share two images, or one of the two never varies.
    """
    raters, images, values = _first_of_each(rater, image, value)
    if not values.size:
        return None
    counts, sums = np.bincount(images), np.bincount(images, values)
    others = (sums[images] - values) / (counts[images] - 1)
    size = np.bincount(raters)[raters]
    x = values - np.bincount(raters, values)[raters] / size
    y = others - np.bincount(raters, others)[raters] / size
    scale = np.sum(x**2) * np.sum(y**2)
    return None if scale < 1e-18 else float(np.clip(np.sum(x * y) / np.sqrt(scale), -1, 1))


def rank_correlation(predicted: ArrayLike, observed: ArrayLike) -> float | None:
    """Spearman's correlation of n predictions with what came of them, in [-1, 1], over those that are there.

    Args:
        predicted: `[n]`, NaN where there is none.
        observed: `[n]`, likewise.

    Returns:
        None with fewer than three predictions, or where either side is all alike.
    """
    said, came = np.asarray(predicted, float), np.asarray(observed, float)
    there = np.isfinite(said) & np.isfinite(came)
    said, came = said[there], came[there]
    if said.size < 3 or not np.ptp(said) or not np.ptp(came):
        return None
    return float(stats.spearmanr(said, came).statistic)
