"""The table of claims: a row for each, with how it was made, and its text for the terminal, `claims.md` and a README."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from pir_tf.errors import InputError
from pir_tf.paper.claims.evidence import Evidence
from pir_tf.paper.claims.list import CLAIMS
from pir_tf.paper.claims.rules import VERDICTS
from pir_tf.paper.rows import Row
from pir_tf.paper.suites import SIZES
from pir_tf.report.numbers import duration
from pir_tf.runs.directory import atomic

COLUMNS: dict[str, type] = {
    **dict.fromkeys(("key", "section", "claim", "paper", "ours"), str),
    **dict.fromkeys(("value", "low", "high"), float),
    "n": int,
    **dict.fromkeys(("verdict", "remark", "reproduced_if", "partly_if", "command", "commit", "hardware"), str),
    "seconds": float,
    "runs": int,
}
"""The columns of a row, in their order, with the type of their values."""

BEGIN, END = "<!-- claims: begin. pir-tf claims writes what follows -->", "<!-- claims: end -->"
HEADER = """\
| section | claim | paper | here | verdict | why | command; commit, hardware, time |
|---|---|---|---|---|---|---|"""


def judge(evidence: Evidence) -> list[Row]:
    """A row for each claim: a value for each of `COLUMNS`; what is unknown is empty or None."""
    rows = []
    for said, claim in CLAIMS.items():
        verdict, found = claim.judge(evidence)
        behind = evidence.rows[evidence.rows.experiment.isin(found.experiments)]
        low, high = found.interval or (None, None)
        reproduced, partly = claim.in_words()
        values = (said.key, said.section, claim.text, said.number, found.ours, found.value, low, high, found.n)
        words = (verdict, found.remark, reproduced, partly, _command(said.suite, behind, evidence))
        made = (_several(behind.commit), _several(behind.hardware), _seconds(behind), len(behind))
        rows.append(dict(zip(COLUMNS, (*values, *words, *made), strict=True)))
    return rows


def counted(rows: Sequence[Row]) -> dict[str, int]:
    """How many claims have each verdict, in the verdicts' order."""
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}


def _command(suites: str, behind: pd.DataFrame, evidence: Evidence) -> str:
    """The sweep that makes these experiments, with the weights that they used."""
    found = suites.split()
    for name in behind.experiment:
        own = evidence.suites.get(name.rpartition("/")[2], ())
        found += [own[0]] if own and not set(own) & set(found) else []
    presets = evidence.rows.preset if behind.empty else behind.preset
    sizes = Counter(size for size in presets if size in SIZES).most_common(1)
    words = ["pir-tf sweep", *found, *(f"--size {size}" for size, _ in sizes)]
    options = {
        "--inception-weights": behind.inception,
        "--inception-range": behind.inception_range.replace("-1 1", ""),
        "--vgg-weights": pd.concat([behind.vgg, behind.vgg_weights.replace(["imagenet", "none"], "")]),
    }
    chosen = {name: values[values != ""].head(1).item() for name, values in options.items() if (values != "").any()}
    return " ".join([*words, *(f"{name} {value}" for name, value in chosen.items())])


def _several(values: pd.Series) -> str:
    """Different values in words; many are counted."""
    known = list(dict.fromkeys(values[values != ""]))
    return ", ".join(known) if len(known) <= 3 else f"{len(known)} of them, {known[0]} to {known[-1]}"


def _seconds(behind: pd.DataFrame) -> float | None:
    """Seconds of these experiments, a GAN that several of them share once; None where none is known."""
    shared = behind[behind.gan != ""].drop_duplicates("gan", keep="last").gan_seconds
    return round(float(behind.seconds.sum() + shared.sum()), 1) if behind.seconds.notna().any() else None


def block(rows: Sequence[Row], command: str) -> str:
    """The table with its marks, as `claims.md` and the README hold it, and the command that made it."""
    said = ", ".join(f"{count} {verdict}" for verdict, count in counted(rows).items())
    numbers = {line: i for i, line in enumerate(dict.fromkeys(row["command"] for row in rows), start=1)}
    lines = [_line(row, numbers[row["command"]]) for row in rows]
    commands = [f"{i}. `{line}`" for line, i in numbers.items()]
    head = f"{len(rows)} claims: {said}. Made by `{command}`."
    return "\n".join([BEGIN, "", head, "", HEADER, *lines, "", "Commands:", "", *commands, "", END])


def page(rows: Sequence[Row], command: str, notes: Sequence[str]) -> str:
    """The text of `claims.md`: the table, then each rule in words, then what was left out."""
    rules = [
        f"- **{row['claim']}** ({row['section']}): reproduced: {row['reproduced_if']}; partly: {row['partly_if']}."
        for row in rows
    ]
    parts = [
        "# The paper's claims",
        "Intervals are of 95%. n counts objectives, or the pairs, curves or image sets that are named. Improved means that the "
        "mean PIR rose significantly (Welch's t-test, p < 0.001); d is Cohen's. `claims.csv` has every number.",
        block(rows, command),
        "## How each verdict is decided",
        "The rules are code (`pir_tf/paper/claims/list.py`); the thresholds are ours where the paper has words. What doesn't "
        "reach `partly` is `not`, and what has no experiments is `not run`. Each verdict stands by itself: nothing is taken off "
        "for their number, and a rule about the order in three pairs is met by chance in one of eight.",
        "\n".join(rules),
        *(["## Left out", "\n".join(f"- {note}" for note in notes)] if notes else []),
    ]
    return "\n\n".join(parts) + "\n"


def as_text(rows: Sequence[Row], width: int) -> str:
    """The table for a terminal of so many characters: verdict and section, then the claim with both numbers below it."""
    left, middle = (max(len(row[name]) for row in rows) for name in ("verdict", "section"))
    indent = " " * (left + middle + 4)
    lines = []
    for row in rows:
        below = {"paper": row["paper"], "here": _here(row), "why": row["remark"]}
        parts = [f"{row['verdict']:<{left}}  {row['section']:<{middle}}  {row['claim']}"]
        parts += [f"{indent}{name}: {words}" for name, words in below.items() if words]
        for part in parts:
            lines += textwrap.wrap(part, max(width, 60), subsequent_indent=indent + "  ")
    said = ", ".join(f"{count} {verdict}" for verdict, count in counted(rows).items())
    return "\n".join([*lines, "", f"{len(rows)} claims: {said}."])


def between_marks(text: str, where: str) -> tuple[str, str, str]:
    """A text in three: before the marks, the marks with what they hold, and after them.

    Raises:
        InputError: It doesn't hold both marks once, in their order; `where` is what it is called.
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


def _here(row: Row) -> str:
    return f"{row['ours']}; n = {row['n']}" if row["n"] else row["ours"]


def _line(row: Row, command: int) -> str:
    """A line of the table; how it was made is the command's number below it, and of what was run commit, hardware and time."""
    made = str(command)
    if row["runs"]:
        time = (
            f"{duration(row['seconds'], missing='time unknown')} in {row['runs']} run{'s' if row['runs'] > 1 else ''}"
        )
        made += f"; {row['commit'] or 'commit unknown'}, {row['hardware'] or 'hardware unknown'}, {time}"
    cells = (row["section"], row["claim"], row["paper"], _here(row), row["verdict"], row["remark"], made)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
