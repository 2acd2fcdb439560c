"""Effect size over two rounds of tuning, a line for each objective (A.3, Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pir_tf.paper.figures.style import round_ticks, say, zero_lines
from pir_tf.paper.rows import LAYERS, Row
from pir_tf.paper.select import second_rounds
from pir_tf.paper.tasks import group_of, is_significant, objective_in_words, style_of
from pir_tf.report import style

COLUMNS = ("panel", "experiment", "objective", "kind", "layer", "round", "cohens_d", "p_value")
PAPER_PANELS = ("pool2", "fc8")
"""The layers that the paper iterated on: they have a panel even without runs."""

COLORS_PANEL = "colours"
DASHED = (0, (2.5, 1.8))


def table(rows: Sequence[Row]) -> list[Row]:
    """Three rows for each objective: at the start, after the first round and after the second.

    Effect sizes are against the images of the first generator, so that the first row's is 0; p is of the second round's own
    change, in its row alone.

    Source: A.3.
    """
    found = []
    for row in second_rounds(rows):
        panel = row["layer"] or (COLORS_PANEL if row["objective"].startswith("color:") else row["kind"])
        for number, d in enumerate((0.0, row["first_round_d"], row["d_from_start"])):
            p = row["p_value"] if number == 2 else None
            found.append({**row, "panel": panel, "round": number, "cohens_d": d, "p_value": p})
    found.sort(key=lambda row: _place(row["panel"]))
    return [{name: row[name] for name in COLUMNS} for row in found]


def draw(rows: Sequence[Row]) -> Any:
    """A panel for each layer; the second round's line is dashed where its own change is not significant.

    Args:
        rows: Rows of `table`.

    Returns:
        The figure; layers of the paper without second rounds are said on it.

    Source: Fig. 6.
    """
    panels = sorted({*PAPER_PANELS, *(row["panel"] for row in rows)}, key=_place)
    figure = style.new_figure(3.4, width=max(6.6, 2.9 * len(panels)))
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, panel in zip(grid, panels, strict=True):
        style.style_axes(axes, y="effect size (Cohen's d)" if axes is grid[0] else None, title=panel)
        axes.set_xticks((0, 1, 2), ("start", "round 1", "round 2"))
        axes.set_xlim(-0.1, 2.1)
        own = [row for row in rows if row["panel"] == panel]
        if not own:
            axes.tick_params(axis="y", length=0)
            say(axes, f"no second rounds of {panel}")
        for experiment in dict.fromkeys(row["experiment"] for row in own):
            _line(axes, [row for row in own if row["experiment"] == experiment])
    axes = grid[0]
    axes.margins(y=0.08)
    round_ticks(axes)
    figure.draw_without_rendering()  # the limits are shared, so final only now
    for axes, panel in zip(grid, panels, strict=True):
        zero_lines(axes)
        ends = [row for row in rows if row["panel"] == panel and row["round"] == 2]
        style.label_ends(axes, [(row["cohens_d"], _short(row), style.INK) for row in ends], apart=0.062)
    return figure


def caption(rows: Sequence[Row]) -> str:
    """What the figure shows, counted."""
    lines = _by_experiment(rows)
    if not lines:
        return "Effect size over two rounds of tuning: no second rounds."
    better = sum(line[2] > line[1] for line in lines)
    less = sum(line[1] < line[2] and line[2] - line[1] < line[1] for line in lines)
    flat = sum(row["round"] == 2 and not is_significant(row) for row in rows)
    return (
        f"Effect size against the images of the first generator, after each of two rounds (n = {len(lines)} objectives). "
        f"The second round improved {better} of them again, {less} of these by less than the first had, and worsened "
        f"{sum(line[2] < line[1] for line in lines)}; dashed lines ({flat}) are second rounds whose own change is not "
        "significant (α = 0.001)."
    )


def _line(axes: Any, rows: Sequence[Row]) -> None:
    """One objective's three points; a group's own colour would be the panel's, so lines are told apart by their names."""
    group = group_of(rows[0])
    color = group.color if group else style.INK
    d = [row["cohens_d"] for row in rows]
    certain = is_significant(rows[2])
    axes.plot([0, 1], d[:2], color=color, linewidth=1.2)
    axes.plot([1, 2], d[1:], color=color, linewidth=1.2, linestyle="-" if certain else DASHED)
    mark = style_of({**rows[0], "p_value": 0.0}, size=5)
    axes.plot([0, 1, 2], d, **mark)


def _by_experiment(rows: Sequence[Row]) -> list[list[float]]:
    names = dict.fromkeys(row["experiment"] for row in rows)
    return [[row["cohens_d"] for row in rows if row["experiment"] == name] for name in names]


def _short(row: Row) -> str:
    """The objective's name without what its panel says already."""
    words = objective_in_words(row["objective"], short=True)
    return words.removeprefix(row["layer"]).lstrip(", ").removeprefix("1 filter, ")


def _place(panel: str) -> tuple[int, str]:
    order = [*LAYERS, COLORS_PANEL]
    return (order.index(panel) if panel in order else len(order), panel)
