"""The ACGAN as one Keras model with two optimizers and one train step (sections 2.1, C.1, C.2).

One step: the generator makes a batch; the discriminator is updated on it and on real images, in separate passes; then the
generator is updated through the discriminator just updated. Both updates see the same generated batch.

The generator's update leaves every variable of the discriminator alone, moving statistics included: its pass uses batch
statistics and discards the new state (`stateless_call`, deviation D18).

Dropout masks are functions of (their layer's seed, step), as latents and classes are. Under a strategy of `tf.distribute` a step
does the same on its replicas together (`pir_tf.training.replicas`): they share one batch of latents and of real images, and only
dropout masks differ. The tuner (`pir_tf.tuning.tuner`) is this class with one more term in `generator_terms`.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from pir_tf.gan import losses
from pir_tf.gan.fast import fast_discriminator, fast_generator
from pir_tf.gan.trainer import GeneratorTrainer
from pir_tf.training import replicas

TERMS = ("L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class")
SOURCE_TERMS = {"non_saturating": "L_fake_image_fools", "saturating": "L_saturating"}
"""What the generator maximises of the source, by its loss."""
LOSSES = ("discriminator_loss", "generator_loss")


class ACGAN(GeneratorTrainer):
    """Generator and discriminator trained against each other.

    Args:
        generator: `[z, class_one_hot]` to images in [-1, 1], as `gan.networks.build_generator` makes it.
        discriminator: images to `[u, class_logits]`, as `gan.networks.build_discriminator` makes it.
        seed: seed of latents and classes, and of dropout layers that bring none.
        fools_weight: weight of L_fake_image_fools, 1 but for section 5.1.
        fake_class_weight: w_fake_class.
        real_class_weight: w_real_class.
        loss: what the generator maximises of the source: L_fake_image_fools (`non_saturating`), or -L_fake_image
            (`saturating`), which is then logged as `L_saturating`. Source: 2.1.
        fast: compute the networks' passes in training by the cheaper, equal forms of `gan.fast` (made for CPUs).

    Source: C.1. Deviation: D16 (classes uniform).
    """

    log_names: tuple[str, ...] = (*TERMS, *LOSSES)

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        seed: int,
        fools_weight: float = 1.0,
        fake_class_weight: float = 1.5,
        real_class_weight: float = 1.0,
        loss: str = "non_saturating",
        fast: bool = False,
    ) -> None:
        self.source_term = SOURCE_TERMS[loss]
        more_logs = () if self.source_term in TERMS else (self.source_term,)
        super().__init__(generator, seed=seed, name="acgan", more_logs=more_logs)
        self.discriminator = discriminator
        self.fools_weight = fools_weight
        self.fake_class_weight = fake_class_weight
        self.real_class_weight = real_class_weight
        replicas.synchronize(discriminator)
        stock = lambda z, class_one_hot: generator([z, class_one_hot])  # noqa: E731
        self._generate = fast_generator(generator, compiled=True) if fast else stock
        self._fast_discriminator = fast_discriminator(discriminator) if fast else None
        # At rate 0 a Dropout layer has no seed generator.
        self._dropouts = [d for d in discriminator.layers if isinstance(d, keras.layers.Dropout) and d.rate > 0]

    def networks(self) -> dict[str, keras.Model]:
        """Both."""
        return {**super().networks(), "discriminator": self.discriminator}

    def step_of(
        self, data: tuple[tf.Tensor, tf.Tensor], z: tf.Tensor, labels: tf.Tensor, share: replicas.Share
    ) -> dict[str, tf.Tensor]:
        """One update of the discriminator, then one of the generator.

        Args:
            data: real images float32 `[batch, 64, 64, 3]` in [-1, 1] and their classes int32 `[batch]`.
            z: latents `[batch, latent]`.
            labels: classes of the images to be made, int32 `[batch]`.
            share: this replica's share of the whole batch.
        """
        real_images, real_labels = data
        self._seed_dropout()
        with tf.GradientTape() as generator_tape:
            fake_images = self._generate(z, tf.one_hot(labels, self.class_count))
        logs = self._update_discriminator(real_images, real_labels, fake_images, share)
        with tf.GradientTape() as image_tape:
            image_tape.watch(fake_images)
            terms = self.generator_terms(fake_images, labels)
            generator_loss = -self.generator_objective(terms)
            part = share.scaled(generator_loss)
        # The chain rule in two halves: the image's gradient through the discriminator, then the generator's own pass.
        image_gradient = image_tape.gradient(part, fake_images)
        variables = self.generator.trainable_variables
        gradients = generator_tape.gradient(fake_images, variables, output_gradients=image_gradient)
        self.generator_optimizer.apply(gradients, variables)
        self.step.assign_add(1)
        return self.mean_logs(share, {**logs, **terms, "generator_loss": generator_loss})

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The same terms without an update, by the discriminator's moving statistics and without dropout."""
        share = replicas.share(tf.shape(data[0])[0])
        real_images, real_labels = replicas.never_empty(data)
        z, labels = (share.of(whole) for whole in self.draw(share.total))
        fake_images = self._generate(z, tf.one_hot(labels, self.class_count))
        logs = self._discriminator_terms(real_images, real_labels, fake_images, training=False)
        u, class_logits = self.discriminator(fake_images, training=False)
        logs["L_fake_image_fools"] = losses.fake_image_fools(u)
        logs["L_fake_class"] = losses.image_class(class_logits, labels)
        return self.mean_logs(share, logs)

    def generator_terms(self, fake_images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms that the generator maximises, of a batch it made. Changes no variable of the discriminator."""
        u, class_logits = self._judge(fake_images, update=False)
        fools, fake_class = losses.fake_image_fools(u), losses.image_class(class_logits, labels)
        terms = {"L_fake_image_fools": fools, "L_fake_class": fake_class}
        return {**terms, "L_saturating": losses.saturating(u)} if self.source_term == "L_saturating" else terms

    def generator_objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator, a scalar to maximise, of what `generator_terms` returned."""
        return losses.generator(
            terms[self.source_term],
            terms["L_fake_class"],
            fools_weight=self.fools_weight,
            fake_class_weight=self.fake_class_weight,
        )

    def _discriminator_terms(
        self, real_images: tf.Tensor, real_labels: tf.Tensor, fake_images: tf.Tensor, *, training: bool
    ) -> dict[str, tf.Tensor]:
        # Separate passes: in one batch of both kinds the batch statistics would tell real from fake (D18).
        stock = functools.partial(self.discriminator, training=False)
        judge = functools.partial(self._judge, update=True) if training else stock
        u_real, real_class_logits = judge(real_images)
        u_fake, _ = judge(fake_images)
        return {
            "L_fake_image": losses.fake_image(u_fake),
            "L_real_image": losses.real_image(u_real),
            "L_real_class": losses.image_class(real_class_logits, real_labels),
        }

    def _judge(self, images: tf.Tensor, *, update: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """u and class logits in training mode; without `update` every variable of the discriminator stays as it is."""
        if self._fast_discriminator:
            return self._fast_discriminator(images, update=update)
        discriminator = self.discriminator
        if update:
            return discriminator(images, training=True)
        outputs, _ = discriminator.stateless_call(
            discriminator.trainable_variables, discriminator.non_trainable_variables, images, training=True
        )
        return outputs

    def _update_discriminator(
        self, real_images: tf.Tensor, real_labels: tf.Tensor, fake_images: tf.Tensor, share: replicas.Share
    ) -> dict[str, tf.Tensor]:
        variables = self.discriminator.trainable_variables
        with tf.GradientTape() as tape:
            terms = self._discriminator_terms(real_images, real_labels, tf.stop_gradient(fake_images), training=True)
            loss = -losses.discriminator(
                terms["L_fake_image"],
                terms["L_real_image"],
                terms["L_real_class"],
                real_class_weight=self.real_class_weight,
            )
            part = share.scaled(loss)
        self.discriminator_optimizer.apply(tape.gradient(part, variables), variables)
        return {**terms, "discriminator_loss": loss}

    def _seed_dropout(self) -> None:
        """Makes the dropout masks of this step a function of (layer's seed, step, replica); the passes of a step differ."""
        for place, layer in enumerate(self._dropouts):
            own = self.seed + place if layer.seed is None else layer.seed
            seed = tf.constant(own, tf.int64) + replicas.seed_offset()
            key = tf.stack([seed, 4 * tf.convert_to_tensor(self.step)])
            state = layer.seed_generator.state
            state.assign(tf.cast(key, state.dtype))
