"""The files of a run directory as one value, with what is absent left empty. No TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.report.numbers import finite
from pir_tf.report.tables import STAGES
from pir_tf.runs.arrays import require_arrays
from pir_tf.runs.directory import read_json


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """What a run has written so far; what it hasn't is empty or `None`."""

    path: Path
    about: dict[str, Any]  # `config.json`: config, versions, commit, hardware, start
    stages: dict[str, dict[str, Any] | None]  # for each stage its `done.json`
    results: dict[str, Any]  # `evaluation/results.json`
    quality: dict[str, Any]  # `estimator/quality.json`
    samples: dict[str, np.ndarray]  # `evaluation/samples.npz`
    interactions: pd.DataFrame | None  # `interactions/interactions.csv`
    tuning_history: pd.DataFrame | None  # logs as floats, NaN where a row has no value
    gan_history: pd.DataFrame | None
    class_names: tuple[str, ...]  # in the classes' order
    start_up: float | None  # seconds in which the process came to its first stage

    @property
    def config(self) -> dict[str, Any]:
        """The flat config, by dotted names."""
        return self.about.get("config") or {}

    @property
    def simulated(self) -> bool:
        """Whether simulated users answered for the training images: their PIR is known without noise."""
        return self.config.get("interactions.source") == "simulated"

    @property
    def temperature(self) -> bool:
        """Whether the estimator has a temperature, as bins alone have."""
        return self.config.get("estimator.output", "bins") == "bins"

    @property
    def linear(self) -> bool:
        """Whether the estimator is linear: its judge has other answers and features."""
        return self.config.get("estimator.output") == "linear"

    def values(self, name: str) -> np.ndarray:
        """The finite numbers of one array of the samples [n]; empty when it was not measured."""
        array = np.asarray(self.samples.get(name, ()), np.float64).ravel()
        return array[np.isfinite(array)]


def read_run(path: Path) -> RunFiles:
    """Reads what is there of a run directory, which must hold `config.json`.

    Raises:
        InputError: The directory holds no run, or one of its files is damaged.
    """
    if not (path / "config.json").is_file():
        raise InputError(f"{path} has no config.json, expected a run directory: name the directory of a run.")
    results = _json(path / "evaluation" / "results.json")
    samples = _arrays(path / "evaluation" / "samples.npz")
    names = results.get("class_names") or _json(path / "gan" / "generator.json").get("class_names") or ()
    return RunFiles(
        path=path,
        about=_json(path / "config.json"),
        stages={stage: _json(path / stage / "done.json") or None for stage in STAGES},
        results=results,
        quality=_json(path / "estimator" / "quality.json"),
        samples=samples,
        interactions=_table(path / "interactions" / "interactions.csv"),
        tuning_history=_history(path / "tuning" / "history.csv"),
        gan_history=_history(path / "gan" / "history.csv"),
        class_names=_class_names(names, samples),
        start_up=finite(_json(path / "start-up.json").get("seconds")),
    )


def _json(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    if not isinstance(value, dict):
        raise InputError(f"{path} holds {type(value).__name__}, expected an object: restore it or repeat its stage.")
    return value


def _arrays(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        return {}
    return require_arrays(path, "repeat the evaluation")


def _table(path: Path) -> pd.DataFrame | None:
    if not path.is_file() or path.stat().st_size == 0:
        return None
    # A log of a killed run may end within a line.
    return pd.read_csv(path, on_bad_lines="skip")


def _history(path: Path) -> pd.DataFrame | None:
    table = _table(path)
    if table is None or "step" not in table or table.empty:
        return None
    floats = table.apply(pd.to_numeric, errors="coerce").astype(np.float64)
    return floats.replace([np.inf, -np.inf], np.nan).dropna(subset=["step"])


def _class_names(names: Any, samples: dict[str, np.ndarray]) -> tuple[str, ...]:
    """The known names, with numbers for classes that labels have beyond them."""
    labels = [int(samples[key].max()) for key in samples if "label" in key and samples[key].size]
    count = max([len(names), *(label + 1 for label in labels)])
    return tuple(str(names[i]) if i < len(names) else f"class {i}" for i in range(count))
