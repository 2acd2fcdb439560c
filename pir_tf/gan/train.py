"""Pretraining of the ACGAN (C.2): the model, its callbacks, and one call of `fit` that resumes from a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pir_tf.config import GanConfig, decisive_fields, derived_seed
from pir_tf.data.sources import ImageSet, batches
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.swd import sliced_wasserstein
from pir_tf.images import grid, save_png
from pir_tf.training import checkpoints, replicas
from pir_tf.training.callbacks import HistoryCSV, StopOnNonFinite, is_due

DISTANCE_IMAGES = 500
TERMS = ("L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class")
COLUMNS = (*TERMS, "discriminator_loss", "generator_loss", "swd")


def build_acgan(config: GanConfig, *, class_count: int, seed: int, fast: bool = False) -> ACGAN:
    """Both networks with fresh weights inside an ACGAN, not compiled yet; `fast` as there.

    Source: C.2.
    """
    generator_seed, discriminator_seed, step_seed = (
        derived_seed(seed, purpose) for purpose in ("generator", "discriminator", "gan steps")
    )
    return ACGAN(
        build_generator(class_count, latent_size=config.latent_size, seed=generator_seed),
        build_discriminator(class_count, dropout=config.dropout, seed=discriminator_seed),
        seed=step_seed,
        fake_class_weight=config.fake_class_weight,
        real_class_weight=config.real_class_weight,
        loss=config.loss,
        fast=fast,
    )


def optimizers(
    generator_learning_rate: float, discriminator_learning_rate: float, adam_beta_1: float
) -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
    """Adam for the generator and RMSProp for the discriminator.

    Source: C.2. Deviation: D20 (RMSProp's other values are Keras's).
    """
    adam = keras.optimizers.Adam(generator_learning_rate, beta_1=adam_beta_1, name="generator_adam")
    return adam, keras.optimizers.RMSprop(discriminator_learning_rate, name="discriminator_rmsprop")


def log_columns(acgan: ACGAN, columns: Sequence[str]) -> tuple[str, ...]:
    """The log's columns, and with the saturating loss of 2.1 its term's too."""
    return (*columns, "L_saturating") if acgan.saturating else tuple(columns)


def train_acgan(
    acgan: ACGAN,
    image_set: ImageSet,
    config: GanConfig,
    directory: Path,
    *,
    seed: int,
    jit_compile: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> None:
    """Trains to `config.steps`, going on from the newest checkpoint in `directory` when there is one.

    Writes `history.csv`, `checkpoints/`, `samples/step-*.png`, `tensorboard/` and, with `config.keep` "best", leaves the
    networks at the weights with the smallest sliced Wasserstein distance to the real images.

    Args:
        acgan: from `build_acgan`.
        image_set: real images.
        config: the gan section.
        directory: the stage's directory.
        seed: the experiment's seed.
        jit_compile: whether XLA compiles the step.
        callbacks: more callbacks, such as a progress bar.
    """
    image_set.require_at_least(config.batch_size)
    directory.mkdir(parents=True, exist_ok=True)
    rates = (config.generator_learning_rate, config.discriminator_learning_rate)
    compile_acgan(acgan, *rates, config.adam_beta_1, jit_compile=jit_compile)
    made_by = {**decisive_fields("gan", config), "seed": seed, "images": image_set.digest}
    first = checkpoints.restore_latest(directory / "checkpoints", acgan.state(), made_by)
    replicas.require_one_step(acgan.distribute_strategy, first, directory / "checkpoints")
    measure = _MeasureAndSample(
        acgan, image_set, directory, every=config.sample_every, seed=derived_seed(seed, "samples")
    )
    done = lambda: int(acgan.step.numpy())  # noqa: E731
    is_chief = replicas.is_chief(acgan.distribute_strategy)
    everywhere: list[keras.callbacks.Callback] = [_DecayLearningRates(acgan, config), StopOnNonFinite()]
    writing: list[keras.callbacks.Callback] = [
        measure,
        HistoryCSV(directory / "history.csv", columns=log_columns(acgan, COLUMNS), step=done),
        checkpoints.SaveCheckpoints(
            directory / "checkpoints",
            every=config.checkpoint_every,
            minutes=config.checkpoint_minutes,
            state=acgan.state,
            step=done,
            made_by=made_by,
        ),
    ]
    if config.tensorboard:
        writing.append(keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False))
    data_seed = derived_seed(seed, "real images")
    acgan.fit(
        training_data(acgan, image_set, batch_size=config.batch_size, seed=data_seed, first_step=first),
        epochs=config.steps // config.log_every,
        steps_per_epoch=config.log_every,
        initial_epoch=first // config.log_every,
        shuffle=False,
        callbacks=[*everywhere, *(writing if is_chief else []), *callbacks],
        verbose=0,
    )
    if config.keep == "best" and is_chief:
        measure.restore_best()


def compile_acgan(acgan: ACGAN, *rates: float, jit_compile: bool) -> None:
    """Gives an ACGAN, or a tuner, its `optimizers`, on the devices that its networks are on."""
    with acgan.distribute_strategy.scope():
        acgan.compile(*optimizers(*rates), jit_compile=jit_compile)


def training_data(acgan: ACGAN, image_set: ImageSet, *, batch_size: int, seed: int, first_step: int) -> Any:
    """Class-balanced batches for `fit`, from `first_step` on; several processes get disjoint shares of the images."""

    def stream(part: replicas.Part) -> tf.data.Dataset:
        images = image_set.part(part.index, part.count)
        return batches(images, batch_size=part.batch_size, seed=seed + part.seed_offset, first_step=first_step)

    return replicas.distributed(acgan.distribute_strategy, stream, batch_size=batch_size)


class _DecayLearningRates(keras.callbacks.Callback):
    """Lets both rates fall linearly to 0 in the last `config.decay_steps` steps, as a function of the step alone."""

    def __init__(self, acgan: ACGAN, config: GanConfig) -> None:
        super().__init__()
        self._acgan, self._config = acgan, config

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rates of the epoch, whatever a restored checkpoint held."""
        config = self._config
        left = config.steps - int(self._acgan.step.numpy())
        share = min(1.0, left / config.decay_steps) if config.decay_steps else 1.0
        self._acgan.generator_optimizer.learning_rate = share * config.generator_learning_rate
        self._acgan.discriminator_optimizer.learning_rate = share * config.discriminator_learning_rate


class _MeasureAndSample(keras.callbacks.Callback):
    """Every so many steps: a grid of samples from fixed latents, the distance to the real images, the best weights."""

    def __init__(self, acgan: ACGAN, image_set: ImageSet, directory: Path, *, every: int, seed: int) -> None:
        super().__init__()
        self._acgan, self._directory, self._every, self._seed = acgan, directory, every, seed
        rng = np.random.default_rng(seed)
        # Classes uniform and images class-balanced, as the generated ones are (D16).
        labels = rng.integers(0, acgan.class_count, DISTANCE_IMAGES)
        self._real = np.stack([image_set.images[rng.choice(np.flatnonzero(image_set.labels == c))] for c in labels])
        self._latents = draw_latents(
            DISTANCE_IMAGES, latent_size=acgan.latent_size, class_count=acgan.class_count, seed=seed
        )
        self._best_path = directory / "best.npz"
        self._best = np.inf

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Knows the best distance so far from the file that holds its weights."""
        if self._best_path.exists():
            try:
                with np.load(self._best_path) as stored:
                    self._best = float(stored["swd"])
            except checkpoints.DAMAGE as error:
                warnings.warn(f"{self._best_path} is damaged ({error}); the best is sought from here on.", stacklevel=2)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Adds the column `swd` to the logs when it is time."""
        step = int(self._acgan.step.numpy())
        if not is_due(step, self._every, self.params["steps"]):
            return
        images = generate(self._acgan.generator, *self._latents)
        distance = sliced_wasserstein(images, self._real, seed=self._seed)
        if logs is not None:
            logs["swd"] = distance
        samples = self._directory / "samples"
        samples.mkdir(exist_ok=True)
        order = np.argsort(self._latents[1][:64], kind="stable")
        save_png(samples / f"step-{step:09d}.png", grid(images[:64][order], columns=8))
        if distance < self._best:
            self._best = distance
            checkpoints.save(self._best_path, {**_weights(self._acgan), "swd": distance, "step": step})

    def restore_best(self) -> None:
        """Sets the networks to the weights with the smallest distance."""
        if self._best_path.exists():
            facts = {name: _Fact() for name in ("swd", "step")}
            checkpoints.restore(self._best_path, {**_weights(self._acgan), **facts})


class _Fact:
    """A number beside the weights, which a restore passes over. No variable: several processes make theirs together."""

    shape = ()

    def assign(self, value: Any) -> None:
        """Does nothing."""


def _weights(acgan: ACGAN) -> dict[str, Any]:
    state = acgan.state()
    return {name: value for name, value in state.items() if name.startswith(("generator/", "discriminator/"))}
