"""The tuner: L_PIR beside the ACGAN's terms, an estimator that never changes, and callbacks that only look on."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import (
    arrays,
    assert_same,
    images_of,
    least_generator,
    small_discriminator,
    small_estimator,
    small_generator,
)

from pir_tf.config import changed
from pir_tf.experiments.tuning_stage import acgan_settings, compile_tuner, gan_tuner
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import optimizers
from pir_tf.presets import paper
from pir_tf.training.callbacks import Measure
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.tuner import LogGradientNorms, Tuner


def tuner(pir_weight=1000.0, *, judge=None, eagerly=True, rates=(1e-3, 1e-3), seed=7, **settings):
    networks = small_generator(), small_discriminator(), judge or small_estimator()
    made = Tuner(*networks, pir_weight=pir_weight, seed=seed, **settings)
    made.compile(*optimizers(*rates), run_eagerly=eagerly)
    return made


def anchored(pir_weight, judge):
    """The tuner whose steps take the least, for what all have in common."""
    made = AnchoredTuner(least_generator(), judge, seed=7, pir_weight=pir_weight, anchor_weight=1.0)
    made.compile(optimizers(1e-3, 1e-3)[0], run_eagerly=True)
    return made


pytestmark = pytest.mark.usefixtures("eager")


@pytest.fixture(scope="module")
def real():
    return images_of(16)


@pytest.fixture
def fit(real):
    """A function that trains for so many epochs of one step with 4 images."""

    def run(model, epochs, callbacks=()):
        dataset = tf.data.Dataset.from_tensor_slices(real).batch(4).repeat()
        options = {"steps_per_epoch": 1, "epochs": epochs, "verbose": 0, "shuffle": False}
        return model.fit(dataset, callbacks=list(callbacks), **options)

    return run


# The loss


def test_tuning_has_the_papers_weights_and_rates():
    """2.4: the weights of the ACGAN's terms stay as they were, w_PIR is 1000, and both learning rates are 1e-6 (D19)."""
    config = changed(paper(), compute={"kernels": "stock"})
    networks = Networks(small_generator(), small_discriminator(), ("a", "b"))
    made = gan_tuner(config, networks, small_estimator(), seed=0)
    compile_tuner(config, made, jit_compile=False)
    weights = made.fools_weight, made.fake_class_weight, made.real_class_weight, float(made.pir_weight)
    assert weights == (1.0, 1.5, 1.0, 1000.0)
    assert isinstance(made.generator_optimizer, keras.optimizers.Adam) and made.generator_optimizer.beta_1 == 0.5
    assert isinstance(made.discriminator_optimizer, keras.optimizers.RMSprop)
    for optimizer in (made.generator_optimizer, made.discriminator_optimizer):
        assert float(optimizer.learning_rate) == pytest.approx(1e-6)
    control = ACGAN(small_generator(), small_discriminator(), seed=0, **acgan_settings(config))
    assert (control.fools_weight, control.fake_class_weight, control.real_class_weight) == weights[:3]


@pytest.mark.parametrize("eagerly", [True, pytest.param(False, marks=pytest.mark.nightly)])
def test_with_a_weight_of_0_a_step_is_an_acgan_step_bit_for_bit(fit, eagerly):
    tf.config.run_functions_eagerly(eagerly)
    plain = ACGAN(small_generator(), small_discriminator(), seed=7)
    plain.compile(*optimizers(1e-3, 1e-3), run_eagerly=eagerly)
    tuned = tuner(0.0, eagerly=eagerly)
    fit(plain, 2)
    fit(tuned, 2)
    assert_same(arrays(plain.state()), arrays(tuned.state()))


def test_with_a_weight_it_is_another_step(fit):
    without, with_pir = tuner(0.0), tuner(1000.0)
    fit(without, 1)
    fit(with_pir, 1)
    a, b = arrays(without.state()), arrays(with_pir.state())
    assert not np.array_equal(a["generator/000"], b["generator/000"])
    # The estimator is no business of the discriminator: its first update is the same.
    assert all(np.array_equal(a[name], b[name]) for name in a if name.startswith("discriminator"))


def test_the_objective_worked_by_hand():
    terms = {"L_fake_image_fools": -2.0, "L_fake_class": -0.5, "L_PIR": 0.25}
    assert tuner(1000.0).generator_objective(terms) == -2.0 + 1.5 * -0.5 + 1000 * 0.25
    assert tuner(1000.0, fools_weight=0.0).generator_objective(terms) == 1.5 * -0.5 + 1000 * 0.25
    assert tuner(2.0, fake_class_weight=4.0).generator_objective(terms) == -2.0 + 4 * -0.5 + 2 * 0.25


def test_the_term_is_the_mean_estimated_pir_of_the_batch():
    judge = small_estimator()
    model = tuner(judge=judge)
    z, labels = model.draw(6)
    images = model.generator([z, tf.one_hot(labels, 2)])
    terms = model.generator_terms(images, labels)
    by_hand = np.asarray(judge(images, training=False))[:, 0]
    assert float(terms["L_PIR"]) == pytest.approx(by_hand.mean(), rel=1e-6)
    assert set(terms) == {"L_fake_image_fools", "L_fake_class", "L_PIR"}
    flat = keras.Model(judge.inputs[0], layers.Flatten()(judge.output)[:, 0])  # an estimator without a last axis
    for one in (model, tuner(judge=flat)):
        np.testing.assert_allclose(one.estimated_pir(images), by_hand, rtol=1e-6)


def test_tuning_raises_the_estimated_pir(fit):
    model = tuner(1000.0, rates=(6e-2, 1e-4))
    latents = model.draw(64)
    given = [latents[0], tf.one_hot(latents[1], 2)]
    before = float(tf.reduce_mean(model.estimated_pir(model(given))))
    fit(model, 3)
    assert float(tf.reduce_mean(model.estimated_pir(model(given)))) > before + 0.01


# The frozen estimator


def test_the_estimator_does_not_change_by_a_bit(fit, real):
    judge = small_estimator()
    variables = arrays(judge)
    outputs = np.asarray(judge(real[0][:8], training=False))
    assert len(variables) == 9 + 1  # ten with the dropout's seed state
    model = tuner(judge=judge)
    judge.trainable = True  # as another training of the same estimator would set it
    fit(model, 2)
    assert_same(variables, arrays(judge))
    np.testing.assert_array_equal(outputs, np.asarray(judge(real[0][:8], training=False)))


def test_the_estimator_is_in_no_optimizer_and_no_checkpoint():
    judge = small_estimator()
    model = tuner(judge=judge)
    foreign = {id(v) for v in judge.variables}
    assert not foreign & {id(v) for v in [*model.variables, *model.state().values(), *model.trainable_variables]}
    assert judge not in list(model._flatten_layers())
    assert len(model.generator_optimizer.variables) == 2 + 2 * 4
    assert len(model.discriminator_optimizer.variables) == 2 + 8
    assert not judge.trainable_variables


# What the callbacks see


def judged(model, images):
    variables = model.discriminator.trainable_variables, model.discriminator.non_trainable_variables
    return model.discriminator.stateless_call(*variables, images, training=True)[0]


def norm(model, term):
    """The norm of the gradient of a term of the images that the generator makes of this step's latents."""
    z, labels = model.draw(4)
    with tf.GradientTape() as tape:
        images = model.generator([z, tf.one_hot(labels, 2)])
        model._seed_dropout()
        value = term(images, labels)
    gradients = tape.gradient(value, model.generator.trainable_variables)
    return np.sqrt(sum(float(np.sum(np.square(np.asarray(g, np.float64)))) for g in gradients))


@pytest.mark.parametrize("loss", ["non_saturating", "saturating"])
def test_gradient_norms_worked_by_hand(loss):
    """With the saturating loss the column of the source's term holds that loss's pull."""
    model = tuner(1000.0, fools_weight=2.0, loss=loss)

    def source(images, labels):
        u = judged(model, images)[0]
        return 2 * tf.reduce_mean(
            -tf.math.log(1 - tf.sigmoid(2 * u)) if loss == "saturating" else tf.math.log_sigmoid(2 * u)
        )

    def fake_class(images, labels):
        return 1.5 * tf.reduce_mean(tf.gather(tf.nn.log_softmax(judged(model, images)[1]), labels, batch_dims=1))

    by_hand = {
        "gradient_fools": norm(model, source),
        "gradient_fake_class": norm(model, fake_class),
        "gradient_pir": norm(model, lambda images, labels: 1000 * tf.reduce_mean(model.estimated_pir(images))),
    }
    norms = model.gradient_norms(4)
    assert tuple(norms) == Tuner.gradient_columns == tuple(by_hand)
    assert all(float(norms[name]) == pytest.approx(value, rel=1e-4) and value > 0 for name, value in by_hand.items())


@pytest.mark.parametrize(
    "pir_weight, judge, warned",
    [
        # Logits of this size at temperature 0.01: one bin holds all of the mass, to the last bit.
        (1000.0, {"temperature": 0.01, "scale": 1e4}, [0, 1, 1]),
        (1000.0, {"temperature": 1.0}, [0, 0]),
        (0.0, {"temperature": 0.01}, [0, 0]),
    ],
)
def test_a_gradient_of_zero_is_warned_of_once_after_its_patience(fit, pir_weight, judge, warned):
    model, counts = anchored(pir_weight, small_estimator(**judge)), []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        said = lambda: [str(w.message) for w in caught if "gradient of the PIR" in str(w.message)]  # noqa: E731
        count = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: counts.append(len(said())))
        logs = fit(model, len(warned), [LogGradientNorms(1, batch_size=4, patience=2), count]).history
    assert counts == warned
    if said():
        assert "exactly 0 in 2 measures in a row" in said()[0] and "--estimator.temperature" in said()[0]
        assert logs["gradient_pir"] == [0.0] * 3
        assert np.isfinite(logs["L_PIR"]).all() and np.isfinite(logs["generator_loss"]).all()


@pytest.mark.slow
def test_looking_on_changes_nothing(fit):
    watched, alone = tuner(), tuner()
    latents = draw_latents(8, latent_size=5, class_count=2, seed=1)

    def true_pir(model):
        keras.utils.set_random_seed(99)
        keras.random.normal((3,))
        return {"true_pir": float(generate(model.generator, *latents).mean()) / 255}

    logs = fit(watched, 2, [Measure(1, true_pir), LogGradientNorms(1, batch_size=4)]).history
    fit(alone, 2)
    assert_same(arrays(watched.state()), arrays(alone.state()))
    assert all(0 < value < 1 for value in logs["true_pir"])
    assert all(len(logs[name]) == 2 for name in ("true_pir", *Tuner.gradient_columns))
