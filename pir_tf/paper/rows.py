"""One experiment as one row: what was asked and what came out (section 4), and tables of such rows as CSV. No TensorFlow.

A row decides nothing: which rows a figure shows is in `select.py`. What is undefined or was not measured is missing, an empty
cell in the CSV.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pir_tf.errors import InputError
from pir_tf.objective_names import VGG, VGG_FILTERS, parse
from pir_tf.report.numbers import finite
from pir_tf.runs.directory import atomic

Row = dict[str, Any]

LAYERS = tuple(VGG_FILTERS)
"""The layers of VGG16 that the paper targets, in their order: the first has index 1."""

VGG_SINGLE = "vgg single"
VGG_MULTI = "vgg k=20"

CHANNELS = ("red", "green", "blue", "middle_blue")
"""Mean of each channel over all images, in [0, 1]; the last is how much bluer the middle third is than the outer ones."""

COLUMNS: dict[str, type] = {
    **dict.fromkeys(("experiment", "objective", "kind", "layer"), str),
    **dict.fromkeys(("layer_index", "k"), int),
    "filters": str,
    "filter_seed": int,
    "vgg_weights": str,
    "seed": int,
    **dict.fromkeys(("preset", "estimator", "backbone", "estimator_layer"), str),
    "estimator_size": int,
    **dict.fromkeys(("trainable", "output", "scaling"), str),
    **dict.fromkeys(("images", "impressions"), int),
    **dict.fromkeys(("temperature", "pir_weight", "fools_weight", "fake_class_weight"), float),
    **{"tuning_kind": str, "tuning_stop": str},
    **dict.fromkeys(("pir_gradient_ratio", "pir_gradient_limit", "keep_distance"), float),
    **dict.fromkeys(("round", "tuning_steps", "estimator_steps", "gan_steps"), int),
    **dict.fromkeys(("tuning_learning_rate", "estimator_learning_rate"), float),
    **dict.fromkeys(("gan_loss", "gan_kind", "generator", "data"), str),
    **dict.fromkeys(("pir_before_mean", "pir_before_sd", "pir_after_mean", "pir_after_sd", "change"), float),
    **dict.fromkeys(("cohens_d", "d_low", "d_high", "welch_t", "p_value"), float),
    "significant": bool,
    "verdict": str,
    **dict.fromkeys(("estimated_before", "estimated_change", "estimator_bias", "judged_change"), float),
    **dict.fromkeys(("initial_mean", "initial_sd", "initial_percent_zero", "initial_percent_nonzero"), float),
    **dict.fromkeys(("unscaled_change", "unscaled_cohens_d", "unscaled_d_low", "unscaled_d_high"), float),
    "percent_clipped": float,
    **{f"{name}_{when}": float for name in CHANNELS for when in ("before", "after")},
    **dict.fromkeys(("distance_before", "distance_after", "distance_real"), float),
    **dict.fromkeys(("ms_ssim_before", "ms_ssim_after", "ms_ssim_real"), float),
    "collapsed": bool,
    **dict.fromkeys(("kid_before", "kid_after", "kid_before_se", "kid_after_se"), float),
    **dict.fromkeys(("first_round_d", "d_from_start", "d_from_start_low", "d_from_start_high"), float),
}
"""The columns of a row, in their order, with the type of their values."""

LATER: dict[str, Any] = {
    **{"tuning_kind": "weights", "tuning_stop": "none"},
    **dict.fromkeys(("pir_gradient_ratio", "pir_gradient_limit", "keep_distance"), 0.0),
}
"""Columns that earlier tables and configs lack, with what was done then."""

_DTYPES = {str: str, int: "Int64", float: "float64", bool: "boolean"}
_EXPECTED = {int: "a whole number", float: "a finite number", bool: "true or false"}


def row_of(config: Mapping[str, Any], results: Mapping[str, Any], *, experiment: str = "") -> Row:
    """An experiment's row.

    Args:
        config: The flat config by dotted names, as `config.json` holds it under `config`.
        results: `evaluation/results.json`; empty for an experiment that has none.
        experiment: The experiment's name.

    Returns:
        A value for each of `COLUMNS`. PIRs are in [0, 1], percents in [0, 100], intervals of 95%. Differences are after
        minus before; `estimator_bias` is mean estimated minus mean true PIR of the images before tuning. Diversity is the
        mean over classes. Text is empty, a number None, where there is none.

    Source: 4, A.1, A.2, 5.1. Deviation: D14 (initial values are those of the estimator's training images).
    """
    # What `results.json` has under a column's own name comes as it is.
    told = results.get("source") in ("csv", "people")  # of new images, perhaps after simulated users of the first
    asked = _asked({**config, "interactions.source": results["source"]} if told else config)
    found = {**results, "experiment": experiment, **asked, **_came_out(results)}
    # A third round names a second one as its first: only its results know that.
    found["round"] = results.get("round") or (2 if config.get("first_round") else 1)
    row = {name: found.get(name) for name in COLUMNS}
    kept = {str: lambda value: str(value or ""), float: finite}
    return {name: kept[kind](row[name]) if kind in kept else row[name] for name, kind in COLUMNS.items()}


def table(rows: pd.DataFrame | Sequence[Row], columns: Mapping[str, type] = COLUMNS) -> pd.DataFrame:
    """Rows as a DataFrame of these columns; what they lack is empty text, or a missing number."""
    frame = _frame(rows, columns).fillna({name: "" for name, kind in columns.items() if kind is str})
    return frame.astype({name: _DTYPES[kind] for name, kind in columns.items()})


def records(rows: pd.DataFrame) -> list[Row]:
    """A dictionary for each row; what is missing is None."""
    return rows.astype(object).where(rows.notna(), None).to_dict("records")


def write_rows(path: Path, rows: pd.DataFrame | Sequence[Row], columns: Iterable[str] = COLUMNS) -> None:
    """Writes these columns as CSV, atomically; equal rows give equal bytes."""
    shown, types = _frame(rows, columns), columns if isinstance(columns, Mapping) else COLUMNS
    for name in shown:
        if types.get(name) is bool:
            shown[name] = shown[name].map({True: "true", False: "false"})
    with atomic(path) as beside:
        shown.to_csv(beside, index=False, lineterminator="\n")


def read_rows(path: Path, columns: Mapping[str, type] = COLUMNS) -> pd.DataFrame:
    """Reads a CSV file; what `write_rows` wrote comes back equal.

    Args:
        path: The file.
        columns: Columns that it must have, with their types; others are text.

    Raises:
        InputError: The file is no such table.
    """
    try:
        cells = pd.read_csv(path, header=None, dtype=str, keep_default_na=False, engine="python")
    except (OSError, ValueError) as error:  # pandas' own are ValueErrors
        raise InputError(f"{path} can't be read as a table ({error}): restore it or make it again.") from error
    names = list(cells.iloc[0])
    if cells.isna().any(axis=None) or len(set(names)) < len(names):
        raise InputError(f"{path} has a line that is too short, or two columns of one name: mend it or make it again.")
    lacking = [name for name in columns if name not in names and name not in LATER]
    if lacking:
        raise InputError(f"{path} has no column {lacking[0]}, expected a table of this version: make it again.")
    found = cells.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)
    found = found.assign(**{name: str(LATER[name]) for name in columns if name in LATER and name not in names})
    for name, kind in columns.items():
        if kind is not str:
            values = [_value(path, name, cell, kind) for cell in found[name]]
            found[name] = pd.Series(values, dtype=_DTYPES[kind])
    return found


def _frame(rows: pd.DataFrame | Sequence[Row], columns: Iterable[str]) -> pd.DataFrame:
    if isinstance(rows, pd.DataFrame):
        return rows.reindex(columns=list(columns))
    return pd.DataFrame({name: pd.Series([row.get(name) for row in rows], dtype=object) for name in columns})


def _asked(config: Mapping[str, Any]) -> Row:
    get = config.get
    simulated = get("interactions.source") == "simulated"
    objective = str(get("interactions.objective") or "") if simulated else ""
    shown = f"{get('estimator.backbone') or ''} {get('estimator.layer') or ''}".strip()
    return {
        **(_objective(objective, get("interactions.vgg_weights")) if simulated else {"kind": "people"}),
        "objective": objective,
        "estimator": f"{shown}, {get('estimator.trainable')}" if shown else "",
        "estimator_layer": get("estimator.layer"),
        "output": _output(config),
        "estimator_size": get("estimator.image_size"),
        "data": get("data.source"),
        **{name: get(field, LATER.get(name)) for name, field in _FIELDS.items()},
    }


def _output(config: Mapping[str, Any]) -> Any:
    """The estimator's output, with those of its settings that the paper's has not: `bins, bin_range data`."""
    usual = {"bin_range": "unit", "bin_loss": "one_hot", "scalar_start": "half"}
    output, given = config.get("estimator.output"), {name: config.get(f"estimator.{name}") for name in usual}
    other = [f"{name} {value}" for name, value in given.items() if value not in (None, usual[name])]
    return ", ".join([str(output), *other]) if other else output


def _objective(name: str, weights: Any) -> Row:
    """What an objective's name says, the seed of drawn filters among it; its kind is `other` where we don't know it."""
    try:
        objective = parse(name)
    except InputError:
        return {"kind": "other"}
    if not isinstance(objective, VGG):
        return {"kind": objective.kind}
    found = {"kind": objective.kind, "layer": objective.layer, "layer_index": LAYERS.index(objective.layer) + 1}
    filters = " ".join(map(str, objective.filters or ()))
    return {**found, "k": objective.k, "filters": filters, "filter_seed": objective.seed, "vgg_weights": weights}


_FIELDS = {
    **{name: name for name in ("seed", "preset")},
    **{name: f"interactions.{name}" for name in ("scaling", "images", "impressions")},
    **{name: f"estimator.{name}" for name in ("backbone", "trainable", "temperature")},
    **{name: f"tuning.{name}" for name in ("pir_weight", "fools_weight", "pir_gradient_ratio", "pir_gradient_limit")},
    "keep_distance": "tuning.keep_distance",
    **{name: name.replace("_", ".") for name in ("tuning_kind", "tuning_stop")},
    "fake_class_weight": "gan.fake_class_weight",
    **{f"{stage}_steps": f"{stage}.steps" for stage in ("tuning", "estimator", "gan")},
    **{f"{stage}_learning_rate": f"{stage}.learning_rate" for stage in ("tuning", "estimator")},
    **{"gan_loss": "gan.loss", "gan_kind": "gan.kind", "generator": "gan.generator"},
}
"""Columns that are a field of the config as it stands."""


def _came_out(results: Mapping[str, Any]) -> Row:
    parts = ("true", "estimated", "judged", "unscaled", "scaling", "first_round", "diversity", "kid")
    true, estimated, judged, unscaled, scaling, first, diversity, kid = (results.get(name) or {} for name in parts)
    believed, known = finite(estimated.get("before_mean")), finite(true.get("before_mean"))
    zero, flags = finite(results.get("initial_percent_zero")), diversity.get("collapsed")
    return {
        "pir_before_sd": true.get("before_sd"),
        "pir_after_sd": true.get("after_sd"),
        **_bounds("d", results.get("cohens_d_interval")),
        "estimated_before": believed,
        "estimator_bias": None if believed is None or known is None else believed - known,
        "judged_change": judged.get("change"),
        "initial_percent_nonzero": None if zero is None else 100.0 - zero,
        "unscaled_change": unscaled.get("change"),
        "unscaled_cohens_d": unscaled.get("cohens_d"),
        **_bounds("unscaled_d", unscaled.get("cohens_d_interval")),
        "percent_clipped": scaling.get("percent_clipped_shown"),
        **_channels(results.get("channel_means") or {}),
        **{
            f"{measure}_{side}": _mean((diversity.get(side) or {}).get(measure))
            for measure in ("distance", "ms_ssim")
            for side in ("before", "after", "real")
        },
        "collapsed": any(flag is True for flag in flags) if isinstance(flags, list) else None,
        **{f"kid_{name}": kid.get(name) for name in ("before", "after", "before_se", "after_se")},
        "first_round_d": first.get("cohens_d_from_start"),
        "d_from_start": results.get("cohens_d_from_start"),
        **_bounds("d_from_start", results.get("cohens_d_from_start_interval")),
    }


def _bounds(name: str, interval: Any) -> Row:
    low, high = interval or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _channels(means: Mapping[str, Any]) -> Row:
    found: Row = {}
    for when, side in means.items():
        if side:
            left, middle, right = (third[2] for third in side["thirds"])
            values = (*side["image"], middle - (left + right) / 2)
            found |= {f"{name}_{when}": value for name, value in zip(CHANNELS, values, strict=True)}
    return found


def _mean(values: Sequence[Any] | None) -> float | None:
    """Mean over classes; None where a class has no number, since the others would speak for it."""
    numbers = [finite(value) for value in values or ()]
    known = [value for value in numbers if value is not None]
    return sum(known) / len(known) if known and len(known) == len(numbers) else None


def _value(path: Path, name: str, cell: str, kind: type) -> Any:
    try:
        value = {"true": True, "false": False, "": None}[cell] if kind is bool or not cell else kind(cell)
        if value is not None and not math.isfinite(value):
            raise ValueError
    except (ValueError, KeyError):
        raise InputError(
            f"{path}: {name} is {cell!r}, expected {_EXPECTED[kind]} or nothing: mend it or make it again."
        ) from None
    return value
