"""The README's example of an own generator, as it stands there: made, imported, tuned on a colour, exported, loaded again."""

import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from pir_tf.experiments.command_line import parse
from pir_tf.experiments.inputs import named_files
from pir_tf.experiments.stages import run_stages
from pir_tf.runs.directory import RunDirectory
from pir_tf.serving.export import main as export

README = Path(__file__).resolve().parents[2] / "README.md"


def blocks(kind):
    """The example's code blocks of one language."""
    section = README.read_text(encoding="utf-8").partition("\n### Your own generator\n")[2].partition("\n### ")[0]
    return re.findall(rf"^```{kind}\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)


def smaller(config):
    """The same experiment with fewer images and steps."""
    return dataclasses.replace(
        config,
        interactions=dataclasses.replace(config.interactions, images=300),
        estimator=dataclasses.replace(config.estimator, steps=120, quality_images=32, image_size=48),
        tuning=dataclasses.replace(
            config.tuning, steps=100, true_pir_every=100, gradients_every=100, checkpoint_every=100, tensorboard=False
        ),
        evaluation=dataclasses.replace(config.evaluation, images=150, judge=False),
    )


def test_it_is_short():
    make, load = blocks("python")
    assert len(make.splitlines()) + len(load.splitlines()) <= 30


@pytest.mark.slow
def test_it_is_imported_tuned_on_a_colour_exported_and_loaded_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, load = blocks("python")
    names = {}
    exec(compile(make, "README.md", "exec"), names)  # noqa: S102 (the example itself)
    command, *_ = blocks("sh")
    run_it, export_it = command.replace("\\\n", " ").splitlines()
    words, exporting = shlex.split(run_it), shlex.split(export_it, comments=True)
    assert words[:2] == ["pir-tf", "run"] and exporting[:2] == ["pir-tf", "export"]
    options = parse(words[2:])
    config = smaller(options.experiment)
    run = RunDirectory(options.run_dir, config, files=named_files(config))
    run_stages(run, options.stages)
    run.close()
    results = json.loads((tmp_path / "runs" / "mine" / "evaluation" / "results.json").read_text())
    assert results["verdict"] == "gain" and results["p_value"] < 0.001
    assert results["cohens_d_interval"][0] > 0.3
    assert results["class_names"] == ["day", "night"]
    assert export(exporting[2:]) == 0
    assert (tmp_path / "models" / "mine" / "1" / "assets" / "class_names.txt").read_text().split() == ["day", "night"]
    before = names["generator"].predict([names["z"][:16], names["classes"][:16]], verbose=0)
    exec(compile(load, "README.md", "exec"), names)  # noqa: S102
    images = names["images"]
    assert images.shape == before.shape == (16, 48, 48, 3) and 0 <= images.min() <= images.max() <= 1
    red = [np.mean(made[..., 0]) / np.mean(made) for made in (before, images)]
    assert red[1] > 1.05 * red[0]
    day, night = (images[names["classes"][:16, 0] == label].mean() for label in (0, 1))
    assert day > 1.5 * night
