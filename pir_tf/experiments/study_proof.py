"""The proof with people on the rating page: their PIR of the new images, and the verdict from it (section 4).

They see images from before and after tuning, half and half within each rater, without knowing which is which. The verdict is
made at the size that the config set before: Welch's test on the images' PIR about each rater's own mean, or the win rate of
pairs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pir_tf.config import EvaluationConfig
from pir_tf.evaluation.diversity import DiversityReport
from pir_tf.evaluation.measure import Sides
from pir_tf.experiments.csv_answers import image_ids
from pir_tf.experiments.origins import Origin
from pir_tf.experiments.study_answers import Answered, Asked, ask, keep
from pir_tf.runs.directory import RunDirectory
from pir_tf.statistics.betting import e_values
from pir_tf.statistics.effects import verdict
from pir_tf.statistics.pairs import PairProof, d_of_win_rate
from pir_tf.statistics.proof import Proof, prove_study


def of_study(
    run: RunDirectory,
    asked: Asked,
    images: dict[str, np.ndarray],
    origin: Origin = Origin(),  # noqa: B008  frozen
) -> tuple[Sides, Answered]:
    """People's PIR of both sets of images, NaN where nobody judged an image, and all that they said.

    Raises:
        Waiting: People have to judge first.
    """
    both = np.concatenate([images["before"], images["after"]])
    labels = np.concatenate([images["labels_before"], images["labels_after"]])
    ids = image_ids(both, f"e{run.round}")
    sides = ["before"] * len(images["before"]) + ["after"] * len(images["after"])
    answered = ask(run, "evaluation", asked, both, ids, labels, sides, origin)
    keep(run, "evaluation", answered, ids)
    pir = np.full(len(ids), np.nan)
    shown = answered.impressions > 0
    pir[shown] = answered.positives[shown] / answered.impressions[shown]
    count = len(images["before"])
    return (pir[:count], pir[count:]), answered


def people_facts(
    answered: Answered, count: int, settings: EvaluationConfig, diversity: DiversityReport
) -> dict[str, Any]:
    """What `results.json` says of a proof with people, in place of what images alone would say.

    Args:
        answered: What people said of `count` images before, and of as many or others after.
        count: Images before, which come first.
        settings: The config's section.
        diversity: What tuning cost.

    Returns:
        `people`, all that the answers prove; the verdict, its p and significance; and means, change, d and t of the same test.
    """
    alpha, side = settings.alpha, (np.arange(len(answered.impressions)) >= count).astype(int)
    judged = np.array([answered.rater, answered.image, answered.value])
    evidence = e_values(answered.bets) if answered.bets.size else np.ones(1)
    about: dict[str, Any] = {"wanted": settings.answers, "closed": answered.closed, "alpha": alpha}
    proof = prove_study(answered.mode, judged, side, answered.pairs, evidence=float(evidence.max()), **about)
    found = _of_images(proof) if isinstance(proof, Proof) else _of_pairs(proof)
    outcome, change = proof.verdict, found["change"]
    sign = change if found["cohens_d"] is None else found["cohens_d"]  # of what is all alike, or all won, there is no d
    if outcome not in ("not measured yet", "undefined"):  # with a look at what tuning cost in diversity
        outcome = verdict(change, sign, proof.p, distance_ratios=diversity.after_over_before, alpha=alpha)
    facts = {"mode": answered.mode, "study": answered.study["name"], "e_value": float(evidence[-1])}
    return {
        "verdict": outcome,
        "p_value": proof.p,
        "significant": None if proof.p is None else proof.p < alpha,
        **found,
        "people": {**facts, "closed": answered.closed, **dataclasses.asdict(proof)},
    }


def _of_images(proof: Proof) -> dict[str, Any]:
    """The numbers of the test on images' PIR about each rater's own level; of raw PIRs there would be others."""
    return {
        "pir_before_mean": proof.before,
        "pir_after_mean": proof.after,
        "change": proof.change,
        "cohens_d": proof.d,
        "cohens_d_interval": list(proof.d_interval) if proof.d_interval else None,
        "welch_t": proof.t,
    }


def _of_pairs(proof: PairProof) -> dict[str, Any]:
    """PIR as a share of wins against images from before: theirs against each other is one half, that of those after the win rate.

    Shares within a pair sum to 1, so they are no independent samples, and have no t.
    """
    bounds = [d_of_win_rate(bound) for bound in proof.interval or () if 0 < bound < 1]
    return {
        "pir_before_mean": None if proof.win_rate is None else 0.5,
        "pir_after_mean": proof.win_rate,
        "change": None if proof.win_rate is None else proof.win_rate - 0.5,
        "cohens_d": proof.d,
        "cohens_d_interval": bounds if len(bounds) == 2 and proof.d is not None else None,
        "welch_t": None,
        "note": None,
    }
