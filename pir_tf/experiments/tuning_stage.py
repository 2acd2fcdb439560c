"""Stage `tuning`: the generator is tuned with the frozen estimator as one more loss (2.4)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras

from pir_tf.config import ExperimentConfig, decisive_fields
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.estimator.linear import objective
from pir_tf.estimator.model import backbone_of, is_stock, load_saved, network_of, saved_estimator
from pir_tf.experiments.cache import digest
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.imported import imported_in, save_tuned
from pir_tf.experiments.stopwatch import Stopwatch, TimeFirstStep
from pir_tf.experiments.truth import Truth, true_pir
from pir_tf.experiments.tuning_stops import kept, stop_of
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks, load_generator
from pir_tf.gan.train import optimizers, stream_of
from pir_tf.objective_names import parse
from pir_tf.runs.directory import RunDirectory
from pir_tf.training.callbacks import Measure, ProgressBar
from pir_tf.training.devices import is_chief, strategy, use_fast_forms
from pir_tf.training.fit import Schedule, Stream, fit_resumable
from pir_tf.training.precision import mixed
from pir_tf.tuning.anchored import AnchoredTuner, WithoutDiscriminator, blanks
from pir_tf.tuning.latents import LatentTuner
from pir_tf.tuning.stops import Stop
from pir_tf.tuning.tuner import LogGradientNorms, Tuner

DISPLAY_IMAGES = 200
"""Images of each sample of the true PIR along the way."""
DISPLAY_IMAGES_VGG = 32
"""The same where VGG16 scores them, at a tenth of a second an image: they are for display only."""


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `tuning/generator.keras`, `tuning/discriminator.keras`, `tuning/history.csv` and checkpoints.

    An imported generator has no discriminator, see `pir_tf.tuning.anchored`; where latents move (`pir_tf.tuning.latents`), the
    discriminator that is written is the one that was read.
    """
    config, watch, imported = run.config, Stopwatch(), imported_in(run)
    gan, directory, seed = run.path / "gan", run.file("tuning", "history.csv").parent, run.seed_of("tuning steps")
    made_by: dict[str, Any] = {**decisive_fields("tuning", config.tuning), "seed": config.seed}
    moves = config.tuning.kind != "weights"
    with watch.part("networks" if imported or moves else "networks and real images"), strategy(config.compute).scope():
        estimator = objective(load_saved(saved_estimator(run.path / "estimator")), config.estimator.pessimism)
        made_by["estimator"] = digest(*estimator.get_weights())
        tuner: WithoutDiscriminator | Tuner
        stream: Stream = lambda part, first: blanks(part.batch_size)  # noqa: E731
        networks = None if imported else Networks.load(gan)
        if networks is None:
            tuner = _anchored_tuner(config, load_generator(gan), load_generator(gan), estimator, seed)
        elif moves:
            made_by["generator"] = digest(*networks.generator.get_weights())  # of which a checkpoint holds nothing
            tuner = _latent_tuner(config, networks.generator, estimator, seed)
        else:
            image_set = load_data(config, run.cache, run.path / "data.json")
            _require_fit(image_set, networks, config.tuning.batch_size)
            tuner = gan_tuner(config, networks, estimator, seed)
            stream = stream_of(image_set, run.seed_of("real images in tuning"))
            made_by |= {**decisive_fields("gan", config.gan), "images": image_set.digest}
        compile_tuner(config, tuner, jit_compile=run.forms["tuning"] == "on")
        weigh(config, tuner)
    shown = [TimeFirstStep(watch), *_samples(config, tuner, true_pir(run, reuse=False), run.seed_of("display"))]
    stop = stop_of(run, tuner, estimator, watch)
    _tune(config, tuner, estimator, stream, directory, made_by, shown, stop)
    chosen = kept(stop) if stop else {}
    if is_chief() and networks is None:
        save_tuned(run, tuner.generator)
    elif is_chief() and networks is not None:
        dataclasses.replace(networks, generator=tuner.generator).save(directory)
    weight = float(keras.ops.convert_to_numpy(tuner.pir_weight))  # a checkpoint's, where tuning went on from one
    return {"parts": watch.parts, "pir_weight": weight, **chosen, **_kl(tuner, run.seed_of("KL"))}


def _require_fit(image_set: ImageSet, networks: Networks, batch_size: int) -> None:
    """Refuses other classes than the generator's, and fewer images than a batch."""
    if image_set.class_names != networks.class_names:
        raise InputError(
            f"The real images have the classes {', '.join(image_set.class_names)} and the generator "
            f"{', '.join(networks.class_names)}, expected the same in the same order: use the data that it was trained on."
        )
    image_set.require_at_least(batch_size)


def acgan_settings(config: ExperimentConfig) -> dict[str, Any]:
    """What tuning has of the ACGAN: the tuner's, and those of its control, which has no PIR term."""
    return {
        "fools_weight": config.tuning.fools_weight,
        "fake_class_weight": config.gan.fake_class_weight,
        "real_class_weight": config.gan.real_class_weight,
        "loss": config.gan.loss,
        "fast": use_fast_forms(config.compute),
    }


def gan_tuner(config: ExperimentConfig, networks: Networks, estimator: keras.Model, seed: int) -> Tuner:
    return Tuner(
        networks.generator,
        networks.discriminator,
        estimator,
        pir_weight=config.tuning.pir_weight,
        pir_gradient_limit=config.tuning.pir_gradient_limit,
        seed=seed,
        **acgan_settings(config),
    )


def _anchored_tuner(
    config: ExperimentConfig, generator: keras.Model, start: keras.Model, estimator: keras.Model, seed: int
) -> AnchoredTuner:
    return AnchoredTuner(
        generator,
        estimator,
        seed=seed,
        pir_weight=config.tuning.pir_weight,
        pir_gradient_limit=config.tuning.pir_gradient_limit,
        anchor_weight=config.tuning.anchor_weight,
        start=start,
        fast=use_fast_forms(config.compute),
    )


def _latent_tuner(config: ExperimentConfig, generator: keras.Model, estimator: keras.Model, seed: int) -> LatentTuner:
    settings = config.tuning
    assert settings.kind != "weights"
    return LatentTuner(
        generator,
        estimator,
        kind=settings.kind,
        seed=seed,
        pir_weight=settings.pir_weight,
        pir_gradient_limit=settings.pir_gradient_limit,
        kl_weight=settings.kl_weight,
        fast=use_fast_forms(config.compute),
    )


def compile_tuner(config: ExperimentConfig, tuner: WithoutDiscriminator | Tuner, *, jit_compile: bool) -> None:
    """Gives each network that is trained its optimizer."""
    latents = isinstance(tuner, LatentTuner)
    rate = config.tuning.latents_learning_rate if latents else config.tuning.learning_rate
    both = optimizers(rate, rate, config.gan.adam_beta_1)
    tuner.compile(*both[: len(tuner.networks())], jit_compile=jit_compile)


def _kl(tuner: WithoutDiscriminator | Tuner, seed: int) -> dict[str, float]:
    """How far the moved latents went in the end, and a line where that is only a bound; nothing where weights were tuned."""
    if not isinstance(tuner, LatentTuner):
        return {}
    kl, folded = tuner.final_kl(seed)
    if folded and is_chief():
        print(
            f"tuning: the moved latents fold at {folded:.1%} of the latents, so their KL is more than {kl:.3g} nats: raise "
            "--tuning.kl-weight",
            flush=True,
        )
    return {"kl": kl, "kl_folded": folded}


def weigh(config: ExperimentConfig, tuner: WithoutDiscriminator | Tuner) -> float:
    """w_PIR, set by the ratio of gradients where the config asks for that, and said."""
    settings = config.tuning
    if not settings.pir_gradient_ratio:
        return settings.pir_weight
    weight = tuner.weigh(settings.pir_gradient_ratio, batch_size=settings.batch_size)
    if weight is None:
        said = f"one of the terms has no gradient yet, so w_PIR is {settings.pir_weight:g}"
    else:
        said = f"w_PIR is {weight:,.0f} per unit of PIR (the paper's is 1,000)"
    if is_chief():
        print(f"tuning: for a gradient ratio of {settings.pir_gradient_ratio:g}, {said}", flush=True)
    return settings.pir_weight if weight is None else weight


def _tune(
    config: ExperimentConfig,
    tuner: WithoutDiscriminator | Tuner,
    estimator: keras.Model,
    stream: Stream,
    directory: Path,
    made_by: dict[str, Any],
    shown: list[keras.callbacks.Callback],
    stop: Stop | None,
) -> None:
    settings = config.tuning
    norms = LogGradientNorms(settings.gradients_every, batch_size=settings.batch_size)
    bar = ProgressBar("Tuning the generator", settings.steps, {"L_PIR": "estimated PIR", "true_pir": "true PIR"})
    inside = [tuner.still] if isinstance(tuner, LatentTuner) else list(tuner.networks().values())
    if isinstance(tuner, AnchoredTuner):
        inside.append(tuner.start)  # or the anchor would pull at what only the precision makes differ
    if is_stock(estimator):  # up to its logits, or to what is read out
        linear = config.estimator.output == "linear"
        inside.append(backbone_of(estimator) if linear else network_of(estimator))
    with mixed(config.compute.precision, *inside):
        fit_resumable(
            tuner,
            stream,
            Schedule.of(settings, tuner.columns(*tuner.gradient_columns, "true_pir", *(stop.columns if stop else ()))),
            directory,
            made_by,
            callbacks=[norms, stop] if stop else [norms],
            chief_callbacks=[*shown, bar],
            ended=lambda: stop is not None and stop.stopped > 0,
        )


def _samples(
    config: ExperimentConfig, tuner: WithoutDiscriminator | Tuner, truth: Truth | None, seed: int
) -> list[keras.callbacks.Callback]:
    """Samples of the true PIR, for display alone: they choose no step, stop or setting. None with real people."""
    if truth is None:
        return []
    count = DISPLAY_IMAGES_VGG if parse(config.interactions.objective).layer else DISPLAY_IMAGES
    latents = draw_latents(count, latent_size=tuner.latent_size, class_count=tuner.class_count, seed=seed)
    mean_pir = lambda model: {"true_pir": float(truth(generate(model.generator, *latents)).mean())}  # noqa: E731
    return [Measure(config.tuning.true_pir_every, mean_pir)]
