"""A sweep's jobs as tasks of an existing Ray cluster, one process each.

Ray shares no files: the sweep's directory, weights files and image folders must lie under the same paths on every machine of the
cluster (a shared filesystem), and the package must be installed there. What a job reserves decides where and when it runs; it
computes with all cores of its machine.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError
from pir_tf.paper.jobs import Job
from pir_tf.paper.workers import PROGRAM, start_process, stop_processes

_FORWARDED = ("PIR_TF_", "TF_", "KERAS_", "XLA_", "PYTHONPATH")


class RayTasks:
    """Jobs on a Ray cluster.

    Args:
        address: `auto` for the cluster that this machine is part of, `HOST:PORT`, or `ray://HOST:PORT`.
        count: Jobs at once; as many as the cluster has room for when None.
        cpus: CPUs that a job reserves.
        gpus: GPUs, or parts of one, that a job reserves; Ray shows it these alone.
        environment: Variables set for the jobs, beside those of this process whose names start with PIR_TF_, TF_ and the like.
        program: What is run with a job's words, after Python's own path on that machine; None means the experiment's module.

    Raises:
        InputError: Ray isn't installed, there is no such cluster, or none of its nodes has what a job reserves.
    """

    def __init__(
        self,
        address: str,
        *,
        count: int | None,
        cpus: float,
        gpus: float,
        environment: Mapping[str, str],
        program: Sequence[str] | None = None,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError(
                "--ray needs the package ray, which is not installed: pip install 'pir_tf[sweep]', or leave out --ray."
            ) from error
        self._ray = ray
        _require_reachable(address)
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, RuntimeError, ValueError) as error:
            said = " ".join(str(error).split()).partition(". ")[0]
            raise InputError(
                f"--ray {address} is no Ray cluster that answers ({said}): start one with `ray start`, or name another."
            ) from error
        try:
            _require_room(ray.nodes(), cpus, gpus)
        except InputError:
            ray.shutdown()
            raise
        self._count, self._cpus, self._gpus = count, cpus, gpus
        inherited = {name: value for name, value in os.environ.items() if name.startswith(_FORWARDED)}
        self._environment = {**inherited, **environment}
        self._program = list(program if program is not None else PROGRAM[1:])
        self._task = ray.remote(num_cpus=cpus, num_gpus=gpus)(run_in_process)
        self._running: dict[str, tuple[Any, Path]] = {}

    @property
    def capacity(self) -> int:
        """As many jobs as were asked for, or as the cluster has room for now: none while no node with enough is alive."""
        if self._count is not None:
            return self._count
        return room(self._ray.nodes(), self._cpus, self._gpus)

    def start(self, job: Job) -> None:
        """Hands a job to the cluster; its output is appended to `log.txt` in its directory."""
        line = [*self._program, *job.words]
        reference = self._task.options(name=job.name).remote(line, str(job.directory), self._environment)
        self._running[job.name] = (reference, job.directory)

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes of the jobs that have ended since the last call."""
        ended = []
        for name, (reference, directory) in list(self._running.items()):
            if self._ray.wait([reference], timeout=0)[0]:
                del self._running[name]
                ended.append((name, self._code(reference, directory)))
        return ended

    def stop(self) -> None:
        """Ends all jobs and leaves the cluster as it is."""
        references = [reference for reference, _ in self._running.values()]
        for reference in references:
            self._ray.cancel(reference)
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=15)
        self._running.clear()
        self._ray.shutdown()

    def _code(self, reference: Any, directory: Path) -> int:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            # The machine or the worker is gone, after Ray's own attempts.
            with open(directory / "log.txt", "a", encoding="utf-8") as log:
                log.write(f"\nError: Ray lost this job ({type(error).__name__}): repeat the sweep to go on with it.\n")
            return 1


def room(nodes: Iterable[Mapping[str, Any]], cpus: float, gpus: float) -> int:
    """Jobs that a cluster's live nodes hold at once: each lies on one node, which has all that it reserves.

    Args:
        nodes: What `ray.nodes()` says.
        cpus: CPUs that a job reserves.
        gpus: GPUs that a job reserves; one of both is above 0.
    """
    needs = [(name, each) for name, each in (("CPU", cpus), ("GPU", gpus)) if each > 0]
    live = [node["Resources"] for node in nodes if node["Alive"]]
    # 0.3 / 0.1 is rounded to a little less than 3.
    return sum(int(min(there.get(name, 0) / each for name, each in needs) + 1e-6) for there in live)


def _require_room(nodes: Sequence[Mapping[str, Any]], cpus: float, gpus: float) -> None:
    """Says at once that no node can ever run a job: Ray itself would wait for such a node without end.

    Raises:
        InputError: no live node has both what `--cpus` and what `--gpus` reserve.
    """
    if room(nodes, cpus, gpus):
        return
    live = [node["Resources"] for node in nodes if node["Alive"]]
    each = dict.fromkeys(f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs" for there in live)
    found = "; ".join(each) or "no node is alive"
    raise InputError(
        f"--cpus is {cpus:g} and --gpus {gpus:g}, expected what a node of the Ray cluster has ({found}): change them, or add a "
        "node with as much."
    )


def _require_reachable(address: str) -> None:
    """Says at once that nothing answers there: Ray itself tries for minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"--ray {address} is no Ray cluster that answers ({error}): start one with `ray start`, or name another."
        ) from error


def run_in_process(words: Sequence[str], directory: str, environment: Mapping[str, str]) -> int:
    """The task: a process of its own on the machine that Ray chose.

    Returns:
        Its exit code.
    """
    Path(directory).mkdir(parents=True, exist_ok=True)
    process = start_process([sys.executable, *words], Path(directory), environment)
    try:
        while (code := process.poll()) is None:
            time.sleep(0.2)  # so that a cancelled task is noticed
        return code
    finally:
        stop_processes([process])
