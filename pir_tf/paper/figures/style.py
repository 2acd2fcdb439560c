"""What the figures over many experiments share: how objectives look and are named, ticks, words in empty places.

Layers run from dark to light, since they have an order; tasks differ by shape, so that no figure needs colour alone.

Source: Figs. 2 to 8, whose points and groups look alike.
"""

from __future__ import annotations

from typing import Any

import pandas as pd

from pir_tf.objective_names import COLOR_KINDS, parse
from pir_tf.paper.rows import COLUMNS, LAYERS, VGG_MULTI, VGG_SINGLE
from pir_tf.report import style
from pir_tf.statistics.effects import ALPHA

PALE = 0.28  # opacity of points that are not significant
CHARACTER = 0.62  # width of a character as a share of the font's size
_LAYER_COLORS = ("#2b0f54", "#443983", "#31688e", "#21808d", "#1f9e89", "#44b574", "#7fc444", "#b5a500")
_TASK_LOOKS = (("#c44e00", "D"), ("#cc79a7", "^"), ("#8c1d40", "v"))
LOOKS = {
    **{(VGG_SINGLE, layer): (color, "o") for layer, color in zip(LAYERS, _LAYER_COLORS, strict=True)},
    **{(VGG_MULTI, layer): (color, "s") for layer, color in zip(LAYERS, _LAYER_COLORS, strict=True)},
    **{(kind, ""): look for kind, look in zip(COLOR_KINDS, _TASK_LOOKS, strict=True)},
}
"""Colour and shape (matplotlib's name) of each task, by kind and layer."""


def columns(*names: str, **own: type) -> dict[str, type]:
    """Columns of a table, with the types of those that experiments have; others are text, or of the type that is given."""
    return {name: own.get(name, COLUMNS.get(name, str)) for name in names}


def mark(kind: str, layer: str, size: float, *, pale: bool = False) -> dict[str, Any]:
    """How matplotlib draws an experiment's point: its task's colour and shape, pale where not significant."""
    color, shape = LOOKS.get((kind, layer), ("#5c6370", "X"))
    # So that all shapes look equally large.
    scale = {"D": 0.93, "s": 0.93, "^": 1.15, "v": 1.15}.get(shape, 1.0)
    return {
        "color": color,
        "marker": shape,
        "markersize": size * scale,
        "markeredgewidth": 0.5,
        "markeredgecolor": "white",
        "linestyle": "none",
        "alpha": PALE if pale else 1.0,
    }


def significance_in_words(table: pd.DataFrame) -> str:
    """How many changes are pale, for a caption; an undefined test is not significant."""
    pale = len(table) - int((table["p_value"] < ALPHA).sum())
    test = f"Welch's t-test, α = {ALPHA:g}"
    if not pale:
        return f"all changes are significant ({test})"
    if pale == len(table):
        return f"all are pale, since no change is significant ({test})"
    return f"{pale} {'is' if pale == 1 else 'are'} pale, since the change is not significant ({test})"


def objective_in_words(objective: str, *, short: bool = False) -> str:
    """An objective's name as people say it: `red left, blue right`, or `pool3 filters 12 and 40`."""
    return parse(objective).in_words(short=short) if objective else "people's answers"


def round_ticks(axes: Any, *, which: str = "y") -> None:
    """Few ticks at round numbers (1, 2, 5), on `x`, `y` or `xy`."""
    from matplotlib.ticker import MaxNLocator

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axis.get_major_formatter().set_useOffset(False)


def say(axes: Any, text: str, *, column: float | None = None) -> None:
    """Says in the middle of the axes, or upright in one column, why nothing is there."""
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": style.SMALL, "color": style.MUTED}
    look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 2.0}  # no line goes through the words
    if column is None:
        axes.text(0.5, 0.5, text, transform=axes.transAxes, **look)
    else:
        axes.text(column, 0.5, text, transform=axes.get_xaxis_transform(), rotation=90, **look)


def empty(text: str) -> Any:
    """A figure that says why it shows nothing."""
    figure = style.new_figure(1.0, width=6.6)
    axes = figure.subplots()
    axes.set_axis_off()
    say(axes, text)
    return figure


def zero_lines(axes: Any, which: str = "y") -> None:
    """Thin lines at 0, where 0 lies between the axes' ends."""
    for name in which:
        low, high = axes.get_xlim() if name == "x" else axes.get_ylim()
        if low <= 0.0 <= high:
            draw = axes.axvline if name == "x" else axes.axhline
            draw(0.0, color=style.RULE, linewidth=0.9, zorder=0)
