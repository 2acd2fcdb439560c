"""The verdict with people: are images from after tuning liked more than those from before, and by how much?

The unit of the test is the image, as in `effects.py`: its PIR is the mean of its answers, each less its rater's own level, plus
the mean of all levels. A level is a rater's mean at equally many images of both sides: value = level + gain after tuning, by
least squares. Who saw one side alone has none, is left out, and the sentence says so. Centring takes out how freely a rater
says yes. It also takes spread out of the images' values: with m
answers of R raters, q = R / m and k answers an image, the images' own variance is multiplied by (1 - q) (1 - q + q / k), the
noise's by 1 - q. With few answers a rater that matters (at k = 1 alpha 0.05 is 0.06 at 10 answers each, 0.17 at 2), so
deviations are stretched by the root of the first. Sides lie half and half within each rater, in random order.

What the test covers: fresh images of both generators, for these raters. If people were of two minds about the change, half for
it and half against, another ten of them could say otherwise: that is the rater-level interval, over each rater's own after
minus before. Where it doesn't exclude no change, and under TEN_RATERS, which make it too wide to lean on, the sentence says
"for these raters".

An image of one to three answers has a noisy PIR, whose spread makes d small. d / sqrt(reliability) is the d of noise-free PIRs
of the average rater, where reliability is the share of the variance of images' values, within a side, that isn't noise of
answers. Only images that several raters answered tell how large that noise is: what the answers to one image differ by, after
centring, is (1 - q) noise and q (1 - q) of the images' own variance, from the other images in each rater's level.

A study that ended at its evidence, before its size, has no valid p of a test made then: p is 1 / e of the largest e-value, which
holds whenever one stops (`betting.py`).
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

from pir_tf.errors import InputError
from pir_tf.statistics.betting import needed
from pir_tf.statistics.claim import (
    Interval,
    claim,
    of_others_too,
    p_in_words,
    p_of_evidence,
    people,
    size_of,
    span,
    t_interval,
)
from pir_tf.statistics.closing import EARLY, FULL
from pir_tf.statistics.effects import ALPHA, Verdict, change_interval, cohens_d, cohens_d_interval, verdict, welch_t
from pir_tf.statistics.pairs import PairProof, prove_pairs
from pir_tf.statistics.rates import check_answers

COUNTED = {"like": 1, "rating": 1, "pair": 1, "grid": 9}
"""What a proof counts for one answer: in a grid each of nine images is liked or not."""
LEAST_RELIABILITY = 0.05
"""Below it d would be multiplied by more than 4.5, and isn't corrected; in the bootstrap it ends the interval there."""
REPLICATES = 1000


@dataclasses.dataclass(frozen=True)
class Proof:
    """What the answers to single images prove; numbers that do not exist are `None`.

    Attributes:
        verdict: Of `effects.verdict`, without a look at diversity; "not measured yet" below the size set before.
        sentence: The result in one sentence.
        answers: How many there are, at most as many as were planned.
        raters, images_before, images_after: What it stands on: raters who saw both sides, and the images that they saw.
        before, after: Mean rater-centred PIR of the images.
        change, change_interval: After less before, with Welch's 95% interval.
        by_evidence: Whether the evidence ended the study: p is of that then, and there is no t.
        t: Of Welch's test.
        p: Of Welch's test, two-sided, or of the evidence; `None` below the size set before.
        d, d_interval: Cohen's d of the images' values as observed, with its 95% interval (delta method).
        reliability: Share of these values' variance within a side that isn't noise of answers, in [0, 1].
        d_corrected, d_corrected_interval: d / sqrt(reliability), with a 95% bootstrap interval over images.
        rater_change, rater_interval: Mean over raters of their own after less before, with its 95% t interval.
    """

    verdict: Verdict
    sentence: str
    answers: int
    raters: int
    images_before: int
    images_after: int
    before: float | None
    after: float | None
    change: float | None
    change_interval: Interval
    by_evidence: bool
    t: float | None
    p: float | None
    d: float | None
    d_interval: Interval
    reliability: float | None
    d_corrected: float | None
    d_corrected_interval: Interval
    rater_change: float | None
    rater_interval: Interval


def rater_centred(rater: np.ndarray, value: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Each answer less its rater's level, plus the mean of all answers' levels; [m], may lie outside [0, 1].

    Levels are found beside the gain within raters, or who saw two images after and one before would pass for lenient.
    """
    counts = np.maximum(np.bincount(rater), 1)
    within = side - (np.bincount(rater, side) / counts)[rater]
    gain = float(within @ value) / max(float(within @ within), np.finfo(float).tiny)
    level = (np.bincount(rater, value - gain * (side - 0.5)) / counts)[rater]
    return value - level + level.mean()


def of_both_sides(rater: np.ndarray, side: np.ndarray) -> np.ndarray:
    """Which answers are of raters who saw images from before and from after, bool [m]."""
    seen = [np.bincount(rater[side == one], minlength=int(rater.max(initial=-1)) + 1) > 0 for one in (0, 1)]
    return (seen[0] & seen[1])[rater]


def image_values(
    rater: ArrayLike, image: ArrayLike, value: ArrayLike, side: ArrayLike
) -> tuple[np.ndarray, np.ndarray]:
    """Rater-centred PIR of each answered image, before and after, stretched about each side's mean as said above.

    Returns:
        float64 [n0] and [n1], what Welch's test takes; both empty where no rater saw both sides.
    """
    raters, images, values, sides = _checked(rater, image, value, side)
    both = of_both_sides(raters, sides[images])
    raters, images, values = raters[both], images[both], values[both]
    if not values.size:
        return np.empty(0), np.empty(0)
    counts = np.bincount(images, minlength=sides.size)
    stretch = math.sqrt(_stretched(raters, counts))
    means = np.bincount(images, rater_centred(raters, values, sides[images]), minlength=sides.size) / np.maximum(
        counts, 1
    )
    before, after = means[(counts > 0) & (sides == 0)], means[(counts > 0) & (sides == 1)]
    if not (before.size and after.size):
        return before, after
    return before.mean() + stretch * (before - before.mean()), after.mean() + stretch * (after - after.mean())


def _stretched(raters: np.ndarray, counts: np.ndarray) -> float:
    """What the variance of images' values is to be multiplied by, for the spread that centring took."""
    q = np.unique(raters).size / raters.size
    return float(1 / ((1 - q) * (1 - q + q * np.sum(counts > 0) / raters.size)))


def _checked(
    rater: ArrayLike, image: ArrayLike, value: ArrayLike, side: ArrayLike
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    raters, images, values = check_answers(rater, image, value)
    sides = np.asarray(side)
    if sides.ndim != 1 or not np.isin(sides, (0, 1)).all() or (images.size and images.max() >= sides.size):
        raise InputError(
            f"side: received shape {sides.shape} for images up to {images.max(initial=-1)}, expected 0 (before) or 1 (after) for "
            "each image: give one number per image."
        )
    return raters, images, values, sides.astype(np.int64)


def prove(
    rater: ArrayLike,
    image: ArrayLike,
    value: ArrayLike,
    side: ArrayLike,
    *,
    planned: int | None = None,
    alpha: float = ALPHA,
    evidence: float | None = None,
) -> Proof:
    """The verdict from answers to single images (like, rating, each cell of a grid).

    Args:
        rater, image, value: The answers [m] in server order, values in [0, 1]; repeats left out.
        side: 0 before, 1 after, of each image, [n].
        planned: Number of answers set before the study: with fewer there is no verdict yet, of more the first so many
            count. Looking again and again until p is small would find a gain in nothing. `None`: all, as they are.
        alpha: Significance threshold.
        evidence: The largest e-value of a study that ended at it, for a gain; None where it ended otherwise.

    Source: section 4.
    Deviation: D12.
    """
    raters, images, values, sides = _checked(rater, image, value, side)
    size = size_of(values.size, planned)
    raters, images, values = raters[:size], images[:size], values[:size]
    both = of_both_sides(raters, sides[images])
    alone, raters, images, values = np.unique(raters[~both]).size, raters[both], images[both], values[both]
    before, after = image_values(raters, images, values, sides)
    welch, d = welch_t(before, after), cohens_d(before, after)
    t, p = (None, None) if welch is None else (welch[0], welch[2])
    change = float(after.mean() - before.mean()) if before.size and after.size else None
    if evidence is not None and change is not None:
        t, p = None, p_of_evidence(evidence, change)
    reliability, corrected, corrected_interval = _corrected(raters, images, values, sides)
    rater_change, rater_interval = _rater_level(raters, values, sides[images])
    short = planned is not None and size < planned
    # Of images that are all alike there is no d, but evidence: its sign is the change's.
    sign = change if d is None and p is not None else d
    outcome: Verdict = "undefined" if change is None else verdict(change, sign, p, distance_ratios=None, alpha=alpha)
    outcome = "not measured yet" if short else outcome
    number = np.unique(raters).size
    shown = np.bincount(sides[np.unique(images)], minlength=2)
    on = f"{values.size} answers of {people(number)} to {shown[0]} + {shown[1]} images"
    left = f" ({people(alone)} who saw one side alone left out)" if alone else ""
    if change is None or p is None:
        sentence = f"No result: {on} don't give two images of each side, raters who saw both, and a spread{left}."
    else:
        effect = "no d, as the images of a side are all alike"
        noise_free = (
            ", not corrected for noise, as too few images have two answers"
            if reliability is None
            else ", too noisy to correct"
        )
        if corrected is not None:
            noise_free = f", {corrected:.2f}{span(corrected_interval)} corrected for noise"
        if d is not None:
            effect = f"d {d:.2f}{span(cohens_d_interval(before, after))}{noise_free}"
        sentence = (
            f"{claim(outcome, of_others_too(outcome, number, rater_interval, 0.0), size, planned)}: PIR {before.mean():.3f} "
            f"before and {after.mean():.3f} after, {effect}, "
            f"{p_in_words(p, evidence, None if short else alpha)}; {on}{left}."
        )
    return Proof(
        verdict=outcome,
        sentence=sentence,
        answers=size,
        raters=number,
        images_before=int(shown[0]),
        images_after=int(shown[1]),
        before=float(before.mean()) if before.size else None,
        after=float(after.mean()) if after.size else None,
        change=change,
        change_interval=change_interval(before, after),
        by_evidence=evidence is not None,
        t=None if short else t,
        p=None if short else p,
        d=d,
        d_interval=cohens_d_interval(before, after),
        reliability=reliability,
        d_corrected=corrected,
        d_corrected_interval=corrected_interval,
        rater_change=rater_change,
        rater_interval=rater_interval,
    )


def _corrected(
    raters: np.ndarray, images: np.ndarray, values: np.ndarray, sides: np.ndarray
) -> tuple[float | None, float | None, Interval]:
    """Reliability of images' values, d corrected by it, and a percentile interval from resampling the images of each side."""
    if not values.size:
        return None, None, None
    centred = rater_centred(raters, values, sides[images])
    counts = np.bincount(images, minlength=sides.size)
    means = np.bincount(images, centred, minlength=sides.size) / np.maximum(counts, 1)
    squares = np.bincount(images, (centred - means[images]) ** 2, minlength=sides.size)
    shown = [np.flatnonzero((counts > 0) & (sides == s)) for s in (0, 1)]
    if min(len(rows) for rows in shown) < 2 or not np.any(counts > 1):
        return None, None, None
    generator = np.random.default_rng(0)
    change, spread, noise, noise_freedom, share = np.zeros((5, REPLICATES + 1))
    total = len(shown[0]) + len(shown[1])
    for rows, sign in zip(shown, (-1.0, 1.0), strict=True):
        n = len(rows)
        # The first row of weights is the sample itself.
        weights = np.vstack([np.ones(n), generator.multinomial(n, np.full(n, 1 / n), size=REPLICATES)])
        mean = weights @ means[rows] / n
        change += sign * mean
        spread += (weights @ means[rows] ** 2 - n * mean**2) / (total - 2)
        noise += weights @ squares[rows]
        noise_freedom += weights @ (counts[rows] - 1.0)
        share += weights @ (1 / counts[rows]) / total
    q, stretched = np.unique(raters).size / raters.size, _stretched(raters, counts)
    with np.errstate(divide="ignore", invalid="ignore"):
        # spread less that is s^2 (1 - q)^2 for images of variance s^2, of which spread itself has s^2 / stretched.
        reliability = np.clip((1 - noise / noise_freedom * share / spread) / ((1 - q) ** 2 * stretched), 0, 1)
        d = change / np.sqrt(spread * stretched * np.maximum(reliability, LEAST_RELIABILITY))
    if not np.isfinite(reliability[0]):
        return None, None, None
    if reliability[0] < LEAST_RELIABILITY:
        return float(reliability[0]), None, None
    low, high = np.quantile(d[np.isfinite(d)], (0.025, 0.975))
    return float(reliability[0]), float(d[0]), (min(float(low), float(d[0])), max(float(high), float(d[0])))


def _rater_level(raters: np.ndarray, values: np.ndarray, side: np.ndarray) -> tuple[float | None, Interval]:
    """Mean and 95% t interval of each rater's after less before, of raters who saw both."""
    most = int(raters.max(initial=0)) + 1
    counts = [np.bincount(raters[side == s], minlength=most) for s in (0, 1)]
    sums = [np.bincount(raters[side == s], values[side == s], minlength=most) for s in (0, 1)]
    both = (counts[0] > 0) & (counts[1] > 0)
    gains = sums[1][both] / counts[1][both] - sums[0][both] / counts[0][both]
    if not gains.size:
        return None, None
    return float(gains.mean()), t_interval(float(gains.mean()), gains - gains.mean(), gains.size)


def prove_study(
    mode: str,
    judged: ArrayLike,
    side: ArrayLike,
    pairs: ArrayLike,
    *,
    wanted: int = 0,
    closed: str = "",
    alpha: float = ALPHA,
    evidence: float = 1.0,
) -> Proof | PairProof:
    """The verdict of a study of this mode, at the size that was set before it, or at the evidence that ended it.

    Args:
        mode: `pair`, or one in which single images are judged.
        judged: Raters, images and values, [3, m], as in `prove`.
        side: 0 before, 1 after, of each image, [n].
        pairs: Rater, pair and win of each answer to a pair, [p, 3], as in `prove_pairs`.
        wanted: Answers set before the study; 0 for all that there are, of which the sentence says what that makes of p.
        closed: Why no more were asked for, empty while they are. Where it is `EARLY`, or the evidence was enough before the size,
            p is that of the evidence; where it is `FULL`, the test is made of all that there were then, less those of a rater
            who has withdrawn since.
        alpha: Significance threshold.
        evidence: The largest e-value that the study has reached.
    """
    there = np.shape(pairs)[0] if mode == "pair" else np.shape(judged)[-1] // COUNTED[mode]
    full = closed == FULL.format(wanted)
    enough = closed and not full and (not wanted or there < wanted) and evidence >= needed(alpha)  # whoever closed it
    early = closed == EARLY or enough
    planned, reached = (None, evidence) if early else (wanted or None, None)
    withdrawn = wanted - there if full else 0
    if full:  # all until then count, also where a team's own page saw more than it had events of
        planned = there or None
    found: Proof | PairProof
    if mode == "pair":
        rater, pair, win = np.asarray(pairs, dtype=np.float64).T
        found = prove_pairs(rater.astype(int), pair.astype(int), win, planned=planned, alpha=alpha, evidence=reached)
    else:
        rater, image, value = np.asarray(judged, dtype=np.float64)
        whole = planned and planned * COUNTED[mode]
        found = prove(rater.astype(int), image.astype(int), value, side, planned=whole, alpha=alpha, evidence=reached)
    more = f"{withdrawn} of {wanted} answers were withdrawn since" if withdrawn > 0 else ""
    if closed and not wanted and not early and found.p is not None:
        more = "no size was set before, so p holds only if nobody looked at the answers before they were closed"
    return dataclasses.replace(found, sentence=f"{found.sentence[:-1]}; {more}.") if more else found
