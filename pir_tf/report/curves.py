"""Curves of training and tuning: PIR along the way, loss terms, gradient norms, distance to the real images.

Source: 2.1, C.1 (loss terms), 2.4 (tuning), 5.1 (what tuning costs).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.report import style

STEPS = "gradient steps"
_TERMS = ("L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class")
PRETRAINING_TERMS = (*_TERMS, "L_saturating")
TUNING_TERMS = (*_TERMS, "L_PIR", "L_saturating", "L_anchor")
SYMBOLS = {
    "L_fake_image": r"$L_{\mathrm{fake\ image}}$",
    "L_real_image": r"$L_{\mathrm{real\ image}}$",
    "L_real_class": r"$L_{\mathrm{real\ class}}$",
    "L_fake_image_fools": r"$L_{\mathrm{fake\ image\ fools}}$",
    "L_fake_class": r"$L_{\mathrm{fake\ class}}$",
    "L_PIR": r"$L_{\mathrm{PIR}}$",
    "L_saturating": r"$L_{\mathrm{saturating}}$",
    "L_anchor": r"$L_{\mathrm{anchor}}$",
}
GENERATOR_TERMS = ("L_fake_image_fools", "L_fake_class", "L_PIR", "L_saturating", "L_anchor")
UNITS = {"L_PIR": "mean PIR", "L_anchor": "mean squared difference"}
GRADIENTS = (
    ("gradient_pir", "PIR", style.AFTER, "-", "o"),
    ("gradient_fools", "fools", style.INK, "-", "s"),
    ("gradient_anchor", "anchor", style.INK, "-", "s"),
    ("gradient_fake_class", "fake class", style.MUTED, "--", "^"),
)


def pir_along(history: pd.DataFrame) -> Any:
    """Estimated PIR at every row of the log and true PIR where it was sampled; `None` without either.

    Source: 2.4, A.1.
    """
    estimated, true = _series(history, "L_PIR"), _series(history, "true_pir")
    if not estimated.size and not true.size:
        return None
    figure = style.new_figure(2.4)
    axes = figure.subplots()
    style.style_axes(axes, x=STEPS, y="mean PIR (0 to 1)")
    ends = []
    if estimated.size:
        axes.plot(*estimated.T, color=style.MUTED, linewidth=1.1, marker="." if len(estimated) == 1 else None)
        ends.append((estimated[-max(1, len(estimated) // 20) :, 1].mean(), "estimated", style.MUTED))
    if true.size:
        axes.plot(*true.T, color=style.AFTER, linewidth=1.6, marker="o", markersize=4, clip_on=False)
        ends.append((true[-1, 1], "true", style.AFTER))
    _widen(axes)
    style.count_axis(axes)
    style.few_ticks(axes)
    style.label_ends(axes, ends)
    return figure


def loss_terms(history: pd.DataFrame, names: Sequence[str]) -> Any:
    """A small panel for each loss term that the log has; `None` when it has none.

    Source: 2.1, 2.4, C.1.
    """
    present = [(name, _series(history, name)) for name in names]
    present = [(name, points) for name, points in present if points.size]
    if not present:
        return None
    rows = -(-len(present) // 2)
    figure = style.new_figure(1.45 * rows + 0.2)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in grid[len(present) :]:
        axes.set_visible(False)
    for place, (axes, (name, points)) in enumerate(zip(grid, present, strict=False)):
        unit = UNITS.get(name, "nats")
        lowest = place + 2 >= len(present)
        style.style_axes(axes, x=STEPS if lowest else None, y=unit, title=SYMBOLS[name])
        color = style.AFTER if name in GENERATOR_TERMS else style.INK
        axes.plot(*points.T, color=color, linewidth=1.1, marker="." if len(points) == 1 else None)
        style.count_axis(axes, ticks=3)
        style.few_ticks(axes, ticks=3)
    return figure


def gradient_norms(history: pd.DataFrame) -> Any:
    """Norms of the gradients of the generator's weighted loss terms, on a log axis; `None` when never measured.

    Source: 2.4.
    """
    lines = [(label, color, dash, mark, _series(history, name)) for name, label, color, dash, mark in GRADIENTS]
    lines = [(*line[:4], line[4][line[4][:, 1] > 0]) for line in lines]  # a log axis has no place for zero
    lines = [line for line in lines if line[4].size]
    if not lines:
        return None
    figure = style.new_figure(2.4)
    axes = figure.subplots()
    style.style_axes(axes, x=STEPS, y="gradient norm (L2)")
    axes.set_yscale("log")
    for _, color, dash, mark, points in lines:
        axes.plot(*points.T, color=color, linestyle=dash, marker=mark, markersize=4, linewidth=1.3, clip_on=False)
    _whole_decades(axes, np.concatenate([points[:, 1] for *_, points in lines]))
    _widen(axes)
    style.count_axis(axes)
    style.label_ends(axes, [(points[-1, 1], label, color) for label, color, _, _, points in lines])
    return figure


def distance_along(history: pd.DataFrame) -> Any:
    """Sliced Wasserstein distance of generated to real images during pretraining; `None` when never measured.

    Source: C.2.
    """
    points = _series(history, "swd")
    if not points.size:
        return None
    figure = style.new_figure(2.2)
    axes = figure.subplots()
    style.style_axes(axes, x=STEPS, y="sliced Wasserstein distance")
    axes.plot(*points.T, color=style.AFTER, linewidth=1.3, marker="o", markersize=3, clip_on=False)
    axes.set_ylim(0, float(points[:, 1].max()) * 1.08 or 1.0)
    _widen(axes)
    style.count_axis(axes)
    style.few_ticks(axes)
    return figure


def _series(history: pd.DataFrame, name: str) -> np.ndarray:
    """Steps and values [n, 2] of the rows that have one."""
    if name not in history:
        return np.empty((0, 2))
    return history[["step", name]].dropna().to_numpy(np.float64)


def _widen(axes: Any) -> None:
    """Lets x start at 0 and end at the last step, so that labels at the end touch their lines."""
    right = axes.dataLim.x1
    axes.set_xlim(0, right if right > 0 else 1)


def _whole_decades(axes: Any, values: np.ndarray) -> None:
    """Limits at powers of ten around all values: at least one decade, or a log axis would have no labelled tick."""
    low, high = np.floor(np.log10(values.min())), np.ceil(np.log10(values.max()))
    axes.set_ylim(10.0**low, 10.0 ** max(high, low + 1))
