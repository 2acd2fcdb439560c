"""One step of the ACGAN against a step written by hand, what a step must leave alone, and the saturating loss of 2.1."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import arrays, assert_same

from pir_tf.gan.acgan import ACGAN

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


def step_by_hand(g, d, memories, real, labels, z, fake_labels, *, mask_seed, t, rate):
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
        fools, fake_class = log_sigmoid(2 * u), log_softmax_of(class_logits, fake_labels)
        return -(tf.reduce_mean(fools) + 1.5 * tf.reduce_mean(fake_class))

    new_g = updated(g, gradients_of(generator_loss, g), adam_by_hand, memories.setdefault("g", {}), t, rate)
    return new_g, new_d


def weights(network):
    return arrays({v.path: v for v in network.weights})


def step(acgan, real, first=0):
    """The logs of a step with 4 real images."""
    batch = tf.constant(real[0][first : first + 4]), tf.constant(real[1][first : first + 4])
    return {name: float(value) for name, value in acgan.train_step(batch).items()}


def test_three_steps_equal_steps_by_hand(make_acgan, real):
    acgan = make_acgan(rates=(1e-2, 1e-2), run_eagerly=True)
    g, d, memories = weights(acgan.generator), weights(acgan.discriminator), {}
    for t in (1, 2, 3):
        images, labels = tf.constant(real[0][4 * t : 4 * t + 4]), tf.constant(real[1][4 * t : 4 * t + 4])
        z, fake_labels = acgan.draw(4)
        step(acgan, real, 4 * t)
        g, d = step_by_hand(g, d, memories, images, labels, z, fake_labels, mask_seed=11, t=t, rate=1e-2)
        for ours, theirs in ((weights(acgan.generator), g), (weights(acgan.discriminator), d)):
            for name in theirs:
                largest = np.abs(theirs[name]).max()
                assert np.abs(ours[name] - theirs[name]).max() <= 2e-5 * largest, (t, name)


def test_a_step_moves_the_moving_mean_twice_first_by_real_images(make_acgan, real, monkeypatch):
    acgan = make_acgan()
    norm = acgan.discriminator.get_layer("batch_norm_1")
    before = np.asarray(norm.moving_mean)
    seen = []
    moments = norm._moments
    monkeypatch.setattr(norm, "_moments", lambda x, mask: (seen.append(moments(x, mask)), seen[-1])[1])
    step(acgan, real)
    assert len(seen) == 3  # the third pass is the generator's, whose statistics are discarded
    expected = 0.99 * (0.99 * before + 0.01 * seen[0][0].numpy()) + 0.01 * seen[1][0].numpy()
    np.testing.assert_allclose(norm.moving_mean, expected, rtol=1e-5, atol=1e-8)
    convolved = keras.Model(acgan.discriminator.input, acgan.discriminator.get_layer("leaky_1").output)
    assert not np.allclose(seen[0][0], seen[1][0], atol=1e-3)
    assert np.allclose(seen[0][0], np.mean(convolved(real[0][:4]), axis=(0, 1, 2)), atol=0.1)


def test_the_generators_terms_change_nothing_of_the_discriminator(make_acgan):
    acgan = make_acgan()
    before = arrays(acgan.discriminator)
    z, labels = acgan.draw(4)
    with tf.GradientTape() as tape:
        terms = acgan.generator_terms(acgan([z, tf.one_hot(labels, 2)]), labels)
        objective = acgan.generator_objective(terms)
    gradients = tape.gradient(objective, acgan.generator.trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
    assert len(before) == 11  # eight arrays, the moving statistics and the dropout's seed state
    assert_same(before, arrays(acgan.discriminator))


def changed(network, before):
    return {name for name, value in weights(network).items() if not np.array_equal(value, before[name])}


def test_an_update_leaves_the_other_network_alone(make_acgan, real):
    """With a rate of 0 the discriminator's moving statistics move as two passes do, and nothing else."""
    for rates in ((1e-2, 0.0), (0.0, 1e-2)):
        acgan = make_acgan(rates=rates)
        g, d = weights(acgan.generator), weights(acgan.discriminator)
        step(acgan, real)
        moving = {"batch_norm_1/moving_mean", "batch_norm_1/moving_variance"}
        # The bias before a batch normalization would move nothing in a linear network; behind a leaky ReLU it does.
        assert changed(acgan.discriminator, d) == (set(d) if rates[1] else moving)
        assert changed(acgan.generator, g) == (set(g) if rates[0] else set())


def test_the_discriminators_loss_has_no_fake_class_term(make_acgan, real):
    acgan = make_acgan(dropout=0.0)
    logits = acgan.discriminator.get_layer("class_logits")
    fake = tf.constant(real[0][4:8])
    with tf.GradientTape() as tape:
        terms = acgan._discriminator_terms(real[0][:4], real[1][:4], fake, training=True)
    assert set(terms) == {"L_fake_image", "L_real_image", "L_real_class"}
    assert tape.gradient(terms["L_fake_image"], logits.kernel.value) is None
    with tf.GradientTape() as tape:
        tape.watch(fake)
        terms = acgan._discriminator_terms(real[0][:4], real[1][:4], fake, training=True)
    assert tape.gradient(terms["L_real_class"], fake) is None


def test_the_logs_are_the_papers_terms_and_the_minimised_losses(make_acgan, real):
    logs = step(make_acgan(), real)
    terms = {"L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class"}
    assert set(logs) == {*terms, "discriminator_loss", "generator_loss"}
    assert all(logs[name] < 0 for name in terms)
    summed = logs["L_fake_image"] + logs["L_real_image"] + logs["L_real_class"]
    assert logs["discriminator_loss"] == pytest.approx(-summed, rel=1e-5)
    summed = logs["L_fake_image_fools"] + 1.5 * logs["L_fake_class"]
    assert logs["generator_loss"] == pytest.approx(-summed, rel=1e-5)


# Latents, classes and masks


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

    draws = {(seed, step): draw(seed, step) for seed in (0, 1) for step in (0, 1, 2)}
    again = draw(1, 2)
    np.testing.assert_array_equal(draws[1, 2][0], again[0])
    np.testing.assert_array_equal(draws[1, 2][1], again[1])
    keys = list(draws)
    for i, one in enumerate(keys):
        for other in keys[i + 1 :]:
            assert not np.intersect1d(draws[one][0], draws[other][0]).size, (one, other)
            assert not np.array_equal(draws[one][1], draws[other][1])


def test_dropout_masks_differ_by_pass_and_step_and_repeat(make_acgan):
    acgan = make_acgan()
    layer = acgan.discriminator.get_layer("dropout_1")
    ones = tf.ones((1, 400))

    def masks(step):
        acgan.step.assign(step)
        acgan._seed_dropout()
        return [layer(ones, training=True).numpy() for _ in range(3)]

    drawn = [*masks(0), *masks(1), *masks(2)]
    assert all(not np.array_equal(a, b) for i, a in enumerate(drawn) for b in drawn[i + 1 :])
    np.testing.assert_array_equal(drawn[3:6], masks(1))


def test_the_largest_seed_and_step_are_taken(make_acgan):
    acgan = make_acgan(seed=2**31 - 1)
    acgan.step.assign(1_100_000)
    z, _ = acgan.draw(2)
    assert np.isfinite(z).all()


# The saturating loss


def pull(acgan, bias):
    """The gradient's norm at the generator's images when the discriminator's source logit is moved by `bias`."""
    acgan.discriminator.get_layer("source_logit").bias.assign([bias])
    acgan.fake_class_weight = 0.0
    z, labels = acgan.draw(8)
    images = acgan([z, tf.one_hot(labels, 2)])
    with tf.GradientTape() as tape:
        tape.watch(images)
        objective = acgan.generator_objective(acgan.generator_terms(images, labels))
    return float(tf.norm(tape.gradient(objective, images)))


def test_the_generator_learns_nothing_from_a_discriminator_that_is_sure(make_acgan):
    """The reason for the paper's choice: the non-saturating loss pulls hardest there."""
    plain, saturating = make_acgan(), make_acgan(loss="saturating")
    assert pull(plain, -10.0) > 0.1 * pull(plain, 0.0) > 0
    assert 0 < pull(saturating, -10.0) < 1e-5 * pull(plain, -10.0)
    assert pull(saturating, 10.0) > pull(saturating, -10.0)


def test_the_logs_hold_both_source_terms_and_the_loss_that_was_minimised(make_acgan, real):
    acgan = make_acgan(loss="saturating")
    logs = step(acgan, real)
    assert set(logs) == {*ACGAN.log_names, "L_saturating"}
    assert logs["L_fake_image_fools"] < 0 < logs["L_saturating"]
    assert logs["generator_loss"] == pytest.approx(-logs["L_saturating"] - 1.5 * logs["L_fake_class"], rel=1e-5)
    # One image: P(real) of both logs adds up to 1, before the discriminator's update or after it.
    one = acgan.generator_terms(tf.constant(real[0][:1]), tf.constant([0]))
    assert np.exp(one["L_fake_image_fools"]) + np.exp(-one["L_saturating"]) == pytest.approx(1, rel=1e-5)


def test_the_saturating_loss_changes_the_generators_update_alone(make_acgan, real):
    plain, saturating = make_acgan(), make_acgan(loss="saturating")
    for acgan in (plain, saturating):
        step(acgan, real)
    assert_same(weights(plain.discriminator), weights(saturating.discriminator))
    assert changed(plain.generator, weights(saturating.generator)) == set(weights(plain.generator))
