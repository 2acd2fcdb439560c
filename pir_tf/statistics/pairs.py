"""The verdict from pairs of one image from before and one from after: how often does the image after win?

Pairs are the unit: random signs are what their outcomes would have if both sides were equal. The win rate is Phi(d / sqrt 2) for
images whose PIR has a normal distribution.
"""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy import special, stats

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
from pir_tf.statistics.effects import ALPHA, Verdict, verdict
from pir_tf.statistics.rates import check_answers

MOST_ANSWERS, MOST_PLACES = 100, 20_000
"""To one pair, and places of the sum of all pairs, up to which the test of pairs' signs is exact."""


@dataclasses.dataclass(frozen=True)
class PairProof:
    """What the answers to pairs prove; numbers that do not exist are `None`.

    Attributes:
        verdict, sentence, answers, raters: As in `Proof`.
        pairs: Number of different pairs.
        win_rate: Share of pairs in which the image after wins, ties half; 0.5 is no change.
        interval: Its 95% interval for these raters, pairs as units (Wilson, which ties make wide).
        rater_interval: Its 95% interval for raters like these: raters as clusters, t.
        by_evidence: As in `Proof`.
        p: Two-sided, of the signs that coins give to these outcomes if both sides are equal; or as in `Proof`.
        d: sqrt(2) Phi^-1(win rate), Cohen's d as observed: 1 at a win rate of 0.76. `None` at 0 or 1.
    """

    verdict: Verdict
    sentence: str
    answers: int
    raters: int
    pairs: int
    win_rate: float | None
    interval: Interval
    rater_interval: Interval
    by_evidence: bool
    p: float | None
    d: float | None


def win_rate_of_d(d: float) -> float:
    """Phi(d / sqrt 2): the chance that a random image after beats a random one before."""
    return float(special.ndtr(d / math.sqrt(2)))


def d_of_win_rate(win_rate: float) -> float:
    """The inverse of `win_rate_of_d`, for a rate between 0 and 1, both excluded."""
    return float(math.sqrt(2) * special.ndtri(win_rate))


def prove_pairs(
    rater: ArrayLike,
    pair: ArrayLike,
    win: ArrayLike,
    *,
    planned: int | None = None,
    alpha: float = ALPHA,
    evidence: float | None = None,
) -> PairProof:
    """The verdict from answers to pairs of one image from before and one from after.

    Args:
        rater: Rater of each answer, int [m], in server order.
        pair: The pair that was shown, int [m]; each image belongs to one pair alone, or pairs would not be independent.
        win: 1 where the image after won, 0 where it lost, 0.5 for a tie, [m]. Leave out "both bad", or count it as a tie.
        planned, alpha, evidence: As in `prove`.
    """
    raters, pairs, wins = check_answers(rater, pair, win)
    size = size_of(wins.size, planned)
    raters, pairs, wins = raters[:size], pairs[:size], wins[:size]
    number = np.unique(raters).size
    _, row = np.unique(pairs, return_inverse=True)
    means = np.bincount(row, wins) / np.bincount(row) if size else np.empty(0)
    on = f"{size} answers of {people(number)} to {means.size} pairs"
    if not size:
        nothing: Verdict = "undefined" if planned is None else "not measured yet"
        return PairProof(nothing, f"No result: {on}.", 0, 0, 0, None, None, None, evidence is not None, None, None)
    rate = float(means.mean())
    low, high = _wilson(rate, means.size)
    weight = 1 / np.bincount(row)[row] / means.size * number  # so that answers add up to the mean over pairs
    parts = np.bincount(np.unique(raters, return_inverse=True)[1], weight * (wins - rate))
    rater_interval = t_interval(rate, parts, number)
    p = _sign_p(means) if evidence is None else p_of_evidence(evidence, rate - 0.5)
    d = d_of_win_rate(rate) if 0 < rate < 1 else None
    short = planned is not None and size < planned
    sign = rate - 0.5
    outcome = "not measured yet" if short else verdict(sign, sign, p, distance_ratios=None, alpha=alpha)
    sentence = (
        f"{claim(outcome, of_others_too(outcome, number, rater_interval, 0.5), size, planned)}: the image after wins "
        f"{100 * rate:.1f}% of pairs{span((100 * low, 100 * high), 1)}{'' if d is None else f', which is d {d:.2f}'}, "
        f"{p_in_words(p, evidence, None if short else alpha)}; {on}."
    )
    return PairProof(
        verdict=outcome,
        sentence=sentence,
        answers=size,
        raters=number,
        pairs=means.size,
        win_rate=rate,
        interval=(low, high),
        rater_interval=rater_interval,
        by_evidence=evidence is not None,
        p=None if short else p,
        d=d,
    )


def _wilson(rate: float, n: int) -> tuple[float, float]:
    z = float(stats.norm.ppf(0.975))
    middle = (rate + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(rate * (1 - rate) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _sign_p(means: np.ndarray) -> float:
    """p of the sum of pairs' outcomes about 1/2 under random signs, exact on the lattice of their fractions.

    Where that has too many places, its normal limit, with half of the smallest step taken off.
    """
    outcomes = 2 * means - 1
    decided = np.abs(outcomes[outcomes != 0])
    if not decided.size:
        return 1.0
    if np.all(decided == 1):
        return float(stats.binomtest(int(np.sum(outcomes > 0)), decided.size).pvalue)
    step = math.lcm(*(Fraction(one).limit_denominator(MOST_ANSWERS).denominator for one in decided.tolist()))
    whole = step <= MOST_PLACES and np.allclose(step * decided, np.rint(step * decided), atol=1e-6)
    if whole and step * decided.sum() <= MOST_PLACES:
        chance = np.ones(1)  # of each number of steps of the pairs so far that the image after has won
        for size, count in zip(*np.unique(np.rint(decided * step).astype(int), return_counts=True), strict=True):
            own = np.zeros(size * count + 1)
            own[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
            chance = np.convolve(chance, own)
        sums = 2 * np.arange(chance.size) - (chance.size - 1)
        return float(min(1.0, chance[np.abs(sums) >= abs(int(np.rint(outcomes * step).sum()))].sum()))
    total = abs(float(outcomes.sum()))
    return float(min(1.0, 2 * stats.norm.sf(max(total - float(decided.min()), 0.0) / math.sqrt(np.sum(decided**2)))))
