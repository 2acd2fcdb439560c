"""Where a sweep's jobs run, a process each: on this machine, or as tasks of an existing Ray cluster.

Each has all cores of its machine: how many threads compute can change the last digits of a result, so it doesn't depend on how
many jobs run at once. The processes end when the sweep does, however it ends.

Ray shares no files: the sweep's directory, weights files and image folders must lie under the same paths on every machine of the
cluster (a shared filesystem), and the package must be installed there.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pir_tf.commands import end_with_parent
from pir_tf.errors import InputError
from pir_tf.paper.jobs import Job, log_size

PROGRAM = ("-m", "pir_tf.experiments.run")
PATIENCE = 10.0
"""Seconds that a process has to end after it was asked to."""

_FORWARDED = ("PIR_TF_", "TF_", "KERAS_", "XLA_", "PYTHONPATH")


class Workers:
    """Processes of this machine: at most `count` at once, which run `program` with these variables set."""

    def __init__(self, count: float, environment: Mapping[str, str], program: Sequence[str] = PROGRAM) -> None:
        self._count, self._environment, self._program = count, environment, program
        self._running: dict[str, Any] = {}

    def has_room(self) -> bool:
        """Whether one more job can start now."""
        return len(self._running) < self._count

    def start(self, job: Job) -> None:
        """Starts a job's process; its output is appended to `log.txt` in its directory."""
        self._running[job.name] = start_process([*self._program, *job.words], job.directory, self._environment)

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes of the jobs that have ended since the last call."""
        codes = {name: process.poll() for name, process in self._running.items()}
        self._running = {name: process for name, process in self._running.items() if codes[name] is None}
        return [(name, code) for name, code in codes.items() if code is not None]

    def stop(self) -> None:
        """Ends all processes."""
        stop_processes(list(self._running.values()))
        self._running.clear()


class RayTasks(Workers):
    """Tasks of a Ray cluster, which decides when and where each runs by what it reserves.

    Args:
        address: `auto` for the cluster that this machine is part of, `HOST:PORT`, or `ray://HOST:PORT`.
        count: Jobs at once; as many as Ray finds room for when None.
        cpus, gpus: What a job reserves, also parts; Ray shows it these GPUs alone.
        environment: Variables set for the jobs, beside this process's own for TensorFlow and the package.
        program: What Python there runs with a job's words.

    Raises:
        InputError: Ray isn't installed, there is no such cluster, or none of its nodes has what a job reserves.
    """

    def __init__(
        self, address: str, count: int | None, cpus: float, gpus: float, environment: Mapping[str, str],
        program: Sequence[str] = PROGRAM,
    ) -> None:  # fmt: skip
        try:
            import ray
        except ImportError as error:
            raise InputError("--ray needs the package ray: pip install 'pir_tf[sweep]', or leave out --ray.") from error
        _connect(ray, address)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        # Ray would wait without end for a node that is large enough.
        if not any(there.get("CPU", 0) >= cpus and there.get("GPU", 0) >= gpus for there in nodes):
            ray.shutdown()
            each = dict.fromkeys(f"{there.get('CPU', 0):g} CPUs and {there.get('GPU', 0):g} GPUs" for there in nodes)
            raise InputError(
                f"--cpus is {cpus:g} and --gpus {gpus:g}, expected what a node of the Ray cluster has "
                f"({'; '.join(each) or 'no node is alive'}): change them, or add a node with as much."
            )
        inherited = {name: value for name, value in os.environ.items() if name.startswith(_FORWARDED)}
        super().__init__(math.inf if count is None else count, {**inherited, **environment}, program)
        self._ray, self._task = ray, ray.remote(num_cpus=cpus, num_gpus=gpus)(run_in_process)

    def has_room(self) -> bool:
        """Whether fewer than `count` run; without one, whether all have begun, so that at most one waits for Ray's room."""
        return super().has_room() and (self._count < math.inf or all(map(_Task.begun, self._running.values())))

    def start(self, job: Job) -> None:
        words, before = [*self._program, *job.words], log_size(job)
        reference = self._task.options(name=job.name).remote(words, str(job.directory), self._environment)
        self._running[job.name] = _Task(self._ray, reference, job, before)

    def stop(self) -> None:
        """Ends all jobs and leaves the cluster as it is."""
        references = [task.reference for task in self._running.values()]
        for reference in references:
            self._ray.cancel(reference)
        if references:
            self._ray.wait(references, num_returns=len(references), timeout=PATIENCE + 5)
        self._running.clear()
        self._ray.shutdown()


@dataclass
class _Task:
    ray: Any
    reference: Any
    job: Job
    log_start: int

    def begun(self) -> bool:
        return log_size(self.job) > self.log_start

    def poll(self) -> int | None:
        """The exit code of its process, None before its end."""
        if not self.ray.wait([self.reference], timeout=0)[0]:
            return None
        try:
            return self.ray.get(self.reference)
        except self.ray.exceptions.RayError as error:
            # The machine or the worker is gone, after Ray's own attempts.
            with open(self.job.directory / "log.txt", "a", encoding="utf-8") as log:
                log.write(f"\nError: Ray lost this job ({type(error).__name__}): repeat the sweep to resume it.\n")
            return 1


def _connect(ray: Any, address: str) -> None:
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host:  # where nothing answers, Ray itself tries for minutes
            socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        said = " ".join(str(error).split()).partition(". ")[0]
        raise InputError(
            f"--ray {address} is no Ray cluster that answers ({said}): start one with `ray start`, or name another."
        ) from error


def run_in_process(words: Sequence[str], directory: str, environment: Mapping[str, str]) -> int:
    """The task: a process of its own on the machine that Ray chose, whose exit code it returns."""
    place = Path(directory)
    place.mkdir(parents=True, exist_ok=True)
    with open(place / "log.txt", "ab") as log:
        log.write(b"\n")  # the sign that it has begun
    process = start_process(words, place, environment)
    try:
        while (code := process.poll()) is None:
            time.sleep(0.2)  # so that a cancelled task is noticed
        return code
    finally:
        stop_processes([process])


def start_process(words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Python with these words, in a process group of its own, with its output appended to `directory/log.txt`.

    On Linux it ends when this process dies, even by kill -9; elsewhere it goes on, and a later sweep waits for it.
    """
    line, variables, null = [sys.executable, *words], {**os.environ, **environment}, subprocess.DEVNULL
    with open(directory / "log.txt", "ab") as log:
        return subprocess.Popen(
            line,
            env=variables,
            stdin=null,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=end_with_parent(),
        )


def stop_processes(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Asks processes and what they started to end, and kills those that don't."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    try:
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
    finally:  # a second Ctrl-C doesn't leave any behind
        for process in processes:
            if process.poll() is None:
                _signal(process, signal.SIGKILL)
                process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
