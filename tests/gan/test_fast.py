"""The generator's cheaper pass equals the stock layers'; another generator is called as it is, which is said."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from equal_passes import assert_equal, changed, shake, value_and_gradients, values_of

from pir_tf.gan import fast
from pir_tf.gan.fast import fast_discriminator, fast_generator
from pir_tf.gan.networks import build_generator

CLASSES = 3


def latents(batch):
    rng = np.random.default_rng(0)
    z = tf.constant(rng.standard_normal((batch, 64)), tf.float32)
    return z, tf.one_hot(rng.integers(0, CLASSES, batch), CLASSES)


@pytest.fixture(scope="module")
def generator():
    """With kernels and biases of which no leaky ReLU stands near 0, where rounding would choose its slope."""
    network = shake(build_generator(CLASSES, seed=1), 1)
    rng = np.random.default_rng(0)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            layer.bias.assign(0 * layer.bias)
            largest = np.abs(keras.Model(network.inputs, layer.output)(latents(16))).max()
            layer.kernel.assign(layer.kernel / largest)
            layer.bias.assign(rng.choice([-2.0, 2.0], layer.bias.shape))
    return network


@pytest.mark.parametrize("batch, compiled", [(1, False), (3, False), pytest.param(2, True, marks=pytest.mark.slow)])
def test_the_whole_generator_equals_the_stock_one(generator, batch, compiled):
    z, one_hot = latents(batch)
    call = fast_generator(generator, compiled=compiled)
    sources = [z, one_hot, *values_of(generator)]
    ours = value_and_gradients(lambda: call(z, one_hot), sources)
    assert_equal(ours, value_and_gradients(lambda: generator([z, one_hot]), sources))
    assert ours[0].shape == (batch, 64, 64, 3)
    if compiled:  # weights that change later are seen
        conv = generator.get_layer("conv_4")
        kernel = conv.kernel.numpy()
        conv.kernel.assign(-kernel)
        later = value_and_gradients(lambda: call(z, one_hot), sources)[0]
        assert_equal([later], [generator([z, one_hot])])
        assert np.abs(later - ours[0]).max() > 0.01
        conv.kernel.assign(kernel)


def test_what_is_compiled_is_shared(generator, monkeypatch):
    """By all generators of a process, which would take seconds for each."""
    calls = []
    monkeypatch.setattr(fast, "_compiled_images", lambda x, weights: calls.append(x.shape))
    for network in (generator, changed(generator)):
        fast_generator(network, compiled=True)(*latents(2))
    fast_generator(generator)(*latents(2))
    assert calls == [(2, 4, 4, 512)] * 2


def test_a_loaded_generator_is_ours_and_not_called_as_it_is(generator, tmp_path, monkeypatch):
    """Without the second, the tests above would say nothing."""
    generator.save(tmp_path / "g.keras")
    call, expected = fast_generator(keras.models.load_model(tmp_path / "g.keras")), generator([*latents(2)])
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    assert_equal([call(*latents(2))], [expected])


class Silent(keras.layers.Layer):
    """A layer whose settings Keras can't tell."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def call(self, x):
        return x + self.offset


def foreign():
    z, one_hot = keras.Input((64,)), keras.Input((CLASSES,))
    x = Silent(tf.constant(3.0))(keras.layers.Concatenate()([z, one_hot]))
    model = keras.Model([z, one_hot], keras.layers.Dense(4)(x))
    with pytest.raises(NotImplementedError):
        model.layers[3].get_config()
    return model


@pytest.mark.parametrize(
    "settings", [None, {"leaky_3": {"negative_slope": 0.1}}, {"upsample_4": {"interpolation": "bilinear"}}]
)
def test_another_generator_is_called_as_it_is_and_said(generator, settings):
    other = foreign() if settings is None else changed(generator, **settings)
    z, one_hot = latents(1)
    with pytest.warns(UserWarning, match="The generator has other layers .* on a CPU, and its results are the same"):
        call = fast_generator(other)
    np.testing.assert_array_equal(call(z, one_hot), other([z, one_hot]))
    with pytest.warns(UserWarning, match="The discriminator has other layers"):
        assert fast_discriminator(generator) is None
