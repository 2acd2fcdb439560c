"""Which experiments a figure shows: the paper's own method, and the others beside it (sections 4, 5.1, A.3, C.3, C.5).

A collection may hold one objective many times: with other weights, a second round, an estimator with one output. Figures
about objectives take each once, with the paper's method; the rest is for the figures that compare settings.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from pir_tf.paper.rows import COLOR_KINDS, Row

METHOD: dict[str, Any] = {
    "round": 1,
    "pir_weight": 1000.0,
    "fools_weight": 1.0,
    "fake_class_weight": 1.5,
    "output": "bins",
    "temperature": 0.01,
    "scaling": "none",
    "gan_loss": "non_saturating",
    "gan_kind": "acgan",
}
"""The settings that the paper compares with others, at their values of the paper."""

_WEIGHTS = ("pir_weight", "fools_weight", "fake_class_weight")
_SIZE = ("preset", "data", "generator", "gan_steps", "tuning_learning_rate")
_TRAINING = ("estimator_size", "estimator_steps", "estimator_learning_rate")
_ESTIMATOR = ("backbone", "estimator_layer", "trainable", *_TRAINING)
_SETTINGS = ("objective", "vgg_weights", "seed", *METHOD, *_SIZE, *_ESTIMATOR, "tuning_steps")


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One setting that is compared with the paper's.

    Attributes:
        name: The comparison, in words.
        field: The column that differs.
        free: Other columns that may differ with it.
    """

    name: str
    field: str
    free: tuple[str, ...] = ()


COMPARISONS = (
    Comparison("One scalar output instead of 100 bins (C.3)", "output"),
    Comparison("Softmax temperature when used (C.3)", "temperature"),
    Comparison("PIR normalised to mean 0.5, SD 0.25 (C.5)", "scaling"),
    Comparison("Estimator fine-tuned whole or its head alone (2.3)", "trainable", _TRAINING),
    Comparison("Longer tuning (4.2)", "tuning_steps"),
    Comparison("Saturating generator loss (2.1)", "gan_loss"),
    Comparison("Plain GAN instead of ACGAN (footnote 1)", "gan_kind"),
)


def by_the_paper(rows: Sequence[Row]) -> list[Row]:
    """Experiments with the paper's method, each objective and seed once.

    Where one was run at several sizes (another estimator, generator or length) the setting that most experiments of its
    kind have is taken; three colours count after their longest tuning, as in the paper.

    Source: 4, 4.2 (three colours).
    """
    method = [row for row in rows if not departures(row)]
    common = Counter((row["kind"], _size(row)) for row in method)
    lengths = Counter((row["kind"], row["tuning_steps"]) for row in method)
    best: dict[tuple[Any, ...], Row] = {}
    for row in method:
        key = (row["objective"], row["seed"])
        if key not in best or _rank(row, common, lengths) > _rank(best[key], common, lengths):
            best[key] = row
    return list(best.values())


def departures(row: Row) -> list[str]:
    """The columns in which an experiment departs from the paper's method; none where nothing is known."""
    fields = [name for name, value in METHOD.items() if row.get(name) not in (None, "", value)]
    # Random filters are only to try out; the paper's are ImageNet's.
    fields += ["vgg_weights"] if row.get("vgg_weights") == "none" else []
    # One scalar output has no softmax, so no temperature.
    return [name for name in fields if name != "temperature" or row.get("output") != "scalar"]


def comparisons(rows: Sequence[Row]) -> list[tuple[Comparison, Row, Row]]:
    """Pairs of experiments that differ in one compared setting alone: (comparison, the paper's, the other).

    Source: 2.1, 4.2, C.3, C.5.
    """
    found = []
    for comparison in COMPARISONS:
        groups: dict[tuple[Any, ...], list[Row]] = {}
        for row in rows:
            key = _same(row, without={comparison.field, *comparison.free})
            groups.setdefault(key, []).append(row)
        for group in groups.values():
            base = _base(comparison, group)
            if base is not None:
                others = [row for row in group if row[comparison.field] != base[comparison.field]]
                found += [(comparison, base, row) for row in others]
    return found


def trade_offs(rows: Sequence[Row]) -> list[list[Row]]:
    """Sets of experiments that differ in the weights of the generator's loss alone, by rising weight of PIR.

    Source: 5.1.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(_same(row, without=set(_WEIGHTS)), []).append(row)
    curves = [curve for group in groups.values() if len(curve := _once(group)) > 1]
    # Without a generator loss the weight of PIR is no longer relative to anything: the extreme comes last.
    return [sorted(group, key=lambda row: (row["fools_weight"] == 0.0, row["pir_weight"] or 0.0)) for group in curves]


def second_rounds(rows: Sequence[Row]) -> list[Row]:
    """Second rounds whose effect sizes of both rounds are known.

    Source: A.3.
    """
    return [row for row in rows if row["round"] == 2 and None not in (row["first_round_d"], row["d_from_start"])]


def _base(comparison: Comparison, group: Sequence[Row]) -> Row | None:
    """The experiment that the others of a group are compared with."""
    values = [row[comparison.field] for row in group]
    if len(set(values)) < 2 or None in values:
        return None
    if comparison.field == "tuning_steps":
        return min(group, key=lambda row: row["tuning_steps"])
    # Most experiments here read features out, so the head alone is what whole fine-tuning is compared with.
    paper = "head" if comparison.field == "trainable" else METHOD[comparison.field]
    return next((row for row in group if row[comparison.field] == paper), None)


def _same(row: Row, *, without: set[str]) -> tuple[Any, ...]:
    values = {name: row.get(name) for name in _SETTINGS if name not in without}
    if row.get("generator") == "bundled":
        values["gan_steps"] = None
    return tuple(values.values())


def _size(row: Row) -> tuple[Any, ...]:
    return _same(row, without={"objective", "vgg_weights", "seed", "tuning_steps", *METHOD})


def _once(group: Sequence[Row]) -> list[Row]:
    """Each setting of the weights once, by the run that measured more."""
    best: dict[tuple[Any, ...], Row] = {}
    for row in group:
        other = best.setdefault(_weights(row), row)
        if other["kid_after"] is None and row["kid_after"] is not None:
            best[_weights(row)] = row
    return list(best.values())


def _weights(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _WEIGHTS)


def _rank(row: Row, common: Counter[Any], lengths: Counter[Any]) -> tuple[int, int]:
    steps = row["tuning_steps"] or 0
    longest = row["kind"] == COLOR_KINDS[2]
    return common[row["kind"], _size(row)], steps if longest else lengths[row["kind"], row["tuning_steps"]]
