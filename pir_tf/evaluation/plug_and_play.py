"""Plug & Play sampling: latents walk to where the estimator sees a high PIR, the generator stays as it is (C.5).

The paper names it as another way to use the estimator. Latents follow Langevin dynamics of p(z) ~ N(z; 0, I) exp(w R(G(z, c))):

    z <- z + (e / 2) (w dR/dz - z) + sqrt(e) noise

Nothing is trained, and each image costs STEPS gradients. The walk isn't corrected by rejections, as in the paper that it comes
from, so for a linear R its mean is w dR/dz exactly and its variance 1 / (1 - e / 4).

Source: C.5; Nguyen et al., Plug & Play Generative Networks (2017).
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from pir_tf.gan.sampling import generate
from pir_tf.training.callbacks import track

STEP_SIZE = 0.2
STEPS = 30
"""Steps of the walk; what is left of its start is then a factor of (1 - e / 2)^STEPS, 0.04."""
AT_ONCE = 50


def walk(
    pir: Callable[[tf.Tensor], tf.Tensor], z: np.ndarray, weight: float, *, seed: int, steps: int = STEPS
) -> np.ndarray:
    """Latents after the walk.

    Args:
        pir: From latents float32 [n, latent] to their PIR [n], differentiable.
        z: Where they start, float32 [n, latent].
        weight: w, in nats per unit of PIR.
        seed: Seed of the noise.
        steps: Steps.

    Returns:
        float32 [n, latent].
    """
    rng, now = np.random.default_rng(seed), tf.constant(z)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            tape.watch(now)
            total = tf.reduce_sum(pir(now))
        pull = weight * tape.gradient(total, now) - now
        now += STEP_SIZE / 2 * pull + STEP_SIZE**0.5 * rng.standard_normal(z.shape).astype(np.float32)
    return now.numpy()


def plug_and_play(
    generator: keras.Model, estimator: keras.Model, weight: float, count: int, *, seed: int, title: str
) -> tuple[np.ndarray, np.ndarray]:
    """Images of walked latents, classes in turn.

    Args:
        generator: `[z, class_one_hot]` to images in [-1, 1].
        estimator: Images to what is climbed, [n, 1].
        weight: w, in nats per unit of PIR.
        count: Images.
        seed: Seed of latents and noise.
        title: Of the progress bar.

    Returns:
        uint8 [count, h, w, 3], and their classes int32 [count].
    """
    latent_size, classes = (tensor.shape[-1] for tensor in generator.inputs)
    labels = np.arange(count, dtype=np.int32) % classes
    one_hot, walked = np.eye(classes, dtype=np.float32)[labels], []
    start = np.random.default_rng([seed, 0]).standard_normal((count, latent_size), dtype=np.float32)

    @tf.function(autograph=False)
    def pir(z: tf.Tensor, class_one_hot: tf.Tensor) -> tf.Tensor:
        return estimator(generator([z, class_one_hot], training=False), training=False)[:, 0]

    for first in track(range(0, count, AT_ONCE), title, count, "image", AT_ONCE):
        part = slice(first, first + AT_ONCE)
        of_part = functools.partial(pir, class_one_hot=tf.constant(one_hot[part]))
        walked.append(walk(of_part, start[part], weight, seed=seed + 1 + first))
    return generate(generator, np.concatenate(walked), labels), labels
