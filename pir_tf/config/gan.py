"""The section `gan`: the ACGAN (2.1, C.1, C.2), or somebody else's generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import (
    require,
    require_choices,
    require_count,
    require_multiples,
    require_not_negative,
    require_positive,
    require_range,
)


@dataclass(frozen=True)
class GanConfig:
    """The ACGAN without the fake-class term in the discriminator's loss (sections 2.1, C.1, C.2)."""

    generator: str = "train"
    """Where the generator and the discriminator come from: `bundled` (weights in the package, made from `landscapes`),
    `train` (trained here, resumed from its checkpoint when there is one) or `import:PATH` (somebody else's generator without a
    discriminator: a Keras model, PATH.keras, or a SavedModel folder; the fields `gan.import_*` describe it, and
    `tuning.anchor_weight` keeps it near its start)."""
    latent_size: int = 64
    """Entries of the latent vector z. Source: C.2."""
    steps: int = 1_100_000
    """Gradient steps of pretraining. Source: C.2."""
    batch_size: int = 64
    """Images of one gradient step. Source: not given in the paper, D2."""
    generator_learning_rate: float = 1e-5
    """Adam's learning rate for the generator. Source: C.2."""
    discriminator_learning_rate: float = 1e-5
    """RMSProp's learning rate for the discriminator. Source: C.2; other values of RMSProp: D20."""
    decay_steps: int = 0
    """Last steps of pretraining in which both rates fall linearly to 0; 0 keeps them constant. Source: C.2."""
    adam_beta_1: float = 0.5
    """Adam's beta_1. Source: C.2."""
    dropout: float = 0.5
    """Dropout rate after the discriminator's 1st, 3rd and 5th layers. Source: rate not given in the paper, D3."""
    fake_class_weight: float = 1.5
    """Weight w_fake_class of the generated images' class term in the generator's loss. Source: C.1."""
    real_class_weight: float = 1.0
    """Weight w_real_class of the real images' class term in the discriminator's loss. Source: C.1."""
    log_every: int = 100
    """Steps between rows of the log (losses are means over them)."""
    sample_every: int = 1000
    """Steps between sample grids and between measures of the distance to the real images."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    checkpoint_minutes: float = 10.0
    """Minutes after which a checkpoint is due even before those steps, at the end of a row of the log."""
    keep: Literal["best", "last"] = "last"
    """Weights that pretraining ends with: `last`, or `best` by the sliced Wasserstein distance to the real images."""
    tensorboard: bool = True
    """Also write the log for TensorBoard."""
    loss: Literal["non_saturating", "saturating"] = "non_saturating"
    """Whether the generator maximises log P(classified real) of its images (`non_saturating`) or minimises
    log(1 - P(classified real)) (`saturating`), here and in tuning. Source: 2.1."""
    kind: Literal["acgan", "gan"] = "acgan"
    """`acgan`, or `gan`: a GAN without classes, which is the ACGAN whose real images are all of one. Source: 2.1, C.1."""
    import_class: Literal["one-hot", "integer", "joined", "none"] = "one-hot"
    """How the class enters an imported generator: `one-hot` or `integer` in an input of its own, `joined` (one-hot behind the
    latent vector in the same input) or `none`."""
    import_range: tuple[float, float] = (-1.0, 1.0)
    """Range of the pixel values that an imported generator gives: -1 1, 0 1 or 0 255."""
    import_latent_size: int = 0
    """Entries of an imported generator's latent vector, taken to be standard normal; 0: as its input's shape says."""
    import_class_count: int = 0
    """Number of an imported generator's classes; 0: as many as `data.classes` names, or as its input's shape says."""
    import_class_input: str = ""
    """Name of the class's input in an imported generator that has two; empty: the one whose shape fits."""
    import_signature: str = ""
    """Signature of an imported SavedModel; empty: `serving_default`, or its only one."""

    def __post_init__(self) -> None:
        require_choices("gan", self)
        imported = self.generator.startswith("import:") and len(self.generator) > 7
        known = imported or self.generator in ("bundled", "train")
        require(known, "gan.generator", self.generator, "bundled, train or import:PATH")
        require_range("gan.import_range", self.import_range)
        for name in ("import_latent_size", "import_class_count"):
            require_count(f"gan.{name}", getattr(self, name))
        positive = ("latent_size", "steps", "batch_size", "generator_learning_rate", "discriminator_learning_rate")
        require_positive("gan", self, *positive, "log_every", "sample_every", "checkpoint_every", "checkpoint_minutes")
        require_multiples("gan", self)
        decays = 0 <= self.decay_steps <= self.steps
        require(decays, "gan.decay_steps", self.decay_steps, f"0 to gan.steps, which is {self.steps}")
        require_not_negative("gan", self, "fake_class_weight", "real_class_weight")
        for name in ("dropout", "adam_beta_1"):
            value = getattr(self, name)
            require(0 <= value < 1, f"gan.{name}", value, "a rate of at least 0 and below 1")
