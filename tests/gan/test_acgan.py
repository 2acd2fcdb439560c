"""One step of the ACGAN against a step written by hand, with both losses of 2.1, its logs, and its latents and classes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from small_networks import arrays

from pir_tf.gan.acgan import TERMS

LOSSES = ("non_saturating", "saturating")

# A step by hand: arrays in, arrays out, in TensorFlow's own operations.


def generator_by_hand(g, z, labels):
    x = tf.concat([z, tf.one_hot(labels, 2)], axis=1) @ g["dense/kernel"] + g["dense/bias"]
    x = tf.repeat(tf.repeat(tf.reshape(x, (-1, 4, 4, 6)), 2, axis=1), 2, axis=2)
    return tf.tanh(tf.nn.conv2d(x, g["conv/kernel"], 1, "SAME") + g["conv/bias"])


def discriminator_by_hand(d, images, mask_seed):
    """u, class logits, and the mean and variance of the batch."""
    x = tf.nn.conv2d(images, d["conv_1/kernel"], 2, [[0, 0], [1, 1], [1, 1], [0, 0]]) + d["conv_1/bias"]
    x = tf.where(x > 0, x, 0.2 * x)
    mean, variance = tf.nn.moments(x, axes=[0, 1, 2])
    x = (x - mean) / tf.sqrt(variance + 1e-3) * d["batch_norm_1/gamma"] + d["batch_norm_1/beta"]
    x = tf.nn.experimental.stateless_dropout(x, 0.5, seed=mask_seed)
    x = tf.reshape(x, (len(images), -1))
    u = x @ d["source_logit/kernel"] + d["source_logit/bias"]
    return u, x @ d["class_logits/kernel"] + d["class_logits/bias"], mean, variance


def log_sigmoid(x):
    return -tf.math.softplus(-x)


def log_softmax_of(class_logits, labels):
    return tf.reduce_sum(tf.one_hot(labels, 2) * tf.nn.log_softmax(class_logits), axis=1)


def adam_by_hand(v, gradient, memory, t, rate):
    first, second = memory.get("m", 0), memory.get("v", 0)
    memory["m"] = first = 0.5 * first + 0.5 * gradient
    memory["v"] = second = 0.999 * second + 0.001 * gradient**2
    return v - rate * np.sqrt(1 - 0.999**t) / (1 - 0.5**t) * first / (np.sqrt(second) + 1e-7)


def rmsprop_by_hand(v, gradient, memory, t, rate):
    memory["v"] = velocity = 0.9 * memory.get("v", 0) + 0.1 * gradient**2
    return v - rate * gradient / np.sqrt(velocity + 1e-7)


def updated(variables, gradients, rule, memories, t, rate):
    return {
        name: rule(value, np.asarray(gradients[name]), memories.setdefault(name, {}), t, rate).astype(np.float32)
        if gradients.get(name) is not None
        else value
        for name, value in variables.items()
    }


def gradients_of(loss, variables):
    watched = {name: tf.constant(value) for name, value in variables.items() if "moving" not in name}
    with tf.GradientTape() as tape:
        tape.watch(watched)
        value = loss({**variables, **watched})
    return tape.gradient(value, watched)


def step_by_hand(g, d, memories, real, labels, z, fake_labels, *, mask_seed, t, rate, loss):
    """The variables after a step, as dictionaries of arrays."""
    images = tf.constant(generator_by_hand(g, z, fake_labels).numpy())
    masks = [[mask_seed, 4 * (t - 1) + k] for k in range(3)]

    def discriminator_loss(d):
        u_real, class_real, *_ = discriminator_by_hand(d, real, masks[0])
        u_fake, *_ = discriminator_by_hand(d, images, masks[1])
        real_terms = tf.reduce_mean(log_sigmoid(2 * u_real)) + tf.reduce_mean(log_softmax_of(class_real, labels))
        return -(real_terms + tf.reduce_mean(log_sigmoid(-2 * u_fake)))

    moments = [discriminator_by_hand(d, x, mask)[2:] for x, mask in ((real, masks[0]), (images, masks[1]))]
    new_d = updated(d, gradients_of(discriminator_loss, d), rmsprop_by_hand, memories.setdefault("d", {}), t, rate)
    for mean, variance in moments:
        for name, value in (("moving_mean", mean), ("moving_variance", variance)):
            new_d[f"batch_norm_1/{name}"] = 0.99 * new_d[f"batch_norm_1/{name}"] + 0.01 * value.numpy()

    def generator_loss(g):
        u, class_logits, *_ = discriminator_by_hand(new_d, generator_by_hand(g, z, fake_labels), masks[2])
        fools = -log_sigmoid(-2 * u) if loss == "saturating" else log_sigmoid(2 * u)
        fake_class = log_softmax_of(class_logits, fake_labels)
        return -(tf.reduce_mean(fools) + 1.5 * tf.reduce_mean(fake_class))

    new_g = updated(g, gradients_of(generator_loss, g), adam_by_hand, memories.setdefault("g", {}), t, rate)
    return new_g, new_d


def weights(network):
    return arrays({v.path: v for v in network.weights})


def step(acgan, real, first=0):
    """The logs of a step with 4 real images."""
    batch = tf.constant(real[0][first : first + 4]), tf.constant(real[1][first : first + 4])
    return {name: float(value) for name, value in acgan.train_step(batch).items()}


@pytest.mark.parametrize("loss", LOSSES)
def test_three_steps_equal_steps_by_hand(make_acgan, real, loss):
    acgan = make_acgan(rates=(1e-2, 1e-2), loss=loss, run_eagerly=True)
    g, d, memories = weights(acgan.generator), weights(acgan.discriminator), {}
    for t in (1, 2, 3):
        images, labels = tf.constant(real[0][4 * t : 4 * t + 4]), tf.constant(real[1][4 * t : 4 * t + 4])
        z, fake_labels = acgan.draw(4)
        step(acgan, real, 4 * t)
        fixed = {"mask_seed": 11, "t": t, "rate": 1e-2, "loss": loss}
        g, d = step_by_hand(g, d, memories, images, labels, z, fake_labels, **fixed)
        for ours, theirs in ((weights(acgan.generator), g), (weights(acgan.discriminator), d)):
            for name in theirs:
                largest = np.abs(theirs[name]).max()
                assert np.abs(ours[name] - theirs[name]).max() <= 2e-5 * largest, (t, name)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_logs_are_the_papers_terms_and_the_minimised_losses(make_acgan, real, loss):
    logs = step(make_acgan(loss=loss), real)
    saturating = {"L_saturating"} if loss == "saturating" else set()
    assert set(logs) == {*TERMS, "discriminator_loss", "generator_loss", *saturating}
    assert all(logs[name] < 0 for name in TERMS) and all(logs[name] > 0 for name in saturating)
    summed = logs["L_fake_image"] + logs["L_real_image"] + logs["L_real_class"]
    assert logs["discriminator_loss"] == pytest.approx(-summed, rel=1e-5)
    summed = logs["L_saturating" if saturating else "L_fake_image_fools"] + 1.5 * logs["L_fake_class"]
    assert logs["generator_loss"] == pytest.approx(-summed, rel=1e-5)


# Latents and classes


def test_latents_are_standard_normal_and_classes_uniform(make_acgan):
    z, labels = (np.asarray(x) for x in make_acgan(seed=1).draw(20_000))
    assert z.dtype == np.float32 and labels.dtype == np.int32
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(np.cov(z.T), np.eye(5), atol=0.05)
    assert set(labels) == {0, 1} and abs(labels.mean() - 0.5) < 0.015
    correlations = [np.corrcoef(column, labels)[0, 1] for column in z.T]
    np.testing.assert_allclose(correlations, 0, atol=0.03)


def test_latents_are_a_function_of_seed_and_step(make_acgan):
    def draw(seed, step):
        acgan = make_acgan(seed=seed)
        acgan.step.assign(step)
        return tuple(np.asarray(x) for x in acgan.draw(64))

    draws = [draw(seed, step) for seed in (0, 1) for step in (0, 1, 2)] + [draw(2**31 - 1, 1_100_000)]
    for ours, again in zip(draws[5], draw(1, 2), strict=True):
        np.testing.assert_array_equal(ours, again)
    for (z, labels), (other_z, other_labels) in itertools.combinations(draws, 2):
        assert not np.intersect1d(z, other_z).size and not np.array_equal(labels, other_labels)
    assert all(np.isfinite(z).all() for z, _ in draws)
