"""The page in words that lies beside the figures over many experiments: what they show, of how many, what is left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from pir_tf.paper.linear_models import LinearModel
from pir_tf.paper.models import as_markdown
from pir_tf.paper.rows import Row
from pir_tf.paper.select import by_the_paper, departures
from pir_tf.paper.tasks import ALPHA, GROUPS, Group, group_of, is_significant
from pir_tf.report.numbers import number


def index(
    rows: Sequence[Row],
    drawn: Mapping[str, tuple[str, str]],
    fitted: Mapping[str, LinearModel],
    *,
    command: str,
    notes: Sequence[str],
) -> str:
    """The page as Markdown.

    Args:
        rows: All experiments.
        drawn: Title and caption of each figure.
        fitted: The linear models.
        command: How the figures were made.
        notes: What was left out, a sentence each.

    Returns:
        The text of `README.md`.
    """
    shown = [row for row in by_the_paper(rows) if group_of(row)]
    parts = [
        f"# Figures and models over {_counted(len(rows), 'experiment')}",
        f"Made by `{command}`. `experiments.csv` has a row for each experiment; every figure is drawn from the CSV of its name "
        "and can be drawn again from it, without the runs, by `pir-tf figures --redraw DIR`.",
        _mix(rows),
        "## By task",
        _by_task(shown),
        "## Linear models",
        f"Over the {_counted(len(shown), 'experiment')} with the paper's method; `models.json` has every number.",
        as_markdown(dict(fitted)).rstrip(),
    ]
    for name, (title, caption) in drawn.items():
        parts += [f"## {title}", f"![{title}]({name}.png)", f"{caption} Data: [{name}.csv]({name}.csv)."]
    left = [*_not_shown(rows, shown), *notes]
    if left:
        parts += ["## Not in these figures", "\n".join(f"- {sentence}" for sentence in left)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mix(rows: Sequence[Row]) -> str:
    """Of which sizes the experiments are, where they are of several."""
    presets = Counter(row["preset"] for row in rows)
    if len(presets) < 2:
        return f"Preset: {next(iter(presets)) or 'unknown'}." if presets else ""
    said = ", ".join(f"{name or 'unknown'} {count}" for name, count in presets.items())
    return f"The experiments are of several presets, so not all alike: {said}."


def _by_task(shown: Sequence[Row]) -> str:
    lines = [
        "| task | objectives | improved | worse | no significant change | mean d | mean change | estimated change | SD before | "
        "non-zero PIRs before |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    own = {group: [row for row in shown if group_of(row) == group] for group in GROUPS}
    lines += [_line(group, rows) for group, rows in own.items() if rows]
    missing: dict[str, list[str]] = {}
    for group in GROUPS:
        if not own[group]:
            missing.setdefault(group.panel, []).append(group.column)
    none = "; ".join(f"{panel} ({', '.join(columns)})" for panel, columns in missing.items())
    said = f" No runs of {none}." if none else ""
    below = (
        f"Improved and worse: significant by Welch's t-test at {ALPHA:g}. d: Cohen's. A bin of the estimator is 0.01 wide: "
        "an SD below that leaves it one or two bins to tell apart, and a change that it estimated but that isn't there is its "
        f"own.{said}"
    )
    return "\n".join(lines if any(own.values()) else []) + f"\n\n{below}"


def _line(group: Group, own: Sequence[Row]) -> str:
    name = f"{group.panel}: {group.column}"
    certain = [row for row in own if is_significant(row)]
    up = sum(row["change"] > 0 for row in certain)
    fields = ("cohens_d", "change", "estimated_change", "initial_sd", "percent_nonzero")
    d, change, estimated, spread, nonzero = (_mean(own, field) for field in fields)
    numbers = (
        number(d, 2, signed=True, missing="undefined"),
        number(change, 3, signed=True, missing="not measured"),
        number(estimated, 3, signed=True, missing="not measured"),
        number(spread, 3, missing="unknown"),
        "unknown" if nonzero is None else f"{nonzero:.0f}%",
    )
    counts = (len(own), up, len(certain) - up, len(own) - len(certain))
    return "| " + " | ".join([name, *map(str, counts), *numbers]) + " |"


def _mean(rows: Sequence[Row], field: str) -> float | None:
    known = [row[field] for row in rows if row[field] is not None]
    return sum(known) / len(known) if known else None


def _not_shown(rows: Sequence[Row], shown: Sequence[Row]) -> list[str]:
    """Why experiments are not among those of figures 2, 4, 5, 7, 8 and the models."""
    names = {row["experiment"] for row in shown}
    reasons: Counter[str] = Counter()
    for row in rows:
        if row["experiment"] not in names:
            if away := departures(row):
                reasons[f"another {' and '.join(away)} than the paper's"] += 1
            elif group_of(row) is None:
                reasons["objectives that the paper has not"] += 1
            else:
                reasons["an objective and seed that another run stands for"] += 1
    return [
        f"{_counted(count, 'experiment')} with {reason}: not in figures 2, 3, 4, 5, 7, 8 and the models."
        for reason, count in reasons.items()
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
