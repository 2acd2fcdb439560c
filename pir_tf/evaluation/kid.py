"""How far generated images are from the real ones: KID on a network that tuning never uses (section 5.1).

The features are VGG16's pool5, averaged over positions, of images at 224 pixels. VGG16 is no backbone of the estimator, so no
tuning can please it, and it is the same for all runs with the same weights.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from pir_tf.errors import InputError
from pir_tf.objectives import vgg

LAYER = "pool5"
IMAGE_SIZE = 224
NETWORK = f"VGG16 {LAYER}, mean over positions, images resized to {IMAGE_SIZE} pixels"
BLOCK_SIZE = 100
"""Images of each set in one block, where there are enough for two blocks."""
LEAST_IMAGES = 4
"""Images of each set that an estimate with a standard error needs: two blocks of two."""


def feature_network(weights: str) -> vgg.VGGFeatures:
    """The network whose features are compared: uint8 images [n, h, w, 3] to `{"pool5": float32 [n, 512]}`.

    `weights` are `imagenet` or `file:PATH`, of VGG16 without top (or with it: the top is not computed).

    Source: 5.1. Deviation: D8 (how images are resized).
    """
    option = "evaluation.kid_weights"
    return vgg.VGGFeatures((LAYER,), measure=vgg.position_means, weights=weights, image_size=IMAGE_SIZE, option=option)


def compare(
    before: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    real: npt.NDArray[np.float32],
    control: npt.NDArray[np.float32] | None = None,
    *,
    weights: str,
    seed: int,
) -> dict[str, Any]:
    """What `results.json` says of the distance from the real images, before and after tuning, and of the control's.

    Args:
        before, after: Features [n, 512] of generated images before tuning and of as many after it.
        real: Features [m, 512] of real images.
        control: Features [n, 512] of images by the control, where there is one.
        weights: What the network's weights are called.
        seed: Seed of the blocks.

    Returns:
        Network, counts, blocks, the distances and their standard errors, the control's None without one; all numbers None
        with a reason where there are too few images.

    Source: 5.1.
    """
    count = min(len(before), len(after), len(real))
    if count < LEAST_IMAGES:
        reason = f"KID needs {LEAST_IMAGES} images of each kind or more, and there are {count}."
        return {**not_measured(reason), "network": f"{NETWORK}, weights {weights}"}
    first, second = (kid(features, real, seed=seed) for features in (before, after))
    third = None if control is None else kid(control, real, seed=seed)
    return {
        "network": f"{NETWORK}, weights {weights}",
        "images": len(before),
        "real_images": len(real),
        "block_size": first.block_size,
        "blocks": first.blocks,
        "before": first.value,
        "after": second.value,
        "before_se": first.standard_error,
        "after_se": second.standard_error,
        "control": None if third is None else third.value,
        "control_se": None if third is None else third.standard_error,
        "reason": None,
    }


def not_measured(reason: str) -> dict[str, Any]:
    """The same without numbers, and why there are none, as a sentence."""
    names = ("network", "images", "real_images", "block_size", "blocks")
    measured = (f"{when}{error}" for error in ("", "_se") for when in ("before", "after", "control"))
    return {**dict.fromkeys((*names, *measured)), "reason": reason}


@dataclasses.dataclass(frozen=True)
class KID:
    """An estimate of the kernel distance.

    Attributes:
        value: Mean over blocks; about 0 for equal distributions, where it may be negative.
        standard_error: Standard deviation over blocks (ddof 1) over the square root of their number.
        block_size: Images of each set in a block.
        blocks: Number of blocks.
    """

    value: float
    standard_error: float
    block_size: int
    blocks: int


def kernel(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """k(x, y) = (x . y / d + 1)^3 of every pair, float64 [n, m], of features [n, d] and [m, d]."""
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def unbiased_mmd2(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """The unbiased squared maximum mean discrepancy of features [n, d] and [m, d], n and m 2 or more."""
    n, m = len(x), len(y)
    xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
    within_x = (xx.sum() - np.trace(xx)) / (n * (n - 1))
    within_y = (yy.sum() - np.trace(yy)) / (m * (m - 1))
    return float(within_x + within_y - 2.0 * xy.mean())


def kid(x: npt.ArrayLike, y: npt.ArrayLike, *, seed: int, block_size: int = BLOCK_SIZE) -> KID:
    """The kernel distance of two sets of features [n, d] and [m, d], estimated in disjoint random blocks.

    Sets below twice `block_size` are cut into two blocks. What doesn't fill a block is left out, as is the larger set's
    surplus.

    Raises:
        InputError: The features don't belong together, are not finite, or are too few.

    Source: 5.1.
    """
    first, second = _features("x", x), _features("y", y)
    if first.shape[1] != second.shape[1]:
        raise InputError(
            f"The features have {first.shape[1]} and {second.shape[1]} entries an image, expected equally many: measure "
            "both sets with one network."
        )
    count = min(len(first), len(second))
    if count < LEAST_IMAGES:
        raise InputError(f"There are features of {count} images, expected {LEAST_IMAGES} or more: measure more images.")
    if block_size < 2:
        raise InputError(f"block_size is {block_size}, expected 2 or more: {BLOCK_SIZE} is usual.")
    size = min(block_size, count // 2)
    rng = np.random.default_rng(seed)
    blocks = count // size
    order_x, order_y = (rng.permutation(len(side))[: blocks * size].reshape(blocks, size) for side in (first, second))
    values = [unbiased_mmd2(first[a], second[b]) for a, b in zip(order_x, order_y, strict=True)]
    return KID(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(blocks)), size, blocks)


def _features(name: str, features: npt.ArrayLike) -> npt.NDArray[np.float64]:
    array = np.asarray(features, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] < 1:
        raise InputError(f"{name} has shape {array.shape}, expected features [n, d]: give one row for each image.")
    if not np.isfinite(array).all():
        raise InputError(
            f"{name} holds features that are not finite, expected numbers: check the images and the weights."
        )
    return array
