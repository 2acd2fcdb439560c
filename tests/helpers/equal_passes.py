"""What the tests of the cheaper passes share: values and gradients of a call, compared; networks with other settings."""

import keras
import numpy as np
import tensorflow as tf


def assert_equal(found, expected, relative=1e-5):
    """Equal in the project's sense: max|a - b| <= 1e-5 max|b|, array by array."""
    for index, (a, b) in enumerate(zip(found, expected, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape
        error, limit = np.abs(a - b).max(initial=0), relative * np.abs(b).max(initial=0)
        assert error <= limit, f"array {index}: {error} > {limit}"


def value_and_gradients(call, sources, seed=0):
    """The outputs of a call, and the gradients of their sum with respect to the sources.

    The sum is weighted at random, by numbers above 0: what cancels leaves rounding alone.
    """
    with tf.GradientTape() as tape:
        tape.watch(sources)
        outputs = tf.nest.flatten(call())
        rng = np.random.default_rng(seed)
        loss = tf.add_n([tf.reduce_sum(tf.constant(rng.uniform(0.5, 1.5, y.shape), y.dtype) * y) for y in outputs])
    gradients = tape.gradient(loss, sources)
    assert all(gradient is not None for gradient in gradients)
    return [*outputs, *gradients]


def values_of(network):
    """The tensors of a network's trainable variables."""
    return [variable.value for variable in network.trainable_variables]


def shake(network, seed):
    """New values for everything that is 0 or 1 in a new network: biases and what belongs to the normalization."""
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if weight.name != "kernel":
            sign = 1 if weight.name in ("gamma", "moving_variance") else rng.choice([-1, 1], weight.shape)
            weight.assign(sign * rng.uniform(0.1, 1, weight.shape))
    return network


def changed(model, *, every=None, **settings):
    """A copy of a model, weights included, in which the named layers or every one have other settings."""

    def clone(layer):
        return layer.__class__.from_config({**layer.get_config(), **(every or {}), **settings.get(layer.name, {})})

    copy = keras.models.clone_model(model, clone_function=clone)
    copy.set_weights(model.get_weights())
    return copy
