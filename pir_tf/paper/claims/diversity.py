"""The claims about the generator's own terms and its variety while PIR is raised (2.1, 2.4, 5.1)."""

from __future__ import annotations

import statistics

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
    median_interval,
    names,
    said,
    share_finding,
)
from pir_tf.paper.rows import Row
from pir_tf.paper.select import METHOD

COMPARABLE = 10.0
"""Magnitudes within this factor are roughly comparable."""
OFTEN = HALF
"""The share of the paper's "often"."""


def _less_varied(evidence: Evidence) -> Finding:
    """Before tuning, images of a class differ less than real ones, in every generator."""
    first = [row for row in evidence.rows if row["round"] == 1]
    # Runs of one generator and seed judge the same images: those count once.
    sets: dict[tuple[float, float], Row] = {}
    for row in known(first, "distance_before", "distance_real"):
        sets.setdefault((round(row["distance_before"], 6), round(row["distance_real"], 6)), row)  # to float32's digits
    rows = [row for (_, real), row in sets.items() if real]
    if not rows:
        return evidence.not_run("with measured diversity", lambda row: True)
    ratios = [row["distance_before"] / row["distance_real"] for row in rows]
    count = sum(ratio < 1 for ratio in ratios)
    return Finding(
        decide(count == len(ratios), count > 0),
        f"within-class distance {mean(ratios):.2f}{said(mean_interval(ratios))} of the real images'",
        mean(ratios),
        mean_interval(ratios),
        len(ratios),
        "image sets before tuning",
        names(rows),
    )


def _comparable(evidence: Evidence) -> Finding:
    """At w_PIR 1000 both the terms and their gradients are within a factor of ten."""
    rows = [row for row in evidence.method if evidence.of(row).loss_ratio is not None]
    if not rows:
        return evidence.not_run("with a log of tuning", lambda row: row["pir_weight"] == METHOD["pir_weight"])
    losses = [ratio for row in rows if (ratio := evidence.of(row).loss_ratio) is not None]
    pulls = [ratio for row in rows if (ratio := evidence.of(row).gradient_ratio) is not None]
    loss, pull = statistics.median(losses), statistics.median(pulls) if pulls else None
    alike = [ratio is not None and 1 / COMPARABLE <= ratio <= COMPARABLE for ratio in (loss, pull)]
    bounds = median_interval(pulls)
    pulled = "not measured" if pull is None else f"{pull:.3g}{said(bounds)}"
    return Finding(
        decide(all(alike), any(alike)),
        f"weighted PIR term over L_fools: gradients {pulled}, values {loss:.3g}",
        pull,
        bounds,
        len(rows),
        "medians over runs",
        names(rows),
    )


def _against_the_generator(evidence: Evidence) -> Finding:
    """Where the estimated PIR rises in tuning, the generator's own loss mostly does too."""
    facts = [(row, evidence.of(row)) for row in evidence.method]
    rose = [(row, f) for row, f in facts if (f.pir_rise or 0.0) > 0 and f.generator_loss_rise is not None]
    if not rose:
        return evidence.not_run("with a log of tuning", lambda row: True)
    rows = [row for row, _ in rose]
    count = sum((f.generator_loss_rise or 0.0) > 0 for _, f in rose)
    verdict = decide(count >= MOST * len(rows), count >= HALF * len(rows), enough=len(rows) >= VARIED)
    remark = joined(few(len(rows), VARIED), "last fifth of tuning against first")
    return share_finding(verdict, count, rows, "with a rising generator loss", remark=remark)


def _less_diverse(evidence: Evidence) -> Finding:
    """Tuning leaves images of a class more alike in at least half of the experiments."""
    rows = known(evidence.method, "distance_before", "distance_after")
    if not rows:
        return evidence.not_run("with measured diversity", lambda row: True)
    ratios = [row["distance_after"] / row["distance_before"] for row in rows if row["distance_before"]]
    count = sum(ratio < 1 for ratio in ratios)
    collapsed = sum(row["collapsed"] is True for row in rows)
    verdict = decide(count >= OFTEN * len(rows), 2 * count >= OFTEN * len(rows), enough=len(rows) >= VARIED)
    more = f"distance {mean(ratios):.2f} of that before; {collapsed} lost more than half" if ratios else ""
    return share_finding(
        verdict, count, rows, "with less within-class distance", more=more, remark=few(len(rows), VARIED)
    )


_ALL = "colors vgg-single vgg-multi"

CLAIMS = (
    Claim(
        key="limited generator",
        section="2.1",
        text="The pretrained generator has limited variability within its modes",
        paper="limited, no number",
        reproduced="images of a class lie closer together than real ones, in every set before tuning",
        partly="in one",
        suite="colors",
        judge=_less_varied,
    ),
    Claim(
        key="comparable terms",
        section="2.4",
        text="w_PIR = 1000 makes the PIR term and the others roughly comparable",
        paper="roughly comparable",
        reproduced=f"values and gradient norms of w_PIR L_PIR and of L_fools are within a factor of {COMPARABLE:.0f}",
        partly="one of the two",
        suite=_ALL,
        judge=_comparable,
    ),
    Claim(
        key="generator loss rises",
        section="5.1",
        text="A falling PIR loss usually comes with a rising generator loss",
        paper="usually",
        reproduced=f"in {MOST_WORDS} of the runs whose estimated PIR rose in tuning",
        partly=f"in half, or fewer than {VARIED} run",
        suite=_ALL,
        judge=_against_the_generator,
    ),
    Claim(
        key="partial collapse",
        section="5.1",
        text="Tuning often comes with a partial collapse of the output",
        paper="often",
        reproduced="the distance within classes is smaller after tuning in at least half of the runs",
        partly=f"in a quarter, or fewer than {VARIED} run",
        suite=_ALL,
        judge=_less_diverse,
    ),
)
"""In the order of the table."""
