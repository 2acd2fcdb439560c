"""Tuning the generator with the PIR estimator as one more loss (section 2.4).

    L_PIR       = E_{z ~ N(0, I), c ~ C}[R(G(z, c))]
    L_generator = L_fake_image_fools + w_fake_class L_fake_class + w_PIR L_PIR

The tuner is the ACGAN with that one term: its train step, latents, classes and dropout are the same, so with w_PIR = 0 a
tuning step is an ACGAN step. The discriminator goes on training (2.3); the estimator R is frozen, called in inference mode
and at the temperature that it was saved with (0.01, C.3).

The estimator comes as a saved model from images to PIR: nothing here knows what people (or objectives) are behind it.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pir_tf.estimator.frozen import fast_frozen
from pir_tf.gan import losses
from pir_tf.gan.acgan import ACGAN
from pir_tf.training.callbacks import is_due

GRADIENT_NAMES = {
    "L_fake_image_fools": "gradient_fools",
    "L_saturating": "gradient_fools",
    "L_fake_class": "gradient_fake_class",
    "L_PIR": "gradient_pir",
}
"""The generator's terms, and the columns of the log that hold their gradients' norms (one of the first two is there)."""
GRADIENT_COLUMNS = tuple(dict.fromkeys(GRADIENT_NAMES.values()))


class Tuner(ACGAN):
    """An ACGAN whose generator also maximises the estimated PIR of its images.

    Args:
        generator, discriminator: the pretrained networks.
        estimator: a model of images float32 `[batch, 64, 64, 3]` in [-1, 1] to PIR `[batch]` or `[batch, 1]` in [0, 1].
            It is frozen here.
        pir_weight: w_PIR.
        fast: compute the passes by the cheaper, equal forms of `gan.fast` and `estimator.frozen` (made for CPUs).
        **settings: those of `ACGAN`.

    Source: 2.4. Deviation: D19 (both networks go on, with fresh optimizer state).
    """

    log_names = (*ACGAN.log_names, "L_PIR")

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        estimator: keras.Model,
        *,
        pir_weight: float,
        fast: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(generator, discriminator, fast=fast, **settings)
        estimator.trainable = False
        # Functions, so that Keras tracks none of the estimator's variables as the tuner's own.
        stock = functools.partial(estimator.__call__, training=False)
        self._estimate = fast_frozen(estimator) if fast else stock
        self.pir_weight = pir_weight

    def estimated_pir(self, images: tf.Tensor) -> tf.Tensor:
        """R(images): float32 `[batch]` in [0, 1], of images `[batch, 64, 64, 3]` in [-1, 1]."""
        return tf.reshape(self._estimate(images), (-1,))

    def generator_terms(self, fake_images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The ACGAN's terms and L_PIR, the mean estimated PIR of the batch."""
        terms = super().generator_terms(fake_images, labels)
        return {**terms, "L_PIR": losses.mean(self.estimated_pir(fake_images))}

    def generator_objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator with the term w_PIR L_PIR, a scalar to maximise. Source: 2.4."""
        return super().generator_objective(terms) + self.pir_weight * terms["L_PIR"]

    def gradient_norms(self, batch_size: int) -> dict[str, tf.Tensor]:
        """How hard each weighted term pulls at the generator's weights, on this step's own latents.

        Args:
            batch_size: images to take.

        Returns:
            The L2 norm over all of the generator's variables of the gradient of each weighted term, by `gradient_fools`,
            `gradient_fake_class` and `gradient_pir`.

        Source: 2.4 ("this made the magnitude of the PIR loss and the other loss terms roughly comparable").
        """
        source = "L_saturating" if self.saturating else "L_fake_image_fools"
        weights = {source: self.fools_weight, "L_fake_class": self.fake_class_weight, "L_PIR": self.pir_weight}
        z, labels = self.draw(tf.constant(batch_size))
        with tf.GradientTape(persistent=True) as tape:
            # By the stock layers: three gradients through a compiled generator would be compiled three times.
            images = self.generator([z, tf.one_hot(labels, self.class_count)])
            terms = self.generator_terms(images, labels)
            weighted = {name: weight * terms[name] for name, weight in weights.items()}
        variables = self.generator.trainable_variables
        norms = {name: tf.linalg.global_norm(tape.gradient(value, variables)) for name, value in weighted.items()}
        return {GRADIENT_NAMES[name]: norm for name, norm in norms.items()}


class LogGradientNorms(keras.callbacks.Callback):
    """Measures the gradient norms every so many steps and warns when the estimator has nothing more to say.

    At temperature 0.01 the softmax is almost a maximum: once one bin holds all of the mass, its gradient is exactly 0 in
    float32. Put it before the callback that writes the log.

    Args:
        tuner: the model in training.
        every: steps between two measures.
        batch_size: images of a measure.
        patience: measures in a row with a gradient of zero before the warning.
    """

    def __init__(self, tuner: Tuner, *, every: int, batch_size: int, patience: int = 3) -> None:
        super().__init__()
        self._tuner, self._every, self._patience = tuner, every, patience
        self._zeros = 0
        measure = functools.partial(tuner.gradient_norms, batch_size)
        first = functools.partial(_first, tuner.distribute_strategy, measure)
        self._norms = tf.function(first, autograph=False, jit_compile=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the columns `gradient_*` to the logs when it is time."""
        if not is_due(int(self._tuner.step.numpy()), self._every, self.params["steps"]):
            return
        norms = {name: float(value) for name, value in self._norms().items()}
        if logs is not None:
            logs.update(norms)
        self._zeros = self._zeros + 1 if norms["gradient_pir"] == 0 and self._tuner.pir_weight > 0 else 0
        if self._zeros == self._patience:
            warnings.warn(
                f"The gradient of the PIR term was exactly 0 in {self._zeros} measures in a row: the estimator is certain of "
                "one bin for every image; a higher --estimator.temperature gives it something to say.",
                stacklevel=2,
            )


def _first(strategy: tf.distribute.Strategy, measure: Callable[[], dict[str, tf.Tensor]]) -> dict[str, tf.Tensor]:
    """What the first replica measures; all of them measure the same."""
    return {name: strategy.experimental_local_results(value)[0] for name, value in strategy.run(measure).items()}


class SampleTruePIR(keras.callbacks.Callback):
    """Adds the column `true_pir` every so many steps, for display alone: it chooses no step, stop or setting.

    Args:
        tuner: the model in training.
        every: steps between two samples.
        true_pir: the mean true PIR of the generator as it is; given by the experiment, which alone knows the truth.
    """

    def __init__(self, tuner: Tuner, *, every: int, true_pir: Callable[[keras.Model], float]) -> None:
        super().__init__()
        self._tuner, self._every, self._true_pir = tuner, every, true_pir

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Samples when it is time."""
        if logs is not None and is_due(int(self._tuner.step.numpy()), self._every, self.params["steps"]):
            logs["true_pir"] = self._true_pir(self._tuner.generator)
