"""A frozen network's cheaper form: the plan, the forms of a convolution, and whole networks against their stock layers."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import assert_equal, images, in_float64, small_inception, stirred, value_and_gradient
from keras import layers

from pir_tf.estimator import backbones
from pir_tf.estimator.frozen import (
    _convolve,
    _convolve_before_averaging,
    _join_siblings,
    _met,
    _pays,
    fast_frozen,
)
from pir_tf.estimator.model import with_pir
from pir_tf.estimator.opened import Convolution, Operation, open_network

# One convolution


def convolution(kernel, strides, padding):
    return Convolution([0], 1, kernel, np.zeros(kernel.shape[-1]), strides, padding)


def by_hand(x, kernel, strides, padding):
    """The convolution pixel by pixel, in NumPy. SAME puts the odd row of zeros at the end, as TensorFlow does."""
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], strides, strict=True))
    if padding == "SAME":
        lacking = [max((-(-size // stride) - 1) * stride + k - size, 0) for size, k, stride in sizes]
        x = np.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)])
    out = [range(0, size - k + 1, stride) for size, k, stride in zip(x.shape[1:3], kernel.shape[:2], strides, strict=True)]
    patch = lambda i, j: x[:, i : i + kernel.shape[0], j : j + kernel.shape[1]]  # noqa: E731
    return np.stack([np.stack([np.tensordot(patch(i, j), kernel, 3) for j in out[1]], 1) for i in out[0]], 1)


SIZES = [(1, 1), (1, 5), (2, 2), (2, 3), (3, 1), (3, 3), (5, 3), (7, 4)]
KERNELS = [(1, 1), (3, 3), (1, 7), (7, 1), (1, 3), (3, 1), (5, 2), (2, 5)]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2)])
def test_every_form_of_a_convolution_equals_its_definition(strides, padding):
    rng = np.random.default_rng(0)
    tried = 0
    for size, shape in itertools.product(SIZES, KERNELS):
        if padding == "VALID" and (shape[0] > size[0] or shape[1] > size[1]):
            continue
        x, kernel = rng.standard_normal((2, *size, 3)), rng.standard_normal((*shape, 3, 4))
        found = _convolve(convolution(kernel, strides, padding), tf.constant(x))
        expected = by_hand(x, kernel, strides, padding)
        assert found.shape == expected.shape, (size, shape)
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12, err_msg=f"{size} {shape}")
        tried += 1
    assert tried >= 20


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 1), (2, 3)])
@pytest.mark.parametrize("size, shape", [((3, 3), (3, 3)), ((4, 5), (3, 2)), ((1, 3), (1, 3)), ((2, 2), (1, 2))])
def test_the_matrix_of_a_convolution_equals_its_definition(size, shape, strides, padding):
    rng = np.random.default_rng(1)
    x, kernel = rng.standard_normal((2, *size, 3)), rng.standard_normal((*shape, 3, 4))
    expected = by_hand(x, kernel, strides, padding)
    matrix = _met(kernel, size, strides, padding)
    assert matrix.shape == (np.prod(x.shape[1:]), np.prod(expected.shape[1:]))
    np.testing.assert_allclose((x.reshape(2, -1) @ matrix).reshape(expected.shape), expected, rtol=1e-12, atol=1e-12)


def test_the_matrix_worked_by_hand():
    """A line of three pixels: each column holds what a pixel out sees of the three."""
    line = np.array([1, 10, 100, 1000, 10000.0]).reshape(1, 5, 1, 1)
    expected = [[100, 10, 1], [1000, 100, 10], [10000, 1000, 100]]
    np.testing.assert_array_equal(_met(line, (1, 3), (1, 1), "SAME"), expected)
    np.testing.assert_array_equal(_met(line, (1, 1), (1, 1), "SAME"), [[100]])


@pytest.mark.parametrize(
    "size, shape, strides, padding, matrix",
    [
        *[((3, 3), (1, 7), (1, 1), "SAME", True), ((3, 3), (7, 1), (1, 1), "SAME", True)],
        *[((1, 1), (3, 3), (1, 1), "SAME", True), ((3, 3), (3, 3), (2, 2), "VALID", True)],
        *[((9, 9), (3, 3), (1, 1), "SAME", False), ((17, 17), (1, 7), (1, 1), "SAME", False)],
        *[((3, 3), (1, 7), (2, 1), "SAME", False), ((7, 7), (7, 7), (1, 1), "SAME", False)],
    ],
)
def test_a_matrix_is_taken_where_the_map_is_small(size, shape, strides, padding, matrix, monkeypatch):
    """And not where it would be much larger than the kernel, nor where rows are skipped."""
    called = []
    monkeypatch.setattr(tf.nn, "conv2d", lambda x, *rest: called.append(x.shape))
    _convolve(convolution(np.ones((*shape, 2, 2)), strides, padding), images(1, size, channels=2))
    assert bool(called) is not matrix


def test_a_matrix_never_has_more_products_than_the_convolution():
    for size, shape, stride in itertools.product(SIZES, KERNELS, (1, 2)):
        step = convolution(np.ones((*shape, 1, 1)), (stride, stride), "SAME")
        if _pays(step, size):
            matrix = _met(step.kernel, size, step.strides, "SAME")
            assert matrix.size <= matrix.shape[1] * np.prod(shape)


# The plan


def plan(model):
    return _join_siblings(_convolve_before_averaging(open_network(model)[0]))


def joined(steps):
    """Sizes of the groups of 1x1 convolutions."""
    return [len(step) for step in steps if isinstance(step, list)]


def test_siblings_are_joined_and_the_pooling_moved():
    steps = plan(small_inception())
    (group,) = [step for step in steps if isinstance(step, list)]
    found = sorted((c.kernel.shape[-1], c.averaged is not None) for c in group)
    assert found == [(3, False), (4, False), (5, False), (5, True)]  # three of one map, and the one behind its pooling
    assert not any(isinstance(step, Operation) and step.averages_3x3 for step in steps)


def test_of_inception_every_pooling_and_every_module_is_joined():
    steps = plan(backbones.inception_v3(75))
    assert not any(isinstance(step, Operation) and step.averages_3x3 for step in steps)
    groups = [step for step in steps if isinstance(step, list)]
    assert sum(c.averaged is not None for group in groups for c in group) == 9
    # mixed0 to 2, 4 to 7, 9 and 10 have four 1x1 convolutions of their input each; mixed3 one, mixed8 two; one in the stem.
    assert sorted(joined(steps)) == [1, 1, 2, *[4] * 9]


@pytest.mark.parametrize("readers", ["a larger kernel", "two", "the output"])
def test_a_pooling_stays_where_it_cannot_move(readers):
    image = keras.Input((5, 5, 3))
    x = layers.AveragePooling2D(3, strides=1, padding="same")(image)
    x = {
        "a larger kernel": lambda: layers.Conv2D(2, 3)(x),
        "two": lambda: layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(2, 1)(x)]),
        "the output": lambda: x,
    }[readers]()
    model = in_float64(stirred(keras.Model(image, x)))
    assert [step.averages_3x3 for step in plan(model) if isinstance(step, Operation)][0]
    x = images(2, 5)
    assert_equal(value_and_gradient(fast_frozen(model), x), value_and_gradient(model, x), 1e-10)


def test_a_pooling_of_another_kind_stays():
    image = keras.Input((5, 5, 3))
    for options in ({"pool_size": 2}, {"strides": 2}, {"padding": "valid"}):
        settings = {"pool_size": 3, "strides": 1, "padding": "same", **options}
        model = keras.Model(image, layers.Conv2D(2, 1)(layers.AveragePooling2D(**settings)(image)))
        assert isinstance(plan(model)[0], Operation)


# Whole networks


def network(kind):
    if kind == "compact":
        return backbones.compact(64, seed=1), (50, 70)
    if kind == "small inception":
        return small_inception(), 13
    size, layer = (96, "mixed2") if kind == "mixed2" else (75, "")
    return backbones.inception_v3(size, layer=layer, seed=1), 64


@pytest.fixture(scope="module", params=["compact", "small inception", "mixed2", pytest.param("whole", marks=pytest.mark.slow)])
def built(request):
    """A network with random weights in every place, its float64 copy, and a size of images."""
    model, size = network(request.param)
    return stirred(model), in_float64(model), size


def test_a_network_equals_its_stock_layers_in_value_and_gradient(built):
    _, model, size = built
    x = images(2, size)
    expected = value_and_gradient(lambda x: model(x, training=False), x)
    assert_equal(value_and_gradient(fast_frozen(model), x), expected, 1e-10)


def test_a_saved_estimator_equals_its_stock_layers(built):
    """At the temperature of use, whose logits differ enough to see it and little enough to leave a gradient."""
    body, _, size = built
    logits = layers.Dense(100, kernel_initializer="zeros", name="logits")
    network = keras.Model(body.input, logits(body.output))
    features = body(images(8, size, "float32", seed=9), training=False).numpy()
    kernel = np.random.default_rng(3).standard_normal((features.shape[1], 100))
    logits.set_weights([0.02 * kernel / (features - features.mean(0)).std() / np.sqrt(len(kernel)), np.zeros(100)])
    logits.bias.assign(-features.mean(0) @ logits.kernel)
    model = in_float64(with_pir(network, temperature=0.01))
    x = images(4, size)
    value, gradient = value_and_gradient(lambda x: model(x, training=False), x)
    assert value.shape == (4, 1) and np.std(value) > 0.01
    # Rounding grows as the difference of logits does, by 1 / 0.01 and by how much alike the images are to the network.
    assert_equal(value_and_gradient(fast_frozen(model), x), (value, gradient), 1e-7)


def test_values_in_float32_are_within_1e_5(built):
    model, wide, size = built
    x = images(4, size, "float32")
    found = fast_frozen(model)(x)
    assert found.dtype == "float32"
    np.testing.assert_array_equal(found.shape, (4, *model.output_shape[1:]))
    assert_equal([found], [model(x, training=False)], 1e-5)
    exact = wide(tf.cast(x, "float64"), training=False).numpy()
    assert np.abs(found.numpy() - exact).max() <= 1e-5 * np.abs(exact).max()


def test_it_is_not_the_model_itself(monkeypatch):
    """Which would make the tests above say nothing."""
    call = fast_frozen(small_inception())
    for kind in (layers.Conv2D, layers.BatchNormalization, keras.Model):
        monkeypatch.setattr(kind, "call", None)
    assert call(images(2, 13, "float32")).shape == (2, 30)


@pytest.mark.parametrize("batch", [1, 5])
def test_traced_for_any_batch_it_is_the_same(batch):
    model = in_float64(stirred(small_inception()))
    call = fast_frozen(model)
    traced = tf.function(call, input_signature=[tf.TensorSpec((None, 13, 13, 3), tf.float64)])
    x = images(batch, 13)
    np.testing.assert_allclose(traced(x), call(x), rtol=1e-10)


# What it is a function of


def test_weights_that_change_later_are_not_seen():
    model = stirred(small_inception())
    call, x = fast_frozen(model), images(2, 13, "float32")
    before = model(x, training=False)
    model.set_weights([2 * w for w in model.get_weights()])
    assert_equal([call(x)], [before], 1e-5)
    assert np.abs(model(x, training=False) - before).max() > 0.1
    assert_equal([fast_frozen(model)(x)], [model(x, training=False)], 1e-5)


def test_the_model_itself_stays_as_it_is():
    model = stirred(small_inception())
    before = [np.array(v) for v in model.variables]
    fast_frozen(model)(images(2, 13, "float32"))
    for a, b in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_network_with_an_unknown_layer_is_called_as_it_is():
    image = keras.Input((5, 5, 3))
    x = layers.LeakyReLU()(layers.BatchNormalization()(layers.Dropout(0.5)(layers.Conv2D(4, 3)(image))))
    model = stirred(keras.Model(image, x))
    call, x = fast_frozen(model), images(2, 5, "float32")
    np.testing.assert_array_equal(call(x), model(x, training=False))  # without dropout, by the moving statistics
