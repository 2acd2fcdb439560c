"""Images that a later round shows because the estimator is least sure of them, drawn with stated probabilities.

Random images tell how a generator is liked, but most of them tell the estimator what it knows. A share of a later round's images
(`interactions.explore`) is drawn from four times as many candidates with probabilities proportional to the standard deviation
that the estimator of the round before gives them, a linear one or one with a pessimism. They are learned from and never reported.
"""

from __future__ import annotations

import numpy as np

from pir_tf.errors import InputError
from pir_tf.estimator.model import load_saved, outputs, saved_estimator
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.statistics.drawing import inclusion_probabilities, systematic_draw

CANDIDATES = 4
"""Candidates for each image that is drawn."""
LEAST_SHARE = 0.05
"""Least size of a candidate beside the mean: none is out of reach."""


def doubts(first: RoundBefore, images: np.ndarray) -> np.ndarray:
    """The standard deviation of the estimate of each image, float64 [n], by the round before's estimator.

    Raises:
        InputError: That estimator says no such thing.
    """
    model = load_saved(saved_estimator(first.path / "estimator"))
    if len(model.outputs) < 2:
        raise InputError(
            f"interactions.explore needs to know how sure the estimator of {first.path} is, expected a linear one, or one "
            "with a pessimism: take --interactions.explore 0, or --estimator.output linear in all rounds."
        )
    model = type(model)(model.input, model.outputs[1])
    return outputs(model, images, batch_size=64).reshape(len(images)).astype(np.float64)


def draw_unsure(sd: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of `count` candidates in rising order, and the probability with which each of them was drawn.

    Args:
        sd: Standard deviations [n] of the candidates' estimates, n at least `count`.
        count: How many.
        seed: Of the draw.
    """
    size = np.maximum(sd, LEAST_SHARE * sd.mean()) if sd.any() else np.ones_like(sd)
    chance = inclusion_probabilities(size, count)
    rows = systematic_draw(chance, seed)
    return rows, chance[rows]
