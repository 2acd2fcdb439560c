"""`python -m pir_tf.paper.publish_sweep SWEEP FOLDER`: what of a sweep goes into `experiments/`, with how it was made.

For each finished experiment a folder with its config, results, log and a page; beside them the sweep's tables, in which failed
and unfinished experiments stay with their reason, and the figures over all of them (`pir-tf figures`). No weights.

A folder can hold several sweeps of one size: what was published before stays, unless the sweep has finished it too. Every page
says by which commit its experiment was run.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pir_tf.commands import exit_code
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parsed
from pir_tf.paper.publish import facts_table
from pir_tf.paper.rows import read_rows
from pir_tf.report.tables import result_table
from pir_tf.runs.directory import atomic, read_json

TABLES = ("results.csv", "timings.csv")
COPIED = ("config.json", "data.json", "estimator/quality.json", "tuning/history.csv", "evaluation/results.json")
PICTURE = "report/pir-true.png"


@dataclass(frozen=True)
class PublishOptions:
    """Publishes a sweep: config, results, log, figures and a page for each experiment, and the figures over all of them."""

    sweep: Annotated[Path, tyro.conf.Positional]
    """The sweep's directory."""
    folder: Annotated[Path, tyro.conf.Positional]
    """Folder to publish it in, made when absent."""
    weights_from: str = ""
    """Where the files of pretrained weights come from, in a sentence; it goes into every page whose experiment used one."""


def main(arguments: list[str] | None = None) -> int:
    """Publishes a sweep.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _publish_sweep(words), "another folder")


def _publish_sweep(words: list[str]) -> None:
    options = parsed(PublishOptions, words, prog="python -m pir_tf.paper.publish_sweep")
    publish_sweep(options.sweep, options.folder, weights_from=options.weights_from)


def publish_sweep(sweep: Path, folder: Path, *, weights_from: str = "") -> None:
    """Copies what is small of every finished experiment, draws the figures, and writes the pages.

    Args:
        sweep: a sweep's directory.
        folder: where to publish it; finished experiments replace those of their names that another publication left there.
        weights_from: a sentence on the files of pretrained weights.

    Raises:
        InputError: the directory holds no sweep.
        OSError: the folder can't be written.
    """
    if not (sweep / TABLES[0]).is_file():
        raise InputError(
            f"{sweep} has no {TABLES[0]}, expected the directory of a sweep: name the --dir of pir-tf sweep."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for row in read_rows(sweep / TABLES[0]):
        if row.get("status") == "done":
            _publish_one(sweep / str(row["name"]), folder / str(row["name"]), weights_from)
    kept = _joined(folder, sweep)
    rows = read_rows(folder / TABLES[0])
    if not _draw(folder if kept else sweep, folder / "figures"):
        raise InputError(f"{sweep} holds no experiment with results: run some of it first.")
    with atomic(folder / "README.md") as beside:
        beside.write_text(_overview(sweep, rows, weights_from), encoding="utf-8")


def _publish_one(run: Path, folder: Path, weights_from: str) -> None:
    missing = [name for name in COPIED if not (run / name).is_file()]
    if missing:
        raise InputError(f"{run} has no {', '.join(missing)}, but the sweep calls it done: run the sweep again.")
    folder.mkdir(exist_ok=True)
    for name in COPIED:
        shutil.copyfile(run / name, folder / Path(name).name)
    picture = (run / PICTURE).is_file()
    if picture:
        shutil.copyfile(run / PICTURE, folder / Path(PICTURE).name)
    config, results = read_json(run / "config.json"), read_json(run / "evaluation" / "results.json")
    used = any(str(value).startswith("file:") for value in config["config"].values())
    text = [f"# {folder.name}", "", facts_table(run), "", "```text", result_table(results), "```", ""]
    text += ["`results.json` has all of it, `config.json` every field, `history.csv` the tuning.", ""]
    text += [f"Weights: {weights_from}", ""] if used and weights_from else []
    text += ["![True PIR before and after](pir-true.png)", ""] if picture else []
    with atomic(folder / "README.md") as beside:
        beside.write_text("\n".join(text), encoding="utf-8")


def _draw(runs: Path, figures: Path) -> bool:
    """Draws the figures over a sweep or a published folder, which lacks the images of figure 3: those drawn before stay."""
    from pir_tf.paper.figures.command import main

    pictures = [figures / f"figure-3.{suffix}" for suffix in ("csv", "npz")]
    before = {path: path.read_bytes() for path in pictures if path.is_file()}
    if main([str(runs), "--to", str(figures)]):
        return False
    if before and not read_rows(pictures[0], {}):
        for path, content in before.items():
            with atomic(path) as beside:
                beside.write_bytes(content)
        return main(["--redraw", str(figures)]) == 0
    return True


def _joined(folder: Path, sweep: Path) -> bool:
    """Writes the folder's tables anew, with what the sweep says; whether finished experiments of another publication stay."""
    old, new = (_cells(place / TABLES[0]) for place in (folder, sweep))
    stay = {name for name, row in old.items() if row["status"] == "done" and new.get(name, {}).get("status") != "done"}
    for table in TABLES:
        before, now = (_cells(place / table) for place in (folder, sweep))
        rows = {**before, **now, **{name: before[name] for name in stay if name in before}}
        columns = list(dict.fromkeys(column for side in (now, before) for row in side.values() for column in row))
        with atomic(folder / table) as beside, open(beside, "w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())
    return bool(stay)


def _cells(table: Path) -> dict[str, dict[str, str]]:
    """A table's rows as text, by the experiment's name; none where there is no table."""
    if not table.is_file():
        return {}
    with open(table, encoding="utf-8", newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def _overview(sweep: Path, rows: list[dict], weights_from: str) -> str:
    """The page of the whole sweep: what ran, what didn't and why, and every experiment's numbers."""
    counts = Counter(str(row.get("status")) for row in rows)
    text = [
        f"# Experiments of size {sweep.name}",
        "",
        ", ".join(f"{count} {status}" for status, count in counts.items()) + ".",
        "",
    ]
    text += [f"Weights: {weights_from}", ""] if weights_from else []
    text += ["[Figures and linear models over all of it](figures/README.md). `results.csv` has every number,"]
    text += ["`timings.csv` the times.", ""]
    text += [
        "| experiment | mean PIR before | after | Cohen's d (95% interval) | p below 0.001 | |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        name, status = str(row.get("name")), str(row.get("status"))
        if status != "done":
            text.append(f"| {name} | | | | | {status}: {row.get('reason') or ''} |")
            continue
        number = lambda key, row=row: "" if row.get(key) in (None, "") else f"{float(row[key]):.3g}"  # noqa: E731
        interval = (
            f"{number('cohens_d')} ({number('d_low')} to {number('d_high')})" if number("cohens_d") else "undefined"
        )
        significant = {"True": "yes", "False": "no"}.get(str(row.get("significant")), "")
        cells = (f"[{name}]({name}/README.md)", number("pir_before"), number("pir_after"), interval, significant, "")
        text.append(f"| {' | '.join(cells)} |")
    return "\n".join(text) + "\n"


if __name__ == "__main__":
    sys.exit(main())
