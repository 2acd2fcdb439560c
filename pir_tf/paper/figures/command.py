"""`pir-tf figures RUNS...`: the paper's figures and linear models over many experiments (Figs. 2 to 8, 4.1, A.1, A.2, 5.1)."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.errors import InputError

DESCRIPTION = """Draws the paper's figures over many experiments and fits its linear models.

RUNS are run directories, sweeps, or published folders (config.json and results.json). Every figure is drawn from a CSV that is
kept beside it; --redraw draws all again from those, without the runs."""

DEFAULT = Path("figures")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _figures(_parse(words)), "another place with --to")


def _figures(options: argparse.Namespace) -> None:
    from pir_tf.paper.figures.page import PAGE, make, redraw

    directory = options.redraw or options.to or DEFAULT
    count = redraw(directory) if options.redraw else make(options.runs, directory, seed=options.seed)
    print(f"{count} figures: {directory / PAGE}")


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
