"""Pretraining of the ACGAN (C.2): the model, its data, its measures, and the training that resumes from a checkpoint."""

from __future__ import annotations

import functools
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
from pir_tf.runs.arrays import DAMAGE, read_arrays
from pir_tf.training import checkpoints, replicas
from pir_tf.training.callbacks import Measure, steps_done
from pir_tf.training.devices import is_chief
from pir_tf.training.fit import Schedule, Stream, fit_resumable

DISTANCE_IMAGES = 500


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
    generator_learning_rate: float, discriminator_learning_rate: float, adam_beta_1: float = 0.5
) -> tuple[keras.optimizers.Optimizer, keras.optimizers.Optimizer]:
    """Adam for the generator and RMSProp for the discriminator.

    Source: C.2. Deviation: D20 (RMSProp's other values are Keras's).
    """
    adam = keras.optimizers.Adam(generator_learning_rate, beta_1=adam_beta_1, name="generator_adam")
    return adam, keras.optimizers.RMSprop(discriminator_learning_rate, name="discriminator_rmsprop")


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
        callbacks: more callbacks of the chief, such as a progress bar.
    """
    image_set.require_at_least(config.batch_size)
    with acgan.distribute_strategy.scope():
        rates = (config.generator_learning_rate, config.discriminator_learning_rate)
        acgan.compile(*optimizers(*rates, config.adam_beta_1), jit_compile=jit_compile)
    sampler = _Sampler(acgan, image_set, directory, seed=derived_seed(seed, "samples"))
    fit_resumable(
        acgan,
        stream_of(image_set, derived_seed(seed, "real images")),
        Schedule.of(config, acgan.columns("swd")),
        directory,
        {**decisive_fields("gan", config), "seed": seed, "images": image_set.digest},
        callbacks=[_DecayLearningRates(config)],
        chief_callbacks=[Measure(config.sample_every, sampler.measure, last=config.steps), *callbacks],
    )
    if config.keep == "best" and is_chief():
        sampler.restore_best()


def stream_of(image_set: ImageSet, seed: int) -> Stream:
    """Class-balanced batches of real images and classes; the processes of a job get disjoint shares of them."""

    def stream(part: replicas.Part, first_step: int) -> tf.data.Dataset:
        images = image_set.part(part.index, part.count)
        return batches(images, batch_size=part.batch_size, seed=seed + part.seed_offset, first_step=first_step)

    return stream


class _DecayLearningRates(keras.callbacks.Callback):
    """Lets both rates fall linearly to 0 in the last `config.decay_steps` steps, as a function of the step alone."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self._config = config

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        config = self._config
        left = config.steps - steps_done(self.model)
        share = min(1.0, left / config.decay_steps) if config.decay_steps else 1.0
        self.model.generator_optimizer.learning_rate = share * config.generator_learning_rate
        self.model.discriminator_optimizer.learning_rate = share * config.discriminator_learning_rate


class _Sampler:
    """Grids of samples from fixed latents, their distance to the real images, and the weights where it was smallest."""

    def __init__(self, acgan: ACGAN, image_set: ImageSet, directory: Path, *, seed: int) -> None:
        self._acgan, self._directory, self._seed = acgan, directory, seed
        self._best_path = directory / "best.npz"
        if not any((directory / "checkpoints").glob("step-*.npz")):
            self._best_path.unlink(missing_ok=True)  # of a training that is begun anew
        rng = np.random.default_rng(seed)
        # Classes uniform and images class-balanced, as the generated ones are (D16).
        labels = rng.integers(0, acgan.class_count, DISTANCE_IMAGES)
        self._real = np.stack([image_set.images[rng.choice(np.flatnonzero(image_set.labels == c))] for c in labels])
        self._latents = draw_latents(
            DISTANCE_IMAGES, latent_size=acgan.latent_size, class_count=acgan.class_count, seed=seed
        )

    def measure(self, acgan: ACGAN) -> dict[str, float]:
        """The column `swd`; draws the grid, and saves the best weights, on the way."""
        step = steps_done(acgan)
        images = generate(acgan.generator, *self._latents)
        distance = sliced_wasserstein(images, self._real, seed=self._seed)
        samples = self._directory / "samples"
        samples.mkdir(exist_ok=True)
        order = np.argsort(self._latents[1][:64], kind="stable")
        save_png(samples / f"step-{step:09d}.png", grid(images[:64][order], columns=8))
        if distance < self._best:
            self._best = distance
            checkpoints.save(self._best_path, {**_weights(acgan), "swd": distance, "step": step})
        return {"swd": distance}

    @functools.cached_property
    def _best(self) -> float:
        """The smallest distance so far, known from the file that holds its weights."""
        try:
            return float(read_arrays(self._best_path)["swd"])
        except FileNotFoundError:
            return np.inf
        except DAMAGE as error:
            warnings.warn(f"{self._best_path} is damaged ({error}); the best is sought from here on.", stacklevel=2)
            return np.inf

    def restore_best(self) -> None:
        """Sets the networks to the weights with the smallest distance, if there was any measure."""
        if self._best_path.exists():
            stored = read_arrays(self._best_path)
            for name, variable in _weights(self._acgan).items():
                variable.assign(stored[name])


def _weights(acgan: ACGAN) -> dict[str, Any]:
    return {name: value for name, value in acgan.state().items() if name.startswith(("generator/", "discriminator/"))}
