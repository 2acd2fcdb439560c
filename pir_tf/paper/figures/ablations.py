"""The paper's method beside the settings that it compares itself with, pair by pair (2.1, 2.3, 4.2, C.3, C.5)."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

from pir_tf.paper.figures.style import CHARACTER, empty, round_ticks, zero_lines
from pir_tf.paper.rows import Row
from pir_tf.paper.select import COMPARISONS, comparisons
from pir_tf.paper.tasks import objective_in_words
from pir_tf.report import style
from pir_tf.report.numbers import number

COLUMNS = (
    "comparison",
    "pair",
    "side",
    "setting",
    "experiment",
    "objective",
    "seed",
    "cohens_d",
    "d_low",
    "d_high",
    "change",
    "estimator_bias",
    "p_value",
)
TYPES = {"pair": int}
"""Of the columns that experiments don't have and that are no text."""

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
    "saturating": "saturating",
    "acgan": "ACGAN",
    "gan": "plain GAN",
}
ROW = 0.34
"""Height of a pair in inches."""


def table(rows: Sequence[Row]) -> list[Row]:
    """Two rows for each pair: the paper's setting, then the other; all else is equal between them.

    PIRs that were normalised are judged as they were before, so that both sides mean the same.

    Source: 2.1, 2.3, 4.2, C.3, C.5.
    """
    found = []
    for number_of_pair, (comparison, paper, other) in enumerate(comparisons(rows), 1):
        for side, row in ((PAPER, paper), (OTHER, other)):
            shown = {**row, "comparison": comparison.name, "pair": number_of_pair, "side": side}
            shown["setting"] = _setting(comparison.field, row[comparison.field])
            if row["scaling"] == "normalized":
                shown.update(change=row["unscaled_change"], cohens_d=row["unscaled_cohens_d"])
                shown.update(d_low=row["unscaled_d_low"], d_high=row["unscaled_d_high"], estimator_bias=None)
            found.append({name: shown[name] for name in COLUMNS})
    return found


def draw(rows: Sequence[Row]) -> Any:
    """A panel for each comparison, in it a line for each pair with the effect size and its 95% interval on both sides.

    Args:
        rows: Rows of `table`.

    Returns:
        The figure; comparisons without runs are said on it.

    Source: C.3, C.5, 2.1, 4.2.
    """
    panels = [(item.name, [row for row in rows if row["comparison"] == item.name]) for item in COMPARISONS]
    missing = [name for name, own in panels if not own]
    panels = [(name, own) for name, own in panels if own]
    if not panels:
        return empty("no runs that differ in one setting alone")
    lines = [len(_pairs(own)) for _, own in panels]
    lacking = textwrap.fill(f"No such pairs of runs: {'; '.join(missing)}.", 92) if missing else ""
    height = sum(lines) * ROW + 0.55 * len(panels) + 0.5 + 0.16 * len(lacking.splitlines())
    figure = style.new_figure(height, width=6.6)
    grid = figure.subplots(len(panels), 1, sharex=True, squeeze=False, height_ratios=lines)[:, 0]
    for axes, (title, own) in zip(grid, panels, strict=True):
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


def caption(rows: Sequence[Row]) -> str:
    """What the figure shows, with the mean difference of each comparison."""
    if not rows:
        return "Settings compared with the paper's: no runs that differ in one setting alone."
    said = []
    for item in COMPARISONS:
        pairs = _pairs([row for row in rows if row["comparison"] == item.name])
        known = [(a["cohens_d"], b["cohens_d"]) for a, b in pairs if None not in (a["cohens_d"], b["cohens_d"])]
        if known:
            mean = sum(b - a for a, b in known) / len(known)
            said.append(f"{item.name}: {number(mean, 2, signed=True)} (n = {len(known)})")
    differences = "; ".join(said) or "none is defined"
    return (
        "Settings compared with the paper's, each pair equal in all else: grey is the first named setting, blue the second, "
        f"lines are 95% intervals. Mean difference in effect size, second minus first. {differences}."
    )


def _panel(axes: Any, rows: Sequence[Row]) -> None:
    """Draws the pairs of one comparison, the first at the top."""
    pairs = _pairs(rows)
    names = []
    for place, pair in enumerate(pairs):
        names.append(_name(pair[0], rows))
        values = [row["cohens_d"] for row in pair if row["cohens_d"] is not None]
        if len(values) == 2:
            axes.plot(values, [place, place], color=style.RULE, linewidth=2.2, zorder=0, solid_capstyle="butt")
        for row, color, marker, lift in ((pair[0], style.BEFORE_TEXT, "o", -0.14), (pair[1], style.AFTER, "D", 0.14)):
            if row["cohens_d"] is None:
                continue
            if row["d_low"] is not None and row["d_high"] is not None:
                axes.plot([row["d_low"], row["d_high"]], [place + lift] * 2, color=color, linewidth=1.4)
            axes.plot([row["cohens_d"]], [place + lift], marker=marker, markersize=5, color=color, linestyle="none")
    axes.set_yticks(range(len(pairs)), names)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    _key(axes, [pair[0]["setting"] for pair in pairs], [pair[1]["setting"] for pair in pairs])


def _key(axes: Any, first: Sequence[str], second: Sequence[str]) -> None:
    """Names both settings in their colours, at the right above the panel."""
    grey, blue = (" / ".join(dict.fromkeys(settings)) for settings in (first, second))
    room = CHARACTER * style.SMALL * (len(blue) + 3)
    for text, color, shift in ((f"● {grey}", style.BEFORE_TEXT, -room), (f"◆ {blue}", style.AFTER, 0.0)):
        axes.annotate(
            text,
            (1.0, 1.0),
            xycoords="axes fraction",
            xytext=(shift, 6),
            textcoords="offset points",
            ha="right",
            fontsize=style.SMALL,
            color=color,
        )


def _pairs(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    sides = {(row["pair"], row["side"]): row for row in rows}
    numbers = dict.fromkeys(row["pair"] for row in rows)
    return [(sides[n, PAPER], sides[n, OTHER]) for n in numbers if (n, PAPER) in sides and (n, OTHER) in sides]


def _name(row: Row, rows: Sequence[Row]) -> str:
    """The objective, with its seed where the comparison has several."""
    words = objective_in_words(row["objective"], short=True)
    return f"{words}, seed {row['seed']}" if len({other["seed"] for other in rows}) > 1 else words


def _setting(field: str, value: Any) -> str:
    if field == "temperature":
        return f"temperature {value:g}"
    if field == "tuning_steps":
        return f"{value:,} steps"
    return _WORDS.get(value, str(value))
