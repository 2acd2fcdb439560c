"""About how long an experiment's trainings take on one GPU, by what was timed on one.

The table is of H200s with TensorFlow 2.21: milliseconds of a bare step with random weights, TF32 where TensorFlow takes it. Some
of it was timed by this package (`experiments/bench`), the rest in earlier trials outside of it, of which these numbers are all
that is here. What it doesn't have is put near what it has: a tuning step of another batch or size lies on the lines through
those that are there, by pixels of the batch, a smaller one takes as long as the smallest, and a larger one longer by its pixels.
A step of an estimator that is trained whole is taken for a tuning step. By XLA with deterministic operations a step takes longer
as the ACGAN's did. A GPU that is no H200, and what lies between the steps, take longer.
"""

from __future__ import annotations

import numpy as np

from pir_tf.config import ExperimentConfig
from pir_tf.runs.directory import round_of
from pir_tf.training import xla

SOURCE = "H200s with TensorFlow 2.21, partly in trials that are not published"
ACGAN_MS = {"off": 18.0, "on": 5.7}
"""An ACGAN step of 64 images, by whether XLA compiles it; the first outside of this package, where the second was 4.1."""
DETERMINISTIC = 9.0 / 4.1
"""Times as long that it took there by XLA with deterministic operations; without XLA they cost nothing at 299 pixels."""
TUNING_MS = {
    "off": {(32, 75): 34.1, (64, 299): 43.7},
    "on": {(32, 75): 7.8, (64, 96): 13.1, (64, 299): 24.6},
}
"""A tuning step with InceptionV3, by batch and pixels of its side; the last two by this package, while other work spoilt the
times and under other flags of XLA (`experiments/bench`), the others outside of it."""
IN_A_TRAINING_MS = 1.0
"""What a compiled step has around it in a training."""


def acgan_seconds(form: str, *, deterministic: bool) -> float:
    """Seconds of an ACGAN step."""
    return _in_a_training(form, ACGAN_MS[form], deterministic)


def tuning_seconds(form: str, batch: int, size: int, *, deterministic: bool) -> float:
    """Seconds of a tuning step of so many images, with InceptionV3 at so many pixels."""
    pixels, known = batch * size**2, [count * side**2 for count, side in TUNING_MS[form]]
    bare = np.interp(pixels, known, list(TUNING_MS[form].values())) * max(1.0, pixels / known[-1])
    return _in_a_training(form, float(bare), deterministic)


def _in_a_training(form: str, bare_ms: float, deterministic: bool) -> float:
    return (bare_ms if form == "off" else bare_ms * (DETERMINISTIC if deterministic else 1.0) + IN_A_TRAINING_MS) / 1e3


def training_seconds(config: ExperimentConfig, control_steps: int = 0) -> dict[str, float]:
    """Seconds of each training on one GPU, with its compile time where XLA compiles it; none of what takes no time to speak of.

    The second judge's training is the estimator's once more for each round, and the control's an ACGAN's.
    """
    forms, deterministic = xla.forms(config, gpus=1), config.compute.deterministic
    found = {}
    if config.gan.generator == "train" and not config.first_round:
        found["gan"] = config.gan.steps * acgan_seconds(forms["gan"], deterministic=deterministic)
    estimator, tuning = config.estimator, config.tuning
    size = estimator.image_size if "inception_v3" in estimator.backbone else 0
    if estimator.trainable == "all" and estimator.output != "linear":
        steps = estimator.steps * (1 + (round_of(config) if config.evaluation.judge else 0))
        each = tuning_seconds(forms["estimator"], estimator.batch_size, size, deterministic=deterministic)
        found["estimator"] = steps * each
    each = tuning_seconds(forms["tuning"], tuning.batch_size, size, deterministic=deterministic)
    found["tuning"] = tuning.steps * each
    if control_steps:
        found["control"] = control_steps * acgan_seconds(forms["tuning"], deterministic=deterministic)
    forms["control"] = forms["tuning"]
    return {stage: seconds + (xla.COMPILE_S if forms[stage] == "on" else 0.0) for stage, seconds in found.items()}
