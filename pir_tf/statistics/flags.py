"""A report on each rater: who answers without looking? For the owner's eyes: nobody is dropped by it.

The verdict is to be reported with and without doubtful raters (`kept`). A flag says what was seen, not what was meant.
Thresholds are such that fewer than 1 in 100 honest raters gets a given flag; an honest rater may like 85% of all images. Answers
to repeats are reported, not flagged: honest people differ widely, and at 5% of a rater's answers they are too few.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics.modes import Mode

LEAST_ANSWERS = 20
"""Below it nothing is flagged: ten likes in a row are no pattern."""

FASTEST_SECONDS = 0.3
"""Median. To see a picture and choose one of two keys takes 0.35 s and more; a first look alone 0.25 s."""

ALWAYS_SHARE = 0.98
"""Of one answer among a rater's, for "always"; one slip in fifty is allowed."""

HONEST_SHARE = 0.85
RARE = 1e-3
"""And so many have to come from an honest 85% with a chance below 1 in 1000: 43 equal answers of 43, 49 of 50 don't yet."""

LEFT_SHARE = 0.9
"""Of left among left and right, or of right: sides are coins, so an honest half can only come there by chance below `RARE`."""

MOST_SHARE = 0.5
"""Of all answers: the verdict is then one person's. With two raters 0.75, as one of two has a half anyway."""

LONGEST_PERIOD = 6
CYCLE_SHARE = 0.9
CYCLE_CHANCE = 1e-5
"""A cycle: 90% of answers equal the one so many places before, and chance, given how often each answer is used, does that once in
100,000. Left, right, left, right; 1, 2, 3, 4, 5; yes, yes, no."""

PAIR_ANSWERS = {"left": 0, "right": 1, "tie": 2, "bad": 3}

Flag = Literal[
    "always left",
    "always right",
    "always the same answer",
    "most of all answers",
    "faster than 0.3 s",
    "cycles",
]


@dataclasses.dataclass(frozen=True)
class RaterReport:
    """One rater; what there is not enough for is `None`.

    Attributes:
        rater, answers: Number of the rater, and of the answers.
        share_of_all: Share of all answers of the study, in [0, 1].
        median_seconds: Of the time from seeing to answering.
        share: Share of left among left and right (pairs), of yes (like), or of the most frequent answer (other modes), in [0, 1].
        share_p: Binomial test, two-sided: of left against 1/2, of yes against the other raters' share; `None` in other modes.
        same_share: Share of the most frequent answer.
        longest_run: Most equal answers in a row.
        repeats, repeats_same: Repeats answered, and answered as the first time.
        period: Period of the answers, 2 to 6, where there is one.
        flags: What stands out; mostly empty.
    """

    rater: int
    answers: int
    share_of_all: float
    median_seconds: float | None
    share: float
    share_p: float | None
    same_share: float
    longest_run: int
    repeats: int
    repeats_same: int
    period: int | None
    flags: tuple[Flag, ...]


def rater_reports(
    rater: ArrayLike,
    answer: ArrayLike,
    seconds: ArrayLike,
    mode: Mode,
    repeat_of: ArrayLike | None = None,
) -> list[RaterReport]:
    """Reports on all raters, by number.

    Args:
        rater: Rater of each answer, int [m] at least 0, in the order of answering; skips left out, repeats included.
        answer: What was answered, int [m] at least 0: 0 or 1 for `like`, 1 to 5 for `rating`, `PAIR_ANSWERS` for `pair`, and any
            number for each set of cells of `grid`.
        seconds: From seeing to answering, [m]; NaN where unknown.
        mode: Mode of the study.
        repeat_of: Row of the first answer, in 0 to m - 1, where this one is a repeat, else -1, int [m]. `None`: no repeats.

    Raises:
        InputError: Other shapes or ranges.
    """
    raters, answers, times = np.asarray(rater), np.asarray(answer), np.asarray(seconds, dtype=np.float64)
    first = np.full(raters.shape, -1) if repeat_of is None else np.asarray(repeat_of)
    if raters.ndim != 1 or not raters.shape == answers.shape == times.shape == first.shape:
        shapes = ", ".join(str(a.shape) for a in (raters, answers, times, first))
        raise InputError(f"raters: received shapes {shapes}, expected [m] each: give each answer one of each.")
    if not raters.size:
        return []
    raters, answers, first = (a.astype(np.int64) for a in (raters, answers, first))
    if min(raters.min(), answers.min(), first.min() + 1) < 0 or first.max() >= raters.size:
        raise InputError(
            "raters: received a number out of range, expected raters and answers from 0, repeat_of from -1: number them."
        )
    names = np.unique(raters)
    most = max(MOST_SHARE, 1.5 / names.size) if names.size > 1 else 2.0
    return [_report(int(name), raters == name, answers, times, first, mode, most) for name in names]


def kept(rater: ArrayLike, reports: list[RaterReport]) -> np.ndarray:
    """Mask [m] of the answers of raters without a flag, for the verdict without doubtful ones, beside that with all."""
    return ~np.isin(np.asarray(rater), [report.rater for report in reports if report.flags])


def _report(
    name: int, own: np.ndarray, answers: np.ndarray, times: np.ndarray, first: np.ndarray, mode: str, most: float
) -> RaterReport:
    given, known = answers[own], times[own][np.isfinite(times[own])]
    n = given.size
    counts = np.unique(given, return_counts=True)[1]
    top = int(counts.max())
    edges = np.flatnonzero(np.diff(given) != 0) + 1
    median = float(np.median(known)) if known.size else None
    period = _period(given)
    flags: list[Flag] = []
    share, p, sided = top / n, None, False
    if mode == "pair":
        left, right = (int(np.sum(given == PAIR_ANSWERS[side])) for side in ("left", "right"))
        sided = max(left, right) == top
        share = left / max(left + right, 1)
        if left + right:
            p = _binomial_p(left, left + right, 0.5)
        if left + right >= LEAST_ANSWERS and p is not None and p < RARE and max(share, 1 - share) >= LEFT_SHARE:
            flags.append("always left" if left > right else "always right")
    elif mode == "like":
        likes = int(np.sum(given > 0))
        share, others = likes / n, (int(np.sum(answers > 0)) - likes) / max(own.size - n, 1)
        if 0 < others < 1:
            p = _binomial_p(likes, n, others)
    if n >= LEAST_ANSWERS:
        if not sided and top / n >= ALWAYS_SHARE and stats.binom.sf(top - 1, n, HONEST_SHARE) < RARE:
            flags.append("always the same answer")
        if n / own.size > most:
            flags.append("most of all answers")
        if median is not None and median < FASTEST_SECONDS:
            flags.append("faster than 0.3 s")
        if period is not None:
            flags.append("cycles")
    again = np.flatnonzero(own & (first >= 0))
    return RaterReport(
        rater=name,
        answers=n,
        share_of_all=n / own.size,
        median_seconds=median,
        share=share,
        share_p=p,
        same_share=top / n,
        longest_run=int(np.max(np.diff(np.r_[0, edges, n]))),
        repeats=again.size,
        repeats_same=int(np.sum(answers[again] == answers[first[again]])),
        period=period,
        flags=tuple(flags),
    )


def _binomial_p(k: int, n: int, chance: float) -> float:
    """Two-sided: twice the smaller tail."""
    return float(min(1.0, 2 * min(stats.binom.cdf(k, n, chance), stats.binom.sf(k - 1, n, chance))))


def _period(given: np.ndarray) -> int | None:
    """The shortest period from 2 to 6 at which the answers repeat more than chance lets them."""
    if given.size < LEAST_ANSWERS:
        return None
    chance = float(np.sum((np.unique(given, return_counts=True)[1] / given.size) ** 2))
    for lag in range(2, LONGEST_PERIOD + 1):
        same, places = int(np.sum(given[lag:] == given[:-lag])), given.size - lag
        if same >= CYCLE_SHARE * places and stats.binom.sf(same - 1, places, chance) < CYCLE_CHANCE:
            return lag
    return None
