"""A frozen network's cheaper form: what is folded, moved and computed as a matrix, and whole networks against stock layers."""

import itertools
import json
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


@pytest.mark.slow
def test_all_of_inception_is_folded_and_joined():
    whole = inception()
    steps = open_network(whole)[0]
    found = names(steps)
    # As keras.applications describes it: 94 convolutions, each with a normalization and a ReLU.
    assert {name: found.count(name) for name in found} == {
        **{"Convolution": 94, "Concatenate": 15, "AveragePooling2D": 9, "MaxPooling2D": 4},
        **{"Resizing": 1, "Rescaling": 1, "GlobalAveragePooling2D": 1},
    }
    assert all(step.relu for step in steps if isinstance(step, Convolution))
    steps = frozen._join_siblings(frozen._convolve_before_averaging(steps))
    assert not any(isinstance(step, Operation) and step.averages_3x3 for step in steps)
    groups = [step for step in steps if isinstance(step, list)]
    assert sum(c.averaged is not None for group in groups for c in group) == 9
    # mixed0 to 2, 4 to 7, 9 and 10 have four 1x1 convolutions of their input each; mixed3 one, mixed8 two; one in the stem.
    assert sorted(map(len, groups)) == [1, 1, 2, *[4] * 9]


def convolved(x=IMAGE, size=3, **settings):
    return layers.Conv2D(4, size, **settings)(x)


def normalized(use_bias=True, **settings):
    return layers.BatchNormalization(**settings)(convolved(use_bias=use_bias))


def averaged():
    return layers.AveragePooling2D(3, strides=1, padding="same")(IMAGE)


def read_twice(x, layer):
    return layers.Concatenate()([x, layer(x)])


FORMS = {
    "a normalization and a ReLU": (lambda: layers.ReLU()(normalized(epsilon=0.01)), "Convolution"),
    "without scale": (lambda: layers.ReLU()(normalized(False, scale=False)), "Convolution"),
    "without centre or bias": (lambda: layers.ReLU()(normalized(False, center=False)), "Convolution"),
    "its own ReLU": (lambda: convolved(IMAGE, (3, 1), strides=(2, 1), activation="relu"), "Convolution"),
    "its own padding": (lambda: convolved(padding="same"), "Convolution"),
    "read by others too": (
        lambda: read_twice(convolved(), layers.BatchNormalization()),
        "Convolution BatchNormalization Concatenate",
    ),
    "a normalization read twice": (lambda: read_twice(normalized(), layers.ReLU()), "Convolution ReLU Concatenate"),
    "a normalization behind a ReLU": (
        lambda: layers.BatchNormalization()(convolved(activation="relu")),
        "Convolution BatchNormalization",
    ),
    "of another axis": (lambda: normalized(axis=1), "Convolution BatchNormalization"),
    "a ReLU with a bound": (lambda: layers.ReLU(max_value=0.2)(convolved()), "Convolution ReLU"),
    "tanh": (lambda: layers.Activation("tanh")(convolved()), "Convolution Activation"),
    "dropout does nothing": (lambda: layers.Dropout(0.5)(convolved()), "Convolution Dropout"),
    "an average of its own": (averaged, "AveragePooling2D"),
    "a larger kernel": (lambda: convolved(averaged()), "AveragePooling2D Convolution"),
    "two readers": (
        lambda: layers.Concatenate()([convolved(x, 1) for x in [averaged()] * 2]),
        "AveragePooling2D Convolution Convolution Concatenate",
    ),
}


@pytest.mark.parametrize("out, steps", FORMS.values(), ids=FORMS)
def test_what_is_folded_and_what_cannot_be_is_computed(out, steps):
    assert check(out()) == steps.split()


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
        *(layers.ELU(), layers.DepthwiseConv2D(3), layers.Cropping2D(1), Doubled(2, 3), Own()),
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
    model = stirred(keras.Model(IMAGE, layers.ELU(name="bent")(x) if why == "an unknown layer" else x))
    with monkeypatch.context() as patched:
        if why == "another Keras":  # whose graphs keep their nodes under another name
            patched.delattr(model, "_nodes_by_depth")
        with pytest.warns(UserWarning, match="has no faster form") as warned:
            call, x = fast_frozen(model), images(2, 5, "float32")
    (said,) = [str(warning.message) for warning in warned if warning.category is UserWarning]
    assert said.endswith("tuning takes longer on a CPU, and its results are the same.") and "\n" not in said
    assert ("bent" if why == "an unknown layer" else model.name) in said
    np.testing.assert_array_equal(call(x), model(x, training=False))  # without dropout, by the moving statistics


# Whole networks


NETWORKS = {
    "compact": (lambda: backbones.compact(64, seed=1), (50, 70)),
    "small inception": (small_inception, 13),
    "mixed2": (lambda: inception("mixed2"), 64),
    "whole": (lambda: thinned(inception()), 64),
}


def thinned(model):
    """The same network of layers with an eighth of the filters."""

    def fewer(config):
        if isinstance(config, list):
            return [fewer(item) for item in config]
        if not isinstance(config, dict):
            return config
        kept = {
            key: fewer(value) for key, value in config.items() if key != "build_config"
        }  # which holds the old shapes
        return kept | ({"filters": config["filters"] // 8} if "filters" in config else {})

    return keras.models.model_from_json(json.dumps(fewer(json.loads(model.to_json()))))


@pytest.fixture(scope="module", params=[*list(NETWORKS)[:3], pytest.param("whole", marks=pytest.mark.slow)])
def built(request):
    """A network with random weights in every place, its float64 copy, and a size of images."""
    build, size = NETWORKS[request.param]
    model = stirred(build())
    return model, in_float64(model), size


@pytest.mark.slow
def test_a_network_equals_its_stock_layers_in_value_and_gradient_and_in_float32(built):
    model, wide, size = built
    x = images(2, size)
    expected = value_and_gradient(lambda x: wide(x, training=False), x)
    assert_equal(value_and_gradient(fast_frozen(wide), x), expected, 1e-10)
    single = tf.cast(x, "float32")
    found = fast_frozen(model)(single)
    assert_equal([found], [model(single, training=False)], 1e-5)
    assert np.abs(found.numpy() - expected[0]).max() <= 1e-5 * np.abs(expected[0]).max()


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
    stored = model.get_weights()
    call, x = fast_frozen(model), images(2, 13, "float32")
    before = model(x, training=False)
    assert all(np.array_equal(a, b) for a, b in zip(stored, model.get_weights(), strict=True))
    model.set_weights([2 * w for w in stored])
    assert_equal([call(x)], [before], 1e-5)
    assert np.abs(model(x, training=False) - before).max() > 0.1


# A convolution as a matrix product where its map is small


def convolution(kernel, strides, padding):
    return Convolution([0], 1, kernel, np.zeros(kernel.shape[-1]), strides, padding)


SIZES = [(1, 1), (1, 5), (2, 2), (2, 3), (3, 1), (3, 3), (5, 3), (7, 4)]
KERNELS = [(1, 1), (3, 3), (1, 7), (7, 1), (1, 3), (3, 1), (5, 2), (2, 5)]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2)])
def test_every_form_of_a_convolution_and_its_matrix_equal_the_stock_one(strides, padding):
    rng = np.random.default_rng(0)
    for size, shape in itertools.product(SIZES, KERNELS):
        if padding == "VALID" and (shape[0] > size[0] or shape[1] > size[1]):
            continue
        x, kernel = rng.standard_normal((2, *size, 3)), rng.standard_normal((*shape, 3, 4))
        expected = tf.nn.conv2d(x, kernel, strides, padding).numpy()
        matrix = frozen._met(kernel, size, strides, padding)
        found = frozen._convolve(convolution(kernel, strides, padding), tf.constant(x)).numpy()
        for one in (found, (x.reshape(2, -1) @ matrix).reshape(expected.shape)):
            np.testing.assert_allclose(one, expected, rtol=1e-10, atol=1e-12, err_msg=f"{size} {shape}")


def test_a_matrix_is_taken_where_the_map_is_small(monkeypatch):
    """And not where it would be much larger than the kernel, nor where rows are skipped."""
    called = []
    monkeypatch.setattr(tf.nn, "conv2d", lambda x, *rest: called.append(x.shape))
    small = [(3, (1, 7), (1, 1)), (3, (7, 1), (1, 1)), (1, (3, 3), (1, 1))]
    large = [(9, (3, 3), (1, 1)), (17, (1, 7), (1, 1)), (3, (1, 7), (2, 1)), (7, (7, 7), (1, 1))]
    for size, shape, strides in [*small, *large]:
        frozen._convolve(convolution(np.ones((*shape, 2, 2)), strides, "SAME"), images(1, size, channels=2))
    assert len(called) == len(large) and (1, 9, 9, 2) in called
