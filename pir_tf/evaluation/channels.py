"""How red, green and blue images are on average, whole and by vertical thirds: what is said in words of Fig. 3 (4.2).

The colour objectives themselves are norms, and are not here: these means show by which channels a generator reached them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pir_tf.images import require_images

THIRDS = 3


def channel_means(images: npt.NDArray[np.uint8]) -> dict[str, Any] | None:
    """Mean of each channel over all images.

    Args:
        images: uint8 [n, h, w, 3], channels red, green, blue; w of 3 or more.

    Returns:
        `image`: three means in [0, 1]; `thirds`: the same of the left, middle and right third. None without images.

    Raises:
        InputError: Another shape or type.

    Source: 4.2. Deviation: D13 (thirds are cut at i W//3).
    """
    array = require_images(images, uint8=True, width=THIRDS)
    if not array.size:
        return None
    columns = array.mean(axis=(0, 1), dtype=np.float64) / 255  # [w, 3]
    cuts = [i * len(columns) // THIRDS for i in range(THIRDS + 1)]
    thirds = [columns[low:high].mean(axis=0).tolist() for low, high in zip(cuts, cuts[1:], strict=False)]
    return {"image": columns.mean(axis=0).tolist(), "thirds": thirds}
