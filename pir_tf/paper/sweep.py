"""`pir-tf sweep SUITE ...`: the paper's evaluation, or parts of it, an experiment a process (3, 4, 5.1, A.3, C).

The same command again goes on: what is done is skipped, what was killed is resumed from its checkpoints, what failed is tried
again. Several suites may share one directory, and what they have in common is run once.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import fnmatch
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from pir_tf.commands import exit_code
from pir_tf.errors import InputError, differences
from pir_tf.paper.jobs import (
    DONE,
    FAILED,
    NOT_RUN,
    WAITING,
    Job,
    drop_checkpoints,
    files_before_and_now,
    has_ended,
    jobs_of,
    with_needs,
)
from pir_tf.paper.schedule import Progress, run_jobs
from pir_tf.paper.suites import SUITES, Experiment, Weights, experiments
from pir_tf.paper.sweep_command import command_of
from pir_tf.paper.sweep_options import parse, require_files, weights_of
from pir_tf.paper.sweep_results import write_tables
from pir_tf.paper.workers import LocalProcesses
from pir_tf.runs.directory import read_json, write_json


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when all that was asked for is done or left by --limit or --time-limit, 1 when an experiment failed, 2 for a user's
        mistake, 130 after Ctrl-C or SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: _sweep(parse(words)), "another place with --dir")
    except KeyboardInterrupt:
        print(
            "\nInterrupted: finished experiments and checkpoints are kept; the same command goes on.", file=sys.stderr
        )
        return 130


def _sweep(options: argparse.Namespace) -> int:
    weights = weights_of(options)
    now = experiments(options.suites, options.size, weights)
    names = _matching([experiment.name for experiment in now], options.only)
    if options.dry_run:
        return _dry_run(now, set(names))
    files = require_files(weights)
    root = (options.dir or Path("sweeps") / options.size).resolve()
    root.mkdir(parents=True, exist_ok=True)
    with _held(root):
        about = _about(root, options, weights)
        found = experiments(about["suites"], options.size, weights)
        jobs = jobs_of(found, root, files)
        _require_same_files(root, jobs)
        write_json(root / "sweep.json", about)
        asked = with_needs(names, jobs)
        return _run(options, root, jobs, asked, {one.name: names for one, names in found.items()})


def _run(
    options: argparse.Namespace, root: Path, jobs: dict[str, Job], asked: list[str], suites: dict[str, tuple[str, ...]]
) -> int:
    from pir_tf.paper.sweep_table import Display

    environment = {"PIR_TF_CACHE": str(root / "cache")}
    if options.ray:
        from pir_tf.paper.ray_workers import RayTasks

        reserved = {"count": options.jobs, "cpus": options.cpus, "gpus": options.gpus}
        workers: RayTasks | LocalProcesses = RayTasks(options.ray, **reserved, environment=environment)
    else:
        workers = LocalProcesses(options.jobs or 1, environment)
    display = Display(f"{' '.join(options.suites)}, {options.size}", asked, workers.capacity)

    def show(progress: Progress, name: str) -> None:
        if name and name not in progress.started:
            write_tables(root, jobs, suites)
            if progress.states[name][0] == DONE and not options.keep_checkpoints:
                drop_checkpoints(jobs[name])
        display.show(progress, name)

    seconds = None if options.time_limit is None else options.time_limit * 3600
    try:
        with _sigterm_as_ctrl_c():
            progress = run_jobs(jobs, asked, workers, show=show, limit=options.limit, seconds=seconds)
    finally:
        write_tables(root, jobs, suites)
    return _conclude(root, progress, asked)


def _conclude(root: Path, progress: Progress, asked: list[str]) -> int:
    """The last lines: what is left and why, and where the table is."""
    of = {
        state: [name for name in asked if progress.states[name][0] == state]
        for state in (DONE, FAILED, NOT_RUN, WAITING)
    }
    print(f"\n{len(of[DONE])} of {len(asked)} done.")
    for state in (FAILED, NOT_RUN):
        for reason in dict.fromkeys(progress.states[name][1] for name in of[state]):
            names = [name for name in of[state] if progress.states[name][1] == reason]
            own = [path for name in names if (path := progress.jobs[name].directory / "failed.json").exists()]
            print(
                f"  {state}: {', '.join(names)}: {reason}" + (f" (log: {own[0].with_name('log.txt')})" if own else "")
            )
    if of[WAITING]:
        print(f"  left by {progress.stopped_by}: {', '.join(of[WAITING])}; the same command goes on with them")
    print(f"Results: {root / 'results.csv'}")
    return 1 if of[FAILED] else 0


def _dry_run(found: dict[Experiment, tuple[str, ...]], wanted: set[str]) -> int:
    for experiment, suites in found.items():
        if experiment.name in wanted:
            print(f"{experiment.name} ({', '.join(suites)})")
            print(f"  not run: {experiment.not_run}" if experiment.not_run else f"  {command_of(experiment.config)}")
    print(f"{len(wanted)} experiments. Nothing was run.")
    return 0


def _matching(names: list[str], patterns: list[str]) -> list[str]:
    unmatched = [pattern for pattern in patterns if not fnmatch.filter(names, pattern)]
    if unmatched:
        example = f"such as {names[0]}" if names else "of which there are none"
        raise InputError(
            f"--only {unmatched[0]} matches no experiment, expected a pattern of names {example}: see --dry-run."
        )
    return [name for name in names if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _about(root: Path, options: argparse.Namespace, weights: Weights) -> dict[str, Any]:
    """What `sweep.json` says: the suites of this directory, of earlier calls too, whose size and weights must be the same."""
    path = root / "sweep.json"
    before = read_json(path) if path.exists() else {"suites": []}
    now = {
        "size": options.size,
        "inception_weights": _base(weights.inception),
        "inception_range": list(weights.inception_range),
        "vgg_weights": _base(weights.vgg_at(options.size)),
        "vgg_layers": list(weights.vgg_layers),
    }
    differ = [name for name in now if name in before and before[name] != now[name]]
    if differ:
        said = ", ".join(f"--{name.replace('_', '-')} {before[name]!r} there, {now[name]!r} now" for name in differ)
        raise InputError(
            f"{root} holds a sweep that differs ({said}): name another place with --dir, or repeat its options."
        )
    suites = [name for name in SUITES if name in (*before["suites"], *options.suites)]
    return {"suites": suites, **now}


def _require_same_files(root: Path, jobs: dict[str, Job]) -> None:
    """Refuses files of weights whose names are the same, but not their content, as those of finished experiments."""
    for job in jobs.values():
        if has_ended(job):
            before, now = files_before_and_now(job)
            differ = [name for name in before if before[name] != now[name]]
            if differ:
                raise InputError(
                    f"{root} holds a sweep whose {job.name} was made with other files, by their SHA-256: "
                    f"{differences(before, now, differ)}: name another place with --dir, or those files again."
                )


def _base(weights: str) -> str:
    scheme, colon, rest = weights.partition(":")
    return f"file:{os.path.basename(rest)}" if colon and scheme == "file" else weights


@contextlib.contextmanager
def _held(root: Path) -> Iterator[None]:
    """Refuses a second sweep in the same directory."""
    with open(root / ".lock", "w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"Another sweep is working in {root}: wait for it, or name another place with --dir."
            ) from error
        yield


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Lets `kill` end a sweep as Ctrl-C does, its processes with it."""

    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == "__main__":
    sys.exit(main())
