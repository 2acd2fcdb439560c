"""What the figures over many experiments share: round ticks, words in empty places, legends by task, labels apart.

Source: Figs. 2 to 8, whose points and groups look alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pir_tf.paper.rows import Row
from pir_tf.paper.tasks import GROUPS, PALE, Group, is_significant, style_of
from pir_tf.report import style

CHARACTER = 0.62
"""Width of a character as a share of the font's size."""

_AROUND = ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))
Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in typographic points."""

_POINT = 4.0  # half the size of a mark, in typographic points


def round_ticks(axes: Any, *, ticks: int = 6, which: str = "y") -> None:
    """At most so many intervals between ticks at round numbers (1, 2, 5), on `x`, `y` or `xy`."""
    from matplotlib.ticker import MaxNLocator

    for name in which:
        axis = axes.xaxis if name == "x" else axes.yaxis
        axis.set_major_locator(MaxNLocator(ticks, steps=[1, 2, 5, 10]))
        axis.get_major_formatter().set_useOffset(False)


def say(axes: Any, text: str, *, column: float | None = None) -> None:
    """Says in the middle of the axes, or upright in one column, why nothing is there."""
    axes.text(
        0.5 if column is None else column,
        0.5,
        text,
        transform=axes.transAxes if column is None else axes.get_xaxis_transform(),
        ha="center",
        va="center",
        rotation=0 if column is None else 90,
        fontsize=style.SMALL,
        color=style.MUTED,
    )


def empty(text: str, *, width: float = 6.6, height: float = 1.0) -> Any:
    """A figure that says why it shows nothing."""
    figure = style.new_figure(height, width=width)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(0.5, 0.5, text, ha="center", va="center", fontsize=style.TEXT, color=style.MUTED)
    return figure


def zero_lines(axes: Any, which: str = "y") -> None:
    """Thin lines at 0, where 0 lies between the axes' ends."""
    for name in which:
        low, high = axes.get_xlim() if name == "x" else axes.get_ylim()
        if low <= 0.0 <= high:
            draw = axes.axvline if name == "x" else axes.axhline
            draw(0.0, color=style.RULE, linewidth=0.9, zorder=0)


def task_legend(figure: Any, rows: Sequence[Row], lines: Sequence[Any]) -> None:
    """The groups that are there under the names of their panels, then the lines, at the right of the axes."""
    from matplotlib.lines import Line2D

    present = {(row["panel"], row["column"]) for row in rows}
    groups = [group for group in GROUPS if (group.panel, group.column) in present]
    handles: list[Any] = []
    headings: list[int] = []

    def heading(text: str) -> None:
        headings.append(len(handles))
        handles.append(Line2D([], [], linestyle="none", label=text))

    for i, group in enumerate(groups):
        if i == 0 or group.panel != groups[i - 1].panel:
            heading(group.panel)
        handles.append(Line2D([], [], label=group.column, **_full(group)))
    if any(not is_significant(row) for row in rows):
        grey: dict[str, Any] = {"color": style.INK, "marker": "o", "alpha": PALE, "markersize": 6, "linestyle": "none"}
        handles.append(Line2D([], [], label="pale: not significant", **grey))
    if lines:
        heading("Lines")
        handles += lines
    size, length, pad = style.SMALL, 1.8, 0.7
    legend = figure.legend(
        handles=handles,
        loc="outside right center",
        frameon=False,
        fontsize=size,
        labelcolor=style.INK,
        labelspacing=0.32,
        handlelength=length,
        handletextpad=pad,
    )
    for place in headings:
        # A heading has no mark of its own, so it begins where the marks do.
        shift = (length + pad) * size * figure.dpi / 72
        legend.get_texts()[place].set(fontweight="bold", x=-shift)


@dataclasses.dataclass(frozen=True)
class Label:
    """A point's label.

    Attributes:
        x, y: The point, in data units.
        text: What is written.
        color: Its colour.
        reach: Half the length of the point's horizontal error bar, in data units.
    """

    x: float
    y: float
    text: str
    color: str
    reach: float = 0.0


def label_points(axes: Any, labels: Sequence[Label], *, size: float = style.SMALL) -> None:
    """Writes beside each point its label where it hides neither a mark nor another label; call it at the very end.

    Args:
        axes: The axes, with final limits.
        labels: The labels.
        size: Size of the text in typographic points.
    """
    figure = axes.figure
    figure.draw_without_rendering()  # the layout decides where points lie
    unit = figure.dpi / 72
    frame = axes.get_window_extent()
    places = [axes.transData.transform((label.x, label.y)) / unit for label in labels]
    ends = [axes.transData.transform((label.x + label.reach, label.y))[0] / unit for label in labels]
    halves = [max(_POINT, end - x) for end, (x, _) in zip(ends, places, strict=True)]
    taken: list[Box] = [
        (x - half, y - _POINT, x + half, y + _POINT) for half, (x, y) in zip(halves, places, strict=True)
    ]
    bounds = (frame.x0 / unit, frame.y0 / unit, frame.x1 / unit, frame.y1 / unit)
    for (x, y), half, label in zip(places, halves, labels, strict=True):
        width, height = CHARACTER * size * len(label.text), 1.1 * size
        extra = half - _POINT
        boxes = [_box(x, y, way, far, width, height, extra) for far in (1.0, 2.2, 3.6) for way in _AROUND]
        best = min(boxes, key=lambda box: sum(_shared(box, other) for other in taken) + _outside(box, bounds))
        taken.append(best)
        across, up = abs((best[0] + best[2]) / 2 - x) - width / 2 - extra, abs((best[1] + best[3]) / 2 - y) - height / 2
        arrow = {"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        axes.annotate(
            label.text,
            (label.x, label.y),
            xytext=(best[0] - x, (best[1] + best[3]) / 2 - y),
            textcoords="offset points",
            va="center",
            fontsize=size,
            color=label.color,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85},  # lines may run below
            arrowprops=arrow if max(across, up) > 2 * _POINT else None,
        )


def _full(group: Group) -> dict[str, Any]:
    return style_of({"kind": group.kind, "layer": group.layer, "p_value": 0.0}, size=6)


def _box(x: float, y: float, way: tuple[int, int], far: float, width: float, height: float, extra: float) -> Box:
    """A label's place beside a point; `extra` is what an error bar adds to the point's sides."""
    gap = (_POINT + 1.5) * far
    side = gap + (extra if way[1] == 0 else 0.0)
    left = {1: x + side, -1: x - side - width, 0: x - width / 2}[way[0]]
    bottom = y - height / 2 + way[1] * (gap if way[0] else gap + height / 2)
    return left, bottom, left + width, bottom + height


def _shared(one: Box, other: Box) -> float:
    """Area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _outside(box: Box, frame: Box) -> float:
    """Area of a box that lies outside the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _shared(box, frame)
