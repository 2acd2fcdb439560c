"""What the tests of frozen networks share: networks whose every weight matters, and their float64 copies."""

import keras
import numpy as np
import tensorflow as tf
from equal_passes import value_and_gradients
from keras import layers


def stirred(model, seed=0):
    """New values for all that is 0 or 1 in a new network, models within it included: what is folded then matters."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if weight.name in ("bias", "beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.3, weight.shape))
        elif weight.name in ("gamma", "moving_variance"):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
    return model


def in_float64(model):
    """A copy of the model that computes in float64 throughout, with the same weights."""
    copy = keras.models.model_from_json(model.to_json().replace('"float32"', '"float64"'))
    copy.set_weights(model.get_weights())
    assert {layer.dtype for layer in copy._flatten_layers() if not isinstance(layer, keras.Model)} == {"float64"}
    return copy


def images(batch, size, dtype="float64", seed=0, channels=3):
    height, width = size if isinstance(size, tuple) else (size, size)
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (batch, height, width, channels)), dtype)


def value_and_gradient(call, x):
    """The output, and the gradient of its sum, weighted at random, with respect to the images."""
    return value_and_gradients(lambda: call(x), [x])


def small_inception():
    """A network with every kind of layer that InceptionV3 has: branches, a 3x3 average pooling, 1x7 and 7x1 kernels."""

    def convolve(x, filters, size, strides=1, padding="same"):
        x = layers.Conv2D(filters, size, strides=strides, padding=padding, use_bias=False)(x)
        return layers.Activation("relu")(layers.BatchNormalization(scale=False)(x))

    image = keras.Input((13, 13, 3))
    x = convolve(image, 8, 3, 2, "valid")
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    pooled = layers.AveragePooling2D(3, strides=1, padding="same")(x)
    branches = [convolve(x, 4, 1), convolve(x, 5, 1), convolve(convolve(x, 3, 1), 6, (1, 7)), convolve(pooled, 5, 1)]
    x = layers.Concatenate()([*branches, convolve(x, 3, (7, 1))])
    x = layers.Concatenate(axis=3)([convolve(x, 7, 3, 2, "valid"), layers.MaxPooling2D(3, strides=2)(x)])
    return keras.Model(image, layers.GlobalAveragePooling2D()(x))
