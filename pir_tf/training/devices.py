"""How the machines compute, set once when the process starts: devices, determinism, quiet logs, which forms of the same passes.

What is not here: what a training step does on many replicas (`replicas`) and bfloat16 (`precision`).
"""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pir_tf.config import ComputeConfig
from pir_tf.errors import InputError
from pir_tf.training.cluster import read_cluster

if TYPE_CHECKING:
    import tensorflow as tf


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
    """Finds the devices, seeds Keras's global generator and, when asked, turns on deterministic operations.

    Several processes of one job meet here: each waits for the others.

    Args:
        config: the compute section.
        seed: the experiment's seed.

    Raises:
        InputError: `TF_CONFIG` or the devices don't serve what `config.distribute` asks for.
    """
    import keras
    import tensorflow as tf

    strategy(config)
    keras.utils.set_random_seed(seed)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()


def kind(config: ComputeConfig) -> str:
    """How training is distributed: `none`, `mirrored` or `multiworker`; what `auto` means is decided here.

    Raises:
        InputError: `TF_CONFIG` is wrong, or doesn't agree with `config.distribute`.
    """
    processes = read_cluster().size
    if config.distribute == "multiworker" and processes == 1:
        raise InputError(
            "compute.distribute is multiworker, but the environment variable TF_CONFIG names no second process: set it in each "
            "process of the job, or use mirrored."
        )
    if config.distribute not in ("auto", "multiworker") and processes > 1:
        raise InputError(
            f"compute.distribute is {config.distribute}, but the environment variable TF_CONFIG names {processes} processes: use "
            "multiworker, or unset TF_CONFIG."
        )
    if config.distribute != "auto":
        return config.distribute
    if processes > 1:
        return "multiworker"
    import tensorflow as tf

    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


def strategy(config: ComputeConfig) -> tf.distribute.Strategy:
    """The process's one strategy of `tf.distribute`, under whose `scope()` networks are made and trained.

    Raises:
        InputError: as `kind`, or TensorFlow was in use before its devices could be set.
    """
    return _strategy(kind(config), config.logical_cpus)


@functools.lru_cache(maxsize=1)
def _strategy(kind: str, logical_cpus: int) -> tf.distribute.Strategy:
    import tensorflow as tf

    if logical_cpus:
        cpu = tf.config.list_physical_devices("CPU")[0]
        try:
            tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * logical_cpus)
        except RuntimeError as error:
            raise InputError(
                f"compute.logical_cpus is {logical_cpus}, but TensorFlow's devices are in use already ({error}): set it in a "
                "new process."
            ) from None
    if kind == "multiworker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    if kind == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.get_strategy()


def is_chief(config: ComputeConfig) -> bool:
    """Whether this process writes the run's files: the only one, or the first of a job's."""
    return kind(config) != "multiworker" or read_cluster().is_chief


def says_that_one_is_gone(config: ComputeConfig, error: Exception) -> bool:
    """Whether an error in one process of a job means that another one ended."""
    import tensorflow as tf

    kinds = (tf.errors.UnavailableError, tf.errors.InternalError, tf.errors.AbortedError, tf.errors.CancelledError)
    late = (tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError)
    return kind(config) == "multiworker" and isinstance(error, kinds + late)


def use_fast_forms(config: ComputeConfig) -> bool:
    """Whether training passes take the cheaper, equal forms of `gan.fast` and `estimator.frozen`.

    Args:
        config: the compute section; its `auto` means: on one device, where TensorFlow sees no GPU, in float32.

    Raises:
        InputError: they are asked for where they can't be used.
    """
    import tensorflow as tf

    possible = kind(config) == "none" and config.precision == "float32"
    if config.kernels == "fast" and not possible:
        raise InputError(
            f"compute.kernels is fast with the distribution {kind(config)} in {config.precision}, expected none and float32, "
            "which the fast forms are made for: use auto or stock."
        )
    if not possible:
        return False
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
