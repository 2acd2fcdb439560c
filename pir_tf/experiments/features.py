"""Features of images that backbones made, so that no image goes through one backbone twice.

With `trainable: head` the estimator, the second judge and the folds of a cross-validation all learn from the same features.
Within a process they are remembered for each image alone, so that folds find theirs; between runs that share a cache they
are kept for whole sets.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import numpy as np

from pir_tf.estimator.train import FeatureMaker, backbone_features
from pir_tf.experiments.cache import Rows, cached, digest
from pir_tf.runs.directory import RunDirectory


def feature_maker(run: RunDirectory) -> FeatureMaker:
    """What `fit_estimator` makes features with in this run.

    Two backbones are one if their architectures and weights are equal.
    """
    return lambda backbone, images: _remembered().make(run, backbone, images)


@functools.lru_cache(maxsize=1)
def _remembered() -> _Remembered:
    """One for all stages of a process."""
    return _Remembered()


class _Remembered:
    """Features by image, of the backbone that was used last."""

    def __init__(self) -> None:
        self._backbone: dict[str, Any] = {}
        self._rows = Rows()

    def make(self, run: RunDirectory, backbone: keras.Model, images: np.ndarray) -> np.ndarray:
        """float32 `[n, f]` of uint8 images `[n, h, w, 3]`."""
        name = _name(run, backbone)
        if name != self._backbone:
            self._backbone, self._rows = name, Rows()

        def compute(new: np.ndarray) -> np.ndarray:
            key = {"backbone": name, "images": digest(new)}
            return cached(run.cache, "features", key, lambda: {"features": backbone_features(backbone, new)})[
                "features"
            ]

        return self._rows.of(images, compute)


def _name(run: RunDirectory, backbone: keras.Model) -> dict[str, Any]:
    """What the backbone is, as JSON can hold it: its weights themselves, wherever they came from."""
    config = run.config.estimator
    weights = digest(*(keras.ops.convert_to_numpy(weight) for weight in backbone.weights))
    architecture = [config.backbone, config.layer, config.image_size, list(config.input_range)]
    return {"architecture": architecture, "weights": weights}
