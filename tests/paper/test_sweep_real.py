"""Sweeps of real experiments, which are tiny."""

import json
from unittest import mock

import commands
import keras
import numpy as np
import pytest
from sweeping import Sweep, tiny_suite

from pir_tf.paper import sweep
from pir_tf.paper.workers import Workers


class Forked(Workers):
    """Runs each experiment in a fork of a process that has imported everything already, with small networks."""

    def start(self, job):
        with mock.patch.dict(commands.ENVIRONMENT, self._environment):
            done = commands.small_command(*job.words, cwd=job.directory)
        (job.directory / "log.txt").write_text(done.stdout + done.stderr)
        self._running[job.name] = mock.Mock(poll=lambda: done.returncode)

    def stop(self):
        self._running.clear()


@pytest.mark.nightly
def test_a_real_experiment_takes_the_shared_gan_and_equals_a_single_run(tmp_path, monkeypatch):
    swept, name = Sweep(tmp_path / "sweep"), "trained-longer"
    monkeypatch.setattr(sweep, "Workers", Forked)
    monkeypatch.setitem(sweep.SUITES, "colors", tiny_suite)
    assert sweep.main(["colors", "--only", name, "--size", "smoke", "--dir", str(swept.root)]) == 0
    run, row = swept.root / name, swept.rows()[name]
    results = json.loads((run / "evaluation" / "results.json").read_text())
    assert row["status"] == "done"
    for column in ("pir_before_mean", "cohens_d", "p_value"):
        assert float(row[column]) == results[column]
    assert float(swept.rows("timings.csv")[name]["seconds"]) > 0
    assert "gan: done before, skipped" in (run / "log.txt").read_text()
    assert any((swept.root / "cache").iterdir())
    # The recorded command makes the same run alone, GAN and all.
    command = json.loads((run / "config.json").read_text())["command"]
    words = command.removeprefix("python -m pir_tf.experiments.run ").split()
    stages = ("--stages", "gan", "interactions", "estimator", "tuning", "evaluation")
    alone = commands.small_command(*words, *stages, "--run-dir", tmp_path / "alone", cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    for file in ("gan/generator.keras", "tuning/generator.keras"):
        ours, theirs = (keras.models.load_model(place / file).weights for place in (run, tmp_path / "alone"))
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True)), file
    texts = [(place / "evaluation" / "results.json").read_text() for place in (run, tmp_path / "alone")]
    assert texts[0] == texts[1]
