"""One experiment as one row of plain values, and tables of such rows as CSV (section 4). No TensorFlow.

The row says what was asked (the objective and the settings that the paper varies) and what came out. It decides nothing:
which rows a figure shows is in `selection.py`. What is undefined or was not measured is None, an empty cell in the CSV.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError
from pir_tf.objective_names import VGG_FILTERS, is_vgg, parse_vgg
from pir_tf.report.numbers import finite
from pir_tf.runs.directory import atomic

Row = dict[str, Any]

LAYERS = tuple(VGG_FILTERS)
"""The layers of VGG16 that the paper targets, in their order: the first has index 1."""

COLOR_KINDS = ("single color", "two colors", "three colors")
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
    **dict.fromkeys(("round", "tuning_steps", "estimator_steps", "gan_steps"), int),
    **dict.fromkeys(("tuning_learning_rate", "estimator_learning_rate"), float),
    **dict.fromkeys(("gan_loss", "gan_kind", "generator", "data"), str),
    **dict.fromkeys(("pir_before", "pir_before_sd", "pir_after", "pir_after_sd", "change"), float),
    **dict.fromkeys(("cohens_d", "d_low", "d_high", "welch_t", "p_value"), float),
    "significant": bool,
    "verdict": str,
    **dict.fromkeys(("estimated_before", "estimated_change", "estimator_bias", "judged_change"), float),
    **dict.fromkeys(("initial_mean", "initial_sd", "percent_zero", "percent_nonzero"), float),
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
    row: Row = dict.fromkeys(COLUMNS)
    row.update({name: "" for name, kind in COLUMNS.items() if kind is str})
    row["experiment"] = experiment
    row.update(_asked(config))
    row.update(_came_out(results))
    # A third round names a second one as its first: only its results know that.
    row["round"] = results.get("round") or row["round"]
    return row


def objective_parts(objective: str) -> Row:
    """What an objective's name says: kind, layer, its index, k, named filters, and the seed of drawn ones.

    Args:
        objective: `color:red-blue`, `vgg:pool3:k=20:seed=1` or `vgg:pool3:filters=12,40`.

    Returns:
        The row's first columns. `kind` is `other` for names of another form.
    """
    parts: Row = {"kind": "other", "layer": "", "layer_index": None, "k": None, "filters": "", "filter_seed": None}
    scheme, _, rest = objective.partition(":")
    count = len(rest.split("-"))
    if scheme == "color" and count <= len(COLOR_KINDS):
        return {**parts, "kind": COLOR_KINDS[count - 1]}
    try:
        vgg = parse_vgg(objective) if is_vgg(objective) else None
    except InputError:
        vgg = None
    if vgg:
        filters = " ".join(map(str, vgg.filters or ()))
        kind = VGG_SINGLE if vgg.k == 1 else f"vgg k={vgg.k}"
        parts.update(kind=kind, layer=vgg.layer, layer_index=LAYERS.index(vgg.layer) + 1, k=vgg.k)
        parts.update(filters=filters, filter_seed=vgg.seed)
    return parts


def channel_columns(means: Mapping[str, Any]) -> Row:
    """The columns of `CHANNELS`, from `evaluation.channels.channel_means` under `before` and `after`; None where absent."""
    found: Row = {}
    for when in ("before", "after"):
        side = means.get(when) or {}
        whole, thirds = side.get("image") or (None,) * 3, side.get("thirds")
        left, middle, right = (finite(third[2]) for third in thirds) if thirds else (None,) * 3
        blue = None if left is None or middle is None or right is None else middle - (left + right) / 2
        found |= {f"{name}_{when}": finite(value) for name, value in zip(CHANNELS, (*whole, blue), strict=True)}
    return found


def write_rows(path: Path, rows: Sequence[Row], columns: Sequence[str] = tuple(COLUMNS)) -> None:
    """Writes rows as CSV, atomically; equal rows give equal bytes."""
    with atomic(path) as beside, open(beside, "w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def read_rows(path: Path, types: Mapping[str, type] = COLUMNS) -> list[Row]:
    """Reads what `write_rows` wrote.

    Args:
        path: The CSV file.
        types: Types of columns, `str` for those that it doesn't name; an empty cell is None in a column of another type.

    Returns:
        A dict for each line.

    Raises:
        InputError: The file is no such table.
    """
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            table = list(csv.reader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path} can't be read ({error}), expected a CSV file: make it again.") from error
    if not table or len(set(table[0])) != len(table[0]):
        raise InputError(f"{path} has no header with a name for each column, expected a CSV file: make it again.")
    header, *lines = table
    for number, cells in enumerate(lines, 2):
        if len(cells) != len(header):
            raise InputError(
                f"{path}, line {number}, has {len(cells)} cells, expected {len(header)}: mend it or make it again."
            )
    return [
        {name: _value(path, name, cell, types.get(name, str)) for name, cell in zip(header, cells, strict=True)}
        for cells in lines
    ]


def _asked(config: Mapping[str, Any]) -> Row:
    get = config.get
    simulated = get("interactions.source", "simulated") == "simulated"
    objective = str(get("interactions.objective", "")) if simulated else ""
    backbone, layer = str(get("estimator.backbone", "")), str(get("estimator.layer", "") or "")
    trainable = str(get("estimator.trainable", ""))
    shown = f"{backbone} {layer}".strip()
    return {
        **objective_parts(objective),
        **({} if simulated else {"kind": "people"}),
        "objective": objective,
        "vgg_weights": str(get("interactions.vgg_weights", "")) if is_vgg(objective) else "",
        "seed": get("seed"),
        "preset": str(get("preset", "")),
        "estimator": f"{shown}, {trainable}" if shown else "",
        "backbone": backbone,
        "estimator_layer": layer,
        "estimator_size": get("estimator.image_size"),
        "trainable": trainable,
        "output": str(get("estimator.output", "")),
        "scaling": str(get("interactions.scaling", "none")),
        "images": get("interactions.images"),
        "impressions": get("interactions.impressions"),
        "temperature": finite(get("estimator.temperature")),
        "pir_weight": finite(get("tuning.pir_weight")),
        "fools_weight": finite(get("tuning.fools_weight")),
        "fake_class_weight": finite(get("gan.fake_class_weight")),
        "round": 2 if get("first_round") else 1,
        "tuning_steps": get("tuning.steps"),
        "estimator_steps": get("estimator.steps"),
        "gan_steps": get("gan.steps"),
        "tuning_learning_rate": finite(get("tuning.learning_rate")),
        "estimator_learning_rate": finite(get("estimator.learning_rate")),
        "gan_loss": str(get("gan.loss", "non_saturating")),
        "gan_kind": str(get("gan.kind", "acgan")),
        "generator": str(get("gan.generator", "")),
        "data": str(get("data.source", "")),
    }


def _came_out(results: Mapping[str, Any]) -> Row:
    true, estimated = results.get("true") or {}, results.get("estimated") or {}
    unscaled, first = results.get("unscaled") or {}, results.get("first_round") or {}
    diversity = results.get("diversity") or {}
    kid = results.get("kid") or {}
    zero = finite(results.get("percent_zero_before"))
    believed, known = finite(estimated.get("before_mean")), finite(true.get("before_mean"))
    significant, flags = results.get("significant"), diversity.get("collapsed")
    # Where only the judged images' mean is known: they come from the same generator as the estimator's training images.
    initial_mean = finite(results.get("initial_mean", results.get("pir_before_mean")))
    return {
        "pir_before": finite(results.get("pir_before_mean")),
        "pir_before_sd": finite(true.get("before_sd")),
        "pir_after": finite(results.get("pir_after_mean")),
        "pir_after_sd": finite(true.get("after_sd")),
        "change": finite(results.get("change")),
        "cohens_d": finite(results.get("cohens_d")),
        **_bounds("d", results.get("cohens_d_interval")),
        "welch_t": finite(results.get("welch_t")),
        "p_value": finite(results.get("p_value")),
        "significant": significant if isinstance(significant, bool) else None,
        "verdict": str(results.get("verdict") or ""),
        "estimated_before": believed,
        "estimated_change": finite(results.get("estimated_change")),
        "estimator_bias": None if believed is None or known is None else believed - known,
        "judged_change": finite((results.get("judged") or {}).get("change")),
        "initial_mean": initial_mean,
        "initial_sd": finite(results.get("pir_before_sd")),
        "percent_zero": zero,
        "percent_nonzero": None if zero is None else 100.0 - zero,
        "unscaled_change": finite(unscaled.get("change")),
        "unscaled_cohens_d": finite(unscaled.get("cohens_d")),
        **_bounds("unscaled_d", unscaled.get("cohens_d_interval")),
        "percent_clipped": finite((results.get("scaling") or {}).get("percent_clipped_shown")),
        **channel_columns(results.get("channel_means") or {}),
        **{
            f"{measure}_{side}": _mean((diversity.get(side) or {}).get(measure))
            for measure in ("distance", "ms_ssim")
            for side in ("before", "after", "real")
        },
        "collapsed": any(flag is True for flag in flags) if isinstance(flags, list) else None,
        **{f"kid_{name}": finite(kid.get(name)) for name in ("before", "after", "before_se", "after_se")},
        "first_round_d": finite(first.get("cohens_d_from_start", first.get("cohens_d"))),
        "d_from_start": finite(results.get("cohens_d_from_start")),
        **_bounds("d_from_start", results.get("cohens_d_from_start_interval")),
    }


def _bounds(name: str, interval: Any) -> Row:
    low, high = interval if isinstance(interval, list | tuple) and len(interval) == 2 else (None, None)
    return {f"{name}_low": finite(low), f"{name}_high": finite(high)}


def _mean(values: Any) -> float | None:
    """Mean over classes; None where a class has no number, since the others would speak for it."""
    numbers = [finite(value) for value in values] if isinstance(values, list | tuple) else []
    known = [value for value in numbers if value is not None]
    return sum(known) / len(known) if known and len(known) == len(numbers) else None


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def _value(path: Path, name: str, cell: str, kind: type) -> Any:
    if kind is str:
        return cell
    if cell == "":
        return None
    try:
        if kind is bool:
            return {"true": True, "false": False}[cell]
        number = kind(cell)
    except (ValueError, KeyError) as error:
        wanted = {bool: "true or false", int: "a whole number", float: "a number"}[kind]
        raise InputError(f"{path}: {name} is {cell!r}, expected {wanted}: mend it or make it again.") from error
    if finite(number) is None:
        raise InputError(f"{path}: {name} is {cell}, expected a finite number or nothing: mend it or make it again.")
    return number
