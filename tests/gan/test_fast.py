"""The cheaper form of upsampling and convolution equals the stock layers, in values and in gradients."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from pir_tf.gan.fast import fast_generator, transposed_kernel, upsample_and_convolve
from pir_tf.gan.networks import build_generator


def stock(x, kernel, bias):
    return tf.nn.conv2d(tf.repeat(tf.repeat(x, 2, axis=1), 2, axis=2), kernel, 1, "SAME") + bias


def assert_equal(a, b, relative):
    a, b = np.asarray(a), np.asarray(b)
    assert a.shape == b.shape and np.abs(a - b).max() <= relative * np.abs(b).max()


def values_and_gradients(function, arguments, weight):
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        out = function(*arguments)
        loss = tf.reduce_sum(weight * out)
    return [out, *tape.gradient(loss, arguments)]


def test_the_kernel_of_one_axis_worked_by_hand():
    kernel = np.zeros((3, 3, 1, 1))
    kernel[:, 0, 0, 0] = [1, 10, 100]
    np.testing.assert_array_equal(transposed_kernel(tf.constant(kernel))[:, 3, 0, 0], [100, 110, 11, 1])


@pytest.mark.parametrize("dtype, relative", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("batch, height, width", [(1, 4, 4), (5, 6, 3)])
def test_equals_the_stock_form(dtype, relative, batch, height, width):
    rng = np.random.default_rng(1)
    draw = lambda *shape: tf.constant(rng.standard_normal(shape), dtype)  # noqa: E731
    arguments = [draw(batch, height, width, 7), draw(3, 3, 7, 2), draw(2)]
    weight = draw(batch, 2 * height, 2 * width, 2)
    ours = values_and_gradients(upsample_and_convolve, arguments, weight)
    theirs = values_and_gradients(stock, arguments, weight)
    for a, b in zip(ours, theirs, strict=True):
        assert_equal(a, b, relative)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_whole_generator_equals_the_stock_one(batch):
    generator = build_generator(2, seed=batch)
    rng = np.random.default_rng(batch)
    for layer in generator.layers:
        if layer.name.startswith("conv"):
            layer.bias.assign(rng.normal(0, 0.1, layer.bias.shape))
    z = tf.constant(rng.standard_normal((batch, 64)), tf.float32)
    one_hot = tf.one_hot(rng.integers(0, 2, batch), 2)
    weight = tf.constant(rng.standard_normal((batch, 64, 64, 3)), tf.float32)
    results = []
    for call in (fast_generator(generator), lambda z, c: generator([z, c])):
        with tf.GradientTape() as tape:
            images = call(z, one_hot)
            loss = tf.reduce_sum(weight * images)
        gradients = tape.gradient(loss, generator.trainable_variables)
        assert all(gradient is not None for gradient in gradients)
        results.append([images, *gradients])
    for a, b in zip(*results, strict=True):
        assert_equal(a, b, 1e-5)


def test_sees_later_changes_of_the_weights():
    generator = build_generator(2)
    call = tf.function(fast_generator(generator))
    z, one_hot = tf.zeros((1, 64)), tf.one_hot([0], 2)
    before = call(z, one_hot).numpy()
    generator.get_layer("conv_5").bias.assign([1.0, 2.0, 3.0])
    np.testing.assert_allclose(call(z, one_hot), np.tanh(np.arctanh(before) + [1, 2, 3]), rtol=1e-5)


def test_another_generator_is_called_as_it_is():
    z, one_hot = keras.Input((3,)), keras.Input((2,))
    generator = keras.Model([z, one_hot], keras.layers.Dense(4)(keras.layers.Concatenate()([z, one_hot])))
    given = [np.float32([[1, 2, 3]]), np.float32([[0, 1]])]
    np.testing.assert_array_equal(fast_generator(generator)(*given), generator(given))
