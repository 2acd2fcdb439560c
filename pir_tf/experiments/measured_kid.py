"""The distance of generated images from real ones in an experiment: which images, and features that no run computes twice (5.1).

The statistic and its network are in `evaluation.kid`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.config import EvaluationConfig, derived_seed
from pir_tf.data.sources import ImageSet
from pir_tf.evaluation import kid
from pir_tf.experiments.cache import cached, digest
from pir_tf.objectives.vgg import VGGFeatures, weights_file
from pir_tf.pretrained import sha256
from pir_tf.training.callbacks import track

PIECE = 200
"""Images between two moves of the progress bar."""


def measured_kid(
    images: Mapping[str, np.ndarray],
    image_set: ImageSet | None,
    settings: EvaluationConfig,
    *,
    seed: int,
    cache: Path | None,
) -> dict[str, Any]:
    """KID of both sets of generated images, and of the control's where there are some, against the same real ones.

    Args:
        images: uint8 `before`, `after` and perhaps `control` `[n, h, w, 3]`, equally many.
        image_set: The real images, None where there are none.
        settings: Which network measures (`kid_weights`), and how many images.
        seed: The experiment's, not a round's own: all rounds are measured against the same real images.
        cache: Where features are kept for other runs, or None.

    Returns:
        The entry `kid` of `results.json`.

    Source: 5.1.
    """
    weights = settings.kid_weights
    if image_set is None:
        return kid.not_measured("An imported generator has no real images here.")
    if weights == "none":
        return kid.not_measured("No weights of VGG16 were named: --evaluation.kid-weights imagenet or file:PATH does.")
    before, after = (images[when][: settings.kid_images] for when in ("before", "after"))
    real = image_set.images[balanced_rows(image_set, len(before), seed=derived_seed(seed, "real images for KID"))]
    features = _Features(weights, cache)
    # No other run has the images of this run's tuned generator.
    measured = [features(before, "before"), features(after, "after", reuse=False), features(real, "of real images")]
    if "control" in images:
        measured.append(features(images["control"][: settings.kid_images], "of the control"))
    scheme, _, path = weights.partition(":")
    called = f"file:{Path(path).name}" if scheme == "file" else weights
    return kid.compare(*measured, weights=called, seed=derived_seed(seed, "KID blocks"))


def balanced_rows(image_set: ImageSet, count: int, *, seed: int) -> np.ndarray:
    """Rows, int64 [at most count], of different images, equally many of each class (D16), fewer where a class has no more."""
    rng, classes = np.random.default_rng(seed), len(image_set.class_names)
    chosen = []
    for label in range(classes):
        own = rng.permutation(np.flatnonzero(image_set.labels == label))
        chosen.append(own[: count // classes + (label < count % classes)])
    return np.concatenate(chosen)


class _Features:
    """Features of image sets, from the cache or from one network that is built when it is first needed."""

    def __init__(self, weights: str, cache: Path | None) -> None:
        self._weights, self._cache = weights, cache
        self._network: VGGFeatures | None = None
        file = weights_file((kid.LAYER,), weights, option="evaluation.kid_weights")
        self._file = None if file is None else sha256(file)

    def __call__(self, images: np.ndarray, title: str, *, reuse: bool = True) -> np.ndarray:
        """float32 [n, 512] of uint8 images."""
        key = {"images": digest(images), "network": kid.NETWORK, "weights": self._file}
        make = lambda: {"features": self._make(images, title)}  # noqa: E731
        return cached(self._cache if reuse else None, "kid-features", key, make)["features"]

    def _make(self, images: np.ndarray, title: str) -> np.ndarray:
        network = self._network = self._network or kid.feature_network(self._weights)
        pieces = (network(images[start : start + PIECE])[kid.LAYER] for start in range(0, len(images), PIECE))
        return np.concatenate(list(track(pieces, f"KID features {title}", len(images), size=PIECE)))
