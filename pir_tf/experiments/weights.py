"""The files that a config names, by SHA-256: what makes two runs the same is their content, not where they lie."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from pir_tf.config import ExperimentConfig
from pir_tf.errors import InputError
from pir_tf.objective_names import is_vgg, parse_vgg
from pir_tf.objectives import vgg
from pir_tf.pretrained import INCEPTION_V3, find_weights, imagenet_file, sha256


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
    """Has the weights that some stages read at hand and looked at, before a long stage begins, not after it.

    Args:
        config: the experiment.
        stages: those that are still to run.

    Raises:
        InputError: weights are not there and can't be fetched, or they lack a layer.
    """
    used = _used(config)
    judged = "evaluation" in stages and config.evaluation.judge
    if used["estimator.weights"] == "imagenet" and ("estimator" in stages or judged):
        imagenet_file(INCEPTION_V3)
    if "evaluation" in stages:
        vgg.weights_file(("pool5",), used["evaluation.kid_weights"], option="evaluation.kid_weights")
    scored = {"interactions", "estimator", "tuning", "evaluation"} & set(stages)
    if scored and "interactions.vgg_weights" in used:
        vgg.weights_file((parse_vgg(config.interactions.objective).layer,), used["interactions.vgg_weights"])


def _used(config: ExperimentConfig) -> dict[str, str]:
    """The fields of weights that this experiment reads, and what they say."""
    used = {"estimator.weights": config.estimator.weights, "evaluation.kid_weights": config.evaluation.kid_weights}
    if config.interactions.source == "simulated" and is_vgg(config.interactions.objective):
        used["interactions.vgg_weights"] = config.interactions.vgg_weights
    return used
