"""About how long an experiment's trainings take on one GPU, by what was measured on one.

The table is of H200s with TensorFlow 2.21: milliseconds of a bare step with random weights, TF32 where TensorFlow takes it; in a
training by XLA about one more was seen. What it doesn't have is put near what it has. A tuning step of another batch or size lies
on the line through the two that were measured, by pixels of the batch, and a smaller one takes as long as the smallest. A step of
an estimator that is trained whole is taken for a tuning step. By XLA with deterministic operations a step takes longer as the
ACGAN's did. A GPU that is no H200, and what lies between the steps, take longer.
"""

from __future__ import annotations

from pir_tf.config import ExperimentConfig
from pir_tf.runs.directory import round_of
from pir_tf.training import xla

SOURCE = "an H200, TensorFlow 2.21"
ACGAN_MS = {"off": 18.0, "on": 5.7}
"""An ACGAN step of 64 images, by whether XLA compiles it; on another machine it was 4.1."""
DETERMINISTIC = 9.0 / 4.1
"""Times as long that it took there by XLA with deterministic operations; without XLA they cost nothing at 299 pixels."""
TUNING_MS = {(32, 75): {"off": 34.1, "on": 7.8}, (64, 299): {"off": 43.7, "on": 22.4}}
"""A tuning step with InceptionV3, by batch and pixels of its side."""
IN_A_TRAINING_MS = 1.0
"""What a compiled step has around it in a training."""


def acgan_seconds(form: str, *, deterministic: bool) -> float:
    """Seconds of an ACGAN step."""
    return _in_a_training(form, ACGAN_MS[form], deterministic)


def tuning_seconds(form: str, batch: int, size: int, *, deterministic: bool) -> float:
    """Seconds of a tuning step of so many images, with InceptionV3 at so many pixels."""
    (first, low), (last, high) = ((b * side**2, times[form]) for (b, side), times in TUNING_MS.items())
    share = max(0.0, (batch * size**2 - first) / (last - first))
    return _in_a_training(form, low + share * (high - low), deterministic)


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
