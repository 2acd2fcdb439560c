"""`gpu.sh` can't run here; its commands are understood, and its table is worked by hand."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pir_tf.experiments.bench import BenchOptions
from pir_tf.experiments.command_line import parse, parsed

SCRIPT = Path(__file__).with_name("gpu.sh")


def said(out, *parts, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    done = subprocess.run([SCRIPT, out, *parts], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_its_commands_are_understood(tmp_path):
    code, text, _ = said(tmp_path, "bench", "fixed", "run", "paper", DRY="1", PEER="torch_gpu.py")
    commands = [line.removeprefix("+ pir-tf ") for line in text.splitlines() if line.startswith("+")]
    assert code == 0 and len(commands) == 6
    for words in map(lambda line: line.split(" "), commands[:4]):
        json_at = words.index("--json")
        assert Path(words[json_at + 1]).parent == tmp_path
    assert "--deterministic" in commands[3] and sum("compile" in command for command in commands[:4]) == 2
    short, paper = (parse(shlex.split(command)[1:]).experiment for command in commands[4:])
    for config in (short, paper):
        assert (config.estimator.trainable, config.estimator.image_size, config.tuning.learning_rate) == (
            "all",
            96,
            1e-6,
        )
        assert (config.gan.generator, config.interactions.objective) == ("bundled", "color:blue")
    assert (paper.estimator.steps, paper.tuning.steps) == (25_000, 50_000) and short.compute.jit_compile == "on"
    peer = "env LD_LIBRARY_PATH= PYTHONPATH= python3 torch_gpu.py {batch} {pixels} f32"
    options = [
        "--forms",
        "gpu",
        "--rounds",
        "5",
        "--only",
        "ACGAN*",
        "--no-deterministic",
        "--peer",
        peer,
        f"{peer} compile",
    ]
    assert parsed(BenchOptions, options, prog="pir-tf bench").peer == (peer, f"{peer} compile")


def test_an_unknown_part_is_refused(tmp_path):
    code, _, error = said(tmp_path, "all", DRY="1")
    assert code == 2 and "all is no part, expected bench, fixed" in error


@pytest.fixture
def out(tmp_path):
    row = {"case": "ACGAN step, batch 64", "form": "xla", "median_s": 0.004, "in_fit_s": 0.005, "share_of_limit": 0.25}
    peer = {"case": "tuning", "ours_s": [0.01], "peer_s": [0.03], "times_as_fast_as_peer": 3.0}
    machine = {"gpus": ["A GPU"], "processor": "x", "tensorflow": "2.21.0", "deterministic": False}
    (tmp_path / "acgan-64.json").write_text(json.dumps({"machine": machine, "rows": [row], "peers": [peer]}))
    (tmp_path / "short-blue" / "tuning").mkdir(parents=True)
    facts = {"seconds": 63.0, "parts": {"tracing and first step": 43.0}}
    (tmp_path / "short-blue" / "tuning" / "done.json").write_text(json.dumps(facts))
    (tmp_path / "short-blue" / "config.json").write_text(json.dumps({"config": {"tuning.steps": 1000}}))
    return tmp_path


def test_the_table(out):
    code, text, _ = said(out, "table")
    assert code == 0
    for words in (
        "acgan-64: A GPU, TensorFlow 2.21.0, deterministic False",
        "xla    4.00 ms bare     5.00 ms in fit   200.0 steps/s    25% of the limit",
        "xla 10.00 ms, peer 30.00 ms: 3.00 times as fast",
        "63 s for 1,000 steps: 20.0 ms a step with all around it, so 50,000 in 17 minutes",
    ):
        assert words in text
