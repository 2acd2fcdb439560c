"""Tuning that moves the latents and leaves the generator's weights as they are. Not the paper's.

    shift      z' = z + v_c           KL = E_c[|v_c|^2 / 2]
    residual   z' = z + f(z, c)       KL = E_{z, c}[|f|^2 / 2 + tr J - log|det(I + J)|],  J = df/dz
    L_PIR       = E_{z ~ N(0, I), c ~ C}[R(G(z', c))]
    L_generator = w_PIR L_PIR - w_KL KL

KL, in nats, is the divergence of a class's moved latents from N(0, I), the mean over the classes; that of its images can only be
smaller. It is exact: E[z . f] = E[tr J] for standard normal z (Stein), and the Jacobian is taken whole. The formula holds where
z -> z' is one to one. f is linear in a tanh layer, so bounded and smooth, and then det(I + J) > 0 everywhere makes the map one to
one (Hadamard). -log|det| keeps it there; where it was crossed nevertheless, which `final_kl` tells, the map folds, and its KL is
above the formula's.

The part that moves comes before the generator as stock layers, at first moves nothing, and is all that is trained: no
discriminator, no real image. What is not here: choosing among latents (`evaluation.best_of`).
"""

from __future__ import annotations

from typing import Literal

import keras
import tensorflow as tf
from keras import layers

from pir_tf.config import derived_seed
from pir_tf.gan.fast import MOVED_LATENTS, fast_generator, knows_generator
from pir_tf.gan.trainer import draw
from pir_tf.tuning.anchored import WithoutDiscriminator

Kind = Literal["shift", "residual"]

HIDDEN = 128
"""Units of the residual network's tanh layer."""
LAST_LATENTS = 4096
"""Latents of the last measure of a residual network's KL, whose standard error is then about a hundredth of it."""

PART = 512
"""Of them at once: each has a Jacobian."""


def with_moved_latents(generator: keras.Model, kind: Kind, *, seed: int) -> keras.Model:
    """A generator behind a part that moves its latents, by nothing yet.

    Args:
        generator: `[z, class_one_hot]` to images.
        kind: `shift`, a vector for each class, or `residual`, a network of the latents and the class.
        seed: Seed of the residual network's first weights; those of its last layer are 0.

    Returns:
        A functional model of stock layers with the same inputs and output, around `generator` itself. Its layer `move` gives
        what is added to the latents, float32 `[batch, latent_size]`.

    Source: Eyring et al., Noise Hypernetworks (2025), for the residual. Not the paper's.
    """
    latent_size, class_count = (tensor.shape[-1] for tensor in generator.inputs)
    z, class_one_hot = keras.Input((latent_size,), name="z"), keras.Input((class_count,), name="class_one_hot")
    if kind == "shift":
        move = layers.Dense(latent_size, use_bias=False, kernel_initializer="zeros", name="move")(class_one_hot)
    else:
        first = keras.initializers.GlorotUniform(derived_seed(seed, "residual network"))
        x = layers.Concatenate(name="z_and_class")([z, class_one_hot])
        x = layers.Dense(HIDDEN, activation="tanh", kernel_initializer=first, name="move_hidden")(x)
        move = layers.Dense(latent_size, kernel_initializer="zeros", name="move")(x)
    moved = layers.Add(name=MOVED_LATENTS)([z, move])
    return keras.Model([z, class_one_hot], generator([moved, class_one_hot]), name="generator")


@tf.custom_gradient
def log_determinant(matrices: tf.Tensor) -> tuple[tf.Tensor, object]:
    """log|det A| of matrices `[..., n, n]`, by A = QR, since XLA has no kernel of `tf.linalg.slogdet`.

    It is the sum of log|R_ii|, and its gradient is A^-T = Q R^-T.
    """
    q, r = tf.linalg.qr(matrices)

    def gradient(of_value: tf.Tensor) -> tf.Tensor:
        inverse = tf.linalg.triangular_solve(r, tf.linalg.matrix_transpose(q), lower=False)
        return of_value[..., None, None] * tf.linalg.matrix_transpose(inverse)

    return tf.reduce_sum(tf.math.log(tf.abs(tf.linalg.diag_part(r))), axis=-1), gradient


def kl_of(move: tf.Tensor, jacobian: tf.Tensor | None = None) -> tf.Tensor:
    """KL of z + f from N(0, I) in nats, where z ~ N(0, I), as the mean over these rows; where the map folds, KL is more.

    Args:
        move: f, `[batch, latent_size]`.
        jacobian: J = df/dz, `[batch, latent_size, latent_size]`; None where f doesn't depend on z.
    """
    half_square = tf.reduce_mean(tf.reduce_sum(tf.square(move), axis=-1)) / 2
    if jacobian is None:
        return half_square
    stretched = tf.linalg.trace(jacobian) - log_determinant(_whole(jacobian))
    return half_square + tf.reduce_mean(stretched)


def share_folded(jacobian: tf.Tensor | None) -> tf.Tensor:
    """The share of rows, 0 to 1, at which det(I + J) isn't above 0: there the map folds. XLA doesn't know it."""
    if jacobian is None:
        return tf.constant(0.0)
    sign, _ = tf.linalg.slogdet(_whole(jacobian))
    return tf.reduce_mean(tf.cast(sign <= 0, tf.float32))


def _whole(jacobian: tf.Tensor) -> tf.Tensor:
    """I + J, the Jacobian of z + f."""
    return tf.eye(jacobian.shape[-1], dtype=jacobian.dtype) + jacobian


class LatentTuner(WithoutDiscriminator):
    """What moves a generator's latents, trained to raise the estimated PIR at a price in KL. The generator stays as it is.

    Args:
        generator: `[z, class_one_hot]` to images float32 `[batch, h, w, 3]` in [-1, 1]. It is then the attribute `still`, and
            `generator` is the same behind the part that moves latents, see `with_moved_latents`.
        estimator: A `PIREstimator`, or any model of such images to PIR `[batch]` or `[batch, 1]` in [0, 1]. It is frozen here.
        kind: `shift` or `residual`.
        seed: Seed of latents and classes, and of the residual network's first weights.
        pir_weight: w_PIR.
        kl_weight: w_KL, per nat.
        fast: Compute the passes by the cheaper, equal forms of `gan.fast` and `estimator.frozen` (made for CPUs).
        pir_gradient_limit: The factor of `spikes`, 1 or above; 0 limits nothing.
    """

    log_names = ("L_PIR", "KL", "generator_loss")
    gradient_columns = ("gradient_pir", "gradient_kl")

    def __init__(
        self,
        generator: keras.Model,
        estimator: keras.Model,
        *,
        kind: Kind,
        seed: int,
        pir_weight: float,
        kl_weight: float,
        fast: bool = False,
        pir_gradient_limit: float = 0.0,
    ) -> None:
        whole = with_moved_latents(generator, kind, seed=seed)
        super().__init__(whole, seed=seed, name="latent_tuner")
        self.kind, self.kl_weight, self.still = kind, kl_weight, generator
        self.move = keras.Model(whole.inputs, whole.get_layer("move").output, name="move_latents")
        stock = lambda z, class_one_hot: generator([z, class_one_hot], training=False)  # noqa: E731
        # Not compiled: that would compute the gradients of all weights, too.
        self._generate = fast_generator(generator) if fast and knows_generator(generator) else stock
        self.use_estimator(estimator, pir_weight=pir_weight, fast=fast, pir_gradient_limit=pir_gradient_limit)

    def networks(self) -> dict[str, keras.Model]:
        """What moves the latents, alone: it is all that is trained, and all that a checkpoint holds."""
        return {"move": self.move}

    def terms(self, z: tf.Tensor, labels: tf.Tensor, *, limited: bool = False) -> dict[str, tf.Tensor]:
        """L_PIR and KL of a batch; a shift's KL is that of all classes, which are equally frequent (D16)."""
        class_one_hot = tf.one_hot(labels, self.class_count)
        move, *of_kl = self._moved(z, class_one_hot)
        images = self._generate(z + move, class_one_hot)
        pir = self.estimated_pir(self.limited(images) if limited else images)
        return {"L_PIR": tf.reduce_mean(pir), "KL": kl_of(*of_kl)}

    def weighted(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Those of the PIR and of KL, whose gradient is 0 at the start."""
        return self.pir_weight * terms["L_PIR"], self.kl_weight * terms["KL"]

    def final_kl(self, seed: int, *, count: int = LAST_LATENTS) -> tuple[float, float]:
        """KL in nats, of `count` new latents (whole parts of `PART`), and the share of them, 0 to 1, at which the map folds."""

        def part(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sizes = {"latent_size": self.latent_size, "class_count": self.class_count}
            z, labels = draw(seed, step, min(count, PART), **sizes)
            _, move, jacobian = self._moved(z, tf.one_hot(labels, self.class_count))
            return kl_of(move, jacobian), share_folded(jacobian)

        traced = tf.function(part, autograph=False)
        parts = [traced(tf.constant(step, tf.int64)) for step in range(-(-count // PART))]
        kl, folded = (float(tf.reduce_mean(some)) for some in zip(*parts, strict=True))
        return kl, folded

    def _moved(self, z: tf.Tensor, class_one_hot: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """f of these latents; then what KL is computed of: f, or every class's shift, and its Jacobian."""
        if self.kind == "shift":
            classes = tf.eye(self.class_count)
            every = self.move([tf.zeros((self.class_count, self.latent_size)), classes])
            return tf.matmul(class_one_hot, every), every, None
        with tf.GradientTape() as tape:
            tape.watch(z)
            move = self.move([z, class_one_hot])
        return move, move, tape.batch_jacobian(move, z)
