"""The ACGAN's terms as pure functions, in the paper's names (sections 2.1 and C.1).

Each term is a mean log-likelihood, at most 0, and is maximised:

    L_fake_image       = E[log P(D_source(G(z, c)) = fake)]
    L_fake_image_fools = E[log P(D_source(G(z, c)) = real)]
    L_real_image       = E[log P(D_source(i) = real)]
    L_fake_class       = E[log P(D_class(G(z, c)) = c)]
    L_real_class       = E[log P(D_class(i) = c)]

    L_discriminator = L_fake_image + L_real_image + w_real_class L_real_class
    L_generator     = L_fake_image_fools + w_fake_class L_fake_class

Unlike the standard ACGAN, L_fake_class is no part of the discriminator's loss, so that the discriminator doesn't cooperate
with the generator on the classes. L_fake_image_fools is maximised (non-saturating) instead of minimising
log(1 - P(real)), which is L_fake_image. The paper compares the two in words (2.1), so the latter is here too: `saturating`
is its negative, to be maximised in place of L_fake_image_fools.

The paper's discriminator ends in a tanh that is read as a probability (deviation D1): P(real) = (1 + tanh u) / 2, which is
sigmoid(2u), so every log-probability is taken from the logit 2u and stays finite and exact for any u.
Optimizers minimise: the trainers negate L_discriminator and L_generator.
"""

from __future__ import annotations

import tensorflow as tf


def log_p_real(u: tf.Tensor) -> tf.Tensor:
    """log P(real) = log sigmoid(2u), of the source logit u, elementwise. Deviation: D1."""
    return tf.math.log_sigmoid(2.0 * u)


def log_p_fake(u: tf.Tensor) -> tf.Tensor:
    """log P(fake) = log(1 - sigmoid(2u)) = log sigmoid(-2u), of the source logit u, elementwise. Deviation: D1."""
    return tf.math.log_sigmoid(-2.0 * u)


def log_p_class(class_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """log P(D_class = c) of each image.

    Args:
        class_logits: `[batch, classes]`.
        labels: int32 `[batch]`, the class c of each image.

    Returns:
        `[batch]`, each at most 0.
    """
    return -tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=class_logits)


def mean(values: tf.Tensor) -> tf.Tensor:
    """E[...] over a batch, a scalar; 0 of none, which a replica has when a batch has fewer rows than there are replicas."""
    return tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), values.dtype))


def fake_image(u_fake: tf.Tensor) -> tf.Tensor:
    """L_fake_image, a scalar: how surely the discriminator calls generated images fake. Source: 2.1."""
    return mean(log_p_fake(u_fake))


def fake_image_fools(u_fake: tf.Tensor) -> tf.Tensor:
    """L_fake_image_fools, a scalar: how surely the discriminator calls generated images real. Source: 2.1."""
    return mean(log_p_real(u_fake))


def saturating(u_fake: tf.Tensor) -> tf.Tensor:
    """-L_fake_image = -E[log(1 - P(real))], a scalar, 0 or above: what the standard GAN's generator maximises.

    Its gradient vanishes where the discriminator is sure of a fake, which is when the generator has most to learn.

    Source: 2.1 ("the standard GAN formulation").
    """
    return -fake_image(u_fake)


def real_image(u_real: tf.Tensor) -> tf.Tensor:
    """L_real_image, a scalar: how surely the discriminator calls real images real. Source: 2.1."""
    return mean(log_p_real(u_real))


def image_class(class_logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """L_fake_class of generated images or L_real_class of real ones, a scalar. Source: C.1."""
    return mean(log_p_class(class_logits, labels))


def discriminator(fake: tf.Tensor, real: tf.Tensor, real_class: tf.Tensor, *, real_class_weight: float) -> tf.Tensor:
    """L_discriminator = L_fake_image + L_real_image + w_real_class L_real_class: no fake-class term. Source: C.1."""
    return fake + real + real_class_weight * real_class


def generator(fools: tf.Tensor, fake_class: tf.Tensor, *, fools_weight: float, fake_class_weight: float) -> tf.Tensor:
    """L_generator = L_fake_image_fools + w_fake_class L_fake_class. Source: C.1; fools_weight is 1 but for 5.1.

    With the saturating loss of 2.1, `fools` is `saturating` instead.
    """
    return fools_weight * fools + fake_class_weight * fake_class
