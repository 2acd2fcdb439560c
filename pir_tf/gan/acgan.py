"""The ACGAN as one Keras model with two optimizers and one train step (sections 2.1, C.1, C.2).

One step: the generator makes a batch; the discriminator is updated on it and on real images, in separate passes; then the
generator is updated through the discriminator just updated. Both updates see the same generated batch.

The generator's update leaves every variable of the discriminator alone, moving statistics included: its pass uses batch
statistics and discards the new state (`stateless_call`, deviation D18).

Latents and classes of a step are functions of (seed, step), dropout masks of (their layer's seed, step), so that a resumed
run repeats an unbroken one. Under a strategy of `tf.distribute` a step does the same on its replicas together
(`pir_tf.training.replicas`): they share one batch of latents and of real images, and only dropout masks differ.
The tuner (`pir_tf.tuning.tuner`) is this class with one more term in `generator_terms`.
"""

from __future__ import annotations

import functools

import keras
import tensorflow as tf

from pir_tf.gan import losses
from pir_tf.gan.fast import fast_discriminator, fast_generator
from pir_tf.training import replicas
from pir_tf.training.checkpoints import random_states


def draw(
    seed: int, step: keras.Variable, batch_size: int | tf.Tensor, *, latent_size: int, class_count: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Latents z ~ N(0, I), float32 `[batch, latent]`, and classes c ~ C uniform, int32 `[batch]`, of a step.

    Source: C.1. Deviation: D16.
    """
    key = tf.stack([tf.constant(seed, tf.int64), tf.convert_to_tensor(step)])
    # Philox by name: "auto" may choose another generator on another device.
    z_key, class_key = tf.unstack(tf.random.split(tf.cast(key, tf.int32), 2, alg="philox"))
    z = tf.random.stateless_normal((batch_size, latent_size), z_key, alg="philox")
    labels = tf.random.stateless_uniform((batch_size,), class_key, maxval=class_count, dtype=tf.int32, alg="philox")
    return z, labels


class OptimizerPair:
    """What Keras callbacks find at `model.optimizer`: learning-rate callbacks move every optimizer of the list."""

    def __init__(self, optimizers: list[keras.optimizers.Optimizer]) -> None:
        self.optimizers = optimizers
        self.built = True  # `ACGAN.compile` builds both


class ACGAN(replicas.BuiltModel):
    """Generator and discriminator trained against each other.

    Args:
        generator: `[z, class_one_hot]` to images in [-1, 1], as `gan.networks.build_generator` makes it.
        discriminator: images to `[u, class_logits]`, as `gan.networks.build_discriminator` makes it.
        seed: seed of latents and classes; the dropout layers bring their own.
        fools_weight: weight of L_fake_image_fools, 1 but for section 5.1.
        fake_class_weight: w_fake_class.
        real_class_weight: w_real_class.
        loss: what the generator maximises of the source: L_fake_image_fools (`non_saturating`), or -L_fake_image
            (`saturating`), which is then logged as `L_saturating`. Source: 2.1.
        fast: compute the networks' passes in training by the cheaper, equal forms of `gan.fast` (made for CPUs).

    Source: C.1. Deviation: D16 (classes uniform).
    """

    log_names: tuple[str, ...] = (
        *("L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class"),
        *("discriminator_loss", "generator_loss"),
    )
    """What a step logs. A subclass with more terms adds theirs."""

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
        super().__init__(name="acgan")
        self.saturating = loss == "saturating"
        if self.saturating:
            self.log_names = (*self.log_names, "L_saturating")
        self.generator = generator
        self.discriminator = discriminator
        self.seed = seed
        self.fools_weight = fools_weight
        self.fake_class_weight = fake_class_weight
        self.real_class_weight = real_class_weight
        self.latent_size: int = generator.inputs[0].shape[-1]
        self.class_count: int = generator.inputs[1].shape[-1]
        first = "only_first_replica"  # all replicas count the same
        self.step = keras.Variable(0, dtype="int64", trainable=False, aggregation=first, name="step")
        replicas.synchronize(discriminator)
        stock = lambda z, class_one_hot: generator([z, class_one_hot])  # noqa: E731
        self._generate = fast_generator(generator, compiled=True) if fast else stock
        self._fast_discriminator = fast_discriminator(discriminator) if fast else None
        # At rate 0 a Dropout layer has no seed generator.
        self._dropouts = [d for d in discriminator.layers if isinstance(d, keras.layers.Dropout) and d.rate > 0]
        self.built = True  # as both networks are
        # All made here: Keras takes no new ones once the model has been called.
        self._means = {name: keras.metrics.Mean(name=name) for name in self.log_names}

    def compile(
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: keras.optimizers.Optimizer,
        *,
        jit_compile: bool = False,
        run_eagerly: bool = False,
    ) -> None:
        """Sets both optimizers and builds their state, so that a checkpoint can be restored before the first step.

        Source: C.2 (Adam for the generator, RMSProp for the discriminator).
        """
        super().compile(optimizer=None, jit_compile=jit_compile, run_eagerly=run_eagerly)
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        discriminator_optimizer.build(self.discriminator.trainable_variables)
        self.optimizer = OptimizerPair([generator_optimizer, discriminator_optimizer])

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Images of `[z, class_one_hot]`: the generator has no layer that differs in training."""
        del training
        z, class_one_hot = inputs
        return self._generate(z, class_one_hot)

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One update of the discriminator, then one of the generator.

        Args:
            data: real images float32 `[batch, 64, 64, 3]` in [-1, 1] and their classes int32 `[batch]`.

        Returns:
            The mean of each term over the steps since the epoch began, in the paper's signs (log-likelihoods), and the two
            losses that were minimised.
        """
        share = replicas.share(tf.shape(data[0])[0])
        real_images, real_labels = replicas.never_empty(data)
        z, labels = (share.of(whole) for whole in self.draw(share.total))
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
        return self._mean_logs(share, {**logs, **terms, "generator_loss": generator_loss})

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
        return self._mean_logs(share, logs)

    def draw(self, batch_size: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents z ~ N(0, I), float32 `[batch, latent]`, and classes c ~ C uniform, int32 `[batch]`, of this step."""
        return draw(self.seed, self.step, batch_size, latent_size=self.latent_size, class_count=self.class_count)

    def generator_terms(self, fake_images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The terms that the generator maximises, of a batch it made. Changes no variable of the discriminator."""
        u, class_logits = self._judge(fake_images, update=False)
        fools, fake_class = losses.fake_image_fools(u), losses.image_class(class_logits, labels)
        terms = {"L_fake_image_fools": fools, "L_fake_class": fake_class}
        return {**terms, "L_saturating": losses.saturating(u)} if self.saturating else terms

    def generator_objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator, a scalar to maximise, of what `generator_terms` returned."""
        return losses.generator(
            terms["L_saturating" if self.saturating else "L_fake_image_fools"],
            terms["L_fake_class"],
            fools_weight=self.fools_weight,
            fake_class_weight=self.fake_class_weight,
        )

    def state(self) -> dict[str, keras.Variable]:
        """Every variable that the next step depends on, by name: what a checkpoint holds.

        The states of random generators are in it for networks with other noise than dropout: a dropout layer's is set at each
        step, from the layer's seed and the step.
        """
        groups = {
            "generator": self.generator.weights,
            "discriminator": self.discriminator.weights,
            "generator_optimizer": self.generator_optimizer.variables,
            "discriminator_optimizer": self.discriminator_optimizer.variables,
        }
        named = {f"{group}/{v.path}": v for group, variables in groups.items() for v in variables}
        return {**named, **random_states([self.generator, self.discriminator]), "step": self.step}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means, which `fit` sets back at every epoch."""
        return list(self._means.values())

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
        for layer in self._dropouts:
            seed = tf.constant(layer.seed, tf.int64) + replicas.seed_offset()
            key = tf.stack([seed, 4 * tf.convert_to_tensor(self.step)])
            state = layer.seed_generator.state
            state.assign(tf.cast(key, state.dtype))

    def _mean_logs(self, share: replicas.Share, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        for name, value in share.mean(logs).items():
            self._means[name].update_state(value)
        return replicas.logs({name: self._means[name].result() for name in logs})
