"""How far generated images are from the real ones: KID on a network that tuning never uses (section 5.1).

The features are VGG16's pool5, averaged over positions, of images at 224 pixels. VGG16 is no backbone of the estimator, so no
tuning can please it, and it is the same for all runs with the same weights. The statistic is in `kid_statistic`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pir_tf.evaluation.kid_statistic import LEAST_IMAGES, kid
from pir_tf.objectives import vgg

LAYER = "pool5"
IMAGE_SIZE = 224
NETWORK = f"VGG16 {LAYER}, mean over positions, images resized to {IMAGE_SIZE} pixels"


def feature_network(weights: str) -> vgg.VGGFeatures:
    """The network whose features are compared: uint8 images [n, h, w, 3] to `{"pool5": float32 [n, 512]}`.

    Args:
        weights: `imagenet` or `file:PATH`, of VGG16 without top (or with it: the top is not computed).

    Raises:
        InputError: The weights are missing or damaged.

    Source: 5.1. Deviation: D8 (how images are resized).
    """
    return vgg.VGGFeatures(
        (LAYER,),
        measure=vgg.position_means,
        weights=weights,
        image_size=IMAGE_SIZE,
        option="evaluation.kid_weights",
    )


def compare(
    before: npt.NDArray[np.float32],
    after: npt.NDArray[np.float32],
    real: npt.NDArray[np.float32],
    *,
    weights: str,
    seed: int,
) -> dict[str, Any]:
    """What `results.json` says of the distance from the real images, before and after tuning.

    Args:
        before: Features [n, 512] of generated images before tuning.
        after: Features of as many after it.
        real: Features [m, 512] of real images, the same for both.
        weights: What the network's weights are called.
        seed: Seed of the blocks, the same for both.

    Returns:
        Network, counts, blocks, both distances and their standard errors; all numbers None with a reason where there are
        too few images.

    Source: 5.1.
    """
    count = min(len(before), len(after), len(real))
    if count < LEAST_IMAGES:
        reason = f"KID needs {LEAST_IMAGES} images of each kind or more, and there are {count}."
        return {**not_measured(reason), "network": f"{NETWORK}, weights {weights}"}
    first, second = (kid(features, real, seed=seed) for features in (before, after))
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
        "reason": None,
    }


def not_measured(reason: str) -> dict[str, Any]:
    """The same without numbers, and why there are none, as a sentence."""
    names = ("network", "images", "real_images", "block_size", "blocks", "before", "after", "before_se", "after_se")
    return {**dict.fromkeys(names), "reason": reason}
