"""What an experiment reads from outside, looked at before its first stage: files by content, weights, real images."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pir_tf.config import ExperimentConfig
from pir_tf.data.landscapes import CLASS_NAMES
from pir_tf.errors import InputError
from pir_tf.estimator import hub
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.gan.imported.generator import imported_facts
from pir_tf.objective_names import parse
from pir_tf.objectives import vgg
from pir_tf.pretrained import INCEPTION_V3, find_weights, imagenet_file, sha256
from pir_tf.runs.directory import RunDirectory, read_json
from pir_tf.training import devices


def named_files(config: ExperimentConfig) -> dict[str, str]:
    """SHA-256 of each file of weights, and of an imported generator, that the experiment reads, by the name of its field.

    Raises:
        InputError: a file is not there.
    """
    named = {
        field: sha256(find_weights(weights.removeprefix("file:")))
        for field, weights in _used(config).items()
        if weights.startswith("file:")
    }
    scheme, _, path = config.gan.generator.partition(":")
    return {**named, "gan.generator": _content(Path(path).expanduser())} if scheme == "import" else named


def _content(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents of all files of a folder."""
    if path.is_file():
        return sha256(path)
    if not path.is_dir():
        raise InputError(
            f"gan.generator names {path}, which is not there, expected a Keras model saved as .keras, or a SavedModel folder: "
            "correct import:PATH."
        )
    files = sorted(file for file in path.rglob("*") if file.is_file())
    listed = "".join(f"{sha256(file)} {file.relative_to(path).as_posix()}\n" for file in files)
    return hashlib.sha256(listed.encode()).hexdigest()


def require_weights(config: ExperimentConfig, stages: Sequence[str]) -> None:
    """Has the weights at hand that the stages read which are still to run.

    Raises:
        InputError: weights are not there and can't be fetched, or they lack a layer.
    """
    used = _used(config)
    scheme, _, handle = used["estimator.weights"].partition(":")
    if "estimator" in stages or ("evaluation" in stages and config.evaluation.judge):
        if scheme == "imagenet":
            imagenet_file(INCEPTION_V3)
        elif scheme == "hub":
            hub.resolve(handle)
    if "evaluation" in stages:
        vgg.weights_file(("pool5",), used["evaluation.kid_weights"], option="evaluation.kid_weights")
    scored = {"interactions", "estimator", "tuning", "evaluation"} & set(stages)
    if scored and "interactions.vgg_weights" in used:
        vgg.weights_file((parse(config.interactions.objective).layer,), used["interactions.vgg_weights"])


def _used(config: ExperimentConfig) -> dict[str, str]:
    """The fields of weights that this experiment reads, and what they say."""
    reads = "inception_v3" in config.estimator.backbone
    used = {
        "estimator.weights": config.estimator.weights if reads else "none",
        "evaluation.kid_weights": config.evaluation.kid_weights,
    }
    if config.interactions.source == "simulated" and parse(config.interactions.objective).layer:
        used["interactions.vgg_weights"] = config.interactions.vgg_weights
    return used


def require_batches(run: RunDirectory, stages: Sequence[str]) -> None:
    """Compares the batch sizes of stages that are still to run with the devices, and with the number of real images.

    Raises:
        InputError: a batch has more rows than there are images, or fewer than devices.
    """
    config = run.config
    first = RoundBefore.of(config)
    trains = config.gan.generator == "train" and not first
    sizes = {name: getattr(config, name).batch_size for name in ("gan", "estimator", "tuning") if name in stages}
    if not trains:
        sizes.pop("gan", None)
    if sizes:
        devices.use_fast_forms(config.compute)  # refuses what is asked for where it can't be had
    replicas = devices.strategy(config.compute).num_replicas_in_sync
    need = {"gan"} if config.tuning.kind != "weights" else {"gan", "tuning"}  # real images
    known = _real_images(run, first, replicas) if need & sizes.keys() else None
    for section, size in sizes.items():
        name, option = f"{section}.batch_size", f"--{section}.batch-size"
        if size < replicas:
            raise InputError(
                f"{name} is {size} for {replicas} devices, expected a row for each at least: raise it with {option} NUMBER, or "
                "use fewer devices."
            )
        if known is not None and section in need and size > known:
            raise InputError(
                f"data.source has {known} images, fewer than a batch of {name}, which is {size}: add images, or lower it with "
                f"{option} {known}."
            )


def require_own_generator(config: ExperimentConfig) -> None:
    """Refuses to move the latents of an imported generator that a first round began with, as the config does in a first one."""
    first = RoundBefore.of(config)
    if config.tuning.kind != "weights" and first and imported_facts(first.path / "tuning"):
        raise InputError(
            f"tuning.kind is {config.tuning.kind!r} and first_round names {first.path}, whose generator is imported and saved in "
            "its own form, expected one of ours: take --tuning.kind weights."
        )


def _real_images(run: RunDirectory, first: RoundBefore | None, replicas: int) -> int | None:
    """How many real images a batch can come from, None where an imported generator needs none. Landscapes aren't rendered yet."""
    data = run.config.data
    if first:
        held = first.file("", "data.json")
        return read_json(held)["images"] if held.exists() else None
    if run.config.gan.generator.startswith("import:"):
        return None
    if data.source == "landscapes":
        return data.count * len(data.classes or CLASS_NAMES) // len(CLASS_NAMES)
    image_set = load_data(run.config, run.cache, run.path / "data.json")
    if devices.kind(run.config.compute) != "multiworker":
        return len(image_set.images)
    return replicas * len(
        image_set.part(replicas - 1, replicas).images
    )  # each learns from a share; the last is the smallest
