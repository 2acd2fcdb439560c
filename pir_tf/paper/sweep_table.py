"""What a sweep shows while it runs: a table on a terminal, plain lines elsewhere, and the time left in both."""

from __future__ import annotations

import re
import shutil
import sys
import time
from typing import TextIO

from pir_tf.paper.jobs import DONE, FAILED, NOT_RUN, RUNNING, WAITING, Job
from pir_tf.paper.schedule import Progress
from pir_tf.paper.sweep_results import timing_row
from pir_tf.report.numbers import about_as_long, number
from pir_tf.runs.directory import STAGES, read_json

EVERY = 1.0
"""Seconds between drawings of the table."""
HELD = "another process works in its directory"


class Display:
    """Shows a sweep's progress.

    Args:
        title: What is swept.
        asked: Names of the jobs that this call runs.
        capacity: Jobs at once, for the time left.
        stream: Where it is shown.
    """

    def __init__(self, title: str, asked: list[str], capacity: int, stream: TextIO | None = None) -> None:
        self._title, self._asked, self._capacity = title, asked, capacity
        self._stream = stream or sys.stdout
        self._live = self._stream.isatty()
        self._drawn, self._last = 0, -EVERY

    def show(self, progress: Progress, name: str) -> None:
        """Draws the table when it is time, or says in a line that job `name` has started or ended."""
        now = time.monotonic()
        if self._live and (name or now - self._last >= EVERY):
            size = shutil.get_terminal_size()
            lines = table(self._title, progress, self._asked, self._capacity, now, size.columns, size.lines - 1)
            up = f"\x1b[{self._drawn}A" if self._drawn else ""
            self._stream.write(up + "".join(f"\x1b[2K{line}\n" for line in lines) + "\x1b[J")
            self._drawn, self._last = len(lines), now
        elif name and not self._live:
            self._stream.write(f"{time.strftime('%H:%M:%S')}  {line_of(progress, name, self._asked, self._capacity)}\n")
        self._stream.flush()


def line_of(progress: Progress, name: str, asked: list[str], capacity: int) -> str:
    """One line about a job that has just started or ended."""
    state, reason = progress.states[name]
    reason = HELD if name in progress.held else reason
    said = "started" if state == RUNNING else state
    detail = f": {reason}" if reason else _came_out(progress.jobs[name]) if state == DONE else ""
    return f"{name} {said}{detail}; {_counts(progress, asked)}, {_left(progress, asked, capacity, time.monotonic())}"


def table(
    title: str, progress: Progress, asked: list[str], capacity: int, now: float, columns: int, lines: int
) -> list[str]:
    """The table, cut to the terminal: running jobs stay, then failures, then what is to come.

    Args:
        title: Its first words.
        progress: The sweep.
        asked: Names of the jobs that this call runs.
        capacity: Jobs at once.
        now: The time, by `time.monotonic`.
        columns: Characters of a line.
        lines: Lines at most.
    """
    head = f"{title}: {_counts(progress, asked)}; {about_as_long(now - progress.began)} so far, "
    rows = [head + _left(progress, asked, capacity, now)]
    width = max((len(name) for name in asked), default=0)
    order = {RUNNING: 0, FAILED: 1, WAITING: 2, DONE: 3, NOT_RUN: 4}
    shown = [name for name in asked if progress.states[name][0] in order]
    room = max(lines - 2, 1)
    if len(shown) > room:
        chosen = sorted(shown, key=lambda name: order[progress.states[name][0]])[:room]
        rest = len(shown) - len(chosen)
        shown = [name for name in shown if name in set(chosen)]
    else:
        rest = 0
    for name in shown:
        state, reason = progress.states[name]
        rows.append(f"  {state:<8} {name:<{width}}  {_detail(progress, name, state, reason, now)}")
    rows += [f"  and {rest} more"] if rest else []
    return [row[: max(columns - 1, 20)] for row in rows]


def seconds_left(progress: Progress, asked: list[str], capacity: int, now: float) -> float | None:
    """Seconds until the last asked job ends, from those that have ended: of its kind, else of any; None before the first."""
    took: dict[tuple[object, ...], list[float]] = {}
    for name in progress.of(DONE):
        seconds = timing_row(progress.jobs[name])["seconds"]
        if seconds:
            took.setdefault(progress.jobs[name].kind, []).append(seconds)
    everything = [seconds for group in took.values() for seconds in group]
    left = []
    for name in asked:
        state = progress.states[name][0]
        if state in (RUNNING, WAITING) and not (state == WAITING and progress.stopped_by):
            if not everything:
                return None
            group = took.get(progress.jobs[name].kind, everything)
            spent = now - progress.started[name] if name in progress.started else 0.0
            left.append(max(sum(group) / len(group) - spent, 0.0))
    return max(sum(left) / max(capacity, 1), max(left, default=0.0))


def stage_of(job: Job) -> str:
    """The stage that a running job is in, with the percent that its log last showed."""
    stages = job.stages or STAGES
    stage = next((name for name in stages if not (job.directory / name / "done.json").exists()), stages[-1])
    log = job.directory / "log.txt"
    if not log.exists():
        return stage
    with open(log, "rb") as handle:
        handle.seek(max(0, log.stat().st_size - 2000))
        text = handle.read().decode("utf-8", "replace")
    bars = re.findall(r"(\d+)%\|", re.split(r"[\r\n]", text.rstrip())[-1])
    return f"{stage} {bars[-1]}%" if bars else stage


def _counts(progress: Progress, asked: list[str]) -> str:
    states = [progress.states[name][0] for name in asked]
    counted = [
        f"{states.count(state)} {state}" for state in (DONE, RUNNING, WAITING) if state != RUNNING or state in states
    ]
    counted += [f"{states.count(state)} {state}" for state in (FAILED, NOT_RUN) if state in states]
    return ", ".join(counted)


def _left(progress: Progress, asked: list[str], capacity: int, now: float) -> str:
    seconds = seconds_left(progress, asked, capacity, now)
    return "time left unknown until one is done" if seconds is None else f"about {about_as_long(seconds)} left"


def _detail(progress: Progress, name: str, state: str, reason: str, now: float) -> str:
    job = progress.jobs[name]
    if state == RUNNING:
        return f"{stage_of(job)}, {about_as_long(now - progress.started[name])}"
    if name in progress.held:
        return HELD
    return _came_out(job).removeprefix(", ") if state == DONE else reason


def _came_out(job: Job) -> str:
    seconds, path = timing_row(job)["seconds"], job.directory / "evaluation" / "results.json"
    gain = (
        f", d = {number(read_json(path).get('cohens_d'), 2, signed=True, missing='undefined')}" if path.exists() else ""
    )
    return f"{gain}, {about_as_long(seconds)}" if seconds is not None else gain
