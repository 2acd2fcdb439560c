"""True PIR against the diversity of the images and their distance from real ones, over the weight of PIR (5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pir_tf.paper.figures.style import Label, empty, label_points, round_ticks, say
from pir_tf.paper.rows import Row
from pir_tf.paper.select import trade_offs
from pir_tf.paper.tasks import objective_in_words
from pir_tf.report import style

COLUMNS = (
    "curve",
    "label",
    "experiment",
    "objective",
    "pir_weight",
    "fools_weight",
    "fake_class_weight",
    "pir_after",
    "ms_ssim_after",
    "distance_after",
    "kid_after",
    "kid_after_se",
    "ms_ssim_real",
)
TYPES = {"curve": int}
"""Of the columns that experiments don't have and that are no text."""

BEFORE = "before tuning"
AXES = (
    ("ms_ssim_after", "within-class MS-SSIM (right: images more alike)", "no MS-SSIM was measured"),
    ("kid_after", "KID from real images (right: less like them)", "no KID: its network's weights were not given"),
)


def table(rows: Sequence[Row]) -> list[Row]:
    """For each objective that was tuned with several weights: the images before, then a row for each weight.

    The row before tuning has the values before under the names of those after, so that a point is a row.

    Source: 5.1.
    """
    found = []
    for number, curve in enumerate(trade_offs(rows), 1):
        first = curve[0]
        start: Row = {**first, "experiment": "", "label": BEFORE, **dict.fromkeys(("pir_weight", "fools_weight"))}
        start.update({name: first[name.replace("after", "before")] for name in COLUMNS if "_after" in name})
        start["fake_class_weight"] = None
        found += [{**row, "curve": number} for row in (start, *({**row, "label": _label(row)} for row in curve))]
    return [{name: row[name] for name in COLUMNS} for row in found]


def draw(rows: Sequence[Row]) -> Any:
    """For each objective true PIR over MS-SSIM at the left and over KID at the right, points named by their weight.

    Args:
        rows: Rows of `table`.

    Returns:
        The figure; it says when there are no such runs.

    Source: 5.1.
    """
    curves = _curves(rows)
    if not curves:
        return empty("no runs that differ in the weight of PIR alone")
    figure = style.new_figure(3.5 * len(curves), width=8.2)
    grid = figure.subplots(len(curves), len(AXES), squeeze=False)
    labelled = []
    for line, curve in zip(grid, curves, strict=True):
        for axes, (field, x_label, nothing) in zip(line, AXES, strict=True):
            left = axes is line[0]
            style.style_axes(
                axes, x=x_label, y="true mean PIR" if left else None, title=_title(curve) if left else None
            )
            points = [row for row in curve if row[field] is not None and row["pir_after"] is not None]
            if not points:
                axes.set(xticks=[], yticks=[])
                say(axes, nothing)
                continue
            labelled.append((axes, _points(axes, points, field)))
            if left and (real := curve[0]["ms_ssim_real"]) is not None:
                axes.axvline(real, color=style.MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
                axes.text(
                    real, 1.0, " real images", transform=axes.get_xaxis_transform(), va="top", ha="left",
                    fontsize=style.SMALL, color=style.MUTED,
                )  # fmt: skip
    figure.supxlabel(
        "Points are named by the weight of PIR, w_PIR; bars are 95% intervals of KID",
        fontsize=style.SMALL,
        color=style.MUTED,
    )
    for axes, labels in labelled:
        label_points(axes, labels)
    return figure


def caption(rows: Sequence[Row]) -> str:
    """What the figure shows."""
    curves = _curves(rows)
    if not curves:
        return "PIR against diversity: no runs that differ in the weight of PIR alone."
    names = "; ".join(f"{_title(curve)}, {len(curve) - 1} runs" for curve in curves)
    known = any(row["kid_after"] is not None for row in rows)
    kid = "right: against KID from real images" if known else "KID was not measured"
    return (
        f"What a higher PIR costs ({names}). Each point is one tuned generator, named by its weight of PIR, w_PIR; the line "
        f"follows rising weights; grey is the generator before tuning. Left: against within-class MS-SSIM; {kid}. "
        "Up is a higher true PIR, right is less diverse or less like real images."
    )


def _points(axes: Any, points: Sequence[Row], field: str) -> list[Label]:
    """Draws a curve; returns the labels of its points."""
    axes.margins(x=0.14, y=0.14)
    tuned = [row for row in points if row["label"] != BEFORE]
    joined = [row for row in tuned if row["fools_weight"] != 0.0]
    axes.plot(
        [row[field] for row in joined],
        [row["pir_after"] for row in joined],
        color=style.AFTER,
        linewidth=0.9,
        alpha=0.5,
    )
    labels = []
    for row in points:
        color = style.BEFORE_TEXT if row["label"] == BEFORE else style.AFTER
        extreme = row["fools_weight"] == 0.0
        mark = {"marker": "X" if extreme else "o", "color": color, "markersize": 6.5, "markeredgecolor": "white"}
        half = 1.96 * ((row["kid_after_se"] if field == "kid_after" else None) or 0.0)
        if half:
            axes.errorbar([row[field]], [row["pir_after"]], xerr=[half], color=color, linewidth=0.8, zorder=1)
        axes.plot([row[field]], [row["pir_after"]], linestyle="none", markeredgewidth=0.5, **mark)
        labels.append(Label(row[field], row["pir_after"], row["label"], color, half))
    round_ticks(axes, which="xy")
    return labels


def _curves(rows: Sequence[Row]) -> list[list[Row]]:
    return [[row for row in rows if row["curve"] == number] for number in dict.fromkeys(row["curve"] for row in rows)]


def _title(curve: Sequence[Row]) -> str:
    return objective_in_words(curve[0]["objective"], short=True)


def _label(row: Row) -> str:
    weight = f"{row['pir_weight']:,g}"
    if row["fools_weight"] == 0.0:
        return f"{weight}, no generator loss" if row["fake_class_weight"] == 0.0 else f"{weight}, no L_fools"
    return weight if row["fools_weight"] in (None, 1.0) else f"{weight}, w_fools {row['fools_weight']:g}"
