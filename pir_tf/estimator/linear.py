"""The linear estimator: frozen features, and a ridge readout that every answer counts in. Not the paper's.

The paper fits 100 bins by 25,000 steps of Adam (C.3). With features that stay as they are, a thousand answers say far more in
closed form: no step, no rate, no seed, a second's work, and the estimate's own doubt about an image with it. Tuning climbs

    L_PIR = E[mean(G(z, c)) - lambda SD(G(z, c))]

without clipping, so that its gradient never ends, and with lambda (`estimator.pessimism`) it goes where the readout is sure. The
file, `score` and the report have the mean, clipped to [0, 1].
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from pir_tf.estimator.ridge import Ridge, fit_ridge

MEAN = "mean"
SD_OFFSET = 1e-8
"""Added to the variance under its root, whose gradient then ends."""
NEGLIGIBLE = 1e-3
"""Directions that the answers make no surer than this are left out of the file."""


class LinearEstimator:
    """Frozen features and their fitted readout.

    Args:
        backbone: Images, float32 [b, h, w, 3] in [-1, 1], to features [b, f].
        ridge: The readout of these features.

    Attributes:
        pir_model: Images to PIR [b, 1] in [0, 1].
    """

    def __init__(self, backbone: keras.Model, ridge: Ridge) -> None:
        self.ridge = ridge
        mean, sd = readout(backbone.output, ridge)
        pir = layers.ReLU(max_value=1.0, dtype="float32", name="pir")(mean)
        self._saved = keras.Model(backbone.input, [pir, sd], name="pir_estimator")
        self.pir_model = keras.Model(backbone.input, pir, name="pir_estimator")
        for model in (self._saved, self.pir_model):
            model.trainable = model.jit_compile = False

    @classmethod
    def fit(
        cls,
        backbone: keras.Model,
        features: npt.ArrayLike,
        counts: npt.NDArray[np.int64],
        groups: npt.NDArray[np.int64] | None = None,
    ) -> LinearEstimator:
        """The estimator of images with these features [n, f], impressions and positives [n, 2], and groups [n] or one of all."""
        shown, positives = counts.T
        return cls(backbone, fit_ridge(features, positives / shown, shown, groups=groups))

    def __call__(self, images: Any, training: bool = False) -> Any:
        """PIR [b, 1] of images, always in inference mode."""
        del training
        return self.pir_model(images, training=False)

    def saved_model(self) -> keras.Model:
        """Images to PIR and its standard deviation, both [b, 1], as it is saved."""
        return self._saved


def readout(features: keras.KerasTensor, ridge: Ridge) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """The readout in stock layers: its mean, the layer `mean`, and its posterior standard deviation, both [b, 1]."""
    x = layers.Normalization(dtype="float32", name="standardised")
    x.build(features.shape)
    x.set_weights([ridge.mean, np.square(ridge.spread), np.array(0)])
    x.finalize_state()
    z = x(features)
    mean = fixed_dense(z, ridge.weights[:, None], MEAN, bias=np.array([ridge.intercept]))
    sure = ridge.known < 1 - NEGLIGIBLE
    directions, learnt, rest = ridge.directions[:, sure], 1 - ridge.known[sure], z
    if sure.any():
        along = fixed_dense(z, directions, "known_directions")
        known = fixed_dense(along, learnt[:, None] * directions.T, "known")
        rest = layers.Subtract(dtype="float32", name="unknown")([z, known])
    power = layers.Dot(axes=1, dtype="float32", name="unknown_power")([rest, rest])
    return mean, standard_deviation(power, ridge.noise / ridge.penalty)


def standard_deviation(power: keras.KerasTensor, scale: float) -> keras.KerasTensor:
    """sqrt(scale power + `SD_OFFSET`) of sums of squares [b, 1]."""
    variance = layers.Rescaling(scale, offset=SD_OFFSET, dtype="float32", name="variance")(power)
    # In a model of its own: Keras counts operations' names anew in each process, and features that were loaded have a root too.
    number = keras.Input((1,), name="variance")
    return keras.Model(number, keras.ops.sqrt(number), name="standard_deviation")(variance)


def objective(saved: keras.Model, pessimism: float) -> keras.Model:
    """What tuning climbs: images to mean - lambda SD, [b, 1], a linear mean not clipped, of a model that `saved_model` made.

    A model without a doubt, of one output, is returned as it is.
    """
    if len(saved.outputs) == 1:
        return saved
    linear = MEAN in [layer.name for layer in saved.layers]
    result = saved.get_layer(MEAN).output if linear else saved.outputs[0]
    if pessimism:
        doubt = layers.Rescaling(-pessimism, dtype="float32", name="doubt")(saved.outputs[1])
        result = layers.Add(dtype="float32", name="pessimistic")([result, doubt])
    return keras.Model(saved.input, result, name="pir_objective")


def fixed_dense(x: keras.KerasTensor, kernel: npt.NDArray[Any], name: str, *, bias: Any = None) -> Any:
    """x times a kernel [f, units] that nothing trains, plus a bias [units]."""
    layer = layers.Dense(kernel.shape[1], use_bias=bias is not None, trainable=False, dtype="float32", name=name)
    layer.build(x.shape)
    layer.set_weights([kernel] if bias is None else [kernel, bias])
    return layer(x)
