"""What proofs by single images and by pairs share: their size, their intervals over raters, and their words."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics.effects import Verdict

TEN_RATERS = 10
Interval = tuple[float, float] | None


def size_of(answers: int, planned: int | None) -> int:
    """How many answers count: those planned before the study, or all."""
    if planned is not None and planned < 1:
        raise InputError(f"planned: received {planned}, expected a number of answers above 0: take the plan's.")
    return answers if planned is None else min(answers, planned)


def t_interval(mean: float, parts: np.ndarray, clusters: int) -> Interval:
    """Mean +- t sqrt(sum parts^2 / (k (k - 1))) for k clusters with deviations that sum to 0."""
    if clusters < 2:
        return None
    half = float(stats.t.ppf(0.975, clusters - 1)) * math.sqrt(np.sum(parts**2) / (clusters * (clusters - 1)))
    return mean - half, mean + half


def p_of_evidence(evidence: float, change: float | None) -> float:
    """What an e-value for a gain allows to say, whenever one stopped: its inverse; nothing of a loss."""
    return min(1.0, 1 / evidence) if change and change > 0 and evidence > 0 else 1.0


def people(number: int) -> str:
    """A number of raters."""
    return f"{number} rater{'' if number == 1 else 's'}"


def span(interval: Interval, digits: int = 2) -> str:
    """An interval in brackets, nothing where there is none."""
    return "" if interval is None else f" ({interval[0]:.{digits}f} to {interval[1]:.{digits}f})"


def p_in_words(p: float, evidence: float | None, alpha: float | None) -> str:
    """p against the threshold, and where it is that of the evidence; without a threshold there is none yet."""
    if alpha is None:
        return "no p before that size"
    by = " by the evidence" if evidence is not None else ""
    return f"{'p < 1e-300' if p < 1e-300 else f'p = {p:.2g}'}{by} against {alpha:g}"


def of_others_too(outcome: Verdict, raters: int, interval: Interval, nothing: float) -> bool:
    """Whether the result may be said of people like these: there are enough, and a difference is one over raters as well."""
    if raters < TEN_RATERS or interval is None:
        return False
    return {"gain": interval[0] > nothing, "loss": interval[1] < nothing}.get(outcome, True)


def claim(outcome: Verdict, whoever: bool, size: int, planned: int | None) -> str:
    """The outcome as the beginning of a sentence, said of people like these or of these raters alone."""
    if outcome == "not measured yet":
        return f"No verdict yet, {size} of {planned} answers are there"
    what = {
        "gain": "images after tuning are liked more",
        "loss": "images after tuning are liked less",
        "no significant change": "no difference was found between images after and before tuning",
    }.get(outcome, outcome)
    return what[0].upper() + what[1:] if whoever else f"For these raters, {what}"
