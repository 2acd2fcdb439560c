"""The claims in which the paper compares a setting with its own: loss, classes, bins, temperature, scaling (2.1, C.3, C.5)."""

from __future__ import annotations

from collections.abc import Sequence

from pir_tf.paper.claims.rules import (
    HALF,
    MOST,
    MOST_WORDS,
    Claim,
    Evidence,
    Finding,
    decide,
    few,
    joined,
    known,
    mean,
    mean_interval,
    names,
    said,
)
from pir_tf.paper.rows import Row

ENOUGH = 3
"""Pairs of a comparison that are enough."""
SMALL_GAIN = 0.2
"""A difference of effect sizes below it is small (Cohen)."""
NORMAL_TAILS = 4.6
"""Percent of a normal distribution that lies two standard deviations or more from its mean, where C.5's scaling clips."""

Pair = tuple[Row, Row]


def _bins(evidence: Evidence) -> Finding:
    """Bins have the higher effect in most pairs."""
    pairs = _with(evidence.compared("output"), "cohens_d")
    if not pairs:
        return evidence.not_run("of one scalar output", lambda row: row["output"] == "scalar")
    differences = [a["cohens_d"] - b["cohens_d"] for a, b in pairs]
    higher = sum(difference > 0 for difference in differences)
    verdict = decide(higher >= MOST * len(pairs), higher >= HALF * len(pairs), enough=len(pairs) >= ENOUGH)
    return Finding(
        verdict,
        f"mean d {_mean(pairs, 0):+.2f} with bins, {_mean(pairs, 1):+.2f} with one output; higher in {higher} of {len(pairs)}, "
        f"by {mean(differences):+.2f}{said(mean_interval(differences))}",
        mean(differences),
        mean_interval(differences),
        len(pairs),
        few(len(pairs), ENOUGH),
        _names(pairs),
    )


def _fit(evidence: Evidence) -> Finding:
    """A scalar output has the larger error on new images in most pairs."""
    facts = [(evidence.of(a).error, evidence.of(b).error, a, b) for a, b in evidence.compared("output")]
    pairs = [
        (a.copy() | {"error": bins}, b.copy() | {"error": one}) for bins, one, a, b in facts if None not in (bins, one)
    ]
    if not pairs:
        return evidence.not_run("of one scalar output with its error", lambda row: row["output"] == "scalar")
    larger = [b["error"] - a["error"] for a, b in pairs]
    count = sum(difference > 0 for difference in larger)
    verdict = decide(count >= MOST * len(pairs), count >= HALF * len(pairs), enough=len(pairs) >= ENOUGH)
    return Finding(
        verdict,
        f"mean absolute error {_mean(pairs, 1, 'error'):.4f} with one output, {_mean(pairs, 0, 'error'):.4f} with bins; "
        f"larger in {count} of {len(pairs)}, by {mean(larger):+.4f}{said(mean_interval(larger), 4)}",
        mean(larger),
        mean_interval(larger),
        len(pairs),
        joined(few(len(pairs), ENOUGH), "held-out images"),
        _names(pairs),
    )


def _temperature(evidence: Evidence) -> Finding:
    """0.01 has the higher effect in most pairs, or at least leaves more variety."""
    pairs = [pair for pair in _with(evidence.compared("temperature"), "cohens_d") if pair[1]["temperature"] == 1.0]
    if not pairs:
        return evidence.not_run("of temperature 1", lambda row: row["temperature"] == 1.0)
    differences = [a["cohens_d"] - b["cohens_d"] for a, b in pairs]
    higher = sum(a["cohens_d"] > b["cohens_d"] for a, b in pairs)
    varied = _with(pairs, "distance_after")
    kept = sum(a["distance_after"] > b["distance_after"] for a, b in varied)
    left = [_mean(varied, side, "distance_after") for side in (0, 1)]
    distance = f"; within-class distance {left[0]:.3f} against {left[1]:.3f}" if varied else ""
    collapsed = [sum(row["collapsed"] is True for row in side) for side in zip(*pairs, strict=True)]
    remark = f"{collapsed[1]} collapsed at 1, {collapsed[0]} at 0.01" if any(collapsed) else ""
    verdict = decide(
        higher > HALF * len(pairs) and (mean(differences) or 0.0) > 0,
        bool(varied) and kept > HALF * len(varied),
        enough=len(pairs) >= ENOUGH,
    )
    by = f"{mean(differences):+.2f}{said(mean_interval(differences))}"
    return Finding(
        verdict,
        f"mean d {_mean(pairs, 0):+.2f} at 0.01, {_mean(pairs, 1):+.2f} at 1, difference {by}{distance}",
        mean(differences),
        mean_interval(differences),
        len(pairs),
        joined(few(len(pairs), ENOUGH), remark),
        _names(pairs),
    )


def _normalized(evidence: Evidence) -> Finding:
    """Normalising improves at most half of the objectives; both sides are judged by the PIR as it was."""
    pairs = [
        (a, {**b, "cohens_d": b["unscaled_cohens_d"]})
        for a, b in evidence.compared("scaling")
        if None not in (a["cohens_d"], b["unscaled_cohens_d"])
    ]
    if not pairs:
        return evidence.not_run("of normalised PIR", lambda row: row["scaling"] == "normalized")
    gains = [b["cohens_d"] - a["cohens_d"] for a, b in pairs]
    higher, gain = sum(value > 0 for value in gains), mean(gains) or 0.0
    verdict = decide(higher <= HALF * len(pairs), gain < SMALL_GAIN, enough=len(pairs) >= ENOUGH)
    return Finding(
        verdict,
        f"mean d {_mean(pairs, 1):+.2f} normalised, {_mean(pairs, 0):+.2f} as it is; higher in {higher} of {len(pairs)}, by "
        f"{gain:+.2f}{said(mean_interval(gains))}",
        gain,
        mean_interval(gains),
        len(pairs),
        few(len(pairs), ENOUGH),
        _names(pairs),
    )


def _clipped(evidence: Evidence) -> Finding:
    """More is clipped than of a normal distribution, in most objectives."""
    rows = known([row for row in evidence.rows if row["scaling"] == "normalized"], "percent_clipped")
    if not rows:
        return evidence.not_run("of normalised PIR", lambda row: row["scaling"] == "normalized")
    percents = [row["percent_clipped"] for row in rows]
    count = sum(percent > NORMAL_TAILS for percent in percents)
    return Finding(
        decide(count >= MOST * len(rows), count > 0, enough=len(rows) >= ENOUGH),
        f"{mean(percents):.1f}%{said(mean_interval(percents), 1)} clipped, from {min(percents):.1f}% to {max(percents):.1f}%",
        mean(percents),
        mean_interval(percents),
        len(rows),
        few(len(rows), ENOUGH),
        names(rows),
    )


def _closer(evidence: Evidence, field: str, setting: str, mine: str, other: str) -> Finding:
    """The paper's setting makes images closer to real ones by more than KID's error."""
    pairs = _with(evidence.compared(field), "kid_before")
    if not pairs:
        return evidence.not_run(f"of {other} with KID", lambda row: row[field] == setting)
    differences = [b["kid_before"] - a["kid_before"] for a, b in pairs]
    value = mean(differences) or 0.0
    errors = [row["kid_before_se"] or 0.0 for pair in pairs for row in pair]
    half = 1.96 * sum(error**2 for error in errors) ** 0.5 / len(pairs)
    swd = [
        mean([s for s in (evidence.of(row).swd for row in side) if s is not None]) for side in zip(*pairs, strict=True)
    ]
    words = f"; sliced Wasserstein distance {swd[0]:.0f} against {swd[1]:.0f}" if None not in swd else ""
    kids = [_mean(pairs, side, "kid_before") for side in (0, 1)]
    digits = 1 if min(kids) >= 10 else 4  # its unit is that of the features
    return Finding(
        decide(value - half > 0, value > 0),
        f"KID {kids[0]:.{digits}f} {mine}, {kids[1]:.{digits}f} {other}, difference "
        f"{value:+.{digits}f}{said((value - half, value + half), digits)}{words}",
        value,
        (value - half, value + half),
        len(pairs),
        f"difference of KID before tuning; {'one seed each' if len(pairs) == 1 else 'a pair of GANs each'}",
        _names(pairs),
    )


def _mean(pairs: Sequence[Pair], side: int, field: str = "cohens_d") -> float:
    return mean([pair[side][field] for pair in pairs]) or 0.0


def _with(pairs: Sequence[Pair], field: str) -> list[Pair]:
    return [pair for pair in pairs if None not in (pair[0][field], pair[1][field])]


def _names(pairs: Sequence[Pair]) -> tuple[str, ...]:
    return names([row for pair in pairs for row in pair])


_FEW = f"or fewer than {ENOUGH} pairs run"
_KID = "KID of the pretrained generator is lower by more than 1.96 standard errors"

CLAIMS = (
    Claim(
        key="non-saturating",
        section="2.1",
        text="The non-saturating loss gives slightly better images than the saturating",
        paper="slightly better, no number",
        reproduced=_KID,
        partly="lower",
        suite="ablations",
        judge=lambda evidence: _closer(evidence, "gan_loss", "saturating", "non-saturating", "saturating"),
    ),
    Claim(
        key="acgan",
        section="2.1, footnote 1",
        text="An ACGAN gives better initial images than a plain GAN",
        paper="better, no number",
        reproduced=_KID,
        partly="lower",
        suite="ablations",
        judge=lambda evidence: _closer(evidence, "gan_kind", "gan", "ACGAN", "plain GAN"),
    ),
    Claim(
        key="bins",
        section="C.3",
        text="Classifying into 100 bins performs better than predicting a scalar",
        paper="better, no number",
        reproduced=f"the higher d in {MOST_WORDS} of the pairs",
        partly=f"in half, {_FEW}",
        suite="ablations",
        judge=_bins,
    ),
    Claim(
        key="scalar fits worse",
        section="C.3",
        text="A scalar output has trouble fitting the PIRs",
        paper="trouble, no number",
        reproduced=f"the larger mean absolute error on new images in {MOST_WORDS} of the pairs",
        partly=f"in half, {_FEW}",
        suite="ablations",
        judge=_fit,
    ),
    Claim(
        key="temperature",
        section="C.3",
        text="Lowering the softmax temperature to 0.01 improves results",
        paper="improves, no number",
        reproduced="the higher d at 0.01 in more than half of the pairs and on average",
        partly=f"the larger within-class distance after tuning in more than half, {_FEW}",
        suite="ablations",
        judge=_temperature,
    ),
    Claim(
        key="normalised",
        section="C.5",
        text="Normalising PIR to mean 0.5 and SD 0.25 gives no particularly good results",
        paper="not particularly good",
        reproduced="the higher d in at most half of the pairs",
        partly=f"in more, but higher by less than {SMALL_GAIN} on average, {_FEW}",
        suite="ablations",
        judge=_normalized,
    ),
    Claim(
        key="clipped",
        section="C.5",
        text="Normalising clips many outliers to 0 or 1",
        paper="possibly many",
        reproduced=f"more than {NORMAL_TAILS}% (a normal distribution's share) in {MOST_WORDS} of the objectives",
        partly=f"in one, or fewer than {ENOUGH} objectives run",
        suite="ablations",
        judge=_clipped,
    ),
)
"""In the order of the table."""
