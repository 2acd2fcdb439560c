"""`pir-tf claims RUNS...`: every claim of the paper beside what was run, with a verdict in a word (2 to 5, A, B, C).

Everything comes from files that runs have written; no network is loaded, and no TensorFlow.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.errors import InputError
from pir_tf.runs.directory import atomic, write_json

DESCRIPTION = """Judges every claim of the paper by the experiments in RUNS: its number, ours with the interval, a verdict.

RUNS are run directories, sweeps, or published folders (config.json and results.json). Verdicts come from rules alone, which
claims.md states; a claim without experiments is "not run", with the reason."""

TABLE, NUMBERS, PAGE = "claims.csv", "claims.json", "claims.md"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; 0, or 2 for a user's mistake."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _claims(_parse(words)), "another place with --to")


def _claims(options: argparse.Namespace) -> None:
    print(make(options.runs, to=options.to, readme=options.readme))


def make(runs: Sequence[Path], *, to: Path | None = None, readme: Path | None = None) -> str:
    """Judges the claims, and returns the table for the terminal.

    Args:
        runs: Run directories, sweeps or published folders.
        to: Where `claims.csv`, `claims.json` and `claims.md` go; made when absent, its files of these names replaced.
        readme: A file with the table's marks in it, between which it goes.

    Raises:
        InputError: A path holds no experiment, or the readme lacks the marks.
        OSError: A place can't be written.
    """
    from pir_tf.paper.claims.evidence import evidence_of
    from pir_tf.paper.claims.table import COLUMNS, as_text, block, counted, judge, page, write_into
    from pir_tf.paper.collect import collect
    from pir_tf.paper.rows import write_rows

    found = collect(runs)
    rows = judge(evidence_of(found))
    # Directories are no part of a published result.
    names = [run.resolve().name for run in runs]
    command = " ".join(["pir-tf claims", *names])
    if readme:
        write_into(readme, block(rows, command))
    if to:
        to.mkdir(parents=True, exist_ok=True)
        write_rows(to / TABLE, rows, tuple(COLUMNS))
        about = {"runs": names, "experiments": len(found.rows), "verdicts": counted(rows), "notes": found.notes}
        write_json(to / NUMBERS, {**about, "claims": rows})
        with atomic(to / PAGE) as beside:
            beside.write_text(page(rows, command, found.notes), encoding="utf-8")
    return as_text(rows, shutil.get_terminal_size().columns)


def _parse(arguments: list[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="pir-tf claims", description=DESCRIPTION, formatter_class=raw)
    add = parser.add_argument
    add("runs", nargs="*", type=user_path, metavar="RUNS", help="run directories, sweeps or published folders")
    add("--to", type=user_path, metavar="DIR", help=f"also write {TABLE}, {NUMBERS} and {PAGE} there")
    add("--readme", type=user_path, metavar="FILE", help="also write the table between the marks in FILE")
    options = parser.parse_args(arguments)
    if not options.runs:
        raise InputError("No runs were given, expected run directories, sweeps or published folders: name one or more.")
    return options


if __name__ == "__main__":
    sys.exit(main())
