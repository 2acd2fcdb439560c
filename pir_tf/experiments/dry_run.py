"""What a run would do, and about how long it would take here: counted operations over the rate of this machine's convolutions."""

from __future__ import annotations

import os
import time

from pir_tf.config import EstimatorConfig, ExperimentConfig, flatten

GENERATOR_FLOPS = 0.54e9
"""Operations of one image through the generator of C.2 (a multiplication and an addition are two)."""
DISCRIMINATOR_FLOPS = 0.25e9
"""The same for the discriminator."""
INCEPTION_FLOPS_299 = 11.4e9
"""The same for InceptionV3 at 299 pixels."""
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
    lines += [f"  {stage:<46}{_duration(seconds):>12}" for stage, seconds in times.items()]
    lines += [f"  {'in all, and about a minute of imports and files':<46}{_duration(sum(times.values())):>12}"]
    lines += ["", f"About how much memory: {memory_megabytes(config) / 1000:.1f} GB. Nothing was run."]
    return "\n".join(lines)


def counts(config: ExperimentConfig) -> dict[str, int]:
    """Images and steps of the run."""
    facts = {
        "real images (rendered)": config.data.count if config.data.source == "landscapes" else 0,
        "pretraining steps": config.gan.steps if config.gan.generator == "train" else 0,
        "images shown to people": config.interactions.images,
        "impressions in all": config.interactions.images * config.interactions.impressions,
        "estimator steps": config.estimator.steps * (2 if config.evaluation.judge else 1),
        "tuning steps": config.tuning.steps,
        "images before and after tuning": 2 * config.evaluation.images,
    }
    return {name: value for name, value in facts.items() if value}


def stage_flops(config: ExperimentConfig) -> dict[str, float]:
    """Operations of each stage that computes."""
    both = 1 + BACKWARD
    acgan = both * GENERATOR_FLOPS + (2 * both + 2) * DISCRIMINATOR_FLOPS
    estimator = _estimator_flops(config.estimator)
    judges = 2 if config.evaluation.judge else 1
    per_image = both * estimator if config.estimator.trainable == "all" else 0.0
    features = config.interactions.images * estimator if config.estimator.trainable == "head" else 0.0
    gan_images = config.gan.steps * config.gan.batch_size if config.gan.generator == "train" else 0
    return {
        "gan": gan_images * acgan,
        "interactions": config.interactions.images * GENERATOR_FLOPS,
        "estimator and second judge": judges
        * (config.estimator.steps * config.estimator.batch_size * per_image + features),
        "tuning": config.tuning.steps * config.tuning.batch_size * (acgan + 2 * estimator),
        "evaluation": 2 * config.evaluation.images * (GENERATOR_FLOPS + judges * estimator),
    }


def memory_megabytes(config: ExperimentConfig) -> float:
    """Libraries, the data set, and the activations of the largest step."""
    data = config.data.count * 3 * config.data.image_size**2 / 1e6
    # About 4 MB of activations an image in both networks; a backbone keeps about 90 MB an image at 299 pixels.
    backbone = 90 * (config.estimator.image_size / 299) ** 2 if config.estimator.backbone == "inception_v3" else 2
    gan = config.gan.batch_size * 4 if config.gan.generator == "train" else 0
    largest = max(gan, config.tuning.batch_size * (4 + backbone), config.estimator.batch_size * backbone)
    return BASE_MEGABYTES + 2 * data + largest


def _estimator_flops(config: EstimatorConfig) -> float:
    if config.backbone == "compact":
        return COMPACT_FLOPS_64 * (config.image_size / 64) ** 2
    return INCEPTION_FLOPS_299 * (config.image_size / 299) ** 2


def _convolution_rate() -> float:
    """Operations a second of one of the networks' own convolutions (3x3, 128 to 128 channels) here, the best of five."""
    from pir_tf import compute

    compute.import_quietly()
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


def _duration(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _text(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
