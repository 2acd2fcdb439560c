"""Networks of 8x8 images, small enough for a step in milliseconds, and images for them."""

import keras
import numpy as np
from keras import layers


def images_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (count, 8, 8, 3)).astype(np.float32), rng.integers(0, 2, count).astype(np.int32)


def small_generator():
    z, c = keras.Input((4,)), keras.Input((2,))
    x = layers.Dense(8 * 8 * 3, activation="tanh", kernel_initializer=keras.initializers.GlorotUniform(1))(
        layers.Concatenate()([z, c])
    )
    return keras.Model([z, c], layers.Reshape((8, 8, 3))(x))


def small_discriminator(*, batch_norm=False, dropout=0.0):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, strides=2, kernel_initializer=keras.initializers.GlorotUniform(2))(image)
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    if batch_norm:
        x = layers.BatchNormalization()(x)
    x = layers.Dropout(dropout, seed=5)(x)
    x = layers.Flatten()(x)
    u = layers.Dense(1, kernel_initializer=keras.initializers.GlorotUniform(3))(x)
    return keras.Model(image, [u, layers.Dense(2, kernel_initializer=keras.initializers.GlorotUniform(4))(x)])


def small_estimator():
    image = keras.Input((8, 8, 3))
    x = layers.Flatten()(image)
    return keras.Model(image, layers.Dense(1, "sigmoid", kernel_initializer=keras.initializers.GlorotUniform(6))(x))
