"""Stage `estimator`: the PIR estimator learns from the interactions, and its held-out quality is measured (2.3, C.3)."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.config import ExperimentConfig
from pir_tf.estimator.model import PIREstimator, save_estimator
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
    images = Shown.load(run).images
    interactions = Interactions.load(run.file("interactions", "interactions.csv"))
    directory = run.file("estimator", "quality.json").parent
    with part(run, "training"), strategy(run.config.compute).scope():
        estimator = train(run, images, interactions, stage="estimator", purpose="estimator", title="Training the estimator")
    if is_chief():
        save_estimator(estimator, directory)
        with part(run, "quality"):
            write_json(directory / "quality.json", _quality(run, estimator, images, interactions))
    return {}
