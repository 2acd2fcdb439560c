"""The README's example of an own generator, as it stands there: made, imported, tuned on a colour, exported, loaded again."""

import json
import re
import shlex
from pathlib import Path

import keras
import numpy as np
import pytest

from pir_tf.experiments import tuning_stage
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


SMALLER = """
--estimator.quality-images 32 --estimator.image-size 48 --tuning.no-tensorboard --evaluation.no-judge --interactions.images {0}
--estimator.steps {1} --tuning.steps {2} --tuning.true-pir-every {2} --tuning.gradients-every {2}
--tuning.checkpoint-every {2} --evaluation.images {3}
"""


def follow(tmp_path, monkeypatch, *sizes, trained=2000):
    """Does what the example says, smaller; gives its names and the words of its last command."""
    monkeypatch.chdir(tmp_path)
    make, load = blocks("python")
    names = {}
    keras.utils.set_random_seed(0)
    exec(compile(make.replace("2000", str(trained)), "README.md", "exec"), names)  # noqa: S102 (the example itself)
    names["before"] = names["generator"].predict([names["z"][:16], names["classes"][:16]], verbose=0)
    run_it, export_it = blocks("sh")[0].replace("\\\n", " ").splitlines()
    words, exporting = shlex.split(run_it), shlex.split(export_it, comments=True)
    assert words[:2] == ["pir-tf", "run"] and exporting[:2] == ["pir-tf", "export"]
    options = parse([*words[2:], *SMALLER.format(*sizes).split()])
    run = RunDirectory(options.run_dir, options.experiment, files=named_files(options.experiment))
    run_stages(run, options.stages)
    run.close()
    exec(compile(load, "README.md", "exec"), names)  # noqa: S102
    images = names["images"]
    assert images.shape == names["before"].shape == (16, 48, 48, 3) and 0 <= images.min() <= images.max() <= 1
    assert np.abs(images - names["before"]).max() > 1e-4
    return names, exporting[2:]


@pytest.mark.nightly
def test_it_is_imported_tuned_and_loaded_again(tmp_path, monkeypatch, eager):
    less = "--stages gan interactions estimator tuning --estimator.batch-size 8 --tuning.batch-size 4 --compute.kernels stock"
    monkeypatch.setattr(tuning_stage, "DISPLAY_IMAGES", 8)
    follow(tmp_path, monkeypatch, 16, 4, 2, f"16 {less}", trained=160)
    facts = json.loads((tmp_path / "runs" / "mine" / "tuning" / "generator.json").read_text())
    assert facts["class_names"] == ["day", "night"] and facts["imported"]["class_input"] == "label"


@pytest.mark.nightly
def test_red_rises_and_it_is_exported(tmp_path, monkeypatch):
    names, exporting = follow(tmp_path, monkeypatch, 300, 120, 100, 150)
    results = json.loads((tmp_path / "runs" / "mine" / "evaluation" / "results.json").read_text())
    assert results["verdict"] == "gain" and results["p_value"] < 0.001
    assert results["cohens_d_interval"][0] > 0.3
    assert results["class_names"] == ["day", "night"]
    assert export(exporting) == 0
    assert (tmp_path / "models" / "mine" / "1" / "assets" / "class_names.txt").read_text().split() == ["day", "night"]
    images = names["images"]
    red = [np.mean(made[..., 0]) / np.mean(made) for made in (names["before"], images)]
    assert red[1] > 1.05 * red[0]
    day, night = (images[names["classes"][:16, 0] == label].mean() for label in (0, 1))
    assert day > 1.5 * night
