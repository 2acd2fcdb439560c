"""The proof with people on the rating page: their PIR of the new images, and the verdict from it (section 4).

They see images from before and after tuning, half and half within each rater, without knowing which is which. The verdict is
made at the size that the config set before: Welch's test on the images' PIR about each rater's own mean, or the win rate of
pairs.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from pir_tf.evaluation.diversity import DiversityReport
from pir_tf.evaluation.measure import Sides
from pir_tf.experiments.people import image_ids
from pir_tf.experiments.study_answers import Answered, Asked, ask, keep, source_of
from pir_tf.runs.directory import RunDirectory
from pir_tf.statistics.betting import e_values
from pir_tf.statistics.effects import verdict
from pir_tf.statistics.proof import Proof, prove, prove_pairs

E_VALUE = "e-value"
"""Why a pool is closed whose evidence was enough before its size: the test is then made at the size it had."""


def of_study(run: RunDirectory, asked: Asked, images: dict[str, np.ndarray]) -> Sides:
    """People's PIR of both sets of images, NaN where nobody judged an image.

    Raises:
        Waiting: People have to judge first.
    """
    answered, ids, _ = _answers(run, asked, images)
    keep(run, "evaluation", answered, ids)
    pir = np.full(len(ids), np.nan)
    shown = answered.impressions > 0
    pir[shown] = answered.positives[shown] / answered.impressions[shown]
    count = len(images["before"])
    return pir[:count], pir[count:]


def people_facts(run: RunDirectory, images: dict[str, np.ndarray], diversity: DiversityReport) -> dict[str, Any]:
    """What `results.json` says of a proof with people, in place of what images alone would say.

    Returns:
        `people`, all that the answers prove; and the verdict, its p and the test's significance by it.
    """
    asked = source_of(run, "evaluation")
    assert asked is not None
    answered, _, sides = _answers(run, asked, images)
    alpha, wanted = run.config.evaluation.alpha, run.config.evaluation.answers
    planned = None if not wanted or answered.closed == E_VALUE else wanted
    if answered.mode == "pair":
        rater, pair, win = answered.pairs.T
        proof: Any = prove_pairs(rater.astype(int), pair.astype(int), win, planned=planned, alpha=alpha)
        change, d = (None, None) if proof.win_rate is None else (proof.win_rate - 0.5,) * 2
    else:
        cells = 9 if answered.mode == "grid" else 1
        judged = (answered.rater, answered.image, answered.value)
        proof = prove(*judged, sides, planned=planned and planned * cells, alpha=alpha)
        change, d = proof.change, proof.d
    outcome = proof.verdict
    if outcome != "not measured yet":  # with a look at what tuning cost in diversity
        outcome = verdict(change, d, proof.p, distance_ratios=diversity.after_over_before, alpha=alpha)
    evidence = float(e_values(answered.bets)[-1]) if len(answered.bets) else 1.0
    facts = {"mode": answered.mode, "study": answered.study["name"], "e_value": evidence, "closed": answered.closed}
    overriding = {"verdict": outcome, "p_value": proof.p, "significant": None if proof.p is None else proof.p < alpha}
    if isinstance(proof, Proof):
        interval = proof.d_interval
        overriding |= {"cohens_d": proof.d, "cohens_d_interval": list(interval) if interval else None}
    return {**overriding, "people": {**facts, **dataclasses.asdict(proof)}}


def _answers(run: RunDirectory, asked: Asked, images: dict[str, np.ndarray]) -> tuple[Answered, list[str], np.ndarray]:
    """The answers, the images' ids and their sides, 0 before and 1 after; those before come first."""
    both = np.concatenate([images["before"], images["after"]])
    labels = np.concatenate([images["labels_before"], images["labels_after"]])
    ids = image_ids(both, f"e{run.round}")
    names = ["before"] * len(images["before"]) + ["after"] * len(images["after"])
    answered = ask(run, "evaluation", asked, both, ids, labels, names)
    return answered, ids, np.array([name == "after" for name in names], int)
