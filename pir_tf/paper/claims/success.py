"""The claims about how often tuning raises PIR, by kind of objective and layer of VGG16 (4, 4.1, 5, Fig. 2)."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence

from pir_tf.paper.claims.rules import (
    HALF,
    KINDS,
    MOST,
    MOST_WORDS,
    Claim,
    Evidence,
    Finding,
    decide,
    few,
    improved,
    joined,
    known,
    mean,
    mean_d,
    share_finding,
)
from pir_tf.paper.rows import COLOR_KINDS, LAYERS, VGG_MULTI, VGG_SINGLE, Row

POOR_LAYERS = ("pool5", "fc6", "fc7")
"""Layers at whose single filters the paper's system does poorly. Source: 4.1."""
PER_LAYER = 4
"""Objectives of a layer that are enough: those of size `laptop`."""
ALL_KINDS = 30
"""Objectives that are enough to speak of a variety."""
SHOWN = 1000
"""Images, and impressions of each. Source: 2.2."""

_KINDS = (*COLOR_KINDS, VGG_SINGLE, VGG_MULTI)
_MOST_IMPROVED = f"{MOST_WORDS} improved significantly (p < 0.001)"
_HALF_IMPROVED = "at least half improved, or fewer than {} objectives run"


def _raises(
    evidence: Evidence, rows: Sequence[Row], wanted: int, what: str, kinds: Sequence[str], layer: str
) -> Finding:
    """The rule of `_MOST_IMPROVED` and `_HALF_IMPROVED`."""
    if not rows:
        return evidence.not_run(f"of {what}", lambda row: row["kind"] in kinds and (not layer or row["layer"] == layer))
    up = improved(rows)
    verdict = decide(up >= MOST * len(rows), up >= HALF * len(rows), enough=len(rows) >= wanted)
    return share_finding(
        verdict, up, rows, "improved", more=mean_d(rows), remark=joined(few(len(rows), wanted), _collapses(rows))
    )


def _all(evidence: Evidence) -> Finding:
    found = _raises(evidence, evidence.method, ALL_KINDS, "the paper's objectives", _KINDS, "")
    layers = {row["layer"] for row in evidence.method}
    lacking = [name for name in LAYERS if name not in layers]
    without = f"without {', '.join(lacking)}" if found.n and lacking else ""
    return dataclasses.replace(found, remark=joined(found.remark, without))


def _collapses(rows: Sequence[Row]) -> str:
    """A gain that cost more than half of the images' variety is said, as in a run's own verdict."""
    count = sum(row["collapsed"] is True for row in rows)
    return f"{count} with collapse" if count else ""


def _poor(evidence: Evidence, layer: str) -> Finding:
    """At most half improve, or they at least improve less than the other layers."""
    rows = evidence.kind(VGG_SINGLE, layers=(layer,))
    if not rows:
        return evidence.not_run(
            f"of single filters of {layer}", lambda row: row["kind"] == VGG_SINGLE and row["layer"] == layer
        )
    up = improved(rows)
    others = known(evidence.kind(VGG_SINGLE, layers=[name for name in LAYERS if name not in POOR_LAYERS]), "cohens_d")
    here, there = (mean([row["cohens_d"] for row in known(some, "cohens_d")]) for some in (rows, others))
    less = here is not None and there is not None and here < there
    verdict = decide(up <= HALF * len(rows), less, enough=len(rows) >= PER_LAYER)
    remark = "" if there is None else f"mean d {there:+.2f} at the other layers"
    return share_finding(
        verdict, up, rows, "improved", more=mean_d(rows), remark=joined(few(len(rows), PER_LAYER), remark)
    )


def _consistent(evidence: Evidence) -> Finding:
    """20 filters improve at least as often as one, and their effects spread less around their mean."""
    single, multi = evidence.kind(VGG_SINGLE), evidence.kind(VGG_MULTI)
    layers = {row["layer"] for row in single} & {row["layer"] for row in multi}
    single, multi = ([row for row in rows if row["layer"] in layers] for rows in (single, multi))
    if not layers:
        return evidence.not_run(
            "of one and 20 filters of one layer", lambda row: row["kind"] in (VGG_SINGLE, VGG_MULTI)
        )
    shares = [improved(rows) / len(rows) for rows in (single, multi)]
    spreads = [_spread(rows) for rows in (single, multi)]
    as_often = shares[1] >= shares[0]
    steadier = None not in spreads and spreads[1] < spreads[0]  # type: ignore[operator]
    words = [f"{spread:.2f}" if spread is not None else "undefined" for spread in spreads]
    return share_finding(
        decide(as_often and steadier, as_often or steadier),
        improved(multi),
        multi,
        "sets improved",
        more=f"{improved(single)} of {len(single)} single filters; SD of d over its mean {words[1]} against {words[0]}",
        remark=f"layers {', '.join(name for name in LAYERS if name in layers)}",
    )


def _spread(rows: Sequence[Row]) -> float | None:
    """Standard deviation of effect sizes over their mean; None where the mean isn't positive."""
    effects = [row["cohens_d"] for row in known(rows, "cohens_d")]
    if len(effects) < 2 or statistics.fmean(effects) <= 0:
        return None
    return statistics.stdev(effects) / statistics.fmean(effects)


def _few_images(evidence: Evidence) -> Finding:
    rows = [row for row in evidence.method if (row["images"] or 0) and row["images"] <= SHOWN]
    rows = [row for row in rows if row["impressions"] and row["impressions"] <= SHOWN]
    return _raises(
        evidence, rows, ALL_KINDS, f"estimators from {SHOWN} images", (*COLOR_KINDS, VGG_SINGLE, VGG_MULTI), ""
    )


def _of_color(kind: str, wanted: int, text: str, paper: str) -> Claim:
    return Claim(
        key=f"raises {kind}",
        section="4.2, Fig. 2",
        text=text,
        paper=paper,
        reproduced=_MOST_IMPROVED,
        partly=_HALF_IMPROVED.format(wanted),
        suite="colors",
        judge=lambda evidence: _raises(evidence, evidence.kind(kind), wanted, KINDS[kind], (kind,), ""),
    )


def _of_layer(kind: str, layer: str, what: str, suite: str) -> Claim:
    return Claim(
        key=f"raises {kind} {layer}",
        section="4.1, Fig. 2",
        text=f"{layer}, {what}: PIR is raised",
        paper="largely succeeds, no number",
        reproduced=_MOST_IMPROVED,
        partly=_HALF_IMPROVED.format(PER_LAYER),
        suite=suite,
        judge=lambda evidence: _raises(
            evidence, evidence.kind(kind, layers=(layer,)), PER_LAYER, f"{what} of {layer}", (kind,), layer
        ),
    )


def _of_poor_layer(layer: str) -> Claim:
    return Claim(
        key=f"poor {VGG_SINGLE} {layer}",
        section="4.1, 3.2",
        text=f"{layer}, single filters: not particularly successful",
        paper="poor, no number",
        reproduced="at most half improved significantly (p < 0.001)",
        partly=f"the mean d is below that of pool1 to pool4 and fc8, or fewer than {PER_LAYER} objectives run",
        suite="vgg-single",
        judge=lambda evidence: _poor(evidence, layer),
    )


CLAIMS = (
    Claim(
        key="raises all",
        section="4, Fig. 2",
        text="Tuning raises PIR on most objectives of all kinds",
        paper="most, no number",
        reproduced=_MOST_IMPROVED,
        partly=_HALF_IMPROVED.format(ALL_KINDS),
        suite="colors vgg-single vgg-multi",
        judge=_all,
    ),
    _of_color(COLOR_KINDS[0], 3, "Single colours are raised", "all three clearly"),
    _of_color(COLOR_KINDS[1], 6, "Two colours, one in each half, are raised", "quite well, no number"),
    *(
        _of_poor_layer(layer) if layer in POOR_LAYERS else _of_layer(VGG_SINGLE, layer, "single filters", "vgg-single")
        for layer in LAYERS
    ),
    *(_of_layer(VGG_MULTI, layer, "20 filters", "vgg-multi") for layer in LAYERS),
    Claim(
        key="20 filters more consistent",
        section="4.1",
        text="Sets of 20 filters are improved more consistently than single filters",
        paper="much more, no number",
        reproduced=(
            "at the layers that both were run on, 20 filters improve at least as often as one, and the SD of their d over its "
            "mean is smaller"
        ),
        partly="one of the two",
        suite="vgg-single vgg-multi",
        judge=_consistent,
    ),
    Claim(
        key="1000 images",
        section="5, 2.2",
        text="1000 images, each shown 1000 times, suffice",
        paper="many objectives from 1000 images",
        reproduced=f"{_MOST_IMPROVED}, of runs with at most {SHOWN} images and impressions",
        partly=_HALF_IMPROVED.format(ALL_KINDS),
        suite="colors vgg-single vgg-multi",
        judge=_few_images,
    ),
)
"""In the order of the table."""
