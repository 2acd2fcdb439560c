"""Sweeps of real smoke experiments. The long ones run where PIR_TF_LONG is set: they take many minutes."""

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import ENVIRONMENT, command
from sweeping import wait_for

from pir_tf.paper.sweep_command import command_of

long = pytest.mark.skipif("PIR_TF_LONG" not in os.environ, reason="takes many minutes: set PIR_TF_LONG=1 to run it")


def start(root, *words):
    line = [sys.executable, "-m", "pir_tf.cli", "sweep", *words, "--size", "smoke", "--dir", str(root)]
    return subprocess.Popen(
        line, cwd=root.parent, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(root, *words):
    process = start(root, *words)
    out, _ = process.communicate(timeout=3000)
    assert process.returncode == 0, out
    return out


def rows(root, name="results.csv"):
    with open(root / name, newline="") as handle:
        return {row["name"]: row for row in csv.DictReader(handle)}


def weights(path):
    import keras

    return [np.asarray(variable) for variable in keras.models.load_model(path).weights]


@pytest.mark.slow
def test_a_real_experiment_takes_the_shared_gan_and_equals_a_single_run(tmp_path):
    root = tmp_path / "sweep"
    name = "color-blue-trained-gan"
    run(root, "ablations", "--only", name)
    results = json.loads((root / name / "evaluation" / "results.json").read_text())
    row = rows(root)[name]
    assert row["status"] == "done"
    for column, key in (("pir_before", "pir_before_mean"), ("cohens_d", "cohens_d"), ("p_value", "p_value")):
        assert float(row[column]) == results[key]
    assert float(row["results.true.degrees_of_freedom"]) == results["true"]["degrees_of_freedom"]
    assert float(rows(root, "timings.csv")[name]["seconds"]) > 0
    assert "gan: done before, skipped" in (root / name / "log.txt").read_text()
    assert any((root / "cache").iterdir())
    # The recorded command makes the same run alone, GAN and all.
    config = json.loads((root / "color-blue-trained-gan" / "config.json").read_text())
    words = config["command"].removeprefix("python -m pir_tf.experiments.run ").split()
    alone = command(*words, "--run-dir", tmp_path / "alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    for name in ("gan/generator.keras", "tuning/generator.keras"):
        pairs = zip(weights(tmp_path / "alone" / name), weights(root / "color-blue-trained-gan" / name), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs), name
    texts = {
        (place / "evaluation/results.json").read_text()
        for place in (tmp_path / "alone", root / "color-blue-trained-gan")
    }
    assert len(texts) == 1


@long
def test_kill_9_in_the_middle_of_real_experiments_changes_no_byte(tmp_path):
    words = ("colors", "--only", "color-red", "--only", "color-green", "--only", "color-blue")
    run(tmp_path / "unbroken", *words)
    root = tmp_path / "broken"
    process = start(root, *words)
    wait_for(lambda: list((root / "color-green" / "tuning").glob("checkpoints/step-*.npz")), seconds=600)
    process.kill()
    process.communicate()
    finished = (root / "color-red" / "report" / "done.json").stat().st_mtime_ns
    run(root, *words)
    assert (root / "color-red" / "report" / "done.json").stat().st_mtime_ns == finished
    assert (root / "results.csv").read_bytes() == (tmp_path / "unbroken" / "results.csv").read_bytes()


@long
def test_memory_stays_flat_over_fifteen_experiments(tmp_path):
    root = tmp_path / "sweep"
    words = ["colors", "ablations", "--only", "color-*"]
    process = start(root, *words, "--limit", "15")
    ended, resident = 0, []
    while process.poll() is None:
        now = len(list(root.glob("color-*/report/done.json")))
        if now > ended:
            status = Path(f"/proc/{process.pid}/status").read_text()
            resident.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
            ended = now
        time.sleep(0.5)
    assert process.returncode == 0, process.stdout.read()
    assert [row["status"] for row in rows(root).values()].count("done") == 15
    peaks = [float(row["peak_memory_mb"]) for row in rows(root, "timings.csv").values() if row["report_seconds"]]
    print(f"sweep: {resident} MB; experiments: {peaks} MB")
    assert resident[-1] - resident[2] < 5
    assert max(peaks) <= 1.1 * peaks[0]


def test_the_recorded_command_is_that_of_the_config():
    from pir_tf.presets import smoke

    assert command_of(smoke()) == "python -m pir_tf.experiments.run smoke"
