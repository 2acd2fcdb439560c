"""The section `estimator`: the PIR estimator (2.3, C.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices, require_positive, require_range


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
        require_choices("estimator", self)
        scheme, _, rest = self.weights.partition(":")
        named = self.weights in ("none", "imagenet") or (scheme in ("file", "hub") and bool(rest))
        require(named, "estimator.weights", self.weights, "none, imagenet, file:PATH or hub:HANDLE")
        if self.backbone == "compact":
            for name, only, why in (
                ("weights", "none", "none, since the compact backbone is trained from scratch"),
                ("layer", "", "nothing, since layers are chosen of inception_v3"),
                ("trainable", "all", "all, since the compact backbone has no first weights"),
            ):
                require(getattr(self, name) == only, f"estimator.{name}", getattr(self, name), why)
        if scheme != "hub":  # whose modules refuse a layer themselves
            known = self.layer in ("", *(f"mixed{i}" for i in range(11)))
            require(known, "estimator.layer", self.layer, "mixed0 to mixed10 of inception_v3, or nothing for the last")
        positive = ("image_size", "learning_rate", "steps", "batch_size", "temperature", "quality_images")
        require_positive("estimator", self, *positive, "checkpoint_every", "checkpoint_minutes")
        require(self.bins >= 2, "estimator.bins", self.bins, "2 or more")
        require_range("estimator.input_range", self.input_range)
        least = 75 if self.backbone == "inception_v3" else 32
        big = f"{least} pixels or more for {self.backbone}"
        require(self.image_size >= least, "estimator.image_size", self.image_size, big)
