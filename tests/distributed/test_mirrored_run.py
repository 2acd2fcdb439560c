"""The smoke job with small networks on two logical CPUs, from data to report, and what it leaves."""

import json

import keras
import numpy as np
import pytest
from commands import SMALL, small_command

from pir_tf.serving.export import main as export


@pytest.mark.nightly
def test_the_smoke_job_passes_on_two_devices_and_its_files_load(tmp_path):
    directory = tmp_path / "run"
    words = [*SMALL, "--run-dir", directory, "--distribute"]
    done = small_command(*words, "mirrored", "--compute.logical-cpus", 2, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    results = json.loads((directory / "evaluation" / "results.json").read_text())
    assert 0 < results["pir_before_mean"] < 1 and (directory / "report" / "index.html").stat().st_size > 0
    z, class_one_hot = np.random.default_rng(0).standard_normal((3, 64)), np.eye(2)[[0, 1, 0]]
    generator = keras.models.load_model(directory / "tuning" / "generator.keras")
    images = generator.predict([z, class_one_hot], verbose=0)
    assert images.shape == (3, 64, 64, 3) and np.abs(images).max() <= 1 and images.std() > 0
    _, class_logits = keras.models.load_model(directory / "tuning" / "discriminator.keras").predict(images, verbose=0)
    pir = keras.models.load_model(directory / "estimator" / "estimator.keras").predict(images, verbose=0)
    assert class_logits.shape == (3, 2) and ((0 < pir) & (pir < 1)).all()
    assert export([str(directory), "--to", str(tmp_path / "models")]) == 0
    # The way of distribution is no part of what the run is: on one device it is found finished.
    again = small_command(*words, "none", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("done before, skipped") == 6
