"""The configuration of what comes before the estimator: real images, the ACGAN, and who reacts to its images.

`pir_tf.config` has the stages after it and the experiment as a whole, and offers these names too. Nothing heavy is imported.
The string after each field is its help text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_multiples, require_positive, require_pretrained, require_weights
from pir_tf.objective_names import require_objective, require_vgg_size

NETWORK_IMAGE_SIZE = 64
"""The image size that the generator and the discriminator of C.2 have, in pixels: 4 upsamplings by 2 from 4x4."""


@dataclass(frozen=True)
class DataConfig:
    """Real images (section 2.1, C.2): what the ACGAN learns from and what the discriminator goes on seeing in tuning."""

    source: str = "landscapes"
    """Where real images come from: `landscapes` (rendered, no download), `folder:PATH` with one subfolder a class, or
    `tfds:NAME`. Source: C.2, deviation D10."""
    classes: tuple[str, ...] = ()
    """Names of the classes to use, all when empty; their order is the source's own. With an imported generator, the names of its
    classes in its order. Source: C.1, deviation D16."""
    count: int = 20_000
    """Images rendered by `landscapes` (other sources use all that they have). Source: not given in the paper, D10."""
    image_size: int = NETWORK_IMAGE_SIZE
    """Side of the square images in pixels; the networks of C.2 make 64. Source: C.2."""
    split: str = "train"
    """Split of a TFDS set, slices such as `train[:80%]` included."""
    on_bad_file: Literal["stop", "skip"] = "stop"
    """What an unreadable file in a folder does: `stop` lists every one and ends, `skip` leaves them out and counts them."""

    def __post_init__(self) -> None:
        scheme, _, rest = self.source.partition(":")
        known = self.source == "landscapes" or (scheme in ("folder", "tfds") and bool(rest))
        require(known, "data.source", self.source, "landscapes, folder:PATH or tfds:NAME")
        require_positive("data", self, "count")
        require(len(set(self.classes)) == len(self.classes), "data.classes", self.classes, "each class once")
        require(self.on_bad_file in ("stop", "skip"), "data.on_bad_file", self.on_bad_file, "stop or skip")
        size = f"{NETWORK_IMAGE_SIZE}, the size that the networks of C.2 make"
        require(self.image_size == NETWORK_IMAGE_SIZE, "data.image_size", self.image_size, size)


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
        known_loss = self.loss in ("non_saturating", "saturating")
        require(known_loss, "gan.loss", self.loss, "non_saturating or saturating")
        require(self.kind in ("acgan", "gan"), "gan.kind", self.kind, "acgan or gan")
        require(self.keep in ("best", "last"), "gan.keep", self.keep, "best or last")
        imported = self.generator.startswith("import:") and len(self.generator) > 7
        known = imported or self.generator in ("bundled", "train")
        require(known, "gan.generator", self.generator, "bundled, train or import:PATH")
        self._check_import()
        positive = ("latent_size", "steps", "batch_size", "generator_learning_rate", "discriminator_learning_rate")
        require_positive("gan", self, *positive, "log_every", "sample_every", "checkpoint_every", "checkpoint_minutes")
        require_multiples("gan", self)
        decay = 0 <= self.decay_steps <= self.steps
        require(decay, "gan.decay_steps", self.decay_steps, f"0 to gan.steps, which is {self.steps}")
        require_weights("gan", self, "fake_class_weight", "real_class_weight")
        require(0 <= self.dropout < 1, "gan.dropout", self.dropout, "a rate of at least 0 and below 1")
        require(0 <= self.adam_beta_1 < 1, "gan.adam_beta_1", self.adam_beta_1, "a rate of at least 0 and below 1")

    def _check_import(self) -> None:
        ways = ("one-hot", "integer", "joined", "none")
        require(self.import_class in ways, "gan.import_class", self.import_class, "one-hot, integer, joined or none")
        low, high = self.import_range
        ordered = -float("inf") < low < high < float("inf")
        require(ordered, "gan.import_range", self.import_range, "two numbers, the lower first")
        require(self.import_latent_size >= 0, "gan.import_latent_size", self.import_latent_size, "0 or above")
        require(self.import_class_count >= 0, "gan.import_class_count", self.import_class_count, "0 or above")


@dataclass(frozen=True)
class InteractionsConfig:
    """Who reacts to the generated images, and to how many (sections 2.2, 3, C.4)."""

    source: str = "simulated"
    """`simulated` (users drawn from the objective) or `csv:PATH` (real people: while PATH is absent, the images and a
    template are written there and the run stops; filled in, the same command goes on). Source: 2.2."""
    objective: str = "color:blue"
    """The simulated truth: `color:` and one to three of red, green, blue joined by `-` (whole image, halves, thirds), or
    filters of a layer of VGG16 (pool1 to pool5, fc6, fc7, fc8): `vgg:LAYER:k=N`, N filters drawn by the seed 0,
    `vgg:LAYER:k=N:seed=S`, or `vgg:LAYER:filters=12,40`. Source: 3.1 to 3.3, C.4, deviations D9, D11, D13. Not used with
    `csv:PATH`."""
    vgg_weights: str = "imagenet"
    """VGG16's weights in the objective: `imagenet`, `file:PATH` (looked for in $PIR_TF_WEIGHTS too; a file without top
    serves pool1 to pool5) or `none` (random, only to try it out). Source: 3.1."""
    vgg_image_size: int = 224
    """Side in pixels that images are resized to for VGG16, bilinearly; fc6 to fc8 need 224. Source: not given in the paper,
    deviation D8."""
    scaling: Literal["none", "normalized"] = "none"
    """`normalized`: PIR is moved to mean 0.5 and standard deviation 0.25 on the shown images, then clipped to [0, 1].
    Source: C.5."""
    images: int = 1000
    """Generated images that are shown. Source: 2.2."""
    impressions: int = 1000
    """Times that each image is shown to simulated users. Source: 2.2."""

    def __post_init__(self) -> None:
        simulated = self.source == "simulated"
        csv = self.source.startswith("csv:") and len(self.source) > 4
        require(simulated or csv, "interactions.source", self.source, "simulated or csv:PATH")
        require_positive("interactions", self, "images", "impressions")
        require(self.scaling in ("none", "normalized"), "interactions.scaling", self.scaling, "none or normalized")
        require_pretrained("interactions.vgg_weights", self.vgg_weights)
        if simulated:
            require_objective(self.objective)
            require_vgg_size(self.objective, self.vgg_image_size)
