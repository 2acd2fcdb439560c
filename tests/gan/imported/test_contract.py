"""The contract: every way to break it is said in plain words before anything long begins."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from foreign import CLASSES, LATENT, Module, config, foreign, wide
from keras import layers

from pir_tf.errors import InputError
from pir_tf.gan.imported.contract import check_contract
from pir_tf.gan.imported.description import describe
from pir_tf.gan.imported.generator import import_generator, wrap


def check(core, way="none", **fields):
    counted = {} if way == "none" else {"class_count": CLASSES}
    description = describe(core, config(way, **{**counted, **fields}), ())
    return check_contract(wrap(core, description), description, "mine", seed=0)


def changed(last, *, first=None, activation="sigmoid"):
    """A good generator with one layer more at its end, or at its beginning."""
    z = keras.Input((LATENT,), name="noise")
    x = first(z) if first else z
    x = layers.Dense(8 * 8 * 3, activation=activation, kernel_initializer=wide(2))(x)
    x = layers.Reshape((8, 8, 3))(x)
    return keras.Model(z, last(x) if last else x)


@pytest.mark.parametrize("way", ["none", "one-hot", "integer", "joined"])
def test_a_good_generator_is_measured(way):
    facts = check(foreign(way), way)
    low, high = facts["values"]
    assert 0 <= low < 0.1 and 0.9 < high <= 1
    assert facts["share_outside"] == 0 and facts["weights_without_gradient"] == 0
    assert facts["trainable_weights"] == (3 if way == "integer" else 2)
    assert facts["latent_change"] > 10
    assert facts["class_change"] is None if way == "none" else facts["class_change"] > 5


def batch_statistics(x):
    """As a graph that was saved in training mode has them."""
    return x - keras.ops.mean(x, axis=0, keepdims=True)


def rounded(x):
    return keras.ops.round(x * 255) / 255


def collapsed():
    return changed(None, first=lambda z: layers.Dense(4, bias_initializer=wide(3))(layers.Rescaling(0.0)(z)))


def frozen():
    core = foreign("none")
    core.trainable = False
    return core


def of_one_class():
    core = foreign("integer")
    embedding = next(layer for layer in core.layers if isinstance(layer, layers.Embedding))
    embedding.set_weights([np.zeros((CLASSES, 4))])
    return core


def in_float16():
    with_policy = keras.mixed_precision.dtype_policy()
    keras.mixed_precision.set_dtype_policy("float16")
    try:
        return changed(None)
    finally:
        keras.mixed_precision.set_dtype_policy(with_policy)


BROKEN = {
    "values outside": (lambda: changed(layers.Rescaling(255.0)), {}, "--gan.import-range LOW HIGH"),
    "a tanh called 0 1": (lambda: changed(None, activation="tanh"), {}, "of them lie outside"),
    "a sigmoid called -1 1": (lambda: changed(None), {"range": (-1.0, 1.0)}, "--gan.import-range 0 1"),
    "a sigmoid called 0 255": (lambda: changed(None), {"range": (0.0, 255.0)}, "a small part of what it could"),
    "NaN": (lambda: changed(layers.Rescaling(float("nan"))), {}, "NaN or infinite values"),
    "batch statistics": (lambda: changed(batch_statistics), {"range": (-9.0, 9.0)}, "runs in training mode"),
    "collapsed": (collapsed, {}, "one picture whatever its latent vector is"),
    "no gradient": (lambda: changed(keras.ops.stop_gradient), {}, "no gradient from its images reaches any"),
    "rounded": (lambda: changed(rounded), {}, "no gradient from its images reaches any"),
    "frozen": (frozen, {}, "has 2 weights and none that can be trained (frozen)"),
    "float16": (in_float16, {}, "has 2 trainable weights of float16, in which an optimizer's moments"),
    "one class": (
        of_one_class,
        {"way": "integer"},
        "its class is, expected others: leave the classes out with --gan.import-class none",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_breach_is_one_sentence_with_what_to_do(name):
    make, fields, words = BROKEN[name]
    with pytest.raises(InputError) as refused:
        check(make(), **fields)
    assert words in str(refused.value) and str(refused.value).startswith("mine ")


def test_noise_in_every_call_is_said(tmp_path):
    class Noisy(Module):
        def image(self, latent, label):
            return super().image(latent, label) + 0.1 * tf.random.normal((tf.shape(latent)[0], 8, 12, 1))

    noisy, description = import_generator(
        config("integer", Noisy().save(tmp_path / "noisy"), signature="make", class_count=CLASSES), ()
    )
    with pytest.raises(InputError, match="gives other images for the same latents, by up to"):
        check_contract(noisy, description, "mine", seed=0)


def test_layers_that_drop_values_in_training_do_not_when_it_is_tuned():
    check(changed(lambda x: layers.Dropout(0.5, seed=1)(layers.GaussianNoise(0.5)(x), training=True)))


@pytest.mark.parametrize("said", [CLASSES + 1, 30])
@pytest.mark.parametrize("nested", [False, True])
def test_more_classes_than_the_generator_knows_are_refused_with_its_own_count(said, nested):
    """Not only those of the images that are looked at: also the last of 30."""
    core = foreign("integer")
    if nested:
        inputs = [keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in core.inputs]
        core = keras.Model(inputs, core(inputs))
    with pytest.raises(
        InputError, match=f"and {said} classes, while its Embedding has 3 rows .*--gan.import-class-count"
    ):
        check(core, "integer", class_count=said)


def test_few_values_a_little_outside_are_counted_and_no_breach():
    facts = check(changed(layers.Rescaling(1.002, offset=-0.001)))
    assert 0 < facts["share_outside"] <= 1 and facts["values"][1] > 1


def test_weights_that_no_gradient_reaches_are_counted():
    z = keras.Input((LATENT,), name="noise")
    x = layers.Dense(8 * 8 * 3, kernel_initializer=wide(2))(z)
    unused = layers.Dense(8 * 8 * 3, kernel_initializer=wide(3))(z)
    x = keras.ops.sigmoid(x + keras.ops.stop_gradient(unused))
    facts = check(keras.Model(z, layers.Reshape((8, 8, 3))(x)))
    assert (facts["trainable_weights"], facts["weights_without_gradient"]) == (4, 2)


def test_looking_changes_nothing():
    core = changed(layers.BatchNormalization())
    before = [np.asarray(v) for v in core.weights]
    check(core, range=(-9.0, 9.0))
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, core.weights, strict=True))
    assert tf.executing_eagerly()
