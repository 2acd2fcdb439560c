"""The claims about a second round of images, estimator and tuning (A.3, 4.3, Fig. 6)."""

from __future__ import annotations

from pir_tf.paper.claims.rules import HALF, Claim, Evidence, Finding, decide, few, joined, mean, share_finding
from pir_tf.paper.rows import VGG_SINGLE, Row
from pir_tf.paper.select import second_rounds
from pir_tf.paper.tasks import is_significant

MANY = 1 / 3
"""The share of the paper's "many of the fc8 models"."""
ENOUGH = 4
"""Second rounds of a layer that are enough."""


def _rounds(evidence: Evidence, layer: str) -> list[Row]:
    return [row for row in second_rounds(evidence.rows) if row["kind"] == VGG_SINGLE and row["layer"] == layer]


def _gain(row: Row) -> float:
    """The second round's own part of the effect size against the images of the first generator."""
    return float(row["d_from_start"] - row["first_round_d"])


def _none(evidence: Evidence, layer: str) -> Finding:
    wanted = lambda row: row["kind"] == VGG_SINGLE and row["layer"] == layer and row["round"] == 2  # noqa: E731
    return evidence.not_run(f"of second rounds of {layer}", wanted)


def _effects(rows: list[Row]) -> str:
    first, second = (mean([row[name] for row in rows]) for name in ("first_round_d", "d_from_start"))
    return f"mean d {first:+.2f} after the first, {second:+.2f} after the second"


def _again(evidence: Evidence) -> Finding:
    """Every pool2 model is better after the second round."""
    rows = _rounds(evidence, "pool2")
    if not rows:
        return _none(evidence, "pool2")
    count = sum(_gain(row) > 0 for row in rows)
    verdict = decide(count == len(rows), count > HALF * len(rows), enough=len(rows) >= ENOUGH)
    certain = sum(_gain(row) > 0 and is_significant(row) for row in rows)
    remark = joined(few(len(rows), ENOUGH), f"{certain} of them significantly")
    return share_finding(verdict, count, rows, "improved again", more=_effects(rows), remark=remark)


def _less(evidence: Evidence) -> Finding:
    """No pool2 model gains as much as in its first round."""
    rows = _rounds(evidence, "pool2")
    if not rows:
        return _none(evidence, "pool2")
    count = sum(_gain(row) < row["first_round_d"] for row in rows)
    verdict = decide(count == len(rows), count > HALF * len(rows), enough=len(rows) >= ENOUGH)
    more = f"mean gain {mean([_gain(row) for row in rows]):+.2f} against {mean([row['first_round_d'] for row in rows]):+.2f}"
    return share_finding(verdict, count, rows, "gained less than at first", more=more, remark=few(len(rows), ENOUGH))


def _worse(evidence: Evidence) -> Finding:
    """Many fc8 models are worse after the second round."""
    rows = _rounds(evidence, "fc8")
    if not rows:
        return _none(evidence, "fc8")
    count = sum(_gain(row) < 0 for row in rows)
    verdict = decide(count >= MANY * len(rows), count > 0, enough=len(rows) >= ENOUGH)
    return share_finding(verdict, count, rows, "got worse", more=_effects(rows), remark=few(len(rows), ENOUGH))


CLAIMS = (
    Claim(
        key="second round improves",
        section="A.3, 4.3, Fig. 6",
        text="pool2: all models improve again in a second round",
        paper="all",
        reproduced="d against the first generator's images is higher after the second round, in every objective",
        partly=f"in more than half, or fewer than {ENOUGH} objectives run",
        suite="iteration",
        judge=_again,
    ),
    Claim(
        key="second round less",
        section="A.3, Fig. 6",
        text="pool2: none improves as much as in the first round",
        paper="none",
        reproduced="no second gain in d is as large as the first",
        partly=f"in more than half, or fewer than {ENOUGH} objectives run",
        suite="iteration",
        judge=_less,
    ),
    Claim(
        key="second round worse",
        section="A.3, 4.3, Fig. 6",
        text="fc8: many models get worse in a second round",
        paper="many",
        reproduced="d is lower after the second round in at least a third",
        partly=f"in one, or fewer than {ENOUGH} objectives run",
        suite="iteration",
        judge=_worse,
    ),
)
"""In the order of the table."""
