"""The jobs of a sweep, and what their directories say of them: nothing is known that isn't on disk.

A job is one run of `python -m pir_tf.experiments.run`, in a process and a directory of its own. Its state is read from that
directory, so the same command resumes a sweep that was killed. A GAN that several experiments would train alike is trained once
(C.2): by a job of its own with the stage `gan` alone, whose files are copied into each of those runs before it starts.
"""

from __future__ import annotations

import dataclasses
import fcntl
import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pir_tf.config import ExperimentConfig, flatten
from pir_tf.errors import InputError
from pir_tf.objective_names import parse
from pir_tf.paper.suites import Experiment
from pir_tf.presets import LONG_TUNING, by_papers_method, preset
from pir_tf.runs.directory import STAGES, atomic, decides, identity, read_json, recorded, write_json

DONE, FAILED, NOT_RUN, WAITING, RUNNING = "done", "failed", "not run", "waiting", "running"

GAN_FILES = ("generator.keras", "discriminator.keras", "generator.json", "history.csv")
"""What stage `gan` leaves for the others; its checkpoints and sample grids stay where it was trained."""

TIMING_COLUMNS = ("name", "seconds", *(f"{stage}_seconds" for stage in STAGES), "peak_memory_mb", "gan_trained_in")


@dataclass(frozen=True)
class Job:
    """One process of a sweep."""

    name: str  # and its directory's, below the sweep's
    directory: Path
    config: ExperimentConfig  # paths resolved
    stages: tuple[str, ...] = ()  # those that it runs; empty means all
    needs: tuple[str, ...] = ()  # names of jobs that must be done before it
    gan: Path | None = None  # run directory of the GAN that it is given
    not_run: str = ""  # why it can't be run; empty when it can
    files: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of files of weights, by `file:PATH`

    @property
    def words(self) -> list[str]:
        """The words after `python -m pir_tf.experiments.run`."""
        stages = ["--stages", *self.stages] if self.stages else []
        return [*command_words(self.config), *stages, "--run-dir", str(self.directory)]

    @property
    def kind(self) -> tuple[Any, ...]:
        """What decides how long it takes: jobs of one kind take about the same time."""
        estimator, trains = self.config.estimator, self.config.gan.generator == "train" and not self.gan
        sizes = (estimator.backbone, estimator.trainable, estimator.steps, self.config.tuning.steps)
        measured = (bool(parse(self.config.interactions.objective).layer), self.config.evaluation.kid_weights != "none")
        return (self.stages, *sizes, trains and self.config.gan.steps, *measured)


def jobs_of(experiments: Iterable[Experiment], root: Path, files: Mapping[str, str] | None = None) -> dict[str, Job]:
    """The jobs of experiments below `root` by their names, each after those that it needs, shared GANs among them."""
    jobs: dict[str, Job] = {}
    for experiment in experiments:
        config, needs, gan = experiment.config, [], None
        if config.first_round:
            needs.append(config.first_round)
            config = dataclasses.replace(config, first_round=str(root / config.first_round))
        # A bundled GAN is at hand, and a second round goes on from the first's.
        if config.gan.generator == "train" and not config.first_round and not experiment.not_run:
            shared = f"gan/{gan_key(config)}"
            gan = root / shared
            jobs.setdefault(shared, Job(shared, gan, gan_config(config), stages=("gan",)))
            if not (root / experiment.name / "gan" / "done.json").exists():
                needs.append(shared)
        name = experiment.name
        jobs[name] = Job(name, root / name, config, (), tuple(needs), gan, experiment.not_run, files or {})
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


def command_words(config: ExperimentConfig) -> list[str]:
    """The words after `python -m pir_tf.experiments.run` that mean exactly this config: a preset, and what differs from it."""
    usual, papers, words = preset(config.preset), by_papers_method(config.preset), [config.preset]
    start = flatten(papers if config.estimator.output != usual.estimator.output else usual)
    if usual != papers and config.estimator != usual.estimator:
        start["estimator.output"] = ""  # is named, since it decides from where the options start
    if config.estimator.output == "linear" and config.tuning.steps > LONG_TUNING:
        start["estimator.pessimism"] = None  # is named, since none would be another one
    for name, value in flatten(config).items():
        if name == "preset" or value == start[name]:
            continue
        section, dot, field = name.replace("_", "-").rpartition(".")
        if isinstance(value, bool):
            words.append(f"--{section}{dot}{'' if value else 'no-'}{field}")
        else:
            values = value if isinstance(value, list) else [value]
            words += [
                f"--{section}{dot}{field}",
                *(repr(one) if isinstance(one, float) else str(one) for one in values),
            ]
    return words


def gan_config(config: ExperimentConfig) -> ExperimentConfig:
    """The config of the run that trains the GAN: the fields that decide it, all others as usual."""
    start = by_papers_method(config.preset)  # which needs nothing of the generator
    return dataclasses.replace(start, seed=config.seed, data=config.data, gan=config.gan, compute=config.compute)


def gan_key(config: ExperimentConfig) -> str:
    """A short name of the fields that decide the pretrained networks: eight hexadecimal digits."""
    text = json.dumps(_gan_fields(identity(config)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def put_gan(source: Path, config: ExperimentConfig, run: Path) -> None:
    """Copies the GAN that was trained in run `source` into one whose stage `gan` isn't done yet, whole or not at all.

    That run then finds the stage done, with the files that it would have made: every field that decides them is compared, and
    one seed gives one result.

    Raises:
        InputError: The source's stage isn't done, or was made with other fields.
    """
    target = run / "gan"
    if (target / "done.json").exists():
        return
    if not (source / "gan" / "done.json").exists():
        raise InputError(f"{source} has no finished stage gan, expected a trained GAN: train it first.")
    theirs, ours = _gan_fields(read_json(source / "config.json")["config"]), _gan_fields(identity(config))
    if differ := ", ".join(name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)):
        raise InputError(f"The GAN in {source} was trained with another {differ} than this run's: train one for it.")
    target.mkdir(parents=True, exist_ok=True)
    for path in [*(source / "gan" / name for name in GAN_FILES), source / "data.json"]:
        if path.exists():
            with atomic(run / path.relative_to(source)) as beside:
                shutil.copyfile(path, beside)
    facts = {**read_json(source / "gan" / "done.json"), "trained_in": f"{source.parent.name}/{source.name}"}
    write_json(target / "done.json", facts)


def _gan_fields(fields: dict[str, Any]) -> dict[str, Any]:
    sections = ("seed", "data.", "gan.", "compute.")
    return {name: value for name, value in fields.items() if name.startswith(sections) and decides(name)}


def is_finished(job: Job) -> bool:
    """Whether its last stage is done, with this config in all that decides what is computed, and files of this content."""
    if not has_ended(job):
        return False
    there, wanted = recorded(read_json(job.directory / "config.json")), identity(job.config)
    same = all(there[name] == value for name, value in wanted.items() if decides(name))
    before, now = files_before_and_now(job)
    return same and before == now


def has_ended(job: Job) -> bool:
    """Whether its last stage is done, of whatever config."""
    last = (job.stages or STAGES)[-1]
    return (job.directory / last / "done.json").exists() and (job.directory / "config.json").exists()


def files_before_and_now(job: Job) -> tuple[dict[str, str], dict[str, str]]:
    """SHA-256 of the files that its run recorded, by field, and of those that its config names; unknown ones as recorded."""
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
            for need in [need for need in job.needs if found[need][0] == FAILED]:
                found[name] = (FAILED, f"it needs {need}, which failed: {found[need][1]}")
    return found


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


def drop_checkpoints(job: Job) -> None:
    """Removes the training checkpoints of a finished run: most of its bytes, and read by unfinished training alone."""
    for stage in STAGES:
        shutil.rmtree(job.directory / stage / "checkpoints", ignore_errors=True)


def log_size(job: Job) -> int:
    """Bytes in its log now: the log of its next process begins there."""
    log = job.directory / "log.txt"
    return log.stat().st_size if log.exists() else 0


def reason_of(log: Path, code: int, start: int = 0) -> str:
    """Why a process ended with that exit code, in one sentence without paths; its output begins `start` bytes into the log."""
    if code < 0:
        return f"the process was killed by signal {-code}" + (" (often: memory ran out)" if code == -9 else "")
    text = log.read_bytes()[start:][-20_000:].decode("utf-8", errors="replace") if log.exists() else ""
    # Progress bars are no reason.
    lines = [line.strip() for line in re.split(r"[\r\n]", text) if line.strip() and "%|" not in line]
    for pattern in (r"Error: ", r"[\w.]*(Error|Exception|Interrupt)\b(: |$)", r""):
        said = next((line for line in reversed(lines) if re.match(pattern, line)), None)
        if said:
            return without_paths(said.removeprefix("Error: "))
    return f"the process ended with exit code {code} and said nothing"


def without_paths(text: str) -> str:
    """A sentence with base names for absolute paths, so that it says the same wherever the sweep lies."""
    return re.sub(r"(?<![\w:/])(?:/[^\s:;,'\"/]+)+/(?=[^/\s])", "", text)[:500]


def write_tables(root: Path, jobs: Mapping[str, Job], suites: Mapping[str, tuple[str, ...]]) -> None:
    """Writes `results.csv`, a row for each experiment of `suites`, and `timings.csv`, which has what differs between machines.

    Both are made anew from the directories, so a sweep that was killed and resumed ends with the bytes of an unbroken one.
    """
    from pir_tf.paper.rows import COLUMNS, row_of, write_rows

    rows = []
    for name, (status, reason) in states(jobs).items():
        if name in suites:
            job = jobs[name]
            results = read_json(job.directory / "evaluation" / "results.json") if status == DONE else {}
            own = {"suite": " ".join(suites[name]), "name": name, "status": status, "reason": reason}
            rows.append({**own, **row_of(identity(job.config), results, experiment=name)})
    write_rows(root / "results.csv", rows, ("suite", "name", "status", "reason", *COLUMNS))
    timings = [{"name": name, **timing_of(job.directory)} for name, job in jobs.items()]
    write_rows(root / "timings.csv", timings, TIMING_COLUMNS)


def timing_of(run: Path) -> dict[str, Any]:
    """How long a run's own stages took, in seconds, and its most memory, in MB; a shared GAN counts where it was trained."""
    paths = {stage: run / stage / "done.json" for stage in STAGES}
    facts = {stage: read_json(path) for stage, path in paths.items() if path.exists()}
    own = {stage: fact for stage, fact in facts.items() if "trained_in" not in fact}
    return {
        "seconds": round(sum(fact.get("seconds", 0.0) for fact in own.values()), 2) if own else None,
        **{f"{stage}_seconds": fact.get("seconds") for stage, fact in own.items()},
        "peak_memory_mb": max((fact.get("peak_memory_mb", 0) for fact in own.values()), default=None),
        "gan_trained_in": facts.get("gan", {}).get("trained_in", ""),
    }
