"""How good an estimator is on images that it never saw (A.1, D21).

Simulated interactions allow a new sample, whose PIR without noise is given in from outside: nothing here knows where it
comes from. For real answers there is no new sample, and the images are left out of training in turn.
"""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from scipy import stats

from pir_tf.config import ComputeConfig, EstimatorConfig, derived_seed
from pir_tf.errors import InputError
from pir_tf.estimator.linear import LinearEstimator
from pir_tf.estimator.model import PIREstimator, estimate, is_stock, outputs
from pir_tf.estimator.ridge import says_nothing
from pir_tf.estimator.train import FeatureMaker, backbone_features, fit_estimator
from pir_tf.images import require_images
from pir_tf.interactions.records import Interactions

GROUPS = 10


def quality(
    predicted_pir: npt.ArrayLike,
    true_pir: npt.ArrayLike,
    ranked: npt.ArrayLike | None = None,
    among: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """Agreement of predicted with true or observed PIR, as plain numbers for JSON, never NaN.

    Args:
        predicted_pir: Estimates [n].
        true_pir: True or observed PIR [n]; NaN leaves an image out.
        ranked: What the rank correlation is of, [n], where that isn't the estimates as they are.
        among: Whose ranks are compared, bool [n]; None: all.

    Returns:
        `n`, `spearman` (rank correlation), `mean_absolute_error`, `bias` (mean predicted minus mean true),
        `sd_predicted` and `sd_true` (ddof 1), `calibration` (10 groups of equal size by rising prediction, fewer for
        fewer images: `count`, `mean_predicted`, `mean_true`) and `undefined` (reason of each number that is None).

    Raises:
        InputError: If the two have other lengths.

    Source: A.1.
    """
    predicted, true = np.asarray(predicted_pir, np.float64), np.asarray(true_pir, np.float64)
    order = predicted if ranked is None else np.asarray(ranked, np.float64)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise InputError(
            f"Predicted and true PIR have the shapes {predicted.shape} and {true.shape}; expected one number per "
            "image in both: pass columns of equal length."
        )
    known = np.isfinite(true)
    predicted, true, order = predicted[known], true[known], order[known]
    rows = slice(None) if among is None else np.asarray(among, bool)[known]
    n, order, compared = len(true), order[rows], true[rows]
    measures = {
        "mean_absolute_error": lambda: np.abs(predicted - true).mean(),
        "bias": lambda: predicted.mean() - true.mean(),
        "sd_predicted": lambda: predicted.std(ddof=1),
        "sd_true": lambda: true.std(ddof=1),
        "spearman": lambda: stats.spearmanr(order, compared).statistic,
    }
    reasons = {name: _reason(name, predicted, true) for name in measures}
    reasons["spearman"] = _reason("spearman", order, compared)
    groups = np.array_split(np.argsort(predicted, kind="stable"), min(GROUPS, n)) if n and not reasons["bias"] else []
    return {
        "n": n,
        **{name: None if reasons[name] else float(measure()) for name, measure in measures.items()},
        "calibration": [
            {"count": len(rows), "mean_predicted": float(predicted[rows].mean()), "mean_true": float(true[rows].mean())}
            for rows in groups
        ],
        "undefined": {name: reason for name, reason in reasons.items() if reason},
    }


def estimator_quality(
    estimator: PIREstimator | LinearEstimator,
    images: npt.NDArray[np.uint8],
    true_pir: npt.ArrayLike,
    config: EstimatorConfig,
) -> dict[str, Any]:
    """Quality on new images at temperature 1, as trained, and at the temperature of use: A.1 lays the bias to the change.

    Args:
        estimator: A trained estimator of this config.
        images: uint8 [n, h, w, 3], none of which it was trained on.
        true_pir: Their true or observed PIR [n].

    Returns:
        `temperature`, `at_temperature_1` and `at_temperature` (see `quality`), and `saved_as`: `keras` or
        `saved_model`.

    Source: A.1, C.3. Deviation: D21.
    """
    return _report(_estimates(estimator, images, config), true_pir, estimator, config)


def cross_validated_quality(
    images: npt.NDArray[np.uint8],
    interactions: Interactions,
    config: EstimatorConfig,
    *,
    seed: int,
    folds: int = 5,
    compute: ComputeConfig | None = None,
    features: FeatureMaker = backbone_features,
    initial: str | os.PathLike[str] | None = None,
    discriminator: keras.Model | None = None,
) -> dict[str, Any]:
    """Quality of estimators that are trained like the real one, each tested on the images that it was not trained on.

    Args:
        images: uint8 [n, h, w, 3]; the other arguments but `folds` are those of `fit_estimator`.
        initial: The real estimator, whose frozen features a linear one's folds read too; others begin afresh, since its weights
            have seen the answers that are left out.
        folds: Number of estimators; each image with impressions is left out by one of them. Where the others' answers are all
            alike, which an estimator that starts from their range or mean refuses, they are the estimate.

    Returns:
        As `estimator_quality`, the folds' estimates taken together against the observed PIR, each group of images moved to its
        observed mean, since between groups nothing was observed; and `folds`. The rank correlation is within the last round,
        whose generator is tuned, of the estimates less the mean answer that their fold learned from: the higher that
        is, the lower are the answers that were left out, and estimates that know nothing else would rank them below chance.

    Raises:
        InputError: If there are fewer images with impressions than folds, or fewer than 2 folds.

    Source: A.1. Deviation: D21.
    """
    rated = np.flatnonzero(interactions.rated)
    if not 2 <= folds <= len(rated):
        raise InputError(
            f"There are {folds} folds for {len(rated)} images with impressions; expected 2 folds or more and at least "
            "as many images: collect more answers, or take fewer folds."
        )
    shuffled = np.random.default_rng(derived_seed(seed, "folds")).permutation(rated)
    estimates, learned = np.full((2, len(images)), np.nan, np.float32), np.zeros(len(images), np.float32)
    # Of three folds or more whose answers differ, one is left to train at least.
    differ = folds > 2 and np.ptp(interactions.pir[rated]) > 0
    skips = differ and (config.output == "linear" or "data" in (config.bin_range, config.scalar_start))
    for number, left_out in enumerate(np.array_split(shuffled, folds)):
        rest = np.setdiff1d(rated, left_out)
        answers = interactions.pir[rest]
        learned[left_out] = answers.mean()
        nothing = config.output == "linear" and says_nothing(answers, interactions.group[rest])
        if skips and (nothing or np.ptp(answers) == 0):
            estimates[:, left_out] = answers.mean()
            continue
        estimator = fit_estimator(
            images[rest],
            interactions.select(rest),
            config,
            seed=derived_seed(seed, f"fold {number}"),
            compute=compute,
            features=features,
            initial=initial if config.output == "linear" else None,
            discriminator=discriminator,
        )
        estimates[:, left_out] = _estimates(estimator, images[left_out], config)
    pir, group, ranked = interactions.pir, interactions.group, estimates - learned
    for one in set(group[rated].tolist()) - {0}:
        rows = rated[group[rated] == one]
        for found in (estimates, ranked):
            found[:, rows] += pir[rows].mean() - found[:, rows].mean(axis=1, keepdims=True)
    recent = interactions.round[rated] == interactions.round[rated].max()
    return {"folds": folds, **_report(estimates[:, rated], pir[rated], estimator, config, ranked[:, rated], recent)}


def _estimates(
    estimator: PIREstimator | LinearEstimator, images: npt.NDArray[np.uint8], config: EstimatorConfig
) -> npt.NDArray[np.float32]:
    """[2, n]: at temperature 1 and at the config's, from one pass through the network."""
    require_images(images, uint8=True)
    if isinstance(estimator, LinearEstimator):
        return np.tile(estimate(estimator.pir_model, images), (2, 1))
    logits, temperatures = outputs(estimator.network, images, batch_size=64), (1.0, config.temperature)
    return np.stack([estimator.head.pir(logits, temperature).numpy()[:, 0] for temperature in temperatures])


def _report(
    estimates: npt.NDArray[np.float32],
    true_pir: npt.ArrayLike,
    estimator: PIREstimator | LinearEstimator,
    config: EstimatorConfig,
    ranked: npt.NDArray[np.float32] | None = None,
    among: npt.NDArray[np.bool_] | None = None,
) -> dict[str, Any]:
    order = estimates if ranked is None else ranked
    return {
        "temperature": config.temperature,
        "at_temperature_1": quality(estimates[0], true_pir, order[0], among),
        "at_temperature": quality(estimates[1], true_pir, order[1], among),
        "saved_as": "keras" if is_stock(estimator.saved_model()) else "saved_model",
    }


def _reason(name: str, predicted: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> str | None:
    """Why a measure doesn't exist, None if it does."""
    if len(true) == 0:
        return "no image has a PIR"
    if name != "sd_true" and not np.isfinite(predicted).all():
        return "some predictions are not finite"
    if name in ("sd_predicted", "sd_true", "spearman") and len(true) < 2:
        return "there is one image only"
    if name == "spearman" and (np.ptp(predicted) == 0 or np.ptp(true) == 0):
        return "the predicted PIR is constant" if np.ptp(predicted) == 0 else "the true PIR is constant"
    return None
