"""Pictures of images: pairs from the same latents, and random samples by class (Fig. 3).

Images are enlarged smoothly (Lanczos): these are 64-pixel photographs, and blocks would hide what they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pir_tf.report import style

PAIRS = 8
COLUMNS = 4
MOST_CLASSES = 10


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
    across = min(2, count)
    rows = -(-count // 2)
    figure = style.new_figure(rows * 1.06 + 0.22, width=style.WIDTH if across == 2 else 2.14, dpi=style.PICTURE_DPI)
    figure.get_layout_engine().set(w_pad=0.0, h_pad=0.0, wspace=0.0, hspace=0.0)
    # A narrow empty column sets the two pairs of a row apart.
    widths = [1.0, 1.0, 0.12, 1.0, 1.0][: 5 if across == 2 else 2]
    grid = figure.subplots(rows, len(widths), squeeze=False, width_ratios=widths)
    for axes in grid.ravel():
        axes.set_axis_off()
    for i in range(count):
        row, first = i // 2, 3 * (i % 2)
        for offset, images, name, color in (
            (0, before, "before", style.BEFORE_TEXT),
            (1, after, "after", style.AFTER),
        ):
            axes = grid[row, first + offset]
            _show(axes, images[i])
            if row == 0:
                axes.set_title(name, fontsize=style.TEXT, color=color, loc="left", pad=3)
    return figure


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
    rows_each = max(1, 6 // len(shown))
    blocks = [(name, own[: rows_each * COLUMNS]) for name, own in shown]
    rows = [
        (name if start == 0 else "", own[start : start + COLUMNS])
        for name, own in blocks
        for start in range(0, len(own), COLUMNS)
    ]
    figure = style.new_figure(len(rows) * 1.06 + 0.22 * len(blocks), dpi=style.PICTURE_DPI)
    figure.get_layout_engine().set(w_pad=0.012, h_pad=0.012, wspace=0.0, hspace=0.0)
    grid = figure.subplots(len(rows), COLUMNS, squeeze=False)
    for line, (name, own) in zip(grid, rows, strict=True):
        for axes in line:
            axes.set_axis_off()
        for axes, image in zip(line, own, strict=False):
            _show(axes, image)
        if name:
            line[0].set_title(_short(name), fontsize=style.TEXT, color=style.INK, loc="left", pad=3)
    return figure


def _show(axes: Any, image: np.ndarray) -> None:
    axes.imshow(image, interpolation="lanczos", interpolation_stage="rgba")


def _short(name: str, most: int = 40) -> str:
    """A class name that fits a figure; a dollar sign would start a formula."""
    text = name if len(name) <= most else f"{name[: most - 1]}…"
    return text.replace("$", r"\$")
