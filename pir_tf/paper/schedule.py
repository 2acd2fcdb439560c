"""The order in which a sweep's jobs run: each when what it needs is done, as many at once as there is room for.

A job that fails leaves its reason in its directory and stops nothing but what needs it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pir_tf.errors import InputError
from pir_tf.paper import jobs
from pir_tf.paper.jobs import DONE, FAILED, RUNNING, WAITING, Job
from pir_tf.paper.workers import Workers
from pir_tf.runs.directory import write_json


@dataclass
class Progress:
    """What a running sweep knows beyond the directories."""

    jobs: Mapping[str, Job]  # all of them, each after those that it needs
    asked: Sequence[str]  # names of those to run, what they need included
    limit: int | None = None  # most experiments to start
    states: dict[str, tuple[str, str]] = field(default_factory=dict)  # state and reason of each job
    started: dict[str, float] = field(default_factory=dict)  # when each running job was started, by `time.monotonic`
    log_starts: dict[str, int] = field(default_factory=dict)  # bytes that were in the log of each job that was started
    held: set[str] = field(default_factory=set)  # waiting jobs in whose directories another process works
    at_once: int = 1  # most jobs that have run side by side
    stopped_by: str = ""  # the option that lets no more jobs start, or empty

    def refresh(self) -> None:
        """Reads all states again."""
        found = jobs.states(self.jobs)
        self.states = {name: (RUNNING, "") if name in self.started else state for name, state in found.items()}
        self.at_once = max(self.at_once, len(self.started))

    def of(self, *states: str) -> list[str]:
        """Names of the asked jobs in these states."""
        return [name for name in self.asked if self.states[name][0] in states]

    def ready(self) -> list[Job]:
        """Asked jobs that can start now; what failed in an earlier sweep is tried again, once."""
        open_ = {*self.of(WAITING), *(name for name in self.of(FAILED) if name not in self.log_starts)}
        found = [self.jobs[name] for name in self.asked if name in open_]
        return [job for job in found if all(self.states[need][0] == DONE for need in job.needs)]

    def room(self) -> float:
        """Experiments that --limit still lets start; a shared GAN is none."""
        return math.inf if self.limit is None else self.limit - len(self._experiments(self.log_starts))

    def left_out(self) -> list[str]:
        """Waiting jobs that --limit or --time-limit will not let start."""
        waiting, room = self.of(WAITING), self.room()
        if self.stopped_by or room <= 0:
            return waiting
        return [] if room == math.inf else self._experiments(waiting)[int(room) :]

    def seconds_left(self) -> float | None:
        """Until the last job that will run ends: each takes as long as those of its kind, else as any; None before the first."""
        took: defaultdict[tuple[Any, ...], list[float]] = defaultdict(list)
        for job in [self.jobs[name] for name, (state, _) in self.states.items() if state == DONE]:
            took[job.kind] += filter(None, [jobs.timing_of(job.directory)["seconds"]])
        if not any(took.values()):
            return None
        usual = statistics.fmean(sum(took.values(), []))
        left = []
        for name in set(self.of(RUNNING, WAITING)) - set(self.left_out()):
            whole = statistics.fmean(took.get(self.jobs[name].kind) or [usual])
            left.append(max(whole - (time.monotonic() - self.started[name] if name in self.started else 0.0), 0.0))
        return max(sum(left) / self.at_once, max(left, default=0.0))

    def _experiments(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self.jobs[name].stages]


def run_jobs(
    progress: Progress, workers: Workers, show: Callable[[str], None], *, seconds: float = math.inf, poll: float = 0.2
) -> None:
    """Runs the asked jobs that aren't done, each when what it needs is, whatever fails among them.

    Args:
        progress: The sweep, which is kept up to date.
        workers: Where jobs run.
        show: Called with the name of the job that has just started or ended, or `""` between.
        seconds: Time after which none is started.
        poll: Seconds between looks at the processes.
    """
    deadline = time.monotonic() + seconds
    progress.refresh()
    try:
        while True:
            for name, code in workers.ended():
                _note_end(progress.jobs[name], code, progress.log_starts[name])
                del progress.started[name]
                progress.refresh()
                show(name)
            for job in progress.ready():
                if time.monotonic() >= deadline or progress.room() <= 0:
                    late = time.monotonic() >= deadline
                    progress.stopped_by = progress.stopped_by or ("--time-limit" if late else "--limit")
                if progress.stopped_by or not workers.has_room():
                    break
                if jobs.is_held(job.directory):
                    if job.name not in progress.held:
                        progress.held.add(job.name)
                        show(job.name)
                    continue
                progress.held.discard(job.name)
                if not jobs.is_finished(job):  # by the process that held it
                    progress.log_starts[job.name] = jobs.log_size(job)
                    if _start(job, workers):
                        progress.started[job.name] = time.monotonic()
                progress.refresh()
                show(job.name)
            if not progress.started and (progress.stopped_by or not progress.ready()):
                return
            show("")
            time.sleep(poll)
    finally:
        workers.stop()


def _start(job: Job, workers: Workers) -> bool:
    """Whether the job's process was started."""
    job.directory.mkdir(parents=True, exist_ok=True)
    (job.directory / "failed.json").unlink(missing_ok=True)
    try:
        if job.gan:
            jobs.put_gan(job.gan, job.config, job.directory)
    except InputError as error:
        write_json(job.directory / "failed.json", {"reason": jobs.without_paths(str(error))})
        return False
    workers.start(job)
    return True


def _note_end(job: Job, code: int, log_start: int) -> None:
    """Leaves the reason of a failure in the job's directory."""
    if code or not jobs.is_finished(job):
        said = jobs.reason_of(job.directory / "log.txt", code, log_start) if code else "it ended before its last stage"
        write_json(job.directory / "failed.json", {"reason": said})
