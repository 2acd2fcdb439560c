"""How the machines compute, set once when the process starts: devices, determinism, quiet logs, fast forms, and this process's
place in a job (`TF_CONFIG`, checked here first: a mistake in it shows in TensorFlow as a stack trace or an endless wait).

What is not here: what a training step does on many replicas (`replicas`) and bfloat16 (`precision`).
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pir_tf.config import ComputeConfig
from pir_tf.errors import InputError

if TYPE_CHECKING:
    import tensorflow as tf


def import_quietly() -> None:
    """Imports TensorFlow without its start-up notes, and Keras without what the user's `keras.json` says.

    A `TF_CPP_MIN_LOG_LEVEL` that is set brings the notes back. Some come before TensorFlow reads it, so standard error is
    closed for the length of the import. What goes wrong in it is a Python exception all the same.
    """
    loud = "TF_CPP_MIN_LOG_LEVEL" in os.environ
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.nullcontext() if loud else _no_standard_error():
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)


def require_channels_last() -> None:
    """Refuses to build networks where Keras's settings, which commands set themselves, are others than theirs.

    Raises:
        InputError: Keras has another backend or order of axes.
    """
    import keras

    found = (keras.config.backend(), keras.config.image_data_format())
    if found != ("tensorflow", "channels_last"):
        raise InputError(
            f"Keras is set to {found[0]} and {found[1]}, expected tensorflow and channels_last: change the file keras.json in "
            "~/.keras or $KERAS_HOME, or the environment variable KERAS_BACKEND."
        )


def configure(config: ComputeConfig, *, seed: int) -> None:
    """Finds the devices, where processes of one job meet, shares a GPU's memory, seeds Keras's global generator and turns on
    determinism when asked.

    Raises:
        InputError: `TF_CONFIG` or the devices don't serve what `config.distribute` asks for.
    """
    import keras
    import tensorflow as tf

    share_memory()
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
    return "mirrored" if gpus() > 1 else "none"


def gpus() -> int:
    """How many GPUs TensorFlow sees."""
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


def share_memory() -> None:
    """Lets another program have what this one doesn't use of a GPU's memory. It stays as it is where a GPU is in use already.

    `TF_FORCE_GPU_ALLOW_GROWTH=false` in the environment, which TensorFlow heeds, takes all of it.
    """
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError, ValueError):  # in use; or the user has cut it into logical devices
            tf.config.experimental.set_memory_growth(gpu, True)


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
        meet(read_cluster())
        before = signal.getsignal(signal.SIGTERM) or signal.SIG_DFL
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        signal.signal(signal.SIGTERM, before)  # TensorFlow's own action doesn't end the process
        return strategy
    if kind == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        return tf.distribute.MirroredStrategy([device.name for device in gpus or tf.config.list_logical_devices("CPU")])
    return tf.distribute.get_strategy()


def is_chief() -> bool:
    """Whether this process writes the job's files: the only one, or the first that `TF_CONFIG` names."""
    return read_cluster().index == 0


def is_peer_failure(config: ComputeConfig, error: Exception) -> bool:
    """Whether an error in one process of a job means that another one ended."""
    import tensorflow as tf

    names = ("Unavailable", "Internal", "Aborted", "Cancelled", "DeadlineExceeded", "FailedPrecondition")
    kinds = tuple(getattr(tf.errors, f"{name}Error") for name in names)
    return kind(config) == "multiworker" and isinstance(error, kinds)


def use_fast_forms(config: ComputeConfig) -> bool:
    """Whether training passes take the cheaper, equal forms of `gan.fast` and `estimator.frozen`.

    Raises:
        InputError: they are asked for where they can't be used.
    """
    possible = kind(config) == "none" and config.precision == "float32"
    if config.kernels == "fast" and not possible:
        raise InputError(
            f"compute.kernels is fast with the distribution {kind(config)} in {config.precision}, expected none and float32, "
            "which the fast forms are made for: use auto or stock."
        )
    chosen = config.kernels == "fast" or (config.kernels == "auto" and not gpus())
    return possible and chosen


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
    """The processes of a job and this one's place among them."""

    addresses: dict[str, str] = field(default_factory=dict)
    """`HOST:PORT` of each by what TensorFlow calls it (`worker 0`), the chief first; empty for one process alone."""
    task: str = ""
    """What TensorFlow calls this one."""

    @property
    def size(self) -> int:
        """Number of processes."""
        return max(1, len(self.addresses))

    @property
    def index(self) -> int:
        """This one's place, from 0; the process at 0 is the chief, which alone writes."""
        return list(self.addresses).index(self.task) if self.addresses else 0


def read_cluster(environment: str | None = None) -> Cluster:
    """The cluster that `TF_CONFIG` describes; one process when it is not set.

    Args:
        environment: its text, for tests; default the environment's.

    Raises:
        InputError: it is not the JSON that TensorFlow expects, names another kind of task, a place that doesn't exist, or one
            address twice.
    """
    text = os.environ.get("TF_CONFIG", "") if environment is None else environment
    if not text.strip():
        return Cluster()
    try:
        found = json.loads(text)
    except ValueError as error:
        raise _wrong(f"{text[:80]!r}, which is no JSON ({error})") from None
    if found == {}:
        return Cluster()
    cluster, task = _part(found, "cluster"), _part(found, "task")
    if other := [name for name in cluster if name not in TASKS]:
        raise _wrong(f"tasks of the type {', '.join(map(str, other))} in cluster, which this program doesn't use")
    addresses = {f"{name} {i}": one for name in TASKS for i, one in enumerate(_addresses(cluster, name))}
    if not addresses:
        raise _wrong("a cluster without workers")
    if twice := {one for one in addresses.values() if list(addresses.values()).count(one) > 1}:
        raise _wrong(f"the address {', '.join(sorted(twice))} twice in cluster")
    place = f"{task.get('type')} {task.get('index')}"  # TensorFlow takes "0" for 0 too
    if place not in addresses:
        raise _wrong(f"task {json.dumps(task)}, which is not among the {len(addresses)} processes of its cluster")
    return Cluster(addresses, place)


def _addresses(cluster: dict[str, Any], name: str) -> list[str]:
    addresses = cluster.get(name, [])
    if not isinstance(addresses, list):
        raise _wrong(f"cluster.{name} = {json.dumps(addresses)}, which is no list")
    for address in addresses:
        host, port = _host_and_port(address) if isinstance(address, str) else ("", "")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            raise _wrong(f"the address {json.dumps(address)} in cluster.{name}")
    return addresses


def _host_and_port(address: str) -> tuple[str, str]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), port


def _part(found: Any, name: str) -> dict[str, Any]:
    part = found.get(name) if isinstance(found, dict) else None
    if not isinstance(part, dict):
        raise _wrong(f"a text without {name}")
    return part


def _wrong(received: str) -> InputError:
    return InputError(f"TF_CONFIG has {received}; expected for example {EXAMPLE}: correct the environment variable.")


def meet(cluster: Cluster, every: float = 60.0) -> None:
    """Waits until all processes of the job can be reached, and says which can't, soon and then `every` so many seconds.

    TensorFlow's own wait, which follows, says nothing, and neither Ctrl-C nor SIGTERM ends it. Who has gone on to it is reached
    at the same address.

    Raises:
        InputError: this process's own port is in use.
    """
    port = int(_host_and_port(cluster.addresses[cluster.task])[1])
    said = time.monotonic() - every + min(2.0, every)  # who starts with the others needs no line
    with _listening(port) as server:
        while missing := _unreachable(cluster):
            if time.monotonic() - said >= every:
                said = time.monotonic()
                print(f"Waiting for {', '.join(missing)}: start every process of the job.", flush=True)
            time.sleep(0.3)
            with contextlib.suppress(BlockingIOError):  # takes the others' calls, which want nothing more
                while True:
                    server.accept()[0].close()


def _listening(port: int) -> socket.socket:
    try:
        server = socket.create_server(("", port))
    except OSError as error:
        raise InputError(
            f"TF_CONFIG gives this process the port {port}, which can't be used ({error.strerror}): choose another one."
        ) from error
    server.setblocking(False)
    return server


def _unreachable(cluster: Cluster) -> list[str]:
    """The other processes that don't answer, with the reason of each."""
    missing = []
    for task, address in cluster.addresses.items():
        if task != cluster.task:
            try:
                socket.create_connection(_host_and_port(address), timeout=2.0).close()
            except OSError as error:
                missing.append(f"{task} at {address} ({error.strerror or error})")
    return missing
