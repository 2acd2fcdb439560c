"""Tuning a generator that has no discriminator: an anchor to its own start takes the place of L_fake_image_fools (2.4).

    L_PIR       = E_{z ~ N(0, I), c ~ C}[R(G(z, c))]
    L_anchor    = E_{z, c}[mean over pixels of (G(z, c) - G_0(z, c))^2]
    L_generator = w_PIR L_PIR - w_anchor L_anchor

G_0 is the generator before tuning; both make their images, of values in [-1, 1], from the same latents. No real image is
needed. What the anchor can't do: a discriminator knows how images vary, so it lets whole images change as long as they look
real, while the anchor holds each image where it was.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from pir_tf.training import replicas
from pir_tf.tuning.tuner import PIRTerm


class WithoutDiscriminator(PIRTerm):
    """A tuner whose second term, in place of L_fake_image_fools, holds the images where they were. A subclass has both terms."""

    def step_of(self, data: Any, z: tf.Tensor, labels: tf.Tensor, share: replicas.Share) -> dict[str, tf.Tensor]:
        """One update of the generator, or of the part of it that is trained.

        Args:
            data: Only the number of its rows counts: `blanks` gives it.
            z: Latents `[batch, latent]`.
            labels: Classes, int32 `[batch]`.
            share: This replica's share of the whole batch.
        """
        variables = self.trained_variables
        with tf.GradientTape() as tape:
            terms = self.terms(z, labels, limited=True)
            loss = -self.objective(terms)
            part = share.scaled(loss)
        self.generator_optimizer.apply(tape.gradient(part, variables), variables)
        self.step.assign_add(1)
        return self.mean_logs(share, {**terms, "generator_loss": loss})

    def terms(self, z: tf.Tensor, labels: tf.Tensor, *, limited: bool = False) -> dict[str, tf.Tensor]:
        """The terms of a batch by their names in the log; in a step the PIR's gradient is `limited`."""
        raise NotImplementedError

    def weighted(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """The weighted terms, that of the PIR and the one that holds it back."""
        raise NotImplementedError

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator, a scalar to maximise, of what `terms` returned."""
        pir, held = self.weighted(terms)
        return pir - held

    def weighted_terms(self, z: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Those of a batch."""
        return self.weighted(self.terms(z, labels))


class AnchoredTuner(WithoutDiscriminator):
    """A generator that maximises the estimated PIR of its images and stays near those that it made before.

    Args:
        generator: `[z, class_one_hot]` to images float32 `[batch, h, w, 3]` in [-1, 1].
        estimator: A `PIREstimator`, or any model of such images to PIR `[batch]` or `[batch, 1]` in [0, 1]. It is frozen here.
        seed: Seed of latents and classes.
        pir_weight: w_PIR.
        anchor_weight: w_anchor.
        start: The same generator with weights of its own, which stay as they are: G_0. By default a copy of `generator`, which
            must then be of layers that Keras can copy.
        fast: Compute the estimator by the cheaper, equal form of `estimator.frozen` (made for CPUs).
        pir_gradient_limit: The factor of `spikes`, 1 or above; 0 limits nothing.

    Source: 2.4. Not the paper's: the anchor.
    """

    log_names = ("L_PIR", "L_anchor", "generator_loss")
    gradient_columns = ("gradient_pir", "gradient_anchor")

    def __init__(
        self,
        generator: keras.Model,
        estimator: keras.Model,
        *,
        seed: int,
        pir_weight: float,
        anchor_weight: float,
        start: keras.Model | None = None,
        fast: bool = False,
        pir_gradient_limit: float = 0.0,
    ) -> None:
        super().__init__(generator, seed=seed, name="anchored_tuner")
        if start is None:
            start = keras.models.clone_model(generator)
            start.set_weights(generator.get_weights())
        start.trainable = False
        self._start = functools.partial(start.__call__, training=False)  # a function, as the estimator
        self.use_estimator(estimator, pir_weight=pir_weight, fast=fast, pir_gradient_limit=pir_gradient_limit)
        self.anchor_weight = anchor_weight

    @property
    def start(self) -> keras.Model:
        """G_0, which is no part of this model: what is tuned and saved are its layers."""
        return self._start.func.__self__  # type: ignore[attr-defined]

    def terms(self, z: tf.Tensor, labels: tf.Tensor, *, limited: bool = False) -> dict[str, tf.Tensor]:
        """L_PIR and L_anchor of a batch: mean estimated PIR, its gradient limited in a step, and mean squared difference from
        the start.

        The estimator sees values outside [-1, 1] as people do, cut to it; the anchor sees them as they are.
        """
        inputs = [z, tf.one_hot(labels, self.class_count)]
        images = self.generator(inputs, training=False)
        moved = tf.square(images - tf.stop_gradient(self._start(inputs)))
        pir = self.estimated_pir(tf.clip_by_value(self.limited(images) if limited else images, -1.0, 1.0))
        return {"L_PIR": tf.reduce_mean(pir), "L_anchor": tf.reduce_mean(moved)}

    def weighted(self, terms: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Those of the PIR and the anchor, whose gradient is 0 at the start."""
        return self.pir_weight * terms["L_PIR"], self.anchor_weight * terms["L_anchor"]


def blanks(batch_size: int) -> tf.data.Dataset:
    """What `fit` goes through where nothing real is needed: endless batches of nothings, since a step draws its own latents."""
    return tf.data.Dataset.from_tensors(tf.zeros(batch_size)).repeat()
