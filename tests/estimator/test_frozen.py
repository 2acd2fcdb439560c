"""A frozen network's cheaper form: the plan, whole networks against their stock layers, and what it is a function of."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import assert_equal, images, in_float64, small_inception, stirred, value_and_gradient
from keras import layers

from pir_tf.estimator import backbones
from pir_tf.estimator.frozen import Operation, _convolve_before_averaging, _join_siblings, fast_frozen, open_network
from pir_tf.estimator.model import with_pir

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


@pytest.fixture(
    scope="module", params=["compact", "small inception", "mixed2", pytest.param("whole", marks=pytest.mark.slow)]
)
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
