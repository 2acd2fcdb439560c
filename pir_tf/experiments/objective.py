"""The simulated truth of an experiment: the only place that turns an objective's name into a function of images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pir_tf.config import ExperimentConfig
from pir_tf.images import to_float
from pir_tf.interactions import colors


def true_pir(config: ExperimentConfig) -> Callable[[np.ndarray], np.ndarray] | None:
    """The objective of uint8 images `[n, 64, 64, 3]` to PIR float64 `[n]` in [0, 1], or None with real people.

    Source: 3.3, C.4.3.
    """
    if config.interactions.source != "simulated":
        return None
    objective = colors.parse(config.interactions.objective.partition(":")[2])
    return lambda images: objective(to_float(images))
