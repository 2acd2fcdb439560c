"""Images before and after tuning, judged: arrays in, one dictionary of plain numbers out (sections 4, A.1, 5.1).

Three judges stand beside each other and are never mixed: the truth (the objective's noise-free PIR, or people's answers), the
estimator that the tuning followed, and a second estimator from another seed that the tuning never saw. Only the truth makes a
gain.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from pir_tf.evaluation.diversity import Diversity, DiversityReport
from pir_tf.images import to_float
from pir_tf.objectives.scaling import Scaling
from pir_tf.statistics.effects import change_interval, cohens_d, cohens_d_interval, pir_summary, verdict, welch_t

JUDGES = ("true", "observed", "estimated", "judged")
"""Who says what the PIR is: the truth; simulated users, with the noise of a finite number of impressions; the estimator that the
tuning followed; a second estimator."""

ROUNDING = 1e-6
"""A change of the mean estimate that float32 may have made."""

Sides = tuple[np.ndarray, np.ndarray]
"""A quantity before and after tuning."""


def compare(before: np.ndarray, after: np.ndarray, *, alike: bool = False) -> dict[str, Any]:
    """Everything that is said of two sets of PIRs.

    Args:
        before: PIR `[n0]` in [0, 1].
        after: PIR `[n1]`.
        alike: Whether d weighs both sides alike, whatever n0 and n1, to stand beside a d of other numbers.

    Returns:
        Means, change, standard deviations, Cohen's d with its 95% interval, Welch's t; None where undefined.

    Source: 4. Deviation: D12.
    """
    summary = dataclasses.asdict(pir_summary(before, after))
    interval, welch = cohens_d_interval(before, after, alike=alike), welch_t(before, after)
    t, degrees_of_freedom, p = welch or (None, None, None)
    return {
        **summary,
        "cohens_d": cohens_d(before, after, alike=alike),
        "cohens_d_interval": list(interval) if interval else None,
        "welch_t": t,
        "degrees_of_freedom": degrees_of_freedom,
        "p_value": p,
    }


def results(
    pir: Mapping[str, Sides],
    *,
    training: np.ndarray,
    diversity: DiversityReport,
    alpha: float,
    control: np.ndarray | None = None,
) -> dict[str, Any]:
    """What `results.json` says of PIR and diversity.

    Args:
        pir: PIR before and after tuning, in [0, 1], by those of `JUDGES` who have judged; `estimated` always has.
        training: PIR of the estimator's training images, for the initial mean and spread (D14).
        diversity: before, after and real images.
        alpha: significance threshold.
        control: true PIR of images after the same steps without the PIR term, beside `pir["true"]`.

    Returns:
        The proof at the top level, all comparisons below it. What is not measured or undefined is None. `estimate_rose` says
        whether the estimated PIR, which the PIR term raises, went up: where it didn't, no change of the true PIR is that term's.

    Source: 4, A.1, A.2. Deviation: D14 (initial spread and zeros), D15 (noise-free PIR of independent images).
    """
    compared = {name: compare(*pir[name]) if name in pir else None for name in JUDGES}
    truth, estimate = compared["true"] or {}, compare(*pir["estimated"])
    initial = pir_summary(training, training)
    change, d, p = (truth.get(name) for name in ("change", "cohens_d", "p_value"))
    interval = change_interval(*pir["estimated"])
    over = compare(control, pir["true"][1]) if control is not None else None
    return {
        "pir_before_mean": truth.get("before_mean"),
        "pir_after_mean": truth.get("after_mean"),
        "change": change,
        "cohens_d": d,
        "cohens_d_interval": truth.get("cohens_d_interval"),
        "welch_t": truth.get("welch_t"),
        "p_value": p,
        "significant": None if p is None else p < alpha,
        "verdict": verdict(
            change,
            d,
            p,
            distance_ratios=diversity.after_over_before,
            alpha=alpha,
            over_control=(over["change"], over["p_value"]) if over else None,
        ),
        "control": compare(pir["true"][0], control) if control is not None else None,
        "over_control": over,
        "estimated_change": estimate["change"],
        "estimated_change_interval": list(interval) if interval else None,
        "estimate_rose": (interval[0] if interval else estimate["change"]) > ROUNDING,
        "initial_mean": initial.before_mean,
        "initial_sd": initial.before_sd,
        "initial_percent_zero": initial.percent_zero_before,
        "alpha": alpha,
        "note": truth.get("note"),
        **compared,
        "diversity": dataclasses.asdict(diversity),
    }


def rated(sides: Sides) -> Sides:
    """PIR of the images that somebody rated, without the NaN of the others."""
    return sides[0][~np.isnan(sides[0])], sides[1][~np.isnan(sides[1])]


def diversity_report(images: Mapping[str, np.ndarray], class_count: int, *, seed: int, pairs: int) -> DiversityReport:
    """Within-class diversity of the images before and after tuning and of the real ones.

    Args:
        images: uint8 `before`, `after` and `real` [n, h, w, 3], the last possibly empty, and `labels_before`, `labels_after`
            and `real_labels` [n].
        class_count: number of classes.
        seed: seed of the pairs that are compared.
        pairs: pairs of each class whose likeness is measured.

    Source: 5.1.
    """
    before, after, real = (
        Diversity.measure(to_float(images[name]), images[labels], class_count, seed=seed, pairs=pairs)
        if len(images[name])
        else None
        for name, labels in (("before", "labels_before"), ("after", "labels_after"), ("real", "real_labels"))
    )
    assert before is not None and after is not None
    return DiversityReport.compare(before, after, real)


def scaling_facts(unscaled: Sides | None, scaling: Scaling | None, percent_shown: float | None) -> dict[str, Any]:
    """The comparison of PIR without C.5's scaling, and how much the scaling clips; None where there is none.

    Args:
        unscaled: PIR before and after tuning as the objective has it.
        scaling: the map.
        percent_shown: percent of the images shown before tuning that it clips.

    Source: C.5.
    """
    if unscaled is None or scaling is None:
        return {"unscaled": None, "scaling": None}
    before, after = map(scaling.percent_clipped, unscaled)
    clipped = {"percent_clipped_shown": percent_shown, "percent_clipped_before": before, "percent_clipped_after": after}
    return {"unscaled": compare(*unscaled), "scaling": {"mean": scaling.mean, "sd": scaling.sd, **clipped}}
