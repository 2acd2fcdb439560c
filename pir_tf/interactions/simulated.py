"""Simulated users: positive interactions drawn from a simulated PIR with binomial noise (section 2.2).

Where the noise-free PIR comes from (`objectives/`) is not known here, and it isn't kept.
"""

import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pir_tf.errors import InputError
from pir_tf.interactions.records import Interactions


def simulate(
    pir: npt.ArrayLike,
    *,
    impressions: int,
    seed: int,
    image_ids: Sequence[str] | npt.NDArray[Any],
    class_index: npt.ArrayLike,
    round: int = 1,
) -> Interactions:
    """Shows each image to simulated users: positives ~ Binomial(impressions, pir), independent between images.

    Args:
        pir: True PIR of each image, [n] in [0, 1].
        impressions: How often each image is shown, at least 1 (in the paper 1000).
        seed: Seed of the draws, 0 or more; the same seed gives the same positives.
        image_ids, class_index, round: As `Interactions` has them.

    Returns:
        One row per image, in the order given; `pir` of the result is the observed, noisy rate.

    Source: section 2.2.
    """
    true = np.asarray(pir, dtype=np.float64)
    if true.ndim != 1:
        raise InputError(f"The PIR has shape {true.shape}; expected one number per image: pass a column of n rates.")
    good = (true >= 0.0) & (true <= 1.0)  # NaN compares as false
    if not good.all():
        row = int(np.argmin(good))
        raise InputError(
            f"Row {row + 1} has the PIR {true[row]:g}; expected a rate in [0, 1] for each image: correct the objective."
        )
    for name, value, least in (("impressions", impressions, 1), ("seed", seed, 0)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < least:
            raise InputError(f"{name} is {value!r}; expected a whole number of at least {least}: choose another one.")
    return Interactions(
        image_id=np.asarray(image_ids, dtype=object),
        class_index=np.asarray(class_index),
        impressions=np.full(len(true), impressions),
        positives=np.random.default_rng(seed).binomial(impressions, true),
        round=np.full(len(true), round),
    )
