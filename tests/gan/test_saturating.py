"""The saturating loss of 2.1 in the ACGAN's step: what it minimises, what it logs, and why the paper left it."""

import csv

import numpy as np
import pytest
import tensorflow as tf

from pir_tf.config import GanConfig
from pir_tf.data.sources import ImageSet
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.train import build_acgan, optimizers, train_acgan


@pytest.fixture
def pair(make_acgan):
    """Two equal ACGANs, one with each loss."""

    def make():
        first, second = make_acgan(), make_acgan()
        acgan = ACGAN(second.generator, second.discriminator, seed=7, loss="saturating")
        acgan.compile(*optimizers(1e-3, 1e-3, 0.5))
        return first, acgan

    return make


def pull(acgan, bias):
    """The gradient's norm at the generator's images when the discriminator's source logit is moved by `bias`."""
    layer = acgan.discriminator.get_layer("source_logit")
    layer.bias.assign([bias])
    acgan.fake_class_weight = 0.0
    z, labels = acgan.draw(8)
    images = acgan([z, tf.one_hot(labels, 2)])
    with tf.GradientTape() as tape:
        tape.watch(images)
        objective = acgan.generator_objective(acgan.generator_terms(images, labels))
    return float(tf.norm(tape.gradient(objective, images)))


def test_the_generator_learns_nothing_from_a_discriminator_that_is_sure(pair):
    """The reason for the paper's choice: the non-saturating loss pulls hardest there."""
    plain, saturating = pair()
    assert pull(plain, -10.0) > 0.1 * pull(plain, 0.0) > 0
    assert 0 < pull(saturating, -10.0) < 1e-5 * pull(plain, -10.0)
    assert pull(saturating, 10.0) > pull(saturating, -10.0)


def test_the_logs_hold_both_terms_and_the_loss_that_was_minimised(pair, real):
    _, acgan = pair()
    logs = acgan.train_step((tf.constant(real[0][:4]), tf.constant(real[1][:4])))
    logs = {name: float(value) for name, value in logs.items()}
    assert set(logs) == {*ACGAN.log_names, "L_saturating"}
    assert logs["L_fake_image_fools"] < 0 < logs["L_saturating"]
    assert logs["generator_loss"] == pytest.approx(-logs["L_saturating"] - 1.5 * logs["L_fake_class"], rel=1e-5)
    # One image: P(real) of both logs adds up to 1, before the discriminator's update or after it.
    one = acgan.generator_terms(tf.constant(real[0][:1]), tf.constant([0]))
    assert np.exp(one["L_fake_image_fools"]) + np.exp(-one["L_saturating"]) == pytest.approx(1, rel=1e-5)


def test_the_discriminators_update_is_the_same_and_the_generators_another(pair, real, values):
    plain, saturating = pair()
    for acgan in (plain, saturating):
        acgan.train_step((tf.constant(real[0][:4]), tf.constant(real[1][:4])))
    ours, theirs = (values({v.path: v for v in acgan.discriminator.weights}) for acgan in (plain, saturating))
    assert all(np.array_equal(ours[name], theirs[name]) for name in ours)
    ours, theirs = (values({v.path: v for v in acgan.generator.weights}) for acgan in (plain, saturating))
    assert not any(np.array_equal(ours[name], theirs[name]) for name in ours)


def test_pretraining_takes_the_loss_from_its_config_and_logs_its_term(tmp_path):
    rng = np.random.default_rng(0)
    images = ImageSet(rng.integers(0, 256, (8, 64, 64, 3), np.uint8), np.arange(8) % 2, ("a", "b"))
    config = GanConfig(
        loss="saturating", steps=1, batch_size=2, log_every=1, sample_every=5, checkpoint_every=1, tensorboard=False
    )
    acgan = build_acgan(config, class_count=2, seed=0)
    train_acgan(acgan, images, config, tmp_path, seed=0)
    (row,) = csv.DictReader((tmp_path / "history.csv").open())
    assert float(row["L_saturating"]) > 0 > float(row["L_fake_image_fools"])
    by_hand = -float(row["L_saturating"]) - 1.5 * float(row["L_fake_class"])
    assert float(row["generator_loss"]) == pytest.approx(by_hand, rel=1e-4)
