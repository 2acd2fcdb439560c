"""The ACGAN in `fit`: every way of calling it, callbacks that move learning rates, and resuming."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import arrays, assert_same

from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.train import optimizers

GIVEN = [np.zeros((3, 5), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0]]]


@pytest.fixture
def fit(real):
    """A function that fits an ACGAN for so many steps of 4 images, of an endless stream from a step on."""

    def run(acgan, steps, *, first=0, **options):
        dataset = tf.data.Dataset.from_tensor_slices(real).batch(4).repeat().skip(first)
        return acgan.fit(dataset, steps_per_epoch=steps, verbose=0, shuffle=False, **options).history

    return run


def assert_both_trained(acgan, steps):
    assert int(acgan.step) == steps
    assert int(acgan.generator_optimizer.iterations) == int(acgan.discriminator_optimizer.iterations) == steps


@pytest.mark.slow
def test_compiled_and_eager_fits_agree_and_validation_changes_nothing(make_acgan, fit, real):
    compiled, eager, alone = make_acgan(), make_acgan(run_eagerly=True), make_acgan(run_eagerly=True)
    validated = {"validation_data": (real[0][:4], real[1][:4])}
    logs = [fit(acgan, 1, epochs=2, **more) for acgan, more in ((eager, validated), (compiled, {}), (alone, {}))]
    assert_both_trained(compiled, 2)
    assert_same(arrays(eager.state()), arrays(alone.state()))
    for name, value in arrays(eager.state()).items():
        np.testing.assert_allclose(arrays(compiled.state())[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    assert len(logs[0]["generator_loss"]) == 2 and np.isfinite(logs[0]["generator_loss"]).all()
    assert {name for name in logs[0] if name.startswith("val_")} == {
        *("val_L_fake_image", "val_L_real_image", "val_L_real_class", "val_L_fake_image_fools", "val_L_fake_class")
    }


@pytest.mark.slow
def test_a_second_fit_with_new_rates_goes_on(make_acgan, fit):
    acgan = make_acgan(run_eagerly=True)
    fit(acgan, 2)
    acgan.compile(*optimizers(1e-9, 1e-9), run_eagerly=True)
    before = arrays(acgan.generator)
    fit(acgan, 2)
    assert int(acgan.step) == 4 and int(acgan.generator_optimizer.iterations) == 2
    assert 0 < max(np.abs(value - before[name]).max() for name, value in arrays(acgan.generator).items()) < 1e-7


@pytest.mark.parametrize("first", ["call", "evaluate", "predict"])
def test_fits_after_another_use(make_acgan, fit, real, first):
    acgan = make_acgan(run_eagerly=True)
    if first == "evaluate":
        acgan.evaluate(real[0][:4], real[1][:4], verbose=0)
    else:
        images = {"call": acgan, "predict": acgan.predict}[first](GIVEN)
        np.testing.assert_allclose(images, acgan.generator(GIVEN), atol=1e-6)
    fit(acgan, 1)
    assert_both_trained(acgan, 1)


@pytest.mark.slow
def test_the_logs_start_afresh_each_epoch(make_acgan, fit):
    acgan = make_acgan(run_eagerly=True, rates=(0.0, 0.0), dropout=0.0)
    seen = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["L_real_image"]))
    logs = fit(acgan, 2, epochs=2, callbacks=[record])["L_real_image"]
    # A batch's logs are the mean so far.
    np.testing.assert_allclose(logs, [seen[1], seen[3]], rtol=1e-6)
    np.testing.assert_allclose(seen[0], seen[2], rtol=0.2)


@pytest.mark.parametrize("seeded", [True, False])
def test_trains_at_a_dropout_rate_of_0_and_without_a_seed(make_acgan, fit, seeded):
    acgan = make_acgan(dropout=0.0, run_eagerly=True)
    if not seeded:  # other people's layers have no seed
        image = keras.Input((8, 8, 3))
        own = keras.Model(image, acgan.discriminator(keras.layers.Dropout(0.5)(image)))
        acgan = ACGAN(acgan.generator, own, seed=7)
        acgan.compile(*optimizers(1e-3, 1e-3), run_eagerly=True)
    fit(acgan, 1)
    assert_both_trained(acgan, 1)


def test_a_keras_callback_moves_both_rates(make_acgan, fit):
    acgan = make_acgan(run_eagerly=True, rates=(1e-3, 2e-3))
    # No improvement is large enough, so every epoch after the first halves the rate.
    halve = keras.callbacks.ReduceLROnPlateau("generator_loss", mode="min", factor=0.5, patience=1, min_delta=1e9)
    fit(acgan, 1, epochs=2, callbacks=[halve])
    rates = [float(one.learning_rate) for one in (acgan.generator_optimizer, acgan.discriminator_optimizer)]
    assert rates == pytest.approx([5e-4, 1e-3])


@pytest.mark.slow
def test_a_resumed_run_equals_an_unbroken_one_with_other_noise_than_dropout(make_acgan, fit):
    """As in other people's discriminators: nothing sets these layers' random states but the checkpoint."""

    def make():
        acgan = make_acgan()
        image = keras.Input((8, 8, 3))
        x = keras.Sequential([keras.layers.SpatialDropout2D(0.5, seed=4)])(
            keras.layers.GaussianNoise(0.5, seed=3)(image)
        )
        noisy = ACGAN(acgan.generator, keras.Model(image, acgan.discriminator(x)), seed=7)
        noisy.compile(*optimizers(1e-3, 1e-3), run_eagerly=True)
        return noisy

    straight, broken, resumed = make(), make(), make()
    fit(straight, 2)
    fit(broken, 1)
    for name, value in arrays(broken.state()).items():
        resumed.state()[name].assign(value)
    fit(resumed, 1, first=1)
    state = straight.state()
    assert sum(name.startswith("discriminator_random/") for name in state) == 3
    assert_same(arrays(state), arrays(resumed.state()))
    # Every variable that training changes is in it, once.
    everything = [*straight.generator.variables, *straight.discriminator.variables, straight.step]
    everything += [variable for optimizer in straight.optimizer.optimizers for variable in optimizer.variables]
    assert {id(variable) for variable in state.values()} == {id(variable) for variable in everything}
    assert len(state) == len(everything)
