"""The claims about PIRs that are zero, which make learning hard (3.2, C.4.2)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pir_tf.paper.claims.rules import (
    MOST,
    MOST_WORDS,
    Claim,
    Evidence,
    Finding,
    decide,
    few,
    known,
    mean,
    mean_interval,
    names,
    said,
)
from pir_tf.paper.rows import LAYERS, VGG_MULTI, VGG_SINGLE

PAPER = {"pool5": (20.0, 6), "fc6": (25.0, 4), "fc7": (24.0, 5), "fc8": (69.0, 0)}
"""Percent non-zero PIRs, and filters with more than 90% zeros, presumably of 10. Source: C.4.2."""
SPARSE = tuple(name for name, (_, filters) in PAPER.items() if filters)
NEAR = 10.0
"""Percentage points that are near the paper's percent."""
ALL_BUT = 90.0
AROUND_HALF = (0.25, 0.75)
ENOUGH = 4
"""Filters of a layer that are enough: those of size `laptop`."""


def _of_layer(evidence: Evidence, layer: str) -> Finding:
    """Near the paper's percent, and as many almost-zero filters: around half, or none at fc8."""
    rows = known(evidence.kind(VGG_SINGLE, layers=(layer,)), "percent_nonzero")
    if not rows:
        return _none(evidence, f"single filters of {layer}", (layer,))
    paper, filters = PAPER[layer]
    percents = [row["percent_nonzero"] for row in rows]
    value, bounds = mean(percents) or 0.0, mean_interval(percents)
    if bounds:
        bounds = max(bounds[0], 0.0), min(bounds[1], 100.0)
    zeros = sum(100.0 - percent > ALL_BUT for percent in percents)
    near = abs(value - paper) <= NEAR
    as_many = AROUND_HALF[0] <= zeros / len(rows) <= AROUND_HALF[1] if filters else zeros == 0
    ours = f"{value:.0f}% non-zero{said(bounds, 0)}, {zeros} of {len(rows)} filters above {ALL_BUT:.0f}% zeros"
    verdict = decide(near and as_many, near or as_many, enough=len(rows) >= ENOUGH)
    return Finding(verdict, ours, value, bounds, len(rows), few(len(rows), ENOUGH), names(rows))


def _sparsest(evidence: Evidence) -> Finding:
    """pool5, fc6 and fc7 have fewer non-zero PIRs than every other layer."""
    means = _means(evidence, VGG_SINGLE)
    sparse, others = ([name for name in means if (name in SPARSE) == wanted] for wanted in (True, False))
    if not sparse or not others:
        return _none(evidence, "single filters of sparse and of other layers", SPARSE if not sparse else LAYERS)
    below = [name for name in sparse if means[name] < min(means[other] for other in others)]
    rows = known(evidence.kind(VGG_SINGLE), "percent_nonzero")
    return Finding(
        decide(len(below) == len(sparse), bool(below), enough=len(sparse) == len(SPARSE)),
        ", ".join(f"{name} {percent:.0f}%" for name, percent in means.items()),
        n=len(rows),
        remark=_without(means),
        experiments=names(rows),
    )


def _all_zero(evidence: Evidence) -> Finding:
    """A filter of these layers whose PIRs are all zero."""
    rows = known(evidence.kind(VGG_SINGLE, layers=SPARSE), "percent_zero")
    if not rows:
        return _none(evidence, "single filters of sparse layers", SPARSE)
    count = sum(row["percent_zero"] >= 100.0 for row in rows)
    nearly = sum(row["percent_zero"] >= 99.0 for row in rows)
    ours = f"{count} of {len(rows)} filters all zero, {nearly} at least 99%"
    return Finding(decide(count > 0, nearly > 0), ours, count, None, len(rows), "", names(rows))


def _less_sparse(evidence: Evidence) -> Finding:
    """20 filters have more non-zero PIRs than one, at each of these layers."""
    single, multi = _means(evidence, VGG_SINGLE), _means(evidence, VGG_MULTI)
    layers = [name for name in SPARSE if name in single and name in multi]
    if not layers:
        return _none(evidence, "one and 20 filters of pool5, fc6 or fc7", SPARSE)
    more = [name for name in layers if multi[name] > single[name]]
    rows = known(evidence.kind(VGG_SINGLE, VGG_MULTI, layers=layers), "percent_nonzero")
    words = ", ".join(f"{name} {multi[name]:.0f}% against {single[name]:.0f}%" for name in layers)
    remark = _without({name: 0.0 for name in layers}, SPARSE)
    return Finding(
        decide(len(more) == len(layers), bool(more), enough=len(layers) == len(SPARSE)),
        words,
        n=len(rows),
        remark=remark,
        experiments=names(rows),
    )


def _poor_where_zero(evidence: Evidence) -> Finding:
    """Filters with almost only zeros are improved less than the others of the same layers."""
    rows = known(evidence.kind(VGG_SINGLE, layers=SPARSE), "percent_zero", "cohens_d")
    zero, rest = ([row for row in rows if (row["percent_zero"] > ALL_BUT) == wanted] for wanted in (True, False))
    if not zero or not rest:
        return _none(evidence, f"filters above and below {ALL_BUT:.0f}% zeros", SPARSE)
    d_zero, d_rest = (mean([row["cohens_d"] for row in own]) or 0.0 for own in (zero, rest))
    middle = statistics.median(row["cohens_d"] for row in rest)
    lower = sum(row["cohens_d"] < middle for row in zero)
    bounds = mean_interval([row["cohens_d"] for row in zero])
    ours = f"mean d {d_zero:+.2f}{said(bounds)} of {len(zero)} such filters, {d_rest:+.2f} of {len(rest)} others"
    below, often = d_zero < d_rest, lower >= MOST * len(zero)
    verdict = decide(below and often, below or often)
    return Finding(
        verdict, ours, d_zero, bounds, len(rows), _without(_means(evidence, VGG_SINGLE), SPARSE), names(rows)
    )


def _means(evidence: Evidence, kind: str) -> dict[str, float]:
    """Mean percent non-zero PIRs of each layer that was run, in the layers' order."""
    found = {}
    for layer in LAYERS:
        percents = [row["percent_nonzero"] for row in known(evidence.kind(kind, layers=(layer,)), "percent_nonzero")]
        if percents:
            found[layer] = mean(percents) or 0.0
    return found


def _without(means: dict[str, float], layers: Sequence[str] = LAYERS) -> str:
    lacking = [name for name in layers if name not in means]
    return f"without {', '.join(lacking)}" if lacking else ""


def _none(evidence: Evidence, what: str, layers: Sequence[str]) -> Finding:
    wanted = lambda row: row["kind"] in (VGG_SINGLE, VGG_MULTI) and row["layer"] in layers  # noqa: E731
    return evidence.not_run(f"of {what}", wanted)


def _claim(layer: str) -> Claim:
    percent, filters = PAPER[layer]
    count = f"{filters} filters" if filters else "no filter"
    share = "a quarter to three quarters of the" if filters else "no"
    return Claim(
        key=f"zeros {layer}",
        section="C.4.2",
        text=f"{layer}, single filters: share of non-zero PIRs",
        paper=f"{percent:.0f}% non-zero, {count} above {ALL_BUT:.0f}% zeros",
        reproduced=f"within {NEAR:.0f} points of {percent:.0f}%, and {share} filters have more than {ALL_BUT:.0f}% zeros",
        partly=f"one of the two, or fewer than {ENOUGH} filters run",
        suite="vgg-single",
        judge=lambda evidence: _of_layer(evidence, layer),
    )


CLAIMS = (
    *(_claim(layer) for layer in PAPER),
    Claim(
        key="sparse layers",
        section="3.2, C.4.2",
        text="pool5, fc6 and fc7 are the sparsest layers",
        paper="fc8 is next, with 69% non-zero",
        reproduced="each of them has a lower percent of non-zero PIRs than every other layer that was run",
        partly="one has, or not all three were run",
        suite="vgg-single",
        judge=_sparsest,
    ),
    Claim(
        key="all zero",
        section="C.4.2",
        text="In a few cases on pool5, fc6 and fc7 all PIRs are zero",
        paper="a few",
        reproduced="a filter has PIRs that are all below 0.01",
        partly="99% of a filter's are",
        suite="vgg-single",
        judge=_all_zero,
    ),
    Claim(
        key="zeros make it poor",
        section="3.2, C.4.2",
        text="Filters of pool5, fc6 and fc7 that give almost only zeros can't be learned",
        paper="infeasible where all are zero",
        reproduced=(
            f"filters above {ALL_BUT:.0f}% zeros have a lower mean d than the others there, and {MOST_WORDS} of them a d "
            "below the others' median"
        ),
        partly="one of the two",
        suite="vgg-single",
        judge=_poor_where_zero,
    ),
    Claim(
        key="20 filters less sparse",
        section="C.4.2",
        text="Sets of 20 filters are less sparse",
        paper="less sparse, no number",
        reproduced="a higher percent of non-zero PIRs than single filters have, at each of pool5, fc6, fc7",
        partly="at one, or not all three were run",
        suite="vgg-single vgg-multi",
        judge=_less_sparse,
    ),
)
"""In the order of the table."""
