"""Latents and images from a generator: latents are a function of their seed, images of their latents."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import tensorflow as tf

from pir_tf.images import to_uint8

BATCH = 50


def draw_latents(count: int, *, latent_size: int, class_count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """z ~ N(0, I), float32 `[count, latent_size]`, and c ~ C uniform, int32 `[count]`; a larger draw begins with a smaller.

    Source: C.1. Deviation: D16.
    """
    z_rng, class_rng = (np.random.default_rng([seed, stream]) for stream in (0, 1))
    z = z_rng.standard_normal((count, latent_size), dtype=np.float32)
    return z, class_rng.integers(0, class_count, count, dtype=np.int32)


def generate(generator: keras.Model, z: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Images of latents float32 `[count, latent_size]` and classes int32 `[count]`, as people and objectives see them.

    Returns:
        uint8 `[count, height, width, 3]` in 0..255.
    """
    batches = list(generate_batches(generator, z, labels))
    return np.concatenate(batches) if batches else np.zeros((0, *generator.output_shape[1:]), np.uint8)


def generate_batches(generator: keras.Model, z: np.ndarray, labels: np.ndarray) -> Iterator[np.ndarray]:
    """The same, a batch at a time, for a progress bar. Each image depends on its own latent alone."""
    class_count = generator.inputs[1].shape[-1]
    one_hot = np.eye(class_count, dtype=np.float32)[labels]
    # Called as it is: convolutions are all of its time, and every generator would be traced, or compiled, anew.
    for start in range(0, len(z), BATCH):
        part = slice(start, start + BATCH)
        yield to_uint8(generator([tf.constant(z[part]), tf.constant(one_hot[part])], training=False).numpy())
