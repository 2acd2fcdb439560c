"""PIR of each image from few answers, with an interval, and how reliable a set of observed PIRs is. For display.

Ten answers say little about one image, but a thousand images say how PIRs spread. Empirical Bayes takes that spread as the
prior Beta(m s, (1 - m) s) of each image's PIR, so that its posterior is Beta(m s + k, (1 - m) s + n - k) for k positives of n.
The estimator is trained on raw counts: an estimate that leans on the other images would be leaned on twice.

Prior mean m and correlation r = 1 / (1 + s) maximise the beta-binomial likelihood times m (1 - m) r^(1/2) (1 - r), a weak prior
that keeps both off their edges: with images that all agree, likelihood alone has r = 0 and intervals of no width (Chung et al.,
2013). Without any answer the maximum is m = 1/2, r = 1/3, the uniform distribution. What is left out is the uncertainty of m
and r: with three images or fewer the intervals are somewhat narrow.

Positives may be fractions (ratings, ties). Such an answer says more than a like, and `worth` says how much.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special, stats

from pir_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class ImageRates:
    """PIRs of n images.

    Attributes:
        pir: Posterior means, float64 [n] in [0, 1].
        low, high: 95% intervals, float64 [n] in [0, 1]; low <= pir <= high.
        mean: Mean of the fitted prior.
        sd: Its standard deviation: how far noise-free PIRs lie apart.
        reliability: Share of the variance of observed rates that is between images, in [0, 1], by maximum likelihood
            without the weak prior; `None` with fewer than two images, no image with more than one impression, or no spread.
    """

    pir: np.ndarray
    low: np.ndarray
    high: np.ndarray
    mean: float
    sd: float
    reliability: float | None


def check_answers(rater: ArrayLike, image: ArrayLike, value: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Answers as int, int and float64 arrays of one length [m].

    Raises:
        InputError: Other shapes, a rater or image below 0, or a value outside [0, 1].
    """
    raters, images, values = np.asarray(rater), np.asarray(image), np.asarray(value, dtype=np.float64)
    if raters.ndim != 1 or not raters.shape == images.shape == values.shape:
        shapes = f"{raters.shape}, {images.shape} and {values.shape}"
        raise InputError(f"answers: received shapes {shapes}, expected [m] three times: give each answer one of each.")
    for name, ids in (("rater", raters), ("image", images)):
        if ids.size and not (np.issubdtype(ids.dtype, np.integer) and ids.min() >= 0):
            raise InputError(f"answers: received {ids[:3]} as {name}, expected whole numbers from 0: number them.")
    bad = np.flatnonzero(~((values >= 0) & (values <= 1)))
    if bad.size:
        raise InputError(f"answers: received the value {values[bad[0]]} at {bad[0]}, expected 0 to 1: rescale answers.")
    return raters.astype(np.int64), images.astype(np.int64), values


def answer_worth(image: ArrayLike, value: ArrayLike) -> float:
    """How many likes or dislikes one answer is worth: their variance within an image over that of these answers.

    For answers of an image with PIR p, E[value (1 - value)] = p (1 - p) - variance, so the ratio is 1 + E[value (1 - value)]
    / variance: exactly 1 for zeros and ones, 3 or 4 for ratings of 1 to 5. 1.0 where no image has two answers, or all agree.
    """
    _, images, values = check_answers(np.zeros(np.shape(image), np.int64), image, value)
    if not values.size:
        return 1.0
    counts = np.bincount(images)
    means = np.bincount(images, values) / np.maximum(counts, 1)
    shared = counts[images] > 1
    squares = float(np.sum((values - means[images])[shared] ** 2))
    freedom = int(shared.sum() - np.sum(counts > 1))
    if freedom < 1 or squares < 1e-12:
        return 1.0
    return 1.0 + float(np.mean((values * (1 - values))[shared])) * freedom / squares


def image_rates(impressions: ArrayLike, positives: ArrayLike, worth: float = 1.0) -> ImageRates:
    """Empirical Bayes PIRs with 95% intervals.

    Args:
        impressions: Answers of each image, [n], at least 0.
        positives: Their sum of values in [0, 1], [n], between 0 and `impressions`; may be fractions.
        worth: Of `answer_worth`. At 1 intervals are wide, not wrong, where answers are fractions.

    Raises:
        InputError: Other shapes or ranges.
    """
    n, k = np.asarray(impressions, dtype=np.float64), np.asarray(positives, dtype=np.float64)
    if n.ndim != 1 or n.shape != k.shape:
        raise InputError(f"rates: received shapes {n.shape} and {k.shape}, expected [n] twice: give each image both.")
    bad = np.flatnonzero(~(np.isfinite(n) & (k >= 0) & (k <= n + 1e-9)))
    if bad.size:
        raise InputError(
            f"rates: received {k[bad[0]]} positives of {n[bad[0]]} impressions at {bad[0]}, expected 0 <= positives <= "
            "impressions: check the counts."
        )
    if not (math.isfinite(worth) and worth > 0):
        raise InputError(f"worth: received {worth}, expected a number above 0: take 1.")
    used, k = n * worth, np.minimum(k, n) * worth
    pairs, weights = np.unique(np.stack([used, k], axis=1)[n > 0], axis=0, return_counts=True)

    def likelihood(mean: float, correlation: float) -> float:
        trials, likes = pairs.T
        if correlation < 1e-9:
            return float(weights @ (special.xlogy(likes, mean) + special.xlogy(trials - likes, 1 - mean)))
        total = 1 / correlation - 1
        a, b = mean * total, (1 - mean) * total
        return float(weights @ (special.betaln(a + likes, b + trials - likes) - special.betaln(a, b)))

    def fit(weak: float) -> np.ndarray:
        """Mean and correlation at the maximum, with the weak prior (1) or without (0)."""

        def loss(point: np.ndarray) -> float:
            m, r = special.expit(point)
            prior = math.log(m) + math.log1p(-m) + 0.5 * math.log(r) + math.log1p(-r)
            return -likelihood(m, r) - weak * prior

        start = [special.logit((k.sum() + 1) / (used.sum() + 2)), special.logit(1 / 3)]
        return special.expit(optimize.minimize(loss, start, method="L-BFGS-B", bounds=[(-12, 12), (-12, 12)]).x)

    mean, correlation = fit(1.0)
    total = 1 / correlation - 1
    a, b = mean * total + k, (1 - mean) * total + used - k
    pir = a / (a + b)
    low, high = np.minimum(stats.beta.ppf(0.025, a, b), pir), np.maximum(stats.beta.ppf(0.975, a, b), pir)

    reliability = None
    shown = used[n > 0]
    if shown.size > 1 and n.max() > 1 and 0 < k.sum() < used.sum():
        likeliest, between = fit(0.0)
        pooled = float(k.sum() / used.sum())
        between = between if likelihood(likeliest, between) > likelihood(pooled, 0.0) + 1e-6 else 0.0
        reliability = float(between / (between + (1 - between) * np.mean(1 / shown)))
    return ImageRates(pir, low, high, float(mean), math.sqrt(mean * (1 - mean) * correlation), reliability)
