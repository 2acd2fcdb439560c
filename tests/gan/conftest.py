"""Small networks with the real ones' kinds of layers, so that a step of the ACGAN takes milliseconds."""

import keras
import numpy as np
import pytest
from keras import layers

from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.train import optimizers


def tiny_generator(seed=0):
    init = keras.initializers.GlorotUniform
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    x = layers.Concatenate(name="z_and_class")([z, class_one_hot])
    x = layers.Dense(4 * 4 * 6, kernel_initializer=init(seed + 1), name="dense")(x)
    x = layers.Reshape((4, 4, 6), name="image_4x4")(x)
    x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Conv2D(3, 3, padding="same", activation="tanh", kernel_initializer=init(seed + 2), name="conv")(x)
    return keras.Model([z, class_one_hot], x, name="generator")


def tiny_discriminator(seed=0, dropout=0.5):
    init = keras.initializers.GlorotUniform
    image = keras.Input((8, 8, 3), name="image")
    x = layers.ZeroPadding2D(1, name="pad_1")(image)
    x = layers.Conv2D(4, 3, strides=2, kernel_initializer=init(seed + 3), name="conv_1")(x)
    x = layers.LeakyReLU(negative_slope=0.2, name="leaky_1")(x)
    x = layers.BatchNormalization(name="batch_norm_1")(x)
    x = layers.Dropout(dropout, seed=seed + 11, name="dropout_1")(x)
    x = layers.Flatten(name="flatten")(x)
    u = layers.Dense(1, kernel_initializer=init(seed + 4), name="source_logit")(x)
    class_logits = layers.Dense(2, kernel_initializer=init(seed + 5), name="class_logits")(x)
    return keras.Model(image, [u, class_logits], name="discriminator")


@pytest.fixture(scope="session")
def make_acgan():
    """A function that makes a compiled ACGAN of new small networks."""

    def make(*, seed=7, weights_seed=0, dropout=0.5, rates=(1e-3, 1e-3), **compile_options):
        acgan = ACGAN(tiny_generator(weights_seed), tiny_discriminator(weights_seed, dropout), seed=seed)
        acgan.compile(*optimizers(*rates, 0.5), **compile_options)
        return acgan

    return make


@pytest.fixture(scope="session")
def real():
    """16 images float32 in [-1, 1] and their classes."""
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (16, 8, 8, 3)).astype(np.float32), (np.arange(16) % 2).astype(np.int32)


@pytest.fixture(scope="session")
def values():
    """A function that copies a dictionary of variables to arrays."""

    def copy(state):
        return {name: np.asarray(variable).copy() for name, variable in state.items()}

    return copy
