"""Images before and after tuning, judged: arrays in, one dictionary of plain numbers out (sections 4, A.1, 5.1).

Three judges stand beside each other and are never mixed: the truth (the objective's noise-free PIR, or people's answers), the
estimator that the tuning followed, and a second estimator from another seed that the tuning never saw. Only the truth makes a
gain.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pir_tf.evaluation.diversity import DiversityReport
from pir_tf.statistics.effects import cohens_d, cohens_d_interval, pir_summary, verdict, welch_t


def compare(before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """Everything that is said of two sets of PIRs.

    Args:
        before: PIR `[n0]` in [0, 1].
        after: PIR `[n1]`.

    Returns:
        Means, change, standard deviations, Cohen's d with its 95% interval, Welch's t; None where undefined.

    Source: 4. Deviation: D12.
    """
    summary = dataclasses.asdict(pir_summary(before, after))
    interval, welch = cohens_d_interval(before, after), welch_t(before, after)
    t, degrees_of_freedom, p = welch or (None, None, None)
    return {
        **summary,
        "cohens_d": cohens_d(before, after),
        "cohens_d_interval": list(interval) if interval else None,
        "welch_t": t,
        "degrees_of_freedom": degrees_of_freedom,
        "p_value": p,
    }


def results(
    *,
    true: tuple[np.ndarray, np.ndarray] | None,
    observed: tuple[np.ndarray, np.ndarray] | None,
    estimated: tuple[np.ndarray, np.ndarray],
    judged: tuple[np.ndarray, np.ndarray] | None,
    training: np.ndarray,
    diversity: DiversityReport,
    alpha: float,
) -> dict[str, Any]:
    """What `evaluation/results.json` says.

    Args:
        true: true PIR before and after, or None while nobody has measured it.
        observed: the same with the noise of a finite number of impressions.
        estimated: by the estimator that the tuning followed.
        judged: by a second estimator.
        training: PIR of the estimator's training images, for the initial mean and spread (D14).
        diversity: before, after and real images.
        alpha: significance threshold.

    Returns:
        The proof at the top level, all comparisons below it. What is not measured or undefined is None.

    Source: 4, A.1, A.2. Deviation: D14 (initial spread and zeros), D15 (noise-free PIR of independent images).
    """
    truth = compare(*true) if true else None
    estimate = compare(*estimated)
    initial = pir_summary(training, training)
    get = (lambda name: truth[name]) if truth else (lambda name: None)
    p, d = get("p_value"), get("cohens_d")
    return {
        "pir_before_mean": get("before_mean"),
        "pir_after_mean": get("after_mean"),
        "change": get("change"),
        "cohens_d": d,
        "cohens_d_interval": get("cohens_d_interval"),
        "welch_t": get("welch_t"),
        "p_value": p,
        "significant": None if p is None else p < alpha,
        "verdict": verdict(get("change"), d, p, distance_ratios=diversity.after_over_before, alpha=alpha),
        "estimated_change": estimate["change"],
        "initial_mean": initial.before_mean,
        "initial_sd": initial.before_sd,
        "initial_percent_zero": initial.percent_zero_before,
        "alpha": alpha,
        "note": get("note"),
        "true": truth,
        "observed": compare(*observed) if observed else None,
        "estimated": estimate,
        "judged": compare(*judged) if judged else None,
        "diversity": dataclasses.asdict(diversity),
    }
