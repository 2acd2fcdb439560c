"""Names of the simulated objectives, read without computing anything (3.1 to 3.3, C.4).

What a name means is in `interactions.colors` and `interactions.vgg`. Here is only what a config can check and a table can
say at once: no NumPy, no TensorFlow.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pir_tf.errors import InputError

COLORS = ("red", "green", "blue")
VGG_FILTERS = {
    "pool1": 64,
    "pool2": 128,
    "pool3": 256,
    "pool4": 512,
    "pool5": 512,
    "fc6": 4096,
    "fc7": 4096,
    "fc8": 1000,
}
"""Filters (of fc6 to fc8 units) of each layer of VGG16 that an objective can be made of, from the lowest. Deviation: D9."""

TOP_LAYERS = ("fc6", "fc7", "fc8")
"""Layers of the network's top, whose weights fix the size of the image."""

TOP_IMAGE_SIZE = 224
LEAST_IMAGE_SIZE = 32
"""VGG16 halves its image five times."""


@dataclass(frozen=True)
class VGGName:
    """What `vgg:LAYER:...` says.

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


def is_vgg(objective: str) -> bool:
    """Whether the name means filters of VGG16."""
    return objective.startswith("vgg:")


def parse_vgg(objective: str) -> VGGName:
    """Reads `vgg:LAYER:k=N`, `vgg:LAYER:k=N:seed=S` or `vgg:LAYER:filters=12,40`.

    Raises:
        InputError: the layer is unknown, or the filters are not distinct ones of that layer.

    Source: 3.1, 3.2. Deviation: D9 (names of the layers).
    """
    kind, layer, rest = [*objective.split(":", 2), "", ""][:3]
    if kind != "vgg" or layer not in VGG_FILTERS:
        raise _refused(
            objective, f"vgg:LAYER:k=N or vgg:LAYER:filters=12,40 with LAYER one of {', '.join(VGG_FILTERS)}"
        )
    count = VGG_FILTERS[layer]
    drawn = re.fullmatch(r"k=([0-9]{1,9})(?::seed=([0-9]{1,9}))?", rest)
    if drawn:
        k = int(drawn[1])
        if not 1 <= k <= count:
            raise _refused(objective, f"k from 1 to {count}, the number of filters of {layer}")
        return VGGName(layer, k, int(drawn[2] or 0), None)
    named = re.fullmatch(r"filters=([0-9]{1,9}(?:,[0-9]{1,9})*)", rest)
    if not named:
        raise _refused(objective, f"vgg:{layer}:k=N, vgg:{layer}:k=N:seed=S or vgg:{layer}:filters=12,40")
    filters = [int(word) for word in named[1].split(",")]
    if len(set(filters)) < len(filters) or max(filters) >= count:
        raise _refused(objective, f"different filters from 0 to {count - 1} of {layer}")
    return VGGName(layer, len(filters), None, tuple(sorted(filters)))


def require_objective(objective: str) -> None:
    """Refuses an unknown objective before anything is computed.

    Raises:
        InputError: with what would be one.
    """
    if is_vgg(objective):
        parse_vgg(objective)
        return
    kind, _, rest = objective.partition(":")
    parts = rest.split("-")
    known = kind == "color" and 1 <= len(parts) <= 3 and set(parts) <= set(COLORS) and len(set(parts)) == len(parts)
    if not known:
        raise _refused(
            objective,
            "color: and one to three different ones of red, green, blue joined by '-' (color:blue, color:red-green), or "
            "vgg:LAYER:k=N (vgg:pool3:k=20)",
        )


def require_vgg_size(objective: str, size: int) -> None:
    """Refuses an image size that VGG16 can't take for that objective.

    Raises:
        InputError: the layer is one of the top's and the size not theirs, or the size is too small.

    Deviation: D8.
    """
    top = is_vgg(objective) and parse_vgg(objective).layer in TOP_LAYERS
    if size < LEAST_IMAGE_SIZE or (top and size != TOP_IMAGE_SIZE):
        expected = f"{TOP_IMAGE_SIZE} for fc6, fc7, fc8" if top else f"{LEAST_IMAGE_SIZE} or more"
        raise InputError(
            f"interactions.vgg_image_size is {size}, expected {expected}: change it with --interactions.vgg-image-size VALUE."
        )


def _refused(objective: str, expected: str) -> InputError:
    return InputError(
        f"interactions.objective is {objective!r}, expected {expected}: change it with --interactions.objective VALUE."
    )
