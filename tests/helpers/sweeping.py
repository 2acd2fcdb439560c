"""Sweeps of stand-ins for experiments: the same command and files, in no time.

As a program it is such a sweep in a process of its own (`sweep`), or one such experiment (`run`). The environment says what a
stand-in does: FAKE_JOURNAL (a file for a line at each start and each stage), and names that end in the middle (FAKE_FAIL), are
killed there (FAKE_KILLED) or never end (FAKE_HANG).
"""

import contextlib
import csv
import functools
import hashlib
import io
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from unittest import mock

from commands import ENVIRONMENT, SMALL

from pir_tf.commands import fail
from pir_tf.config import changed, flatten
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parse
from pir_tf.paper import sweep, workers
from pir_tf.paper.suites import Experiment
from pir_tf.runs.directory import STAGES, RunDirectory, identity, write_json


def experiment(config, directory, stages):
    """Stands in for `python -m pir_tf.experiments.run`."""
    name = directory.name
    try:
        run = RunDirectory(directory, config, files=files_of(config), command="fake")
    except InputError as error:
        fail(str(error))
        return 2
    with contextlib.closing(run):
        note(f"start {name}")
        for stage in [stage for stage in stages if not run.is_done(stage)]:
            note(f"stage {name} {stage}")
            fate = os.environ if stage == "estimator" else {}
            if name in fate.get("FAKE_FAIL", "").split():
                print(f"Error: {run.path / 'estimator'} is broken: mend it.", file=sys.stderr)
                return 2
            if name in fate.get("FAKE_KILLED", "").split():
                return -signal.SIGKILL
            if name in fate.get("FAKE_HANG", "").split():
                time.sleep(600)
            leave(run, stage)
    return 0


def leave(run, stage):
    """The files of a finished stage."""
    config = run.config
    if stage == "gan":
        for file in ("generator.keras", "discriminator.keras", "generator.json", "history.csv"):
            run.file("gan", file).write_text(f"{file} of seed {config.seed} and {config.gan.loss}")
        write_json(run.path / "data.json", {"images": config.data.count})
    if stage == "evaluation":
        digest = hashlib.sha256(repr(sorted(identity(config).items())).encode()).digest()
        results = {"pir_before_mean": digest[0] / 256, "cohens_d": digest[1] / 100, "significant": digest[2] > 127}
        write_json(run.file("evaluation", "results.json"), results)
    run.mark_done(stage, seconds=2.0, peak_memory_mb=100)


def files_of(config):
    """SHA-256 of the weights that the config names by their paths."""
    named = {name: value for name, value in flatten(config).items() if str(value).startswith("file:")}
    return {name: hashlib.sha256(Path(value[5:]).read_bytes()).hexdigest() for name, value in named.items()}


def note(line):
    with open(os.environ["FAKE_JOURNAL"], "a") as journal:
        journal.write(f"{line}\n")


class InProcess(workers.Workers):
    """Stands in for `Workers`: an experiment runs here when it is started, and is seen to have ended at the next look."""

    def start(self, job):
        with open(job.directory / "log.txt", "a") as log, contextlib.redirect_stdout(log):
            with contextlib.redirect_stderr(log):
                code = experiment(job.config, job.directory, job.stages or STAGES)
        self._running[job.name] = mock.Mock(poll=lambda: code)

    def stop(self):
        self._running.clear()


class Sweep:
    """A sweep directory and its command."""

    def __init__(self, root):
        self.root = root
        self.journal = root.with_suffix(".journal")
        self.journal.touch()

    def run(self, *words, code=0, stderr=None, **environment):
        """What the command says that runs here, without processes."""
        said, poll = io.StringIO(), functools.partial(sweep.run_jobs, poll=0.001)
        line = [*map(str, words), "--size", "smoke", "--dir", str(self.root)]
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.multiple(sweep, Workers=InProcess, run_jobs=poll))
            stack.enter_context(mock.patch.dict(os.environ, FAKE_JOURNAL=str(self.journal), **environment))
            stack.enter_context(contextlib.redirect_stdout(said))
            stack.enter_context(contextlib.redirect_stderr(stderr or said))
            ended = sweep.main(line)
        assert ended == code, said.getvalue()
        return said.getvalue()

    def start(self, *words, **environment):
        """The command in a process, its experiments too."""
        words = [*map(str, words), "--size", "smoke", "--dir", str(self.root)]
        return subprocess.Popen(
            [sys.executable, __file__, "sweep", *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**ENVIRONMENT, "FAKE_JOURNAL": str(self.journal), **environment},
            # A shell without a terminal starts its jobs deaf to Ctrl-C, and they their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def notes(self, first):
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return Counter(tuple(words[1:]) for words in lines if words[0] == first)

    def rows(self, name="results.csv"):
        with open(self.root / name, newline="") as handle:
            return {row["name"]: row for row in csv.DictReader(handle)}

    def status(self):
        return {name: row["status"] for name, row in self.rows().items()}


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def tiny_suite(size, weights):
    """Stands in for a suite: real experiments that are small, two of which train the same GAN."""
    config = parse(SMALL).experiment
    return [Experiment("trained", config), Experiment("trained-longer", changed(config, tuning={"steps": 4}))]


if __name__ == "__main__":
    if sys.argv[1] == "run":
        options = parse(sys.argv[2:])
        sys.exit(experiment(options.experiment, options.run_dir, options.stages))
    program = (__file__, "run")
    workers._FORWARDED += ("FAKE_",)
    sweep.Workers = functools.partial(workers.Workers, program=program)
    sweep.RayTasks = functools.partial(workers.RayTasks, program=program)
    sys.exit(sweep.main(sys.argv[2:]))
