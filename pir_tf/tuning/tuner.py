"""Tuning the generator with the PIR estimator as one more loss (section 2.4).

    L_PIR       = E_{z ~ N(0, I), c ~ C}[R(G(z, c))]
    L_generator = L_fake_image_fools + w_fake_class L_fake_class + w_PIR L_PIR

The tuner is the ACGAN with that one term: its train step, latents, classes and dropout are the same, so with w_PIR = 0 a
tuning step is an ACGAN step. The discriminator goes on training (2.3); the estimator R is frozen, called in inference mode
and at the temperature that it was saved with (0.01, C.3).

The estimator comes as a model from images to PIR: nothing here knows what people (or objectives) are behind it.
"""

from __future__ import annotations

import functools
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pir_tf.estimator.frozen import fast_frozen
from pir_tf.estimator.linear import LinearEstimator, objective
from pir_tf.estimator.model import PIREstimator
from pir_tf.gan import losses
from pir_tf.gan.acgan import ACGAN, LOSSES, TERMS
from pir_tf.gan.trainer import GeneratorTrainer
from pir_tf.training import replicas
from pir_tf.training.callbacks import Measure
from pir_tf.tuning.spikes import GradientLimit

WEIGHING_BATCHES = 8
"""Batches whose gradients are compared before the first step."""
LIMITED = "pir_gradient_scale"
"""Column of the log: what the gradient of L_PIR at the images was multiplied by, in the mean of the row's steps."""


class PIRTerm(GeneratorTrainer):
    """A generator in training whose objective has the term w_PIR L_PIR: what all tuners share."""

    pir_weight: float | keras.Variable
    gradient_columns: tuple[str, ...]
    """Columns of the log that hold the norms of the weighted terms' gradients."""

    def use_estimator(
        self, estimator: keras.Model, *, pir_weight: float, fast: bool, pir_gradient_limit: float = 0.0
    ) -> None:
        """Freezes the estimator and takes it as R; 0 limits none of its gradients."""
        if isinstance(estimator, PIREstimator):
            estimator = estimator.pir_model
        elif isinstance(estimator, LinearEstimator):
            estimator = objective(estimator.saved_model(), 0.0)
        estimator.trainable = False
        # Functions, so that Keras tracks none of the estimator's variables as the tuner's own.
        self._estimate = fast_frozen(estimator) if fast else functools.partial(estimator.__call__, training=False)
        self.pir_weight = pir_weight
        first = "only_first_replica"  # all replicas weigh the same
        self._weighed = keras.Variable(pir_weight, trainable=False, aggregation=first, name="pir_weight")
        self._limit = GradientLimit(pir_gradient_limit) if pir_gradient_limit else None
        if self._limit:
            self._means[LIMITED] = keras.metrics.Mean(name=LIMITED)
        self._more_state: Callable[[], dict[str, keras.Variable]] = dict

    def estimated_pir(self, images: tf.Tensor) -> tf.Tensor:
        """R(images): float32 `[batch]` in [0, 1], of images `[batch, h, w, 3]` in [-1, 1]."""
        return tf.reshape(self._estimate(images), (-1,))

    def limited(self, images: tf.Tensor) -> tf.Tensor:
        """The images of a step, as the estimator is to see them: the same, but for the limit of the gradient at them."""
        return self._limit(images) if self._limit else images

    def mean_logs(self, share: replicas.Share, logs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """As without the term, and what its gradient was multiplied by, where that is limited."""
        more = {LIMITED: tf.convert_to_tensor(self._limit.scale)} if self._limit else {}
        return super().mean_logs(share, {**logs, **more})

    def weighted_terms(self, z: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """The generator's weighted terms on these latents, in the order of `gradient_columns`; nothing limits them."""
        raise NotImplementedError

    def gradient_norms(self, batch_size: int) -> dict[str, tf.Tensor]:
        """How hard each weighted term pulls at the generator's weights, on this step's own latents.

        Args:
            batch_size: images to take.

        Returns:
            The L2 norm, over all variables that are trained, of the gradient of each weighted term, by `gradient_columns`.

        Source: 2.4 ("this made the magnitude of the PIR loss and the other loss terms roughly comparable").
        """
        variables = self.trained_variables
        with tf.GradientTape(persistent=True) as tape:
            terms = self.weighted_terms(*self.draw(tf.constant(batch_size)))
        norms = [tf.linalg.global_norm(tape.gradient(term, variables)) for term in terms]
        return dict(zip(self.gradient_columns, norms, strict=True))

    def traced_norms(self, batch_size: int) -> Callable[[], dict[str, tf.Tensor]]:
        """`gradient_norms` as the first replica measures them, traced; all replicas measure the same."""
        strategy, measure = self.distribute_strategy, functools.partial(self.gradient_norms, batch_size)

        def first() -> dict[str, tf.Tensor]:
            return {
                name: strategy.experimental_local_results(value)[0] for name, value in strategy.run(measure).items()
            }

        return tf.function(first, autograph=False, jit_compile=False)

    def weigh(self, ratio: float, *, batch_size: int) -> float | None:
        """Sets w_PIR so that the gradient of w_PIR L_PIR is `ratio` times as long as that of the term that holds images real.

        Of several batches of latents that no step draws the median counts. The weight then belongs to the state, so that a
        resumed run has the same one.

        Args:
            ratio: Above 0.
            batch_size: Images of a batch.

        Returns:
            w_PIR per unit of PIR; None, and the weight stays, where one of the gradients is 0: an anchor, or KL, pulls at
            nothing at the start, and an estimator may be certain of all images.

        Source: 2.4 ("roughly comparable").
        """
        measure, pir = self.traced_norms(batch_size), "gradient_pir"
        held = next(name for name in self.gradient_columns if name != pir)
        ratios = []
        for batch in range(1, WEIGHING_BATCHES + 1):
            self.step.assign(-batch)
            norms = {name: float(value) for name, value in measure().items()}
            ratios.append(norms[held] / norms[pir] if norms[pir] else 0.0)
        self.step.assign(0)
        if not min(ratios) > 0:
            return None
        weight = float(self.pir_weight) * ratio * statistics.median(ratios)
        self._weighed.assign(weight)
        self.pir_weight = self._weighed
        return weight

    def state(self) -> dict[str, keras.Variable]:
        """As without the term, its weight where `weigh` has set it, its gradient's median, and what `keep_with_state` added."""
        weighed = {"pir_weight": self._weighed} if self.pir_weight is self._weighed else {}
        return {**super().state(), **weighed, **(self._limit.state() if self._limit else {}), **self._more_state()}

    def keep_with_state(self, more: Callable[[], dict[str, keras.Variable]]) -> None:
        """Lets checkpoints hold more variables, by names of their own: those of a callback that decides something."""
        self._more_state = more


class Tuner(PIRTerm, ACGAN):
    """An ACGAN whose generator also maximises the estimated PIR of its images.

    Args:
        generator, discriminator: the pretrained networks.
        estimator: a `PIREstimator`, or any model of images float32 `[batch, h, w, 3]` in [-1, 1] to PIR `[batch]` or
            `[batch, 1]` in [0, 1]. It is frozen here.
        pir_weight: w_PIR.
        fast: compute the passes by the cheaper, equal forms of `gan.fast` and `estimator.frozen` (made for CPUs).
        pir_gradient_limit: the factor of `spikes`, 1 or above; 0 limits nothing.
        **settings: those of `ACGAN`.

    Source: 2.4. Deviation: D19 (both networks go on, with fresh optimizer state).
    """

    log_names: tuple[str, ...] = (*TERMS, "L_PIR", *LOSSES)
    gradient_columns = ("gradient_fools", "gradient_fake_class", "gradient_pir")

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        estimator: keras.Model,
        *,
        pir_weight: float,
        fast: bool = False,
        pir_gradient_limit: float = 0.0,
        **settings: Any,
    ) -> None:
        super().__init__(generator, discriminator, fast=fast, **settings)
        self.use_estimator(estimator, pir_weight=pir_weight, fast=fast, pir_gradient_limit=pir_gradient_limit)

    def generator_terms(self, fake_images: tf.Tensor, labels: tf.Tensor) -> dict[str, tf.Tensor]:
        """The ACGAN's terms and L_PIR, the mean estimated PIR of the batch."""
        terms = super().generator_terms(fake_images, labels)
        return {**terms, "L_PIR": losses.mean(self.estimated_pir(self.limited(fake_images)))}

    def generator_objective(self, terms: dict[str, tf.Tensor]) -> tf.Tensor:
        """L_generator with the term w_PIR L_PIR, a scalar to maximise. Source: 2.4."""
        return super().generator_objective(terms) + self.pir_weight * terms["L_PIR"]

    def weighted_terms(self, z: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Those of the source, the class and the PIR."""
        # By the stock layers: three gradients through a compiled generator would be compiled three times.
        images = self.generator([z, tf.one_hot(labels, self.class_count)])
        terms = {**super().generator_terms(images, labels), "L_PIR": losses.mean(self.estimated_pir(images))}
        weights = (self.fools_weight, self.fake_class_weight, self.pir_weight)
        sources = (terms[self.source_term], terms["L_fake_class"], terms["L_PIR"])
        return tuple(w * term for w, term in zip(weights, sources, strict=True))


class LogGradientNorms(Measure):
    """Measures the gradient norms every so many steps and warns when the estimator has nothing more to say.

    At temperature 0.01 the softmax is almost a maximum: once one bin holds all of the mass, its gradient is exactly 0 in
    float32. Replicas measure together, so in a job every process needs it.

    Args:
        every: steps between two measures.
        batch_size: images of a measure.
        patience: measures in a row with a gradient of zero before the warning.
    """

    def __init__(self, every: int, *, batch_size: int, patience: int = 3) -> None:
        super().__init__(every, self._norms)
        self._batch_size, self._patience, self._zeros = batch_size, patience, 0

    def _norms(self, tuner: PIRTerm) -> dict[str, float]:
        norms = {name: float(value) for name, value in self._traced().items()}
        self._zeros = self._zeros + 1 if norms["gradient_pir"] == 0 and tuner.pir_weight > 0 else 0
        if self._zeros == self._patience:
            warnings.warn(
                f"The gradient of the PIR term was exactly 0 in {self._zeros} measures in a row: the estimator is certain of "
                "one bin for every image; a higher --estimator.temperature gives it something to say.",
                stacklevel=2,
            )
        return norms

    @functools.cached_property
    def _traced(self) -> Callable[[], dict[str, tf.Tensor]]:
        return self.model.traced_norms(self._batch_size)
