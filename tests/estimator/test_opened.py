"""A network as a list of operations: what is folded, what must not be, and what is refused."""

import keras
import numpy as np
import pytest
from frozen_helpers import assert_equal, images, in_float64, small_inception, stirred, value_and_gradient
from keras import layers

from pir_tf.estimator import backbones
from pir_tf.estimator.frozen import Convolution, Operation, UnknownLayer, fast_frozen, open_network


def names(steps):
    return ["Convolution" if isinstance(step, Convolution) else type(step.layer).__name__ for step in steps]


def check(model, size=5, batch=2):
    """The opened network computes what the model does, in float64."""
    wide = in_float64(stirred(model))
    x = images(batch, size)
    expected = value_and_gradient(lambda x: wide(x, training=False), x)
    assert_equal(value_and_gradient(fast_frozen(wide), x), expected, 1e-10)
    return open_network(wide)[0]


# What is folded


@pytest.mark.parametrize("scale, center, use_bias", [(True, True, True), (False, True, False), (True, False, False)])
def test_normalization_and_relu_folded_worked_by_hand(scale, center, use_bias):
    image = keras.Input((4, 4, 3))
    x = layers.Conv2D(5, 1, use_bias=use_bias)(image)
    x = layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)(x)
    model = stirred(keras.Model(image, layers.ReLU()(x)))
    (step,), _, _ = open_network(model)
    pixels = np.random.default_rng(2).normal(size=(10, 3))
    weights = {weight.name: np.float64(weight.numpy()) for weight in model.weights}
    x = pixels @ weights["kernel"][0, 0] + weights.get("bias", 0)
    x = (x - weights["moving_mean"]) / np.sqrt(weights["moving_variance"] + 0.01)
    expected = np.maximum(x * weights.get("gamma", 1) + weights.get("beta", 0), 0)
    assert step.relu and step.kernel.dtype == np.float64
    np.testing.assert_allclose(np.maximum(pixels @ step.kernel[0, 0] + step.bias, 0), expected, rtol=1e-12, atol=1e-12)
    assert 0 < (expected == 0).mean() < 1


def test_a_convolutions_own_relu_and_strides_are_kept():
    image = keras.Input((7, 7, 3))
    model = keras.Model(image, layers.Conv2D(2, (3, 1), strides=(2, 1), padding="same", activation="relu")(image))
    (step,), given, result = open_network(model)
    assert (step.inputs, step.out, step.strides, step.padding, step.relu) == ([given], result, (2, 1), "SAME", True)
    assert step.kernel.shape == (3, 1, 3, 2)
    check(model, 7)


def test_all_of_inception_is_folded():
    model = backbones.inception_v3(75)
    steps, given, result = open_network(model)
    counted = {name: names(steps).count(name) for name in set(names(steps))}
    # As keras.applications describes it: 94 convolutions, each with a normalization and a ReLU.
    assert counted == {
        **{"Convolution": 94, "Concatenate": 15, "AveragePooling2D": 9, "MaxPooling2D": 4},
        **{"Resizing": 1, "Rescaling": 1, "GlobalAveragePooling2D": 1},
    }
    assert all(step.relu for step in steps if isinstance(step, Convolution))
    assert sum(step.averages_3x3 for step in steps if isinstance(step, Operation)) == 9
    known = {given}
    for step in steps:  # in an order in which they can be computed
        assert known.issuperset(step.inputs)
        known.add(step.out)
    assert steps[-1].out == result


def test_the_small_network_has_what_inception_has():
    steps = check(small_inception(), 13)
    assert names(steps).count("Convolution") == 8 and set(names(steps)) > {"Concatenate", "AveragePooling2D"}


# What must not be folded


def test_a_convolution_that_others_read_too_stays_as_it_is():
    image = keras.Input((5, 5, 3))
    x = layers.Conv2D(4, 3)(image)
    after = layers.ReLU()(layers.BatchNormalization()(x))
    steps = check(keras.Model(image, layers.Concatenate()([x, after])))
    assert names(steps) == ["Convolution", "BatchNormalization", "ReLU", "Concatenate"]
    image = keras.Input((5, 5, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(image))
    steps = check(keras.Model(image, layers.Concatenate()([layers.ReLU()(x), x])))
    assert names(steps) == ["Convolution", "ReLU", "Concatenate"]


def test_a_normalization_behind_a_relu_or_of_another_axis_is_computed():
    image = keras.Input((5, 5, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 3)(x))
    steps = check(keras.Model(image, x))
    assert names(steps) == ["Convolution", "BatchNormalization"] * 2


def test_a_relu_with_a_bound_is_computed():
    image = keras.Input((5, 5, 3))
    x = layers.ReLU(max_value=0.2)(layers.Conv2D(4, 3)(image))
    x = layers.Activation("tanh")(layers.Conv2D(4, 3)(x))
    assert names(check(keras.Model(image, x))) == ["Convolution", "ReLU", "Convolution", "Activation"]


def test_dropout_does_nothing():
    image = keras.Input((5, 5, 3))
    x = layers.Dropout(0.5)(layers.Conv2D(4, 3)(image))
    assert names(check(keras.Model(image, layers.ReLU()(x)))) == ["Convolution", "Dropout", "ReLU"]


# Models within models


def test_models_within_models_are_opened_at_each_of_their_places():
    inner_image = keras.Input((None, None, 3))
    x = layers.Conv2D(3, 3, padding="same")(inner_image)
    inner = keras.Model(inner_image, layers.ReLU()(layers.BatchNormalization()(x)))
    chain = keras.Sequential([keras.Input((5, 5, 3)), layers.Conv2D(3, 3), layers.ReLU()])
    image = keras.Input((5, 5, 3))
    steps = check(keras.Model(image, layers.Concatenate()([chain(inner(image)), chain(inner(inner(image)))])))
    assert names(steps) == ["Convolution"] * 5 + ["Concatenate"]


def test_a_sequential_model_is_opened():
    chain = keras.Sequential([keras.Input((5, 5, 3)), layers.Conv2D(3, 3), layers.ReLU(), layers.Flatten()])
    assert names(check(chain)) == ["Convolution", "Flatten"]


def test_an_output_of_an_inner_model_that_nobody_reads_is_left_out():
    image = keras.Input((5, 5, 3))
    x = layers.Conv2D(3, 3)(image)
    inner = keras.Model(image, [x, layers.ReLU()(x)])
    image = keras.Input((5, 5, 3))
    assert names(check(keras.Model(image, inner(image)[0]))) == ["Convolution"]
    assert names(check(keras.Model(image, layers.Flatten()(inner(image)[1])))) == ["Convolution", "Flatten"]


def test_a_network_of_many_layers_is_opened():
    image = keras.Input((1, 1, 1))
    x = image
    for _ in range(600):
        x = layers.Rescaling(1.0)(x)
    assert len(open_network(keras.Model(image, x))[0]) == 600


# What is refused


class Doubled(layers.Conv2D):
    def call(self, inputs):
        return 2 * super().call(inputs)


class Own(keras.Model):
    def call(self, images):
        return images + 1


@pytest.mark.parametrize(
    "layer",
    [
        *(layers.LeakyReLU(), layers.DepthwiseConv2D(3), layers.ZeroPadding2D(1), Doubled(2, 3), Own()),
        *(layers.Conv2D(3, 1, groups=3), layers.Conv2D(2, 2, dilation_rate=2), layers.Conv2D(2, 1, activation="gelu")),
    ],
)
def test_a_layer_that_is_not_known_is_refused_by_its_name(layer):
    image = keras.Input((5, 5, 3))
    with pytest.raises(UnknownLayer, match=layer.name):
        open_network(keras.Model(image, layers.Flatten()(layer(image))))


def test_a_model_that_is_not_functional_or_has_more_ends_is_refused():
    image, other = keras.Input((5, 5, 3)), keras.Input((5, 5, 3))
    both = layers.Concatenate()([image, other])
    for model in (Own(), keras.Model([image, other], both), keras.Model(image, [layers.ReLU()(image)] * 2)):
        with pytest.raises(UnknownLayer, match=model.name):
            open_network(model)
