"""A second round (A.3): a run that goes on from a finished one, which its config names in `first_round`.

It begins with that run's tuned generator and discriminator, with its estimator's weights, and with its images and answers
beside new ones. Data, users and estimator must be the same; what is random is drawn anew (`RunDirectory.seed_of`). A second
round may be named as the first of a third.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.config import ExperimentConfig
from pir_tf.errors import InputError, differences
from pir_tf.objective_names import parse
from pir_tf.pretrained import sha256
from pir_tf.runs.arrays import require_arrays
from pir_tf.runs.directory import STAGES, atomic, atomic_folder, identity, read_json, recorded
from pir_tf.statistics.effects import cohens_d, cohens_d_interval

NETWORK_FILES = ("generator.keras", "discriminator.keras", "generator.json")
SAVED_MODEL = "generator"
START = "gan/start"
"""Where a later round keeps the generator that the first of all rounds began with."""
COPIED = (
    *("pir_before_mean", "pir_after_mean", "change", "cohens_d", "cohens_d_interval", "welch_t", "p_value"),
    *("significant", "verdict", "estimated_change", "cohens_d_from_start", "cohens_d_from_start_interval"),
)
"""What a round's results repeat of the round before, so that both can be drawn side by side (figure 6)."""

_SAME = (
    *("seed", "data.source", "data.classes", "data.count", "data.image_size", "data.split"),
    *("gan.latent_size", "gan.kind", "interactions.scaling"),
    *("estimator.backbone", "estimator.weights", "estimator.layer", "estimator.image_size", "estimator.input_range"),
    *("estimator.output", "estimator.bins", "estimator.grid"),
)
"""Fields that both rounds must have in common, besides who reacts to the images. The rest may change."""


@dataclasses.dataclass(frozen=True)
class RoundBefore:
    """The finished run in the directory `path`, which another one goes on from."""

    path: Path

    @classmethod
    def of(cls, config: ExperimentConfig) -> RoundBefore | None:
        """The run that a config names, or None for a first round.

        Raises:
            InputError: It is no run, or not finished.
        """
        if not config.first_round:
            return None
        path = Path(config.first_round)
        if not (path / "config.json").is_file():
            raise InputError(
                f"first_round names {path}, which has no config.json, expected the directory of a finished run: correct it with "
                "--first-round PATH."
            )
        # The report shows a run and changes nothing in it.
        open_stages = [stage for stage in STAGES if stage != "report" and not (path / stage / "done.json").exists()]
        if open_stages:
            raise InputError(
                f"first_round names {path}, where {', '.join(open_stages)} is not done, expected a finished run: finish it with "
                "its own command first."
            )
        return cls(path)

    def file(self, stage: str, name: str) -> Path:
        """Where a stage's file of that run lies."""
        return self.path / stage / name

    def copy(self, stage: str, name: str, target: Path) -> None:
        """Copies a file of that run, whole under its final name or not at all."""
        with atomic(target) as beside:
            shutil.copyfile(self.file(stage, name), beside)

    def copy_networks(self, directory: Path) -> None:
        """Copies the tuned networks, and into `start` the generator that the first of all rounds began with.

        An imported generator has no discriminator, and may be a SavedModel folder.
        """
        before = START if (self.path / START).is_dir() else "gan"
        for stage, target in (("tuning", directory), (before, directory / "start")):
            target.mkdir(parents=True, exist_ok=True)
            for name in NETWORK_FILES:
                if self.file(stage, name).exists() and (stage == "tuning" or name != "discriminator.keras"):
                    self.copy(stage, name, target / name)
            folder = self.file(stage, SAVED_MODEL)
            if folder.is_dir():
                with atomic_folder(target / SAVED_MODEL) as beside:
                    shutil.copytree(folder, beside)

    def summary(self) -> dict[str, Any]:
        """What the results of the next round repeat of this one, and which run it was."""
        results, about = (read_json(self.path / name) for name in ("evaluation/results.json", "config.json"))
        run = {"run": self.path.resolve().name, "round": results.get("round", 1), "commit": about.get("commit")}
        return {**run, **{name: results.get(name) for name in COPIED}}

    def start_pir(self) -> np.ndarray:
        """True PIR, float64 [n], of the images of the generator that the first of all rounds began with."""
        samples = require_arrays(self.file("evaluation", "samples.npz"), "repeat the first round's evaluation")
        values = samples["true_start" if "true_start" in samples else "true_before"]
        return values[np.isfinite(values)]


def round_files(config: ExperimentConfig) -> dict[str, str]:
    """SHA-256 of the results that a second round goes on from: part of its identity, as files of weights are."""
    first = RoundBefore.of(config)
    return {} if first is None else {"first_round": sha256(first.file("evaluation", "results.json"))}


def require_same(config: ExperimentConfig, files: dict[str, str]) -> None:
    """Refuses a second round with other data, users or another estimator than the first.

    Args:
        config: The config of the run.
        files: SHA-256 of the files that it names.

    Raises:
        InputError: A field or a file differs.
    """
    first = RoundBefore.of(config)
    if first is None:
        return
    about = read_json(first.path / "config.json")
    before = _compared(recorded(about), about.get("files") or {})
    now = _compared(identity(config), files)
    differ = [name for name in now if name in before and before[name] != now[name]]
    if differ:
        said = differences(before, now, differ)
        raise InputError(
            f"first_round names {first.path}, which differs in {said}, expected the same data, users and estimator: repeat "
            "those options of its command."
        )


def round_results(
    number: int,
    first: RoundBefore | None,
    true: tuple[np.ndarray, np.ndarray] | None,
    results: dict[str, Any],
    *,
    against: str = "round",
) -> dict[str, Any]:
    """What `results.json` says of rounds: which one this is, the one before, and the way since the first.

    Args:
        number: Which round this is.
        first: The run that it goes on from.
        true: True PIR [n] and [m] of images before and after this round, or None while nobody has measured it.
        results: What is known of this round alone.
        against: What its images before are from: the `start` of all rounds, or of this `round`.

    Returns:
        `round`; `first_round`, None in a first round; and Cohen's d, with its 95% interval, of the images after this round
        against those of the original generator, None where nobody has measured those.

    Source: A.3, figure 6. Deviation: D12.
    """
    d, interval = results["cohens_d"], results["cohens_d_interval"]
    start = first.start_pir() if first and true else np.zeros(0)
    if first and true and start.size:  # a round that wasn't measured has none
        d, bounds = cohens_d(start, true[1]), cohens_d_interval(start, true[1])
        interval = list(bounds) if bounds else None
    elif first and against != "start":
        d = interval = None
    return {
        "round": number,
        "first_round": first.summary() if first else None,
        "cohens_d_from_start": d,
        "cohens_d_from_start_interval": interval,
    }


def _compared(fields: dict[str, Any], files: dict[str, str]) -> dict[str, Any]:
    """What of a run must be as in the other round, by the names that a refusal says."""
    compared = {name: fields[name] for name in _SAME}
    # Real people answer each round in a file of its own.
    compared["interactions.source"] = str(fields["interactions.source"]).partition(":")[0]
    weights = ["estimator.weights"]
    if compared["interactions.source"] == "simulated":
        compared["interactions.objective"] = objective = str(fields["interactions.objective"])
        if parse(objective).layer:
            weights.append("interactions.vgg_weights")
            compared.update(
                {name: fields[name] for name in ("interactions.vgg_weights", "interactions.vgg_image_size")}
            )
    return {**compared, **{f"the file of {name}": files[name] for name in weights if name in files}}
