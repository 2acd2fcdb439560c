"""What a claim of the paper is, how our number for it comes about, and how the verdict follows. No TensorFlow.

A measure takes the evidence and gives a finding. Most count rows of which something is so, or average a difference, by
expressions over the columns of a table in which every row is an experiment, a pair of them, or a curve.

The words of a rule are the rule: in "d rises in {share: at least half} of the pairs" the bound is compared as it reads, so what
`claims.md` says is what was decided. Where the paper says "most" or "roughly" somebody has to choose a number: these are ours.
"""

from __future__ import annotations

import operator
import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import pandas as pd
from pandas import DataFrame as Frame
from scipy import stats

from pir_tf.paper.claims.evidence import Evidence, columns_of, evaluate, select
from pir_tf.report.numbers import interval, number

Verdict = Literal["reproduced", "partly", "not", "not run"]
VERDICTS: tuple[Verdict, ...] = ("reproduced", "partly", "not", "not run")

BOUND = re.compile(r"\{(\w+): ([^}]+)\}")
SIGNS = {"at least": operator.ge, "more than": operator.gt, "at most": operator.le, "less than": operator.lt}
SHARES = {"three quarters": 3 / 4, "two thirds": 2 / 3, "half": 1 / 2, "a third": 1 / 3, "a quarter": 1 / 4}
WHOLE = {"all": "at least 1", "at least one": "more than 0"}  # shares that are said without a number

Interval = tuple[float, float]
Words = str | Callable[[Frame], str]
"""Something said of a table: a text in which a column's name stands for its mean, or a function."""


@dataclass(frozen=True)
class Finding:
    """What the evidence says of a claim, before its verdict."""

    experiments: tuple[str, ...]  # names of those behind it
    ours: str  # our numbers in words, with the interval
    n: int  # how many experiments, pairs or curves the number is of
    value: float | None = None
    interval: Interval | None = None  # of 95%
    remark: str = ""  # why, in a few words
    numbers: Mapping[str, float | None] = field(default_factory=dict)  # for the rule, beside value, low and high


Measure = Callable[[Evidence], Finding]


class NotRun(Exception):
    """There is nothing to judge: what there are no runs of, which would have spoken (a query), or another reason."""

    def __init__(self, what: str = "", of: str = "", reason: str = "") -> None:
        super().__init__(what, of, reason)
        self.what, self.of, self.reason = what, of, reason


class Said(NamedTuple):
    """What the paper says."""

    key: str
    section: str
    number: str
    suite: str = "colors vgg-single vgg-multi"  # whose experiments speak for it here


@dataclass(frozen=True)
class Claim:
    """A claim in words, our number, and from where on its verdict is `reproduced` or `partly`; below that it is `not`."""

    text: str
    measure: Measure
    reproduced: str  # words with bounds, which all hold
    partly: str = ""  # the same; where it is empty, one of the others holds
    enough: int = 0  # with a smaller `n` nothing is more than partly reproduced

    def judge(self, evidence: Evidence) -> tuple[Verdict, Finding]:
        """The verdict, and what it comes from."""
        try:
            found = self.measure(evidence)
        except NotRun as none:
            why = none.reason or evidence.why_not_run(none.what, none.of)
            return "not run", Finding((), "", 0, remark=why)
        low, high = found.interval or (None, None)
        numbers = {"value": found.value, "low": low, "high": high, **found.numbers}
        rules = (self.reproduced, self.partly)
        held, also = ([holds(numbers[name], bound) for name, bound in BOUND.findall(words)] for words in rules)
        few = f"only {found.n} of {self.enough} run" if found.n < self.enough else ""
        partly = all(held) or (all(also) if also else any(held))
        verdict: Verdict = "reproduced" if all(held) and not few else "partly" if partly else "not"
        return verdict, replace(found, remark=joined(few, found.remark))

    def in_words(self) -> tuple[str, str]:
        """From where on it is `reproduced`, and `partly`."""
        reproduced, partly = (BOUND.sub(r"\2", words) for words in (self.reproduced, self.partly or "one of the two"))
        return reproduced, partly + (f", or fewer than {self.enough} run" if self.enough else "")


def holds(number: float | None, bound: str) -> bool:
    """Whether a number is known and within a bound: `at least half`, `less than 0.001`, `all`."""
    first, second, value = WHOLE.get(bound, bound).split(" ", 2)
    limit = SHARES[value] if value in SHARES else float(value)
    return number is not None and bool(SIGNS[f"{first} {second}"](number, limit))


def share(words: str, reproduced: str, partly: str, enough: int = 0) -> tuple[str, str, int]:
    """The rule about the share of cases in which something is so: `PIR rises in {} of the objectives`, with two bounds."""
    return words.replace("{}", f"{{share: {reproduced}}}"), f"in {{share: {partly}}}", enough


def mean_interval(values: pd.Series) -> Interval | None:
    """95% interval of a mean (Student's t); None for fewer than two values."""
    numbers = list(map(float, values))
    if len(numbers) < 2:
        return None
    half = float(stats.t.ppf(0.975, len(numbers) - 1)) * statistics.stdev(numbers) / len(numbers) ** 0.5
    return statistics.fmean(numbers) - half, statistics.fmean(numbers) + half


def said(bounds: Interval | None, digits: int = 2) -> str:
    """An interval in brackets after its number; empty where undefined."""
    return f" ({interval(list(bounds), digits)})" if bounds else ""


def said_mean(values: pd.Series, digits: int = 2) -> str:
    """A mean with its interval."""
    return f"{number(statistics.fmean(values), digits, signed=True)}{said(mean_interval(values), digits)}"


def joined(*remarks: str) -> str:
    """Remarks in one line."""
    return "; ".join(filter(None, remarks))


def say(words: Words, rows: Frame, **more: Any) -> str:
    """Something said of a table."""
    if callable(words):
        return words(rows)
    return words.format(**rows[columns_of(rows, words)].mean(numeric_only=True), **more)


@dataclass(frozen=True)
class Table:
    """Rows that a claim is about; by default of experiments with the paper's method."""

    what: str  # there are no runs of, or with, where it is empty
    of: str = ""  # which experiments, as a query
    where: str = ""  # which of their results
    rows: Callable[[Evidence], Frame] = lambda evidence: evidence.method

    def read(self, evidence: Evidence, expression: str) -> Frame:
        """The rows that have every number of an expression; `NotRun` where there are none."""
        rows = select(select(self.rows(evidence), self.of), self.where)
        rows = rows.dropna(subset=columns_of(rows, expression))
        if rows.empty:
            raise NotRun(self.what, self.of)
        return rows


def names(rows: Frame) -> tuple[str, ...]:
    """The experiments behind a table, each once."""
    columns = [rows[name].explode() for name in ("experiment", "paper_experiment") if name in rows]
    return tuple(dict.fromkeys(pd.concat(columns)))


def shared(rows: Frame, cases: pd.Series, did: str, more: str = "", remark: str = "", **numbers: float) -> Finding:
    """A finding whose number is the share of cases."""
    count, n = int(cases.sum()), len(cases)
    low, high = stats.binomtest(count, n).proportion_ci(method="wilson")
    words = joined(f"{count} of {n} {did} ({100 * low:.0f}% to {100 * high:.0f}%)", more)
    return Finding(names(rows), words, n, count / n, (low, high), remark, {"share": count / n, **numbers})


def count(case: str, did: str, table: Table, more: Words = "", remark: Words = "", **numbers: str) -> Measure:
    """Of how many rows an expression is true, with another number in words, a remark, and means of other expressions."""

    def measure(evidence: Evidence) -> Finding:
        rows = table.read(evidence, case)
        others = {name: float(evaluate(rows, expression).mean()) for name, expression in numbers.items()}
        return shared(rows, evaluate(rows, case), did, say(more, rows), say(remark, rows), **others)

    return measure


def average(value: str, words: str, table: Table, remark: Words = "", **numbers: str) -> Measure:
    """The mean of an expression, which goes into the words as `{value}`, its interval as `{interval}` with as many decimals.

    `{above}`, like the rule's `share`, and `{below}` are of values above and below 0, `{n}` of all. The rest is as in `count`.
    """
    digits = int(re.findall(r"\{value:\+?\.(\d)f\}", words)[0])

    def measure(evidence: Evidence) -> Finding:
        rows = table.read(evidence, value)
        values = evaluate(rows, value)
        n, mean, bounds, above = len(rows), statistics.fmean(values), mean_interval(values), int((values > 0).sum())
        more = {"above": above, "below": (values < 0).sum(), "least": values.min(), "most": values.max()}
        ours = say(words, rows, value=mean, interval=said(bounds, digits), n=n, **more)
        others = {name: float(evaluate(rows, expression).mean()) for name, expression in numbers.items()}
        return Finding(names(rows), ours, n, mean, bounds, say(remark, rows), {"share": above / n, **others})

    return measure
