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
TUNING_TERMS = (*_TERMS, "L_PIR", "L_saturating", "L_anchor", "KL")
SYMBOLS = {name: r"$L_{\mathrm{" + name[2:].replace("_", r"\ ") + "}}$" for name in TUNING_TERMS} | {"KL": "KL"}
GENERATOR_TERMS = ("L_fake_image_fools", "L_fake_class", "L_PIR", "L_saturating", "L_anchor", "KL")
UNITS = {"L_PIR": "mean PIR", "L_anchor": "mean squared difference"}
GRADIENTS = (
    ("gradient_pir", "PIR", style.AFTER, "-", "o"),
    ("gradient_fools", "fools", style.INK, "-", "s"),
    ("gradient_anchor", "anchor", style.INK, "-", "s"),
    ("gradient_kl", "KL", style.INK, "-", "s"),
    ("gradient_fake_class", "fake class", style.MUTED, "--", "^"),
)
DECADES = 5
PAIRS = 8
COLUMNS = 4
MOST_CLASSES = 10
GAP = 0.04  # inches between images
WIDE_GAP = 0.14  # inches between pairs
HEADING = 0.2  # inches for a line of text
PIR_AXIS = "PIR (share of positive reactions, 0 to 1)"
BINS = 40


def pir_along(history: pd.DataFrame) -> Any:
    """Estimated PIR at every row of the log, the judge's view where one may stop the tuning, and true PIR where it was sampled.

    `None` without an estimated and a true one.

    Source: 2.4, A.1.
    """
    estimated, judged, true = (_series(history, name) for name in ("L_PIR", "judge_pir", "true_pir"))
    if not estimated.size and not true.size:
        return None
    figure, axes = _new_axes(2.4, STEPS, "mean PIR (0 to 1)")
    ends = []
    if estimated.size:
        axes.plot(*estimated.T, color=style.MUTED, linewidth=1.1, marker="." if len(estimated) == 1 else None)
        ends.append((estimated[-max(1, len(estimated) // 20) :, 1].mean(), "estimated", style.MUTED))
    if judged.size:
        axes.plot(*judged.T, color=style.INK, linewidth=1.1, linestyle="--", marker="." if len(judged) == 1 else None)
        ends.append((judged[-1, 1], "the judge", style.INK))
    if true.size:
        axes.plot(*true.T, color=style.AFTER, linewidth=1.6, marker="o", markersize=4, clip_on=False)
        ends.append((true[-1, 1], "true", style.AFTER))
    _show_all_steps(axes)
    style.few_ticks(axes)
    style.label_ends(axes, ends)
    return figure


def loss_terms(history: pd.DataFrame, names: Sequence[str]) -> Any:
    """A small panel for each loss term that the log has; `None` when it has none.

    Source: 2.1, 2.4, C.1.
    """
    present = [(name, points) for name in names if (points := _series(history, name)).size]
    if not present:
        return None
    rows = -(-len(present) // 2)
    figure = style.new_figure(1.45 * rows + 0.2)
    grid = figure.subplots(rows, 2, squeeze=False).ravel()
    for axes in grid[len(present) :]:
        axes.set_visible(False)
    for place, (axes, (name, points)) in enumerate(zip(grid, present, strict=False)):
        lowest = place + 2 >= len(present)
        style.style_axes(axes, x=STEPS if lowest else None, y=UNITS.get(name, "nats"), title=SYMBOLS[name])
        color = style.AFTER if name in GENERATOR_TERMS else style.INK
        axes.plot(*points.T, color=color, linewidth=1.1, marker="." if len(points) == 1 else None)
        style.count_axis(axes, ticks=3)
        style.few_ticks(axes, ticks=3)
    return figure


def gradient_norms(history: pd.DataFrame) -> Any:
    """Norms of the gradients of the generator's weighted loss terms, on a log axis; `None` when never measured.

    What is below `DECADES` of the largest pulls at nothing, and is below the axis.

    Source: 2.4.
    """
    lines = []
    for name, label, color, dash, mark in GRADIENTS:
        points = _series(history, name)
        points = points[points[:, 1] > 0]  # a log axis has no place for zero
        if points.size:
            lines.append((points, label, color, dash, mark))
    if not lines:
        return None
    figure, axes = _new_axes(2.4, STEPS, "gradient norm (L2)")
    axes.set_yscale("log")
    for points, _, color, dash, mark in lines:
        axes.plot(*points.T, color=color, linestyle=dash, marker=mark, markersize=4, linewidth=1.3)
    # Limits at powers of ten, at least one decade apart, or a log axis would have no labelled tick.
    norms = np.log10(np.concatenate([points[:, 1] for points, *_ in lines]))
    high = np.ceil(norms.max())
    low = max(np.floor(norms.min()), high - DECADES)
    axes.set_ylim(10.0**low, 10.0 ** max(high, low + 1))
    _show_all_steps(axes)
    style.label_ends(axes, [(points[-1, 1], label, color) for points, label, color, _, _ in lines])
    return figure


def distance_along(history: pd.DataFrame) -> Any:
    """Sliced Wasserstein distance of generated to real images during pretraining; `None` when never measured.

    Source: C.2.
    """
    points = _series(history, "swd")
    if not points.size:
        return None
    figure, axes = _new_axes(2.2, STEPS, "sliced Wasserstein distance")
    axes.plot(*points.T, color=style.AFTER, linewidth=1.3, marker="o", markersize=3, clip_on=False)
    axes.set_ylim(0, float(points[:, 1].max()) * 1.08 or 1.0)
    _show_all_steps(axes)
    style.few_ticks(axes)
    return figure


def _new_axes(height: float, x: str, y: str) -> tuple[Any, Any]:
    figure = style.new_figure(height)
    axes = figure.subplots()
    style.style_axes(axes, x=x, y=y)
    return figure, axes


def _series(history: pd.DataFrame, name: str) -> np.ndarray:
    """Steps and values [n, 2] of the rows that have one."""
    if name not in history:
        return np.empty((0, 2))
    return history[["step", name]].dropna().to_numpy(np.float64)


def _show_all_steps(axes: Any) -> None:
    """Lets x start at 0 and end at the last step, so that labels at the end touch their lines."""
    axes.set_xlim(0, axes.dataLim.x1 if axes.dataLim.x1 > 0 else 1)
    style.count_axis(axes)


def pairs(before: np.ndarray, after: np.ndarray) -> Any:
    """Eight pairs, uint8 [n, h, w, 3], of one class, before tuning at the left and after it at the right; `None` for none.

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
    """The first images, uint8 [n, h, w, 3], of up to ten classes, in rows under the class's name; `None` for none.

    Source: Fig. 3.
    """
    shown = [(class_heading(index, name), images[labels == index]) for index, name in enumerate(class_names)]
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
        sheet.heading(name, 0.0, top, style.INK, size=style.TEXT + 2)
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
        self._axes = self.figure.add_axes((0, 0, 1, 1))  # one for all images, in inches
        self._axes.set_axis_off()
        self._axes.set(xlim=(0, width), ylim=(0, height), autoscale_on=False)

    def image(self, image: np.ndarray, left: float, top: float) -> None:
        shape = np.array(image.shape[1::-1])  # width and height, fitted into the square
        width, height = self._side * shape / shape.max()
        x, y = left + (self._side - width) / 2, self._height - top - (self._side + height) / 2
        extent = (x, x + width, y, y + height)
        self._axes.imshow(image, interpolation="lanczos", interpolation_stage="rgba", extent=extent, aspect="auto")

    def heading(self, text: str, left: float, top: float, color: str, *, size: float) -> None:
        """Text whose foot is just above `top`."""
        place = (left / self._width, 1 - (top - 0.06) / self._height)
        self.figure.text(*place, text, fontsize=size, color=color, va="baseline", parse_math=False)


def class_heading(index: int, name: str, most: int = 40) -> str:
    """A class's name as a figure can show it: cut where it is long, `class 0` where the font lacks one of its signs."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    font = get_font(findfont(FontProperties()))
    if not all(font.get_char_index(ord(sign)) for sign in name):
        return f"class {index}"
    return name if len(name) <= most else f"{name[: most - 1]}…"


def before_after(
    panels: Sequence[tuple[str, np.ndarray, np.ndarray]], limits: tuple[float, float] | None = None
) -> Any:
    """Histograms of PIR before and after tuning, one panel below the other on a common axis; `None` without values.

    Args:
        panels: For each (title, PIRs before [n0], PIRs after [n1]); a panel with an empty side is left out.
        limits: Ends of the axis, for figures that are to be compared; by default those of the values.

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
        style.style_axes(axes, x=PIR_AXIS if axes is grid[-1] else None, y="images (%)", title=title)
        top = max(_bars(axes, before, edges, style.BEFORE, 1.0), _bars(axes, after, edges, style.AFTER, 0.62))
        axes.set_ylim(0, top * 1.32)
        axes.set_xlim(low, high)
        style.few_ticks(axes, ticks=3)
        named = [("before", before.mean(), style.BEFORE_TEXT), ("after", after.mean(), style.AFTER)]
        for (name, mean, color), side in zip(sorted(named, key=lambda item: item[1]), ("left", "right"), strict=True):
            _mean_line(axes, mean, top, f"{name}: mean {number(mean)}", color, side)
    return figure


def training_spread(pir: np.ndarray) -> Any:
    """Histogram of the observed PIR of the images that the estimator learned from; `None` for no images.

    Source: A.2, Fig. 5.
    """
    if not pir.size:
        return None
    figure, axes = _new_axes(2.1, PIR_AXIS, "images (%)")
    low, high = pir_limits([pir])
    top = _bars(axes, pir, np.linspace(low, high, BINS + 1), style.BEFORE, 1.0)
    axes.set_xlim(low, high)
    axes.set_ylim(0, top * 1.3)
    style.few_ticks(axes, ticks=3)
    mean = float(pir.mean())
    spread = f", SD {number(pir.std(ddof=1))}" if pir.size > 1 else ""
    _mean_line(axes, mean, top, f"{pir.size:,} images: mean {number(mean)}{spread}", style.BEFORE_TEXT, "left")
    return figure


def calibration(panels: Sequence[tuple[str, Sequence[dict[str, float]]]], *, truth: str = "true") -> Any:
    """Mean true PIR against mean predicted PIR in groups of equal size, with the diagonal of a perfect estimator.

    For each temperature (title, groups with `mean_predicted` and `mean_true`); `None` without groups. `truth` is what the PIR
    beside the prediction is called.

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
    small = {"xycoords": "axes fraction", "color": style.MUTED, "fontsize": style.SMALL}
    for axes, (title, _), pairs in zip(grid, panels, points, strict=True):
        style.style_axes(axes, x="predicted PIR", y=f"{truth} PIR" if axes is grid[0] else None, title=title)
        axes.plot([low, high], [low, high], color=style.MUTED, linewidth=0.9, linestyle=(0, (4, 3)))
        axes.plot(*pairs.T, color=style.INK, linewidth=0.8, marker="o", markersize=4)
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        style.few_ticks(axes, which="both")
        axes.annotate("underestimates", (0.04, 0.97), va="top", **small)
        axes.annotate("overestimates", (0.97, 0.04), ha="right", **small)
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


def _mean_line(axes: Any, mean: float, top: float, text: str, color: str, side: str) -> None:
    """A dashed line at a mean and its words in the corner at that side."""
    axes.plot([mean, mean], [0, top * 1.08], color=color, linewidth=1.2, linestyle=(0, (3, 2)))
    place = (0.01 if side == "left" else 0.99, 0.99)
    axes.annotate(text, place, xycoords="axes fraction", ha=side, va="top", color=color, fontsize=style.TEXT)
