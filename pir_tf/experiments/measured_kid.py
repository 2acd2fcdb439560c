"""The distance of generated images from real ones in an experiment: which images, and features that no run computes twice (5.1).

The statistic and its network are in `evaluation.kid`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.config import derived_seed
from pir_tf.data.sources import ImageSet
from pir_tf.evaluation import kid
from pir_tf.experiments.cache import cached, digest
from pir_tf.objectives.vgg import VGGFeatures, weights_file
from pir_tf.pretrained import sha256
from pir_tf.runs.directory import RunDirectory
from pir_tf.training.callbacks import track

PIECE = 200
"""Images between two moves of the progress bar."""


def measured_kid(
    run: RunDirectory, before: np.ndarray, after: np.ndarray, image_set: ImageSet | None
) -> dict[str, Any]:
    """KID of both sets of generated images against the same real ones.

    Args:
        run: The run, whose `evaluation.kid_weights` say which network measures.
        before: uint8 `[n, 64, 64, 3]`.
        after: As many after tuning.
        image_set: The real images, None where there are none.

    Returns:
        The entry `kid` of `results.json`.

    Source: 5.1.
    """
    weights = run.config.evaluation.kid_weights
    if image_set is None:
        return kid.not_measured("An imported generator has no real images here.")
    if weights == "none":
        return kid.not_measured("No weights of VGG16 were named: --evaluation.kid-weights imagenet or file:PATH does.")
    before, after = (images[: run.config.evaluation.kid_images] for images in (before, after))
    real = image_set.images[balanced_rows(image_set, len(before), seed=_seed(run, "real images for KID"))]
    features = _Features(run, weights)
    measured = (features(before, "before"), features(after, "after", reuse=False), features(real, "of real images"))
    scheme, _, path = weights.partition(":")
    called = f"file:{Path(path).name}" if scheme == "file" else weights
    return kid.compare(*measured, weights=called, seed=_seed(run, "KID blocks"))


def balanced_rows(image_set: ImageSet, count: int, *, seed: int) -> np.ndarray:
    """Different images, equally many of each class as generated ones have (D16), fewer where a class has no more.

    Args:
        image_set: The real images.
        count: How many at most.
        seed: Seed of the choice.

    Returns:
        Row numbers, int64 [at most count].
    """
    rng, classes = np.random.default_rng(seed), len(image_set.class_names)
    chosen = []
    for label in range(classes):
        own = rng.permutation(np.flatnonzero(image_set.labels == label))
        chosen.append(own[: count // classes + (label < count % classes)])
    return np.concatenate(chosen)


def _seed(run: RunDirectory, purpose: str) -> int:
    """Not a round's own: all rounds are measured against the same real images."""
    return derived_seed(run.config.seed, purpose)


class _Features:
    """Features of image sets, from the run's cache or from one network that is built when it is first needed."""

    def __init__(self, run: RunDirectory, weights: str) -> None:
        self._run, self._weights = run, weights
        self._network: VGGFeatures | None = None
        file = weights_file((kid.LAYER,), weights, option="evaluation.kid_weights")
        self._file = None if file is None else sha256(file)

    def __call__(self, images: np.ndarray, title: str, *, reuse: bool = True) -> np.ndarray:
        """float32 [n, 512] of uint8 images; no other run has those of a tuned generator, which are not kept."""
        if not reuse:
            return self._make(images, title)
        key = {"images": digest(images), "network": kid.NETWORK, "weights": self._file}
        made = cached(self._run, "kid-features", key, lambda: {"features": self._make(images, title)})
        return made["features"]

    def _make(self, images: np.ndarray, title: str) -> np.ndarray:
        self._network = self._network or kid.feature_network(self._weights)
        network = self._network
        pieces = (network(images[start : start + PIECE])[kid.LAYER] for start in range(0, len(images), PIECE))
        return np.concatenate(list(track(pieces, f"KID features {title}", len(images), size=PIECE)))
