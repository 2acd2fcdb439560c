"""The sliced Wasserstein distance: zero for equal sets, and larger for what is further away."""

import numpy as np
import pytest
from scipy import ndimage

from pir_tf.data import landscapes
from pir_tf.gan.swd import sliced_wasserstein


@pytest.fixture(scope="module")
def real():
    return landscapes.render(24, seed=0, size=64)[0]


@pytest.fixture(scope="module")
def others():
    return landscapes.render(24, seed=1, size=64)[0]


def test_is_a_function_of_its_seed_and_zero_between_a_set_and_itself(real, others):
    assert sliced_wasserstein(real, real, seed=0) == 0.0
    values = [sliced_wasserstein(others, real, seed=seed) for seed in (1, 1, 2)]
    assert values[0] == values[1] != values[2]
    assert values[2] == pytest.approx(values[0], rel=0.25)


def test_orders_other_landscapes_blurred_ones_and_noise_and_leaves_them_alone(real, others):
    noise = np.random.default_rng(0).integers(0, 256, real.shape, dtype=np.uint8)
    blurred = ndimage.gaussian_filter(real, (0, 1, 1, 0))
    before = real.copy(), noise.copy()
    distances = [sliced_wasserstein(x, real, seed=0) for x in (others, blurred, noise)]
    assert 0 < distances[0] < distances[1] < distances[2]
    assert np.array_equal(real, before[0]) and np.array_equal(noise, before[1])


def test_sees_a_shift_of_one_colour_alone(real, others):
    tinted = real.copy()
    tinted[..., 0] = np.minimum(tinted[..., 0].astype(int) + 40, 255)
    assert sliced_wasserstein(tinted, real, seed=0) > sliced_wasserstein(others, real, seed=0)


def test_refuses_sets_of_other_sizes(real):
    with pytest.raises(ValueError, match="expected equal shapes"):
        sliced_wasserstein(real[:3], real[:4], seed=0)
