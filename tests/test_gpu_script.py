"""`gpu.sh` needs a GPU: here its commands are understood, what it does when time is up is seen, its table is worked by hand."""

import fnmatch
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pir_tf.experiments.bench import HOST_CASE, BenchOptions
from pir_tf.experiments.bench_cases import gpu_cases
from pir_tf.experiments.command_line import parse, parsed

SCRIPT = Path(__file__).with_name("gpu.sh")


def said(out, *parts, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    done = subprocess.run([SCRIPT, out, *parts], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_its_commands_are_understood(tmp_path):
    parts = ("acgan", "tuning-299", "tuning-75", "fixed", "frozen", "run", "paper")
    code, text, _ = said(tmp_path, *parts, DRY="1", PEER="torch_gpu.py")
    commands = [line.removeprefix("+ ") for line in text.splitlines() if line.startswith("+")]
    assert code == 0 and len(commands) == len(parts)
    frozen = commands.pop(4).split(" ")
    assert frozen[:2] == ["gpu_frozen.py", str(tmp_path / "frozen.part.json")]
    commands = [command.removeprefix("pir-tf ") for command in commands]
    names = [HOST_CASE, *gpu_cases()]
    timed = []
    for command in commands[:4]:
        pattern = command.split("--only ")[1].split(" --")[0]  # it has spaces, and is one word of the script's
        timed.append([name for name in names if fnmatch.fnmatch(name, pattern)])
        assert Path(command.split("--json ")[1].split(" ")[0]).parent == tmp_path
    assert [len(cases) for cases in timed] == [2, 1, 1, 1] and "at 299" in timed[1][0] and "at 75" in timed[2][0]
    assert "--deterministic" in commands[3] and sum("compile" in command for command in commands[:4]) == 2
    short, paper = (parse(shlex.split(command)[1:]).experiment for command in commands[4:])
    for config in (short, paper):
        estimator = config.estimator
        assert (estimator.trainable, estimator.image_size, config.tuning.learning_rate) == ("all", 96, 1e-6)
        assert (config.gan.generator, config.interactions.objective) == ("bundled", "color:blue")
    assert (paper.estimator.steps, paper.tuning.steps) == (25_000, 50_000) and short.compute.jit_compile == "on"
    peer = "env LD_LIBRARY_PATH= PYTHONPATH= python3 torch_gpu.py {batch} {pixels} f32"
    both = ["--peer", peer, f"{peer} compile"]
    options = ["--forms", "gpu", "--rounds", "5", "--only", "ACGAN*", "--no-deterministic", *both]
    assert parsed(BenchOptions, options, prog="pir-tf bench").peer == (peer, f"{peer} compile")


def test_an_unknown_part_is_refused(tmp_path):
    code, _, error = said(tmp_path, "table", "all", DRY="1")
    assert code == 2 and "all is no part, expected acgan, frozen" in error


def test_without_a_gpu_nothing_is_timed(tmp_path):
    code, text, _ = said(tmp_path, "acgan", PYTHON="false")
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
        code, text, _ = said(tmp_path / "out", "acgan", **words)
        assert code == 3 and text.count("made") == count
        assert f"of-{parts} {SCRIPT.parent.parent}:{parts}-tensorflow/site" in text


def python_of(folder, bench):
    """An interpreter that does so where the script runs `pir-tf`, and is Python for the table."""
    (folder / "python").write_text(f'#!/bin/sh\ncase "$*" in *gpu_table*) exec {sys.executable} "$@";; esac\n{bench}')
    (folder / "python").chmod(0o755)
    return str(folder / "python")


@pytest.mark.slow
def test_what_was_measured_is_kept_when_the_time_is_up_and_what_is_done_is_not_done_again(tmp_path, out):
    cut_off = python_of(tmp_path, f"cp {out}/acgan.json {out}/fixed.part.json; sleep 60")
    code, text, _ = said(out, "acgan", "fixed", "tuning-75", TINY="1", PYTHON=cut_off, TOTAL_S="6")
    assert code == 0 and "it ended with 124" in text and "no time is left for this" in text
    table = text.split("no time is left")[1]
    assert (
        "fixed, not all of it: A GPU" in table
        and "acgan: A GPU" in table
        and "bench --forms gpu --only '[At]" not in text
    )
    assert (out / "table.txt").read_text() in text and "fixed, not all" in (out / "log.txt").read_text()
    whole = python_of(tmp_path, "exit 0")
    said(out, "fixed", TINY="1", PYTHON=whole)
    assert (out / "fixed.json").exists() and not (out / "fixed.part.json").exists()


@pytest.fixture
def out(tmp_path):
    """What the parts `acgan` and `frozen` leave, and a short run beside it."""
    row = {"case": "ACGAN step, batch 64", "form": "xla", "median_s": 0.004, "in_fit_s": 0.005, "share_of_limit": 0.25}
    peer = {"case": "tuning", "ours_s": [0.01], "peer_s": [0.03], "times_as_fast_as_peer": 3.0}
    peers = [{**peer, "command": f"python3 torch_gpu.py 64 299 f32{more}"} for more in ("", " compile")]
    machine = {"gpus": ["A GPU"], "processor": "x", "tensorflow": "2.21.0", "deterministic": False}
    made, runs = tmp_path / "out", tmp_path / "out-runs" / "short-blue"
    made.mkdir()
    facts = {"machine": machine, "host": {"bare": 0.001}, "rows": [row], "peers": peers}
    (made / "acgan.json").write_text(json.dumps(facts))
    off = {"case": "estimator", "form": "xla folded", "median_s": 0.01, "first_s": 31.0}
    failed = {"case": "estimator", "form": "ops folded NCHW", "failed": "InvalidArgumentError: no"}
    rows = [{**off, "difference": {"value": 1e-4, "gradient": 2e-3}, "share_of_limit": 0.5}, failed]
    (made / "frozen.json").write_text(json.dumps({"machine": machine, "rows": rows}))
    (runs / "tuning").mkdir(parents=True)
    facts = {"seconds": 63.0, "parts": {"tracing and first step": 43.0}}
    (runs / "tuning" / "done.json").write_text(json.dumps(facts))
    (runs / "config.json").write_text(json.dumps({"config": {"tuning.steps": 1000}}))
    return made


def test_the_table(out):
    code, text, _ = said(out, "table")
    assert code == 0
    for words in (
        "acgan: A GPU, TensorFlow 2.21.0, deterministic False",
        "the smallest step, on the host: bare 1.00 ms",
        "4.00 ms bare     5.00 ms in fit   200.0 steps/s    25% of the limit",
        "peer, eager                 xla 10.00 ms, peer 30.00 ms: 3.00 times as fast",
        "peer, compiled",
        "10.00 ms bare    50% of the limit, first after 31 s, gradient off by 2e-03",
        "failed: InvalidArgumentError: no",
        "63 s for 1,000 steps: 20.0 ms a step with all around it, so 50,000 in 17 minutes at the most",
    ):
        assert words in text


@pytest.mark.nightly
@pytest.mark.skipif("PIR_TF_LONG" not in os.environ, reason="takes ten minutes: set PIR_TF_LONG")
def test_every_part_on_a_cpu_with_networks_that_are_tiny(tmp_path):
    peer = tmp_path / "peer.py"
    peer.write_text("import sys\nprint('torch', *sys.argv[1:], '10.00 ms (max 11.00)')")
    words = {"TINY": "1", "TINY_FORMS": "xla*folded", "TOTAL_S": "3600", "PEER": str(peer)}
    code, text, _ = said(tmp_path / "out", **words)
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    names = ("acgan", "fixed", "frozen", "tuning-299", "tuning-75")
    assert code == 0 and left == sorted([*(f"{name}.json" for name in names), "log.txt", "table.txt"])
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) < 200_000
    table = text.split("Numbers:")[-1]
    for words in ("xla bf16 folded", "tuning step, InceptionV3 at 75, batch 2", "peer, compiled", "Cohen's d after"):
        assert words in table
    assert "failed" not in table
