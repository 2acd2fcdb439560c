"""The jobs of a sweep, and what their directories say of them: nothing is known that isn't on disk.

A job is one run of `python -m pir_tf.experiments.run` in a process and a directory of its own. Because its state is read from
that directory, a sweep that was killed is gone on with by repeating its command.
"""

from __future__ import annotations

import dataclasses
import fcntl
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pir_tf.config import ExperimentConfig, flatten
from pir_tf.paper.shared_gan import gan_config, gan_key, needs_gan
from pir_tf.paper.suites import Experiment
from pir_tf.paper.sweep_command import command_words
from pir_tf.runs.directory import decides, identity, read_json, recorded

DONE, FAILED, NOT_RUN, WAITING, RUNNING = "done", "failed", "not run", "waiting", "running"


@dataclass(frozen=True)
class Job:
    """One process of a sweep.

    Attributes:
        name: Name of its directory below the sweep's.
        directory: Its run directory.
        config: What it runs, paths resolved.
        stages: The stages that it runs; empty means all.
        needs: Names of jobs that must be done before it.
        gan: Run directory of the GAN that it is given, or None.
        not_run: Why it can't be run; empty when it can.
        files: SHA-256 of files of weights, by how its config names them (`file:PATH`).
    """

    name: str
    directory: Path
    config: ExperimentConfig
    stages: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    gan: Path | None = None
    not_run: str = ""
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """The words after `python -m pir_tf.experiments.run`."""
        stages = ["--stages", *self.stages] if self.stages else []
        return [*command_words(self.config), *stages, "--run-dir", str(self.directory)]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What decides how long it takes: jobs of one kind take about the same time."""
        config = self.config
        sizes = (config.estimator.backbone, config.estimator.trainable, config.estimator.steps, config.tuning.steps)
        trains = config.gan.generator == "train" and not self.gan
        vgg = config.interactions.objective.startswith("vgg:")
        return (self.stages, *sizes, trains and config.gan.steps, vgg, config.evaluation.kid_weights != "none")


def jobs_of(experiments: Iterable[Experiment], root: Path, files: Mapping[str, str] | None = None) -> dict[str, Job]:
    """The jobs of experiments by their names, each after those that it needs; shared GANs get jobs of their own.

    Args:
        experiments: What is run.
        root: The sweep's directory.
        files: SHA-256 of the files of weights, by how configs name them; unknown ones aren't compared.
    """
    jobs: dict[str, Job] = {}
    for experiment in experiments:
        config, needs, gan = experiment.config, [], None
        if config.first_round:
            needs.append(config.first_round)
            config = dataclasses.replace(config, first_round=str(root / config.first_round))
        if needs_gan(config) and not experiment.not_run:
            shared = gan_config(config)
            name = f"gan/{gan_key(config)}"
            gan = root / name
            jobs.setdefault(name, Job(name, gan, shared, stages=("gan",)))
            if not (root / experiment.name / "gan" / "done.json").exists():
                needs.append(name)
        jobs[experiment.name] = Job(
            experiment.name, root / experiment.name, config, (), tuple(needs), gan, experiment.not_run, files or {}
        )
    return jobs


def with_needs(names: Iterable[str], jobs: Mapping[str, Job]) -> list[str]:
    """These jobs and all that they need, in the order of `jobs`."""
    wanted, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(jobs[name].needs)
    return [name for name in jobs if name in wanted]


def is_finished(job: Job) -> bool:
    """Whether its last stage is done, of this config in all fields that decide what is computed and of files of this content."""
    if not has_ended(job):
        return False
    there, wanted = recorded(read_json(job.directory / "config.json")), identity(job.config)
    same = all(there[name] == value for name, value in wanted.items() if decides(name))
    before, now = files_before_and_now(job)
    return same and before == now


def has_ended(job: Job) -> bool:
    """Whether its last stage is done, of whatever config."""
    last = (job.stages or ("report",))[-1]
    return (job.directory / last / "done.json").exists() and (job.directory / "config.json").exists()


def files_before_and_now(job: Job) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the files that its run has recorded, by field, and of those that its config names; unknown ones as recorded."""
    before = read_json(job.directory / "config.json").get("files") or {}
    fields = flatten(job.config)
    return before, {name: job.files.get(str(fields.get(name)), digest) for name, digest in before.items()}


def states(jobs: Mapping[str, Job]) -> dict[str, tuple[str, str]]:
    """State (`done`, `failed`, `not run`, `waiting`) and the reason for it of each job, from its directory alone."""
    found: dict[str, tuple[str, str]] = {}
    for name, job in jobs.items():
        failure = job.directory / "failed.json"
        if job.not_run:
            found[name] = (NOT_RUN, job.not_run)
        elif is_finished(job):
            found[name] = (DONE, "")
        elif failure.exists():
            found[name] = (FAILED, read_json(failure)["reason"])
        else:
            found[name] = (WAITING, "")
            for need in job.needs:
                if found[need][0] in (FAILED, NOT_RUN):
                    found[name] = (found[need][0], f"it needs {need}, which {_was(found[need][0])}: {found[need][1]}")
    return found


def drop_checkpoints(job: Job) -> None:
    """Removes what only the resumption of unfinished training reads: most of a finished run's bytes."""
    for path in job.directory.glob("*/checkpoints"):
        shutil.rmtree(path, ignore_errors=True)


def is_held(directory: Path) -> bool:
    """Whether a process works in a run directory: one that outlived an earlier sweep, or somebody's own."""
    path = directory / ".lock"
    if not path.exists():
        return False
    with open(path, "r+") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def log_size(job: Job) -> int:
    """Bytes in its log now: there the log of its next process begins."""
    log = job.directory / "log.txt"
    return log.stat().st_size if log.exists() else 0


def reason_of(log: Path, code: int, start: int = 0) -> str:
    """Why a process ended with that exit code, in one sentence without this machine's paths.

    Args:
        log: The file to which its output was appended.
        code: Its exit code.
        start: Bytes that earlier processes had left in the log.
    """
    if code < 0:
        return f"the process was killed by signal {-code}" + (" (often: memory ran out)" if code == -9 else "")
    own = log.read_bytes()[start:] if log.exists() else b""
    text = own[-20_000:].decode("utf-8", errors="replace")
    lines = [
        line.strip() for line in re.split(r"[\r\n]", text) if line.strip() and "%|" not in line
    ]  # no progress bars
    for pattern in (r"Error: ", r"[\w.]*(Error|Exception|Interrupt)\b(: |$)", r""):
        said = next((line for line in reversed(lines) if re.match(pattern, line)), None)
        if said:
            return without_paths(said.removeprefix("Error: "))
    return f"the process ended with exit code {code} and said nothing"


def without_paths(text: str) -> str:
    """A sentence with base names for absolute paths, so that it says the same wherever the sweep lies."""
    return re.sub(r"(?<![\w:/])(?:/[^\s:;,'\"/]+)+/(?=[^/\s])", "", text)[:500]


def _was(state: str) -> str:
    return "failed" if state == FAILED else "was not run"
