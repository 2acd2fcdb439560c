"""Objectives as points in a plane: change against estimated change, initial spread and zeros (Figs. 4, 5, 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pir_tf.paper import linear_models
from pir_tf.paper.figures.strips import points
from pir_tf.paper.figures.style import round_ticks, say, task_legend, zero_lines
from pir_tf.paper.linear_models import LinearModel
from pir_tf.paper.rows import VGG_MULTI, Row
from pir_tf.paper.tasks import significance_in_words, style_of
from pir_tf.report import style
from pir_tf.report.numbers import interval, number, p_value

WIDTH, HEIGHT = 6.6, 4.2
"""Inches; high enough for a legend of all groups."""

NAMES = ("panel", "column", "experiment", "objective", "kind", "layer")


@dataclasses.dataclass(frozen=True)
class Scatter:
    """What is drawn against what.

    Attributes:
        x: Column on the horizontal axis.
        y: Column on the vertical axis.
        x_label: Its name on the axis.
        y_label: Its name on the axis.
        model: The linear model whose line is drawn.
        single: Whether sets of 20 filters are left out.
        identity: Whether y = x is drawn.
        nothing: What an empty figure says.
    """

    x: str
    y: str
    x_label: str
    y_label: str
    model: Callable[[Sequence[Row]], LinearModel]
    single: bool = False
    identity: bool = False
    nothing: str = "no runs with both numbers"

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the figure's table."""
        return (*NAMES, self.x, self.y, "p_value")


ESTIMATED = Scatter(
    "estimated_change",
    "change",
    "estimated change in mean PIR",
    "true change in mean PIR",
    linear_models.change_on_estimated,
    identity=True,
    nothing="no runs with a true and an estimated change",
)
"""Fig. 4. Source: A.1."""

SPREAD = Scatter(
    "initial_sd",
    "change",
    "standard deviation of PIR before tuning",
    "change in mean PIR",
    linear_models.change_on_spread_alone,
    nothing="no runs with a change and an initial spread",
)
"""Fig. 5. Source: A.2. Deviation: D14."""

NONZERO = Scatter(
    "percent_nonzero",
    "cohens_d",
    "PIRs before tuning that are not zero (%)",
    "effect size (Cohen's d)",
    linear_models.effect_on_nonzero,
    single=True,
    nothing="no runs of single VGG16 filters or of colours",
)
"""Fig. 8. Source: C.4.2. Deviation: D14."""


def table(rows: Sequence[Row], scatter: Scatter) -> list[Row]:
    """The rows that a scatter plot shows."""
    shown = points(rows, scatter.columns)
    return [row for row in shown if not (scatter.single and row["kind"] == VGG_MULTI)]


def draw(rows: Sequence[Row], scatter: Scatter) -> Any:
    """A point for each objective, the fitted line, and the line of a perfect estimator where it has a meaning.

    Args:
        rows: Rows of `table`.
        scatter: What is drawn.

    Returns:
        The figure; it says when there is nothing to draw.

    Source: Figs. 4, 5, 8.
    """
    known = _known(rows, scatter)
    figure = style.new_figure(HEIGHT, width=WIDTH)
    axes = figure.subplots()
    style.style_axes(axes, x=scatter.x_label, y=scatter.y_label)
    if not known:
        axes.set(xticks=[], yticks=[])
        say(axes, scatter.nothing)
        return figure
    for row in known:
        axes.plot([row[scatter.x]], [row[scatter.y]], **style_of(row, size=6))
    axes.margins(0.06)
    zero_lines(axes, "xy")
    round_ticks(axes, which="xy")
    # Lines come after the points: they may not widen the axes.
    limits = axes.get_xlim(), axes.get_ylim()
    lines = _lines(axes, known, scatter, limits[0])
    axes.set(xlim=limits[0], ylim=limits[1])
    task_legend(figure, known, lines)
    return figure


def caption(rows: Sequence[Row], scatter: Scatter) -> str:
    """What the figure shows, with its line in numbers."""
    known = _known(rows, scatter)
    title = f"{scatter.y_label[0].upper()}{scatter.y_label[1:]} against {scatter.x_label}"
    if not known:
        return f"{title}: {scatter.nothing}."
    lacking = len(rows) - len(known)
    said = f" {lacking} more have one of the numbers undefined." if lacking else ""
    line = "dashed is where the estimate equals the truth, " if scatter.identity else ""
    return (
        f"{title}. Each point is one objective (n = {len(known)}); {significance_in_words(known)}; "
        f"{line}{_in_words(scatter.model(known))}.{said}"
    )


def _known(rows: Sequence[Row], scatter: Scatter) -> list[Row]:
    return [row for row in rows if row[scatter.x] is not None and row[scatter.y] is not None]


def _lines(axes: Any, rows: Sequence[Row], scatter: Scatter, span: tuple[float, float]) -> list[Any]:
    """The lines, named for the legend."""
    lines = []
    if scatter.identity:
        dashed = {"color": style.MUTED, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 1}
        lines += axes.plot(span, span, label="estimate = truth", **dashed)
    model = scatter.model(rows)
    if model.slope:
        ends = np.array([min(row[scatter.x] for row in rows), max(row[scatter.x] for row in rows)])
        heights = model.coefficients["intercept"].beta + model.slope.beta * ends
        name = f"fit: slope {model.slope.beta:.3g}"
        lines += axes.plot(ends, heights, color=style.INK, linewidth=1.4, label=name, zorder=1)
    return lines


def _in_words(model: LinearModel) -> str:
    if model.slope is None:
        return f"no line is fitted ({model.reason})"
    said = f"the line has slope {number(model.slope.beta, 3)} (95% interval {interval(model.slope.interval, 3)}"
    chance = p_value(model.slope.p_value, missing="")
    r2 = number(model.r_squared, 2)
    return f"{said}{', ' if chance else ''}{chance}), R² = {r2}"
