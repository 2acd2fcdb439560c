"""`pir-tf sweep SUITE ...`: the paper's evaluation, or parts of it, an experiment a process (3, 4, 5.1, A.3, C)."""

from __future__ import annotations

import argparse
import fcntl
import fnmatch
import math
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError, differences
from pir_tf.experiments.command_line import public_command
from pir_tf.objective_names import VGG_FILTERS
from pir_tf.paper import jobs
from pir_tf.paper.jobs import DONE, FAILED, NOT_RUN, RUNNING, WAITING, Job
from pir_tf.paper.schedule import Progress, run_jobs
from pir_tf.paper.suites import SIZES, SUITES, Weights, experiments
from pir_tf.paper.workers import RayTasks, Workers
from pir_tf.report.numbers import about_as_long, number
from pir_tf.runs.directory import LEFTOVER, STAGES, read_json, write_json

DESCRIPTION = """Runs the paper's evaluation, or parts of it: many experiments, a process each.

The same command again goes on: what is done is skipped, what was killed is resumed from its checkpoints, what failed is tried
again. Several suites may share one directory, and what they have in common is run once."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when all is done or left by an option, 1 when an experiment failed, 2 for a user's mistake, 130 after Ctrl-C or SIGTERM.
    """
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: _sweep(parse(words)), "another place with --dir")
    except KeyboardInterrupt:
        said = "Interrupted: finished experiments and checkpoints are kept; the same command goes on."
        print(f"\n{said}", file=sys.stderr)
        return 130


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options that a command line means; an `InputError` for what can't be used."""
    parser = Parser(prog="pir-tf sweep", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    several = f"one or more of {', '.join(SUITES)} (all of them)"
    add("suites", nargs="+", metavar="SUITE", choices=list(SUITES), help=several)
    add("--size", choices=list(SIZES), default="laptop", help="how long and how many (default: %(default)s)")
    add("--dir", type=user_path, metavar="DIR", help="where everything goes (default: sweeps/SIZE)")
    at_once = "experiments at once (default: 1; with --ray what the cluster has room for)"
    add("--jobs", type=int, metavar="N", help=at_once)
    matching = "only names that match, as 'color-*'; may be repeated"
    add("--only", action="append", default=[], metavar="PATTERN", help=matching)
    add("--limit", type=int, metavar="N", help="start at most N experiments")
    add("--time-limit", type=float, metavar="HOURS", help="start none after this time, and say what is left")
    add("--keep-checkpoints", action="store_true", help="keep those of finished experiments too, most of their size")
    add("--dry-run", action="store_true", help="list the experiments and their commands, and run nothing")
    add = parser.add_argument_group("pretrained weights").add_argument
    weights = "imagenet, file:PATH, hub:HANDLE or none (default: imagenet)"
    add("--inception-weights", default="imagenet", metavar="WEIGHTS", help=weights)
    pixels, both = "pixel values that these weights expect (Keras's: -1 1)", ("LOW", "HIGH")
    add("--inception-range", type=float, nargs=2, default=EstimatorConfig().input_range, metavar=both, help=pixels)
    weights = "imagenet, file:PATH or none (default: imagenet; size smoke: none)"
    add("--vgg-weights", default="", metavar="WEIGHTS", help=weights)
    served = "layers that the VGG weights serve (default: all with imagenet, else pool1 to pool5)"
    add("--vgg-layers", nargs="+", default=(), choices=list(VGG_FILTERS), metavar="LAYER", help=served)
    ray = "on a Ray cluster (extra [sweep]; its machines must share --dir and the weights by path)"
    add = parser.add_argument_group(ray).add_argument
    add("--ray", metavar="ADDRESS", help="auto, HOST:PORT or ray://HOST:PORT of an existing cluster")
    add("--cpus", type=float, default=1.0, metavar="N", help="CPUs that an experiment reserves (default: 1)")
    add("--gpus", type=float, default=0.0, metavar="N", help="GPUs that an experiment reserves (default: 0)")
    options = parser.parse_args(arguments)
    _check(options)
    return options


def _check(options: argparse.Namespace) -> None:
    given = (("--jobs", options.jobs, 1), ("--limit", options.limit, 1), ("--time-limit", options.time_limit, 0))
    for name, value, least in given:
        if value is not None and not value >= least:
            raise InputError(f"{name} is {value}, expected {least} or more: change it with {name} N.")
    if not (options.cpus >= 0 and options.gpus >= 0 and options.cpus + options.gpus > 0):
        received = f"--cpus is {options.cpus} and --gpus {options.gpus}"
        raise InputError(f"{received}, expected 0 or more and one of them above 0: change them.")
    low, high = options.inception_range
    if not -math.inf < low < high < math.inf:
        raise InputError(f"--inception-range is {low} {high}, expected two numbers, the lower first: change it.")
    for name, value, hub in (("inception", options.inception_weights, "|hub:.+"), ("vgg", options.vgg_weights, "|")):
        if not re.fullmatch(f"imagenet|none|file:.+{hub}", value):
            said = f"--{name}-weights is {value!r}, expected imagenet, file:PATH or none"
            raise InputError(f"{said}: change it with --{name}-weights WEIGHTS.")


def weights_of(options: argparse.Namespace) -> Weights:
    """The pretrained weights that the options name; files by their whole paths, so that every process finds them."""
    inception, vgg = (_absolute(weights) for weights in (options.inception_weights, options.vgg_weights))
    return Weights(inception, vgg, tuple(options.inception_range), tuple(options.vgg_layers))


def _absolute(weights: str) -> str:
    path = os.path.abspath(os.path.expanduser(weights.removeprefix("file:")))
    # One that isn't there may lie in a folder of PIR_TF_WEIGHTS.
    return f"file:{path}" if weights.startswith("file:") and os.path.exists(path) else weights


def _digests(weights: Weights) -> dict[str, str]:
    """SHA-256 of each file of weights, by what names it (`file:PATH`); one that isn't there is refused."""
    names = [name for name in (weights.inception, weights.vgg) if name.startswith("file:")]
    if not names:
        return {}
    from pir_tf.pretrained import find_weights, sha256

    return {name: sha256(find_weights(name.removeprefix("file:"))) for name in names}


def _sweep(options: argparse.Namespace) -> int:
    weights = weights_of(options)
    found = experiments(options.suites, options.size, weights)
    names = _matching([experiment.name for experiment in found], options.only)
    if options.dry_run:
        for one in [one for one in found if one.name in names]:
            said = f"not run: {one.not_run}" if one.not_run else public_command(jobs.command_words(one.config))
            print(f"{one.name} ({', '.join(found[one])})\n  {said}")
        print(f"{len(names)} experiments. Nothing was run.")
        return 0
    files = _digests(weights)
    root = (options.dir or Path("sweeps", options.size)).resolve()
    with _hold(root):
        about = _about(root, options, weights)
        found = experiments(about["suites"], options.size, weights)
        all_jobs = jobs.jobs_of(found, root, files)
        _require_same_files(root, all_jobs)
        write_json(root / "sweep.json", about)
        progress = Progress(all_jobs, jobs.with_needs(names, all_jobs), options.limit)
        return _run(options, root, progress, {one.name: suites for one, suites in found.items()})


def _run(options: argparse.Namespace, root: Path, progress: Progress, suites: dict[str, tuple[str, ...]]) -> int:
    from tqdm import tqdm

    environment = {"PIR_TF_CACHE": str(root / "cache")}
    if options.ray:
        workers: Workers = RayTasks(options.ray, options.jobs, options.cpus, options.gpus, environment)
    else:
        workers = Workers(options.jobs or 1, environment)
    # On a terminal, below the lines: what is running.
    form = "{n_fmt}/{total_fmt} |{bar:10}| {desc}"
    some = {"miniters": 0, "mininterval": 1.0, "dynamic_ncols": True, "leave": False, "disable": None}
    bar = tqdm(total=len(progress.asked), bar_format=form, **some)

    def show(name: str) -> None:
        if name and name not in progress.started:
            jobs.write_tables(root, progress.jobs, suites)
            if progress.states[name][0] == DONE and not options.keep_checkpoints:
                jobs.drop_checkpoints(progress.jobs[name])
        if name:
            tqdm.write(f"{time.strftime('%H:%M:%S')}  {line_of(progress, name)}")
            sys.stdout.flush()
        if not bar.disable:
            running = [f"{name} {stage_of(progress.jobs[name])}" for name in progress.started]
            bar.set_description_str("; ".join(running), refresh=False)
            bar.update(len(progress.of(DONE, FAILED, NOT_RUN)) - bar.n)

    seconds = math.inf if options.time_limit is None else options.time_limit * 3600
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # `kill` ends a sweep as Ctrl-C does
    try:
        run_jobs(progress, workers, show, seconds=seconds)
    finally:
        signal.signal(signal.SIGTERM, before)
        bar.close()
        jobs.write_tables(root, progress.jobs, suites)
    print(f"\n{len(progress.of(DONE))} of {len(progress.asked)} done.")
    for state in (FAILED, NOT_RUN):
        for reason in dict.fromkeys(progress.states[name][1] for name in progress.of(state)):
            names = [name for name in progress.of(state) if progress.states[name][1] == reason]
            failed = [root / name for name in names if (root / name / "failed.json").exists()]
            print(f"  {state}: {', '.join(names)}: {reason}" + (f" (log: {failed[0] / 'log.txt'})" if failed else ""))
    if left := progress.of(WAITING):
        print(f"  left by {progress.stopped_by}: {', '.join(left)}; the same command goes on with them")
    print(f"Results: {root / 'results.csv'}")
    return 1 if progress.of(FAILED) else 0


def _matching(names: list[str], patterns: list[str]) -> list[str]:
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            expected = f"a pattern of names such as {names[0]}"
            raise InputError(f"--only {pattern} matches no experiment, expected {expected}: see --dry-run.")
    return [name for name in names if not patterns or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _about(root: Path, options: argparse.Namespace, weights: Weights) -> dict[str, Any]:
    """What `sweep.json` says: the suites of this directory, of earlier calls too, whose size and weights must be the same."""
    before = read_json(root / "sweep.json") if (root / "sweep.json").exists() else {"suites": []}
    files = [re.sub(r"^file:.*/", "file:", name) for name in (weights.inception, weights.vgg_at(options.size))]
    now = {
        "size": options.size,
        "inception_weights": files[0],
        "inception_range": list(weights.inception_range),
        "vgg_weights": files[1],
        "vgg_layers": list(weights.vgg_layers),
    }
    differ = [name for name in now if name in before and before[name] != now[name]]
    if differ:
        said = ", ".join(f"--{name.replace('_', '-')} {before[name]!r} there, {now[name]!r} now" for name in differ)
        expected = "name another place with --dir, or repeat its options"
        raise InputError(f"{root} holds a sweep that differs ({said}): {expected}.")
    return {"suites": [name for name in SUITES if name in (*before["suites"], *options.suites)], **now}


def _require_same_files(root: Path, all_jobs: dict[str, Job]) -> None:
    """Refuses files of weights whose names are the same, but not their content, as those of finished experiments."""
    for job in filter(jobs.has_ended, all_jobs.values()):
        before, now = jobs.files_before_and_now(job)
        if differ := differences(before, now, [name for name in before if before[name] != now[name]]):
            said = f"{root} holds a sweep whose {job.name} was made with other files, by their SHA-256: {differ}"
            raise InputError(f"{said}: name another place with --dir, or those files again.")


def _hold(root: Path) -> TextIO:
    """Makes a sweep's directory, and keeps other sweeps out of it; a folder of somebody else's is refused untouched."""
    root.mkdir(parents=True, exist_ok=True)
    foreign = any(path.name != ".lock" and not LEFTOVER.fullmatch(path.name) for path in root.iterdir())
    if foreign and not (root / "sweep.json").exists():
        raise InputError(f"{root} holds other things than a sweep: name a new or empty folder with --dir.")
    handle = open(root / ".lock", "a")  # noqa: SIM115 (held until the sweep ends)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        said = f"Another sweep is working in {root}: wait for it, or name another place with --dir."
        raise InputError(said) from error
    return handle


def line_of(progress: Progress, name: str) -> str:
    """One line about a job that has just started or ended, with counts of all and the time left."""
    state, reason = progress.states[name]
    if name in progress.held:
        reason = "another process works in its directory"
    came_out = f": {reason}" if reason else _result(progress.jobs[name]) if state == DONE else ""
    out = len(progress.left_out())
    counts = {word: len(progress.of(word)) for word in (DONE, RUNNING, WAITING, FAILED, NOT_RUN)}
    counts[WAITING] -= out
    said = [f"{count} {word}" for word, count in counts.items() if count or word in (DONE, WAITING)]
    said += [f"{out} left by {progress.stopped_by or '--limit'}"] if out else []
    if counts[RUNNING] or counts[WAITING]:
        left = progress.seconds_left()
        said.append("time left unknown until one is done" if left is None else f"about {about_as_long(left)} left")
    return f"{name} {'started' if state == RUNNING else state}{came_out}; {', '.join(said)}"


def stage_of(job: Job) -> str:
    """The stage that a running job is in."""
    stages = job.stages or STAGES
    return next((name for name in stages if not (job.directory / name / "done.json").exists()), stages[-1])


def _result(job: Job) -> str:
    seconds, path = jobs.timing_of(job.directory)["seconds"], job.directory / "evaluation" / "results.json"
    d = number(read_json(path).get("cohens_d"), 2, signed=True, missing="undefined") if path.exists() else ""
    return (f", d = {d}" if d else "") + (f", {about_as_long(seconds)}" if seconds is not None else "")


if __name__ == "__main__":
    sys.exit(main())
