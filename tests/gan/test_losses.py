"""Each term of 2.1 and C.1 against values worked by hand, for any logit, and where the two losses pull."""

import math

import numpy as np
import pytest
import tensorflow as tf

from pir_tf.gan import losses

LOG_3 = math.log(3)


def gradient(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def test_p_real_is_the_papers_tanh_read_as_a_probability():
    u = np.linspace(-6, 6, 101)
    p_real = (1 + np.tanh(u)) / 2
    np.testing.assert_allclose(losses.log_p_real(tf.constant(u)), np.log(p_real), rtol=1e-8)
    np.testing.assert_allclose(losses.log_p_fake(tf.constant(u)), np.log(1 - p_real), rtol=1e-8)


def test_the_source_terms_worked_by_hand():
    # tanh u = 0.5 means P(real) = 3/4, tanh u = 0 means 1/2.
    u = tf.constant([[math.atanh(0.5)], [0.0]], tf.float64)
    real, fake = (math.log(3 / 4) + math.log(1 / 2)) / 2, (math.log(1 / 4) + math.log(1 / 2)) / 2
    assert losses.real_image(u).numpy() == pytest.approx(real, abs=1e-10)
    assert losses.fake_image_fools(u).numpy() == pytest.approx(real, abs=1e-10)
    assert losses.fake_image(u).numpy() == pytest.approx(fake, abs=1e-10)
    assert losses.saturating(u).numpy() == pytest.approx(-fake, abs=1e-10)


def test_the_class_term_worked_by_hand():
    # Logits (0, log 3): the classes have probabilities 1/4 and 3/4.
    logits = tf.constant([[0.0, LOG_3], [0.0, LOG_3]], tf.float64)
    value = losses.image_class(logits, tf.constant([0, 1])).numpy()
    assert value == pytest.approx((math.log(1 / 4) + math.log(3 / 4)) / 2, abs=1e-10)


@pytest.mark.parametrize("size", [20.0, 1e3, 1e30])
def test_terms_and_gradients_are_finite_for_any_logit(size):
    u = [[size], [-size]]
    np.testing.assert_allclose(losses.log_p_real(tf.constant(u)), [[0], [-2 * size]], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(losses.log_p_fake(tf.constant(u)), [[-2 * size], [0]], rtol=1e-6, atol=1e-6)
    for term in (losses.fake_image, losses.fake_image_fools, losses.real_image):
        assert np.isfinite(term(tf.constant(u))) and np.isfinite(gradient(term, u)).all()
    logits = [[size, -size], [-size, size]]
    term = lambda x: losses.image_class(x, tf.constant([0, 0]))  # noqa: E731
    assert np.isfinite(term(tf.constant(logits))) and np.isfinite(gradient(term, logits)).all()


def test_fooling_pulls_where_the_discriminator_is_sure_and_the_saturating_loss_does_not():
    # d/du of -log(1 - P(real)) is 2 P(real), of log P(real) it is 2 (1 - P(real)): equal at P(real) = 1/2.
    for p_real in (1e-17, 0.001, 0.5, 0.9):
        u = [[(math.log(p_real) - math.log1p(-p_real)) / 2]]
        np.testing.assert_allclose(gradient(losses.saturating, u), [[2 * p_real]], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(gradient(losses.fake_image_fools, u), [[2 * (1 - p_real)]], rtol=1e-4, atol=1e-5)


def test_the_weighted_sums():
    assert losses.discriminator(-1.0, -2.0, -4.0, real_class_weight=1.0) == -7.0
    assert losses.discriminator(-1.0, -2.0, -4.0, real_class_weight=0.5) == -5.0
    assert losses.generator(-2.0, -4.0, fools_weight=1.0, fake_class_weight=1.5) == -8.0
    assert losses.generator(-2.0, -4.0, fools_weight=0.0, fake_class_weight=1.5) == -6.0
