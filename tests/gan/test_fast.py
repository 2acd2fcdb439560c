"""The generator's cheaper pass equals the stock layers'; another generator is called as it is."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from equal_passes import assert_equal, changed, shake, value_and_gradients, values_of

from pir_tf.gan.fast import fast_generator
from pir_tf.gan.networks import build_generator

CLASSES = 3


def latents(batch, seed=0):
    rng = np.random.default_rng(seed)
    return tf.constant(rng.standard_normal((batch, 64)), tf.float32), tf.one_hot(
        rng.integers(0, CLASSES, batch), CLASSES
    )


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


@pytest.mark.parametrize("batch, compiled", [(1, False), (5, False), (4, True)])
def test_the_whole_generator_equals_the_stock_one(generator, batch, compiled):
    z, one_hot = latents(batch)
    fast = fast_generator(generator, compiled=compiled)
    sources = [z, one_hot, *values_of(generator)]
    ours = value_and_gradients(lambda: fast(z, one_hot), sources)
    assert_equal(ours, value_and_gradients(lambda: generator([z, one_hot]), sources))
    assert ours[0].shape == (batch, 64, 64, 3)


def test_the_whole_generator_is_within_rounding_of_float64(generator):
    given = latents(3)
    fast, wide = fast_generator(generator), changed(generator, every={"dtype": "float64"})
    ours = value_and_gradients(lambda: fast(*given), [*given, *values_of(generator)])
    given64 = [tf.cast(x, tf.float64) for x in given]
    assert_equal(ours, value_and_gradients(lambda: wide(given64), [*given64, *values_of(wide)]))


def test_values_are_equal_with_new_weights_too():
    network = build_generator(CLASSES, seed=2)
    z, one_hot = latents(6)
    assert_equal([fast_generator(network)(z, one_hot)], [network([z, one_hot])])


def test_it_is_not_the_stock_pass(generator, monkeypatch):
    """Which would make the tests above say nothing."""
    fast = fast_generator(generator)
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    assert fast(*latents(1)).shape == (1, 64, 64, 3)


def test_what_is_compiled_is_shared(generator, monkeypatch):
    """By all generators of a process, which would take seconds for each."""
    from pir_tf.gan import fast

    calls = []
    monkeypatch.setattr(fast, "_compiled_images", lambda x, weights: calls.append(x.shape))
    for network in (generator, changed(generator)):
        fast_generator(network, compiled=True)(*latents(2))
    fast_generator(generator)(*latents(2))
    assert calls == [(2, 4, 4, 512)] * 2


def test_sees_later_changes_of_the_weights(generator):
    call = tf.function(fast_generator(generator))
    z, one_hot = latents(1)
    bias = generator.get_layer("conv_5").bias
    before = call(z, one_hot).numpy().astype(np.float64)
    bias.assign_add([0.25, -0.25, 0.5])
    np.testing.assert_allclose(call(z, one_hot), np.tanh(np.arctanh(before) + [0.25, -0.25, 0.5]), atol=1e-5)
    bias.assign_sub([0.25, -0.25, 0.5])


class Silent(keras.layers.Layer):
    """A layer whose settings Keras can't tell."""

    def __init__(self, offset):
        super().__init__()
        self.offset = offset

    def call(self, x):
        return x + self.offset


def test_another_generator_is_called_as_it_is():
    z, one_hot = keras.Input((3,)), keras.Input((2,))
    x = Silent(tf.constant(3.0))(keras.layers.Concatenate()([z, one_hot]))
    generator = keras.Model([z, one_hot], keras.layers.Dense(4)(x))
    with pytest.raises(NotImplementedError):
        generator.layers[3].get_config()
    given = [np.float32([[1, 2, 3]]), np.float32([[0, 1]])]
    np.testing.assert_array_equal(fast_generator(generator)(*given), generator(given))


@pytest.mark.parametrize(
    "settings", [{"leaky_3": {"negative_slope": 0.1}}, {"upsample_4": {"interpolation": "bilinear"}}]
)
def test_a_generator_with_our_names_and_other_settings_is_called_as_it_is(generator, settings):
    other = changed(generator, **settings)
    z, one_hot = latents(1)
    np.testing.assert_array_equal(fast_generator(other)(z, one_hot), other([z, one_hot]))
    assert np.abs(other([z, one_hot]) - generator([z, one_hot])).max() > 1e-3


def test_a_loaded_generator_is_ours(generator, tmp_path, monkeypatch):
    generator.save(tmp_path / "g.keras")
    fast = fast_generator(keras.models.load_model(tmp_path / "g.keras"))
    expected = generator([*latents(2)])
    monkeypatch.setattr(keras.layers.Conv2D, "call", None)
    assert_equal([fast(*latents(2))], [expected])
