"""What a run's files say beside its results: who made it, how long, its tuning log and its estimator's errors. No TensorFlow.

Claims of 2.4, 5.1, A.1 and C.3 rest on files that a row of `tidy` doesn't hold. A published folder has them under their base
names; what is absent is None.
"""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.evaluation.channels import channel_means
from pir_tf.paper.rows import channel_columns, read_rows
from pir_tf.report.numbers import finite, gpus
from pir_tf.runs.directory import STAGES, read_json
from pir_tf.runs.provenance import commits

TIMINGS = "timings.csv"
"""A sweep's table of seconds, beside its `results.csv`."""

PART = 0.2
"""Share of the tuning log that is its start, and as much its end."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """Facts of one experiment.

    Attributes:
        config: The flat config; empty where unknown.
        commit: Of the package that ran it, the first letters, and of others that it went on with; empty where unknown.
        hardware: In words; empty where unknown.
        seconds: Of its own stages.
        gan: Name of a GAN that was trained for several runs, with its seconds.
        gradient_ratio: Median norm of the weighted PIR term's gradient over that of L_fake_image_fools's. Source: 2.4.
        loss_ratio: Median size of the weighted PIR term over that of L_fake_image_fools. Source: 2.4.
        pir_rise: Mean L_PIR at the end of tuning minus at its start.
        generator_loss_rise: The same of the loss that the pretrained generator had, -L_fake_image_fools. Source: 5.1.
        bias, bias_at_1: Mean estimated minus mean true PIR of new images, at the temperature of use and at 1. Source: A.1.
        error: Mean absolute error on new images, as trained (temperature 1). Source: C.3.
        swd: Sliced Wasserstein distance of the pretrained generator's images to real ones.
    """

    config: dict[str, Any] = dataclasses.field(default_factory=dict)
    commit: str = ""
    hardware: str = ""
    seconds: float | None = None
    gan: tuple[str, float] | None = None
    gradient_ratio: float | None = None
    loss_ratio: float | None = None
    pir_rise: float | None = None
    generator_loss_rise: float | None = None
    bias: float | None = None
    bias_at_1: float | None = None
    error: float | None = None
    swd: float | None = None


def read_facts(directory: Path) -> Facts:
    """The facts of a run directory or published folder; of one that isn't there its seconds alone, from the sweep's table.

    Raises:
        InputError: A file in it is damaged.
    """
    about = _json(directory / "config.json")
    config = about.get("config") or {}
    quality = _json(_first(directory, "estimator/quality.json", "quality.json"))
    at_1, used = quality.get("at_temperature_1") or {}, quality.get("at_temperature") or {}
    seconds, gan = _times(directory)
    return Facts(
        config=config,
        commit=commits(about, 7),
        hardware=_hardware(about.get("hardware") or {}),
        seconds=seconds,
        gan=gan,
        **_tuning(_first(directory, "tuning/history.csv", "history.csv"), finite(config.get("tuning.pir_weight"))),
        bias=finite(used.get("bias")),
        bias_at_1=finite(at_1.get("bias")),
        error=finite(at_1.get("mean_absolute_error")),
        swd=next(reversed(_column(directory / "gan" / "history.csv", "swd")), None),
    )


def channels_of(samples: Path) -> dict[str, float | None]:
    """The channel columns of `tidy`, from the images of a run whose results don't have them; empty without images."""
    if not samples.is_file():
        return {}
    with np.load(samples, allow_pickle=False) as arrays:
        if not {"before", "after"} <= set(arrays.files):
            return {}
        return channel_columns({when: channel_means(arrays[when]) for when in ("before", "after")})


def _first(directory: Path, *names: str) -> Path:
    return next((directory / name for name in names if (directory / name).is_file()), directory / names[0])


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _hardware(machine: dict[str, Any]) -> str:
    cores = machine.get("cores")
    known = [f"{cores} CPU cores ({machine.get('machine')})" if cores else "", gpus(machine)]
    return ", ".join(part for part in known if part)


def _times(directory: Path) -> tuple[float | None, tuple[str, float] | None]:
    """Seconds of the run's own stages, and the shared GAN: from its stages, the sweep's table, or its published page."""
    stages = {name: _json(directory / name / "done.json") for name in STAGES}
    own = [finite(facts.get("seconds")) for facts in stages.values() if facts and "trained_in" not in facts]
    shared = stages["gan"].get("trained_in")
    if own:
        seconds = finite(stages["gan"].get("seconds")) if shared else None
        return sum(value or 0.0 for value in own), None if seconds is None else (str(shared), seconds)
    table = directory.parent / TIMINGS
    lines = {line.get("name"): line for line in read_rows(table)} if table.is_file() else {}
    if directory.name in lines:
        name = lines[directory.name].get("gan_trained_in", "")
        gan = _number(lines[name].get("seconds")) if name in lines else None
        return _number(lines[directory.name].get("seconds")), None if gan is None else (name, gan)
    page = directory / "README.md"
    said = (
        re.search(r"^\| time \| ([\d.]+) s\b", page.read_text(encoding="utf-8"), re.MULTILINE)
        if page.is_file()
        else None
    )
    return (float(said[1]) if said else None), None


def _tuning(path: Path, weight: float | None) -> dict[str, float | None]:
    """Ratios and rises from a log of tuning; None where it lacks a column or is absent."""
    fools, pir = _column(path, "L_fake_image_fools"), _column(path, "L_PIR")
    pulls = [_middle(_column(path, name)) for name in ("gradient_pir", "gradient_fools")]
    weighted = [] if weight is None else [weight * abs(value) for value in pir]
    sizes = [_middle(values) for values in (weighted, [abs(value) for value in fools])]
    fall = _rise(fools)
    return {
        "gradient_ratio": _ratio(*pulls),
        "loss_ratio": _ratio(*sizes),
        "pir_rise": _rise(pir),
        "generator_loss_rise": None if fall is None else -fall,
    }


def _column(path: Path, name: str) -> list[float]:
    """The numbers of one column of a training log, in its order."""
    if not path.is_file() or not path.stat().st_size:
        return []
    known = (_number(line.get(name)) for line in read_rows(path))
    return [value for value in known if value is not None]


def _number(text: str | None) -> float | None:
    try:
        return finite(float(text or ""))
    except ValueError:
        return None


def _middle(values: Sequence[float]) -> float | None:
    return statistics.median(values) if values else None


def _ratio(above: float | None, below: float | None) -> float | None:
    return above / below if above is not None and below else None


def _rise(values: Sequence[float]) -> float | None:
    """Mean of the last part minus mean of the first."""
    if len(values) < 2:
        return None
    count = max(1, int(PART * len(values)))
    return statistics.fmean(values[-count:]) - statistics.fmean(values[:count])
