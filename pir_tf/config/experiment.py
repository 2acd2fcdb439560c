"""The experiment as a whole: a frozen dataclass of its sections, checked when it is made.

The defaults are every value that the paper fixes and, where the paper is silent, the value of a numbered deviation (D1 to D21,
listed in the README). The presets are in `pir_tf.presets`. The string after each field is its help text.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any

from pir_tf.config.checks import require
from pir_tf.config.compute import ComputeConfig
from pir_tf.config.data import DataConfig
from pir_tf.config.estimator import EstimatorConfig
from pir_tf.config.evaluation import EvaluationConfig
from pir_tf.config.gan import GanConfig
from pir_tf.config.interactions import InteractionsConfig
from pir_tf.config.tuning import TuningConfig
from pir_tf.errors import InputError

PRESETS = ("smoke", "laptop", "paper")
"""Names of the presets, which `pir_tf.presets` makes."""


@dataclass(frozen=True)
class ExperimentConfig:
    """One experiment, from data to report. Its seed decides all of its randomness."""

    preset: str = "paper"
    """The preset that the other values started from: named by the command's first word, not by this option."""
    seed: int = 0
    """Seed of everything random, 0 or above."""
    first_round: str = ""
    """Run directory of a finished first round: this run is then the second, which goes on from its tuned networks, its
    estimator and its images. Source: A.3."""
    data: DataConfig = field(default_factory=DataConfig)
    gan: GanConfig = field(default_factory=GanConfig)
    interactions: InteractionsConfig = field(default_factory=InteractionsConfig)
    estimator: EstimatorConfig = field(default_factory=EstimatorConfig)
    tuning: TuningConfig = field(default_factory=TuningConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    compute: ComputeConfig = field(default_factory=ComputeConfig)

    def __post_init__(self) -> None:
        require(self.preset in PRESETS, "preset", self.preset, "one of " + ", ".join(PRESETS))
        require(0 <= self.seed < 2**31, "seed", self.seed, "a whole number from 0 to 2147483647")
        bundled = self.gan.generator == "bundled"
        if bundled and self.gan.kind == "gan":
            raise InputError(
                "gan.generator is 'bundled' while gan.kind is 'gan', but the bundled networks know classes: train your own with "
                "--gan.generator train."
            )
        bundled_data = self.data.source == "landscapes" and not self.data.classes and self.gan.latent_size == 64
        if bundled and not bundled_data:
            raise InputError(
                f"gan.generator is 'bundled' while data.source is {self.data.source!r}, data.classes {self.data.classes!r} and "
                f"gan.latent_size {self.gan.latent_size}, but the bundled networks know all classes of 'landscapes' with 64 "
                "latents: train your own with --gan.generator train."
            )
        if self.gan.generator.startswith("import:"):
            self._check_import()
        if self.tuning.stop == "judge":
            linear, judge = self.estimator.output == "linear", self.evaluation.judge
            expected = (
                "none without --estimator.output linear, beside which alone a judge has answers and features of its own"
            )
            require(linear, "tuning.stop", self.tuning.stop, expected)
            require(
                judge, "tuning.stop", self.tuning.stop, "none without the second judge, which is --evaluation.judge"
            )

    @property
    def proof_source(self) -> str:
        """Who says the new images' PIR: `evaluation.source`, or where that is `same`, `interactions.source`."""
        return self.interactions.source if self.evaluation.source == "same" else self.evaluation.source

    def _check_import(self) -> None:
        """An imported generator is tuned and judged without real images."""
        if self.data.source != "landscapes" or self.evaluation.kid_weights != "none":
            raise InputError(
                f"gan.generator is {self.gan.generator!r} while data.source is {self.data.source!r} and evaluation.kid_weights "
                f"{self.evaluation.kid_weights!r}, but an imported generator is tuned and judged without real images: leave out "
                "--data.source and --evaluation.kid-weights."
            )
        if self.tuning.kind != "weights":
            raise InputError(
                f"tuning.kind is {self.tuning.kind!r}, but an imported generator is saved in its own form, whose latents nothing "
                "can move: take --tuning.kind weights."
            )
        if "discriminator" in self.estimator.backbone:
            raise InputError(
                f"estimator.backbone is {self.estimator.backbone!r}, but an imported generator comes without a discriminator to "
                "copy: take --estimator.backbone compact, or inception_v3 with --estimator.weights."
            )
        names, count = self.data.classes, self.gan.import_class_count
        if names and count and len(names) != count:
            raise InputError(
                f"data.classes names {len(names)} classes while gan.import_class_count is {count}, expected the same number: "
                "change one of them."
            )


def derived_seed(seed: int, purpose: str) -> int:
    """A seed in [0, 2**31) for one purpose, so that no two parts of an experiment share random numbers."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:4], "big") >> 1


_NOT_OF_A_STEP = (
    *("steps", "log_every", "sample_every", "gradients_every", "true_pir_every", "checkpoint_every"),
    *("checkpoint_minutes", "tensorboard", "keep", "generator", "temperature", "quality_images"),
    "weights",  # may name a path; a run compares the file's digest
)


def decisive_fields(section: str, config: Any) -> dict[str, Any]:
    """The fields of one stage's config on which the state of its training after a step depends, by their dotted names.

    A checkpoint holds them, so that it isn't taken for another config's whose networks have the same shapes.
    """
    named = flatten(config)
    left_out = set(_NOT_OF_A_STEP)
    if named.get("decay_steps"):  # then the rates' fall counts back from the last step
        left_out.discard("steps")
    keeps = bool(named.get("keep_distance"))
    if named.get("stop", "none") != "none" or keeps:  # a row of the log is then a look at the images
        left_out.discard("log_every")
    if not keeps:  # so that cached results from before there was such a field are still found
        left_out.add("keep_distance")
    return {f"{section}.{name}": value for name, value in named.items() if name not in left_out}


def changed(config: ExperimentConfig, **sections: dict[str, Any]) -> ExperimentConfig:
    """The config with other values in some fields of its sections: `changed(config, tuning={"steps": 300})`."""
    parts = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **parts)


def flatten(config: Any, prefix: str = "") -> dict[str, Any]:
    """All fields by their dotted names (`tuning.steps`), tuples as lists, as `config.json` holds them."""
    flat: dict[str, Any] = {}
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        name = f"{prefix}{item.name}"
        if dataclasses.is_dataclass(value):
            flat.update(flatten(value, f"{name}."))
        else:
            flat[name] = list(value) if isinstance(value, tuple) else value
    return flat
