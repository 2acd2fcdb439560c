"""The control: the same tuning with w_PIR 0, which shows what the GAN's own training does to PIR (2.4). Not the paper's.

It depends on the networks, real images, seed, batch and steps alone, so all objectives of a sweep share one through the cache.
Where tuning was stopped, the control has as many steps as lead to the networks that are kept.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from pir_tf.config import decisive_fields
from pir_tf.data.sources import ImageSet
from pir_tf.experiments.cache import cached, digest
from pir_tf.experiments.csv_answers import who_judges
from pir_tf.experiments.imported import imported_in
from pir_tf.experiments.tuning_stage import acgan_settings
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import optimizers, stream_of
from pir_tf.runs.directory import RunDirectory
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.fit import Schedule, fit_resumable
from pir_tf.training.precision import mixed

OF_THE_STOP = ("tuning.stop", "tuning.keep_distance", "tuning.log_every")
"""Fields on which the state of a tuning that may stop depends, and the control's steps don't."""


def has_control(run: RunDirectory) -> bool:
    """Whether a control is asked for and can be had."""
    return run.config.evaluation.control and not no_control(run)


def no_control(run: RunDirectory) -> str:
    """Why the control that was asked for can't be had, in words; empty where it can, and where none was asked for."""
    if not run.config.evaluation.control:
        return ""
    if who_judges(run.config) != "simulated":
        return "people don't judge it"
    stands_still = imported_in(run) or run.config.tuning.kind != "weights"
    return "without the PIR term nothing would move" if stands_still else ""


def control_generator(run: RunDirectory, image_set: ImageSet) -> keras.Model:
    """The generator after as many steps of the GAN's own training as tuning had, from the same networks, images and seed."""
    config, networks = run.config, Networks.load(run.path / "gan")
    steps = (run.facts("tuning") or {}).get("kept_step", config.tuning.steps)
    if not steps:
        return networks.generator
    fields = {**decisive_fields("tuning", config.tuning), **decisive_fields("gan", config.gan)}
    facts: dict[str, Any] = {
        name: value for name, value in fields.items() if "pir_" not in name and name not in OF_THE_STOP
    }
    facts |= {"images": image_set.digest, "seed": run.seed_of("tuning steps"), "steps": steps}
    compiled = run.forms["tuning"] == "on"
    if compiled:  # other dropout masks
        facts["compiled"] = True
    if acgan_settings(config).get("fast"):  # equal but for rounding
        facts["fast"] = True
    if config.compute.precision != "float32":
        facts["precision"] = config.compute.precision
    facts["networks"] = digest(*networks.generator.get_weights(), *networks.discriminator.get_weights())

    def make() -> dict[str, np.ndarray]:
        acgan = ACGAN(
            networks.generator,
            networks.discriminator,
            seed=run.seed_of("tuning steps"),
            **acgan_settings(config),
        )
        rate = config.tuning.learning_rate
        acgan.compile(*optimizers(rate, rate, config.gan.adam_beta_1), jit_compile=compiled)
        with mixed(config.compute.precision, networks.generator, networks.discriminator):
            fit_resumable(
                acgan,
                stream_of(image_set, run.seed_of("real images in tuning")),
                dataclasses.replace(Schedule.of(config.tuning, ()), steps=steps),
                run.file("evaluation", "control") / "steps",
                facts,
                chief_callbacks=[ProgressBar("Control without the PIR term", steps)],
            )
        return {f"{place:03d}": weight for place, weight in enumerate(networks.generator.get_weights())}

    made = cached(run.cache, "control", facts, make)
    networks.generator.set_weights([made[name] for name in sorted(made)])
    return networks.generator
