"""Pictures of images: pairs from the same latents, and random samples by class (Fig. 3).

Images of any size are enlarged smoothly (Lanczos): these are photographs of few pixels, and blocks would hide what they show.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pir_tf.report import style

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
