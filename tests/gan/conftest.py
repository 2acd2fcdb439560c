"""Small networks with the real ones' kinds of layers, so that a step of the ACGAN takes milliseconds."""

import pytest
from small_networks import images_of, small_discriminator, small_generator

from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.train import optimizers


@pytest.fixture(scope="session")
def make_acgan():
    """A function that makes a compiled ACGAN of new small networks."""

    def make(*, seed=7, weights_seed=0, dropout=0.5, rates=(1e-3, 1e-3), loss="non_saturating", **compile_options):
        networks = small_generator(weights_seed), small_discriminator(weights_seed, dropout=dropout)
        acgan = ACGAN(*networks, seed=seed, loss=loss)
        acgan.compile(*optimizers(*rates), **compile_options)
        return acgan

    return make


@pytest.fixture(scope="session")
def real():
    """16 images float32 in [-1, 1] and their classes."""
    return images_of(16)
