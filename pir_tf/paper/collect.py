"""Experiments from run directories, sweeps and published folders, as rows, with what was left out in words. No TensorFlow."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError
from pir_tf.paper.rows import COLUMNS, Row, read_rows, row_of
from pir_tf.runs.directory import read_json

RESULTS = ("evaluation/results.json", "results.json")
"""Where a run, and a published folder, keep the results."""

SAMPLES = ("evaluation/samples.npz", "samples.npz")
TABLE = "results.csv"
"""A sweep's own table."""

FINISHED = ("", "done", "finished", "ok")
"""What a sweep's `status` says of an experiment with results."""


@dataclasses.dataclass(frozen=True)
class Collected:
    """Experiments that were found.

    Attributes:
        rows: A row for each, in the order of their directories' names.
        samples: `samples.npz` by the experiment's name, where there is one.
        notes: What was left out and why, a sentence each.
        places: The directory of each experiment by its name; one that only a sweep's table knows need not be there.
        missing: The settings of experiments that sweeps list without results, with `status` and `reason`.
    """

    rows: list[Row]
    samples: dict[str, Path]
    notes: list[str]
    places: dict[str, Path] = dataclasses.field(default_factory=dict)
    missing: list[Row] = dataclasses.field(default_factory=list)


def collect(paths: Sequence[Path]) -> Collected:
    """Reads every experiment in some directories.

    Args:
        paths: Run directories, published folders, or directories with such below (sweeps).

    Returns:
        The experiments with results. Equal ones count once; unfinished and damaged ones below a directory are noted.

    Raises:
        InputError: A path is absent or holds no experiment with results, or a run that was named itself is damaged.
    """
    found = Collected([], {}, [])
    for path in paths:
        if not path.is_dir():
            raise InputError(f"{path} is no directory, expected a run, a sweep or a published folder: check the path.")
        inside = Collected([], {}, [])
        alone = (path / "config.json").is_file()
        if alone:
            _add(inside, path, path.resolve().name)
        else:
            _add_all(inside, path)
        if not inside.rows and not inside.notes:
            raise InputError(
                f"{path} holds no config.json with results beside it, at any depth: name a finished run, a sweep or a "
                "published folder."
            )
        folder = path.resolve().parent.name if alone else path.resolve().name
        for row in inside.rows:
            _keep(found, row, inside, folder)
        found.notes.extend(inside.notes)
        found.missing.extend(inside.missing)
    if not found.rows:
        raise InputError(f"No experiment with results was found ({found.notes[0].rstrip('.')}): finish one first.")
    return found


def _add_all(found: Collected, path: Path) -> None:
    """Adds the runs below a directory, and the rows of a sweep's table whose runs are not there."""
    table = read_rows(path / TABLE) if (path / TABLE).is_file() else []
    open_runs = {_name(line): line for line in table if line.get("status", "") not in FINISHED}
    for directory in _below(path):
        name = directory.relative_to(path).as_posix()
        if not (directory / "config.json").is_file():
            _add_sweep(found, directory, name)
        # The sweep's own table says of these why they have no results.
        elif name not in open_runs and (not table or _results(directory)):
            try:
                _add(found, directory, name)
            except InputError as error:
                # Notes are published, directories are not.
                found.notes.append(f"{name} was left out: {str(error).replace(str(directory), name)}")
    known = {row["experiment"] for row in found.rows}
    for line in table:
        if _name(line) not in known and _name(line) not in open_runs and line.get("change") is not None:
            found.rows.append(_row_of_line(line))
            found.places[_name(line)] = path / _name(line)
    why = ("status", "reason")
    found.missing.extend(_row_of_line(line) | {name: line.get(name, "") for name in why} for line in open_runs.values())
    found.notes.extend(_open_notes(list(open_runs.values())))


def _add_sweep(found: Collected, directory: Path, name: str) -> None:
    """Adds a sweep that lies below the named directory, its experiments under its name."""
    inside = Collected([], {}, [])
    _add_all(inside, directory)
    for row in inside.rows:
        whole = f"{name}/{row['experiment']}"
        found.rows.append({**row, "experiment": whole})
        found.places[whole] = inside.places[row["experiment"]]
        if row["experiment"] in inside.samples:
            found.samples[whole] = inside.samples[row["experiment"]]
    found.notes.extend(f"{name}: {note}" for note in inside.notes)
    found.missing.extend({**row, "experiment": f"{name}/{row['experiment']}"} for row in inside.missing)


def _open_notes(lines: Sequence[Row]) -> list[str]:
    """A sentence for each reason why experiments of a sweep have no results, not for each of them."""
    names: dict[tuple[str, str], list[str]] = {}
    for line in lines:
        names.setdefault((line["status"], line.get("reason", "").rstrip(".")), []).append(_name(line))
    notes = []
    for (status, reason), own in names.items():
        shown = ", ".join(own if len(own) <= 4 else [*own[:2], f"{len(own) - 2} more"])
        notes.append(f"{shown}: {status}{f' ({reason})' if reason else ''}.")
    return notes


def _below(path: Path) -> list[Path]:
    """Runs and sweeps below a directory, none inside another; caches and hidden directories are passed over."""
    found = []
    for directory, names, files in os.walk(path):
        if Path(directory) != path and ("config.json" in files or TABLE in files):
            found.append(Path(directory))
            names.clear()
        names[:] = sorted(name for name in names if name != "cache" and not name.startswith("."))
    return found


def _add(found: Collected, directory: Path, name: str) -> None:
    results = _results(directory)
    if results is None:
        found.notes.append(f"{name} has no results yet.")
        return
    config = _object(directory / "config.json").get("config")
    if not isinstance(config, dict):
        raise InputError(f"{directory / 'config.json'} has no config in it, expected one of a run: restore it.")
    found.rows.append(row_of(config, _object(results), experiment=name))
    found.places[name] = directory
    samples = next((directory / place for place in SAMPLES if (directory / place).is_file()), None)
    if samples:
        found.samples[name] = samples


def _row_of_line(line: Row) -> Row:
    row: Row = {column: line.get(column, "" if kind is str else None) for column, kind in COLUMNS.items()}
    return {**row, "experiment": _name(line)}


def _name(line: Row) -> str:
    return line.get("experiment") or line.get("name") or ""


def _results(directory: Path) -> Path | None:
    return next((directory / place for place in RESULTS if (directory / place).is_file()), None)


def _keep(found: Collected, row: Row, inside: Collected, folder: str) -> None:
    """Adds a row under a name of its own, with the folder's before it where another has its name, unless it is there."""
    name = row["experiment"]
    samples, place = inside.samples.get(name), inside.places[name]
    for other in found.rows:
        if {**other, "experiment": ""} == {**row, "experiment": ""}:
            if name != other["experiment"]:
                found.notes.append(f"{name} equals {other['experiment']} in settings and results, so it counts once.")
            return
    taken = {other["experiment"] for other in found.rows}
    if name in taken:
        name = f"{folder}/{name}"
    base, copy = name, 2
    while name in taken:
        name, copy = f"{base} ({copy})", copy + 1
    found.rows.append({**row, "experiment": name})
    found.places[name] = place
    if samples:
        found.samples[name] = samples


def _object(path: Path) -> dict[str, Any]:
    try:
        value = read_json(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}): restore it.") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected an object: restore it or repeat its stage.")
    return value
