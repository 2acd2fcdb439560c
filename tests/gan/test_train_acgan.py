"""Pretraining from start to end: files, a kill and a resume, the best weights."""

import csv
import dataclasses
import os
import shutil
import types

import keras
import numpy as np
import pytest
from eager import eagerly
from keras import layers
from PIL import Image
from small_networks import KillAfter, arrays, assert_same, init

from pir_tf.config import GanConfig
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.gan import networks, train
from pir_tf.gan.acgan import LOSSES, TERMS
from pir_tf.gan.train import build_acgan, train_acgan

pytestmark = pytest.mark.slow

# Five rows of one step, and a measure after 2 and 4.
CONFIG = GanConfig(
    steps=5,
    batch_size=2,
    log_every=1,
    sample_every=2,
    checkpoint_every=1,
    generator_learning_rate=1e-2,
    discriminator_learning_rate=1e-3,
    decay_steps=2,
    tensorboard=False,
)


def coarse_generator(class_count, *, latent_size, seed):
    """8x8 colours of one layer, as 64x64 images."""
    z, class_one_hot = keras.Input((latent_size,), name="z"), keras.Input((class_count,), name="class_one_hot")
    x = layers.Dense(8 * 8 * 3, activation="tanh", kernel_initializer=init(seed))(
        layers.Concatenate()([z, class_one_hot])
    )
    return keras.Model([z, class_one_hot], layers.UpSampling2D(8)(layers.Reshape((8, 8, 3))(x)))


def coarse_discriminator(class_count, *, dropout, seed):
    """With a state of its own, and masks."""
    image = keras.Input((64, 64, 3))
    x = layers.BatchNormalization()(layers.Flatten()(layers.AveragePooling2D(8)(image)))
    x = layers.Dropout(dropout, seed=seed, name="dropout_1")(x)
    return keras.Model(image, [layers.Dense(units, kernel_initializer=init(seed))(x) for units in (1, class_count)])


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Few layers, few images to measure, and steps that aren't traced: that would take longer than five of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "build_generator", coarse_generator)
        patch.setattr(train, "build_discriminator", coarse_discriminator)
        patch.setattr(train, "DISTANCE_IMAGES", 4)
        with eagerly():
            yield


@pytest.fixture(scope="module")
def image_set():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (8, 64, 64, 3), dtype=np.uint8)
    return ImageSet(images, (np.arange(8) % 2).astype(np.int32), ("coast", "mountain"))


@pytest.fixture(scope="module")
def runs(image_set, tmp_path_factory):
    """An unbroken run and a killed and resumed one: directory, networks and epochs of each."""
    made = {}
    for name, kill in (("unbroken", None), ("resumed", 4)):
        directory = tmp_path_factory.mktemp(name) / "gan"
        config = dataclasses.replace(CONFIG, checkpoint_every=1 if kill is None else 3)
        if kill:
            acgan = build_acgan(config, class_count=2, seed=5)
            with pytest.raises(KeyboardInterrupt):
                train_acgan(acgan, image_set, config, directory, seed=5, callbacks=[KillAfter(kill)])
        before = (directory / "history.csv").read_text() if kill else ""
        epochs = []
        count = keras.callbacks.LambdaCallback(on_epoch_begin=lambda epoch, logs, into=epochs: into.append(epoch))
        keras.layers.Dropout(0.5)  # Keras's counters of names differ in the process that resumes
        acgan = build_acgan(config, class_count=2, seed=5)
        train_acgan(acgan, image_set, config, directory, seed=5, callbacks=[count])
        made[name] = types.SimpleNamespace(directory=directory, acgan=acgan, epochs=epochs, before=before)
    return types.SimpleNamespace(**made)


def rows(directory):
    with open(directory / "history.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def test_a_run_leaves_a_log_two_checkpoints_and_grids_of_samples(runs):
    directory = runs.unbroken.directory
    table = rows(directory)
    assert [row["step"] for row in table] == ["1", "2", "3", "4", "5"]
    assert list(table[0]) == ["step", *TERMS, *LOSSES, "swd"]
    assert [bool(row["swd"]) for row in table] == [False, True, False, True, True]  # at the end, too
    assert all(np.isfinite(float(value)) for row in table for name, value in row.items() if name != "swd")
    assert sorted(os.listdir(directory / "checkpoints")) == ["step-000000004.npz", "step-000000005.npz"]
    assert sorted(os.listdir(directory / "samples")) == [f"step-00000000{step}.png" for step in (2, 4, 5)]
    with Image.open(directory / "samples" / "step-000000002.png") as picture:
        assert picture.mode == "RGB" and picture.width >= 4 * 64 and picture.height >= 64


def test_a_killed_and_resumed_run_equals_an_unbroken_one(runs):
    # Killed after row 4; the newest checkpoint was that of step 3.
    assert [line.split(",")[0] for line in runs.resumed.before.splitlines()] == ["step", "1", "2", "3", "4"]
    assert runs.unbroken.epochs == [0, 1, 2, 3, 4] and runs.resumed.epochs == [3, 4]
    assert rows(runs.resumed.directory) == rows(runs.unbroken.directory)
    assert_same(arrays(runs.unbroken.acgan.state()), arrays(runs.resumed.acgan.state()))
    directories = runs.unbroken.directory, runs.resumed.directory
    assert_same(*(dict(np.load(directory / "best.npz")) for directory in directories))
    ours, theirs = ((directory / "samples" / "step-000000004.png").read_bytes() for directory in directories)
    assert ours == theirs


def test_a_finished_run_is_left_as_it_is_and_ends_with_the_best_weights(runs, image_set):
    run = runs.unbroken
    before = (run.directory / "history.csv").read_bytes()
    config = dataclasses.replace(CONFIG, keep="best")
    again = build_acgan(config, class_count=2, seed=5)
    train_acgan(again, image_set, config, run.directory, seed=5)
    assert (run.directory / "history.csv").read_bytes() == before
    distances = {int(row["step"]): float(row["swd"]) for row in rows(run.directory) if row["swd"]}
    best = min(distances, key=distances.get)
    assert best == 2  # not the last
    with np.load(run.directory / "best.npz") as stored:
        assert int(stored["step"]) == best and float(stored["swd"]) == pytest.approx(distances[best], rel=1e-6)
        wanted = {name: stored[name] for name in stored.files if name.startswith(("generator/", "discriminator/"))}
    weights = {name: value for name, value in arrays(again.state()).items() if name in wanted}
    assert len(weights) == 2 + 8
    assert_same(weights, wanted)
    assert not np.array_equal(weights["generator/000"], arrays(run.acgan.state())["generator/000"])


@pytest.mark.parametrize(
    ("changed", "seed", "turn", "sentence"),
    [
        ({"generator_learning_rate": 2e-3}, 5, 1, r"gan.generator_learning_rate \(0.01 there, 0.002 now\)"),
        ({"steps": 6}, 5, 1, r"gan.steps \(5 there, 6 now\)"),  # the rates' fall begins later
        ({}, 4, 1, r"differs in seed \(5 there, 4 now\)"),
        ({}, 5, -1, "differs in images"),
        ({"batch_size": 9}, 5, 1, "8 images, expected at least one batch of 9"),
    ],
)
def test_another_config_seed_or_other_images_are_refused(runs, image_set, changed, seed, turn, sentence):
    acgan, directory = runs.unbroken.acgan, runs.unbroken.directory
    config = dataclasses.replace(CONFIG, **changed)
    given = ImageSet(image_set.images[::turn], image_set.labels, image_set.class_names)
    before = (directory / "history.csv").read_bytes()
    with pytest.raises(InputError, match=sentence):
        train_acgan(acgan, given, config, directory, seed=seed)
    assert (directory / "history.csv").read_bytes() == before


@pytest.mark.parametrize(("step", "share"), [(0, 1), (60, 1), (80, 0.5), (99, 0.025), (100, 0)])
def test_both_rates_fall_linearly_in_the_last_steps(step, share):
    rates = {"generator_learning_rate": 2.0, "discriminator_learning_rate": 4.0}
    g, d = keras.optimizers.SGD(9.0), keras.optimizers.SGD(9.0)
    decay = train._DecayLearningRates(dataclasses.replace(CONFIG, steps=100, decay_steps=40, **rates))
    step = keras.Variable(step, dtype="int64")
    decay.set_model(types.SimpleNamespace(step=step, generator_optimizer=g, discriminator_optimizer=d))
    decay.on_epoch_begin(0)
    assert [float(g.learning_rate), float(d.learning_rate)] == pytest.approx([2 * share, 4 * share])


def test_the_optimizers_hold_the_papers_values():
    paper = GanConfig()
    adam, rmsprop = train.optimizers(
        paper.generator_learning_rate, paper.discriminator_learning_rate, paper.adam_beta_1
    )
    assert isinstance(adam, keras.optimizers.Adam) and isinstance(rmsprop, keras.optimizers.RMSprop)
    assert float(adam.learning_rate) == float(rmsprop.learning_rate) == pytest.approx(1e-5)
    assert (adam.beta_1, adam.beta_2, adam.epsilon) == (0.5, 0.999, 1e-7)
    assert (rmsprop.rho, rmsprop.momentum, rmsprop.epsilon, rmsprop.centered) == (0.9, 0.0, 1e-7, False)


def test_the_seed_and_the_weights_of_the_config_reach_the_model(monkeypatch):
    monkeypatch.setattr(train, "build_generator", networks.build_generator)
    monkeypatch.setattr(train, "build_discriminator", networks.build_discriminator)
    config = dataclasses.replace(CONFIG, dropout=0.25, fake_class_weight=2.0, real_class_weight=3.0, loss="saturating")
    acgan, other = build_acgan(config, class_count=3, seed=1), build_acgan(config, class_count=3, seed=2)
    assert (acgan.fools_weight, acgan.fake_class_weight, acgan.real_class_weight) == (1.0, 2.0, 3.0)
    assert (acgan.latent_size, acgan.class_count, acgan.discriminator.get_layer("dropout_1").rate) == (64, 3, 0.25)
    assert acgan.seed != other.seed and acgan.columns("swd") == (*TERMS, *LOSSES, "swd", "L_saturating")
    kernels = [np.asarray(model.generator.get_layer("dense").kernel) for model in (acgan, other)]
    assert not np.array_equal(*kernels)


def test_a_training_that_is_begun_anew_knows_nothing_of_the_last_ones_best(image_set, tmp_path):
    config = dataclasses.replace(CONFIG, keep="best")
    train_acgan(build_acgan(config, class_count=2, seed=5), image_set, config, tmp_path, seed=5)
    with np.load(tmp_path / "best.npz") as stored:
        np.savez(tmp_path / "best.npz", **{**stored, "swd": 0.0})  # as good as can be
    shutil.rmtree(tmp_path / "checkpoints")  # which is what an error says
    other = build_acgan(config, class_count=2, seed=6)
    train_acgan(other, image_set, config, tmp_path, seed=6)
    with np.load(tmp_path / "best.npz") as stored:
        assert float(stored["swd"]) > 0
