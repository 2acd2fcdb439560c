"""The files that a config names, by SHA-256: what makes two runs the same is their content, not where they lie."""

from __future__ import annotations

from pir_tf.config import ExperimentConfig
from pir_tf.estimator.weights import find_weights, imagenet_file, sha256


def named_files(config: ExperimentConfig) -> dict[str, str]:
    """SHA-256 of each weights file of the config, by the name of its field.

    Raises:
        InputError: a file is not there.
    """
    scheme, _, name = config.estimator.weights.partition(":")
    return {"estimator.weights": sha256(find_weights(name))} if scheme == "file" else {}


def require_weights(config: ExperimentConfig) -> None:
    """Has the estimator's downloaded weights at hand before a long stage begins, not after it.

    Raises:
        InputError: they are not there and can't be fetched.
    """
    if config.estimator.weights == "imagenet":
        imagenet_file()
