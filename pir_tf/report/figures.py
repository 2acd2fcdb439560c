"""The figures of a run's page: curves of the training, pictures, PIRs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.report import style
from pir_tf.report.numbers import number

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


PAIRS = 8
COLUMNS = 4
MOST_CLASSES = 10
GAP = 0.04  # inches between images
WIDE_GAP = 0.14  # inches between pairs
HEADING = 0.2  # inches for a line of text


def pairs(before: np.ndarray, after: np.ndarray) -> Any:
    """Pairs of one class: each before tuning at the left and after tuning at the right, two pairs in a row.

    Args:
        before: Uint8 [n, h, w, 3]; the first eight are shown.
        after: Uint8 [n, h, w, 3] from the same latents.

    Returns:
        The figure, or `None` for no images.

    Source: Fig. 3.
    """
    count = min(len(before), len(after), PAIRS)
    if not count:
        return None
    rows = -(-count // 2)
    side = (style.WIDTH - WIDE_GAP - 2 * GAP) / 4
    width = style.WIDTH if count > 1 else 2 * side + GAP
    sheet = _Sheet(width, HEADING + rows * side + (rows - 1) * WIDE_GAP, side)
    for i in range(count):
        left = (i % 2) * (2 * side + GAP + WIDE_GAP)
        top = HEADING + (i // 2) * (side + WIDE_GAP)
        for x, image, name, color in (
            (left, before[i], "before", style.BEFORE_TEXT),
            (left + side + GAP, after[i], "after", style.AFTER),
        ):
            sheet.image(image, x, top)
            if i < 2:
                sheet.heading(name, x, top, color, size=style.TEXT)
    return sheet.figure


def samples(images: np.ndarray, labels: np.ndarray, class_names: Sequence[str]) -> Any:
    """The first images of each class, in rows under the class's name.

    Args:
        images: Uint8 [n, h, w, 3], in random order.
        labels: Integers [n].
        class_names: Names of the classes; at most ten are shown.

    Returns:
        The figure, or `None` for no images.

    Source: Fig. 3.
    """
    shown = [(name, images[labels == index]) for index, name in enumerate(class_names)]
    shown = [(name, own) for name, own in shown if len(own)][:MOST_CLASSES]
    if not shown:
        return None
    most = max(1, 6 // len(shown)) * COLUMNS
    side = (style.WIDTH - (COLUMNS - 1) * GAP) / COLUMNS
    rows = [-(-min(len(own), most) // COLUMNS) for _, own in shown]
    sheet = _Sheet(style.WIDTH, sum(rows) * (side + GAP) + len(shown) * (HEADING + GAP) - 2 * GAP, side)
    top = 0.0
    for (name, own), lines in zip(shown, rows, strict=True):
        top += HEADING
        # Larger than other text: these figures stand three in a row.
        sheet.heading(_short(name), 0.0, top, style.INK, size=style.TEXT + 2)
        for i, image in enumerate(own[:most]):
            sheet.image(image, (i % COLUMNS) * (side + GAP), top + (i // COLUMNS) * (side + GAP))
        top += lines * (side + GAP) + GAP
    return sheet.figure


class _Sheet:
    """A figure on which images lie in squares at places measured in inches from the top left corner."""

    def __init__(self, width: float, height: float, side: float) -> None:
        self.figure = style.new_figure(height, width=width, dpi=style.PICTURE_DPI)
        self.figure.set_layout_engine("none")
        self._width, self._height, self._side = width, height, side

    def image(self, image: np.ndarray, left: float, top: float) -> None:
        bottom = self._height - top - self._side
        place = (left / self._width, bottom / self._height, self._side / self._width, self._side / self._height)
        axes = self.figure.add_axes(place)
        axes.set_axis_off()
        axes.imshow(image, interpolation="lanczos", interpolation_stage="rgba", aspect="equal")

    def heading(self, text: str, left: float, top: float, color: str, *, size: float) -> None:
        """Text whose foot is just above `top`."""
        place = (left / self._width, 1 - (top - 0.06) / self._height)
        self.figure.text(*place, text, fontsize=size, color=color, va="baseline", parse_math=False)


def _short(name: str, most: int = 40) -> str:
    """A class name that fits a figure."""
    return name if len(name) <= most else f"{name[: most - 1]}…"


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
