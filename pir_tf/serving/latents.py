"""The latent of a seed: the same bits whoever asks, and whatever else is asked in the same request."""

from __future__ import annotations

import tensorflow as tf

STREAM = 0
"""Second word of each latent's key; another number would make other latents of the same seeds."""


def latents_of(seeds: tf.Tensor, latent_size: int) -> tf.Tensor:
    """z ~ N(0, I), each row a function of its own seed alone.

    Philox is named, since TensorFlow would otherwise choose the algorithm by the device; and the rows are drawn on a CPU,
    since the logarithms and cosines that make normal numbers of its bits differ between CPU and GPU in the last place.

    Args:
        seeds: int64 `[n]`, any values.
        latent_size: entries of z.

    Returns:
        float32 `[n, latent_size]`.

    Source: C.1.
    """

    def latent(seed: tf.Tensor) -> tf.Tensor:
        key = tf.stack([seed, tf.constant(STREAM, tf.int64)])
        return tf.random.stateless_normal((latent_size,), key, alg="philox")

    with tf.device("/CPU:0"):
        return tf.map_fn(latent, seeds, fn_output_signature=tf.TensorSpec((latent_size,), tf.float32))
