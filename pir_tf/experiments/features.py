"""Features of images that backbones made, so that no image goes through one backbone twice.

With `trainable: head` the estimator, the second judge and the folds of a cross-validation all learn from the same features.
Within a process they are remembered for each image alone, so that folds find theirs; between runs that share a cache they
are kept for whole sets.
"""

from __future__ import annotations

import functools
from pathlib import Path

import keras
import numpy as np

from pir_tf.config import EstimatorConfig
from pir_tf.estimator.train import FeatureMaker, backbone_features
from pir_tf.experiments.cache import Rows, cached, digest


def feature_maker(config: EstimatorConfig, cache: Path | None) -> FeatureMaker:
    """What `fit_estimator` makes features with, float32 `[n, f]` of uint8 images `[n, h, w, 3]`.

    Two backbones are one if their architectures and weights, wherever these came from, are equal.
    """

    def make(backbone: keras.Model, images: np.ndarray) -> np.ndarray:
        weights = digest(*(keras.ops.convert_to_numpy(weight) for weight in backbone.weights))
        architecture = [config.backbone, config.layer, config.image_size, list(config.input_range)]
        name = {"architecture": architecture, "weights": weights}

        def compute(new: np.ndarray) -> np.ndarray:
            key = {"backbone": name, "images": digest(new)}
            return cached(cache, "features", key, lambda: {"features": backbone_features(backbone, new)})["features"]

        return _remembered(str(name)).of(images, compute)

    return make


@functools.lru_cache(maxsize=1)
def _remembered(backbone: str) -> Rows:
    """Features by image, of the backbone that was used last in this process."""
    del backbone
    return Rows()
