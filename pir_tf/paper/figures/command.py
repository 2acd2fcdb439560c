"""`pir-tf figures RUNS...`: the paper's figures and linear models over many experiments (Figs. 2 to 8, 4.1, A.1, A.2, 5.1).

Everything comes from files that runs have written; no network is loaded, and no TensorFlow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.errors import InputError
from pir_tf.runs.directory import atomic, read_json, write_json

DESCRIPTION = """Draws the paper's figures over many experiments and fits its linear models.

RUNS are run directories, sweeps, or published folders (config.json and results.json). Every figure is drawn from a CSV that is
kept beside it; --redraw draws all again from those, without the runs."""

DEFAULT = Path("figures")
ROWS, COLLECTED, MODELS = "experiments.csv", "collected.json", "models.json"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _figures(_parse(words)), "another place with --to")


def _figures(options: argparse.Namespace) -> None:
    if options.redraw:
        directory, count = options.redraw, redraw(options.redraw)
    else:
        directory = options.to or DEFAULT
        count = make(options.runs, directory, seed=options.seed)
    print(f"{count} figures: {directory / 'README.md'}")


def make(runs: Sequence[Path], directory: Path, *, seed: int = 0) -> int:
    """Collects experiments, and writes their table, the figures with theirs, the models and a page in words.

    Args:
        runs: Run directories, sweeps or published folders.
        directory: Where to; made when absent, its files of these names replaced.
        seed: Seed of the samples of Fig. 3.

    Returns:
        How many figures there are.

    Raises:
        InputError: A path holds no experiment.
        OSError: The directory can't be written.
    """
    from pir_tf.paper.collect import collect
    from pir_tf.paper.figures.list import write_tables
    from pir_tf.paper.rows import write_rows
    from pir_tf.runs.provenance import package_commit

    found = collect(runs)
    directory.mkdir(parents=True, exist_ok=True)
    write_rows(directory / ROWS, found.rows)
    names = [run.resolve().name for run in runs]
    about = {"runs": names, "seed": seed, "commit": package_commit(), "notes": found.notes}
    write_json(directory / COLLECTED, about)
    write_tables(directory, found.rows, found.samples, seed=seed)
    return redraw(directory)


def redraw(directory: Path) -> int:
    """Draws the figures again from the CSVs in a directory, and fits the models again from `experiments.csv`.

    Args:
        directory: What `make` has written; its CSVs may have been changed since.

    Returns:
        How many figures there are.

    Raises:
        InputError: The directory isn't one, or a file in it is damaged.
    """
    from pir_tf.paper.figures.list import draw_all
    from pir_tf.paper.figures.page import index
    from pir_tf.paper.models import as_json, as_markdown, fit_models
    from pir_tf.paper.rows import COLUMNS, read_rows

    if not (directory / ROWS).is_file():
        raise InputError(
            f"{directory} has no {ROWS}, expected a directory that pir-tf figures has written: name that, or give RUNS."
        )
    rows = read_rows(directory / ROWS)
    lacking = [name for name in COLUMNS if rows and name not in rows[0]]
    if lacking:
        raise InputError(
            f"{directory / ROWS} has no column {lacking[0]}, expected all of them: make it again from RUNS."
        )
    about = read_json(directory / COLLECTED) if (directory / COLLECTED).is_file() else {}
    drawn, fitted = draw_all(directory), fit_models(rows)
    write_json(directory / MODELS, as_json(fitted))
    _write(directory / "models.md", as_markdown(fitted))
    page = index(rows, drawn, fitted, command=_command(about), notes=about.get("notes") or [])
    _write(directory / "README.md", page)
    return len(drawn)


def _command(about: dict[str, Any]) -> str:
    """The command without its directories, which are no part of a published result."""
    words = ["pir-tf figures", *(about.get("runs") or ["RUNS"])]
    return " ".join([*words, f"--seed {about['seed']}"] if about.get("seed") else words)


def _write(path: Path, text: str) -> None:
    with atomic(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _parse(arguments: list[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="pir-tf figures", description=DESCRIPTION, formatter_class=raw)
    add = parser.add_argument
    add("runs", nargs="*", type=user_path, metavar="RUNS", help="run directories, sweeps or published folders")
    add("--to", type=user_path, metavar="DIR", help=f"where the figures go (default: {DEFAULT})")
    add(
        "--redraw",
        type=user_path,
        metavar="DIR",
        help="draw the figures in DIR again from their CSVs; no RUNS are needed",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the draw of samples in figure 3 (default: 0)")
    options = parser.parse_args(arguments)
    if options.redraw and (options.runs or options.to):
        raise InputError("--redraw was given with RUNS or --to, expected alone: leave out one of them.")
    if not options.redraw and not options.runs:
        raise InputError("No runs were given, expected run directories, sweeps or published folders: name one or more.")
    if options.seed < 0:
        raise InputError(f"--seed is {options.seed}, expected 0 or more: change it.")
    return options


if __name__ == "__main__":
    sys.exit(main())
