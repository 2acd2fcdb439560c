"""Experiments that differ in a setting: the trade-off over the weight of PIR (5.1), and pairs (2.1, 2.3, 4.2, C.3, C.5)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pir_tf.paper.figures.style import CHARACTER, columns, empty, objective_in_words, round_ticks, say, zero_lines
from pir_tf.paper.select import COMPARISONS, comparisons, trade_offs
from pir_tf.report import style
from pir_tf.report.numbers import number

BEFORE = "before tuning"
AXES = (
    ("ms_ssim_after", "within-class MS-SSIM (right: images more alike)", "no MS-SSIM was measured"),
    ("kid_after", "KID from real images (right: less like them)", "no KID: its network's weights were not given"),
)
PAPER, OTHER = "first", "second"
"""The two sides of a pair: the paper's method, and what it is compared with."""

_WORDS = {
    "bins": "100 bins",
    "scalar": "one output",
    "none": "as they are",
    "normalized": "normalised",
    "all": "whole",
    "head": "head alone",
    "non_saturating": "non-saturating",
    "acgan": "ACGAN",
    "gan": "plain GAN",
}


class TradeOff:
    """True PIR against diversity and the distance from real images, over the weight of PIR. Source: 5.1."""

    name, title = "trade-off", "Trade-off of PIR and diversity (5.1)"
    columns = columns(
        *("curve", "label", "experiment", "objective", "pir_weight", "fools_weight", "fake_class_weight"),
        *("pir_after_mean", "ms_ssim_after", "distance_after", "kid_after", "kid_after_se", "ms_ssim_real"),
        curve=int,
    )

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """For each objective that was tuned with several weights: the images before, then a row for each weight.

        The row before tuning has the values before under the names of those after, so that a point is a row.
        """
        found = trade_offs(rows)
        found["label"] = [_label(row) for row in found.itertuples()]
        before = found.drop_duplicates("curve").assign(experiment="", label=BEFORE)
        for name in self.columns:
            if "_after" in name:
                before[name] = before[name.replace("after", "before")]
            elif name.endswith("_weight"):
                before[name] = np.nan
        return pd.concat([before, found]).sort_values("curve", kind="stable")

    def draw(self, table: pd.DataFrame) -> Any:
        """For each objective PIR over MS-SSIM at the left and over KID at the right, points named by their weight."""
        if table.empty:
            return empty("no runs that differ in the weight of PIR alone")
        curves = [curve for _, curve in table.groupby("curve")]
        figure = style.new_figure(3.5 * len(curves), width=8.2)
        grid = figure.subplots(len(curves), len(AXES), squeeze=False)
        labelled = []
        for line, curve in zip(grid, curves, strict=True):
            title = objective_in_words(curve["objective"].iloc[0], short=True)
            for axes, (field, x_label, nothing) in zip(line, AXES, strict=True):
                left = axes is line[0]
                style.style_axes(axes, x=x_label, y="true mean PIR" if left else None, title=title if left else None)
                points = curve.dropna(subset=[field, "pir_after_mean"])
                if points.empty:
                    axes.set(xticks=[], yticks=[])
                    say(axes, nothing)
                    continue
                labelled.append((axes, _curve(axes, points, field)))
                real = curve["ms_ssim_real"].iloc[0]
                if left and not np.isnan(real):
                    axes.axvline(real, color=style.MUTED, linewidth=0.9, linestyle=(0, (1, 2)))
                    look: dict[str, Any] = {"va": "top", "ha": "left", "fontsize": style.SMALL, "color": style.MUTED}
                    axes.text(real, 1.0, " real images", transform=axes.get_xaxis_transform(), **look)
        below = "Points are named by the weight of PIR, w_PIR; bars are 95% intervals of KID"
        figure.supxlabel(below, fontsize=style.SMALL, color=style.MUTED)
        for axes, labels in labelled:
            _label_points(axes, labels)
        return figure

    def caption(self, table: pd.DataFrame) -> str:
        """Which curves there are, and how they are read."""
        if table.empty:
            return "PIR against diversity: no runs that differ in the weight of PIR alone."
        curves = table.groupby("curve")["objective"].agg(["first", "size"]).to_numpy()
        names = "; ".join(f"{objective_in_words(name, short=True)}, {size - 1} runs" for name, size in curves)
        kid = "right: against KID from real images" if table["kid_after"].notna().any() else "KID was not measured"
        return (
            f"What a higher PIR costs ({names}). Each point is one tuned generator, named by its weight of PIR, w_PIR; the "
            "line follows rising weights; grey is the generator before tuning. Left: against within-class MS-SSIM; "
            f"{kid}. Up is a higher true PIR, right is less diverse or less like real images."
        )


def _label(row: Any) -> str:
    weight = f"{row.pir_weight:,g}"
    if row.fools_weight == 0.0:
        return f"{weight}, no generator loss" if row.fake_class_weight == 0.0 else f"{weight}, no L_fools"
    return weight if row.fools_weight == 1.0 else f"{weight}, w_fools {row.fools_weight:g}"


class Label(NamedTuple):
    """A point's label: the point in data units, its text and colour, and half the length of its horizontal error bar."""

    x: float
    y: float
    text: str
    color: str
    reach: float


def _curve(axes: Any, points: pd.DataFrame, field: str) -> list[Label]:
    """Draws a curve; returns the labels of its points."""
    axes.margins(x=0.14, y=0.14)
    joined = points[(points["label"] != BEFORE) & (points["fools_weight"] != 0.0)]
    axes.plot(joined[field], joined["pir_after_mean"], color=style.AFTER, linewidth=0.9, alpha=0.5)
    bars = 1.96 * points["kid_after_se"].fillna(0.0) * (field == "kid_after")
    labels = []
    for row, x, bar in zip(points.itertuples(), points[field], bars, strict=True):
        color = style.BEFORE_TEXT if row.label == BEFORE else style.AFTER
        shape = "X" if row.fools_weight == 0.0 else "o"
        if bar:
            axes.errorbar([x], [row.pir_after_mean], xerr=[bar], color=color, linewidth=0.8, zorder=1)
        look = {"marker": shape, "color": color, "markersize": 6.5, "markeredgecolor": "white", "markeredgewidth": 0.5}
        axes.plot([x], [row.pir_after_mean], linestyle="none", **look)
        labels.append(Label(x, row.pir_after_mean, row.label, color, bar))
    round_ticks(axes, which="xy")
    return labels


_POINT = 4.0  # half the size of a mark, in typographic points
_AROUND = ((1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1), (0, 1), (0, -1))


def _label_points(axes: Any, labels: Sequence[Label]) -> None:
    """Writes beside each point its label where it hides neither a mark nor another label; the axes' limits are final."""
    axes.figure.draw_without_rendering()  # the layout decides where points lie
    size, unit = style.SMALL, axes.figure.dpi / 72
    frame = axes.get_window_extent().extents / unit  # as all boxes: left, bottom, right, top in typographic points
    places = [axes.transData.transform((label.x, label.y)) / unit for label in labels]
    ends = [axes.transData.transform((label.x + label.reach, label.y))[0] / unit for label in labels]
    halves = [max(_POINT, end - x) for end, (x, _) in zip(ends, places, strict=True)]
    taken = [(x - half, y - _POINT, x + half, y + _POINT) for half, (x, y) in zip(halves, places, strict=True)]

    def hidden(box: Sequence[float]) -> float:
        outside = (box[2] - box[0]) * (box[3] - box[1]) - _shared(box, frame)
        return sum(_shared(box, other) for other in taken) + outside

    for (x, y), half, label in zip(places, halves, labels, strict=True):
        width, height, extra = CHARACTER * size * len(label.text), 1.1 * size, half - _POINT
        best = min(
            (_box(x, y, way, far, width, height, extra) for far in (1.0, 2.2, 3.6) for way in _AROUND), key=hidden
        )
        taken.append(best)
        across, up = abs((best[0] + best[2]) / 2 - x) - width / 2 - extra, abs((best[1] + best[3]) / 2 - y) - height / 2
        arrow = {"arrowstyle": "-", "color": style.MUTED, "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
        look: dict[str, Any] = {"va": "center", "fontsize": size, "color": label.color, "textcoords": "offset points"}
        look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.85}  # lines may run below
        look["arrowprops"] = arrow if max(across, up) > 2 * _POINT else None
        axes.annotate(label.text, (label.x, label.y), (best[0] - x, (best[1] + best[3]) / 2 - y), **look)


def _box(
    x: float, y: float, way: tuple[int, int], far: float, width: float, height: float, extra: float
) -> tuple[float, float, float, float]:
    """A label's place beside a point; `extra` is what an error bar adds to the point's sides."""
    gap = (_POINT + 1.5) * far
    side = gap + (extra if way[1] == 0 else 0.0)
    left = {1: x + side, -1: x - side - width, 0: x - width / 2}[way[0]]
    bottom = y - height / 2 + way[1] * (gap if way[0] else gap + height / 2)
    return left, bottom, left + width, bottom + height


def _shared(one: Sequence[float], other: Sequence[float]) -> float:
    """Area that two boxes share."""
    width, height = min(one[2], other[2]) - max(one[0], other[0]), min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


class Pairs:
    """The paper's method beside the settings that it compares itself with, pair by pair. Source: 2.1, 2.3, 4.2, C.3, C.5."""

    name, title = "ablations", "Settings compared with the paper's"
    columns = columns(
        *("comparison", "pair", "side", "setting", "experiment", "objective", "seed"),
        *("cohens_d", "d_low", "d_high", "change", "estimator_bias", "p_value"),
        pair=int,
    )

    def table(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Two rows for each pair: the paper's setting, then the other; all else is equal between them.

        PIRs that were normalised are judged as they were before, so that both sides mean the same.
        """
        found = comparisons(rows)
        normalized = found["scaling"] == "normalized"
        for name in ("change", "cohens_d", "d_low", "d_high"):
            found[name] = found[name].mask(normalized, found[f"unscaled_{name}"])
        return found.assign(
            estimator_bias=found["estimator_bias"].mask(normalized),
            side=found.duplicated("pair").map({False: PAPER, True: OTHER}),
            setting=[_setting(field, found.at[row, field]) for row, field in found["field"].items()],
        )

    def draw(self, table: pd.DataFrame) -> Any:
        """A panel for each comparison, a line for each pair with both effect sizes and their 95% intervals."""
        panels = {item.name: _sides(table[table["comparison"] == item.name]) for item in COMPARISONS}
        missing = [name for name, own in panels.items() if own.empty]
        panels = {name: own for name, own in panels.items() if not own.empty}
        if not panels:
            return empty("no runs that differ in one setting alone")
        lines = [len(own) for own in panels.values()]
        lacking = textwrap.fill(f"No such pairs of runs: {'; '.join(missing)}.", 92) if missing else ""
        height = sum(lines) * 0.34 + 0.55 * len(panels) + 0.5 + 0.16 * len(lacking.splitlines())
        figure = style.new_figure(height, width=6.6)
        grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=lines)[:, 0]
        for axes, (title, own) in zip(grid, panels.items(), strict=True):
            last = axes is grid[-1]
            style.style_axes(axes, x="effect size (Cohen's d), with 95% interval" if last else None, title=title)
            axes.tick_params(axis="y", length=0)
            _panel(axes, own)
        round_ticks(grid[-1], which="x")
        for axes in grid:
            zero_lines(axes, "x")
        if lacking:
            figure.supxlabel(lacking, x=0.02, ha="left", fontsize=style.SMALL, color=style.MUTED)
        return figure

    def caption(self, table: pd.DataFrame) -> str:
        """The mean difference of each comparison."""
        if table.empty:
            return "Settings compared with the paper's: no runs that differ in one setting alone."
        said = []
        for name, own in table.groupby("comparison", sort=False):
            sides = _sides(own)
            differences = (sides["cohens_d", OTHER] - sides["cohens_d", PAPER]).dropna()
            if len(differences):
                said.append(f"{name}: {number(differences.mean(), 2, signed=True)} (n = {len(differences)})")
        return (
            "Settings compared with the paper's, each pair equal in all else: grey is the first named setting, blue the "
            "second, lines are 95% intervals. Mean difference in effect size, second minus first. "
            f"{'; '.join(said) or 'none is defined'}."
        )


def _sides(table: pd.DataFrame) -> pd.DataFrame:
    """A line for each pair that is whole, with a column for each column and side."""
    whole = table[table.groupby("pair")["side"].transform("nunique") == 2]
    return whole.pivot(
        index="pair", columns="side", values=["setting", "objective", "seed", "cohens_d", "d_low", "d_high"]
    )


def _panel(axes: Any, sides: pd.DataFrame) -> None:
    """Draws the pairs of one comparison, the first at the top."""
    for place, (_, pair) in enumerate(sides.iterrows()):
        values = pair["cohens_d"].dropna()
        if len(values) == 2:
            axes.plot(values, [place, place], color=style.RULE, linewidth=2.2, zorder=0, solid_capstyle="butt")
        for side, color, shape, lift in ((PAPER, style.BEFORE_TEXT, "o", -0.14), (OTHER, style.AFTER, "D", 0.14)):
            d, bounds = pair["cohens_d", side], [pair["d_low", side], pair["d_high", side]]
            if pd.isna(d):
                continue
            if not any(map(pd.isna, bounds)):
                axes.plot(bounds, [place + lift] * 2, color=color, linewidth=1.4)
            axes.plot([d], [place + lift], marker=shape, markersize=5, color=color, linestyle="none")
    seeds = sides["seed", PAPER]
    names = [objective_in_words(objective, short=True) for objective in sides["objective", PAPER]]
    if seeds.nunique() > 1:
        names = [f"{name}, seed {seed}" for name, seed in zip(names, seeds, strict=True)]
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    # Both settings are named in their colours, at the right above the panel.
    grey, blue = (" / ".join(sides["setting", side].unique()) for side in (PAPER, OTHER))
    room = CHARACTER * style.SMALL * (len(blue) + 3)
    for text, color, shift in ((f"● {grey}", style.BEFORE_TEXT, -room), (f"◆ {blue}", style.AFTER, 0.0)):
        look = {"xycoords": "axes fraction", "textcoords": "offset points", "ha": "right"}
        axes.annotate(text, (1.0, 1.0), (shift, 6), fontsize=style.SMALL, color=color, **look)


def _setting(field: str, value: Any) -> str:
    if field == "temperature":
        return f"temperature {value:g}"
    if field == "tuning_steps":
        return f"{value:,} steps"
    return _WORDS.get(value, str(value))
