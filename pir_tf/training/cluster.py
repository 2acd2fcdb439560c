"""Who this process is among the machines of one job: the environment variable `TF_CONFIG`, read and checked.

TensorFlow reads the same variable. It is checked here first, because a mistake in it shows there as a stack trace or as a wait
without end. What is not here: the strategy (`compute`) and what a training step does on many replicas (`replicas`).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from pir_tf.errors import InputError

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

    @property
    def is_chief(self) -> bool:
        """Whether this process writes the job's files."""
        return self.index == 0


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
