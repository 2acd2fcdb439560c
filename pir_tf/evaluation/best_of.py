"""Best of n: of n images of a class that the generator makes, the one that an estimator likes best. Not the paper's.

It moves no weight, costs n images for one, and is the least that tuning has to beat. If an estimator ordered images as people do,
the picks would be the maxima of n draws from the PIR of the images.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pir_tf.training.callbacks import track

Score = Callable[[np.ndarray], np.ndarray]
"""From uint8 images [m, h, w, 3] to numbers [m]."""


def best_of(
    make: Callable[[np.ndarray, np.ndarray], np.ndarray],
    score: Score,
    n: int,
    picks: int,
    *,
    latent_size: int,
    classes: int,
    seed: int,
    title: str = "",
) -> tuple[np.ndarray, np.ndarray]:
    """The picked images, classes in turn.

    Args:
        make: From latents [m, latent] and classes int32 [m] to uint8 images [m, h, w, 3].
        score: What decides; of equal scores the first is picked.
        n: Images to choose from, 1 or more.
        picks: Number of choices.
        latent_size: Numbers of a latent vector.
        classes: Number of classes.
        seed: Seed of the latents.
        title: Of a progress bar; without one there is none.

    Returns:
        uint8 [picks, h, w, 3], and their classes int32 [picks].
    """
    rng = np.random.default_rng(seed)
    labels = np.arange(picks, dtype=np.int32) % classes
    chosen = []
    starts = range(0, picks, PICKS_AT_ONCE)
    for start in track(starts, title, picks, "choice", PICKS_AT_ONCE) if title else starts:
        own = labels[start : start + PICKS_AT_ONCE]
        z = rng.standard_normal((len(own) * n, latent_size)).astype(np.float32)
        images = make(z, np.repeat(own, n))
        best = np.asarray(score(images)).reshape(len(own), n).argmax(axis=1)
        chosen.append(images.reshape(len(own), n, *images.shape[1:])[np.arange(len(own)), best])
    return np.concatenate(chosen), labels


PICKS_AT_ONCE = 25
"""Choices whose images are in memory together."""
