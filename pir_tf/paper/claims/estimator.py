"""The claims about what the estimator thinks of its own success (A.1, 4.3)."""

from __future__ import annotations

from scipy import stats

from pir_tf.paper.claims.rules import (
    HALF,
    MOST,
    MOST_WORDS,
    VARIED,
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
    share_finding,
)
from pir_tf.paper.rows import LAYERS, VGG_MULTI, VGG_SINGLE, Row
from pir_tf.report.numbers import number

COMPLEX = LAYERS.index("pool5") + 1
"""Layers from this index on count as complex. Source: A.1 ("which the system produced lower effect sizes on")."""


def _underestimates(evidence: Evidence) -> Finding:
    """The estimated change is below the true one in most improved experiments."""
    rows = [row for row in known(evidence.method, "estimated_change", "change") if row["change"] > 0]
    if not rows:
        return evidence.not_run("of improved objectives", lambda row: True)
    count = sum(row["estimated_change"] < row["change"] for row in rows)
    return share_finding(
        decide(count >= MOST * len(rows), count >= HALF * len(rows), enough=len(rows) >= VARIED),
        count,
        rows,
        "underestimated",
        remark=joined(few(len(rows), VARIED), "of those that rose"),
    )


def _absolute(evidence: Evidence) -> Finding:
    """The estimator's mean over images before tuning is below the true mean in most experiments."""
    rows = known(evidence.method, "estimator_bias")
    if not rows:
        return evidence.not_run("of estimators", lambda row: True)
    biases = [row["estimator_bias"] for row in rows]
    count = sum(bias < 0 for bias in biases)
    verdict = decide(count >= MOST * len(rows), count >= HALF * len(rows), enough=len(rows) >= VARIED)
    more = f"mean bias {number(mean(biases), 4, signed=True)}{said(mean_interval(biases), 4)}"
    remark = few(len(rows), VARIED)
    return share_finding(verdict, count, rows, "underestimate the mean PIR", more=more, remark=remark)


def _temperature_bias(evidence: Evidence) -> Finding:
    """The same estimator is lower at the temperature of use than at 1; where that wasn't kept, two runs are compared."""
    facts = [(row, evidence.of(row).bias, evidence.of(row).bias_at_1) for row in evidence.method]
    pairs = [(row, used, at_1) for row, used, at_1 in facts if used is not None and at_1 is not None]
    source = "the same estimators on new images"
    if not pairs:
        source = "pairs of runs"
        compared = [(a, b) for a, b in evidence.compared("temperature") if b["temperature"] == 1.0]
        pairs = [
            (other, paper["estimator_bias"], other["estimator_bias"])
            for paper, other in compared
            if None not in (paper["estimator_bias"], other["estimator_bias"])
        ]
    if not pairs:
        return evidence.not_run("of estimators at both temperatures", lambda row: row["temperature"] == 1.0)
    lower = [used - at_1 for _, used, at_1 in pairs]
    count = sum(difference < 0 for difference in lower)
    bounds = mean_interval(lower)
    value = mean(lower) or 0.0
    clear = bounds is not None and bounds[1] < 0
    ours = (
        f"bias {mean([used for _, used, _ in pairs]):+.4f} at 0.01, {mean([at_1 for _, _, at_1 in pairs]):+.4f} at 1; "
        f"difference {value:+.4f}{said(bounds, 4)}, lower at 0.01 in {count} of {len(pairs)}"
    )
    return Finding(
        decide(clear and count >= MOST * len(pairs), value < 0),
        ours,
        value,
        bounds,
        len(pairs),
        source,
        names([row for row, _, _ in pairs]),
    )


def _complex(evidence: Evidence) -> Finding:
    """Higher layers have lower estimates, and at the complex ones the truth is below the estimate."""
    rows = known(evidence.kind(VGG_SINGLE, VGG_MULTI), "estimated_change", "change")
    hard = [row for row in rows if row["layer_index"] >= COMPLEX]
    layers = {row["layer"] for row in rows}
    if not hard or len(layers) < 3:
        return evidence.not_run(
            "of objectives of pool5 or above and of three layers",
            lambda row: row["kind"] in (VGG_SINGLE, VGG_MULTI) and (row["layer_index"] or 0) >= COMPLEX,
        )
    trend = _rank_correlation(rows)
    below = sum(row["change"] < row["estimated_change"] for row in hard)
    lower, over = trend < 0, below > HALF * len(hard)
    missing = [name for name in LAYERS[COMPLEX - 1 :] if name not in layers]
    return share_finding(
        decide(lower and over, lower or over),
        below,
        hard,
        "complex ones with a true change below the estimate",
        more=f"rank correlation of estimate and layer {trend:+.2f} over {len(rows)}",
        remark=f"without {', '.join(missing)}" if missing else "",
    )


def _rank_correlation(rows: list[Row]) -> float:
    """Spearman's, 0 where one of the two is the same in all rows."""
    estimates, layers = [row["estimated_change"] for row in rows], [row["layer_index"] for row in rows]
    if len(set(estimates)) < 2 or len(set(layers)) < 2:
        return 0.0
    return float(stats.spearmanr(layers, estimates).statistic)


_ALL = "colors vgg-single vgg-multi"

CLAIMS = (
    Claim(
        key="underestimates",
        section="A.1, 4.3",
        text="The system underestimates its change fairly consistently, against the fear of overfitting",
        paper="fairly consistently",
        reproduced=f"the estimated change is below the true in {MOST_WORDS} of the objectives whose PIR rose",
        partly=f"in half, or fewer than {VARIED} objectives run",
        suite=_ALL,
        judge=_underestimates,
    ),
    Claim(
        key="absolute bias",
        section="A.1",
        text="The estimator consistently underestimates PIR itself, which is where that comes from",
        paper="consistently, no number",
        reproduced=f"the mean estimate before tuning is below the true mean in {MOST_WORDS}",
        partly=f"in half, or fewer than {VARIED} objectives run",
        suite=_ALL,
        judge=_absolute,
    ),
    Claim(
        key="bias by temperature",
        section="A.1, C.3",
        text="The underestimate comes from the lower softmax temperature when used",
        paper="probably, no number",
        reproduced=f"the bias at 0.01 is lower than at 1 in {MOST_WORDS}, and on average with a 95% interval below 0",
        partly="lower on average",
        suite=_ALL,
        judge=_temperature_bias,
    ),
    Claim(
        key="complex objectives",
        section="A.1, Fig. 4",
        text="More complex objectives have lower estimates, and true changes even below them",
        paper="seem to, no number",
        reproduced=(
            "over VGG objectives the estimate falls with the layer (rank correlation), and from pool5 on more than half have a "
            "true change below the estimate"
        ),
        partly="one of the two",
        suite="vgg-single vgg-multi",
        judge=_complex,
    ),
)
"""In the order of the table."""
