"""Small random images whose PIR follows from their colours, worked out here and not by the package's objectives."""

import numpy as np
import pytest

from pir_tf.interactions.records import Interactions


def smooth_images(count, seed, size=64):
    """uint8 [count, size, size, 3]: coarse random colours, blended between places."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 4, 4, 3)) + 0.8 * rng.normal(size=(count, 1, 1, 3))
    position = np.linspace(0, 3, size)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(4)))  # linear interpolation [size, 4]
    values = np.einsum("yi,xj,nijc->nyxc", weights, weights, coarse)
    return np.clip((np.tanh(0.7 * values) + 1) * 127.5, 0, 255).astype(np.uint8)


def blueness(images):
    """|blue|_2 / |all|_2 of values in [0, 1], float64 [n]."""
    energy = np.square(images / 255.0).sum(axis=(1, 2))
    return np.sqrt(energy[:, 2] / energy.sum(axis=1))


def left_red_right_blue(images):
    """|left half's red, right half's blue|_2 / |all|_2, float64 [n]."""
    energy = np.square(images / 255.0).sum(axis=1)
    half = images.shape[2] // 2
    target = energy[:, :half, 0].sum(axis=1) + energy[:, half:, 2].sum(axis=1)
    return np.sqrt(target / energy.sum(axis=(1, 2)))


def answers(pir, seed=0, impressions=1000):
    """Binomial answers to each image."""
    return Interactions(
        image_id=[f"{i:04}" for i in range(len(pir))],
        class_index=np.zeros(len(pir), np.int64),
        impressions=np.full(len(pir), impressions),
        positives=np.random.default_rng(seed).binomial(impressions, pir),
    )


@pytest.fixture(scope="session")
def few():
    """(images, interactions) of 48 images."""
    images = smooth_images(48, seed=5)
    return images, answers(blueness(images))
