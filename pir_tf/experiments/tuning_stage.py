"""Stage `tuning`: the generator is tuned with the frozen estimator as one more loss (2.4)."""

from __future__ import annotations

from typing import Any

import keras

from pir_tf.config import decisive_fields
from pir_tf.errors import InputError
from pir_tf.estimator.model import is_stock, load_estimator, network_of
from pir_tf.experiments.cache import digest
from pir_tf.experiments.estimator_stage import estimator_path
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.imported import anchored_tuner, imported_in, save_tuned
from pir_tf.experiments.stopwatch import Stopwatch, TimeFirstStep
from pir_tf.experiments.truth import true_pir
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import TERMS, compile_acgan, log_columns, optimizers, training_data
from pir_tf.objective_names import is_vgg
from pir_tf.runs.directory import RunDirectory
from pir_tf.training import checkpoints, replicas
from pir_tf.training.callbacks import HistoryCSV, ProgressBar, StopOnNonFinite
from pir_tf.training.devices import is_chief, strategy, use_fast_forms
from pir_tf.training.precision import mixed
from pir_tf.tuning.anchored import ANCHORED_COLUMNS, AnchoredTuner, steps
from pir_tf.tuning.tuner import GRADIENT_COLUMNS, LogGradientNorms, SampleTruePIR, Tuner

COLUMNS = (*TERMS, "L_PIR", "discriminator_loss", "generator_loss", *GRADIENT_COLUMNS, "true_pir")
DISPLAY_IMAGES = 200
"""Images of each sample of the true PIR along the way."""
DISPLAY_IMAGES_VGG = 32
"""The same where VGG16 scores them, at a tenth of a second an image: they are for display only."""


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `tuning/generator.keras`, `tuning/discriminator.keras`, `tuning/history.csv` and checkpoints.

    An imported generator has no discriminator; see `pir_tf.tuning.anchored`.
    """
    config, settings, watch = run.config, run.config.tuning, Stopwatch()
    if imported_in(run):
        return _run_anchored(run)
    with watch.part("networks and real images"):
        image_set = load_data(run)
        with strategy(config.compute).scope():
            networks = Networks.load(run.file("gan", "generator.keras").parent)
            estimator = load_estimator(estimator_path(run))
            tuner = _tuner(run, networks, estimator)
    if image_set.class_names != networks.class_names:
        raise InputError(
            f"The real images have the classes {', '.join(image_set.class_names)} and the generator "
            f"{', '.join(networks.class_names)}, expected the same in the same order: use the data that it was trained on."
        )
    image_set.require_at_least(settings.batch_size)
    rates = (settings.learning_rate, settings.learning_rate)
    compile_acgan(tuner, *rates, config.gan.adam_beta_1, jit_compile=config.compute.jit_compile)
    directory = run.file("tuning", "history.csv").parent
    made_by = {
        **decisive_fields("tuning", settings),
        **decisive_fields("gan", config.gan),
        "seed": config.seed,
        "images": image_set.digest,
        "estimator": digest(*estimator.get_weights()),
    }
    first = checkpoints.restore_latest(directory / "checkpoints", tuner.state(), made_by)
    replicas.require_one_step(tuner.distribute_strategy, first, directory / "checkpoints")
    data = training_data(
        tuner,
        image_set,
        batch_size=settings.batch_size,
        seed=run.seed_of("real images in tuning"),
        first_step=first,
    )
    with mixed(config.compute.precision, networks.generator, networks.discriminator, *_inside(estimator)):
        _fit(run, tuner, data, first, log_columns(tuner, COLUMNS), made_by, watch)
    if is_chief(config.compute):
        networks.save(directory)
    return {"parts": watch.parts}


def _tuner(run: RunDirectory, networks: Networks, estimator: keras.Model) -> Tuner:
    config, settings = run.config, run.config.tuning
    return Tuner(
        networks.generator,
        networks.discriminator,
        estimator,
        pir_weight=settings.pir_weight,
        seed=run.seed_of("tuning steps"),
        fools_weight=settings.fools_weight,
        fake_class_weight=config.gan.fake_class_weight,
        real_class_weight=config.gan.real_class_weight,
        loss=config.gan.loss,
        fast=use_fast_forms(config.compute),
    )


def _run_anchored(run: RunDirectory) -> dict[str, Any]:
    """The same for an imported generator, with its anchor in place of the discriminator and the real images."""
    config, settings, watch = run.config, run.config.tuning, Stopwatch()
    with watch.part("networks"), strategy(config.compute).scope():
        estimator = load_estimator(estimator_path(run))
        tuner = anchored_tuner(run, estimator, seed=run.seed_of("tuning steps"))
        generator_adam, _ = optimizers(settings.learning_rate, settings.learning_rate, config.gan.adam_beta_1)
        tuner.compile(generator_adam, jit_compile=config.compute.jit_compile)
    made_by = {
        **decisive_fields("tuning", settings),
        "seed": config.seed,
        "estimator": digest(*estimator.get_weights()),
    }
    first = checkpoints.restore_latest(run.file("tuning", "checkpoints"), tuner.state(), made_by)
    replicas.require_one_step(tuner.distribute_strategy, first, run.file("tuning", "checkpoints"))
    with mixed(config.compute.precision, tuner.generator, *_inside(estimator)):
        _fit(run, tuner, steps(tuner, settings.batch_size), first, ANCHORED_COLUMNS, made_by, watch)
    if is_chief(config.compute):
        save_tuned(run, tuner.generator)
    return {"parts": watch.parts}


def _inside(estimator: keras.Model) -> list[keras.Model]:
    """The estimator up to its logits, where it is made of Keras layers."""
    return [network_of(estimator)] if is_stock(estimator) else []


def _fit(
    run: RunDirectory,
    tuner: Tuner | AnchoredTuner,
    data: Any,
    first: int,
    columns: tuple[str, ...],
    made_by: checkpoints.Facts,
    watch: Stopwatch,
) -> None:
    """Tunes from the step `first` on."""
    settings = run.config.tuning
    writing = _writing(run, tuner, columns, made_by, watch) if is_chief(run.config.compute) else []
    tuner.fit(
        data,
        epochs=settings.steps // settings.log_every,
        steps_per_epoch=settings.log_every,
        initial_epoch=first // settings.log_every,
        callbacks=[*_everywhere(run, tuner), *writing],
        shuffle=False,
        verbose=0,
    )


def _everywhere(run: RunDirectory, tuner: Tuner | AnchoredTuner) -> list[keras.callbacks.Callback]:
    """What every process of a job does: replicas measure gradients together."""
    settings = run.config.tuning
    return [
        StopOnNonFinite(),
        LogGradientNorms(tuner, every=settings.gradients_every, batch_size=settings.batch_size),
    ]


def _writing(
    run: RunDirectory,
    tuner: Tuner | AnchoredTuner,
    columns: tuple[str, ...],
    made_by: checkpoints.Facts,
    watch: Stopwatch,
) -> list[keras.callbacks.Callback]:
    """In this order: measures add columns, then the log is written, then the checkpoint that agrees with it."""
    settings = run.config.tuning
    directory = run.file("tuning", "history.csv").parent
    done = lambda: int(tuner.step.numpy())  # noqa: E731
    shown = {"L_PIR": "estimated PIR", "true_pir": "true PIR"}
    callbacks: list[keras.callbacks.Callback] = [
        TimeFirstStep(watch),
        *_true_pir(run, tuner),
        ProgressBar("Tuning the generator", settings.steps, done=done, shown=shown),
        HistoryCSV(directory / "history.csv", columns=columns, step=done),
        checkpoints.SaveCheckpoints(
            directory / "checkpoints",
            every=settings.checkpoint_every,
            minutes=settings.checkpoint_minutes,
            state=tuner.state,
            step=done,
            made_by=made_by,
        ),
    ]
    if settings.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False))
    return callbacks


def _true_pir(run: RunDirectory, tuner: Tuner | AnchoredTuner) -> list[keras.callbacks.Callback]:
    """The sample of the true PIR for display; none with real people."""
    objective = true_pir(run, reuse=False)
    if objective is None:
        return []
    seed = run.seed_of("display")
    count = DISPLAY_IMAGES_VGG if is_vgg(run.config.interactions.objective) else DISPLAY_IMAGES
    latents = draw_latents(count, latent_size=tuner.latent_size, class_count=tuner.class_count, seed=seed)
    mean_pir = lambda generator: float(objective(generate(generator, *latents)).mean())  # noqa: E731
    return [SampleTruePIR(tuner, every=run.config.tuning.true_pir_every, true_pir=mean_pir)]
