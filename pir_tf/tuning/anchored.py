"""Tuning a generator that has no discriminator: an anchor to its own start takes the place of L_fake_image_fools (2.4).

    L_PIR       = E_{z ~ N(0, I), c ~ C}[R(G(z, c))]
    L_anchor    = E_{z, c}[mean over pixels of (G(z, c) - G_0(z, c))^2]
    L_generator = w_PIR L_PIR - w_anchor L_anchor

G_0 is the generator before tuning; both make their images, of values in [-1, 1], from the same latents. No real image is
needed. What the anchor can't do: a discriminator knows how images vary, so it lets whole images change as long as they look
real, while the anchor holds each image where it was.

Latents and classes of a step are functions of (seed, step), as in the ACGAN, so a resumed run repeats an unbroken one.
"""

from __future__ import annotations

import functools
from typing import Any

import keras
import tensorflow as tf

from pir_tf.estimator.frozen import fast_frozen
from pir_tf.gan.acgan import OptimizerPair, draw
from pir_tf.training import replicas

ANCHORED_COLUMNS = ("L_PIR", "L_anchor", "generator_loss", "gradient_pir", "gradient_anchor", "true_pir")
"""Columns of the log of such a tuning."""


class AnchoredTuner(replicas.BuiltModel):
    """A generator that maximises the estimated PIR of its images and stays near those that it made before.

    Args:
        generator: `[z, class_one_hot]` to images float32 `[batch, h, w, 3]` in [-1, 1].
        start: The same generator with weights of its own, which stay as they are: G_0.
        estimator: A model of such images to PIR `[batch]` or `[batch, 1]` in [0, 1]. It is frozen here.
        seed: Seed of latents and classes.
        pir_weight: w_PIR.
        anchor_weight: w_anchor.
        fast: Compute the estimator by the cheaper, equal form of `estimator.frozen` (made for CPUs).

    Source: 2.4. Not the paper's: the anchor.
    """

    log_names = ("L_PIR", "L_anchor", "generator_loss")

    def __init__(
        self,
        generator: keras.Model,
        start: keras.Model,
        estimator: keras.Model,
        *,
        seed: int,
        pir_weight: float,
        anchor_weight: float,
        fast: bool = False,
    ) -> None:
        super().__init__(name="anchored_tuner")
        self.generator = generator
        start.trainable = False
        estimator.trainable = False
        # Functions, so that Keras tracks none of their variables as the tuner's own.
        self._start = functools.partial(start.__call__, training=False)
        self._estimate = fast_frozen(estimator) if fast else functools.partial(estimator.__call__, training=False)
        self.seed = seed
        self.pir_weight, self.anchor_weight = pir_weight, anchor_weight
        self.latent_size: int = generator.inputs[0].shape[-1]
        self.class_count: int = generator.inputs[1].shape[-1]
        first = "only_first_replica"  # all replicas count the same
        self.step = keras.Variable(0, dtype="int64", trainable=False, aggregation=first, name="step")
        self.built = True  # as the generator is
        self._means = {name: keras.metrics.Mean(name=name) for name in self.log_names}

    def compile(self, generator_optimizer: keras.optimizers.Optimizer, *, jit_compile: bool = False) -> None:
        """Sets the optimizer and builds its state, so that a checkpoint can be restored before the first step."""
        super().compile(optimizer=None, jit_compile=jit_compile)
        self.generator_optimizer = generator_optimizer
        generator_optimizer.build(self.generator.trainable_variables)
        self.optimizer = OptimizerPair([generator_optimizer])

    def call(self, inputs: list[tf.Tensor], training: bool = False) -> tf.Tensor:
        """Images of `[z, class_one_hot]`, in inference mode always."""
        del training
        return self.generator(inputs, training=False)

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One update of the generator.

        Args:
            data: Only the number of its rows counts, the images of the step: `steps` gives it.

        Returns:
            The mean of each term over the steps since the epoch began, and of the loss that was minimised.
        """
        variables = self.generator.trainable_variables
        share = replicas.share(tf.shape(data)[0])
        z, labels = (share.of(whole) for whole in self.draw(share.total))
        with tf.GradientTape() as tape:
            terms = self.terms(z, labels)
            loss = -self.objective(terms)
            part = share.scaled(loss)
        self.generator_optimizer.apply(tape.gradient(part, variables), variables)
        self.step.assign_add(1)
        logs = share.mean({**terms, "generator_loss": loss})
        for name, value in logs.items():
            self._means[name].update_state(value)
        return replicas.logs({name: self._means[name].result() for name in logs})

    def draw(self, batch_size: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Latents z ~ N(0, I), float32 `[batch, latent]`, and classes c ~ C uniform, int32 `[batch]`, of this step."""
        return draw(self.seed, self.step, batch_size, latent_size=self.latent_size, class_count=self.class_count)

    def terms(self, z: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """L_PIR and L_anchor of a batch: mean estimated PIR, and mean squared difference from the start."""
        inputs = [z, tf.one_hot(labels, self.class_count)]
        images = self.generator(inputs, training=False)
        moved = tf.square(images - tf.stop_gradient(self._start(inputs)))
        return {"L_PIR": tf.reduce_mean(self._estimate(images)), "L_anchor": tf.reduce_mean(moved)}

    def objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator, a scalar to maximise, of what `terms` returned."""
        return self.pir_weight * terms["L_PIR"] - self.anchor_weight * terms["L_anchor"]

    def gradient_norms(self, batch_size: int) -> dict[str, tf.Tensor]:
        """How hard each weighted term pulls at the generator's weights, on this step's own latents.

        Returns:
            The L2 norm over all of the generator's variables of the gradient of each weighted term, by `gradient_pir` and
            `gradient_anchor`, which is 0 at the start.
        """
        variables = self.generator.trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            terms = self.terms(*self.draw(batch_size))
            weighted = {
                "gradient_pir": self.pir_weight * terms["L_PIR"],
                "gradient_anchor": self.anchor_weight * terms["L_anchor"],
            }
        return {name: tf.linalg.global_norm(tape.gradient(value, variables)) for name, value in weighted.items()}

    def state(self) -> dict[str, keras.Variable]:
        """Every variable that the next step depends on, by name: what a checkpoint holds.

        Numbered, since two weights of somebody else's generator may have one name.
        """
        groups = {"generator": self.generator.weights, "generator_optimizer": self.generator_optimizer.variables}
        named = {f"{group}/{i:03d}/{v.path}": v for group, vs in groups.items() for i, v in enumerate(vs)}
        return {**named, "step": self.step}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The running means, which `fit` sets back at every epoch."""
        return list(self._means.values())


def steps(tuner: AnchoredTuner, batch_size: int) -> Any:
    """What `fit` goes through: endless batches of nothings, since a step draws its own latents."""

    def stream(part: replicas.Part) -> tf.data.Dataset:
        return tf.data.Dataset.from_tensors(tf.zeros(part.batch_size)).repeat()

    return replicas.distributed(tuner.distribute_strategy, stream, batch_size=batch_size)
