"""What a run would do, and about how long it would take: on a CPU by known operations over the rate of this machine's
convolutions, on a GPU by what was measured on one (`gpu_times`)."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pir_tf.config import EstimatorConfig, ExperimentConfig, flatten
from pir_tf.data import landscapes
from pir_tf.experiments.bench import rate
from pir_tf.experiments.csv_answers import who_judges
from pir_tf.experiments.gpu_times import SOURCE, training_seconds
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.objective_names import TOP_LAYERS, parse
from pir_tf.report.numbers import about_as_long
from pir_tf.runs.directory import round_of
from pir_tf.training import devices

# Operations of one image through a network; a multiplication and an addition are two.
GENERATOR, DISCRIMINATOR, INCEPTION_299, COMPACT_64 = 0.54e9, 0.25e9, 11.4e9, 0.02e9
VGG16_224 = dict(zip("pool1 pool2 pool3 pool4 pool5".split(), (3.9e9, 9.4e9, 18.7e9, 27.9e9, 30.7e9), strict=True))
VGG16_TOP = 30.9e9
FORWARD_AND_BACKWARD = 3
"""Passes whose operations a pass and its gradients have."""
SHARE_OF_RATE = 0.5
"""Share of the measured convolution rate that a whole training step reaches, as a rule."""


def describe(config: ExperimentConfig) -> str:
    """The text of `--dry-run`: every field, counts, and an estimate of time and memory."""
    devices.import_quietly()
    RoundBefore.of(config)  # refuses one that can't be gone on from
    values = {name: " ".join(map(str, v)) if isinstance(v, list) else v for name, v in flatten(config).items()}
    lines = ["Config", *(f"  {name} = {value}" for name, value in values.items())]
    lines += ["", "Counts", *(f"  {name:<46}{value:>12,}" for name, value in counts(config).items())]
    rendering = rendering_seconds(config)
    if not devices.gpus():
        here = rate("convolution", 5)
        times = {"rendering": rendering} if rendering else {}
        times |= {stage: flops / (SHARE_OF_RATE * here) for stage, flops in stage_flops(config).items()}
        lines += ["", f"About how long here ({here / 1e9:.0f} GFLOP/s in a convolution, {os.cpu_count()} cores)"]
        lines += [f"  {stage:<46}{about_as_long(seconds):>12}" for stage, seconds in times.items()]
        lines += [f"  {'in all, and about a minute of imports and files':<46}{about_as_long(sum(times.values())):>12}"]
    trainings = training_seconds(config, _beside(config)[0])
    lines += ["", f"About how long its trainings take on one GPU (by bare steps on {SOURCE};"]
    lines += ["other batches and sizes, and their steps by XLA with deterministic operations, are reckoned from those)"]
    lines += [f"  {stage:<46}{about_as_long(seconds):>12}" for stage, seconds in trainings.items()]
    if rendering:
        lines += [f"  {'and before them rendering, by the CPUs here':<46}{about_as_long(rendering):>12}"]
    lines += ["", f"About how much memory: {memory_megabytes(config) / 1000:.1f} GB. Nothing was run."]
    return "\n".join(lines)


def counts(config: ExperimentConfig) -> dict[str, int]:
    """Images and steps of the run. A later round has the first's GAN, and its judge learns all rounds' images at once."""
    from pir_tf.estimator.bootstrap import REPLICATES  # TensorFlow waits for `import_quietly`
    from pir_tf.experiments.tuning_stage import DISPLAY_IMAGES_VGG

    people, rounds = config.interactions, round_of(config)
    linear = config.estimator.output == "linear"  # in closed form
    readouts = REPLICATES if config.estimator.pessimism else 0
    control, chosen, walked = _beside(config)
    new = (2 + (control > 0)) * config.evaluation.images
    along = (config.tuning.steps // config.tuning.true_pir_every) * DISPLAY_IMAGES_VGG
    scored = people.images + config.estimator.quality_images + new + 2 * chosen + walked + along
    rendered = config.data.source == "landscapes" and not _imports(config)
    facts = {
        "real images (rendered)": config.data.count if rendered else 0,
        "pretraining steps": config.gan.steps if config.gan.generator == "train" and not config.first_round else 0,
        "images shown to people": people.images,
        "impressions in all": people.images * people.impressions,
        "estimator steps": 0
        if linear
        else config.estimator.steps * (1 + readouts + (rounds if config.evaluation.judge else 0)),
        "tuning steps": config.tuning.steps,
        "steps of the control": control,
        "images before and after tuning": 2 * config.evaluation.images,
        "images scored by VGG16": scored if _vgg_layer(config) else 0,
    }
    return {name: value for name, value in facts.items() if value}


def rendering_seconds(config: ExperimentConfig) -> float:
    """Seconds of the embedded landscapes here, by a few of them."""
    count = counts(config).get("real images (rendered)", 0)
    if not count:
        return 0.0
    few = 8 * landscapes.CHUNK
    start = time.perf_counter()
    landscapes.render(few, seed=0, size=config.data.image_size)
    return count * (time.perf_counter() - start) / few


def _imports(config: ExperimentConfig) -> bool:
    """Whether the generator, or that of the first round, is somebody's own: without discriminator and real images."""
    if config.first_round:
        from pir_tf.gan.imported.generator import imported_facts  # TensorFlow waits for `import_quietly`

        return imported_facts(Path(config.first_round, "tuning")) is not None
    return config.gan.generator.startswith("import:")


def _beside(config: ExperimentConfig) -> tuple[int, int, int]:
    """What stands beside the tuned images: steps of the control, images that best of n picks, and that Plug & Play walks to."""
    from pir_tf.experiments.evaluation_stage import PICKS

    settings, simulated = config.evaluation, who_judges(config) == "simulated"
    control = settings.control and simulated and config.tuning.kind == "weights" and not _imports(config)
    picks, walked = (PICKS if asked and simulated else 0 for asked in (settings.best_of, settings.plug_and_play))
    return config.tuning.steps if control else 0, picks, walked


def stage_flops(config: ExperimentConfig) -> dict[str, float]:
    """Operations of each stage that computes; what a cache has already is computed once more here."""
    from pir_tf.evaluation.plug_and_play import STEPS

    count, judges = counts(config), 2 if config.evaluation.judge else 1
    acgan = FORWARD_AND_BACKWARD * GENERATOR + (2 * FORWARD_AND_BACKWARD + 2) * DISCRIMINATOR
    # Where latents move, the discriminator rests; an imported generator's images are held beside those of the start.
    moved = FORWARD_AND_BACKWARD * GENERATOR
    tuned = moved + GENERATOR if _imports(config) else acgan if config.tuning.kind == "weights" else moved
    estimator = _estimator_flops(config.estimator)
    if config.estimator.trainable == "all" and config.estimator.output != "linear":
        learning = count["estimator steps"] * config.estimator.batch_size * FORWARD_AND_BACKWARD * estimator
    else:  # features are made once, for the judge too
        learning = round_of(config) * config.interactions.images * estimator
    looked = config.tuning.stop != "none" or config.tuning.keep_distance
    looks = 256 * config.tuning.steps / config.tuning.log_every if looked else 0
    look = GENERATOR + (estimator if config.tuning.stop == "judge" else 0)
    control, chosen, walked = _beside(config)
    both = GENERATOR + estimator
    beside = control * config.tuning.batch_size * acgan + 2 * chosen * config.evaluation.best_of * both
    beside += walked * STEPS * FORWARD_AND_BACKWARD * both
    flops = {
        "gan": count.get("pretraining steps", 0) * config.gan.batch_size * acgan,
        "interactions": config.interactions.images * GENERATOR,
        "estimator and second judge": learning,
        "tuning": config.tuning.steps * config.tuning.batch_size * (tuned + 2 * estimator) + looks * look,
        "evaluation": 2 * config.evaluation.images * (GENERATOR + judges * estimator) + beside,
    }
    if layer := _vgg_layer(config):
        each = VGG16_224.get(layer, VGG16_TOP) * (config.interactions.vgg_image_size / 224) ** 2
        flops[f"PIR by VGG16 up to {layer}"] = count["images scored by VGG16"] * each
    if config.evaluation.kid_weights != "none":
        each = min(config.evaluation.images, config.evaluation.kid_images)
        flops["KID by VGG16"] = (4 if control else 3) * each * VGG16_224["pool5"]
    return flops


def memory_megabytes(config: ExperimentConfig) -> float:
    """Libraries and small models (900 MB), the data set, and the activations of the largest step."""
    data = 0 if _imports(config) else config.data.count * 3 * config.data.image_size**2 / 1e6
    # About 4 MB of activations an image in both networks; a backbone keeps about 90 MB an image at 299 pixels.
    backbone = 90 * (config.estimator.image_size / 299) ** 2 if "inception_v3" in config.estimator.backbone else 2
    gan = config.gan.batch_size * 4 if "pretraining steps" in counts(config) else 0
    vgg = 0.0
    if layer := _vgg_layer(
        config
    ):  # three of the first block's tensors for 8 images, and twice the weights while they are read
        vgg = 3 * 8 * 12.8 * (config.interactions.vgg_image_size / 224) ** 2 + 2 * (553 if layer in TOP_LAYERS else 59)
    return (
        900
        + 2 * data
        + max(gan, config.tuning.batch_size * (4 + backbone), config.estimator.batch_size * backbone, vgg)
    )


def _vgg_layer(config: ExperimentConfig) -> str:
    """The layer of VGG16 that simulated users look at, or nothing."""
    users = config.interactions
    return parse(users.objective).layer if users.source == "simulated" else ""


def _estimator_flops(config: EstimatorConfig) -> float:
    """Of one image through all networks of the backbone."""
    each = {
        "compact": COMPACT_64 * (config.image_size / 64) ** 2,
        "inception_v3": INCEPTION_299 * (config.image_size / 299) ** 2,
        "discriminator": DISCRIMINATOR,
    }
    return sum(each[name] for name in config.backbone.split("+"))
