"""How every figure of the report looks: sizes that stay readable on a phone, colours, labels at the data.

Figures are drawn at 4.2 inches, about a phone's width, so that 9 point text stays 9 point there; the page sets them
side by side where there is room. matplotlib is used through its objects alone: no global state, no window.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pir_tf.runs.directory import atomic

WIDTH = 4.2
DPI = 220
PICTURE_DPI = 150  # photographs of 64 pixels need no more, and are most of the page's bytes
INK, MUTED, RULE = "#1f2328", "#5c6370", "#d5d9de"
BEFORE, AFTER = "#b4b9c0", "#0b62a4"
BEFORE_TEXT = "#666c75"  # the grey of the bars would be too pale for text
TEXT = 9.0
SMALL = 8.0


def new_figure(height: float, *, width: float = WIDTH, dpi: int = DPI) -> Any:
    """An empty `matplotlib.figure.Figure` of this size in inches, drawn by Agg, that belongs to no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.04, h_pad=0.05)
    figure = Figure(figsize=(width, height), dpi=dpi, layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def style_axes(axes: Any, *, x: str | None = None, y: str | None = None, title: str | None = None) -> None:
    """Thin axes on two sides, small ticks, labels and a title at the left."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.spines[["left", "bottom"]].set_linewidth(0.7)
    axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL, width=0.7, length=3)
    if x:
        axes.set_xlabel(x, fontsize=TEXT, color=INK)
    if y:
        axes.set_ylabel(y, fontsize=TEXT, color=INK)
    if title:
        axes.set_title(title, fontsize=TEXT, color=INK, loc="left", fontweight="bold")


def count_axis(axes: Any, *, ticks: int = 5) -> None:
    """Few ticks on x, with commas between thousands."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))


def few_ticks(axes: Any, *, ticks: int = 4, which: Literal["y", "both"] = "y") -> None:
    """Few ticks on y, or on both axes, without a common offset in the corner."""
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.yaxis, axes.xaxis)[: 2 if which == "both" else 1]:
        axis.set_major_locator(MaxNLocator(ticks))
        axis.get_major_formatter().set_useOffset(False)


def label_ends(axes: Any, ends: Sequence[tuple[float, str, str]], *, apart: float = 0.1) -> None:
    """Names lines, given as (last y, name, colour), at their right end; call it when the limits are final.

    Names are pushed `apart` by this share of the axes' height.
    """
    if not ends:
        return
    to_share = axes.transData + axes.transAxes.inverted()
    x = axes.get_xlim()[1]
    wanted = np.array([to_share.transform((x, y))[1] for y, _, _ in ends])
    order = np.argsort(wanted, kind="stable")
    places = wanted[order].clip(0.03, 0.97)
    for i in range(1, len(places)):
        places[i] = max(places[i], places[i - 1] + apart)
    places -= max(0.0, places[-1] - 0.97)
    for i in range(len(places) - 2, -1, -1):
        places[i] = min(places[i], places[i + 1] - apart)
    for place, index in zip(places, order, strict=True):
        _, text, color = ends[index]
        axes.annotate(
            text,
            (1.02, place),
            xycoords="axes fraction",
            fontsize=TEXT,
            color=color,
            va="center",
            annotation_clip=False,
        )


def save(figure: Any, path: Path) -> None:
    """Writes the figure as PNG; it appears under its name only when whole, and equal figures give equal bytes."""
    with atomic(path) as beside:
        figure.savefig(beside, format="png", metadata={"Software": None})
