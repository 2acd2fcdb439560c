"""The configuration of one experiment: a frozen dataclass for each stage, checked when it is made.

The defaults are every value that the paper fixes and, where the paper is silent, the value of a numbered deviation (D1 to D21,
listed in the README). The presets are in `pir_tf.presets`. Nothing heavy is imported here, so that the command line can show
every field at once. The string after each field is its help text. The stages up to the interactions are in
`pir_tf.config.stages`.
"""

from __future__ import annotations

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

from pir_tf.config.checks import require, require_multiples, require_positive, require_pretrained, require_weights
from pir_tf.config.stages import NETWORK_IMAGE_SIZE, DataConfig, GanConfig, InteractionsConfig
from pir_tf.errors import InputError

__all__ = [
    "NETWORK_IMAGE_SIZE",
    "PRESETS",
    "ComputeConfig",
    "DataConfig",
    "EstimatorConfig",
    "EvaluationConfig",
    "ExperimentConfig",
    "GanConfig",
    "InteractionsConfig",
    "TuningConfig",
    "derived_seed",
    "flatten",
]

PRESETS = ("smoke", "laptop", "paper")
"""Names of the presets, which `pir_tf.presets` makes."""


@dataclass(frozen=True)
class EstimatorConfig:
    """The PIR estimator R: image -> [0, 1] (sections 2.3, C.3)."""

    backbone: Literal["inception_v3", "compact"] = "inception_v3"
    """`inception_v3` (deviation D4) or `compact` (a small convolutional network). Source: 2.3."""
    weights: str = "imagenet"
    """The backbone's first weights: `imagenet`, `file:PATH` (looked for in $PIR_TF_WEIGHTS too), `hub:HANDLE` (or a
    local folder in TF-Hub's format) or `none`. Source: 2.3, deviation D4."""
    layer: str = ""
    """The backbone's layer that is read out (`mixed2`, ...), its last when empty."""
    image_size: int = 299
    """Side in pixels that images are resized to, bilinearly, inside the model. Source: not given in the paper, D5."""
    input_range: tuple[float, float] = (-1.0, 1.0)
    """Range of pixel values that the backbone's weights expect (Keras's InceptionV3: -1 1; some files: 0 1)."""
    trainable: Literal["all", "head"] = "all"
    """`all`: fine-tuned whole, as in the paper; `head`: only the last layer, on features computed once. Source: 2.3."""
    output: Literal["bins", "scalar"] = "bins"
    """`bins`: a softmax over bins of PIR; `scalar`: one sigmoid output, which the paper compared with. Source: C.3."""
    bins: int = 100
    """Bins of equal width on [0, 1]. Source: C.3, deviation D7."""
    learning_rate: float = 5e-4
    """Adam's learning rate. Source: C.3."""
    steps: int = 25_000
    """Gradient steps. Source: A.3 (second round), deviation D6."""
    batch_size: int = 32
    """Images of one gradient step. Source: not given in the paper, D6."""
    checkpoint_every: int = 1000
    """Steps between checkpoints (rounded up to whole passes over the images)."""
    checkpoint_minutes: float = 10.0
    """Minutes after which a checkpoint is due even before those steps, at the end of a pass over the images."""
    temperature: float = 0.01
    """Temperature of the softmax when the estimator is used (1 while it is trained). Source: C.3."""
    quality_images: int = 1000
    """New images whose simulated PIR measures the estimator's quality; real answers use 5 folds. Source: D21."""

    def __post_init__(self) -> None:
        require(
            self.backbone in ("inception_v3", "compact"), "estimator.backbone", self.backbone, "inception_v3 or compact"
        )
        scheme, _, rest = self.weights.partition(":")
        named = self.weights in ("none", "imagenet") or (scheme in ("file", "hub") and bool(rest))
        require(named, "estimator.weights", self.weights, "none, imagenet, file:PATH or hub:HANDLE")
        if self.backbone == "compact":
            ok = self.weights == "none"
            require(ok, "estimator.weights", self.weights, "none, since the compact backbone is trained from scratch")
            require(self.layer == "", "estimator.layer", self.layer, "nothing, since layers are chosen of inception_v3")
            whole = self.trainable == "all"
            require(
                whole, "estimator.trainable", self.trainable, "all, since the compact backbone has no first weights"
            )
        require(self.trainable in ("all", "head"), "estimator.trainable", self.trainable, "all or head")
        require(self.output in ("bins", "scalar"), "estimator.output", self.output, "bins or scalar")
        positive = ("image_size", "learning_rate", "steps", "batch_size", "temperature", "quality_images")
        require_positive("estimator", self, *positive, "checkpoint_every", "checkpoint_minutes")
        require(self.bins >= 2, "estimator.bins", self.bins, "2 or more")
        low, high = self.input_range
        ordered = -float("inf") < low < high < float("inf")
        require(ordered, "estimator.input_range", self.input_range, "two numbers, the lower first")
        least = 75 if self.backbone == "inception_v3" else 32
        named_size = f"{least} pixels or more for {self.backbone}"
        require(self.image_size >= least, "estimator.image_size", self.image_size, named_size)


@dataclass(frozen=True)
class TuningConfig:
    """L_generator = L_fake_image_fools + w_fake_class L_fake_class + w_PIR L_PIR (section 2.4)."""

    pir_weight: float = 1000.0
    """Weight w_PIR of the estimated PIR in the generator's loss. Source: 2.4."""
    fools_weight: float = 1.0
    """Weight of L_fake_image_fools; 0 leaves out the generator's own loss, the extreme of 5.1. Source: 2.4, 5.1."""
    anchor_weight: float = 100.0
    """Weight of L_anchor, which an imported generator has in place of L_fake_image_fools: the mean squared difference, of
    values in [-1, 1], between its images and those that it made of the same latents before tuning."""
    learning_rate: float = 1e-6
    """Learning rate of both optimizers, which start afresh. Source: 2.4, deviation D19."""
    steps: int = 50_000
    """Gradient steps (the paper took 500,000 for three colours). Source: 2.4, 4.2."""
    batch_size: int = 64
    """Images of one gradient step. Source: not given in the paper, D2."""
    log_every: int = 100
    """Steps between rows of the log (losses are means over them)."""
    gradients_every: int = 500
    """Steps between measures of each loss term's gradient norm."""
    true_pir_every: int = 1000
    """Steps between samples of the true PIR, for display alone: it chooses nothing."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    checkpoint_minutes: float = 10.0
    """Minutes after which a checkpoint is due even before those steps, at the end of a row of the log."""
    tensorboard: bool = True
    """Also write the log for TensorBoard."""

    def __post_init__(self) -> None:
        require_weights("tuning", self, "pir_weight", "fools_weight", "anchor_weight")
        positive = ("learning_rate", "steps", "batch_size", "log_every", "gradients_every", "true_pir_every")
        require_positive("tuning", self, *positive, "checkpoint_every", "checkpoint_minutes")
        require_multiples("tuning", self)


@dataclass(frozen=True)
class EvaluationConfig:
    """The proof: PIR of new images before and after tuning (section 4)."""

    source: str = "same"
    """Who judges the new images: `same` as in `interactions.source` (with real people the run waits for their answers), or
    `csv:PATH` with people's answers to the shuffled images that this stage wrote."""
    images: int = 1000
    """New images before tuning, and as many after. Source: 4, deviation D15."""
    alpha: float = 0.001
    """Significance threshold of Welch's t-test. Source: 4."""
    diversity_pairs: int = 100
    """Random pairs of images a class whose likeness is measured. Source: 5.1."""
    judge: bool = True
    """Train a second estimator from another seed that the tuning never saw, and let it judge too."""
    kid_weights: str = "none"
    """Weights of VGG16 without top, on whose pool5 features the distance from the real images (KID) is measured:
    `imagenet`, `file:PATH` or `none` (not measured). The tuning never uses that network. Source: 5.1."""
    kid_images: int = 1000
    """Images of each kind (before tuning, after, real) of which that distance is taken, at most those that there are."""

    def __post_init__(self) -> None:
        csv = self.source.startswith("csv:") and len(self.source) > 4
        require(self.source == "same" or csv, "evaluation.source", self.source, "same or csv:PATH")
        require(self.images >= 2, "evaluation.images", self.images, "2 or more")
        require(0 < self.alpha < 1, "evaluation.alpha", self.alpha, "a probability between 0 and 1")
        require_positive("evaluation", self, "diversity_pairs", "kid_images")
        require_pretrained("evaluation.kid_weights", self.kid_weights)


@dataclass(frozen=True)
class ComputeConfig:
    """How the machines compute: set once, when the process starts."""

    distribute: Literal["auto", "none", "mirrored", "multiworker"] = "auto"
    """Devices that train together: one (`none`), all of this machine (`mirrored`), or those of all processes that the environment
    variable TF_CONFIG names (`multiworker`). `auto` takes what is there. No part of a run's identity."""
    logical_cpus: int = 0
    """Split the CPU into so many devices, to try `mirrored` without GPUs; 0 leaves it whole. No part of a run's identity."""
    precision: Literal["float32", "mixed_bfloat16"] = "float32"
    """Number format inside the networks in training; with `mixed_bfloat16` weights, last layers, softmaxes and losses stay
    float32."""
    deterministic: bool = True
    """Let two runs with one seed give equal weights (TensorFlow's deterministic operations)."""
    jit_compile: bool = False
    """Compile training steps with XLA, whose random numbers differ: the same seed then gives other latents. Needs
    `deterministic` false, with which alone Keras compiles."""
    kernels: Literal["auto", "stock", "fast"] = "auto"
    """Forms of the training passes: `stock` (Keras's layers), `fast` (algebraically equal, made for CPUs) or `auto` (fast
    on one device without a GPU, in float32)."""

    def __post_init__(self) -> None:
        ways = ("auto", "none", "mirrored", "multiworker")
        require(self.distribute in ways, "compute.distribute", self.distribute, "auto, none, mirrored or multiworker")
        require(self.logical_cpus >= 0, "compute.logical_cpus", self.logical_cpus, "0 or more")
        reason = (
            "; float16 has too small a range, and each of a GAN's two optimizers would need a loss scale of its own"
            if "float16" in self.precision
            else ""
        )
        known = self.precision in ("float32", "mixed_bfloat16")
        require(known, "compute.precision", self.precision, f"float32 or mixed_bfloat16{reason}")
        require(self.kernels in ("auto", "stock", "fast"), "compute.kernels", self.kernels, "auto, stock or fast")
        if self.jit_compile and self.deterministic:  # Keras would leave XLA out
            raise InputError(
                "compute.jit_compile is true while compute.deterministic is, expected one of them, since XLA doesn't promise the "
                "latter: add --compute.no-deterministic, or leave --compute.jit-compile out."
            )


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

    def _check_import(self) -> None:
        """An imported generator is tuned and judged without real images."""
        if self.data.source != "landscapes" or self.evaluation.kid_weights != "none":
            raise InputError(
                f"gan.generator is {self.gan.generator!r} while data.source is {self.data.source!r} and evaluation.kid_weights "
                f"{self.evaluation.kid_weights!r}, but an imported generator is tuned and judged without real images: leave out "
                "--data.source and --evaluation.kid-weights."
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
    return {f"{section}.{name}": value for name, value in named.items() if name not in left_out}


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
