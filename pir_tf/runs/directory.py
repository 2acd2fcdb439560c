"""The run directory: where artifacts lie, how they are written, what made them, and which stages are done.

A file but a log appears under its final name only when it is whole (written beside, then renamed), and a stage is done when its
`done.json` is there. `config.json` says what made the run: the config, versions, commit and the SHA-256 of files that it
used; paths are no part of a run's identity, so it holds base names alone. A directory is a run's when it has one: nothing is
written into, or removed from, a directory with other things in it. A field may change until a stage that depends on it has
finished, or has begun what it would go on from.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pir_tf.config import ExperimentConfig, derived_seed, flatten
from pir_tf.config.compute import Form
from pir_tf.errors import InputError, differences, explain_os_errors
from pir_tf.runs.provenance import changes, now, provenance

STAGES = ("gan", "interactions", "estimator", "tuning", "evaluation", "report")
TRAINED = ("gan", "estimator", "tuning")
"""Stages that train, in which all processes of a job work."""
_BEGUN = {
    **dict.fromkeys(TRAINED, ("checkpoints/step-*.npz", "best.npz")),
    **dict.fromkeys(("interactions", "evaluation"), ("images.npz",)),
}
"""What an unfinished stage goes on from."""
_NO_IDENTITY = ("compute.distribute", "compute.logical_cpus", "compute.jit_compile", "evaluation.source")
_NO_IDENTITY_NAMES = ("tensorboard", "checkpoint_minutes")
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{32}\.(partial(\.\w+)?|tmp)")
"""Name of what a kill leaves of a file, or a folder, that was being written."""
SIMULATED_RATERS, SAID_OF_THEM = "demo.txt", "The raters of this loop are simulated.\n"
"""A file in a loop's folder whose raters aren't people, and what it says."""
_BEFORE_A_RUN = (".lock", "log.txt", "failed.json", "data.json")
"""What a sweep, or a run that was killed at once, leaves in a directory without a `config.json`."""


class RunDirectory:
    """One experiment's directory, absent, empty or a run's, held by one process at a time.

    Args:
        path: the directory.
        config: the experiment.
        files: SHA-256 of the files that the config names, by field (`{"estimator.weights": "9f2c..."}`).
        command: the command that made the run, without its directory.
        chief: whether this process writes here; another one of the same job waits until it has begun.
        cache: a directory in which runs leave what others would compute again, or None. It is no part of the identity.
        forms: whether XLA compiles the steps of each training, `on` or `off` by its stage; None for what the run began with.

    Attributes:
        forms: whether XLA compiles the steps of each training, `on` or `off` by its stage. It is part of the identity.

    Raises:
        InputError: the directory can't be used or holds other things, or another experiment in what is done there.
    """

    def __init__(
        self,
        path: str | Path,
        config: ExperimentConfig,
        *,
        files: dict[str, str] | None = None,
        command: str | None = None,
        cache: Path | None = None,
        forms: dict[str, Form] | None = None,
        chief: bool = True,
    ) -> None:
        self.path = Path(path)
        self.config = config
        self.cache = cache
        self.round = round_of(config)
        with explain_os_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            _require_ours(self.path)
            self.forms: dict[str, Form] = forms or held_forms(self.path) or dict.fromkeys(TRAINED, "off")
            self._lock = _lock(self.path) if chief else None
            if not chief:
                _wait_for(self.path / "config.json")
            try:
                self._adopt(files or {}, command, chief=chief)
                if chief:
                    self._clear()
            except BaseException:
                self.close()
                raise

    def file(self, stage: str, name: str) -> Path:
        """Where a stage's file lies; makes the stage's directory."""
        (self.path / stage).mkdir(exist_ok=True)
        return self.path / stage / name

    def is_done(self, stage: str) -> bool:
        """Whether the stage has finished."""
        return (self.path / stage / "done.json").exists()

    def mark_done(self, stage: str, **facts: Any) -> None:
        """Says that all of the stage's files are whole, with facts such as seconds and peak memory."""
        write_json(self.file(stage, "done.json"), {"finished": now(), **facts})

    def facts(self, stage: str) -> dict[str, Any] | None:
        """What `mark_done` was told, or None for an unfinished stage."""
        return read_json(self.path / stage / "done.json") if self.is_done(stage) else None

    def seed_of(self, purpose: str) -> int:
        """The seed of a purpose in this round: no round repeats another's latents, users or batches."""
        return derived_seed(self.config.seed, purpose if self.round == 1 else f"{purpose}, round {self.round}")

    def close(self) -> None:
        """Lets another process work here."""
        if self._lock:
            self._lock.close()

    def _adopt(self, files: dict[str, str], command: str | None, *, chief: bool) -> None:
        target, made_by = self.path / "config.json", {"config": identity(self.config), "files": files}
        if not target.exists():
            write_json(target, {**made_by, "jit_compile": self.forms, "command": command, **provenance()})
            return
        about = read_json(target)
        before = {**recorded(about), **about["files"], **_named(_forms(about))}
        after = {**made_by["config"], **files, **_named(self.forms)}
        differ = [name for name in {**before, **after} if before.get(name) != after.get(name) and decides(name)]
        if settled := [name for name in differ if self._has_used(name)]:
            raise InputError(
                f"{self.path} holds an experiment that differs in {differences(before, after, settled)}, which its stages have "
                "used: name another directory with --run-dir, or repeat its config."
            )
        if not chief:
            return
        if differ:
            about.update(made_by, jit_compile=self.forms, command=command)
            print(
                f"No stage has used what differs, so this run goes on with {differences(before, after, differ)}",
                flush=True,
            )
        said = ""
        if not all(self.is_done(stage) for stage in STAGES) and (said := changes(about, now_by := provenance())):
            about["continued"] = [*about.get("continued", []), now_by]
            print(f"This run goes on with other versions, so that bits may differ: {said}", flush=True)
        if differ or said:
            write_json(target, about)

    def _has_used(self, name: str) -> bool:
        """Whether a stage that depends on a field has finished, or has begun what it would go on from.

        A section's stage and all later ones depend on its fields; all stages on those that are no stage's.
        """
        section = name.partition(".")[0]
        if name == "evaluation.judge" and self.config.estimator.output == "linear":
            section = "estimator"  # which leaves a third of the answers to the judge
        for stage in STAGES[STAGES.index(section) if section in STAGES else 0 :]:
            if self.is_done(stage):
                return True
            # Of the fields of their own section, images that wait for people depend on these alone.
            waiting = stage == section and stage in ("interactions", "evaluation")
            begun = any(True for pattern in _BEGUN.get(stage, ()) for _ in (self.path / stage).glob(pattern))
            if begun and not (waiting and not name.endswith((".images", ".against", ".explore"))):
                return True
        return False

    def _clear(self) -> None:
        """Removes what kills left of files that were being written, and of real images that no stage has used."""
        below = [found for stage in STAGES for found in (self.path / stage).rglob(".*")]
        for found in [*self.path.glob(".*"), *below]:
            if LEFTOVER.fullmatch(found.name):
                if found.is_dir() and not found.is_symlink():
                    shutil.rmtree(found)
                else:
                    found.unlink(missing_ok=True)
        if not self._has_used("data"):
            (self.path / "data.json").unlink(missing_ok=True)


def round_of(config: ExperimentConfig) -> int:
    """Which round a run is: 1, or one more than the run that it goes on from (A.3)."""
    if not config.first_round:
        return 1
    return int(read_json(Path(config.first_round, "evaluation", "results.json")).get("round", 1)) + 1


def recorded(about: dict[str, Any]) -> dict[str, Any]:
    """The flat config in what `config.json` holds; fields that the version which wrote it didn't have are at their defaults.

    A field is added with the default that means what was done before.
    """
    return {**flatten(ExperimentConfig()), **about["config"]}


def held_forms(path: str | Path) -> dict[str, Form]:
    """Whether XLA compiles the steps of each training of a run, by its stage; nothing where no run has begun."""
    path = Path(path)
    with explain_os_errors(path / "config.json"):
        if not os.path.exists(path / "config.json"):
            return {}
        _require_ours(path)
        return _forms(read_json(path / "config.json"))


def _forms(about: dict[str, Any]) -> dict[str, Form]:
    """Those that a `config.json` holds; before it held them, `compute.jit_compile` was true or false for all trainings."""
    before: Form = "on" if about.get("config", {}).get("compute.jit_compile") is True else "off"
    return {**dict.fromkeys(TRAINED, before), **about.get("jit_compile", {})}


def _named(forms: dict[str, Form]) -> dict[str, str]:
    return {f"{stage}.jit_compile": form for stage, form in forms.items()}


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """The flat config as `config.json` holds it: paths as base names."""
    fields = flatten(config)
    for name, value in fields.items():
        # A TF-Hub handle is an address, or a local folder; a study's database is one too, or a file.
        if found := re.fullmatch(r"(folder|csv|file|import|(?:hub|people)(?!:.*://)):(.*)", str(value), re.DOTALL):
            fields[name] = f"{found[1]}:{_base_name(found[2])}"
    if fields["first_round"]:
        fields["first_round"] = _base_name(fields["first_round"])
    return fields


def decides(name: str) -> bool:
    """Whether a field is part of a run's identity: it can change what the run computes."""
    return name not in _NO_IDENTITY and name.rpartition(".")[2] not in _NO_IDENTITY_NAMES


def _base_name(path: str) -> str:
    return os.path.basename(os.path.abspath(path))


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffix, renamed to it when the block ends without an error.

    The file, and then its name, are on the disk before the block's end returns: what is written later can't survive a power
    cut without it. A run's directory is cleared of what a kill leaves when it is opened again.
    """
    path = Path(path)
    # Two machines that share a disk may have one process number.
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex}.partial{path.suffix}")
    try:
        yield beside
        with open(beside, "rb") as handle:
            os.fsync(handle.fileno())
        os.replace(beside, path)
        synchronise_directory(path.parent)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """The same for a folder that the block makes: it takes the place of one that is there, and all in it is on the disk."""
    path = Path(path)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        yield beside
        synchronise_folder(beside)
        shutil.rmtree(path, ignore_errors=True)
        os.replace(beside, path)
        synchronise_directory(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def synchronise_folder(path: Path) -> None:
    """Waits until all files of a folder, and their names, are on the disk."""
    for folder, _, names in os.walk(path, topdown=False):
        for name in names:
            with open(Path(folder, name), "rb") as handle:
                os.fsync(handle.fileno())
        synchronise_directory(Path(folder))


def synchronise_directory(path: Path) -> None:
    """Waits until the names in a directory are on the disk, where the file system can say so."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network file systems refuse it
            os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: str | Path, value: Any) -> None:
    """Writes strict JSON atomically.

    Raises:
        ValueError: a number is NaN or infinite: what is undefined must be None.
    """
    with atomic(path) as beside:
        beside.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: str | Path) -> Any:
    """Reads a JSON file.

    Raises:
        InputError: it isn't JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:  # of its characters too
        raise InputError(f"{path} is not valid JSON ({error}): restore it or start a new run directory.") from error


def has_simulated_raters(folder: Path) -> bool:
    """Whether a loop's folder, or a run's in it, is a demonstration's."""
    for place in (folder, folder.absolute().parent):
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if (place / SIMULATED_RATERS).read_text() == SAID_OF_THEM:  # another's file may have that name
                return True
    return False


def _wait_for(path: Path, seconds: float = 60.0) -> None:
    """Waits until the chief has written a file, or refuses to wait any longer."""
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise InputError(
                f"{path} didn't appear within {seconds:.0f} s, expected the job's chief to write it: see what the chief said, "
                "and give all processes one directory that all of them reach."
            )
        time.sleep(0.1)


def _require_ours(path: Path) -> None:
    """Refuses a directory with other things than a run in it, before anything is written there."""
    if (path / "config.json").exists():
        about = read_json(path / "config.json")
        parts = (
            [about.get(name, {}) for name in ("config", "files", "jit_compile")] if isinstance(about, dict) else [None]
        )
        if all(isinstance(part, dict) for part in parts) and {"config", "files"} <= {*about}:
            return
        foreign = ["config.json"]
    else:
        ours = [*_BEFORE_A_RUN, *(["gan"] if (path / "gan" / "done.json").exists() else [])]  # a sweep puts it there
        foreign = [name for name in sorted(os.listdir(path)) if name not in ours and not LEFTOVER.fullmatch(name)]
    if foreign:
        more = ", ..." if len(foreign) > 3 else ""
        raise InputError(
            f"{path} holds what is no run's ({', '.join(foreign[:3])}{more}), expected a new or empty directory, or a run's: "
            "name another one with --run-dir."
        )


def _lock(path: Path) -> IO[str]:
    handle = open(path / ".lock", "a")  # noqa: SIM115 (held until close)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        handle.close()
        raise InputError(f"Another process is working in {path}: wait for it, or name another --run-dir.") from error
    except OSError as error:
        handle.close()
        raise InputError(
            f"{path} can't be locked ({error.strerror}), expected a file system with locks, which keep two processes "
            "apart: name a --run-dir on another one, or mount this one with them."
        ) from error
    return handle
