"""Names of the simulated objectives, parsed once into `Color` or `VGG` (3.1 to 3.3, C.4).

What an objective computes is in `objectives/`. Here is only what a config can check and a table can say at once: no NumPy,
no TensorFlow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from pir_tf.errors import InputError

COLORS = ("red", "green", "blue")
"""In the order of an image's channels."""
COLOR_KINDS = ("single color", "two colors", "three colors")
VGG_FILTERS = {
    **{"pool1": 64, "pool2": 128, "pool3": 256, "pool4": 512, "pool5": 512},
    **{"fc6": 4096, "fc7": 4096, "fc8": 1000},
}
"""Filters (of fc6 to fc8 units) of each layer of VGG16 that an objective can be made of, from the lowest. Deviation: D9."""

TOP_LAYERS = ("fc6", "fc7", "fc8")
"""Layers of the network's top, whose weights fix the size of the image."""
TOP_IMAGE_SIZE = 224
LEAST_IMAGE_SIZE = 32  # which VGG16 halves five times


@dataclass(frozen=True)
class Color:
    """`color:...`: one target colour in each of one to three vertical bands.

    Attributes:
        colors: The target colours from left to right, each once.
    """

    colors: tuple[str, ...]
    layer: ClassVar[str] = ""

    @property
    def kind(self) -> str:
        """One of `COLOR_KINDS`."""
        return COLOR_KINDS[len(self.colors) - 1]

    def in_words(self, *, short: bool = False) -> str:
        """`blue`, `red left, blue right`, or in short `red-blue`."""
        if short or len(self.colors) == 1:
            return "-".join(self.colors)
        places = ("left", "right") if len(self.colors) == 2 else ("left", "middle", "right")
        return ", ".join(f"{color} {place}" for color, place in zip(self.colors, places, strict=True))


@dataclass(frozen=True)
class VGG:
    """`vgg:LAYER:...`: filters of a layer of VGG16.

    Attributes:
        layer: A key of `VGG_FILTERS`.
        k: Number of target filters.
        seed: Seed that draws them, None if they are named.
        filters: The named ones in rising order, None if they are drawn.
    """

    layer: str
    k: int
    seed: int | None
    filters: tuple[int, ...] | None

    @property
    def kind(self) -> str:
        """`vgg single`, or `vgg k=20` with the number of filters."""
        return "vgg single" if self.k == 1 else f"vgg k={self.k}"

    def in_words(self, *, short: bool = False) -> str:
        """`pool3 filters 12 and 40`, or `pool3, 20 filters, draw 1`: there is nothing shorter."""
        if self.filters is None:
            return f"{self.layer}, {'1 filter' if self.k == 1 else f'{self.k} filters'}, draw {self.seed}"
        *most, last = map(str, self.filters)
        return f"{self.layer} {'filters' if most else 'filter'} {', '.join(most)}{' and ' if most else ''}{last}"


def parse(text: str) -> Color | VGG:
    """Reads `color:blue`, `color:red-blue`, `vgg:LAYER:k=N`, `vgg:LAYER:k=N:seed=S` or `vgg:LAYER:filters=12,40`.

    Raises:
        InputError: The form, a colour or the layer is unknown, or colours or filters are not distinct ones.

    Source: 3.1 to 3.3. Deviation: D9 (names of the layers).
    """
    if text.startswith("vgg:"):
        return _vgg(text)
    kind, _, rest = text.partition(":")
    colors = tuple(rest.split("-"))
    if kind != "color" or not set(colors) <= set(COLORS) or len(set(colors)) < len(colors):
        raise _refused(
            text,
            "color: and one to three different ones of red, green, blue joined by '-' (color:blue, color:red-green), or "
            "vgg:LAYER:k=N (vgg:pool3:k=20)",
        )
    return Color(colors)


def _vgg(text: str) -> VGG:
    layer, _, rest = text.removeprefix("vgg:").partition(":")
    if layer not in VGG_FILTERS:
        raise _refused(text, f"vgg:LAYER:k=N or vgg:LAYER:filters=12,40 with LAYER one of {', '.join(VGG_FILTERS)}")
    count = VGG_FILTERS[layer]
    drawn = re.fullmatch(r"k=([0-9]{1,9})(?::seed=([0-9]{1,9}))?", rest)
    if drawn:
        k = int(drawn[1])
        if not 1 <= k <= count:
            raise _refused(text, f"k from 1 to {count}, the number of filters of {layer}")
        return VGG(layer, k, int(drawn[2] or 0), None)
    named = re.fullmatch(r"filters=([0-9]{1,9}(?:,[0-9]{1,9})*)", rest)
    if not named:
        raise _refused(text, f"vgg:{layer}:k=N, vgg:{layer}:k=N:seed=S or vgg:{layer}:filters=12,40")
    filters = sorted(map(int, named[1].split(",")))
    if len(set(filters)) < len(filters) or filters[-1] >= count:
        raise _refused(text, f"different filters from 0 to {count - 1} of {layer}")
    return VGG(layer, len(filters), None, tuple(filters))


def require_objective(text: str, vgg_image_size: int) -> None:
    """Refuses an unknown objective, or an image size that VGG16 can't take for it, before anything is computed.

    Deviation: D8.
    """
    top = parse(text).layer in TOP_LAYERS
    if vgg_image_size < LEAST_IMAGE_SIZE or (top and vgg_image_size != TOP_IMAGE_SIZE):
        expected = f"{TOP_IMAGE_SIZE} for fc6, fc7, fc8" if top else f"{LEAST_IMAGE_SIZE} or more"
        raise InputError(
            f"interactions.vgg_image_size is {vgg_image_size}, expected {expected}: change it with "
            "--interactions.vgg-image-size VALUE."
        )


def _refused(text: str, expected: str) -> InputError:
    return InputError(
        f"interactions.objective is {text!r}, expected {expected}: change it with --interactions.objective VALUE."
    )
