"""Drawing items with stated probabilities, so that what was drawn for a reason can still be reckoned with."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pir_tf.errors import InputError


def inclusion_probabilities(size: ArrayLike, count: int) -> np.ndarray:
    """Probabilities proportional to size, at most 1, that sum to `count`: float64 [n].

    Args:
        size: Of each item, [n], above 0 for at least `count` of them.
        count: How many are to be drawn.

    Raises:
        InputError: Fewer items than `count` have a size, or one isn't a number of 0 or more.
    """
    sizes = np.asarray(size, dtype=np.float64)
    if sizes.ndim != 1 or not np.all(np.isfinite(sizes) & (sizes >= 0)) or np.sum(sizes > 0) < count:
        raise InputError(
            f"drawing: received {np.sum(sizes > 0)} items with a size for {count} draws, expected as many or more, all sizes "
            "finite and 0 or more: draw fewer."
        )
    sure = np.zeros(len(sizes), bool)
    while True:
        left = count - sure.sum()
        rest = sizes[~sure].sum()
        chance = np.where(sure, 1.0, sizes * (left / rest) if rest > 0 else 0.0)
        new = ~sure & (chance >= 1.0)
        if not new.any():
            return chance
        sure |= new


def systematic_draw(chance: ArrayLike, seed: int) -> np.ndarray:
    """Rows drawn with these inclusion probabilities, as many as they sum to, in rising order.

    The items are put in a random order and cut by an evenly spaced comb with one random start: each is drawn with its own
    probability exactly, and their number is fixed. Source: Madow 1949.

    Args:
        chance: Of `inclusion_probabilities`, [n].
        seed: Of order and start.
    """
    chances = np.asarray(chance, dtype=np.float64)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(chances))
    edges = np.cumsum(chances[order])
    count = round(float(edges[-1])) if len(edges) else 0
    comb = rng.random() + np.arange(count)
    return np.sort(
        order[np.searchsorted(edges, np.minimum(comb, np.nextafter(edges[-1], 0) if count else 0), side="right")]
    )
