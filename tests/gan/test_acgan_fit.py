"""The ACGAN in `fit`: every way of calling it, callbacks that move learning rates, resuming, and equal seeds."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import pir_tf
from pir_tf.gan.acgan import ACGAN, OptimizerPair
from pir_tf.gan.train import optimizers
from pir_tf.training import checkpoints

REPOSITORY = Path(pir_tf.__file__).parents[1]


@pytest.fixture
def stream(real):
    """A function that makes an endless stream of batches of 4 from a step on."""

    def make(first=0):
        images = np.concatenate([real[0]] * 4)
        labels = np.concatenate([real[1]] * 4)
        dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(4).repeat()
        return dataset.skip(first)

    return make


def fit(acgan, data, steps, **options):
    return acgan.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False, **options)


def assert_equal(a, b):
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def assert_both_trained(acgan, steps):
    assert int(acgan.step) == steps
    assert int(acgan.generator_optimizer.iterations) == int(acgan.discriminator_optimizer.iterations) == steps


@pytest.mark.parametrize("eagerly", [False, True])
def test_fits(make_acgan, stream, eagerly):
    acgan = make_acgan(run_eagerly=eagerly)
    logs = fit(acgan, stream(), 2, epochs=2).history
    assert_both_trained(acgan, 4)
    assert len(logs["generator_loss"]) == 2 and np.isfinite(logs["generator_loss"]).all()


def test_compiled_and_eager_steps_agree(make_acgan, stream, values):
    states = []
    for eagerly in (False, True):
        acgan = make_acgan(run_eagerly=eagerly)
        fit(acgan, stream(), 2)
        states.append(values(acgan.state()))
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_fits_with_validation_data_which_changes_nothing(make_acgan, stream, real, values):
    alone, validated = make_acgan(), make_acgan()
    fit(alone, stream(), 2, epochs=2)
    logs = fit(validated, stream(), 2, epochs=2, validation_data=(real[0][:4], real[1][:4])).history
    assert_equal(values(alone.state()), values(validated.state()))
    assert {name for name in logs if name.startswith("val_")} == {
        *("val_L_fake_image", "val_L_real_image", "val_L_real_class", "val_L_fake_image_fools", "val_L_fake_class")
    }


def test_a_second_fit_with_new_rates_goes_on(make_acgan, stream):
    acgan = make_acgan(run_eagerly=True)
    fit(acgan, stream(), 2)
    acgan.compile(*optimizers(1e-9, 1e-9, 0.5), run_eagerly=True)
    before = [np.asarray(v).copy() for v in acgan.generator.trainable_variables]
    fit(acgan, stream(), 2)
    assert int(acgan.step) == 4 and int(acgan.generator_optimizer.iterations) == 2
    moved = [np.abs(np.asarray(v) - b).max() for v, b in zip(acgan.generator.trainable_variables, before, strict=True)]
    assert 0 < max(moved) < 1e-7


def test_calling_it_makes_images(make_acgan):
    acgan = make_acgan()
    given = [np.zeros((3, 5), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0]]]
    np.testing.assert_allclose(acgan(given), acgan.generator(given), atol=1e-6)
    assert acgan.predict(given, verbose=0).shape == (3, 8, 8, 3)


@pytest.mark.parametrize("first", ["call", "evaluate", "predict"])
def test_fits_after_another_use(make_acgan, stream, real, first):
    acgan = make_acgan(run_eagerly=True)
    given = [np.zeros((3, 5), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0]]]
    if first == "evaluate":
        acgan.evaluate(real[0][:4], real[1][:4], verbose=0)
    else:
        {"call": acgan, "predict": acgan.predict}[first](given)
    fit(acgan, stream(), 1)
    assert_both_trained(acgan, 1)


def test_the_logs_start_afresh_each_epoch(make_acgan, stream):
    acgan = make_acgan(run_eagerly=True, rates=(0.0, 0.0), dropout=0.0)
    seen = []
    record = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["L_real_image"]))
    logs = fit(acgan, stream(), 2, epochs=2, callbacks=[record]).history["L_real_image"]
    # A batch's logs are the mean so far.
    np.testing.assert_allclose(logs, [seen[1], seen[3]], rtol=1e-6)
    np.testing.assert_allclose(seen[0], seen[2], rtol=0.2)


# Learning rates


def test_a_scheduler_moves_both_optimizers(make_acgan, stream):
    acgan = make_acgan(run_eagerly=True, rates=(1e-3, 1e-3))
    fit(acgan, stream(), 1, callbacks=[keras.callbacks.LearningRateScheduler(lambda epoch: 1e-6)])
    assert float(acgan.generator_optimizer.learning_rate) == pytest.approx(1e-6)
    assert float(acgan.discriminator_optimizer.learning_rate) == pytest.approx(1e-6)


def test_reduce_on_plateau_moves_both_optimizers(make_acgan, stream):
    acgan = make_acgan(run_eagerly=True, rates=(1e-3, 2e-3))
    # No improvement is large enough, so every epoch after the first halves the rate.
    plateau = keras.callbacks.ReduceLROnPlateau("generator_loss", mode="min", factor=0.5, patience=1, min_delta=1e9)
    fit(acgan, stream(), 1, epochs=2, callbacks=[plateau])
    assert float(acgan.generator_optimizer.learning_rate) == pytest.approx(5e-4)
    assert float(acgan.discriminator_optimizer.learning_rate) == pytest.approx(1e-3)


def test_no_optimizer_is_made_that_nobody_uses(make_acgan, stream, monkeypatch):
    made = []
    original = keras.optimizers.Optimizer.__init__
    monkeypatch.setattr(
        keras.optimizers.Optimizer, "__init__", lambda self, *a, **k: (made.append(self), original(self, *a, **k))[1]
    )
    acgan = make_acgan(run_eagerly=True)
    fit(acgan, stream(), 1)
    assert {id(optimizer) for optimizer in made} == {
        id(acgan.generator_optimizer),
        id(acgan.discriminator_optimizer),
    }
    assert isinstance(acgan.optimizer, OptimizerPair)


def test_both_optimizers_are_built_before_the_first_step_over_their_own_network(make_acgan):
    acgan = make_acgan()
    # Adam: counter, rate and two moments a variable; RMSProp: counter, rate and one.
    assert len(acgan.generator_optimizer.variables) == 2 + 2 * 4
    assert len(acgan.discriminator_optimizer.variables) == 2 + 8


# Resuming and seeds


def test_a_resumed_run_equals_an_unbroken_one_bit_for_bit(make_acgan, stream, values, tmp_path):
    straight = make_acgan()
    fit(straight, stream(), 6)
    broken = make_acgan()
    fit(broken, stream(), 3)
    checkpoints.save(tmp_path / "three.npz", broken.state())
    # The new process has made other layers before, has other first weights, and its global generator is elsewhere.
    keras.layers.Dropout(0.5)
    keras.utils.set_random_seed(123)
    resumed = make_acgan(weights_seed=50)
    # Masks belong to the layer's seed, which the experiment's seed fixes.
    resumed.discriminator.get_layer("dropout_1").seed = 11
    checkpoints.restore(tmp_path / "three.npz", resumed.state())
    fit(resumed, stream(first=3), 3)
    assert_equal(values(straight.state()), values(resumed.state()))
    assert_both_trained(resumed, 6)


def test_the_state_holds_every_variable_that_training_changes(make_acgan, stream):
    acgan = make_acgan()
    named = {id(v) for v in acgan.state().values()}
    assert len(named) == len(acgan.state())
    everything = [*acgan.generator.variables, *acgan.discriminator.variables, acgan.step]
    everything += [*acgan.generator_optimizer.variables, *acgan.discriminator_optimizer.variables]
    assert not [v.path for v in everything if id(v) not in named]


def test_a_resumed_run_equals_an_unbroken_one_with_other_noise_than_dropout(make_acgan, stream, values):
    """As in other people's discriminators: nothing sets these layers' random states but the checkpoint."""

    def make():
        acgan = make_acgan()
        image = keras.Input((8, 8, 3))
        x = keras.Sequential([keras.layers.SpatialDropout2D(0.5, seed=4)])(
            keras.layers.GaussianNoise(0.5, seed=3)(image)
        )
        noisy = ACGAN(acgan.generator, keras.Model(image, acgan.discriminator(x)), seed=7)
        noisy.compile(*optimizers(1e-3, 1e-3, 0.5), run_eagerly=True)
        return noisy

    straight, broken, resumed = make(), make(), make()
    fit(straight, stream(), 4)
    fit(broken, stream(), 2)
    for name, value in values(broken.state()).items():
        resumed.state()[name].assign(value)
    fit(resumed, stream(first=2), 2)
    assert sum(name.startswith("random/") for name in straight.state()) == 3
    assert_equal(values(straight.state()), values(resumed.state()))


def test_names_in_the_state_do_not_depend_on_what_was_made_before(make_acgan):
    before = list(make_acgan().state())
    for _ in range(3):
        keras.layers.Dropout(0.5)
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(2), keras.layers.BatchNormalization()])
    assert list(make_acgan().state()) == before


def test_one_seed_gives_one_result_and_another_seed_another(make_acgan, stream, values):
    results = []
    for seed in (7, 7, 8):
        acgan = make_acgan(run_eagerly=True, seed=seed)
        fit(acgan, stream(), 3)
        results.append(values(acgan.state()))
        # An unrelated model in between must change nothing.
        unrelated = keras.Sequential([keras.Input((4,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
        unrelated.compile("adam", "mse")
        unrelated.fit(np.ones((8, 4)), np.ones((8, 1)), verbose=0)
    assert_equal(results[0], results[1])
    assert not np.array_equal(results[0]["generator/dense/kernel"], results[2]["generator/dense/kernel"])


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_trains_at_any_dropout_rate(make_acgan, stream, rate):
    acgan = make_acgan(dropout=rate, run_eagerly=True)
    fit(acgan, stream(), 1)
    assert_both_trained(acgan, 1)


PROCESS = """
import hashlib, numpy as np, tensorflow as tf
from pir_tf.config import GanConfig
from pir_tf.training.devices import configure, ComputeConfig
from pir_tf.data.sources import ImageSet, batches
from pir_tf.gan.train import build_acgan, optimizers
configure(ComputeConfig(), seed=0)
rng = np.random.default_rng(0)
images = ImageSet(rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8), np.arange(8) % 2, ("a", "b"))
acgan = build_acgan(GanConfig(), class_count=2, seed=0)
acgan.compile(*optimizers(1e-4, 1e-4, 0.5))
acgan.fit(batches(images, batch_size=2, seed=0), steps_per_epoch=3, verbose=0, shuffle=False)
total = hashlib.sha256()
for name, variable in acgan.state().items():
    total.update(name.encode() + np.asarray(variable).tobytes())
print(total.hexdigest())
"""


@pytest.mark.slow
def test_two_processes_with_one_seed_give_equal_bits():
    hashes = [
        subprocess.run(
            [sys.executable, "-c", PROCESS], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=300
        ).stdout.split()[-1]
        for _ in range(2)
    ]
    assert len(hashes[0]) == 64 and hashes[0] == hashes[1]
