"""Spikes of the PIR term's gradient, scaled down where they stand out from its running median. Not the paper's.

At temperature 0.01 the gradient of 100 bins at the images jumps by three orders of magnitude from a batch to the next, and
Adam's second moment remembers a spike for a thousand steps. With n the norm of the gradient of L_PIR at a step's images, m its
running median over the steps before and f `tuning.pir_gradient_limit`, the gradient is multiplied by min(1, f m / n).

The median is a tracker of one number: it begins as the first norm, and log m goes up or down by max(0.05, 1/k) as the k-th lies
above or below it; norms of 0 don't count. What is not here: the other terms' gradients, which stay as they are, and the weight of
the term (`tuner.PIRTerm.weigh`).
"""

from __future__ import annotations

import keras
import tensorflow as tf

from pir_tf.training import replicas

LEAST_RATE = 0.05
"""What log m goes by at the least: a median that is off by a factor of ten is found in 46 steps."""


class GradientLimit:
    """The identity on a step's images, whose gradient is limited on its way back.

    Args:
        factor: Times its running median that a gradient's norm may be, 1 or above.

    Attributes:
        scale: What the last gradient was multiplied by, a scalar above 0 and up to 1.
    """

    def __init__(self, factor: float) -> None:
        self.factor = factor
        # Replicas have one norm, so all of them count the same.
        self._median, self._seen, self.scale = (
            keras.Variable(first, trainable=False, dtype="float32", aggregation="only_first_replica", name=name)
            for name, first in (("pir_gradient_median", 0.0), ("pir_gradient_seen", 0.0), ("pir_gradient_scale", 1.0))
        )

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        """The images, float32 `[batch, h, w, 3]`. Every replica must take their gradient, and once in a step."""

        @tf.custom_gradient
        def identity(x: tf.Tensor) -> tuple[tf.Tensor, object]:
            return tf.identity(x), self._limited

        return identity(images)

    def state(self) -> dict[str, keras.Variable]:
        """What the next step depends on, by name: the median and how many norms it is of."""
        return {"pir_gradient_median": self._median, "pir_gradient_seen": self._seen}

    def _limited(self, gradient: tf.Tensor) -> tf.Tensor:
        """This replica's part of the gradient, scaled by the norm of the whole batch's; the median moves on."""
        norm = tf.sqrt(replicas.total(tf.reduce_sum(tf.square(tf.cast(gradient, tf.float32)))))
        median, seen = tf.convert_to_tensor(self._median), tf.convert_to_tensor(self._seen) + 1.0
        known = median > 0
        limit = self.factor * median
        scale = tf.where(known & (norm > limit), limit / norm, 1.0)
        moved = median * tf.exp(tf.maximum(LEAST_RATE, 1 / seen) * tf.sign(norm - median))
        counts = norm > 0  # an estimator that is certain of all images says nothing of how long its gradients are
        self._median.assign(tf.where(counts, tf.where(known, moved, norm), median))
        self._seen.assign(tf.where(counts, seen, seen - 1.0))
        self.scale.assign(scale)
        return gradient * tf.cast(scale, gradient.dtype)
