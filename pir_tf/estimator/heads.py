"""The estimator's heads: how logits are fitted to answers, and how they become a PIR (C.3).

`Bins` is the paper's: PIR as classes, estimated as the expectation of the bins' centres under a softmax of the logits divided
by a temperature. `Scalar` is what the paper compared it with: one logit, whose sigmoid is the PIR. What is not here: networks
and training.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError


@dataclasses.dataclass(frozen=True)
class Bins:
    """Equal bins of [0, 1]: bin k holds k / count <= PIR < (k + 1) / count, and PIR 1 belongs to the last one.

    Args:
        count: Number of bins, 2 or more; the paper has 100.

    Source: C.3. Deviation: D7, the paper gives only the number of bins.
    """

    count: int

    def __post_init__(self) -> None:
        if self.count < 2:
            raise InputError(f"The number of bins is {self.count}; expected 2 or more: the paper has 100.")

    @property
    def units(self) -> int:
        """Logits of an image."""
        return self.count

    def centers(self) -> npt.NDArray[np.float32]:
        """PIR in the middle of each bin, (k + 1/2) / count."""
        return ((np.arange(self.count) + 0.5) / self.count).astype(np.float32)

    def index(self, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """The bin of positives / impressions, in whole numbers and so free of rounding; 0 without impressions."""
        shown = tf.maximum(tf.cast(impressions, tf.int64), 1)
        return tf.minimum(tf.cast(positives, tf.int64) * self.count // shown, self.count - 1)

    def loss(self, logits: tf.Tensor, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """The mean cross-entropy of the observed bins at temperature 1; every image with impressions counts the same.

        Args:
            logits: Floats [b, count].
            impressions: Whole numbers [b], 0 or more.
            positives: Whole numbers [b], 0 to impressions.

        Returns:
            A float32 scalar, 0 or more; 0 if no image has impressions.

        Source: C.3.
        """
        labels, logits = self.index(impressions, positives), tf.cast(logits, tf.float32)
        return _mean_of_rated(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), impressions)

    def pir(self, logits: Any, temperature: float) -> Any:
        """R(image) = sum_k softmax(logits / T)_k (k + 1/2) / count, in stock layers of which the last is named `pir`.

        Args:
            logits: [b, count], of a network that is being built or as numbers.
            temperature: T, above 0: 1 in training, 0.01 in use; the lower, the nearer to the centre of the likeliest bin.

        Returns:
            float32 [b, 1] in [0, 1], symbolic as the logits are.

        Raises:
            InputError: If the temperature is not a finite number above 0.

        Source: C.3. Deviation: D7.
        """
        check_temperature(temperature)
        x = layers.Rescaling(1.0 / temperature, dtype="float32", name="temperature")(logits)
        x = layers.Softmax(dtype="float32", name="probabilities")(x)
        centers = layers.Dense(1, use_bias=False, trainable=False, dtype="float32", name="pir")
        centers.build(x.shape)
        centers.set_weights([self.centers()[:, None]])
        return centers(x)


@dataclasses.dataclass(frozen=True)
class Scalar:
    """One logit, whose sigmoid is the PIR at any temperature. Source: C.3."""

    units: ClassVar[int] = 1

    def loss(self, logits: tf.Tensor, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """As `Bins.loss`, of the observed rate p with q = sigmoid(logit): -p log q - (1 - p) log(1 - q).

        That is the likelihood of the answers, an image's impressions taken as one.
        """
        rate = tf.math.divide_no_nan(tf.cast(positives, tf.float64), tf.cast(impressions, tf.float64))
        labels, logits = tf.cast(rate, tf.float32), tf.cast(logits, tf.float32)[:, 0]
        return _mean_of_rated(tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits), impressions)

    def pir(self, logits: Any, temperature: float) -> Any:
        """As `Bins.pir`, of logits [b, 1]."""
        check_temperature(temperature)
        return layers.Activation("sigmoid", dtype="float32", name="pir")(logits)


Head = Bins | Scalar


def head_of(config: EstimatorConfig) -> Head:
    """The head that the config's `output` and `bins` name."""
    return Scalar() if config.output == "scalar" else Bins(config.bins)


def check_temperature(temperature: Any) -> None:
    """Refuses a temperature that is not a finite number above 0."""
    number = isinstance(temperature, numbers.Real) and not isinstance(temperature, bool)
    if not (number and math.isfinite(temperature) and temperature > 0):
        raise InputError(
            f"The temperature is {temperature!r}; expected a finite number above 0: use 1 for the softmax as trained, "
            "and a small one such as 0.01 for nearly a maximum."
        )


def _mean_of_rated(each: tf.Tensor, impressions: tf.Tensor) -> tf.Tensor:
    rated = tf.cast(impressions > 0, tf.float32)
    return tf.math.divide_no_nan(tf.reduce_sum(rated * each), tf.reduce_sum(rated))
