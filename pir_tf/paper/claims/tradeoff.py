"""The claims about the weight of PIR, down to a generator without a loss of its own (5.1)."""

from __future__ import annotations

from collections.abc import Sequence

from scipy import stats

from pir_tf.paper.claims.rules import (
    Claim,
    Evidence,
    Finding,
    decide,
    known,
    mean,
    mean_interval,
    names,
    said,
    said_share,
    share_interval,
)
from pir_tf.paper.rows import Row
from pir_tf.paper.select import METHOD, trade_offs

ORDERED = 0.6
"""Rank correlation from which something rises with the weight."""
WEIGHTS = 3
"""Weights that make a curve."""


def _curves(evidence: Evidence) -> list[list[Row]]:
    """Trade-offs with enough weights beside the extreme."""
    return [curve for curve in trade_offs(evidence.rows) if len(_weighted(curve)) >= WEIGHTS]


def _weighted(curve: Sequence[Row]) -> list[Row]:
    return [row for row in curve if row["fools_weight"] != 0.0]


def _extreme(curve: Sequence[Row]) -> list[Row]:
    return [row for row in curve if row["fools_weight"] == 0.0]


def _ranks(curve: Sequence[Row], field: str) -> float | None:
    """Spearman's correlation of a field with the weight; None for fewer than three values or no spread."""
    rows = known(_weighted(curve), "pir_weight", field)
    values = [row[field] for row in rows]
    if len(rows) < WEIGHTS or len(set(values)) < 2:
        return None
    return float(stats.spearmanr([row["pir_weight"] for row in rows], values).statistic)


def _no_curves(evidence: Evidence, what: str) -> Finding:
    return evidence.not_run(what, lambda row: row["pir_weight"] not in (None, METHOD["pir_weight"]))


def _trade(evidence: Evidence) -> Finding:
    """Along each curve PIR rises and diversity falls."""
    curves = _curves(evidence)
    measured = [(curve, _ranks(curve, "pir_after"), _ranks(curve, "distance_after")) for curve in curves]
    whole = [(curve, up, down) for curve, up, down in measured if up is not None and down is not None]
    if not whole:
        return _no_curves(evidence, "of three weights of PIR with diversity")
    good = sum(up >= ORDERED and down <= -ORDERED for _, up, down in whole)
    bounds = share_interval(good, len(whole))
    part = sum(up >= ORDERED or down <= -ORDERED for _, up, down in whole)
    words = "; ".join(
        f"{curve[0]['objective']} {up:+.2f} and {down:+.2f} over {len(_weighted(curve))} weights"
        for curve, up, down in whole
    )
    return Finding(
        decide(good == len(whole), part > 0),
        f"{good} of {len(whole)} curves{said_share(bounds)}; rank correlation of the weight with PIR and with distance: {words}",
        good / len(whole),
        bounds,
        len(whole),
        "curves",
        names([row for curve, _, _ in whole for row in curve]),
    )


def _away(evidence: Evidence) -> Finding:
    """Along each curve the images get farther from the real ones."""
    whole = [(curve, rank) for curve in _curves(evidence) if (rank := _ranks(curve, "kid_after")) is not None]
    if not whole:
        return _no_curves(evidence, "of three weights of PIR with KID")
    up = sum(rank >= ORDERED for _, rank in whole)
    words = "; ".join(f"{curve[0]['objective']} {rank:+.2f}" for curve, rank in whole)
    bounds = share_interval(up, len(whole))
    return Finding(
        decide(up == len(whole), any(rank > 0 for _, rank in whole)),
        f"{up} of {len(whole)} curves{said_share(bounds)}; rank correlation of the weight with KID: {words}",
        up / len(whole),
        bounds,
        len(whole),
        "curves",
        names([row for curve, _ in whole for row in curve]),
    )


def _alone(evidence: Evidence) -> Finding:
    """Without the generator's loss the images collapse."""
    pairs = _extremes(evidence, "distance_after")
    if not pairs:
        return evidence.not_run("of tuning without the generator's loss", lambda row: row["fools_weight"] == 0.0)
    collapsed = sum(alone["collapsed"] is True for _, alone in pairs)
    bounds = share_interval(collapsed, len(pairs))
    fewer = sum(alone["distance_after"] < paper["distance_after"] for paper, alone in pairs)
    left = [
        f"{alone['objective']} {alone['distance_after']:.3f} against {paper['distance_after']:.3f}"
        for paper, alone in pairs
    ]
    return Finding(
        decide(collapsed == len(pairs), fewer == len(pairs)),
        f"{collapsed} of {len(pairs)} collapsed{said_share(bounds)}; within-class distance {', '.join(left)}",
        collapsed / len(pairs),
        bounds,
        len(pairs),
        "at this length" if collapsed < len(pairs) else "",
        names([row for pair in pairs for row in pair]),
    )


def _regularizes(evidence: Evidence) -> Finding:
    """Without the generator's loss the estimate exceeds the truth by more."""
    pairs = [
        pair for pair in _extremes(evidence, "estimated_change") if None not in (pair[0]["change"], pair[1]["change"])
    ]
    if not pairs:
        return evidence.not_run("of tuning without the generator's loss", lambda row: row["fools_weight"] == 0.0)
    excess = [tuple(row["estimated_change"] - row["change"] for row in pair) for pair in pairs]
    more = sum(alone > paper for paper, alone in excess)
    differences = [alone - paper for paper, alone in excess]
    with_it, without = (mean(side) or 0.0 for side in zip(*excess, strict=True))
    return Finding(
        decide(more == len(pairs), more > 0),
        f"estimated minus true change {without:+.3f} without it, {with_it:+.3f} with it, difference "
        f"{mean(differences):+.3f}{said(mean_interval(differences), 3)}",
        mean(differences),
        mean_interval(differences),
        len(pairs),
        "",
        names([row for pair in pairs for row in pair]),
    )


def _extremes(evidence: Evidence, field: str) -> list[tuple[Row, Row]]:
    """The paper's weights and no generator loss, of each curve that has both."""
    found = []
    for curve in trade_offs(evidence.rows):
        paper = [row for row in _weighted(curve) if row["pir_weight"] == METHOD["pir_weight"]]
        if paper and _extreme(curve):
            found.append((paper[0], _extreme(curve)[0]))
    return [pair for pair in found if None not in (pair[0][field], pair[1][field])]


CLAIMS = (
    Claim(
        key="trade-off",
        section="5.1",
        text="The weight of PIR trades diversity for PIR",
        paper="can be adjusted, no number",
        reproduced=(
            f"on every curve the rank correlation of w_PIR is {ORDERED} or more with PIR after tuning and {-ORDERED} or less "
            "with the distance within classes"
        ),
        partly="one of the two on one curve",
        suite="trade-off",
        judge=_trade,
    ),
    Claim(
        key="away from the data",
        section="5.1",
        text="The weight of PIR trades nearness to the data for PIR",
        paper="can be adjusted, no number",
        reproduced=f"on every curve the rank correlation of w_PIR with KID is {ORDERED} or more",
        partly="above 0 on one",
        suite="trade-off",
        judge=_away,
    ),
    Claim(
        key="without the generator's loss",
        section="5.1",
        text="Without the generator's loss it trains towards a single optimal image",
        paper="expected, not run",
        reproduced="every such run loses more than half of a class's distance",
        partly="every one keeps less than at w_PIR 1000 with it",
        suite="trade-off",
        judge=_alone,
    ),
    Claim(
        key="generator's loss regularizes",
        section="5.1",
        text="The generator's loss reduces overfitting to the estimate",
        paper="likely, not run",
        reproduced="without it the estimated change less the true is larger than at w_PIR 1000 with it, on every curve",
        partly="on one",
        suite="trade-off",
        judge=_regularizes,
    ),
)
"""In the order of the table."""
