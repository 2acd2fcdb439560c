"""Stage `gan`: the pretrained networks, trained here, taken from the package, imported, or in a second round the first one's."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.config import DataConfig, ExperimentConfig, derived_seed
from pir_tf.data import sources
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.experiments.cache import cached
from pir_tf.experiments.imported import write_imported
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.experiments.stopwatch import Stopwatch, TimeFirstStep
from pir_tf.gan.bundled import bundled_networks
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import build_acgan, train_acgan
from pir_tf.runs.directory import RunDirectory, read_json, write_json
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.devices import is_chief, strategy, use_fast_forms
from pir_tf.training.precision import mixed


def load_data(config: ExperimentConfig, cache: Path | None, noted: Path) -> ImageSet:
    """The real images of an experiment, which must be the same whenever its run goes on.

    Args:
        config: the experiment.
        cache: the directory in which runs leave what others would compute again, or None.
        noted: the run's file that notes which images these are, once they have been read.

    Raises:
        InputError: the source can't be used, or holds other images or classes than when this run first read it.
    """
    image_set = _load(config.data, derived_seed(config.seed, "data"), config.gan.kind == "gan", cache)
    names, count = list(image_set.class_names), len(image_set.images)
    facts = {"class_names": names, "images": count, "sha256": image_set.digest}
    if not noted.exists():
        if is_chief():
            write_json(noted, facts)
    elif (old := read_json(noted)) != facts:
        raise InputError(
            f"data.source holds {count} images of the classes {', '.join(names)} now, while this run began with "
            f"{old['images']} (other pixels count too) of {', '.join(old['class_names'])}: restore them, or name another "
            "--run-dir."
        )
    return image_set


@functools.lru_cache(maxsize=1)
def _load(data: DataConfig, seed: int, one_class: bool, cache: Path | None = None) -> ImageSet:
    """Loads the images once for all stages of a process; with one class, that of a GAN without classes (2.1)."""
    print(f"Loading real images from {data.source}", flush=True)
    image_set = _rendered(data, seed, cache) if data.source == "landscapes" else _from_source(data, seed)
    if not one_class:
        return image_set
    name = "landscape" if data.source == "landscapes" else "+".join(image_set.class_names)
    return ImageSet(image_set.images, np.zeros_like(image_set.labels), (name,))


def _rendered(data: DataConfig, seed: int, cache: Path | None) -> ImageSet:
    """The embedded landscapes, which runs with one cache render once."""

    def render() -> dict[str, np.ndarray]:
        made = _from_source(data, seed)
        return {"images": made.images, "labels": made.labels, "class_names": np.array(made.class_names)}

    made = cached(cache, "landscapes", {**dataclasses.asdict(data), "seed": seed}, render)
    return ImageSet(made["images"], made["labels"], tuple(made["class_names"].tolist()))


def _from_source(data: DataConfig, seed: int) -> ImageSet:
    return sources.load(
        data.source,
        image_size=data.image_size,
        classes=data.classes,
        count=data.count,
        seed=seed,
        split=data.split,
        on_bad_file=data.on_bad_file,
    )


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `gan/generator.keras`, `gan/discriminator.keras` and `gan/generator.json`; an imported one has no discriminator."""
    config = run.config
    directory = run.file("gan", "generator.keras").parent
    if not is_chief() and (config.first_round or config.gan.generator != "train"):
        return {}  # nothing is trained
    if first := RoundBefore.of(config):
        first.copy_networks(directory)
        if first.file("", "data.json").exists() and not (run.path / "data.json").exists():
            first.copy("", "data.json", run.path / "data.json")  # which `load_data` then holds the real images against
        return {"taken_from": first.path.resolve().name}
    if config.gan.generator.startswith("import:"):
        return write_imported(run)
    if config.gan.generator == "bundled":
        bundled_networks(dropout=config.gan.dropout).save(directory)
        return {}
    image_set, watch = load_data(config, run.cache, run.path / "data.json"), Stopwatch()
    networks = _train(run, image_set, directory, TimeFirstStep(watch))
    if is_chief():
        networks.save(directory)
    return {"parts": watch.parts}


def _train(run: RunDirectory, image_set: ImageSet, directory: Path, clock: keras.callbacks.Callback) -> Networks:
    """The networks that pretraining ends with."""
    config, compute, names = run.config, run.config.compute, image_set.class_names
    with strategy(compute).scope():
        acgan = build_acgan(config.gan, class_count=len(names), seed=config.seed, fast=use_fast_forms(compute))
    shown = {"discriminator_loss": "D", "generator_loss": "G", "swd": "distance"}
    bar = ProgressBar("Pretraining the ACGAN", config.gan.steps, shown)
    with mixed(compute.precision, acgan.generator, acgan.discriminator):
        train_acgan(
            acgan,
            image_set,
            config.gan,
            directory,
            seed=config.seed,
            jit_compile=run.forms["gan"] == "on",
            callbacks=[clock, bar],
        )
    return Networks(acgan.generator, acgan.discriminator, names)
