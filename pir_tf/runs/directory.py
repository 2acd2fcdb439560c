"""The run directory: where artifacts lie, how they are written, what made them, and which stages are done.

A file but a log appears under its final name only when it is whole (written beside, then renamed), and a stage is done when its
`done.json` is there. `config.json` says what made the run: the config, versions, commit and the SHA-256 of files that it
used. A run directory belongs to one config: opening it with another is refused with the names of the fields that differ.
Paths are no part of a run's identity, so `config.json` holds base names alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from pir_tf.config import ExperimentConfig, derived_seed, flatten
from pir_tf.errors import InputError, differences, explain_os_errors
from pir_tf.runs.provenance import changes, now, provenance

STAGES = ("gan", "interactions", "estimator", "tuning", "evaluation", "report")
_PATH_FIELDS = (
    "data.source",
    "gan.generator",
    "interactions.source",
    "interactions.vgg_weights",
    "estimator.weights",
    "evaluation.source",
    "evaluation.kid_weights",
)
_NO_IDENTITY = ("compute.distribute", "compute.logical_cpus", "evaluation.source")
_NO_IDENTITY_NAMES = ("tensorboard", "checkpoint_minutes")
_LEFTOVER = re.compile(r"\..+\.[0-9a-f]+\.(partial(\.\w+)?|tmp)")
"""Name of what a kill leaves of a file, or a folder, that was being written."""


class RunDirectory:
    """One experiment's directory, held by one process at a time.

    Args:
        path: the directory, made when absent.
        config: the experiment.
        files: SHA-256 of the files that the config names, by field (`{"estimator.weights": "9f2c..."}`).
        command: the command that made the run, without its directory.
        chief: whether this process writes here; another one of the same job reads along, and waits until the chief has begun.
        cache: a directory in which runs leave what others would compute again, or None. It is no part of the identity.

    Raises:
        InputError: the directory can't be written, another process works in it, or it holds an experiment that differs.
    """

    def __init__(
        self,
        path: str | Path,
        config: ExperimentConfig,
        *,
        files: dict[str, str] | None = None,
        command: str | None = None,
        cache: Path | None = None,
        chief: bool = True,
    ) -> None:
        self.path = Path(path)
        self.config = config
        self.cache = cache
        self.round = _round(config)
        with explain_os_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = _lock(self.path) if chief else None
            if not chief:
                _wait_for(self.path / "config.json")
            try:
                if chief:
                    _remove_leftovers(self.path)
                self._adopt(files or {}, command, chief=chief)
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

    def unmark(self, stage: str) -> None:
        """Lets a stage run again."""
        (self.path / stage / "done.json").unlink(missing_ok=True)

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
        fields = identity(self.config)
        target = self.path / "config.json"
        if not target.exists():
            write_json(target, {"config": fields, "files": files, "command": command, **provenance()})
            return
        old = read_json(target)
        before, now = {**recorded(old), **old["files"]}, {**fields, **files}
        differ = [name for name in {**before, **now} if before.get(name) != now.get(name) and decides(name)]
        if differ:
            said = differences(before, now, differ)
            raise InputError(
                f"{self.path} holds an experiment that differs in {said}: name another directory with --run-dir, "
                "or repeat its config."
            )
        if chief and not all(self.is_done(stage) for stage in STAGES):
            self._note_versions(old)

    def _note_versions(self, about: dict[str, Any]) -> None:
        """Notes in `config.json` that a run goes on with another commit or other versions than it did last."""
        made_by = provenance()
        if said := changes(about, made_by):
            write_json(self.path / "config.json", {**about, "continued": [*about.get("continued", []), made_by]})
            print(f"This run goes on with other versions, so that bits may differ: {said}", flush=True)


def _round(config: ExperimentConfig) -> int:
    """Which round a run is: 1, or one more than the run that it goes on from (A.3)."""
    if not config.first_round:
        return 1
    return int(read_json(Path(config.first_round, "evaluation", "results.json")).get("round", 1)) + 1


def recorded(about: dict[str, Any]) -> dict[str, Any]:
    """The flat config in what `config.json` holds; fields that the version which wrote it didn't have are at their defaults.

    A field is added with the default that means what was done before.
    """
    return {**flatten(ExperimentConfig()), **about["config"]}


def identity(config: ExperimentConfig) -> dict[str, Any]:
    """The flat config as `config.json` holds it: paths as base names."""
    fields = flatten(config)
    for name in _PATH_FIELDS:
        scheme, colon, rest = fields[name].partition(":")
        # A TF-Hub handle is an address, or a local folder.
        if colon and (scheme in ("folder", "csv", "file", "import") or (scheme == "hub" and "://" not in rest)):
            fields[name] = f"{scheme}:{_base_name(rest)}"
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
        for folder, _, names in os.walk(beside, topdown=False):
            for name in names:
                with open(Path(folder, name), "rb") as handle:
                    os.fsync(handle.fileno())
            synchronise_directory(Path(folder))
        shutil.rmtree(path, ignore_errors=True)
        os.replace(beside, path)
        synchronise_directory(path.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


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
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error}): restore it or start a new run directory.") from error


def finite_or_none(value: float) -> float | None:
    """A plain float, or None for NaN and infinity, as JSON wants it."""
    return float(value) if math.isfinite(value) else None


def _wait_for(path: Path, seconds: float = 60.0) -> None:
    """Waits until the chief has written a file.

    Raises:
        InputError: it hasn't in that time.
    """
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise InputError(
                f"{path} didn't appear within {seconds:.0f} s, expected the job's chief to write it: see what the chief said, "
                "and give all processes one directory that all of them reach."
            )
        time.sleep(0.1)


def _remove_leftovers(path: Path) -> None:
    """Clears a run directory, which no other process works in, of what kills left of files that were being written."""
    for found in [found for found in path.rglob(".*") if _LEFTOVER.fullmatch(found.name)]:
        if found.is_dir():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


def _lock(path: Path) -> IO[str]:
    handle = open(path / ".lock", "w")  # noqa: SIM115 (held until close)
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
