"""What a claim of the paper is, what speaks for it, and how a verdict comes about. No TensorFlow.

A claim holds the paper's words and number, and beside them one function from evidence to a finding and the same rule in words.
Thresholds are ours: where the paper says "most" or "roughly" somebody has to choose a number, and does it here, once, for all.
"""

from __future__ import annotations

import dataclasses
import functools
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from scipy import stats

from pir_tf.paper.claims.evidence import Facts
from pir_tf.paper.rows import COLOR_KINDS, Row
from pir_tf.paper.select import Comparison, by_the_paper, comparisons
from pir_tf.paper.tasks import group_of, is_significant
from pir_tf.report.numbers import interval, number

Verdict = Literal["reproduced", "partly", "not", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "partly", "not", "not run")

LEFT_OUT = "left out"
"""The `status` of experiments with results that prove nothing."""

MOST, HALF = 0.75, 0.5
"""Shares of experiments: `most` of the paper's words, and what is left of it in `partly`."""
MOST_WORDS = "at least three quarters"
VARIED = 12
"""Objectives that are enough for a statement over many of them."""

KINDS = dict(zip(COLOR_KINDS, ("single colours", "two colours", "three colours"), strict=True))
"""What the kinds of colour objectives are called."""

Interval = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class Finding:
    """What the evidence says of a claim.

    Attributes:
        verdict: The one word.
        ours: Our numbers in words, with the interval.
        value: Our number; None where it is none.
        interval: 95% interval of the value.
        n: How many experiments, or pairs of them, the number is of.
        remark: Why, in a few words; empty where nothing need be said.
        experiments: Names of the experiments behind it.
    """

    verdict: Verdict
    ours: str = ""
    value: float | None = None
    interval: Interval | None = None
    n: int = 0
    remark: str = ""
    experiments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Evidence:
    """Everything that was collected.

    Attributes:
        rows: All experiments with results.
        missing: Experiments that a sweep lists without results, with `status` and `reason`.
        facts: By the experiment's name.
        suites: The suites that have an experiment of that name.
    """

    rows: Sequence[Row]
    missing: Sequence[Row] = ()
    facts: Mapping[str, Facts] = dataclasses.field(default_factory=dict)
    suites: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def method(self) -> list[Row]:
        """First rounds with the paper's method and objectives, each objective and seed once."""
        return [row for row in by_the_paper(self.rows) if group_of(row)]

    @functools.cached_property
    def pairs(self) -> list[tuple[Comparison, Row, Row]]:
        """Experiments that differ in one setting alone: the paper's, then the other."""
        return comparisons(self.rows)

    def kind(self, *kinds: str, layers: Sequence[str] = ()) -> list[Row]:
        """Those with the paper's method of some kinds of objectives, and of some layers where they are named."""
        return [row for row in self.method if row["kind"] in kinds and (not layers or row["layer"] in layers)]

    def compared(self, field: str) -> list[tuple[Row, Row]]:
        """Pairs that differ in one field alone: the paper's, then the other."""
        return [(paper, other) for comparison, paper, other in self.pairs if comparison.field == field]

    def of(self, row: Row) -> Facts:
        """The facts of an experiment; empty ones where nothing is known."""
        return self.facts.get(row["experiment"], Facts())

    def not_run(self, what: str, wanted: Callable[[Row], bool]) -> Finding:
        """The finding without experiments, with the reason that a sweep gives.

        Args:
            what: What there are no runs of, or with: `of fc6`.
            wanted: Which experiments would have spoken. Where there are such with results, they lack what was to be measured,
                and no missing one is the reason.
        """
        missing = [] if any(wanted(row) for row in self.rows) else [row for row in self.missing if wanted(row)]
        return Finding("not run", remark=_reason(missing[0]) if missing else f"no runs {what}")


@dataclasses.dataclass(frozen=True)
class Claim:
    """One claim of the paper.

    Attributes:
        key: A short name.
        section: Where the paper makes it.
        text: The claim in words.
        paper: The paper's number.
        reproduced: From where on the verdict is `reproduced`, in words; without experiments it is always `not run`.
        partly: From where on it is `partly`; below that it is `not`.
        suite: The suite whose experiments speak for it, several where it needs them.
        judge: The rule.
    """

    key: str
    section: str
    text: str
    paper: str
    reproduced: str
    partly: str
    suite: str
    judge: Callable[[Evidence], Finding]


def decide(reproduced: bool, partly: bool, *, enough: bool = True) -> Verdict:
    """The word; with too few experiments nothing is more than partly reproduced."""
    if reproduced and enough:
        return "reproduced"
    return "partly" if reproduced or partly else "not"


def names(rows: Sequence[Row]) -> tuple[str, ...]:
    """The experiments' names, each once."""
    return tuple(dict.fromkeys(row["experiment"] for row in rows))


def improved(rows: Sequence[Row]) -> int:
    """How many raised PIR significantly. Source: 4."""
    return sum(is_significant(row) and (row["change"] or 0.0) > 0 for row in rows)


def share_interval(count: int, n: int) -> Interval:
    """95% interval of a share (Wilson's)."""
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    return float(low), float(high)


def mean(values: Sequence[float]) -> float | None:
    """Their mean; None of none."""
    return statistics.fmean(values) if values else None


def mean_interval(values: Sequence[float]) -> Interval | None:
    """95% interval of a mean (Student's t); None for fewer than two values."""
    if len(values) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5
    return statistics.fmean(values) - half, statistics.fmean(values) + half


def median_interval(values: Sequence[float]) -> Interval | None:
    """95% interval of a median, from order statistics; None for fewer than six values, of which there is none."""
    rank = int(stats.binom.ppf(0.025, len(values), 0.5)) if values else 0
    ordered = sorted(values)
    return (ordered[rank - 1], ordered[-rank]) if rank else None


def said(bounds: Interval | None, digits: int = 2) -> str:
    """An interval in brackets after its number; empty where undefined."""
    return f" ({interval(list(bounds), digits)})" if bounds else ""


def said_share(bounds: Interval) -> str:
    """The same of a share, in percent."""
    return f" ({100 * bounds[0]:.0f}% to {100 * bounds[1]:.0f}%)"


def known(rows: Sequence[Row], *fields: str) -> list[Row]:
    """The rows in which all of the fields were measured."""
    return [row for row in rows if None not in (row[field] for field in fields)]


def share_finding(
    verdict: Verdict, count: int, rows: Sequence[Row], did: str, *, more: str = "", remark: str = ""
) -> Finding:
    """A finding whose number is the share of experiments that did something.

    Args:
        verdict: The word.
        count: How many did.
        rows: All of them, at least one.
        did: What they did, in a word or two.
        more: Another number in words.
        remark: Why.
    """
    n = len(rows)
    bounds = share_interval(count, n)
    ours = f"{count} of {n} {did}{said_share(bounds)}" + (f"; {more}" if more else "")
    return Finding(verdict, ours, count / n, bounds, n, remark, names(rows))


def mean_d(rows: Sequence[Row]) -> str:
    """The mean effect size in words with its interval over objectives, of one its own; empty where undefined."""
    found = known(rows, "cohens_d")
    value = mean([row["cohens_d"] for row in found])
    if value is None:
        return ""
    if len(found) == 1:
        bounds = interval([found[0]["d_low"], found[0]["d_high"]], missing="")
        return f"d {number(value, 2, signed=True)}" + (f" ({bounds})" if bounds else "")
    return f"mean d {number(value, 2, signed=True)}{said(mean_interval([row['cohens_d'] for row in found]))}"


def few(n: int, wanted: int) -> str:
    """The remark of too few experiments; empty where there are enough."""
    return f"only {n} of {wanted} run" if n < wanted else ""


def joined(*remarks: str) -> str:
    """Remarks in one line."""
    return "; ".join(remark for remark in remarks if remark)


def _reason(row: Row) -> str:
    status = row["status"]
    # What to do comes after a colon; the table has room for the reason alone.
    first = row["reason"].partition(": ")[0].rstrip(".")
    if status == "not run":
        return f"weights not available offline ({first})" if "weights" in first else first or "left out of the sweep"
    if status == LEFT_OUT:
        return first
    return {"waiting": "not run yet"}.get(status, f"{status}: {first}" if first else status)
