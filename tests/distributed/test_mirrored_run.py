"""The smoke job on two logical CPUs, from data to report, and what it leaves."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from pir_tf.serving.export import main as export


@pytest.mark.slow
def test_the_smoke_job_passes_on_two_devices_and_its_files_load(tmp_path):
    directory = tmp_path / "run"
    words = ["smoke", "--gan.generator", "train", "--distribute", "mirrored", "--compute.logical-cpus", "2"]
    done = subprocess.run(
        [sys.executable, "-m", "pir_tf.experiments.run", *words, "--run-dir", str(directory)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = json.loads((directory / "evaluation" / "results.json").read_text())
    assert 0 < results["pir_before_mean"] < 1 and (directory / "report" / "index.html").stat().st_size > 0
    z, class_one_hot = np.random.default_rng(0).standard_normal((3, 64)), np.eye(2)[[0, 1, 0]]
    generator = keras.models.load_model(directory / "tuning" / "generator.keras")
    images = generator.predict([z, class_one_hot], verbose=0)
    assert images.shape == (3, 64, 64, 3) and np.abs(images).max() <= 1 and images.std() > 0.01
    _, class_logits = keras.models.load_model(directory / "tuning" / "discriminator.keras").predict(images, verbose=0)
    pir = keras.models.load_model(directory / "estimator" / "estimator.keras").predict(images, verbose=0)
    assert class_logits.shape == (3, 2) and ((0 < pir) & (pir < 1)).all()
    assert export([str(directory), "--to", str(tmp_path / "models")]) == 0
    # The way of distribution is no part of what the run is: on one device it is found finished.
    words[words.index("mirrored")] = "none"
    words[words.index("2")] = "0"
    again = subprocess.run(
        [sys.executable, "-m", "pir_tf.experiments.run", *words, "--run-dir", str(directory)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0 and again.stdout.count("done before, skipped") == 6
