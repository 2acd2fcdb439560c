"""How the machine computes, set once when the process starts: determinism, quiet logs, and which forms of the same passes.

What is not here yet: distribution and precision.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from pir_tf.config import ComputeConfig


def import_quietly() -> None:
    """Imports TensorFlow without its start-up notes; a `TF_CPP_MIN_LOG_LEVEL` that is set brings them back.

    Some notes come before TensorFlow reads that variable, so standard error is closed for the length of the import. What
    goes wrong in it is a Python exception all the same.
    """
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with _no_standard_error():
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
        del keras


def configure(config: ComputeConfig, *, seed: int) -> None:
    """Seeds Keras's global generator and, when asked, turns on deterministic operations.

    Args:
        config: the compute section.
        seed: the experiment's seed.
    """
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()


def use_fast_forms(config: ComputeConfig) -> bool:
    """Whether training passes take the cheaper, equal forms of `gan.fast` and `estimator.frozen`.

    Args:
        config: the compute section; its `auto` means: where TensorFlow sees no GPU.
    """
    import tensorflow as tf

    return config.kernels == "fast" or (config.kernels == "auto" and not tf.config.list_physical_devices("GPU"))


@contextlib.contextmanager
def _no_standard_error() -> Iterator[None]:
    saved = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(nowhere)
        os.close(saved)
