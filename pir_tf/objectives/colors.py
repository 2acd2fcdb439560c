"""Colour objectives: the simulated truth that scores an image by its colours, whole or in vertical bands (3.3, C.4.3).

Noise-free: the binomial noise of section 2.2 is added in `simulated.py`.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pir_tf.images import require_images
from pir_tf.objective_names import COLORS

IMAGES_AT_ONCE = 64  # bounds the memory of the float64 copy


def pir(images: npt.NDArray[np.floating], colors: Sequence[str]) -> npt.NDArray[np.float64]:
    """The true PIR of each image, for k target colours, one in each of k vertical bands of equal width.

    With v the image's values in [0, 1], color_b the target of band b, and |.|_2 the norm over rows and columns
    (and over colours, where all are meant):

        PIR(i) = sqrt( sum_b |v(:, band_b, color_b)|_2^2 / |v(:, :, :)|_2^2 ),   band_b = b W//k : (b+1) W//k

    k = 1 is the paper's single colour, k = 2 its two halves, k = 3 its three thirds.

    Args:
        images: Floats [n, h, w, 3] in [-1, 1], channels red, green, blue; w at least the number of bands.
        colors: The target colours from left to right, one to three of `COLORS`.

    Returns:
        PIR, float64 [n] in [0, 1]; 0 for an image that is black throughout.

    Raises:
        InputError: If the shape, type or range is another, or a value is not finite.

    Source: C.4.3.

    Deviation: D13, the range of "image value" is not given: values in [0, 1] here, an all-zero image has PIR 0, and
    bands are cut at b W//k (64 px: 32, 32 and 21, 21, 22). D11, the two- and three-colour objectives are not listed.
    """
    images = require_images(images, floats=True, width=len(colors))
    rates = [_pir(images[start : start + IMAGES_AT_ONCE], colors) for start in range(0, len(images), IMAGES_AT_ONCE)]
    return np.concatenate([np.zeros(0), *rates])


def _pir(x: npt.NDArray[np.floating], colors: Sequence[str]) -> npt.NDArray[np.float64]:
    v = np.clip((x.astype(np.float64) + 1.0) / 2.0, 0.0, 1.0)
    energy = np.square(v).sum(axis=1)  # [n, w, 3], the squared norm of each column in each colour
    total = energy.sum(axis=(1, 2))
    width, k = x.shape[2], len(colors)
    target = np.zeros(len(x))
    for b, color in enumerate(colors):
        band = slice(b * width // k, (b + 1) * width // k)
        target += energy[:, band, COLORS.index(color)].sum(axis=1)
    ratio = np.divide(target, total, out=np.zeros(len(x)), where=total > 0)
    return np.sqrt(np.minimum(ratio, 1.0))  # the two sums round differently, and a rate above 1 is no probability
