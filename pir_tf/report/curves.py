"""The figure of `pir-tf tuning-curves`: how far tuning goes with its steps, what it believes, and what that costs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from pir_tf.objective_names import parse
from pir_tf.report import style

SHADES = ("#7fb2da", "#2f77b8", "#1c5d99", "#0b3d66", "#031a2e")
"""Colours of rising pessimism: it has an order."""
CONTROL = "control"
SETTINGS = ("seed", "features", "grid", "images", "impressions", "settings")
"""Columns that tell trainings of one objective, pessimism and ratio apart."""
SHOWN, PICTURES = 12, "images"
"""Images of each row that are kept, and the folder's name."""
WIDTH, HEIGHT = 2.7, 2.3
"""Of a panel, in inches."""
WIDEST = 8.8
"""Of a figure, in inches: wider ones are shown smaller, and their words with them."""


def tuning_curves(rows: pd.DataFrame) -> Any:
    """True and estimated d and the distance kept over the steps: a column for each objective and number of answers.

    A line for each pessimism.

    Args:
        rows: Those of `tuning-curves.csv`; those of the commonest ratio are drawn, and the control.
    """
    panels = list(dict.fromkeys(zip(rows.objective, rows.impressions, strict=True)))
    ratio = rows.ratio[rows.ratio > 0].mode().iloc[0]
    width = max(min(WIDTH, WIDEST / len(panels)) * len(panels), style.WIDTH)
    figure = style.new_figure(2 * HEIGHT, width=width)
    grid = figure.subplots(2, len(panels), squeeze=False, sharex="col")
    pessimisms = sorted(set(rows.pessimism))
    for column, (objective, impressions) in enumerate(panels):
        own = rows[(rows.objective == objective) & (rows.impressions == impressions)]
        answered = f"\n{impressions:,} answers each" if rows.impressions.nunique() > 1 else ""
        first = column == 0
        upper, lower = grid[:, column]
        style.style_axes(
            upper, y="Cohen's d" if first else None, title=parse(objective).in_words(short=True) + answered
        )
        style.style_axes(lower, x="tuning steps", y="distance kept" if first else None)
        upper.axhline(0, color=style.RULE, linewidth=0.7)
        lower.axhline(1, color=style.RULE, linewidth=0.7)
        ends: list[tuple[float, str, str]] = []
        inside = 0  # lines that end before others, whose names stand above and below in turn
        for pessimism in pessimisms:
            color = _shade(pessimisms, pessimism)
            lines = _series(own[(own.pessimism == pessimism) & (own.ratio == ratio)])
            for line in lines:
                upper.plot(line.steps, line.cohens_d.fillna(0), color=color, linewidth=1.6, marker="o", markersize=3)
                upper.plot(line.steps, line.estimated_d.fillna(0), color=color, linewidth=1.0, linestyle=":")
                lower.plot(line.steps, line.distance_kept, color=color, linewidth=1.6, marker="o", markersize=3)
            for line in lines[:1]:
                name, last = f"{pessimism:g} SD", line.iloc[-1]
                if last.steps == own.steps.max():
                    ends.append((last.cohens_d, name, _legible(color)))
                else:
                    look = {"fontsize": style.SMALL, "color": _legible(color), "va": "center"}
                    beside = (5, -8 if inside % 2 else 8)
                    upper.annotate(name, (last.steps, last.cohens_d), beside, textcoords="offset points", **look)
                    inside += 1
        controls = _series(own[own.ratio == 0])
        for control in controls:
            upper.plot(control.steps, control.cohens_d.fillna(0), color=style.MUTED, linewidth=1.2, linestyle="--")
        ends += [(control.cohens_d.iloc[-1], CONTROL, style.MUTED) for control in controls[:1]]
        style.count_axis(lower, ticks=3)
        style.few_ticks(upper)
        style.few_ticks(lower)
        lower.set_ylim(0, max(1.1, 1.05 * rows.distance_kept.max()))  # from nothing, so that small changes look small
        style.label_ends(upper, ends)
    note = (
        f"Solid: the true PIR's d. Dotted: what the estimator believes. w by gradient ratio {ratio:g}.\n"
        "SD: by how many of its own the estimate is taken lower (pessimism)."
    )
    figure.supxlabel(note, fontsize=style.SMALL, color=style.MUTED, x=0.01, ha="left")
    return figure


def kid_of_ratios(rows: pd.DataFrame) -> Any:
    """True d against KID over the ratios: a panel for each objective, a line for each pessimism and number of steps.

    None without KID.
    """
    if "kid" not in rows:
        return None
    found = rows.dropna(subset=["kid"])
    start, found = found[found.steps == 0], found[found.steps > 0]
    several: Callable[[pd.DataFrame], bool] = lambda own: own.ratio[own.ratio > 0].nunique() > 1  # noqa: E731
    by = ["objective", "pessimism", "steps", *(name for name in SETTINGS if name in found)]
    groups = [(key, own.sort_values("ratio")) for key, own in found.groupby(by, dropna=False) if several(own)]
    if not groups:
        return None
    objectives = list(dict.fromkeys(key[0] for key, _ in groups))
    across = 1 + (len(objectives) > 1)
    down = math.ceil(len(objectives) / across)
    figure = style.new_figure((HEIGHT if down > 1 else 3.2) * down, width=5.4 if across == 1 else 3.6 * across)
    grid = figure.subplots(down, across, squeeze=False, sharex=True)
    varies = [len({key[place] for key, _ in groups}) > 1 for place in (1, 2)]
    for objective, axes in zip(objectives, grid.flat, strict=False):
        lines = [
            ([f"pessimism {key[1]:g} SD"] * varies[0] + [f"{key[2]:,} steps"] * varies[1], own)
            for key, own in groups
            if key[0] == objective
        ]
        title = [parse(objective).in_words(short=True), *(lines[0][0] if len(lines) == 1 else [])]
        style.style_axes(axes, y="Cohen's d" if axes in grid[:, 0] else None, title="\n".join(title))
        for before in start[start.objective == objective].kid.round(2).unique():
            axes.axvline(before, color=style.RULE, linewidth=0.9, zorder=0)
        for place, (name, line) in enumerate(lines):
            color = SHADES[1 + place % (len(SHADES) - 1)]
            _kid_line(axes, line, ", ".join(name) if len(lines) > 1 else "", color)
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.15 * axes.get_ylim()[1])  # from nothing, with room for words
    for axes in [*grid.flat][len(objectives) :]:
        axes.set_axis_off()
    _kid_axes(grid, found, len(objectives))
    note = "Numbers along a line: gradient ratio." + " Vertical line: before tuning." * (len(start) > 0)
    figure.supxlabel(note, fontsize=style.SMALL, color=style.MUTED, x=0.01, ha="left")
    return figure


def _kid_line(axes: Any, line: pd.DataFrame, name: str, color: str) -> None:
    """The tunings of one pessimism and number of steps, from the least ratio to the greatest, with its name at the end."""
    axes.plot(line.kid, line.cohens_d, color=color, linewidth=1.2, marker="o", markersize=4)
    look: dict[str, Any] = {"textcoords": "offset points", "fontsize": style.SMALL}
    for row in line.to_dict("records"):
        axes.annotate(f"{row['ratio']:g}" if row["ratio"] else CONTROL, (row["kid"], row["cohens_d"]), (6, -4), **look)
    if name:
        axes.annotate(name, (line.kid.iloc[-1], line.cohens_d.iloc[-1]), (4, 6), color=color, **look)


def _kid_axes(grid: Any, found: pd.DataFrame, count: int) -> None:
    """One scale of KID for all panels, a logarithm's where what is near would be one point, and its name below each column."""
    from matplotlib.ticker import LogLocator, NullLocator

    said = "KID from real images (lower is nearer)"
    if 0 < 5 * found.kid.min() < found.kid.max():
        said += ", log scale"
        for axes in grid.flat:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_minor_locator(NullLocator())
    for place, axes in enumerate(grid.flat):
        if place < count and place + grid.shape[1] >= count:  # the last of its column
            axes.set_xlabel(said, fontsize=style.TEXT, color=style.INK)
            axes.tick_params(labelbottom=True)


def picture_of(row: Mapping[str, Any]) -> str:
    """Name of the file with a row's first images, `SHOWN` beside each other."""
    objective = row["objective"].replace(":", "-")[:60]
    learnt = (
        f"{re.sub('[^a-z0-9]+', '-', row['features'])[:40]}-{row['grid']:g}-{row['images']:g}-by-{row['impressions']:g}"
    )
    what = f"seed-{row['seed']:g}-pessimism-{row['pessimism']:g}-ratio-{row['ratio']:g}-steps-{row['steps']:g}"
    return f"{objective}-{learnt}-{what}-{row['settings']}.png"


def pictures_of_tunings(rows: pd.DataFrame, folder: Path) -> Any:
    """Images of the same latents before tuning and after each, a strip each, with d and KID; None where none are kept.

    Of each objective the first settings: each ratio at the first pessimism, or of one ratio each pessimism, after the most steps.
    """
    strips: list[tuple[str, str, Path]] = []
    for objective, own in rows.groupby("objective", sort=False):
        for name in SETTINGS:
            own = own[own[name] == own[name].iloc[0]]
        if by_ratio := own.ratio.nunique() > 1 or own.pessimism.nunique() == 1:
            own = own[own.pessimism == own.pessimism.iloc[0]]
        last = own[own.steps == own.steps.max()].sort_values("ratio" if by_ratio else "pessimism")
        for row in [*own[own.steps == 0].iloc[:1].to_dict("records"), *last.to_dict("records")]:
            kid = "" if pd.isna(row.get("kid")) else f", KID {row['kid']:.0f}"
            doubt = f"mean - {row['pessimism']:g} SD" if row["pessimism"] else "the mean"
            name = (
                (f"ratio {row['ratio']:g}" if row["ratio"] else CONTROL)
                if by_ratio
                else f"{doubt}, {row['steps']:,} steps"
            )
            said = f"{name}: d {row['cohens_d']:.2f}{kid}" if row["steps"] else f"before{kid}"
            title = parse(str(objective)).in_words(short=True) if not row["steps"] else ""
            strips.append((title, said, folder / PICTURES / picture_of(row)))
    strips = [strip for strip in strips if strip[2].is_file()]
    if not strips:
        return None
    figure = style.new_figure(0.6 * len(strips) + 0.2, width=7.2)
    for axes, (title, said, path) in zip(figure.subplots(len(strips), 1, squeeze=False)[:, 0], strips, strict=True):
        with Image.open(path) as strip:
            axes.imshow(np.asarray(strip))
        axes.set_anchor("W")  # where the image is narrower than its place, the words beside it would be cut
        axes.set_axis_off()
        if title:
            axes.set_title(title, loc="left", fontsize=style.SMALL + 2, fontweight="bold", color=style.INK)
        axes.text(-0.01, 0.5, said, transform=axes.transAxes, ha="right", va="center", fontsize=style.SMALL)
    return figure


def _series(rows: pd.DataFrame) -> list[pd.DataFrame]:
    """What one training after another gave, over its steps: seeds and other settings are lines of their own."""
    by = [name for name in SETTINGS if name in rows]
    found = [own for _, own in rows.groupby(by, dropna=False)] if by else [rows][: len(rows)]
    return [own.sort_values("steps") for own in found]


def _legible(color: str) -> str:
    """The colour of words beside a line: the lightest is too light for them."""
    return SHADES[1] if color == SHADES[0] else color


def _shade(values: list[float], value: float) -> str:
    return SHADES[round(values.index(value) * (len(SHADES) - 1) / max(1, len(values) - 1))]
