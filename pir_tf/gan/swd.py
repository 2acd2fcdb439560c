"""Sliced Wasserstein distance between generated and real images: how far pretraining has come, without another network.

As in "Progressive growing of GANs" (Karras et al. 2018, section 5): Gaussian-pyramid differences (Laplacian pyramid) of
both sets, 7x7 patches at every scale, each colour channel normalised, and the mean absolute difference of sorted random
projections. Smaller is better; values compare only at equal counts. Where `gan.keep` is `best`, it chooses the weights that
pretraining keeps; no published claim about tuning rests on it.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

PATCH = 7
PATCHES_PER_IMAGE = 32
PROJECTIONS = 256


def sliced_wasserstein(generated: np.ndarray, real: np.ndarray, *, seed: int) -> float:
    """Mean over the scales 64, 32 and 16 pixels of the distance between patch distributions.

    Args:
        generated: uint8 `[count, size, size, 3]`.
        real: uint8 of the same shape.
        seed: seed of patches and projections; the same seed gives the same ones, so that values compare.

    Returns:
        The distance, 0 or above, in standard deviations of the real patches' channels times 1000.

    Raises:
        ValueError: the shapes differ.
    """
    if generated.shape != real.shape:
        raise ValueError(f"generated has shape {generated.shape} and real {real.shape}, expected equal shapes.")
    scales = zip(_laplacian_pyramid(generated), _laplacian_pyramid(real), strict=True)
    distances = [_patch_distance(a, b, np.random.default_rng([seed, level])) for level, (a, b) in enumerate(scales)]
    return float(1000 * np.mean(distances))


def _laplacian_pyramid(images: np.ndarray) -> list[np.ndarray]:
    """Band-pass images at every scale and the low-pass rest, float32, from full size down to 16 pixels."""
    levels, x = [], images.astype(np.float32) / 255
    while x.shape[1] > 16:
        low = ndimage.gaussian_filter(x, sigma=(0, 1, 1, 0), mode="reflect")[:, ::2, ::2]
        levels.append(x - low.repeat(2, axis=1).repeat(2, axis=2))
        x = low
    return [*levels, x]


def _patch_distance(a: np.ndarray, b: np.ndarray, rng: np.random.Generator) -> float:
    where = rng.integers(0, a.shape[1] - PATCH + 1, (2, len(a), PATCHES_PER_IMAGE))
    directions = rng.standard_normal((PATCH * PATCH * 3, PROJECTIONS)).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=0)
    real = _patches(b, where)
    mean, scale = real.mean(axis=(0, 1, 2)), real.std(axis=(0, 1, 2)) + 1e-8
    sorted_a, sorted_b = (
        np.sort((((p - mean) / scale).reshape(len(p), -1)) @ directions, axis=0) for p in (_patches(a, where), real)
    )
    return float(np.abs(sorted_a - sorted_b).mean())


def _patches(images: np.ndarray, where: np.ndarray) -> np.ndarray:
    """`[images * patches, 7, 7, 3]` at the given corners."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (PATCH, PATCH), axis=(1, 2))
    index = np.arange(len(images))[:, None]
    return np.moveaxis(windows[index, where[0], where[1]], 2, -1).reshape(-1, PATCH, PATCH, 3)
