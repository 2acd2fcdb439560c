"""What a run would do, and about how long it would take here: counted operations over the rate of this machine's convolutions."""

from __future__ import annotations

import os
import time

from pir_tf.config import EstimatorConfig, ExperimentConfig, flatten
from pir_tf.objective_names import TOP_IMAGE_SIZE, TOP_LAYERS, is_vgg, parse_vgg
from pir_tf.report.numbers import about_as_long

GENERATOR_FLOPS = 0.54e9
"""Operations of one image through the generator of C.2 (a multiplication and an addition are two)."""
DISCRIMINATOR_FLOPS = 0.25e9
"""The same for the discriminator."""
INCEPTION_FLOPS_299 = 11.4e9
"""The same for InceptionV3 at 299 pixels."""
VGG16_BLOCKS = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
"""Convolutions of 3x3 and their filters in each block of VGG16, which ends with a pooling by 2."""
VGG16_DENSE = {"fc6": (25_088, 4096), "fc7": (4096, 4096), "fc8": (4096, 1000)}
"""Inputs and outputs of its dense layers."""
COMPACT_FLOPS_64 = 0.02e9
"""The same for the compact backbone at 64 pixels, within a factor of two."""
BACKWARD = 2
"""Operations of a backward pass to weights and inputs, in forward passes."""
SHARE_OF_RATE = 0.5
"""Share of the measured convolution rate that a whole training step reaches, as a rule."""
BASE_MEGABYTES = 900
"""Resident size of the process with its libraries and small models."""


def describe(config: ExperimentConfig) -> str:
    """The text of `--dry-run`: every field, counts, and an estimate of time and memory."""
    rate = _convolution_rate()
    times = {stage: flops / (SHARE_OF_RATE * rate) for stage, flops in stage_flops(config).items()}
    lines = ["Config"]
    lines += [f"  {name} = {_text(value)}" for name, value in flatten(config).items()]
    lines += ["", "Counts", *(f"  {name:<46}{value:>12,}" for name, value in counts(config).items())]
    lines += ["", f"About how long here ({rate / 1e9:.0f} GFLOP/s in a convolution, {os.cpu_count()} cores)"]
    lines += [f"  {stage:<46}{about_as_long(seconds):>12}" for stage, seconds in times.items()]
    lines += [f"  {'in all, and about a minute of imports and files':<46}{about_as_long(sum(times.values())):>12}"]
    lines += ["", f"About how much memory: {memory_megabytes(config) / 1000:.1f} GB. Nothing was run."]
    return "\n".join(lines)


def counts(config: ExperimentConfig) -> dict[str, int]:
    """Images and steps of the run."""
    facts = {
        "real images (rendered)": config.data.count if config.data.source == "landscapes" else 0,
        "pretraining steps": config.gan.steps if _trains_gan(config) else 0,
        "images shown to people": config.interactions.images,
        "impressions in all": config.interactions.images * config.interactions.impressions,
        "estimator steps": config.estimator.steps * _estimators(config),
        "tuning steps": config.tuning.steps,
        "images before and after tuning": 2 * config.evaluation.images,
        "images scored by VGG16": _images_of_objective(config),
    }
    return {name: value for name, value in facts.items() if value}


def stage_flops(config: ExperimentConfig) -> dict[str, float]:
    """Operations of each stage that computes."""
    both = 1 + BACKWARD
    acgan = both * GENERATOR_FLOPS + (2 * both + 2) * DISCRIMINATOR_FLOPS
    estimator = _estimator_flops(config.estimator)
    judges = 2 if config.evaluation.judge else 1
    per_image = both * estimator if config.estimator.trainable == "all" else 0.0
    # Features are made once, for the judge too.
    shown = config.interactions.images * (2 if config.first_round else 1)
    features = shown * estimator if config.estimator.trainable == "head" else 0.0
    gan_images = config.gan.steps * config.gan.batch_size if _trains_gan(config) else 0
    return {
        "gan": gan_images * acgan,
        "interactions": config.interactions.images * GENERATOR_FLOPS,
        "estimator and second judge": _estimators(config)
        * (config.estimator.steps * config.estimator.batch_size * per_image)
        + features,
        "tuning": config.tuning.steps * config.tuning.batch_size * (acgan + 2 * estimator),
        "evaluation": 2 * config.evaluation.images * (GENERATOR_FLOPS + judges * estimator),
        **_vgg_stage_flops(config),
    }


def _trains_gan(config: ExperimentConfig) -> bool:
    """A second round has the first's."""
    return config.gan.generator == "train" and not config.first_round


def _estimators(config: ExperimentConfig) -> int:
    """How often the estimator's steps are taken: by it, and by the judge, in a second round for both rounds at once."""
    return 1 + ((2 if config.first_round else 1) if config.evaluation.judge else 0)


def _vgg_stage_flops(config: ExperimentConfig) -> dict[str, float]:
    """Operations of VGG16 as the objective and as the measure of distance, where a run has them."""
    flops = {}
    if images := _images_of_objective(config):
        layer = parse_vgg(config.interactions.objective).layer
        flops[f"PIR by VGG16 up to {layer}"] = images * vgg16_flops(layer, config.interactions.vgg_image_size)
    if config.evaluation.kid_weights != "none":
        flops["KID by VGG16"] = 3 * config.evaluation.images * vgg16_flops("pool5", TOP_IMAGE_SIZE)
    return flops


def vgg16_flops(layer: str, image_size: int) -> float:
    """Operations of one image through VGG16 up to a layer."""
    flops, channels, side = 0.0, 3, image_size
    for block, (convolutions, filters) in enumerate(VGG16_BLOCKS, start=1):
        for _ in range(convolutions):
            flops += 2 * 9 * channels * filters * side**2
            channels = filters
        side //= 2
        if layer == f"pool{block}":
            return flops
    for name, (inputs, outputs) in VGG16_DENSE.items():
        flops += 2 * inputs * outputs
        if name == layer:
            break
    return flops


def _images_of_objective(config: ExperimentConfig) -> int:
    """Images that VGG16 scores in a run; those that a cache has already are none of them."""
    if config.interactions.source != "simulated" or not is_vgg(config.interactions.objective):
        return 0
    from pir_tf.experiments.tuning_stage import DISPLAY_IMAGES_VGG

    displayed = DISPLAY_IMAGES_VGG * (config.tuning.steps // config.tuning.true_pir_every)
    return config.interactions.images + config.estimator.quality_images + 2 * config.evaluation.images + displayed


def memory_megabytes(config: ExperimentConfig) -> float:
    """Libraries, the data set, and the activations of the largest step."""
    data = config.data.count * 3 * config.data.image_size**2 / 1e6
    # About 4 MB of activations an image in both networks; a backbone keeps about 90 MB an image at 299 pixels.
    backbone = 90 * (config.estimator.image_size / 299) ** 2 if config.estimator.backbone == "inception_v3" else 2
    gan = config.gan.batch_size * 4 if config.gan.generator == "train" else 0
    largest = max(gan, config.tuning.batch_size * (4 + backbone), config.estimator.batch_size * backbone)
    return BASE_MEGABYTES + 2 * data + max(largest, _vgg_megabytes(config))


def _vgg_megabytes(config: ExperimentConfig) -> float:
    """About three of the first block's tensors for 8 images at once, and twice the weights while they are read."""
    if not _images_of_objective(config):
        return 0.0
    top = parse_vgg(config.interactions.objective).layer in TOP_LAYERS
    weights = 553 if top else 59
    return 3 * 8 * 12.8 * (config.interactions.vgg_image_size / TOP_IMAGE_SIZE) ** 2 + 2 * weights


def _estimator_flops(config: EstimatorConfig) -> float:
    if config.backbone == "compact":
        return COMPACT_FLOPS_64 * (config.image_size / 64) ** 2
    return INCEPTION_FLOPS_299 * (config.image_size / 299) ** 2


def _convolution_rate() -> float:
    """Operations a second of one of the networks' own convolutions (3x3, 128 to 128 channels) here, the best of five."""
    from pir_tf.training import devices

    devices.import_quietly()
    import tensorflow as tf

    x, kernel = tf.ones((16, 32, 32, 128)), tf.ones((3, 3, 128, 128))
    convolve = tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME"))
    convolve()
    best = float("inf")
    for _ in range(5):
        start = time.perf_counter()
        convolve().numpy()
        best = min(best, time.perf_counter() - start)
    return 2 * 16 * 32 * 32 * 9 * 128 * 128 / best


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
