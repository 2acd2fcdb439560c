"""The table of claims as text: for the terminal, for `claims.md`, and between two comments of a README. No TensorFlow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from pir_tf.errors import InputError
from pir_tf.paper.claims.judge import counted
from pir_tf.paper.rows import Row
from pir_tf.report.numbers import duration
from pir_tf.runs.directory import atomic

BEGIN = "<!-- claims: begin. pir-tf claims writes what follows -->"
END = "<!-- claims: end -->"

HEADER = (
    "| section | claim | paper | here | verdict | why | command; commit, hardware, time |",
    "|---|---|---|---|---|---|---|",
)


def block(rows: Sequence[Row], command: str) -> str:
    """The table with its marks, as `claims.md` and the README hold it.

    Args:
        rows: Rows of `claims.judge`.
        command: What made it.
    """
    said = ", ".join(f"{count} {verdict}" for verdict, count in counted(rows).items())
    numbers = {line: i for i, line in enumerate(dict.fromkeys(row["command"] for row in rows), start=1)}
    lines = [*HEADER, *(_line(row, numbers[row["command"]]) for row in rows)]
    commands = ["Commands:", "", *(f"{i}. `{line}`" for line, i in numbers.items())]
    head = f"{len(rows)} claims: {said}. Made by `{command}`."
    return "\n".join([BEGIN, "", head, "", *lines, "", *commands, "", END])


def page(rows: Sequence[Row], command: str, notes: Sequence[str]) -> str:
    """The text of `claims.md`: the table, then each rule in words, then what was left out."""
    parts = [
        "# The paper's claims",
        "Intervals are of 95%. n counts objectives, or the pairs, curves or image sets that are named. Improved means that the "
        "mean PIR rose significantly (Welch's t-test, p < 0.001); d is Cohen's. `claims.csv` has every number.",
        block(rows, command),
        "## How each verdict is decided",
        "The rules are code (`pir_tf/report/claims_*.py`); the thresholds are ours where the paper has words. What doesn't reach "
        "`partly` is `not`, and what has no experiments is `not run`.",
        "\n".join(_rule(row) for row in rows),
    ]
    if notes:
        parts += ["## Left out", "\n".join(f"- {note}" for note in notes)]
    return "\n\n".join(parts) + "\n"


def as_text(rows: Sequence[Row], width: int) -> str:
    """The table for a terminal of so many characters: verdict and section, then the claim with both numbers below it."""
    left = max(len(row["verdict"]) for row in rows)
    middle = max(len(row["section"]) for row in rows)
    indent = " " * (left + middle + 4)
    lines = []
    for row in rows:
        start = f"{row['verdict']:<{left}}  {row['section']:<{middle}}  "
        parts = [start + row["claim"], f"{indent}paper: {row['paper']}", f"{indent}here: {_here(row)}"]
        parts = [part for part in parts if not part.endswith("here: ")]
        parts += [f"{indent}why: {row['remark']}"] if row["remark"] else []
        lines += [
            line for part in parts for line in textwrap.wrap(part, max(width, 60), subsequent_indent=indent + "  ")
        ]
    said = ", ".join(f"{count} {verdict}" for verdict, count in counted(rows).items())
    return "\n".join([*lines, "", f"{len(rows)} claims: {said}."])


def between_marks(text: str, where: str) -> tuple[str, str, str]:
    """A text in three: before the marks, the marks with what they hold, and after them.

    Args:
        text: The text.
        where: What it is called in a refusal.

    Raises:
        InputError: It doesn't hold both marks once, in their order.
    """
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise InputError(
            f"{where} lacks the line {BEGIN!r} with {END!r} below it, once each: put both where the table goes."
        )
    start, stop = text.index(BEGIN), text.index(END) + len(END)
    return text[:start], text[start:stop], text[stop:]


def write_into(path: Path, table: str) -> None:
    """Replaces what is between a file's marks, atomically.

    Raises:
        InputError: The file is absent or lacks the marks.
    """
    if not path.is_file():
        raise InputError(f"{path} is no file, expected a README with the marks of the table: check the path.")
    before, _, after = between_marks(path.read_text(encoding="utf-8"), str(path))
    with atomic(path) as beside:
        beside.write_text(before + table + after, encoding="utf-8")


def _line(row: Row, command: int) -> str:
    cells = (row["section"], row["claim"], row["paper"], _here(row), row["verdict"], row["remark"], _made(row, command))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _here(row: Row) -> str:
    return f"{row['ours']}; n = {row['n']}" if row["n"] else row["ours"]


def _made(row: Row, command: int) -> str:
    """The command's number below the table, and of what was run its commit, hardware and time."""
    if not row["runs"]:
        return str(command)
    time = f"{duration(row['seconds'], missing='time unknown')} in {row['runs']} run{'s' if row['runs'] > 1 else ''}"
    made = ", ".join((row["commit"] or "commit unknown", row["hardware"] or "hardware unknown", time))
    return f"{command}; {made}"


def _rule(row: Row) -> str:
    return f"- **{row['claim']}** ({row['section']}): reproduced: {row['reproduced_if']}; partly: {row['partly_if']}."
