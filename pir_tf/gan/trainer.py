"""What every training of a generator here has in common: latents and classes drawn by step, means as logs, the state to resume.

They are the ACGAN (2.1), the tuner, which is an ACGAN with one more term (2.4), and the tuners without a discriminator.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pir_tf.training import replicas
from pir_tf.training.checkpoints import state_of
from pir_tf.training.steps import SteppedModel


def draw(
    seed: int, step: keras.Variable | tf.Tensor, batch_size: int | tf.Tensor, *, latent_size: int, class_count: int
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


class Optimizers:
    """What Keras callbacks find at `model.optimizer`: learning-rate callbacks move every optimizer of the list."""

    def __init__(self, optimizers: list[keras.optimizers.Optimizer]) -> None:
        self.optimizers = optimizers
        self.built = True  # as `compile` builds each


class GeneratorTrainer(SteppedModel):
    """A generator in training. A subclass has the step itself, `step_of`.

    Args:
        generator: `[z, class_one_hot]` to images in [-1, 1].
        seed: seed of latents and classes, which are functions of (seed, step), so that a resumed run repeats an unbroken one.
        name: the model's name.
        more_logs: names that a step logs beside those of the class.
    """

    log_names: tuple[str, ...] = ()
    """What a step logs."""

    def __init__(self, generator: keras.Model, *, seed: int, name: str, more_logs: tuple[str, ...] = ()) -> None:
        super().__init__(name=name)
        self.generator, self.seed = generator, seed
        self.latent_size: int = generator.inputs[0].shape[-1]
        self.class_count: int = generator.inputs[1].shape[-1]
        first = "only_first_replica"  # all replicas count the same
        self.step = keras.Variable(0, dtype="int64", trainable=False, aggregation=first, name="step")
        # All made here: Keras takes no new ones once the model has been called.
        self._means = {log: keras.metrics.Mean(name=log) for log in (*self.log_names, *more_logs)}
        self.built = True  # as the networks are

    def networks(self) -> dict[str, keras.Model]:
        """The networks in training, the generator first, or the part of it that is trained."""
        return {"generator": self.generator}

    @property
    def trained_variables(self) -> list[keras.Variable]:
        """What the generator's optimizer moves."""
        return next(iter(self.networks().values())).trainable_variables

    def compile(  # type: ignore[override]
        self,
        generator_optimizer: keras.optimizers.Optimizer,
        discriminator_optimizer: Any = None,
        *,
        jit_compile: bool = False,
        run_eagerly: bool = False,
    ) -> None:
        """Sets an optimizer for each network and builds its state, so that a checkpoint can be restored before the first step.

        Source: C.2 (Adam for the generator, RMSProp for the discriminator).
        """
        super().compile(optimizer=None, jit_compile=jit_compile, run_eagerly=run_eagerly)
        self.generator_optimizer, self.discriminator_optimizer = generator_optimizer, discriminator_optimizer
        optimizers = [one for one in (generator_optimizer, discriminator_optimizer) if one is not None]
        for network, optimizer in zip(self.networks().values(), optimizers, strict=True):
            optimizer.build(network.trainable_variables)
        self.optimizer = Optimizers(optimizers)

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Images of `[z, class_one_hot]`, in inference mode always."""
        del training
        return self.generator(inputs, training=False)

    def draw(self, batch_size: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents z ~ N(0, I), float32 `[batch, latent]`, and classes c ~ C uniform, int32 `[batch]`, of this step."""
        return draw(self.seed, self.step, batch_size, latent_size=self.latent_size, class_count=self.class_count)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step on real data, or on blanks, and on the latents and classes that belong to it.

        Args:
            data: tensors with a row for each image that is to be made.

        Returns:
            The mean of each term over the steps since the epoch began, in the paper's signs (log-likelihoods), and of the losses
            that were minimised.
        """
        share = replicas.share(tf.shape(tf.nest.flatten(data)[0])[0])
        z, labels = (share.of(whole) for whole in self.draw(share.total))
        data = replicas.never_empty(data)
        return self.compiled_update(data, z, labels) if self.by_xla else self.step_of(data, z, labels, share)

    def update(self, data: Any, z: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The step on one device, which has all rows."""
        return self.step_of(data, z, labels, replicas.share(tf.shape(labels)[0]))

    def step_of(self, data: Any, z: tf.Tensor, labels: tf.Tensor, share: replicas.Share) -> dict[str, tf.Tensor]:
        """The step on this replica's share of real data, or of blanks, latents and classes: updates, and returns the logs."""
        raise NotImplementedError

    def state(self) -> dict[str, keras.Variable]:
        """Every variable that the next step depends on, by name: what a checkpoint holds."""
        return state_of(self.networks(), self.optimizer.optimizers, step=self.step)

    def columns(self, *measures: str) -> tuple[str, ...]:
        """The columns of the log: what a step logs, and the measures that callbacks add."""
        own = type(self).log_names
        return (*own, *measures, *(name for name in self._means if name not in own))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means, which `fit` sets back at every epoch."""
        return list(self._means.values())

    def mean_logs(self, share: replicas.Share, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """What a step returns: means over the steps since the epoch began, of this replica's means over its rows."""
        for name, value in share.mean(logs).items():
            self._means[name].update_state(value)
        return replicas.logs({name: self._means[name].result() for name in logs})
