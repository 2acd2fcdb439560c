"""Whole runs in the process of a test: networks of C.2 with few channels, called eagerly, so that every stage takes a moment."""

import contextlib
import csv
import dataclasses
import json

import tensorflow as tf

from pir_tf.experiments import rounds, tuning_stage
from pir_tf.experiments.stages import run_stages
from pir_tf.gan import networks, train
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory

UP_TO_EVALUATION = ("gan", "interactions", "estimator", "tuning", "evaluation")


@contextlib.contextmanager
def small_networks(monkeypatch):
    """Within it networks are small, and steps aren't traced."""
    monkeypatch.setattr(networks, "GENERATOR_CHANNELS", (8, 4, 4, 4, 3))
    monkeypatch.setattr(networks, "DISCRIMINATOR_FILTERS", (4, 4, 4, 4, 4, 4))
    monkeypatch.setattr(train, "DISTANCE_IMAGES", 16)
    monkeypatch.setattr(tuning_stage, "DISPLAY_IMAGES", 8)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def small_config(**changes):
    """The smoke job's config with a GAN of its own and few of everything; changes are named `section__field` or `field`."""
    fields = {
        **{"data__count": 32, "gan__generator": "train", "gan__steps": 1, "gan__batch_size": 4, "gan__decay_steps": 0},
        **{"gan__log_every": 1, "gan__sample_every": 1, "gan__checkpoint_every": 1},
        **{
            "gan__tensorboard": False,
            "tuning__tensorboard": False,
            "interactions__images": 24,
            "evaluation__images": 20,
        },
        **{
            "estimator__steps": 2,
            "estimator__checkpoint_every": 2,
            "estimator__quality_images": 8,
            "estimator__image_size": 32,
        },
        **{"tuning__steps": 1, "tuning__log_every": 1, "tuning__checkpoint_every": 1, "tuning__batch_size": 4},
        **{"tuning__gradients_every": 1, "tuning__true_pir_every": 1},
    }
    return changed(smoke(), **{**fields, **changes})


def changed(config, **fields):
    """A config with fields changed, named `section__field` or `field`."""
    sections = {}
    for name, value in fields.items():
        section, _, field = name.rpartition("__")
        sections.setdefault(section, {})[field] = value
    own = sections.pop("", {})
    parts = {name: dataclasses.replace(getattr(config, name), **some) for name, some in sections.items()}
    return dataclasses.replace(config, **own, **parts)


def finish(directory, config, stages=UP_TO_EVALUATION):
    """Runs stages; returns the directory."""
    run = RunDirectory(directory, config, files=rounds.round_files(config))
    try:
        run_stages(run, stages)
    finally:
        run.close()
    return directory


def fill(path, impressions=10, positives=4):
    """Fills in a template of answers: 4 of 10 for the first image, 5 for the second, and so on."""
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        for i, row in enumerate(rows):
            writer.writerow({**row, "impressions": impressions, "positives": (positives + i) % (impressions + 1)})


def results_of(directory):
    return json.loads((directory / "evaluation" / "results.json").read_text())
