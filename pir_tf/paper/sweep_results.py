"""A sweep's tables: `results.csv` with a row for each experiment, and `timings.csv` with what differs from machine to machine.

Both are made anew from the experiments' directories, so a sweep that was killed and gone on with ends with the same
`results.csv`, to the byte, as an unbroken one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pir_tf.paper.jobs import DONE, Job, states
from pir_tf.paper.rows import COLUMNS, Row, row_of, write_rows
from pir_tf.runs.directory import STAGES, identity, read_json

FIRST_COLUMNS = ("suite", "name", "status", "reason")


def write_tables(root: Path, jobs: Mapping[str, Job], suites: Mapping[str, tuple[str, ...]]) -> None:
    """Writes both tables atomically.

    Args:
        root: The sweep's directory.
        jobs: All of its jobs in order.
        suites: The suites of each experiment, by name; jobs that aren't named are no experiments.
    """
    rows = [result_row(jobs[name], suites[name], *state) for name, state in states(jobs).items() if name in suites]
    known = (*FIRST_COLUMNS, *COLUMNS)
    others = dict.fromkeys(name for row in rows for name in row if name not in known)
    write_rows(root / "results.csv", rows, (*known, *others))
    write_rows(root / "timings.csv", [timing_row(job) for job in jobs.values()], TIMING_COLUMNS)


def result_row(job: Job, suites: tuple[str, ...], status: str, reason: str) -> Row:
    """An experiment's row: its settings, then what came out, empty while it isn't done.

    Returns:
        `FIRST_COLUMNS`, the columns of `report.tidy`, and each number of `evaluation/results.json` by its dotted name.
    """
    results = read_json(job.directory / "evaluation" / "results.json") if status == DONE else {}
    row: Row = {"suite": " ".join(suites), "name": job.name, "status": status, "reason": reason}
    return row | row_of(identity(job.config), results, experiment=job.name) | numbers(results, "results.")


TIMING_COLUMNS = ("name", "seconds", *(f"{stage}_seconds" for stage in STAGES), "peak_memory_mb", "gan_trained_in")


def timing_row(job: Job) -> Row:
    """How long an experiment's finished stages took, in seconds, and the most memory that its process had, in MB.

    A GAN that was trained for several runs counts where it was trained.
    """
    facts = {stage: _facts(job, stage) for stage in STAGES}
    own = {stage: fact for stage, fact in facts.items() if fact and "trained_in" not in fact}
    return {
        "name": job.name,
        "seconds": round(sum(fact.get("seconds", 0.0) for fact in own.values()), 2) if own else None,
        **{f"{stage}_seconds": fact.get("seconds") for stage, fact in own.items()},
        "peak_memory_mb": max((fact.get("peak_memory_mb", 0) for fact in own.values()), default=None),
        "gan_trained_in": facts["gan"].get("trained_in", ""),
    }


def numbers(value: Any, prefix: str) -> Row:
    """Every number and truth value in nested dictionaries and lists, by dotted names (`results.diversity.after.distance.0`)."""
    if isinstance(value, Mapping):
        items: list[tuple[str, Any]] = [(str(name), item) for name, item in value.items()]
    elif isinstance(value, list):
        items = [(str(place), item) for place, item in enumerate(value)]
    else:
        return {prefix.rstrip("."): value} if isinstance(value, bool | int | float) else {}
    return {name: number for key, item in items for name, number in numbers(item, f"{prefix}{key}.").items()}


def _facts(job: Job, stage: str) -> dict[str, Any]:
    path = job.directory / stage / "done.json"
    return read_json(path) if path.exists() else {}
