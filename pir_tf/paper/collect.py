"""Experiments from run directories, sweeps and published folders, with what was left out in words. No TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pir_tf.errors import InputError
from pir_tf.paper.rows import COLUMNS, Row, read_rows, records, row_of, table
from pir_tf.runs.directory import read_json

RESULTS = ("evaluation/results.json", "results.json")
"""Where a run, and a published folder, keep the results."""

SAMPLES = ("evaluation/samples.npz", "samples.npz")
TABLE, LISTED = "results.csv", {**COLUMNS, "status": str, "reason": str}
"""A sweep's own table, and what is read of it."""


@dataclasses.dataclass(frozen=True)
class Collected:
    """Experiments that were found."""

    rows: pd.DataFrame  # one for each, in the order of their directories' names
    samples: dict[str, Path]  # `samples.npz` by the experiment's name, where there is one
    notes: list[str]  # what was left out and why, a sentence each
    places: dict[str, Path]  # directory by the experiment's name; one that only a sweep's table knows need not be there
    missing: pd.DataFrame  # settings of experiments that sweeps list without results, with `status` and `reason`
    # Name and directory of each that counts once with another.
    alike: list[tuple[str, Path]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class _Found:
    rows: list[Row] = dataclasses.field(default_factory=list)
    places: dict[str, Path] = dataclasses.field(default_factory=dict)
    missing: list[Row] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    alike: list[tuple[str, Path]] = dataclasses.field(default_factory=list)

    def add(self, row: Row, name: str, place: Path) -> None:
        self.rows.append({**row, "experiment": name})
        self.places[name] = place


def collect(paths: Sequence[Path]) -> Collected:
    """Reads every experiment in some directories.

    Args:
        paths: Run directories, published folders, or directories with such below (sweeps).

    Returns:
        The experiments with results. Equal ones count once; unfinished and damaged ones below a directory are noted.

    Raises:
        InputError: A path is absent or holds no experiment with results, or a run that was named itself is damaged.
    """
    found = _Found()
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path} is no directory, expected a run, a sweep or a published folder: check the path.")
        inside, whole = _Found(), path.resolve()
        alone = (path / "config.json").is_file()
        if alone:
            _add(inside, path, whole.name)
        else:
            _search(inside, path)
        if not inside.rows and not inside.notes:
            raise InputError(
                f"{path} holds no config.json with results beside it, at any depth: name a finished run, a sweep or a "
                "published folder."
            )
        for row in inside.rows:
            _keep(found, row, inside.places[row["experiment"]], whole.parent.name if alone else whole.name)
        found.notes.extend(inside.notes)
        found.missing.extend(inside.missing)
    if not found.rows:
        raise InputError(f"No experiment with results was found ({found.notes[0].rstrip('.')}): finish one first.")
    archives = {name: _first(place, SAMPLES) for name, place in found.places.items()}
    samples = {name: path for name, path in archives.items() if path}
    return Collected(table(found.rows), samples, found.notes, found.places, table(found.missing, LISTED), found.alike)


def _search(found: _Found, path: Path, prefix: str = "") -> None:
    """Adds the runs and sweeps below a directory, and the rows of its own table whose runs are not there."""
    lines = records(read_rows(path / TABLE, LISTED)[list(LISTED)]) if (path / TABLE).is_file() else []
    unfinished = {line["experiment"]: line for line in lines if line["status"] != "done"}
    refused = set()
    for directory in _below(path):
        inner = directory.relative_to(path).as_posix()
        try:
            if not (directory / "config.json").is_file():
                _search(found, directory, f"{prefix}{inner}/")
            # The table says of unfinished ones why they have no results.
            elif inner not in unfinished and (not lines or results_file(directory)):
                _add(found, directory, prefix + inner)
        except InputError as error:
            refused.add(inner)
            # Notes are published, directories are not.
            found.notes.append(f"{prefix}{inner} was left out: {str(error).replace(str(directory), inner)}")
    reasons: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        inner = line["experiment"]
        name = prefix + inner
        if inner in unfinished:
            found.missing.append({**line, "experiment": name})
            reasons.setdefault((line["status"], line["reason"].rstrip(".")), []).append(name)
        elif name not in found.places and inner not in refused and line["change"] is not None:
            found.add({column: line[column] for column in COLUMNS}, name, path / inner)
    for (status, reason), names in reasons.items():
        shown = ", ".join(names if len(names) <= 4 else [*names[:2], f"{len(names) - 2} more"])
        found.notes.append(f"{shown}: {status}{f' ({reason})' if reason else ''}.")


def _below(path: Path) -> list[Path]:
    """Runs and sweeps below a directory, none inside another; caches and hidden directories are passed over."""
    found = []
    for directory, names, files in os.walk(path):
        if Path(directory) != path and ("config.json" in files or TABLE in files):
            found.append(Path(directory))
            names.clear()
        names[:] = sorted(name for name in names if name != "cache" and not name.startswith("."))
    return found


def _add(found: _Found, directory: Path, name: str) -> None:
    results = results_file(directory)
    if results is None:
        found.notes.append(f"{name} has no results yet.")
        return
    config = _object(directory / "config.json").get("config")
    if not isinstance(config, dict):
        raise InputError(f"{directory / 'config.json'} has no config in it, expected one of a run: restore it.")
    found.add(row_of(config, _object(results)), name, directory)


def results_file(directory: Path) -> Path | None:
    """Where a run's directory, or a published folder, holds its results; None for one that a sweep's table alone knows."""
    return _first(directory, RESULTS)


def _first(directory: Path, names: Sequence[str]) -> Path | None:
    return next((directory / name for name in names if (directory / name).is_file()), None)


def _keep(found: _Found, row: Row, place: Path, folder: str) -> None:
    """Adds a row under a name of its own, with the folder's before it where another has its name, unless it is there."""
    name = row["experiment"]
    for other in found.rows:
        if {**other, "experiment": name} == row:
            if name != other["experiment"]:
                found.notes.append(f"{name} equals {other['experiment']} in settings and results, so it counts once.")
                found.alike.append((name, place))
            return
    name = name if name not in found.places else f"{folder}/{name}"
    base, copy = name, 2
    while name in found.places:
        name, copy = f"{base} ({copy})", copy + 1
    found.add(row, name, place)


def _object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}): restore it.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected an object: restore it or repeat its stage.")
    return value
