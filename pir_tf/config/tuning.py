"""The section `tuning`: the generator's loss with the estimated PIR (2.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices, require_multiples, require_not_negative, require_positive


@dataclass(frozen=True)
class TuningConfig:
    """L_generator = L_fake_image_fools + w_fake_class L_fake_class + w_PIR L_PIR (section 2.4)."""

    kind: Literal["weights", "shift", "residual"] = "weights"
    """What is trained: the generator's `weights`, as in the paper, or what moves its latents before they enter it, by a vector
    for each class (`shift`) or a small residual network of latents and class (`residual`). Then KL of the moved latents stands
    in for L_fake_image_fools, and the discriminator rests."""
    pir_weight: float = 1000.0
    """Weight w_PIR of the estimated PIR in the generator's loss. Source: 2.4."""
    pir_gradient_ratio: float = 0.0
    """In place of `pir_weight`: w_PIR is set before the first step so that the PIR term's gradient is so many times as long as
    that of L_fake_image_fools (2.4 has them "roughly comparable"); 0 takes `pir_weight`."""
    pir_gradient_limit: float = 0.0
    """The PIR term's gradient at a step's images is scaled down where its norm is above so many times its running median, 1 or
    more; 0 for no limit."""
    stop: Literal["none", "judge"] = "none"
    """What may end tuning before its steps are done: `none`, or with `estimator.output linear` the second `judge`, which looks at
    256 fixed latents' images at each row of the log: the networks of the row that it likes best are kept."""
    keep_distance: float = 0.0
    """Share of its within-class pairwise distance before tuning that each class is to keep, as 0.85; 0 for none. At each row of
    the log 256 fixed latents' images, of 32 classes at most, are looked at: when a class keeps less three times in a row, tuning
    stops, and the networks of the last row before are kept."""
    fools_weight: float = 1.0
    """Weight of L_fake_image_fools; 0 leaves out the generator's own loss, the extreme of 5.1. Source: 2.4, 5.1."""
    anchor_weight: float = 100.0
    """Weight of L_anchor, which an imported generator has in place of L_fake_image_fools: the mean squared difference, of
    values in [-1, 1], between its images and those that it made of the same latents before tuning."""
    kl_weight: float = 10.0
    """Weight of KL, in nats, for `kind` `shift` or `residual`. Beside the paper's w_PIR of 1000 a nat costs what 0.01 of PIR
    brings. Were PIR linear in the latents, with standard deviation s, a shift would raise it by d = w_PIR s / w_KL of those
    standard deviations at d^2 / 2 nats: d 1 to 2 at 0.5 to 2 nats for s of 0.01 to 0.02, as single filters of VGG16 have.
    Colours, of s 0.09, go further, d 2 to 5 at 3 to 13 nats in 150 steps, and d 0.8 at a weight of 100."""
    latents_learning_rate: float = 3e-3
    """Learning rate of what moves the latents, which starts at nothing; `learning_rate` is made for pretrained weights."""
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
        require_choices("tuning", self)
        weights = ("pir_weight", "pir_gradient_ratio", "fools_weight", "anchor_weight", "kl_weight")
        require_not_negative("tuning", self, *weights)
        both = self.pir_gradient_ratio and self.pir_weight != TuningConfig.pir_weight
        expected = (
            f"none beside tuning.pir_gradient_ratio, which is {self.pir_gradient_ratio:g} and sets the weight itself"
        )
        require(not both, "tuning.pir_weight", self.pir_weight, expected)
        limit = self.pir_gradient_limit
        require(
            limit == 0 or 1 <= limit < math.inf, "tuning.pir_gradient_limit", limit, "0 for no limit, or 1 or above"
        )
        share = self.keep_distance
        require(0 <= share < 1, "tuning.keep_distance", share, "a share of the distance below 1, or 0 for none")
        chosen = self.stop != "none" and share
        require(
            not chosen, "tuning.keep_distance", share, f"0 beside tuning.stop {self.stop}, which keeps other networks"
        )
        positive = ("learning_rate", "steps", "batch_size", "log_every", "gradients_every", "true_pir_every")
        require_positive("tuning", self, *positive, "checkpoint_every", "checkpoint_minutes", "latents_learning_rate")
        require_multiples("tuning", self)
