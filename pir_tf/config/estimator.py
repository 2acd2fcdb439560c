"""The section `estimator`: the PIR estimator (2.3, C.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices, require_not_negative, require_positive, require_range

LAYERS = {
    "inception_v3": tuple(f"mixed{i}" for i in range(11)),
    "compact": tuple(f"conv_{i}" for i in range(1, 5)),
    "discriminator": tuple(f"{kind}_{i}" for kind in ("conv", "leaky", "batch_norm") for i in range(1, 7)),
}
"""Layers of each backbone that a linear readout may read."""


@dataclass(frozen=True)
class EstimatorConfig:
    """The PIR estimator R: image -> [0, 1] (sections 2.3, C.3)."""

    backbone: Literal["inception_v3", "compact", "discriminator", "inception_v3+discriminator"] = "inception_v3"
    """`inception_v3` (deviation D4), `compact` (a small convolutional network), and for `output linear` alone `discriminator` (a
    frozen copy of the generator's own, no download) or `inception_v3+discriminator`. Source: 2.3."""
    weights: str = "imagenet"
    """The backbone's first weights: `imagenet`, `file:PATH` (looked for in $PIR_TF_WEIGHTS too), `hub:HANDLE` (or a
    local folder in TF-Hub's format) or `none`. Source: 2.3, deviation D4."""
    layer: str = ""
    """The backbone's layer that is read out (`mixed2`, ...), its last when empty. With `output linear` a list with commas, the
    usual ones when empty: mixed0,mixed1,mixed2 and all of a smaller network."""
    grid: int = 0
    """With `output linear`: means over so many places a side, too, which tell left from right (4 for colours); 0 for none."""
    image_size: int = 299
    """Side in pixels that images are resized to, bilinearly, inside the model. Source: not given in the paper, D5."""
    input_range: tuple[float, float] = (-1.0, 1.0)
    """Range of pixel values that the backbone's weights expect (Keras's InceptionV3: -1 1; some files: 0 1)."""
    trainable: Literal["all", "head"] = "all"
    """`all`: fine-tuned whole, as in the paper; `head`: only the last layer, on features computed once. Source: 2.3."""
    output: Literal["bins", "scalar", "linear"] = "bins"
    """`bins`: a softmax over bins of PIR; `scalar`: one sigmoid output, which the paper compared with (C.3); `linear`: ridge on
    frozen features in closed form, not the paper's, to which `trainable`, steps, rate and batch mean nothing."""
    pessimism: float = 0.0
    """How many standard deviations of its own doubt tuning takes off the estimate: of the posterior with `output linear`, of
    eight readouts of resampled images with `trainable head`. A command with `output linear`, simulated users and more than
    300 tuning steps takes 1 unless it says otherwise: a weak readout's mean alone leads astray there; pairs need less, 0.25. Not
    the paper's."""
    bins: int = 100
    """Bins of equal width. Source: C.3, deviation D7."""
    bin_range: Literal["unit", "data"] = "unit"
    """With `output bins`, what they span: `unit`, [0, 1] as in D7; `data`, from the least to the greatest PIR that was
    observed, at `temperature` 1, which a command takes by itself. The latter is not the paper's."""
    bin_loss: Literal["one_hot", "binomial"] = "one_hot"
    """With `output bins`: `one_hot`, the cross-entropy of the observed PIR's bin (C.3); `binomial`, the likelihood of an image's
    positives among its impressions by a mixture over the bins' centres, in which more impressions say more. Not the paper's."""
    scalar_start: Literal["half", "data"] = "half"
    """With `output scalar`, the PIR that an untrained estimator gives every image: `half`, 0.5; `data`, the mean observed
    PIR, while the logit's scale stays 1. The latter is not the paper's."""
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
        require_choices("estimator", self)
        linear, scheme, rest = self.output == "linear", *self.weights.partition(":")[::2]
        named = self.weights in ("none", "imagenet") or (scheme in ("file", "hub") and bool(rest))
        require(named, "estimator.weights", self.weights, "none, imagenet, file:PATH or hub:HANDLE")
        if self.backbone == "compact":
            for name, only, why in (
                ("weights", "none", "none, since the compact backbone is trained from scratch"),
                ("layer", "", "nothing, since layers are chosen of inception_v3"),
                ("trainable", "all", "all, since the compact backbone has no first weights"),
            ):
                if not (linear and name == "layer"):
                    require(getattr(self, name) == only, f"estimator.{name}", getattr(self, name), why)
        if linear:
            self._check_linear(scheme)
        else:
            own = self.backbone in ("inception_v3", "compact")
            require(own, "estimator.backbone", self.backbone, "inception_v3 or compact, or --estimator.output linear")
            require(self.grid == 0, "estimator.grid", self.grid, "0 without --estimator.output linear")
            doubts = self.trainable == "head" and scheme != "hub"
            frozen = "0 without --estimator.output linear, or --estimator.trainable head and no TF-Hub module"
            require(self.pessimism == 0 or doubts, "estimator.pessimism", self.pessimism, frozen)
            if scheme != "hub":  # whose modules refuse a layer themselves
                known = self.layer in ("", *LAYERS["inception_v3"])
                require(
                    known, "estimator.layer", self.layer, "mixed0 to mixed10 of inception_v3, or nothing for the last"
                )
        self._check_head()
        require_not_negative("estimator", self, "pessimism")
        positive = ("image_size", "learning_rate", "steps", "batch_size", "temperature", "quality_images")
        require_positive("estimator", self, *positive, "checkpoint_every", "checkpoint_minutes")
        require(self.bins >= 2, "estimator.bins", self.bins, "2 or more")
        require_range("estimator.input_range", self.input_range)
        least = 75 if "inception_v3" in self.backbone else 32
        big = f"{least} pixels or more for {self.backbone}"
        require(self.image_size >= least, "estimator.image_size", self.image_size, big)

    @property
    def layers(self) -> tuple[str, ...]:
        """The names in `layer`."""
        return tuple(name for name in self.layer.split(",") if name)

    def _check_head(self) -> None:
        """Bins have a range and a loss, a scalar has a start."""
        for name, usual, output in (
            ("bin_range", "unit", "bins"),
            ("bin_loss", "one_hot", "bins"),
            ("scalar_start", "half", "scalar"),
        ):
            value, expected = getattr(self, name), f"{usual} without --estimator.output {output}"
            require(value == usual or self.output == output, f"estimator.{name}", value, expected)
        one = self.bin_range == "unit" or self.temperature == 1
        expected = "1 with --estimator.bin-range data, whose bins are narrow enough for their mean"
        require(one, "estimator.temperature", self.temperature, expected)

    def _check_linear(self, scheme: str) -> None:
        """What only a linear readout refuses."""
        allowed = "imagenet, file:PATH or none, since layers inside a TF-Hub module can't be read"
        require(scheme != "hub", "estimator.weights", self.weights, f"{allowed} out linearly")
        known = [name for part in self.backbone.split("+") for name in LAYERS[part]]
        wrong = [name for name in self.layers if name not in known]
        expected = f"names of {', '.join(known)} with commas between them, or nothing for the usual ones"
        require(not wrong, "estimator.layer", self.layer, expected)
        require(0 <= self.grid <= 8, "estimator.grid", self.grid, "0 for none, or places a side up to 8")
