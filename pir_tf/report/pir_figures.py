"""Figures of PIR: before and after tuning, the spread that the estimator learned from, and how well it learned.

Source: section 4 (before and after), A.2 and Fig. 5 (spread), A.1 and Fig. 4 (what the estimator believes).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pir_tf.report import style
from pir_tf.report.numbers import number

PIR_AXIS = "PIR (share of positive reactions, 0 to 1)"
BINS = 40


def before_after(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], limits: tuple[float, float] | None = None
) -> Any:
    """Histograms of PIR before and after tuning, one panel below the other on a common axis.

    Args:
        panels: For each (title, PIRs before [n0], PIRs after [n1]); a panel with an empty side is left out.
        limits: Ends of the axis, for figures that are to be compared; by default those of the values.

    Returns:
        The figure, or `None` when no panel has values.

    Source: section 4.
    """
    panels = [panel for panel in panels if panel[1].size and panel[2].size]
    if not panels:
        return None
    figure = style.new_figure((1.6 if len(panels) > 1 else 1.9) * len(panels) + 0.35)
    low, high = limits or pir_limits([values for _, *both in panels for values in both])
    edges = np.linspace(low, high, BINS + 1)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (title, before, after) in zip(grid, panels, strict=True):
        last = axes is grid[-1]
        style.style_axes(axes, x=PIR_AXIS if last else None, y="images (%)", title=title)
        top = max(_bars(axes, before, edges, style.BEFORE, 1.0), _bars(axes, after, edges, style.AFTER, 0.62))
        axes.set_ylim(0, top * 1.32)
        axes.set_xlim(low, high)
        style.few_ticks(axes, ticks=3)
        named = [("before", before.mean(), style.BEFORE_TEXT), ("after", after.mean(), style.AFTER)]
        for (name, mean, color), place in zip(sorted(named, key=lambda item: item[1]), (0.0, 1.0), strict=True):
            axes.plot([mean, mean], [0, top * 1.08], color=color, linewidth=1.2, linestyle=(0, (3, 2)))
            axes.annotate(
                f"{name}: mean {number(mean)}",
                (0.01 if place == 0 else 0.99, 0.99),
                xycoords="axes fraction",
                ha="left" if place == 0 else "right",
                va="top",
                color=color,
                fontsize=style.TEXT,
            )
    return figure


def training_spread(pir: np.ndarray) -> Any:
    """Histogram of the observed PIR of the images that the estimator learned from; `None` for no images.

    Source: A.2, Fig. 5.
    """
    if not pir.size:
        return None
    figure = style.new_figure(2.1)
    axes = figure.subplots()
    style.style_axes(axes, x=PIR_AXIS, y="images (%)")
    low, high = pir_limits([pir])
    top = _bars(axes, pir, np.linspace(low, high, BINS + 1), style.BEFORE, 1.0)
    axes.set_xlim(low, high)
    axes.set_ylim(0, top * 1.3)
    style.few_ticks(axes, ticks=3)
    mean = float(pir.mean())
    axes.plot([mean, mean], [0, top * 1.08], color=style.BEFORE_TEXT, linewidth=1.2, linestyle=(0, (3, 2)))
    spread = f", SD {number(pir.std(ddof=1))}" if pir.size > 1 else ""
    axes.annotate(
        f"{pir.size:,} images: mean {number(mean)}{spread}",
        (0.01, 0.99),
        xycoords="axes fraction",
        va="top",
        color=style.BEFORE_TEXT,
        fontsize=style.TEXT,
    )
    return figure


def calibration(panels: Sequence[tuple[str, Sequence[dict[str, float]]]]) -> Any:
    """Mean true PIR against mean predicted PIR in groups of equal size, with the diagonal of a perfect estimator.

    Args:
        panels: For each temperature (title, groups with `mean_predicted` and `mean_true`); empty ones are left out.

    Returns:
        The figure, or `None` when no panel has groups.

    Source: A.1, Fig. 4.
    """
    panels = [panel for panel in panels if panel[1]]
    if not panels:
        return None
    figure = style.new_figure(2.45, width=style.WIDTH if len(panels) > 1 else 2.5)
    points = [
        np.array([(group["mean_predicted"], group["mean_true"]) for group in groups], np.float64)
        for _, groups in panels
    ]
    low, high = pir_limits(points)
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, _), pairs in zip(grid, panels, points, strict=True):
        style.style_axes(axes, x="predicted PIR", y="true PIR" if axes is grid[0] else None, title=title)
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(*pairs.T, color=style.INK, linewidth=0.8, marker="o", markersize=4)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        style.few_ticks(axes, which="both")
        axes.annotate(
            "underestimates", (0.04, 0.97), xycoords="axes fraction", va="top", color=style.MUTED, fontsize=style.SMALL
        )
        axes.annotate(
            "overestimates", (0.97, 0.04), xycoords="axes fraction", ha="right", color=style.MUTED, fontsize=style.SMALL
        )
    return figure


def pir_limits(arrays: Sequence[np.ndarray]) -> tuple[float, float]:
    """Limits within [0, 1] with some room around all values, never of width 0; all of [0, 1] without values."""
    values = np.concatenate([np.ravel(array) for array in arrays]) if arrays else np.empty(0)
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    room = max(0.06 * (high - low), 0.01)
    return max(0.0, low - room), min(1.0, high + room)


def _bars(axes: Any, values: np.ndarray, edges: np.ndarray, color: str, alpha: float) -> float:
    """Draws a histogram in percent of its images; returns the height of its highest bar."""
    counts, _ = np.histogram(values, edges)
    shares = 100.0 * counts / values.size
    axes.stairs(shares, edges, fill=True, color=color, alpha=alpha, linewidth=0)
    axes.stairs(shares, edges, color=color, linewidth=0.8)
    return float(shares.max())
