"""Stage `estimator`: the PIR estimator learns from the interactions, and its held-out quality is measured (2.3, C.3)."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.config import EstimatorConfig, ExperimentConfig, derived_seed
from pir_tf.estimator.linear import LinearEstimator
from pir_tf.estimator.model import PIREstimator, save_estimator, saved_estimator
from pir_tf.estimator.quality import cross_validated_quality, estimator_quality
from pir_tf.estimator.train import FeatureMaker, backbone_features, fit_estimator
from pir_tf.experiments.cache import Rows, cached, digest
from pir_tf.experiments.imported import imported_in
from pir_tf.experiments.interactions_stage import FOLDS, Shown, few, sample
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.experiments.stopwatch import Stopwatch
from pir_tf.experiments.truth import true_pir
from pir_tf.gan.saved import Networks, load_generator
from pir_tf.interactions.records import Interactions
from pir_tf.runs.directory import RunDirectory, write_json
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.devices import is_chief, kind, strategy

FEWEST_FOR_JUDGE = 300
"""Answered images below which a linear estimator keeps them all."""
JUDGE_NEEDS = f"{FEWEST_FOR_JUDGE} images with answers, and of an imported generator another backbone than compact"


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `estimator/estimator.keras` (with a TF-Hub backbone a SavedModel) and `estimator/quality.json`.

    In a second round the estimator goes on from the first round's weights. Source: A.3.
    """
    config, watch, first = _settled(run), Stopwatch(), RoundBefore.of(run.config)
    images, answers = answered(run, of_judge=False)
    directory, copied = run.file("estimator", "quality.json").parent, discriminator_of(run, config.estimator)
    with watch.part("training"):
        estimator = train(
            config,
            images,
            answers,
            seed=run.seed_of("estimator"),
            title="Training the estimator",
            directory=directory,
            cache=run.cache,
            initial=saved_estimator(first.path / "estimator") if first else None,
            discriminator=copied,
        )
    if not is_chief():
        return {}
    save_estimator(estimator, directory)
    with watch.part("quality"):
        if truth := true_pir(run):
            count, seed = config.estimator.quality_images, run.seed_of("quality images")
            new, _, _ = sample(run, load_generator(run.path / "gan"), count, seed=seed, title="Images for its quality")
            quality = estimator_quality(estimator, new, truth(new), config.estimator)
            quality["measured_on"] = f"{count} new images and their noise-free PIR"
        else:
            more = {"initial": saved_estimator(directory), "discriminator": copied}
            quality = _of_folds(images, answers, config, run.cache, seed=run.seed_of("folds"), **more)
        write_json(directory / "quality.json", quality)
    return {"parts": watch.parts}


def answered(run: RunDirectory, *, of_judge: bool) -> tuple[np.ndarray, Interactions]:
    """The shown images, and the answers that the estimator learns from, or those that the second judge does.

    They share their answers, and the judge has another seed. Beside a linear readout, which has no seed, it has a third of the
    answered images for itself.
    """
    images, answers = Shown.load(run).images, Interactions.load(run.file("interactions", "interactions.csv"))
    rows = _rows(run, answers, of_judge=of_judge)
    return (images, answers) if rows is None else (images[rows], answers.select(rows))


def _rows(run: RunDirectory, answers: Interactions, *, of_judge: bool) -> np.ndarray | None:
    """Which of the answers are for the estimator, or for the judge; None for all. An image has the same part in every round."""
    if run.config.estimator.output != "linear" or not has_judge(run):
        return None
    rated, third = np.flatnonzero(answers.rated), []
    for number in np.unique(answers.round):
        own, purpose = rated[answers.round[rated] == number], "answers of the judge"
        seed = derived_seed(run.config.seed, purpose if number == 1 else f"{purpose}, round {number}")
        third.append(np.random.default_rng(seed).permutation(own)[: len(own) // 3])
    judges = np.sort(np.concatenate(third))
    return judges if of_judge else np.setdiff1d(rated, judges)


def has_judge(run: RunDirectory) -> bool:
    """Whether a second judge is asked for and can be had: a linear one needs features of its own, and answers enough."""
    config = run.config
    if config.estimator.output != "linear" or not config.evaluation.judge:
        return config.evaluation.judge
    answers = Interactions.load(run.file("interactions", "interactions.csv"))
    return answers.rated.sum() >= FEWEST_FOR_JUDGE and not (config.estimator.backbone == "compact" and imported_in(run))


def judge_config(config: EstimatorConfig) -> EstimatorConfig:
    """A linear judge's own features: those of a compact network, or beside it of the discriminator."""
    own = dataclasses.replace(config, backbone="compact", weights="none", layer="", image_size=64, trainable="all")
    return dataclasses.replace(own, backbone="discriminator") if config.backbone == "compact" else own


def discriminator_of(run: RunDirectory, config: EstimatorConfig) -> keras.Model | None:
    """The pretrained discriminator, where the estimator's backbone has it as a part."""
    return Networks.load(run.path / "gan").discriminator if "discriminator" in config.backbone else None


def second_judge(run: RunDirectory) -> PIREstimator | LinearEstimator:
    """An estimator that learned the same answers from another seed, and that tuning never saw.

    It must not know what the tuning's estimator learned in a first round, so it begins afresh, with as many steps as both
    rounds have (A.3). Beside a linear estimator it shares neither answers nor features with it.
    """
    config, steps = _settled(run), run.config.estimator.steps * run.round
    settings = dataclasses.replace(config.estimator, steps=steps, pessimism=0.0)  # whose doubt nobody asks for
    if settings.output == "linear":
        settings = judge_config(settings)
    return train(
        dataclasses.replace(config, estimator=settings),
        *answered(run, of_judge=True),
        discriminator=discriminator_of(run, settings),
        seed=run.seed_of("judge"),
        title="Training a second judge",
        directory=run.path / "evaluation",
        cache=run.cache,
        alone=True,
    )


def _settled(run: RunDirectory) -> ExperimentConfig:
    """The config with what `auto` means for the run's estimators."""
    compute = dataclasses.replace(run.config.compute, jit_compile=run.forms["estimator"])
    return dataclasses.replace(run.config, compute=compute)


def train(
    config: ExperimentConfig,
    images: np.ndarray,
    answers: Interactions,
    *,
    seed: int,
    title: str,
    directory: Path,
    cache: Path | None,
    initial: Path | None = None,
    alone: bool = False,
    discriminator: keras.Model | None = None,
) -> PIREstimator | LinearEstimator:
    """An estimator of the config on these answers; `alone`, by the chief without the other processes of its job."""
    settings, compute = config.estimator, config.compute
    one_process = alone and kind(compute) == "multiworker"
    with contextlib.nullcontext() if one_process else strategy(compute).scope():
        return fit_estimator(
            images,
            answers,
            settings,
            seed=seed,
            initial=initial,
            features=feature_maker(settings, cache),
            compute=compute,
            directory=directory,
            callbacks=[ProgressBar(title, settings.steps, {"loss": "loss"})],
            discriminator=discriminator,
        )


def _of_folds(
    images: np.ndarray,
    answers: Interactions,
    config: ExperimentConfig,
    cache: Path | None,
    *,
    seed: int,
    initial: Path | None,
    discriminator: keras.Model | None,
) -> dict[str, Any]:
    """How well estimators predict people's answers to images that they weren't trained on. Source: D21."""
    if answers.rated.sum() < (fewest := few(config.estimator)):
        return {"measured_on": f"nothing: fewer than {fewest} images have answers"}
    quality = cross_validated_quality(
        images,
        answers,
        dataclasses.replace(config.estimator, pessimism=0.0),
        seed=seed,
        folds=FOLDS,
        compute=config.compute,
        features=feature_maker(config.estimator, cache),
        initial=initial,
        discriminator=discriminator,
    )
    return {**quality, "measured_on": "people's answers, each image by an estimator that was trained without it"}


def training_pir(run: RunDirectory) -> np.ndarray:
    """PIR of the images that the estimator learned from: noise-free when simulated, else observed (D14)."""
    interactions = Interactions.load(run.file("interactions", "interactions.csv"))
    rows = _rows(run, interactions, of_judge=False)
    if truth := true_pir(run):
        pir = truth(Shown.load(run).images)  # of all, which is remembered
        return pir if rows is None else pir[rows]
    return interactions.pir[interactions.rated if rows is None else rows]


def feature_maker(config: EstimatorConfig, cache: Path | None) -> FeatureMaker:
    """What `fit_estimator` makes features with, float32 `[n, f]` of uint8 images `[n, h, w, 3]`, so that no image is seen twice.

    With `trainable: head` the estimator, the second judge and the folds all learn from the same features. Within a process they
    are remembered for each image alone, so that folds find theirs; between runs that share a cache, for whole sets.

    Two backbones are one if their architectures and weights, wherever these came from, are equal.
    """

    def make(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
        weights = digest(*(keras.ops.convert_to_numpy(weight) for weight in backbone.weights))
        architecture: list[Any] = [config.backbone, config.layer, config.image_size, list(config.input_range)]
        if config.output == "linear":
            architecture += ["means and roots of mean squares", config.grid]
        name = {"architecture": architecture, "weights": weights}

        def compute(new: np.ndarray) -> np.ndarray:
            key = {"backbone": name, "images": digest(new)}
            return cached(cache, "features", key, lambda: {"features": backbone_features(backbone, new)})["features"]

        return _remembered(str(name)).of(images, compute)

    return make


@functools.lru_cache(maxsize=1)
def _remembered(backbone: str) -> Rows:
    """Features by image, of the backbone that was used last in this process."""
    del backbone
    return Rows()
