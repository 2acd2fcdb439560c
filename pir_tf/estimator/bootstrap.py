"""The doubt of bins and of a scalar: how far readouts of other images' answers would differ. Not the paper's.

The linear estimator has its doubt in closed form. Here eight more heads on the same frozen features learn as the first did, each
from as many images, drawn with replacement (the bootstrap). With lambda, `estimator.pessimism`, tuning climbs

    L_PIR = E[R(G(z, c)) - lambda SD(G(z, c))],   SD that of the eight heads' PIR, about their own mean

so it goes where they agree. The file, `score` and the report have the first head's R.
"""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import numpy.typing as npt
from keras import layers

from pir_tf.config import derived_seed
from pir_tf.estimator.heads import Head
from pir_tf.estimator.linear import fixed_dense, standard_deviation

REPLICATES = 8

Readout = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Kernel [f, units] and bias [units] of a head's logits."""


def resampled(count: int, *, seed: int) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
    """For each readout the images that it learns from, `count` rows of `count` images, and the seed of its batches."""
    for number in range(REPLICATES):
        own = derived_seed(seed, f"bootstrap {number}")
        yield np.random.default_rng(own).integers(count, size=count), own


def with_doubt(pir_model: keras.Model, head: Head, temperature: float, readouts: list[Readout]) -> keras.Model:
    """Images to PIR and its standard deviation over the readouts, both [b, 1], in stock layers.

    Args:
        pir_model: Images to PIR [b, 1], with a layer `features`.
        head: What all logits mean.
        temperature: Of use.
        readouts: Two or more.
    """
    count = len(readouts)
    kernel, bias = np.concatenate([one[0] for one in readouts], axis=1), np.concatenate([one[1] for one in readouts])
    x = fixed_dense(pir_model.get_layer("features").output, kernel, "replicate_logits", bias=bias)
    x = layers.Reshape((count, head.units), dtype="float32", name="replicates")(x)
    logits = keras.Input((count, head.units), name="logits")
    # In a model of its own, as its layers have the first head's names.
    each = keras.Model(logits, head.pir(logits, temperature), name="replicate_pir")
    x = layers.Flatten(dtype="float32", name="replicate_pirs")(each(x))
    x = fixed_dense(x, np.eye(count) - 1 / count, "about_their_mean")
    power = layers.Dot(axes=1, dtype="float32", name="spread_power")([x, x])
    model = keras.Model(
        pir_model.input, [pir_model.output, standard_deviation(power, 1 / (count - 1))], name="pir_estimator"
    )
    model.jit_compile = False
    return model
