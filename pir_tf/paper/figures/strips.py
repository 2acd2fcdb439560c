"""Effect size and change in mean PIR by task: Figs. 2 and 7, a column for each layer or number of colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pir_tf.paper.figures.style import round_ticks, say
from pir_tf.paper.rows import Row
from pir_tf.paper.select import by_the_paper
from pir_tf.paper.tasks import GROUPS, PANELS, Group, group_of, objective_in_words, significance_in_words, style_of
from pir_tf.report import style
from pir_tf.report.numbers import number

WIDTH = 9.0
COLUMNS = ("panel", "column", "experiment", "objective", "kind", "layer", "cohens_d", "change", "p_value")
"""Columns of the tables of both figures."""

AXES = {"cohens_d": "effect size (Cohen's d)", "change": "change in mean PIR"}
SPREAD = 0.62
"""Width of a column's points, in columns."""

Y_MARGIN = 0.07


def points(rows: Sequence[Row], fields: Sequence[str] = COLUMNS) -> list[Row]:
    """A row for each experiment with the paper's method and one of its objectives, in the order of the columns.

    Source: Fig. 2.
    """
    shown = [(group, row) for row in by_the_paper(rows) if (group := group_of(row))]
    shown.sort(key=lambda pair: GROUPS.index(pair[0]))
    whole = [{**row, "panel": group.panel, "column": group.column} for group, row in shown]
    return [{name: row[name] for name in fields} for row in whole]


def strips(table: Sequence[Row], value: str) -> Any:
    """A panel for each set of tasks, a column for each of its groups, a point for each objective.

    Args:
        table: Rows of `points`.
        value: `cohens_d` (Fig. 2) or `change` (Fig. 7).

    Returns:
        The figure; groups without experiments are said on it.

    Source: Figs. 2, 7.
    """
    figure = style.new_figure(3.5, width=WIDTH)
    panels = [[group for group in GROUPS if group.panel == title] for title in PANELS.values()]
    grid = figure.subplots(1, len(panels), sharey=True, width_ratios=[len(groups) + 0.4 for groups in panels])
    for axes, title, groups in zip(grid, PANELS.values(), panels, strict=True):
        style.style_axes(axes, y=AXES[value] if axes is grid[0] else None, title=title)
        axes.axhline(0.0, color=style.RULE, linewidth=0.9, zorder=0)
        axes.margins(y=Y_MARGIN)
        names = [_column(axes, place, group, table, value) for place, group in enumerate(groups)]
        axes.set_xticks(range(len(groups)), names)
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, len(groups) - 0.4)
        if not any(row["panel"] == title for row in table):
            say(axes, f"no runs of {title[0].lower() if groups[0].kind == 'color' else title[0]}{title[1:]}")
        if axes is not grid[0]:
            axes.tick_params(axis="y", length=0)
    round_ticks(grid[0])
    figure.supxlabel(
        "layer of VGG16, or number of colours. Pale: not significant (Welch's t-test, α = 0.001)",
        fontsize=style.SMALL,
        color=style.MUTED,
    )
    return figure


def caption(table: Sequence[Row], value: str) -> str:
    """What the figure shows, in a sentence or two."""
    known = [row for row in table if row[value] is not None]
    what = "Effect size (Cohen's d of the change in PIR)" if value == "cohens_d" else "Change in mean PIR"
    undefined = len(table) - len(known)
    lacking = f" {undefined} more have no value, since all their PIRs are equal." if undefined else ""
    if not known:
        return f"{what} by task: no runs.{lacking}"
    best = max(known, key=lambda row: row[value])
    return (
        f"{what} by task. Each point is one objective (n = {len(known)}), above zero the images improved; "
        f"{significance_in_words(known)}. Highest: {objective_in_words(best['objective'])} with "
        f"{number(best[value], 2, signed=True)}.{lacking}"
    )


def _column(axes: Any, place: int, group: Group, table: Sequence[Row], value: str) -> str:
    """Draws one column; returns its name with the number of its points."""
    own = [row for row in table if (row["panel"], row["column"]) == (group.panel, group.column)]
    known = [row for row in own if row[value] is not None]
    for i, row in enumerate(known):
        step = min(0.15, SPREAD / max(1, len(known) - 1))
        x = place + (i - (len(known) - 1) / 2) * step
        axes.plot([x], [row[value]], **style_of(row, size=5.5))
    if not known and any(row["panel"] == group.panel for row in table):
        text = "undefined" if own else "no runs"
        say(axes, text, column=place)
    counted = f"n = {len(known)}" if known else ""
    return f"{group.column}\n{counted}"
