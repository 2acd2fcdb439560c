"""Stage `gan`: the pretrained networks, trained here, taken from the package, imported, or in a second round the first one's."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.config import DataConfig, derived_seed
from pir_tf.data import sources
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.experiments.cache import cached
from pir_tf.experiments.imported import write_imported
from pir_tf.experiments.rounds import FirstRound
from pir_tf.experiments.stopwatch import Stopwatch, TimeFirstStep
from pir_tf.gan.bundled import bundled_networks
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import build_acgan, train_acgan
from pir_tf.runs.directory import RunDirectory, read_json, write_json
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.devices import is_chief, strategy, use_fast_forms
from pir_tf.training.precision import mixed


def load_data(run: RunDirectory) -> ImageSet:
    """The real images of the experiment, which must be the same whenever the run goes on.

    Raises:
        InputError: the source can't be used, or holds other images or classes than when this run first read it.
    """
    data, seed = run.config.data, derived_seed(run.config.seed, "data")
    image_set = _load(data, seed, run.config.gan.kind == "gan", run.cache)
    facts: dict[str, Any] = {
        "class_names": list(image_set.class_names),
        "images": len(image_set.images),
        "sha256": image_set.digest,
    }
    path = run.path / "data.json"
    if not path.exists():
        if is_chief(run.config.compute):
            write_json(path, facts)
    elif (old := read_json(path)) != facts:
        raise InputError(
            f"data.source holds {facts['images']} images of the classes {', '.join(facts['class_names'])} now, while this run "
            f"began with {old['images']} (other pixels count too) of {', '.join(old['class_names'])}: restore them, or name "
            "another --run-dir."
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
    first = FirstRound.of(config)
    if not is_chief(config.compute) and (first is not None or config.gan.generator != "train"):
        return {}  # nothing is trained
    if first is not None:
        first.copy_networks(directory)
        if first.file("", "data.json").exists() and not (run.path / "data.json").exists():
            first.copy("", "data.json", run.path / "data.json")  # which `load_data` then holds the real images against
        return {"taken_from": first.path.resolve().name}
    if config.gan.generator.startswith("import:"):
        return write_imported(run)
    if config.gan.generator == "bundled":
        bundled_networks(dropout=config.gan.dropout).save(directory)
        return {}
    image_set, watch = load_data(run), Stopwatch()
    with strategy(config.compute).scope():
        acgan = build_acgan(
            config.gan,
            class_count=len(image_set.class_names),
            seed=config.seed,
            fast=use_fast_forms(config.compute),
        )
    shown = {"discriminator_loss": "D", "generator_loss": "G", "swd": "distance"}
    bar = ProgressBar("Pretraining the ACGAN", config.gan.steps, done=lambda: int(acgan.step.numpy()), shown=shown)
    with mixed(config.compute.precision, acgan.generator, acgan.discriminator):
        train_acgan(
            acgan,
            image_set,
            config.gan,
            directory,
            seed=config.seed,
            jit_compile=config.compute.jit_compile,
            callbacks=[TimeFirstStep(watch), bar] if is_chief(config.compute) else [],
        )
    if not is_chief(config.compute):
        return {}
    Networks(acgan.generator, acgan.discriminator, image_set.class_names).save(directory)
    return {"parts": watch.parts}
