"""Best of n against the order statistics of a known distribution."""

import numpy as np
import pytest

from pir_tf.evaluation.best_of import best_of


def painted(z, labels):
    """Images whose first pixel is the first latent, and whose second is the class."""
    images = np.zeros((len(z), 2, 2, 3))
    images[:, 0, 0, 0], images[:, 0, 1, 0] = z[:, 0], labels
    return images


def test_picks_are_the_maxima_of_n_draws_within_their_class():
    picked, labels = best_of(painted, lambda x: x[:, 0, 0, 0], 16, 4000, latent_size=3, classes=2, seed=0)
    assert picked[:, 0, 0, 0].mean() == pytest.approx(1.76599, abs=0.03)  # E max of 16 standard normal draws
    np.testing.assert_array_equal(picked[:, 0, 1, 0], labels)
    np.testing.assert_array_equal(labels, np.arange(4000) % 2)


def test_a_score_that_says_nothing_gives_an_image_as_good_as_any():
    picked, _ = best_of(painted, lambda x: np.zeros(len(x)), 16, 4000, latent_size=3, classes=2, seed=0)
    assert picked[:, 0, 0, 0].mean() == pytest.approx(0, abs=0.06)
