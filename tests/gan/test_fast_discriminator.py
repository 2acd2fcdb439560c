"""The discriminator's cheaper pass equals the stock layers', and changes of the network what the stock pass changes."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from equal_passes import assert_equal, changed, shake, value_and_gradients, values_of

from pir_tf.gan.fast import FastDiscriminator, fast_discriminator
from pir_tf.gan.networks import build_discriminator, with_tanh, without_tanh

SIZE = 16
"""Of the images, in place of 64: the pass is the same at any size, and fewer numbers come near 0."""


def small(dropout=0.5, classes=3):
    whole = build_discriminator(classes, dropout=dropout, seed=2)
    return keras.models.clone_model(whole, input_tensors=keras.Input((SIZE, SIZE, 3), name="image"))


def pair(*options):
    """Two equal discriminators."""
    first, second = shake(small(*options), 3), small(*options)
    second.set_weights(first.get_weights())
    return first, second


def images(batch, seed=0, size=SIZE):
    return tf.constant(np.random.default_rng(seed).uniform(-1, 1, (batch, size, size, 3)), tf.float32)


def variables(network):
    return [np.asarray(variable).copy() for variable in network.variables]


def stateless(network, x):
    outputs, _ = network.stateless_call(network.trainable_variables, network.non_trainable_variables, x, training=True)
    return outputs


def off_the_kinks(network, batch, first_seed=0):
    """Images for whose next pass no leaky ReLU stands near 0, where rounding would choose its slope."""
    convolved = [layer.output for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    before_each = keras.Model(network.inputs, convolved)
    for seed in itertools.count(first_seed):
        x = images(batch, seed)
        if all(np.abs(y).min() > 1e-5 * np.abs(y).max() for y in stateless(before_each, x)):
            return x


@pytest.mark.slow
@pytest.mark.parametrize("batch, dropout, classes, update", [(3, 0.5, 3, True), (3, 0.25, 1, False), (2, 0.0, 3, True)])
def test_equals_the_stock_pass(batch, dropout, classes, update):
    stock, network = pair(dropout, classes)
    fast = FastDiscriminator(network)
    before = variables(network)
    for seed in (5, 6):  # twice: the masks and the statistics go on
        x = off_the_kinks(stock, batch, 100 * seed)
        plain = (lambda x: stock(x, training=True)) if update else (lambda x: stateless(stock, x))
        expected = value_and_gradients(lambda: plain(x), [x, *values_of(stock)], seed)  # noqa: B023
        ours = value_and_gradients(lambda: fast(x, update=update), [x, *values_of(network)], seed)  # noqa: B023
        assert ours[0].shape == (batch, 1) and ours[1].shape == (batch, classes)
        # Rounding alone comes to 2.6e-5 without oneDNN; a slope that is wrong by a thousandth to more.
        assert_equal(ours, expected, 1e-4)
    assert_equal(variables(network), variables(stock))
    moved = [v.name for v, b in zip(network.variables, before, strict=True) if not np.array_equal(v, b)]
    states = [] if dropout == 0 else ["seed_generator_state"] * 3
    assert sorted(moved) == (["moving_mean"] * 6 + ["moving_variance"] * 6 + states if update else [])


def test_at_the_real_size_values_and_statistics_are_equal(monkeypatch):
    first, second = (shake(build_discriminator(2, seed=4), 5) for _ in (0, 1))
    expected = first(images(4, size=64), training=True)
    for kind in (keras.layers.Conv2D, keras.layers.BatchNormalization):  # it is not the stock pass
        monkeypatch.setattr(kind, "call", None)
    assert_equal(FastDiscriminator(second)(images(4, size=64), update=True), expected)
    assert_equal(variables(second), variables(first))


@pytest.mark.slow
@pytest.mark.parametrize("update", [True, False])
def test_a_traced_pass_equals_an_eager_one_and_sees_later_weights(update):
    eager, traced = pair()
    call = tf.function(lambda x: FastDiscriminator(traced)(x, update=update), autograph=False)
    outputs = []
    for factor in (1.0, -0.5):
        for network in (eager, traced):
            kernel = network.get_layer("conv_6").kernel
            kernel.assign(factor * kernel)
            network.get_layer("class_logits").bias.assign([factor, 0.0, 1.0])
        outputs.append(call(images(2)))
        assert_equal(outputs[-1], FastDiscriminator(eager)(images(2), update=update))
    assert_equal(variables(traced), variables(eager))
    assert np.abs(outputs[0][1] - outputs[1][1]).max() > 0.1


@pytest.mark.slow
def test_knows_ours_alone_also_when_saved_and_loaded(tmp_path):
    ours = shake(build_discriminator(2), 1)
    assert FastDiscriminator.knows(ours) and FastDiscriminator.knows(changed(ours))
    with_tanh(ours).save(tmp_path / "d.keras")
    loaded = keras.models.load_model(tmp_path / "d.keras")
    x = images(2, size=64)
    assert_equal(fast_discriminator(without_tanh(loaded))(x, update=False), stateless(ours, x))
    image = keras.Input((64, 64, 3))
    # tanh u; odd maps, for all it looks at
    others = [loaded, small(), keras.Model(image, keras.layers.Flatten()(image))]
    others += [changed(ours, every={"dtype": "float64"}), changed(ours, leaky_2={"negative_slope": 0.3})]
    assert not any(FastDiscriminator.knows(other) for other in others)
