"""What may stop a run's tuning: a judge (`tuning.stop`) with what it sees, or a distance (`tuning.keep_distance`)."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from pir_tf.estimator.model import estimate
from pir_tf.evaluation.diversity import within_class_pairwise_distance
from pir_tf.experiments.estimator_stage import JUDGE_NEEDS, has_judge, second_judge
from pir_tf.experiments.stopwatch import Stopwatch
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.runs.directory import RunDirectory
from pir_tf.training.devices import is_chief
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.stops import DistanceStop, JudgedStop, Stop, View
from pir_tf.tuning.tuner import Tuner

LOOKED_AT = 256
"""Images that are looked at in each row of the log."""
CLASSES = 32
"""Classes, at most, whose distance is looked at, so that each has images enough."""
PAIRS = 300
"""Pairs of images of a class whose distance is looked at."""


def stop_of(run: RunDirectory, tuner: AnchoredTuner | Tuner, estimator: keras.Model, watch: Stopwatch) -> Stop | None:
    """What may stop the tuning, where that is asked for and can be had; that there is no judge is said."""
    stop: Stop
    if least := run.config.tuning.keep_distance:
        stop = DistanceStop(tuner.networks(), _distance_view(run, tuner) if is_chief() else None, least=least)
    elif run.config.tuning.stop == "judge" and has_judge(run):
        stop = JudgedStop(tuner.networks(), _judge_view(run, tuner, estimator, watch) if is_chief() else None)
    else:
        if run.config.tuning.stop == "judge" and is_chief():
            print(f"tuning: no judge stops it, as a judge needs {JUDGE_NEEDS}: all steps are done", flush=True)
        return None
    tuner.keep_with_state(stop.state)
    return stop


def kept(stop: Stop) -> dict[str, Any]:
    """Goes back to the networks that are kept, and says which."""
    stop.restore_best()
    if is_chief():
        end = f"stopped at step {stop.stopped:,}" if stop.stopped else "not stopped"
        which = f"step {stop.kept:,}" if stop.kept else "the start"
        why = "which the judge chose" if isinstance(stop, JudgedStop) else "the last to keep the distance"
        print(f"tuning: {end}; kept the networks of {which}, {why}", flush=True)
    return {"kept_step": stop.kept, "stopped_at": stop.stopped or None}


def _judge_view(run: RunDirectory, tuner: AnchoredTuner | Tuner, estimator: keras.Model, watch: Stopwatch) -> View:
    with watch.part("second judge"):
        judge = second_judge(run).pir_model
    sizes, seed = (tuner.latent_size, tuner.class_count), run.seed_of("latents that a judge sees")
    latents = draw_latents(LOOKED_AT, latent_size=sizes[0], class_count=sizes[1], seed=seed)

    def view(model: keras.Model) -> tuple[float, float]:
        images = generate(model.generator, *latents)
        by_judge, by_estimator = (float(estimate(one, images).mean()) for one in (judge, estimator))
        return by_judge, by_estimator

    return view


def _distance_view(run: RunDirectory, tuner: AnchoredTuner | Tuner) -> View:
    """The least share that a class keeps of its distance before tuning; no class counts whose images are all the same."""
    seed = run.seed_of("latents whose distance is kept")
    z, _ = draw_latents(LOOKED_AT, latent_size=tuner.latent_size, class_count=1, seed=seed)
    count = min(tuner.class_count, CLASSES)
    labels = np.random.default_rng(seed).permutation(tuner.class_count)[np.arange(LOOKED_AT) % count]

    def distances(generator: keras.Model) -> tuple[float | None, ...]:
        images = generate(generator, z, labels) / np.float32(127.5) - 1
        return within_class_pairwise_distance(images, labels, tuner.class_count, seed=seed, pairs=PAIRS)

    start = distances(tuner.generator)

    def view(model: keras.Model) -> tuple[float]:
        now = distances(model.generator)
        return (min((new / old for new, old in zip(now, start, strict=True) if new is not None and old), default=1.0),)

    return view
