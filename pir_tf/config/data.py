"""The section `data`: real images (2.1, C.2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import require, require_choices, require_one_line, require_positive

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
        require(
            self.split == "train" or scheme == "tfds", "data.split", self.split, "train, as only TFDS sets have others"
        )
        require_choices("data", self)
        require_positive("data", self, "count")
        require(len(set(self.classes)) == len(self.classes), "data.classes", self.classes, "each class once")
        require_one_line(self.classes)
        size = f"{NETWORK_IMAGE_SIZE}, the size that the networks of C.2 make"
        require(self.image_size == NETWORK_IMAGE_SIZE, "data.image_size", self.image_size, size)
