"""A sweep's jobs as processes of this machine, which end when the sweep does, however it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pir_tf.paper.jobs import Job

PROGRAM = (sys.executable, "-m", "pir_tf.experiments.run")
PATIENCE = 10.0
"""Seconds that a process has to end after it was asked to."""

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class LocalProcesses:
    """At most `count` processes at once.

    Each has all cores: how many threads compute is no part of a result, but can change its last digits, so it doesn't depend on
    `count`.

    Args:
        count: Processes at once, 1 or more.
        environment: Variables set for them.
        program: What is run with a job's words.
    """

    def __init__(self, count: int, environment: Mapping[str, str], program: Sequence[str] = PROGRAM) -> None:
        self.capacity = count
        self._environment, self._program = environment, program
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, job: Job) -> None:
        """Starts a job's process; its output is appended to `log.txt` in its directory."""
        line = [*self._program, *job.words]
        self._running[job.name] = start_process(line, job.directory, self._environment)

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes of the jobs that have ended since the last call."""
        ended = [(name, process.returncode) for name, process in self._running.items() if process.poll() is not None]
        for name, _ in ended:
            del self._running[name]
        return ended

    def stop(self) -> None:
        """Ends all processes."""
        stop_processes(list(self._running.values()))
        self._running.clear()


def start_process(line: Sequence[str], directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A process in a group of its own, with its output appended to `directory/log.txt`.

    On Linux it ends when this process dies, even by kill -9; elsewhere it goes on, and a later sweep waits for it.
    """
    with open(directory / "log.txt", "ab") as log:
        return subprocess.Popen(
            list(line),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_end_with_parent(os.getpid()) if _LIBC else None,
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


def _end_with_parent(parent: int):  # type: ignore[no-untyped-def]  # noqa: ANN202
    def ask() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # type: ignore[union-attr]
        if os.getppid() != parent:  # it died before it could be watched
            os._exit(1)

    return ask
