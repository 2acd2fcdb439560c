"""How the machine computes, set once when the process starts: determinism and quiet logs.

What is not here yet: distribution and precision.
"""

from __future__ import annotations

import os

from pir_tf.config import ComputeConfig


def quiet_logs() -> None:
    """Keeps TensorFlow's start-up notes off the terminal. Call before TensorFlow is imported; a set value is kept."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


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
