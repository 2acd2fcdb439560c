"""`gpu.sh` needs a GPU: here its commands are understood, its forms are the same step, and its table is worked by hand."""

import fnmatch
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import gpu_forms
import keras
import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import images, small_inception, stirred
from gpu_forms import FORMS, folded

from pir_tf.experiments.command_line import parse
from pir_tf.training.precision import mixed

SCRIPT = Path(__file__).with_name("gpu.sh")


def said(out, *parts, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    done = subprocess.run([SCRIPT, out, *parts], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_its_commands_are_understood(tmp_path):
    code, text, _ = said(tmp_path, "forms", "fixed", "peer", "paper", DRY="1", PEER="torch_gpu.py", WEIGHTS="/w.h5")
    commands = [shlex.split(line.removeprefix("+ ")) for line in text.splitlines() if line.startswith("+")]
    assert code == 0 and len(commands) == 7
    forms, _, *peers, paper = commands
    assert Path(forms[1]).name == "gpu_forms.py" and forms[2] == str(tmp_path / "forms.json") and "--fit" in forms
    line = next(line for line in text.splitlines() if "fixed.json" in line)
    asked = line.split("--only ")[1].split(",")
    chosen = [one for one in FORMS if any(fnmatch.fnmatch(": ".join(one), pattern) for pattern in asked)]
    assert len(chosen) == 3 and "--deterministic" in line
    assert [command[2:] for command in peers][3] == ["64", "299", "bf16", "compile"] and len(peers) == 4
    config = parse(paper[2:]).experiment  # behind `pir-tf run`
    assert (config.estimator.trainable, config.estimator.image_size, config.tuning.learning_rate) == ("all", 96, 1e-6)
    assert (config.estimator.steps, config.tuning.steps) == (25_000, 50_000) and not config.compute.deterministic
    assert (config.gan.generator, config.interactions.objective) == ("bundled", "color:blue")


def test_an_unknown_part_is_refused(tmp_path):
    code, _, error = said(tmp_path, "table", "all", DRY="1")
    assert code == 2 and "all is no part, expected forms, fixed" in error


def test_no_part_is_refused_and_a_run_that_goes_on_is_not_begun_again(tmp_path):
    code, _, error = said(tmp_path / "out")
    assert code == 2 and "received no part, expected forms" in error and not (tmp_path / "out").exists()
    (tmp_path / "runs").mkdir()
    pid = tmp_path / "runs" / "paper-blue.pid"
    pid.write_text(str(os.getpid()))
    code, text, _ = said(tmp_path / "out", "paper", RUNS=str(tmp_path / "runs"), TINY="1")
    assert "paper goes on already" in text and pid.read_text() == str(os.getpid())


def test_without_a_gpu_nothing_is_timed(tmp_path):
    code, text, _ = said(tmp_path, "forms", PYTHON="false")
    assert code == 3 and "TensorFlow sees no GPU here" in text and not list(tmp_path.glob("*.json"))


def test_tensorflow_is_put_together_once_and_its_environment_is_taken(tmp_path):
    parts = tmp_path / "parts"
    parts.mkdir()
    made = 'mkdir -p $2; echo "export XLA_FLAGS=of-$1 PYTHONPATH=$2/site" > $2/env.sh; echo made'
    (parts / "assemble.sh").write_text(made)
    (tmp_path / "python").write_text('#!/bin/sh\necho "$XLA_FLAGS $PYTHONPATH"; exit 1')
    (tmp_path / "python").chmod(0o755)
    words = {"PARTS": str(parts), "PYTHON": str(tmp_path / "python"), "PYTHONPATH": "/replaced"}
    for count in (1, 0):
        code, text, _ = said(tmp_path / "out", "forms", **words)
        assert code == 3 and text.count("made") == count
        assert f"of-{parts} {SCRIPT.parent.parent}:{parts}-tensorflow/site" in text


def test_the_table(tmp_path):
    row = {"case": "ACGAN step, batch 64", "form": "xla", "median_s": 0.004, "min_s": 0.003, "in_fit_s": 0.005}
    row |= {"share_of_limit": 0.25, "first_s": 31.0, "logs": {"L_PIR": 0.5}}
    failed = {"case": "ACGAN step, batch 64", "form": "ops", "failed": "InvalidArgumentError: no"}
    machine = {"gpus": ["A GPU"], "processor": "x", "tensorflow": "2.21.0", "flags": "--one"}
    facts = {"machine": machine, "rates": {"convolution": 3e14}, "rows": [row, failed]}
    (tmp_path / "forms.json").write_text(json.dumps(facts))
    (tmp_path / "peer-f32.txt").write_text("a warning\ntorch 64 299 f32 eager 48.41 ms\n")
    (tmp_path / "peer-bf16.txt").write_text("")
    code, text, _ = said(tmp_path, "table")
    assert code == 0 and (tmp_path / "table.txt").read_text() == text
    for words in (
        "forms: A GPU, TensorFlow 2.21.0, --one\n  TFLOP/s: convolution 300\n",
        "4.00 ms, least 3.00, in fit 5.00, 25% of the limit, first after 31 s, L_PIR 0.50000",
        "failed: InvalidArgumentError: no",
        "peer-f32: torch 64 299 f32 eager 48.41 ms",
        "peer-bf16: nothing",
    ):
        assert words in text


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)  # its kernels', which Keras draws
    return stirred(small_inception())


@pytest.mark.parametrize(("channels", "narrow", "off"), [(3, False, 1e-5), (8, False, 1e-5), (8, True, 0.4)])
def test_a_folded_network_is_the_stock_one_in_value_and_gradient(network, channels, narrow, off):
    """bfloat16 has 8 bits: the gradient is off by the ReLUs that they switch."""
    x = images(3, 13, "float32")

    def both(call):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = tf.cast(call(x), tf.float32)
        return value, tape.gradient(value, x)

    with mixed("mixed_bfloat16" if narrow else "float32", network):
        found = both(folded(network, narrow=narrow, channels=channels))
    for a, b in zip(found, both(network), strict=True):
        assert np.abs(a - b).max() < off * np.abs(b).max()
        assert not narrow or np.abs(a - b).max() > 1e-4 * np.abs(b).max()


def test_every_form_has_a_name_of_its_own_and_its_definition():
    cases = {case for case, _ in FORMS}
    assert len(set(FORMS)) == len(FORMS) and all((case, "ops") in FORMS and (case, "xla") in FORMS for case in cases)


def test_a_form_that_fails_leaves_a_row_and_the_next_one_is_timed(tmp_path, monkeypatch):
    def row_of(case, form, *rest):
        if form == "xla bf16":
            raise tf.errors.UnimplementedError(None, None, "no kernel\nand more")
        return {"median_s": 0.5}

    monkeypatch.setattr(gpu_forms, "row_of", row_of)
    monkeypatch.setattr(gpu_forms.bench_cases, "machine", lambda large: {})
    monkeypatch.setattr(gpu_forms.bench_cases, "_frozen_estimator", gpu_forms.bench_cases._frozen_estimator)
    monkeypatch.setattr(
        sys, "argv", ["gpu_forms.py", str(tmp_path / "rows.json"), "--only", "*299*: xla,*299*: xla bf16"]
    )
    gpu_forms.main()
    failed, timed = json.loads((tmp_path / "rows.json").read_text())["rows"]
    assert failed["failed"] == "UnimplementedError: no kernel" and timed["median_s"] == 0.5


@pytest.mark.nightly
@pytest.mark.skipif("PIR_TF_LONG" not in os.environ, reason="takes ten minutes: set PIR_TF_LONG")
def test_every_part_on_a_cpu_with_networks_that_are_tiny(tmp_path):
    parts, words = ("forms", "fixed", "paper", "wait", "pack"), {"TINY": "1", "FORMS_S": "3600", "LIMIT_S": "600"}
    code, text, _ = said(tmp_path / "out", *parts, **words)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert code == 0 and left == ["fixed.json", "forms.json", "run.tar.xz.00", "table.txt"]
    table = text.split("forms: ")[-1]
    assert all(": ".join(one).split(": ")[0] in table for one in FORMS) and "failed" not in table
    held = subprocess.run(["tar", "tf", tmp_path / "out" / "run.tar.xz.00"], capture_output=True, text=True).stdout
    assert "paper-blue/evaluation/results.json" in held and "paper-blue/tuning/generator.keras" in held
