"""Objectives as points: by task (Figs. 2, 7), in a plane (Figs. 4, 5, 8) and over two rounds of tuning (Fig. 6)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.figures.style import (
    PALE,
    columns,
    mark,
    objective_in_words,
    round_ticks,
    say,
    significance_in_words,
    zero_lines,
)
from pir_tf.paper.models import MODELS, LinearModel, PaperModel
from pir_tf.paper.rows import LAYERS
from pir_tf.paper.select import TASKS, by_the_paper, second_rounds
from pir_tf.report import style
from pir_tf.report.numbers import interval, number, p_value
from pir_tf.statistics.effects import ALPHA

NAMES = ("panel", "column", "experiment", "objective", "kind", "layer", "tuning_steps")


@dataclasses.dataclass(frozen=True)
class Strips:
    """Effect size, or change, by task: a panel for each set of tasks, a column for each layer or number of colours.

    Source: Figs. 2, 7.
    """

    name: str
    title: str
    value: str
    label: str
    what: str
    columns = columns(*NAMES, "cohens_d", "change", "p_value")

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """A row for each experiment with the paper's method, in the order of the columns."""
        return TASKS.merge(by_the_paper(rows), on=list(TASKS))

    def draw(self, table: pd.DataFrame) -> Any:
        """A point for each objective; tasks without experiments are said."""
        figure = style.new_figure(3.5, width=9.0)
        panels = list(TASKS.groupby("panel", sort=False))
        grid = figure.subplots(1, len(panels), sharey=True, width_ratios=[len(tasks) + 0.4 for _, tasks in panels])
        for axes, (panel, tasks) in zip(grid, panels, strict=True):
            own = table[table["panel"] == panel]
            style.style_axes(axes, y=self.label if axes is grid[0] else None, title=panel)
            axes.axhline(0.0, color=style.RULE, linewidth=0.9, zorder=0)
            axes.margins(y=0.07)
            names = [self._column(axes, place, name, own) for place, name in enumerate(tasks["column"])]
            axes.set_xticks(range(len(names)), names)
            axes.tick_params(axis="x", length=0)
            axes.set_xlim(-0.6, len(names) - 0.4)
            if own.empty:
                say(axes, f"no runs of {panel if panel.startswith('VGG') else panel.lower()}")
            if axes is not grid[0]:
                axes.tick_params(axis="y", length=0)
        round_ticks(grid[0])
        below = f"layer of VGG16, or number of colours. Pale: not significant (Welch's t-test, α = {ALPHA:g})"
        figure.supxlabel(below, fontsize=style.SMALL, color=style.MUTED)
        return figure

    def caption(self, table: pd.DataFrame) -> str:
        """How many points there are, and the highest."""
        known = table.dropna(subset=self.value)
        undefined = len(table) - len(known)
        lacking = f" {undefined} more have no value, since all their PIRs are equal." if undefined else ""
        if known.empty:
            return f"{self.what} by task: no runs.{lacking}"
        best = known.loc[known[self.value].idxmax()]
        return (
            f"{self.what} by task. Each point is one objective (n = {len(known)}), above zero the images improved; "
            f"{significance_in_words(known)}. Highest: {objective_in_words(best['objective'])} with "
            f"{number(best[self.value], 2, signed=True)}.{lacking}"
        )

    def _column(self, axes: Any, place: int, name: str, panel: pd.DataFrame) -> str:
        """Draws one column's points; returns its name with their number."""
        own = panel[panel["column"] == name]
        known = own.dropna(subset=self.value)
        step = min(0.15, 0.62 / max(1, len(known) - 1))
        for i, row in enumerate(known.itertuples()):
            look = mark(row.kind, row.layer, 5.5, pale=not row.p_value < ALPHA)
            axes.plot([place + (i - (len(known) - 1) / 2) * step], [getattr(row, self.value)], **look)
        if known.empty and len(panel):
            say(axes, "undefined" if len(own) else "no runs", column=place)
        return f"{name}\n{f'n = {len(known)}' if len(known) else ''}{_other_steps(panel, own)}"


def _other_steps(table: pd.DataFrame, own: pd.DataFrame) -> str:
    """How long the experiments of a task were tuned, on a line of its own, where that isn't what most of the table's were."""
    steps = own["tuning_steps"].mode()
    return "" if own.empty or steps[0] == table["tuning_steps"].mode()[0] else f"\n{steps[0]:,.0f} steps"


EFFECT = Strips(
    "figure-2",
    "Figure 2: effect size by task",
    "cohens_d",
    "effect size (Cohen's d)",
    "Effect size (Cohen's d of the change in PIR)",
)
CHANGE = Strips(
    "figure-7", "Figure 7: change in mean PIR by task", "change", "change in mean PIR", "Change in mean PIR"
)


@dataclasses.dataclass(frozen=True)
class Scatter:
    """The outcome of a linear model against its regressor, with the line; `nothing` is what an empty figure says.

    Source: Figs. 4, 5, 8.
    """

    name: str
    title: str
    model: PaperModel
    x_label: str
    y_label: str
    nothing: str

    @property
    def columns(self) -> dict[str, type]:
        """The names and both numbers."""
        return columns(*NAMES, self.model.about, self.model.outcome, "p_value")

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of Fig. 2 that the model is of."""
        return self.model.of(EFFECT.table(rows))

    def draw(self, table: pd.DataFrame) -> Any:
        """A point for each objective, the fitted line, and the line of a perfect estimator where it has a meaning."""
        x, y = self.model.about, self.model.outcome
        known = table.dropna(subset=[x, y])
        figure = style.new_figure(4.2, width=6.6)  # high enough for a legend of all groups
        axes = figure.subplots()
        style.style_axes(axes, x=self.x_label, y=self.y_label)
        if known.empty:
            axes.set(xticks=[], yticks=[])
            say(axes, self.nothing)
            return figure
        for row in known.itertuples():
            look = mark(row.kind, row.layer, 6, pale=not row.p_value < ALPHA)
            axes.plot([getattr(row, x)], [getattr(row, y)], **look)
        axes.margins(0.06)
        zero_lines(axes, "xy")
        round_ticks(axes, which="xy")
        # Lines come after the points: they may not widen the axes.
        limits = axes.get_xlim(), axes.get_ylim()
        lines = []
        if x == "estimated_change":
            dashed = {"color": style.MUTED, "linewidth": 1.0, "linestyle": (0, (4, 3)), "zorder": 1}
            lines += axes.plot(limits[0], limits[0], label="estimate = truth", **dashed)
        model = self.model.fit(known)
        if model.slope:
            ends = np.array([known[x].min(), known[x].max()])
            heights = model.coefficients["intercept"].beta + model.slope.beta * ends
            name = f"fit: slope {model.slope.beta:.3g}"
            lines += axes.plot(ends, heights, color=style.INK, linewidth=1.4, label=name, zorder=1)
        axes.set(xlim=limits[0], ylim=limits[1])
        _legend(figure, known, lines)
        return figure

    def caption(self, table: pd.DataFrame) -> str:
        """How many points there are, and the line in numbers."""
        known = table.dropna(subset=[self.model.about, self.model.outcome])
        title = f"{self.y_label[0].upper()}{self.y_label[1:]} against {self.x_label}"
        if known.empty:
            return f"{title}: {self.nothing}."
        lacking = len(table) - len(known)
        said = f" {lacking} more have one of the numbers undefined." if lacking else ""
        line = "dashed is where the estimate equals the truth, " if self.model.about == "estimated_change" else ""
        return (
            f"{title}. Each point is one objective (n = {len(known)}); {significance_in_words(known)}; "
            f"{line}{_in_words(self.model.fit(known))}.{said}"
        )


ESTIMATED = Scatter(
    "figure-4",
    "Figure 4: true against estimated change",
    MODELS["change_on_estimated"],
    "estimated change in mean PIR",
    "true change in mean PIR",
    "no runs with a true and an estimated change",
)
SPREAD = Scatter(
    "figure-5",
    "Figure 5: change against initial spread",
    MODELS["change_on_spread_alone"],
    "standard deviation of PIR before tuning",
    "change in mean PIR",
    "no runs with a change and an initial spread",
)
NONZERO = Scatter(
    "figure-8",
    "Figure 8: effect size against non-zero PIRs",
    MODELS["effect_on_nonzero"],
    "PIRs before tuning that are not zero (%)",
    "effect size (Cohen's d)",
    "no runs of single VGG16 filters or of colours",
)


def _in_words(model: LinearModel) -> str:
    if model.slope is None:
        return f"no line is fitted ({model.reason})"
    said = f"the line has slope {number(model.slope.beta, 3)} (95% interval {interval(model.slope.interval, 3)}"
    chance = p_value(model.slope.p_value, missing="")
    r2 = number(model.r_squared, 2)
    return f"{said}{', ' if chance else ''}{chance}), R² = {r2}"


def _legend(figure: Any, known: pd.DataFrame, lines: Sequence[Any]) -> None:
    """The tasks that are there under the names of their panels, then the lines, at the right of the axes."""
    from matplotlib.lines import Line2D

    handles: list[Any] = []
    headings: list[int] = []

    def heading(text: str) -> None:
        headings.append(len(handles))
        handles.append(Line2D([], [], linestyle="none", label=text))

    for panel, tasks in TASKS.merge(known[list(TASKS)].drop_duplicates()).groupby("panel", sort=False):
        heading(panel)
        for task in tasks.itertuples():
            label = task.column + _other_steps(known, known[known["column"] == task.column]).replace("\n", ", ")
            handles.append(Line2D([], [], label=label, **mark(task.kind, task.layer, 6)))
    if not (known["p_value"] < ALPHA).all():
        grey: dict[str, Any] = {"color": style.INK, "marker": "o", "alpha": PALE, "markersize": 6, "linestyle": "none"}
        handles.append(Line2D([], [], label="pale: not significant", **grey))
    if lines:
        heading("Lines")
        handles += lines
    size, length, pad = style.SMALL, 1.8, 0.7
    look = {
        "fontsize": size,
        "labelcolor": style.INK,
        "labelspacing": 0.32,
        "handlelength": length,
        "handletextpad": pad,
    }
    legend = figure.legend(handles=handles, loc="outside right center", frameon=False, **look)
    for place in headings:
        # A heading has no mark of its own, so it begins where the marks do.
        legend.get_texts()[place].set(fontweight="bold", x=-(length + pad) * size * figure.dpi / 72)


PANELS = [*LAYERS, "colours"]


class Rounds:
    """Effect size against the images of the first generator over two rounds of tuning, a panel for each layer.

    Source: A.3, Fig. 6.
    """

    name, title = "figure-6", "Figure 6: two rounds"
    columns = columns("panel", "experiment", "objective", "kind", "layer", "round", "cohens_d", "p_value")

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Three rows for each objective: at the start, where d is 0, and after each round; p is of the second's own change."""
        found = second_rounds(rows)
        others = np.where(found["kind"].isin(COLOR_KINDS), PANELS[-1], found["kind"])
        found = found.assign(panel=found["layer"].where(found["layer"] != "", others))
        steps = [
            found.assign(round=0, cohens_d=0.0, p_value=np.nan),
            found.assign(round=1, cohens_d=found["first_round_d"], p_value=np.nan),
            found.assign(round=2, cohens_d=found["d_from_start"]),
        ]
        whole = pd.concat(steps).sort_index(kind="stable")
        return whole.sort_values("panel", key=lambda names: names.map(_place), kind="stable")

    def draw(self, table: pd.DataFrame) -> Any:
        """A line for each objective, dashed in a second round that isn't significant itself.

        The layers that the paper iterated on have a panel even without runs.
        """
        panels = sorted({"pool2", "fc8", *table["panel"]}, key=_place)
        figure = style.new_figure(3.4, width=max(6.6, 2.9 * len(panels)))
        grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=True):
            style.style_axes(axes, y="effect size (Cohen's d)" if axes is grid[0] else None, title=panel)
            axes.set_xticks((0, 1, 2), ("start", "round 1", "round 2"))
            axes.set_xlim(-0.1, 2.1)
            own = table[table["panel"] == panel]
            if own.empty:
                axes.tick_params(axis="y", length=0)
                say(axes, f"no second rounds of {panel}")
            for _, line in own.groupby("experiment", sort=False):
                last, d = line.iloc[-1], line["cohens_d"].to_list()
                look = mark(last["kind"], last["layer"], 5)
                dashes = "-" if last["p_value"] < ALPHA else (0, (2.5, 1.8))
                axes.plot([0, 1], d[:2], color=look["color"], linewidth=1.2)
                axes.plot([1, 2], d[1:], color=look["color"], linewidth=1.2, linestyle=dashes)
                axes.plot([0, 1, 2], d, **look)
        grid[0].margins(y=0.08)
        round_ticks(grid[0])
        figure.draw_without_rendering()  # the limits are shared, so final only now
        for axes, panel in zip(grid, panels, strict=True):
            zero_lines(axes)
            ends = table[(table["panel"] == panel) & (table["round"] == 2)].itertuples()
            style.label_ends(axes, [(row.cohens_d, _short(row), style.INK) for row in ends], apart=0.062)
        return figure

    def caption(self, table: pd.DataFrame) -> str:
        """How many improved again, and how many by less."""
        if table.empty:
            return "Effect size over two rounds of tuning: no second rounds."
        d = table.pivot(index="experiment", columns="round", values="cohens_d")
        first, gain = d[1], d[2] - d[1]
        flat = (~(table.loc[table["round"] == 2, "p_value"] < ALPHA)).sum()
        return (
            f"Effect size against the images of the first generator, after each of two rounds (n = {len(d)} objectives). "
            f"The second round improved {(gain > 0).sum()} of them again, {((gain > 0) & (gain < first)).sum()} of these by "
            f"less than the first had, and worsened {(gain < 0).sum()}; dashed lines ({flat}) are second rounds whose own "
            "change is not significant (α = 0.001)."
        )


def _place(panel: str) -> str:
    """What panels are sorted by."""
    return f"{PANELS.index(panel) if panel in PANELS else len(PANELS)} {panel}"


def _short(row: Any) -> str:
    """The objective's name without what its panel says already."""
    return objective_in_words(row.objective, short=True).removeprefix(row.layer).lstrip(", ").removeprefix("1 filter, ")
