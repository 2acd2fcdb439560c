"""The estimator's heads: how logits are fitted to answers, and how they become a PIR (C.3).

`Bins` is the paper's: PIR as classes, estimated as the expectation of the bins' centres under a softmax of the logits divided
by a temperature. `Scalar` is what the paper compared it with: one logit, whose sigmoid is the PIR. Not the paper's are bins that
span the observed PIRs alone, the binomial mixture as their loss, and a scalar that begins at the mean. What is not here: networks
and training.
"""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any, ClassVar, assert_never

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError

EDGE = 1e-15
"""The binomial mixture takes no centre to be nearer to 0 or 1, where the logarithm of an answer's probability has no end."""
ROUNDING = 1e-9
"""Part of a bin by which a PIR may miss an edge and still count as on it."""


@dataclasses.dataclass(frozen=True)
class Bins:
    """Equal bins of a range: of [0, 1], bin k holds k / count <= PIR < (k + 1) / count, and PIR 1 belongs to the last one.

    Args:
        count: Number of bins, 2 or more; the paper has 100.
        low: PIR at which the first bin begins, 0 in D7.
        high: PIR at which the last one ends, which belongs to it; 1 in D7.
        binomial: Whether the loss is the binomial mixture instead of the cross-entropy. Not the paper's.

    Source: C.3. Deviation: D7, the paper gives only the number of bins.
    """

    count: int
    low: float = 0.0
    high: float = 1.0
    binomial: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise InputError(
                f"The bins span {self.low:g} to {self.high:g}; expected two PIRs from 0 to 1, the lower first: pass the "
                "least and the greatest that was observed."
            )
        if self.count < 2:
            raise InputError(f"The number of bins is {self.count}; expected 2 or more: the paper has 100.")

    @property
    def units(self) -> int:
        """Logits of an image."""
        return self.count

    def centers(self) -> npt.NDArray[np.float32]:
        """PIR in the middle of each bin, low + (high - low) (k + 1/2) / count."""
        return self._centers().astype(np.float32)

    def _centers(self) -> npt.NDArray[np.float64]:
        return self.low + (self.high - self.low) * ((np.arange(self.count) + 0.5) / self.count)

    def index(self, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """The bin of positives / impressions, the nearest one of a PIR outside of the range; 0 without impressions.

        On [0, 1] in whole numbers and so free of rounding, else up to `ROUNDING`; so too with fractions, as of ratings or ties.
        """
        shown = tf.maximum(tf.cast(impressions, tf.int64), 1)
        if (self.low, self.high) == (0, 1) and not tf.as_dtype(positives.dtype).is_floating:
            return tf.minimum(tf.cast(positives, tf.int64) * self.count // shown, self.count - 1)
        pir = tf.cast(positives, tf.float64) / tf.cast(shown, tf.float64)
        place = tf.floor((pir - self.low) / (self.high - self.low) * self.count + ROUNDING)
        return tf.cast(tf.clip_by_value(place, 0, self.count - 1), tf.int64)

    def loss(self, logits: tf.Tensor, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """The mean cross-entropy of the observed bins at temperature 1; every image with impressions counts the same.

        With `binomial` the mean of -log sum_k p_k Binom(x; n, c_k), of positives x among impressions n, with p the softmax at
        temperature 1 and c the bins' centres: then an image that was shown more often says more about its bin.

        Args:
            logits: Floats [b, count].
            impressions: Whole numbers [b], 0 or more.
            positives: Whole numbers [b], 0 to impressions. The mixture takes fractions too, as of ratings or ties: factorials
                become gamma functions, a constant of the data that no gradient sees.

        Returns:
            A float32 scalar, 0 or more but for the mixture of fractions; 0 if no image has impressions.

        Source: C.3; the mixture is not the paper's.
        """
        if self.binomial:
            return _mean_of_rated(self._mixture(logits, impressions, positives), impressions)
        labels, logits = self.index(impressions, positives), tf.cast(logits, tf.float32)
        return _mean_of_rated(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), impressions)

    def _mixture(self, logits: tf.Tensor, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
        """-log sum_k p_k Binom(x; n, c_k) of each image, float32 [b]: logarithms throughout, in float64 for large n."""
        n, x = (tf.cast(counts, tf.float64)[:, None] for counts in (impressions, positives))
        centers = np.clip(self._centers(), EDGE, 1 - EDGE)
        choices = tf.math.lgamma(n + 1) - tf.math.lgamma(x + 1) - tf.math.lgamma(n - x + 1)
        answers = choices + x * np.log(centers) + (n - x) * np.log1p(-centers)
        log_p = tf.nn.log_softmax(tf.cast(logits, tf.float64))
        return tf.cast(-tf.reduce_logsumexp(log_p + answers, axis=1), tf.float32)

    def pir(self, logits: Any, temperature: float) -> Any:
        """R(image) = sum_k softmax(logits / T)_k c_k, c the bins' centres, in stock layers of which the last is named `pir`.

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


def head_of(config: EstimatorConfig, pir: npt.NDArray[np.float64] | None = None) -> Head:
    """The head that the config's `output`, `bins`, `bin_range` and `bin_loss` name.

    Args:
        config: The estimator's configuration.
        pir: Observed PIR [n] of the answered images, which `bin_range data` spans; None where only the number of logits counts.

    Raises:
        InputError: If all of them are equal, so that they span nothing.
    """
    if config.output == "scalar":
        return Scalar()
    if config.output != "bins" and config.output != "linear":  # whose head is asked for its number of logits alone
        assert_never(config.output)
    low, high = 0.0, 1.0
    if config.bin_range == "data" and pir is not None:
        low, high = float(pir.min()), float(pir.max())
        if low == high:
            raise InputError(
                f"All {len(pir)} answered images have the same PIR, {low:g}; expected some difference, since "
                "estimator.bin_range data spans what was observed: collect more answers, or take --estimator.bin-range unit."
            )
    return Bins(config.bins, low, high, binomial=config.bin_loss == "binomial")


def first_bias(config: EstimatorConfig, pir: npt.NDArray[np.float64]) -> float:
    """The biases of an untrained estimator's logits: 0, or with `scalar_start data` logit(mean of the observed PIR [n]).

    Raises:
        InputError: If that mean is 0 or 1, whose logit is infinite.
    """
    if config.scalar_start == "half":
        return 0.0
    mean = float(pir.mean())
    if not 0 < mean < 1:
        raise InputError(
            f"All {len(pir)} answered images have the PIR {mean:g}; expected a mean between 0 and 1, since "
            "estimator.scalar_start data begins at its logit: collect more answers, or take --estimator.scalar-start half."
        )
    return math.log(mean / (1 - mean))


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
