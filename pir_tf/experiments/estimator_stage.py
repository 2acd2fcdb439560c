"""Stage `estimator`: the PIR estimator learns from the interactions, and its held-out quality is measured (2.3, C.3)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.estimator.model import PIREstimator, save_estimator, saved_estimator
from pir_tf.estimator.quality import cross_validated_quality, estimator_quality
from pir_tf.estimator.train import fit_estimator
from pir_tf.experiments.features import feature_maker
from pir_tf.experiments.interactions_stage import Shown, sample
from pir_tf.experiments.parts import part
from pir_tf.experiments.rounds import FirstRound, round_number, seed_of
from pir_tf.experiments.truth import true_pir
from pir_tf.gan.saved import load_generator
from pir_tf.interactions.records import Interactions
from pir_tf.runs.directory import RunDirectory, write_json
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.devices import is_chief, kind, strategy


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `estimator/estimator.keras` (with a TF-Hub backbone a SavedModel) and `estimator/quality.json`."""
    shown = Shown.load(run)
    interactions = Interactions.load(run.file("interactions", "interactions.csv"))
    with part(run, "training"):
        title = "Training the estimator"
        estimator = train(run, shown, interactions, stage="estimator", purpose="estimator", title=title)
    if not is_chief(run.config.compute):
        return {}
    save_estimator(estimator, run.file("estimator", "quality.json").parent)
    with part(run, "quality"):
        write_json(run.file("estimator", "quality.json"), _quality(run, estimator, shown, interactions))
    return {}


def _quality(run: RunDirectory, estimator: PIREstimator, shown: Shown, interactions: Interactions) -> dict[str, Any]:
    """How well the estimator predicts images that it wasn't trained on. Source: D21."""
    config = run.config
    objective = true_pir(run)
    if objective is not None:
        generator = load_generator(run.file("gan", "generator.keras").parent)
        seed = seed_of(config, "quality images")
        images, _, _ = sample(
            run, generator, config.estimator.quality_images, seed=seed, title="Images for its quality"
        )
        quality = estimator_quality(estimator, images, objective(images), config.estimator)
        quality["measured_on"] = f"{len(images)} new images and their noise-free PIR"
    elif interactions.rated.sum() >= 10:
        seed = seed_of(config, "folds")
        jit_compile = config.compute.jit_compile
        quality = cross_validated_quality(
            shown.images,
            interactions,
            config.estimator,
            seed=seed,
            jit_compile=jit_compile,
            features=feature_maker(run),
        )
        quality["measured_on"] = "people's answers, each image by an estimator that was trained without it"
    else:
        quality = {"measured_on": "nothing: fewer than 10 images have answers"}
    return quality


def train(
    run: RunDirectory, shown: Shown, interactions: Interactions, *, stage: str, purpose: str, title: str
) -> PIREstimator:
    """An estimator of the config, trained on these interactions in `stage`; `purpose` names its seed.

    In a second round the tuning's estimator goes on from the first round's. A judge must not know what that one learned: it
    begins afresh, with as many steps as both rounds have.

    Source: A.3.
    """
    config, settings = run.config, run.config.estimator
    first = FirstRound.of(config) if purpose == "estimator" else None
    if first is None:
        settings = dataclasses.replace(settings, steps=settings.steps * round_number(config))
    alone = purpose != "estimator" and kind(config.compute) == "multiworker"  # the chief judges by itself
    bar = ProgressBar(title, settings.steps, shown={"loss": "loss"})
    return fit_estimator(
        shown.images,
        interactions,
        settings,
        seed=seed_of(config, purpose),
        initial=saved_estimator(first.path / "estimator") if first else None,
        callbacks=[bar] if is_chief(config.compute) else [],
        jit_compile=config.compute.jit_compile,
        precision=config.compute.precision,
        strategy=None if alone else strategy(config.compute),
        checkpoint_directory=run.file(stage, "checkpoints"),
        features=feature_maker(run),
    )


def training_pir(run: RunDirectory) -> np.ndarray:
    """PIR of the images that the estimator learned from: noise-free when simulated, else observed (D14)."""
    objective = true_pir(run)
    if objective is not None:
        return objective(Shown.load(run).images)
    interactions = Interactions.load(run.file("interactions", "interactions.csv"))
    return interactions.pir[interactions.rated]


def estimator_path(run: RunDirectory) -> Path:
    """The saved estimator: a `.keras` file, or with a TF-Hub backbone a SavedModel folder."""
    return saved_estimator(run.file("estimator", "estimator.keras").parent)
