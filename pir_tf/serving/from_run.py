"""What of a run goes into an export: a generator, its classes, the estimator, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from pir_tf.config.checks import require_one_line
from pir_tf.errors import InputError
from pir_tf.estimator.model import load_estimator, saved_estimator
from pir_tf.gan.saved import load_generator
from pir_tf.pretrained import sha256
from pir_tf.runs.directory import read_json
from pir_tf.runs.models import unusable
from pir_tf.runs.provenance import provenance

STAGES = {"tuned": "tuning", "untuned": "gan"}
MEASURED = ("cohens_d", "p_value", "alpha", "significant", "verdict", "source", "objective")


@dataclass(frozen=True)
class Material:
    """What is exported of a run, and what `provenance.json` says of it."""

    generator: keras.Model
    class_names: tuple[str, ...]
    estimator: keras.Model | None
    provenance: dict[str, Any]

    @classmethod
    def load(cls, run: Path, which: str, *, score: bool) -> Material:
        """Reads the "tuned" or "untuned" generator of a run directory; with `score` the estimator, where there is one.

        Raises:
            InputError: it is no run, the stage that writes the generator hasn't finished, or what it wrote isn't whole.
        """
        if not (run / "config.json").is_file():
            raise InputError(f"{run} has no config.json, expected the directory of a run: name one.")
        folder = run / STAGES[which]
        if not (folder / "done.json").exists():
            others = [name for name, stage in STAGES.items() if (run / stage / "done.json").exists()]
            choose = f", or choose --generator {others[0]}" if others else ""
            raise InputError(
                f"{run} has no finished stage {folder.name}, which writes the {which} generator: finish the run{choose}."
            )
        if not (folder / "generator.json").is_file():
            raise unusable(folder / "generator.json", "no such file")
        facts, made = read_json(folder / "generator.json"), read_json(run / "config.json")
        if not (isinstance(made, dict) and isinstance(made.get("config"), dict)):
            raise InputError(f"{run}/config.json is no run's, expected the directory of a run: name one.")
        if not (isinstance(facts, dict) and isinstance(facts.get("class_names"), list) and facts["class_names"]):
            raise unusable(folder / "generator.json", "it names no classes")
        names = tuple(map(str, facts["class_names"]))
        require_one_line(names)
        scored = score and (run / "estimator" / "done.json").exists()
        estimator = saved_estimator(run / "estimator") if scored else None
        about = _provenance(run, which, made)
        about["estimator_sha256"] = _digest(estimator) if estimator else None
        return cls(load_generator(folder), names, load_estimator(estimator) if estimator else None, about)


def _provenance(run: Path, which: str, made: dict[str, Any]) -> dict[str, Any]:
    return {
        "run": run.resolve().name,
        "generator": which,
        "generator_sha256": _digest(run / STAGES[which] / "generator.keras"),
        "pir": _measured(run),
        "trained_by": {name: made.get(name) for name in ("command", "commit", "versions", "started", "continued")},
        "exported_by": provenance(),
        "config": made["config"],
        "files": made.get("files"),
    }


def _digest(path: Path) -> str | None:
    """SHA-256 of a file; a SavedModel, which is a folder, has none."""
    return sha256(path) if path.is_file() else None


def _measured(run: Path) -> dict[str, Any] | None:
    """The true PIR of new images before and after tuning, or None where it hasn't been measured."""
    path = run / "evaluation" / "results.json"
    if not path.exists() or not path.with_name("done.json").exists():
        return None
    results = read_json(path)
    means = {"before": results.get("pir_before_mean"), "after": results.get("pir_after_mean")}
    return {**means, "gain": results.get("change"), **{name: results.get(name) for name in MEASURED}}
