"""Runs that move latents: what they write, a second round on top, and what is refused before anything runs."""

import dataclasses
import json

import keras
import numpy as np
import pandas as pd
import pytest
from commands import SMALL, small_command

from pir_tf.errors import InputError
from pir_tf.experiments.inputs import require_own_generator
from pir_tf.presets import laptop
from pir_tf.runs.directory import STAGES, write_json

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("latents")
    words = [*SMALL, "--tuning.kind", "residual", "--tuning.gradients_every", 2, "--evaluation.control"]
    done = small_command(*words, "--run-dir", path / "run", cwd=path)
    assert done.returncode == 0, done.stderr
    assert "no control was made, since without the PIR term nothing would move" in done.stdout
    return path / "run"


def test_a_run_that_moves_latents_writes_what_others_write(run):
    log = pd.read_csv(run / "tuning" / "history.csv")
    assert list(log) == "step L_PIR KL generator_loss gradient_pir gradient_kl true_pir".split()
    facts, results = (json.loads((run / name).read_text()) for name in ("tuning/done.json", "evaluation/results.json"))
    assert results["kl"] == facts["kl"] > 0 and facts["kl_folded"] == 0
    assert results["control"] is None  # without the GAN's own training nothing would move
    before, after = (keras.models.load_model(run / stage / "generator.keras") for stage in ("gan", "tuning"))
    inside = next(layer for layer in after.layers if isinstance(layer, keras.Model))
    for one, other in zip(before.get_weights(), inside.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    files = [(run / stage / "generator.json").read_text() for stage in ("gan", "tuning")]
    assert files[0] == files[1]


def test_a_second_round_goes_on_from_it_with_weights(run, tmp_path):
    done = small_command(*SMALL, "--first-round", run, "--run-dir", tmp_path / "second", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (keras.models.load_model(p / "tuning" / "generator.keras") for p in (run, tmp_path / "second"))
    assert all((a != b).any() for a, b in zip(first.get_weights(), second.get_weights(), strict=True))
    assert json.loads((tmp_path / "second" / "evaluation" / "results.json").read_text())["kl"] is None


@pytest.mark.parametrize(
    "words, said",
    [
        (["--tuning.kind", "latents"], "weights"),
        (["--tuning.kl-weight", "-1"], "tuning.kl_weight is -1.0, expected a finite number, 0 or above"),
        (
            ["--tuning.latents-learning-rate", "0"],
            "tuning.latents_learning_rate is 0.0, expected a finite number above 0",
        ),
        (["--tuning.kind", "shift", "--gan.generator", "import:x.keras"], "tuning.kind is 'shift', but an imported"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(words, said, tmp_path):
    done = small_command("smoke", *words, "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr.replace("\n", " ") and not (tmp_path / "run").exists()


def test_a_second_round_with_an_imported_generator_is_refused(tmp_path):
    for stage in STAGES:
        (tmp_path / stage).mkdir()
        write_json(tmp_path / stage / "done.json", {})
    write_json(tmp_path / "config.json", {})
    write_json(tmp_path / "tuning" / "generator.json", {"imported": {"form": "keras"}})
    config = dataclasses.replace(laptop(), first_round=str(tmp_path))
    require_own_generator(config)
    config = dataclasses.replace(config, tuning=dataclasses.replace(config.tuning, kind="shift"))
    with pytest.raises(InputError, match="tuning.kind is 'shift' and first_round names .*: take --tuning.kind weights"):
        require_own_generator(config)
