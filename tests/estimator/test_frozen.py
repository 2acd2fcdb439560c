"""A frozen network's cheaper form: what is folded, moved and computed as a matrix, and whole networks against stock layers."""

import itertools
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from equal_passes import assert_equal
from estimator_helpers import inception
from frozen_helpers import images, in_float64, small_inception, stirred, value_and_gradient
from keras import layers

from pir_tf.estimator import backbones, frozen
from pir_tf.estimator.frozen import Convolution, Operation, UnknownLayer, fast_frozen, open_network
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import with_pir

IMAGE = keras.Input((5, 5, 3))


def names(steps):
    return ["Convolution" if isinstance(step, Convolution) else type(step.layer).__name__ for step in steps]


def check(out, image=IMAGE):
    """The names of a model's operations, once they compute what the model does, in float64."""
    model = in_float64(stirred(keras.Model(image, out)))
    x = images(2, image.shape[1])
    expected = value_and_gradient(lambda x: model(x, training=False), x)
    assert_equal(value_and_gradient(fast_frozen(model), x), expected, 1e-10)
    return names(open_network(model)[0])


# What is folded


@pytest.mark.parametrize("scale, center, use_bias", [(True, True, True), (False, True, False), (True, False, False)])
def test_normalization_and_relu_are_folded(scale, center, use_bias):
    x = layers.Conv2D(5, 1, use_bias=use_bias)(IMAGE)
    x = layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)(x)
    assert check(layers.ReLU()(x)) == ["Convolution"]


def test_a_convolutions_own_relu_and_strides_are_kept():
    image = keras.Input((7, 7, 3))
    out = layers.Conv2D(2, (3, 1), strides=(2, 1), padding="same", activation="relu")(image)
    (step,), given, result = open_network(keras.Model(image, out))
    assert (step.inputs, step.out, step.strides, step.padding, step.relu) == ([given], result, (2, 1), "SAME", True)
    assert step.kernel.shape == (3, 1, 3, 2)
    assert check(out, image) == ["Convolution"]


@pytest.fixture(scope="module")
def whole():
    return inception()


def test_all_of_inception_is_folded_and_joined(whole):
    assert whole.output.shape == (None, 2048)
    steps, given, result = open_network(whole)
    found = names(steps)
    # As keras.applications describes it: 94 convolutions, each with a normalization and a ReLU.
    assert {name: found.count(name) for name in found} == {
        **{"Convolution": 94, "Concatenate": 15, "AveragePooling2D": 9, "MaxPooling2D": 4},
        **{"Resizing": 1, "Rescaling": 1, "GlobalAveragePooling2D": 1},
    }
    assert all(step.relu for step in steps if isinstance(step, Convolution))
    known = {given}
    for step in steps:  # in an order in which they can be computed
        assert known.issuperset(step.inputs)
        known.add(step.out)
    assert steps[-1].out == result
    steps = frozen._join_siblings(frozen._convolve_before_averaging(steps))
    assert not any(isinstance(step, Operation) and step.averages_3x3 for step in steps)
    groups = [step for step in steps if isinstance(step, list)]
    assert sum(c.averaged is not None for group in groups for c in group) == 9
    # mixed0 to 2, 4 to 7, 9 and 10 have four 1x1 convolutions of their input each; mixed3 one, mixed8 two; one in the stem.
    assert sorted(map(len, groups)) == [1, 1, 2, *[4] * 9]


# What must not be


def normalized(x, **settings):
    return layers.BatchNormalization(**settings)(layers.Conv2D(4, 3)(x))


def read_twice():
    x = layers.Conv2D(4, 3)(IMAGE)
    return layers.Concatenate()([x, layers.ReLU()(layers.BatchNormalization()(x))])


def normalized_and_read_twice():
    x = normalized(IMAGE)
    return layers.Concatenate()([layers.ReLU()(x), x])


KEPT = {
    "read by others too": (read_twice, ["Convolution", "BatchNormalization", "ReLU", "Concatenate"]),
    "a normalization read twice": (normalized_and_read_twice, ["Convolution", "ReLU", "Concatenate"]),
    "a normalization behind a ReLU": (
        lambda: layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(IMAGE)),
        ["Convolution", "BatchNormalization"],
    ),
    "of another axis": (lambda: normalized(IMAGE, axis=1), ["Convolution", "BatchNormalization"]),
    "a ReLU with a bound": (lambda: layers.ReLU(max_value=0.2)(layers.Conv2D(4, 3)(IMAGE)), ["Convolution", "ReLU"]),
    "tanh": (lambda: layers.Activation("tanh")(layers.Conv2D(4, 3)(IMAGE)), ["Convolution", "Activation"]),
    "dropout does nothing": (lambda: layers.Dropout(0.5)(layers.Conv2D(4, 3)(IMAGE)), ["Convolution", "Dropout"]),
}


@pytest.mark.parametrize("out, steps", KEPT.values(), ids=KEPT)
def test_what_cannot_be_folded_is_computed(out, steps):
    assert check(out()) == steps


STAYS = {
    "a larger kernel": ({}, lambda x: layers.Conv2D(2, 3)(x)),
    "two readers": ({}, lambda x: layers.Concatenate()([layers.Conv2D(2, 1)(x), layers.Conv2D(2, 1)(x)])),
    "the output": ({}, lambda x: x),
    "another size": ({"pool_size": 2}, layers.Conv2D(2, 1)),
    "other strides": ({"strides": 2}, layers.Conv2D(2, 1)),
    "other padding": ({"padding": "valid"}, layers.Conv2D(2, 1)),
}


@pytest.mark.parametrize("settings, reader", STAYS.values(), ids=STAYS)
def test_a_pooling_stays_where_it_cannot_move(settings, reader):
    out = reader(layers.AveragePooling2D(**{"pool_size": 3, "strides": 1, "padding": "same", **settings})(IMAGE))
    assert check(out)[0] == "AveragePooling2D"
    assert isinstance(frozen._convolve_before_averaging(open_network(keras.Model(IMAGE, out))[0])[0], Operation)


# Models within models


def test_models_within_models_are_opened_at_each_of_their_places():
    inner_image = keras.Input((None, None, 3))
    inner = keras.Model(inner_image, layers.ReLU()(layers.Conv2D(3, 3, padding="same")(inner_image)))
    chain = keras.Sequential([keras.Input((5, 5, 3)), layers.Conv2D(3, 3), layers.ReLU()])
    out = layers.Concatenate()([chain(inner(IMAGE)), chain(inner(inner(IMAGE)))])
    assert check(out) == ["Convolution"] * 5 + ["Concatenate"]
    chain = keras.Sequential([keras.Input((5, 5, 3)), layers.Conv2D(3, 3), layers.ReLU(), layers.Flatten()])
    assert names(open_network(chain)[0]) == ["Convolution", "Flatten"]


def test_an_output_of_an_inner_model_that_nobody_reads_is_left_out():
    x = layers.Conv2D(3, 3)(IMAGE)
    inner = keras.Model(IMAGE, [x, layers.ReLU()(x)])
    image = keras.Input((5, 5, 3))
    assert check(inner(image)[0], image) == ["Convolution"]
    assert check(layers.Flatten()(inner(image)[1]), image) == ["Convolution", "Flatten"]


# What is refused, and then called as it is


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
def test_what_is_not_known_is_refused_by_its_name(layer):
    with pytest.raises(UnknownLayer, match=layer.name):
        open_network(keras.Model(IMAGE, layers.Flatten()(layer(IMAGE))))
    other = keras.Input((5, 5, 3))
    both = layers.Concatenate()([IMAGE, other])
    for model in (Own(), keras.Model([IMAGE, other], both), keras.Model(IMAGE, [layers.ReLU()(IMAGE)] * 2)):
        with pytest.raises(UnknownLayer, match=model.name):
            open_network(model)


@pytest.mark.parametrize("why", ["an unknown layer", "another Keras"])
def test_a_network_that_cannot_be_opened_is_called_as_it_is_and_said(why, monkeypatch):
    x = layers.BatchNormalization()(layers.Dropout(0.5)(layers.Conv2D(4, 3)(IMAGE)))
    model = stirred(keras.Model(IMAGE, layers.LeakyReLU(name="leaky")(x) if why == "an unknown layer" else x))
    with monkeypatch.context() as patched:
        if why == "another Keras":  # whose graphs keep their nodes under another name
            patched.delattr(model, "_nodes_by_depth")
        with pytest.warns(UserWarning, match="has no faster form") as warned:
            call, x = fast_frozen(model), images(2, 5, "float32")
    (said,) = [str(warning.message) for warning in warned if warning.category is UserWarning]
    assert said.endswith("tuning takes longer on a CPU, and its results are the same.") and "\n" not in said
    assert ("leaky" if why == "an unknown layer" else model.name) in said
    np.testing.assert_array_equal(call(x), model(x, training=False))  # without dropout, by the moving statistics


# Whole networks


NETWORKS = {
    "compact": (lambda: backbones.compact(64, seed=1), (50, 70)),
    "small inception": (small_inception, 13),
    "mixed2": (lambda: inception("mixed2"), 64),
    "whole": (inception, 64),
}


@pytest.fixture(scope="module", params=[*list(NETWORKS)[:3], pytest.param("whole", marks=pytest.mark.slow)])
def built(request):
    """A network with random weights in every place, its float64 copy, and a size of images."""
    build, size = NETWORKS[request.param]
    model = stirred(build())
    return model, in_float64(model), size


def test_a_network_equals_its_stock_layers_in_value_and_gradient_and_in_float32(built):
    model, wide, size = built
    x = images(2, size)
    expected = value_and_gradient(lambda x: wide(x, training=False), x)
    assert_equal(value_and_gradient(fast_frozen(wide), x), expected, 1e-10)
    single = tf.cast(x, "float32")
    found = fast_frozen(model)(single)
    assert_equal([found], [model(single, training=False)], 1e-5)
    assert np.abs(found.numpy() - expected[0]).max() <= 1e-5 * np.abs(expected[0]).max()


def test_a_saved_estimator_equals_its_stock_layers(built):
    """At the temperature of use, whose logits differ enough to see it and little enough to leave a gradient."""
    body, _, size = built
    logits = layers.Dense(100, kernel_initializer="zeros", name="logits")
    network = keras.Model(body.input, logits(body.output))
    features = body(images(8, size, "float32", seed=9), training=False).numpy()
    kernel = np.random.default_rng(3).standard_normal((features.shape[1], 100))
    logits.set_weights([0.02 * kernel / (features - features.mean(0)).std() / np.sqrt(len(kernel)), np.zeros(100)])
    logits.bias.assign(-features.mean(0) @ logits.kernel)
    model = in_float64(with_pir(network, Bins(100), temperature=0.01))
    x = images(4, size)
    value, gradient = value_and_gradient(lambda x: model(x, training=False), x)
    assert value.shape == (4, 1) and np.std(value) > 0.01
    # Rounding grows as the difference of logits does, by 1 / 0.01 and by how much alike the images are to the network.
    assert_equal(value_and_gradient(fast_frozen(model), x), (value, gradient), 1e-7)


def test_it_is_not_the_model_itself_and_the_same_when_traced_for_any_batch(monkeypatch):
    """Without the first, the tests above would say nothing."""
    with warnings.catch_warnings(action="error", category=UserWarning):
        call = fast_frozen(small_inception())
    for kind in (layers.Conv2D, layers.BatchNormalization, keras.Model):
        monkeypatch.setattr(kind, "call", None)
    traced = tf.function(call, input_signature=[tf.TensorSpec((None, 13, 13, 3))], autograph=False)
    for batch in (1, 5):
        x = images(batch, 13, "float32")
        assert_equal([traced(x)], [call(x)], 1e-5)


def test_weights_that_change_later_are_not_seen_and_the_model_stays_as_it_is():
    model = stirred(small_inception())
    stored = [np.array(v) for v in model.variables]
    call, x = fast_frozen(model), images(2, 13, "float32")
    before = model(x, training=False)
    assert_equal([call(x)], [before], 1e-5)
    assert all(np.array_equal(a, b) for a, b in zip(stored, model.variables, strict=True))
    model.set_weights([2 * w for w in model.get_weights()])
    assert_equal([call(x)], [before], 1e-5)
    assert np.abs(model(x, training=False) - before).max() > 0.1
    assert_equal([fast_frozen(model)(x)], [model(x, training=False)], 1e-5)


# A convolution as a matrix product where its map is small


def convolution(kernel, strides, padding):
    return Convolution([0], 1, kernel, np.zeros(kernel.shape[-1]), strides, padding)


SIZES = [(1, 1), (1, 5), (2, 2), (2, 3), (3, 1), (3, 3), (5, 3), (7, 4)]
KERNELS = [(1, 1), (3, 3), (1, 7), (7, 1), (1, 3), (3, 1), (5, 2), (2, 5)]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2)])
def test_every_form_of_a_convolution_and_its_matrix_equal_the_stock_one(strides, padding):
    rng = np.random.default_rng(0)
    tried = 0
    for size, shape in itertools.product(SIZES, KERNELS):
        if padding == "VALID" and (shape[0] > size[0] or shape[1] > size[1]):
            continue
        x, kernel = rng.standard_normal((2, *size, 3)), rng.standard_normal((*shape, 3, 4))
        expected = tf.nn.conv2d(x, kernel, strides, padding).numpy()
        matrix = frozen._met(kernel, size, strides, padding)
        assert matrix.shape == (np.prod(x.shape[1:]), np.prod(expected.shape[1:]))
        if frozen._pays(convolution(kernel, strides, padding), size):  # it never has more products than the convolution
            assert matrix.size <= 12 * np.prod(shape) * np.prod(expected.shape[1:3])
        found = frozen._convolve(convolution(kernel, strides, padding), tf.constant(x)).numpy()
        for one in (found, (x.reshape(2, -1) @ matrix).reshape(expected.shape)):
            np.testing.assert_allclose(one, expected, rtol=1e-10, atol=1e-12, err_msg=f"{size} {shape}")
        tried += 1
    assert tried >= 20


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
    frozen._convolve(convolution(np.ones((*shape, 2, 2)), strides, padding), images(1, size, channels=2))
    assert bool(called) is not matrix
