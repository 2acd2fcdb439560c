"""The groups of objectives that the paper's figures have as panels and columns, and how each looks (Fig. 2).

Layers run from dark to light, since they have an order; tasks differ by shape, so that no figure needs colour alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from pir_tf.objective_names import is_vgg, parse_vgg
from pir_tf.paper.rows import COLOR_KINDS, LAYERS, VGG_MULTI, VGG_SINGLE, Row

ALPHA = 0.001
"""The paper's threshold of significance, in all of its figures."""

PALE = 0.28
"""Opacity of points that are not significant."""

_LAYER_COLORS = ("#2b0f54", "#443983", "#31688e", "#21808d", "#1f9e89", "#44b574", "#7fc444", "#b5a500")
_TASK_COLORS = ("#c44e00", "#cc79a7", "#8c1d40")


@dataclasses.dataclass(frozen=True)
class Group:
    """One column of Fig. 2.

    Attributes:
        kind: The row's `kind`.
        layer: The row's `layer`; empty for colours.
        panel: The task set, in words.
        column: The column's name under its panel.
        color: Its colour.
        marker: matplotlib's name of its shape.
    """

    kind: str
    layer: str
    panel: str
    column: str
    color: str
    marker: str


PANELS = {
    VGG_SINGLE: "VGG16, single filters",
    VGG_MULTI: "VGG16, 20 filters at once",
    "color": "Colours",
}
"""Titles of the panels, in their order."""

GROUPS = (
    *(
        Group(kind, layer, PANELS[kind], layer, color, marker)
        for kind, marker in ((VGG_SINGLE, "o"), (VGG_MULTI, "s"))
        for layer, color in zip(LAYERS, _LAYER_COLORS, strict=True)
    ),
    *(
        Group(kind, "", PANELS["color"], kind.split()[0], color, marker)
        for kind, color, marker in zip(COLOR_KINDS, _TASK_COLORS, ("D", "^", "v"), strict=True)
    ),
)


def group_of(row: Row) -> Group | None:
    """The column of Fig. 2 that an experiment belongs to; `None` for objectives that the paper has not."""
    for group in GROUPS:
        if row["kind"] == group.kind and row.get("layer", "") == group.layer:
            return group
    return None


def is_significant(row: Row) -> bool:
    """Whether the change is significant at the figures' threshold; an undefined test is not."""
    p = row.get("p_value")
    return p is not None and p < ALPHA


def significance_in_words(rows: Sequence[Row]) -> str:
    """How many changes are pale, for a caption."""
    pale = sum(not is_significant(row) for row in rows)
    test = f"Welch's t-test, α = {ALPHA:g}"
    if not pale:
        return f"all changes are significant ({test})"
    if pale == len(rows):
        return f"all are pale, since no change is significant ({test})"
    return f"{pale} {'is' if pale == 1 else 'are'} pale, since the change is not significant ({test})"


def objective_in_words(objective: str, *, short: bool = False) -> str:
    """An objective's name as people say it: `red left, blue right`, or `pool3 filters 12 and 40`."""
    scheme, _, rest = objective.partition(":")
    if scheme == "color":
        colors = rest.split("-")
        if len(colors) == 1:
            return colors[0]
        if short or len(colors) > 3:
            return "-".join(colors)
        places = ("left", "right") if len(colors) == 2 else ("left", "middle", "right")
        return ", ".join(f"{color} {place}" for color, place in zip(colors, places, strict=True))
    if not is_vgg(objective):
        return objective or "people's answers"
    vgg = parse_vgg(objective)
    if vgg.filters is not None:
        *most, last = map(str, vgg.filters)
        return f"{vgg.layer} {'filters' if most else 'filter'} {', '.join(most)}{' and ' if most else ''}{last}"
    return f"{vgg.layer}, {'1 filter' if vgg.k == 1 else f'{vgg.k} filters'}, draw {vgg.seed}"


def style_of(row: Row, *, size: float) -> dict[str, Any]:
    """How matplotlib draws an experiment's point: its group's colour and shape, pale where not significant."""
    group = group_of(row)
    color, marker = (group.color, group.marker) if group else ("#5c6370", "X")
    # So that all shapes look equally large.
    scale = {"D": 0.93, "s": 0.93, "^": 1.15, "v": 1.15}.get(marker, 1.0)
    return {
        "color": color,
        "marker": marker,
        "markersize": size * scale,
        "markeredgewidth": 0.5,
        "markeredgecolor": "white",
        "linestyle": "none",
        "alpha": 1.0 if is_significant(row) else PALE,
    }
