"""PIR to bins and back: the estimator's output as 100 classes, its loss and its expectation (C.3).

Bins divide [0, 1] uniformly; bin k holds k/bins <= PIR < (k+1)/bins, and PIR 1 belongs to the last one. The estimated
PIR is the expectation of the bin centres under a softmax of the logits divided by a temperature. The alternative that
the paper compared with is here too: one logit, whose sigmoid is the PIR. What is not here: networks and training.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pir_tf.errors import InputError

ROUNDING = 1e-5  # in bin widths: 29 of 100 belongs to the bin that starts there, but 0.29 * 100 is 28.999999999999996


def bin_centers(bins: int) -> npt.NDArray[np.float32]:
    """PIR in the middle of each bin, (k + 1/2) / bins.

    Args:
        bins: Number of bins, 2 or more.

    Returns:
        float32 [bins] in (0, 1), rising.

    Raises:
        InputError: If there are fewer than 2 bins.

    Source: C.3.

    Deviation: D7, the paper gives only the number of bins.
    """
    _check_bins(bins)
    return ((np.arange(bins) + 0.5) / bins).astype(np.float32)


def bin_index(pir: npt.ArrayLike, bins: int) -> npt.NDArray[np.int64]:
    """The bin of each PIR.

    Args:
        pir: Rates of any shape, in [0, 1].
        bins: Number of bins, 2 or more.

    Returns:
        int64 of the same shape, 0 to bins - 1. A rate within 1e-5 of a bin below an edge counts as on that edge,
        which belongs to the upper bin.

    Raises:
        InputError: If a rate is missing or outside [0, 1], or there are fewer than 2 bins.

    Source: C.3.

    Deviation: D7.
    """
    _check_bins(bins)
    rates = np.asarray(pir, dtype=np.float64)
    good = (rates >= 0.0) & (rates <= 1.0)  # NaN compares as false
    if not good.all():
        raise InputError(
            f"A PIR is {rates[~good].flat[0]:g}; expected rates in [0, 1]: leave out images without impressions, and "
            "divide positives by impressions."
        )
    return np.minimum(np.floor(rates * bins + ROUNDING).astype(np.int64), bins - 1)


def bin_of_counts(impressions: tf.Tensor, positives: tf.Tensor, bins: int) -> tf.Tensor:
    """The bin of positives / impressions, in whole numbers and so free of rounding.

    min(positives bins // impressions, bins - 1)

    Args:
        impressions: Whole numbers [b], 0 or more.
        positives: Whole numbers [b], 0 to impressions.
        bins: Number of bins.

    Returns:
        int64 [b], 0 to bins - 1; 0 where there are no impressions, rows that `pir_loss` leaves out.

    Source: C.3.

    Deviation: D7.
    """
    shown = tf.maximum(tf.cast(impressions, tf.int64), 1)
    return tf.minimum(tf.cast(positives, tf.int64) * bins // shown, bins - 1)


def expected_pir(logits: tf.Tensor, temperature: float) -> tf.Tensor:
    """R(image), the expectation of the bin centres: sum_k softmax(logits / T)_k (k + 1/2) / bins.

    Args:
        logits: Floats [b, bins]; or [b, 1], the scalar output, whose PIR is sigmoid(logit) at any temperature.
        temperature: T, above 0: 1 in training, 0.01 in use; the lower, the nearer to the centre of the likeliest bin.

    Returns:
        float32 [b] in [0, 1].

    Raises:
        InputError: If the temperature is not a finite number above 0.

    Source: C.3.

    Deviation: D7.
    """
    check_temperature(temperature)
    logits = tf.cast(logits, tf.float32)  # divided by 0.01, a logit of 700 leaves the range of float16
    if logits.shape[-1] == 1:
        return tf.sigmoid(logits[:, 0])
    largest = tf.reduce_max(logits, axis=-1, keepdims=True)
    probabilities = tf.nn.softmax((logits - largest) / temperature)
    return tf.linalg.matvec(probabilities, bin_centers(logits.shape[-1]))


def pir_loss(logits: tf.Tensor, impressions: tf.Tensor, positives: tf.Tensor) -> tf.Tensor:
    """The estimator's loss: the mean cross-entropy of the observed bins, at temperature 1.

    The mean is over the images with impressions. Every image counts the same, whatever its number of impressions. With
    the scalar output it is the cross-entropy of the observed rate p with q = sigmoid(logit),
    -p log q - (1 - p) log(1 - q): the likelihood of the answers, an image's impressions taken as one.

    Args:
        logits: Floats [b, bins], or [b, 1] for the scalar output.
        impressions: Whole numbers [b], 0 or more.
        positives: Whole numbers [b], 0 to impressions.

    Returns:
        A float32 scalar, 0 or more; 0 if no image has impressions.

    Source: C.3.
    """
    logits = tf.cast(logits, tf.float32)
    rated = tf.cast(impressions > 0, tf.float32)
    bins = logits.shape[-1]
    if bins == 1:
        rate = tf.cast(
            tf.math.divide_no_nan(tf.cast(positives, tf.float64), tf.cast(impressions, tf.float64)), tf.float32
        )
        each = tf.nn.sigmoid_cross_entropy_with_logits(labels=rate, logits=logits[:, 0])
    else:
        index = bin_of_counts(impressions, positives, bins)
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=index, logits=logits)
    return tf.math.divide_no_nan(tf.reduce_sum(rated * each), tf.reduce_sum(rated))


def check_temperature(temperature: Any) -> None:
    """Refuses a temperature that is not a finite number above 0."""
    number = isinstance(temperature, (int, float, np.integer, np.floating)) and not isinstance(temperature, bool)
    if not (number and math.isfinite(temperature) and temperature > 0):
        raise InputError(
            f"The temperature is {temperature!r}; expected a finite number above 0: use 1 for the softmax as trained, "
            "and a small one such as 0.01 for nearly a maximum."
        )


def _check_bins(bins: int) -> None:
    if bins < 2:
        raise InputError(f"The number of bins is {bins}; expected 2 or more: the paper has 100.")
