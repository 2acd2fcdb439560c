"""The order in which a sweep's jobs run: each when what it needs is done, as many at once as there is room for.

A job that fails leaves its reason in its directory and stops nothing but what needs it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pir_tf.errors import InputError
from pir_tf.paper.jobs import (
    DONE,
    FAILED,
    RUNNING,
    WAITING,
    Job,
    is_finished,
    is_held,
    log_size,
    reason_of,
    states,
    without_paths,
)
from pir_tf.paper.shared_gan import put_gan
from pir_tf.runs.directory import write_json


class Workers(Protocol):
    """Where jobs run: on this machine (`sweep_processes`) or on a Ray cluster (`sweep_ray`)."""

    @property
    def capacity(self) -> int:
        """How many jobs run at once."""

    def start(self, job: Job) -> None:
        """Starts a job's process; its output is appended to `log.txt` in its directory."""

    def ended(self) -> list[tuple[str, int]]:
        """Names and exit codes of the jobs that have ended since the last call."""

    def stop(self) -> None:
        """Ends all processes."""


@dataclass
class Progress:
    """What a running sweep knows beyond the directories.

    Attributes:
        jobs: All jobs.
        states: State and reason of each.
        started: When each running job was started, by `time.monotonic`.
        log_starts: Where in its log the process of each job that was started began.
        held: Waiting jobs in whose directories another process works.
        began: When the sweep began.
        stopped_by: The option that lets no more jobs start, or empty.
    """

    jobs: Mapping[str, Job]
    states: dict[str, tuple[str, str]]
    started: dict[str, float] = field(default_factory=dict)
    log_starts: dict[str, int] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)
    stopped_by: str = ""

    def of(self, state: str) -> list[str]:
        """Names of the jobs in that state."""
        return [name for name, (its, _) in self.states.items() if its == state]


def run_jobs(
    jobs: Mapping[str, Job],
    asked: Sequence[str],
    workers: Workers,
    *,
    show: Callable[[Progress, str], None],
    limit: int | None = None,
    seconds: float | None = None,
    poll: float = 0.2,
) -> Progress:
    """Runs the asked jobs that aren't done, each when what it needs is, whatever fails among them.

    Args:
        jobs: All jobs of the sweep, each after those that it needs.
        asked: Names of those to run, what they need included.
        workers: Where they run.
        show: Called with the progress and the name of the job that has just started or ended, or `""` between.
        limit: Most jobs to start.
        seconds: Time after which none is started.
        poll: Seconds between looks at the processes.

    Returns:
        The progress at the end.
    """
    progress = Progress(jobs, states(jobs))
    tried: set[str] = set()
    try:
        while True:
            for name, code in workers.ended():
                _note_end(jobs[name], code, progress.log_starts[name])
                progress.started.pop(name, None)
                _refresh(progress)
                show(progress, name)
            ready = _ready(progress, asked, tried)
            for name in ready:
                progress.stopped_by = progress.stopped_by or _stopped(progress, tried, limit, seconds)
                if progress.stopped_by or len(progress.started) >= workers.capacity:
                    break
                if is_held(jobs[name].directory):
                    if name not in progress.held:
                        progress.held.add(name)
                        show(progress, name)
                    continue
                progress.held.discard(name)
                if is_finished(jobs[name]):  # by the process that held it
                    _refresh(progress)
                    show(progress, name)
                    continue
                tried.add(name)
                progress.log_starts[name] = log_size(jobs[name])
                if _start(jobs[name], workers):
                    progress.started[name] = time.monotonic()
                _refresh(progress)
                show(progress, name)
            if not progress.started and (progress.stopped_by or not _ready(progress, asked, tried)):
                return progress
            show(progress, "")
            time.sleep(poll)
    finally:
        workers.stop()


def _start(job: Job, workers: Workers) -> bool:
    """Whether the job's process was started."""
    job.directory.mkdir(parents=True, exist_ok=True)
    (job.directory / "failed.json").unlink(missing_ok=True)
    try:
        if job.gan:
            put_gan(job.gan, job.config, job.directory)
    except InputError as error:
        write_json(job.directory / "failed.json", {"reason": without_paths(str(error))})
        return False
    workers.start(job)
    return True


def _note_end(job: Job, code: int, log_start: int) -> None:
    """Leaves the reason of a failure in the job's directory."""
    if code == 0 and is_finished(job):
        return
    reason = "it ended before its last stage" if code == 0 else reason_of(job.directory / "log.txt", code, log_start)
    write_json(job.directory / "failed.json", {"reason": reason})


def _ready(progress: Progress, asked: Sequence[str], tried: set[str]) -> list[str]:
    """Asked jobs that can start now; what failed in an earlier sweep is tried again, once."""
    ready = []
    for name in asked:
        job, (state, _) = progress.jobs[name], progress.states[name]
        open_ = state == WAITING or (state == FAILED and name not in tried)
        if open_ and all(progress.states[need][0] == DONE for need in job.needs):
            ready.append(name)
    return ready


def _refresh(progress: Progress) -> None:
    progress.states = {
        name: (RUNNING, "") if name in progress.started else state for name, state in states(progress.jobs).items()
    }


def _stopped(progress: Progress, tried: set[str], limit: int | None, seconds: float | None) -> str:
    """The option that lets no more jobs start; a shared GAN is no experiment and doesn't count."""
    if seconds is not None and time.monotonic() - progress.began >= seconds:
        return "--time-limit"
    experiments = [name for name in tried if not progress.jobs[name].stages]
    return "--limit" if limit is not None and len(experiments) >= limit else ""
