"""The anchored tuner: L_PIR against the distance from the start, without a discriminator and without real images."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import arrays, assert_same, init, least_estimator

from pir_tf.gan.train import optimizers
from pir_tf.training import checkpoints
from pir_tf.training.precision import mixed
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.tuner import LogGradientNorms


def generator():
    """With layers that differ between training and use."""
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    x = layers.Concatenate()([z, class_one_hot])
    x = layers.Dense(8 * 8 * 3, kernel_initializer=init(1), name="dense")(x)
    x = layers.BatchNormalization(name="norm")(x)
    x = layers.Dropout(0.5, seed=3)(x)
    return keras.Model([z, class_one_hot], layers.Reshape((8, 8, 3))(layers.Activation("tanh")(x)), name="generator")


def tuner(pir_weight=10.0, anchor_weight=100.0, *, seed=7, rate=1e-2, **settings):
    made = AnchoredTuner(
        generator(), least_estimator(), seed=seed, pir_weight=pir_weight, anchor_weight=anchor_weight, **settings
    )
    made.compile(optimizers(rate, rate)[0])
    return made


def fit(model, epochs, callbacks=(), *, steps=1):
    return model.fit(np.zeros(8 * steps), batch_size=8, epochs=epochs, verbose=0, callbacks=list(callbacks)).history


# The loss


def test_the_objective_worked_by_hand():
    assert tuner(10.0, 100.0).objective({"L_PIR": 0.25, "L_anchor": 0.01}) == 10 * 0.25 - 100 * 0.01
    assert tuner(2.0, 0.0).objective({"L_PIR": 0.25, "L_anchor": 0.01}) == 0.5


def test_the_anchor_is_the_mean_squared_difference_from_the_start():
    model = tuner()
    z, labels = model.draw(6)
    assert float(model.terms(z, labels)["L_anchor"]) == 0.0
    dense = model.generator.get_layer("dense")
    dense.bias.assign(dense.bias + 0.3)
    inputs = [z, tf.one_hot(labels, 2)]
    images, start = (np.asarray(g(inputs, training=False)) for g in (model.generator, model._start.func.__self__))
    terms = model.terms(z, labels)
    assert float(terms["L_anchor"]) == pytest.approx(np.mean((images - start) ** 2), rel=1e-6)
    assert float(terms["L_anchor"]) > 0.01
    judged = np.asarray(least_estimator()(images))
    assert float(terms["L_PIR"]) == pytest.approx(judged.mean(), rel=1e-5)


@pytest.mark.slow
def test_the_estimator_sees_values_outside_the_range_as_people_do_and_the_anchor_as_they_are():
    z, class_one_hot = keras.Input((5,)), keras.Input((2,))
    x = layers.Dense(8 * 8 * 3, kernel_initializer=init(1))(layers.Concatenate()([z, class_one_hot]))
    unbounded = keras.Model([z, class_one_hot], layers.Reshape((8, 8, 3))(x))
    model = AnchoredTuner(unbounded, least_estimator(), seed=7, pir_weight=1.0, anchor_weight=1.0)
    unbounded.set_weights([5 * weight for weight in unbounded.get_weights()])
    drawn = model.draw(6)
    images = unbounded([drawn[0], tf.one_hot(drawn[1], 2)])
    assert np.mean(np.abs(images) > 1) > 0.2
    found = model.terms(*drawn)
    cut = tf.clip_by_value(images, -1.0, 1.0)
    assert float(found["L_PIR"]) == pytest.approx(float(tf.reduce_mean(model.estimated_pir(cut))))
    assert float(found["L_anchor"]) == pytest.approx(float(tf.reduce_mean((images - images / 5) ** 2)), rel=1e-4)


@pytest.mark.parametrize("whole", [True, False])
def test_in_bfloat16_the_anchor_pulls_at_nothing_where_the_start_computes_in_it_too(whole):
    model = tuner()
    networks = [*model.networks().values(), *([model.start] if whole else [])]
    with mixed("mixed_bfloat16", *networks):
        assert (float(model.terms(*model.draw(6))["L_anchor"]) == 0.0) == whole
    assert not {id(v) for v in model.start.variables} & {id(v) for v in model.state().values()}


def test_tuning_raises_the_estimated_pir_and_the_anchor_holds_it_back():
    ends = {}
    for weight in (0.0, 3.0, 3000.0):
        model = tuner(10.0, weight)
        latents = model.draw(64)
        before = float(model.terms(*latents)["L_PIR"])
        fit(model, 1, steps=25)
        after = model.terms(*latents)
        ends[weight] = (float(after["L_PIR"]) - before, float(after["L_anchor"]))
    assert ends[0.0][0] > 0.1
    assert ends[0.0][0] > ends[3.0][0] > ends[3000.0][0]
    assert ends[0.0][1] > ends[3.0][1] > ends[3000.0][1]
    assert ends[3000.0][1] < 0.01


# What changes and what does not


def test_only_the_generators_trainable_weights_change(eager):
    model = tuner()
    start = model._start.func.__self__
    judge = model._estimate.func.__self__
    fixed = [*start.weights, *judge.weights, *model.generator.non_trainable_variables]
    before = [np.asarray(v).copy() for v in fixed]
    moving = [np.asarray(v).copy() for v in model.generator.trainable_variables]
    fit(model, 3)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, fixed, strict=True))
    assert all(not np.array_equal(a, b) for a, b in zip(moving, model.generator.trainable_variables, strict=True))
    foreign = {id(v) for v in [*start.variables, *judge.variables]}
    assert not foreign & {id(v) for v in [*model.variables, *model.state().values()]}


@pytest.mark.slow
def test_a_resumed_run_repeats_an_unbroken_one(tmp_path, eager):
    whole, first, second = tuner(), tuner(), tuner()
    fit(whole, 2)
    fit(first, 1)
    checkpoints.save_step(tmp_path, 1, first.state())
    assert checkpoints.restore_latest(tmp_path, second.state()) == 1
    fit(second, 1)
    assert int(second.step.numpy()) == 2
    assert_same(arrays(whole.state()), arrays(second.state()))


def test_weights_of_one_name_are_kept_apart():
    """A stranger's model may hold two parts whose layers have one name."""
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    parts = [layers.Dense(8 * 8 * 3, name="dense") for _ in range(2)]
    for part in parts:
        part.build((None, 5))  # outside of any model that would give it a name
    whole = [
        keras.Sequential([keras.Input((5,)), part], name=name) for part, name in zip(parts, ("a", "b"), strict=True)
    ]
    twins = keras.Model([z, class_one_hot], layers.Reshape((8, 8, 3))(layers.Add()([one(z) for one in whole])))
    assert len({v.path for v in twins.weights}) < len(twins.weights)
    model = AnchoredTuner(twins, least_estimator(), seed=0, pir_weight=1.0, anchor_weight=1.0)
    model.compile(optimizers(1e-3, 1e-3)[0])
    # Each with two moments, beside the optimizer's counter and rate and the step.
    assert len(model.state()) == 4 + (2 + 2 * 4) + 1


# What the callbacks see


def test_gradient_norms_worked_by_hand():
    model = tuner(10.0, 100.0)
    model.generator.get_layer("dense").bias.assign_add(np.full(192, 0.1, np.float32))
    z, labels = model.draw(4)

    def norm(weight, term):
        with tf.GradientTape() as tape:
            value = weight * model.terms(z, labels)[term]
        gradients = tape.gradient(value, model.generator.trainable_variables)
        return np.sqrt(sum(np.sum(np.square(gradient)) for gradient in gradients))

    norms = model.gradient_norms(4)
    assert float(norms["gradient_pir"]) == pytest.approx(norm(10.0, "L_PIR"), rel=1e-4)
    assert float(norms["gradient_anchor"]) == pytest.approx(norm(100.0, "L_anchor"), rel=1e-4)


def test_the_log_has_its_columns(eager):
    model = tuner()
    history = fit(model, 2, [LogGradientNorms(1, batch_size=4)])
    assert set(history) == set(model.columns(*model.gradient_columns))
    assert history["gradient_anchor"][0] > 0
    by_hand = [100 * a - 10 * p for p, a in zip(history["L_PIR"], history["L_anchor"], strict=True)]
    np.testing.assert_allclose(history["generator_loss"], by_hand, rtol=1e-5)
