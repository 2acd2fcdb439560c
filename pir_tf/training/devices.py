"""How the machines compute, set once when the process starts: devices, determinism, quiet logs, fast forms, and this process's
place in a job (`TF_CONFIG`, checked here first: a mistake in it shows in TensorFlow as a stack trace or an endless wait).

What is not here: what a training step does on many replicas (`replicas`) and bfloat16 (`precision`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pir_tf.config import ComputeConfig
from pir_tf.errors import InputError

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


def is_chief() -> bool:
    """Whether this process writes the job's files: the only one, or the first that `TF_CONFIG` names."""
    return read_cluster().index == 0


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


TASKS = ("chief", "worker")
EXAMPLE = '{"cluster": {"worker": ["host1:12345", "host2:12345"]}, "task": {"type": "worker", "index": 0}}'


@dataclass(frozen=True)
class Cluster:
    """The processes of a job and this one's place among them.

    Attributes:
        size: Number of processes.
        index: This one's place, from 0; the process at 0 is the chief, which alone writes.
        task: What TensorFlow calls this one, such as `worker 0`.
    """

    size: int = 1
    index: int = 0
    task: str = ""


def read_cluster(environment: str | None = None) -> Cluster:
    """The cluster that `TF_CONFIG` describes; one process when it is not set.

    Args:
        environment: its text, for tests; default the environment's.

    Raises:
        InputError: it is not the JSON that TensorFlow expects, names another kind of task, or a place that doesn't exist.
    """
    text = os.environ.get("TF_CONFIG", "") if environment is None else environment
    if not text.strip():
        return Cluster()
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(f"{text[:80]!r}, which is no JSON ({error})") from None
    cluster = _part(found, "cluster", dict)
    task = _part(found, "task", dict)
    if other := [name for name in cluster if name not in TASKS]:
        raise _wrong(f"tasks of the type {', '.join(map(str, other))} in cluster, which this program doesn't use")
    processes = [(name, i) for name in TASKS for i in range(len(_addresses(cluster, name)))]
    if not processes:
        raise _wrong("a cluster without workers")
    place = (task.get("type"), task.get("index"))
    if place not in processes or isinstance(place[1], bool):
        raise _wrong(f"task {json.dumps(task)}, which is not among the {len(processes)} processes of its cluster")
    return Cluster(len(processes), processes.index(place), f"{place[0]} {place[1]}")


def _addresses(cluster: dict[str, Any], name: str) -> list[str]:
    addresses = cluster.get(name, [])
    if not isinstance(addresses, list):
        raise _wrong(f"cluster.{name} = {json.dumps(addresses)}, which is no list")
    for address in addresses:
        host, _, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise _wrong(f"the address {json.dumps(address)} in cluster.{name}")
    return addresses


def _part(found: Any, name: str, kind: type) -> Any:
    part = found.get(name) if isinstance(found, dict) else None
    if not isinstance(part, kind):
        raise _wrong(f"a text without {name}")
    return part


def _wrong(received: str) -> InputError:
    return InputError(f"TF_CONFIG has {received}; expected for example {EXAMPLE}: correct the environment variable.")
