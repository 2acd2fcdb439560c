"""`gpu.sh` needs a GPU: here its commands are understood, its forms are the same step, and its table is worked by hand."""

import contextlib
import fnmatch
import functools
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import gpu_forms
import keras
import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import images, small_inception, stirred, value_and_gradient
from gpu_forms import FORMS, folded

from pir_tf.estimator.model import build_network
from pir_tf.experiments import bench, bench_cases
from pir_tf.experiments.command_line import parse, parsed
from pir_tf.training import steps
from pir_tf.training.precision import mixed

SCRIPT = Path(__file__).with_name("gpu.sh")


def said(out, *parts, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    done = subprocess.run([SCRIPT, out, *parts], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def commands(out, *parts, **environment):
    """What it would run, as words."""
    code, text, _ = said(out, *parts, DRY="1", **environment)
    assert code == 0
    return [shlex.split(line.removeprefix("+ ")) for line in text.splitlines() if line.startswith("+")]


def test_its_commands_are_understood(tmp_path):
    parts = ("forms", "fixed", "peer", "bench", "paper")
    forms, fixed, *peers, bench, paper = commands(tmp_path, *parts, PEER="step.py", WEIGHTS="/w.h5", RANGE="0 1")
    for words, name, count, asked in ((forms, "forms", len(FORMS), (True, False)), (fixed, "fixed", 3, (False, True))):
        assert Path(words[1]).name == "gpu_forms.py"
        options = gpu_forms.parser().parse_args([word for word in words[2:]])
        assert options.json == tmp_path / f"{name}.json" and len(gpu_forms.chosen(options.only)) == count
        assert (options.fit, options.deterministic) == asked and 299 <= options.seconds <= 300
    assert [command[2:] for command in peers][3] == ["64", "299", "bf16", "compile"] and len(peers) == 4
    config = parse(paper[2:]).experiment  # behind `pir-tf run`
    assert (config.estimator.trainable, config.estimator.image_size, config.tuning.learning_rate) == ("all", 96, 1e-6)
    assert (config.estimator.steps, config.tuning.steps) == (25_000, 50_000) and not config.compute.deterministic
    assert (config.gan.generator, config.interactions.objective) == ("bundled", "color:blue")
    assert (config.estimator.weights, tuple(config.estimator.input_range)) == ("file:/w.h5", (0.0, 1.0))
    assert config.data.count == 20_000 and bench[1:4] == ["-m", "pir_tf.cli", "bench"]


def test_its_bench_has_a_peer_in_turn_eager_and_compiled(tmp_path, monkeypatch):
    """The words that the script hands on, as `pir-tf bench` takes them."""
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    (tmp_path / "python").write_text('#!/bin/sh\n[ "$1" != -m ] || printf "%s\\n" "$@" >"$WORDS"\n')
    for name in ("nvidia-smi", "python"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "step.py").touch()
    words = {"PYTHON": str(tmp_path / "python"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    code, _, error = said(tmp_path, "bench", **words, PEER=str(tmp_path / "step.py"), WORDS=str(tmp_path / "words"))
    options = parsed(bench.BenchOptions, (tmp_path / "words").read_text().splitlines()[3:], prog="pir-tf bench")
    assert (code, options.json, options.deterministic) == (0, tmp_path / "bench.json", False), error
    (case,) = fnmatch.filter(bench_cases.gpu_cases(), options.only)
    eager, compiled = (shlex.split(bench._peer_of(case, 64, one)) for one in options.peer)
    assert eager[-5:] == ["python3", str(tmp_path / "step.py"), "64", "299", "f32"] and compiled == [*eager, "compile"]


def test_other_objectives_have_names_of_their_own(tmp_path):
    (filters,) = commands(tmp_path, "paper", OBJECTIVE="vgg:pool3:filters=28", RUNS="/runs")
    more = "--estimator.output scalar --estimator.temperature 1"
    (scalar,) = commands(tmp_path, "paper", NAME="scalar", OBJECTIVE="color:red-blue", MORE=more, RUNS="/runs")
    assert [words[-1] for words in (filters, scalar)] == ["/runs/paper-vgg-pool3-filters-28", "/runs/scalar"]
    config = parse(scalar[2:]).experiment
    assert (config.interactions.objective, config.estimator.output) == ("color:red-blue", "scalar")
    assert parse(filters[2:]).experiment.interactions.objective == "vgg:pool3:filters=28"


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
    assert "paper-blue goes on already" in text and pid.read_text() == str(os.getpid())


@pytest.mark.parametrize(
    ("part", "environment", "expected"),
    [
        ("peer", {"PEER": "no-such.py"}, "PEER is 'no-such.py', expected a program's file"),
        ("bench", {}, "PEER is '', expected a program's file"),
        ("unpack", {}, "PACKED is '', expected a folder with run.tar.xz.00"),
        ("paper", {"WEIGHTS": "no-such.h5"}, "WEIGHTS is 'no-such.h5', which is no file"),
        ("pieces", {"PIECES": "first"}, "PIECES is 'first', expected FIRST-LAST, as 0-3"),
    ],
)
def test_what_a_part_lacks_is_said_before_minutes_are_spent(tmp_path, part, environment, expected):
    code, text, error = said(tmp_path / "out", "forms", part, **environment)
    assert code == 2 and expected in error and not text and not (tmp_path / "out").exists()


@pytest.mark.parametrize("part, expected", [("wait", "no {}/paper-blue.log"), ("pack", "{}/paper-blue is no folder")])
def test_a_run_that_is_not_there_is_said_and_the_worst_exit_status_is_kept(tmp_path, part, expected):
    code, _, error = said(tmp_path / "out", part, "table", RUNS=str(tmp_path / "runs"))
    assert code == 2 and expected.format(tmp_path / "runs") in error


def test_where_a_form_ends_its_process_another_one_goes_on(tmp_path):
    """75 says that forms are left, 134 that a library aborted; then all are done, one of them having failed."""
    (tmp_path / "python").write_text(
        '#!/bin/sh\ncase $1 in *gpu_forms.py) echo "$@" >>"$CALLS"; exit $(sed -n $(wc -l <"$CALLS")p "$CODES");; esac\n'
    )
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\n")
    for name in ("nvidia-smi", "python"):
        (tmp_path / name).chmod(0o755)
    (tmp_path / "codes").write_text("75\n134\n142\n1\n0\n")
    words = {"CALLS": str(tmp_path / "calls"), "CODES": str(tmp_path / "codes"), "PYTHON": str(tmp_path / "python")}
    code, _, error = said(tmp_path / "out", "forms", PATH=f"{tmp_path}:{os.environ['PATH']}", **words)
    assert code == 1 and (tmp_path / "calls").read_text().count("forms.json") == 4, error


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
    machine = {"gpus": ["A GPU"], "processor": "x", "tensorflow": "2.21.0", "keras": "3.15.1", "python": "3.12.3"}
    machine["flags"] = "--one"
    facts = {"machine": machine, "rates": {"convolution": 3e14}, "rows": [row, failed]}
    (tmp_path / "forms.json").write_text(json.dumps(facts))
    (tmp_path / "gone.json").write_text('{"machine": {"gpus"')  # a kill may cut what others write
    (tmp_path / "empty.json").write_text("[]")
    row = {name: value for name, value in row.items() if name not in ("first_s", "logs")}  # as of `pir-tf bench`
    peer = {"case": "tuning step", "command": "step.py f32", "ours_s": [0.02], "peer_s": [0.05]}
    del machine["flags"]
    facts = {"machine": machine, "rates": {}, "rows": [row], "peers": [peer]}
    (tmp_path / "bench.json").write_text(json.dumps(facts))
    (tmp_path / "peer-f32.txt").write_text("a warning\ntorch 64 299 f32 eager 48.41 ms\n")
    (tmp_path / "peer-bf16.txt").write_text("")
    code, text, _ = said(tmp_path, "table")
    assert code == 0 and (tmp_path / "table.txt").read_text() == text
    for words in (
        "forms: A GPU, TensorFlow 2.21.0, Keras 3.15.1, Python 3.12.3, --one\n  TFLOP/s: convolution 300\n",
        "bench: A GPU",
        "in fit 5.00, 25% of the limit\n",
        "50.00 ms beside our 20.00: step.py f32",
        "gone: can't be read (JSONDecodeError",
        "empty: can't be read (TypeError",
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


@pytest.mark.nightly
def test_inception_v3_itself_is_folded():
    """What the forms fold on a GPU, up to its logits, with statistics that matter."""
    model = stirred(build_network(bench_cases.ESTIMATORS["InceptionV3 at 75"], seed=0))
    logits = model.get_layer("logits")
    logits.kernel.assign(np.random.default_rng(0).normal(size=logits.kernel.shape))
    x, stock = images(2, 64, "float32"), functools.partial(model.__call__, training=False)
    found, expected = (value_and_gradient(call, x) for call in (folded(model, narrow=False), stock))
    for a, b in zip(found, expected, strict=True):
        assert np.linalg.norm(a - b) < 1e-3 * np.linalg.norm(b)


def test_the_products_own_steps_come_first_and_every_form_has_a_name_of_its_own_and_its_definition():
    whole, small = gpu_forms.WHOLE, gpu_forms.SMALL
    goals = [(gpu_forms.ACGAN, "xla"), (gpu_forms.LARGE, "xla"), (gpu_forms.LARGE, "xla bf16")]
    assert list(FORMS[:5]) == [*goals, (small, "xla"), (whole, "xla")]
    cases = {case for case, _ in FORMS}
    assert len(set(FORMS)) == len(FORMS) and all((case, "ops") in FORMS and (case, "xla") in FORMS for case in cases)


def no_kernel():
    raise tf.errors.UnimplementedError(None, None, "no kernel\nand more")


@pytest.mark.parametrize(
    ("does", "code", "expected"),
    [
        (no_kernel, gpu_forms.LEFT, "UnimplementedError: no kernel"),
        (
            functools.partial(signal.raise_signal, signal.SIGKILL),
            -signal.SIGKILL,
            "it ended its process, or took longer than 1 s",
        ),
        (signal.pause, -signal.SIGALRM, "it ended its process, or took longer than 1 s"),
    ],
)
def test_a_form_that_fails_leaves_a_row_and_the_next_process_times_the_others(
    tmp_path, monkeypatch, does, code, expected
):
    def row_of(case, form, *rest):
        if case == gpu_forms.LARGE and form == "xla":
            does()
        return {"median_s": 0.5}

    def run(*more):
        """The program's exit status, in a process of its own."""
        monkeypatch.setattr(sys, "argv", ["gpu_forms.py", str(path), "--only", only, "--form-seconds", "1", *more])
        if not (child := os.fork()):
            try:
                os._exit(gpu_forms.main())
            finally:
                os._exit(99)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    path, only = tmp_path / "rows.json", "ACGAN*: xla,*299*: xla,*299*: xla bf16"
    monkeypatch.setattr(gpu_forms, "row_of", row_of)
    monkeypatch.setattr(gpu_forms.bench_cases, "machine", lambda large: {})
    assert run() == code
    timed, failed = json.loads(path.read_text())["rows"]
    assert timed["median_s"] == 0.5 and failed["failed"] == expected and "median_s" not in failed
    assert run("--deterministic") == 99  # those rows are of other flags
    assert run() == 1
    rows = json.loads(path.read_text())["rows"]
    assert rows[:2] == [timed, failed] and (rows[2]["form"], rows[2]["median_s"]) == ("xla bf16", 0.5)


def test_the_form_with_tensorflows_own_pooling_leaves_the_products_alone_afterwards(monkeypatch):
    title = gpu_forms.LARGE.split(", ")[1]
    monkeypatch.setitem(bench_cases.ESTIMATORS, title, bench_cases.ESTIMATORS["compact"])
    form, usual = gpu_forms.made(gpu_forms.LARGE, "xla own pooling"), gpu_forms.pooling.of_slices
    with form._mixed():
        assert steps.pooling.of_slices is contextlib.nullcontext  # which a step that is traced here takes
    assert steps.pooling.of_slices is usual


# What goes on elsewhere

KEPT = "config.json data.json interactions/images.npz interactions/done.json tuning/history.csv".split()
NETWORKS = "gan/generator.keras gan/discriminator.keras estimator/estimator.keras".split()
GAN, ESTIMATOR = ("gan/best.npz", "gan/checkpoints/step-000000500.npz"), ("estimator/checkpoints/step-000025000.npz",)
TUNING = "tuning/checkpoints/step-000005000.npz"
FILES = [*KEPT, *NETWORKS, *GAN, *ESTIMATOR, TUNING, "tuning/checkpoints/step-000002500.npz", ".lock"]


def packed(tmp_path, *files, **environment):
    """What `pack` makes of a run of such files: the names of OUT, and those of what is unpacked from RUNS."""
    runs, there = tmp_path / "runs", tmp_path / "there"
    for name in files:
        path = runs / "paper-blue" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name in ("paper-blue.log", "paper-blue.pid", "paper-blue-2/config.json"):
        (runs / name).parent.mkdir(exist_ok=True)
        (runs / name).write_text("999999999")
    code, text, error = said(tmp_path / "out", "pack", RUNS=str(runs), **environment)
    assert code == 0, error
    assert said(tmp_path / "out2", "unpack", RUNS=str(there), PACKED=str(runs / "pieces"))[0] == 0
    found = sorted(str(path.relative_to(there)) for path in there.rglob("*") if path.is_file())
    found.remove("paper-blue.log")
    assert all((there / name).read_text() == name.removeprefix("paper-blue/") for name in found)
    return sorted(path.name for path in (tmp_path / "out").iterdir()), [n.removeprefix("paper-blue/") for n in found]


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ((), (*NETWORKS, *GAN, *ESTIMATOR, TUNING)),
        (("gan",), (*NETWORKS, *ESTIMATOR, TUNING)),
        (("gan", "estimator"), (*NETWORKS, TUNING)),
        (("gan", "estimator", "tuning"), NETWORKS),
        (("gan", "estimator", "tuning", "evaluation"), ()),
    ],
)
def test_what_is_packed_goes_on_elsewhere(tmp_path, done, expected):
    """Networks until all that loads them is done, and of a stage that isn't done its newest checkpoint."""
    marks = [f"{stage}/done.json" for stage in done]
    names, found = packed(tmp_path, *FILES, *marks)
    assert names == ["run.tar.xz.00", "table.txt"] and set(found) == {*KEPT, *expected, *marks}


def test_pieces_come_over_several_calls(tmp_path):
    (tmp_path / "split").write_text('#!/bin/sh\nexec /usr/bin/env -S PATH="$REAL" split -b 100 -d - "$5"\n')
    (tmp_path / "split").chmod(0o755)
    small = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REAL": os.environ["PATH"]}
    names, found = packed(tmp_path, *FILES, PIECES="0-1", **small)
    assert names == ["run.tar.xz.00", "run.tar.xz.01", "table.txt"] and "config.json" in found
    last = len(list((tmp_path / "runs" / "pieces").iterdir())) - 1
    assert last > 2
    words = {"RUNS": str(tmp_path / "runs"), "PIECES": f"2-{last + 9}"}
    code, text, _ = said(tmp_path / "more", "pieces", **words)
    names += sorted(path.name for path in (tmp_path / "more").iterdir())
    assert code == 0 and f"pieces 0 to {last}" in text
    assert [name for name in names if "run" in name] == [f"run.tar.xz.{number:02d}" for number in range(last + 1)]


@pytest.mark.nightly
def test_parts_on_a_cpu_with_networks_that_are_tiny(tmp_path):
    """A killed `paper` is packed, and goes on from its pieces in another folder to its end."""
    more = "--tuning.steps 300 --tuning.log-every 2 --tuning.checkpoint-every 2 --tuning.true-pir-every 300"
    words = {"TINY": "1", "ONLY": "ACGAN*: xla,*299*: xla folded", "MORE": more, "RUNS": str(tmp_path / "runs")}
    code, text, error = said(tmp_path / "out", "forms", "paper", **words)
    assert code == 0 and "failed" not in text and text.count("first after") == 2, error
    log, end = tmp_path / "runs" / "paper-blue" / "tuning" / "history.csv", time.monotonic() + 600
    while not (log.exists() and "\n4," in log.read_text()):
        assert time.monotonic() < end, (tmp_path / "runs" / "paper-blue.log").read_text()
    code, text, error = said(tmp_path / "out", "wait", "pack", **words, LIMIT_S="0")
    assert code == 0 and "paper-blue goes on" in text and "has ended" not in text, error
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == ["forms.json", "run.tar.xz.00", "table.txt"]
    words |= {"RUNS": str(tmp_path / "there"), "PACKED": str(tmp_path / "out"), "LIMIT_S": "600"}
    code, text, error = said(tmp_path / "out2", "unpack", "paper", "wait", "pack", **words)
    assert code == 0 and "paper-blue has ended" in text, error
    assert "Tuning the generator: resumed from its checkpoint" in (tmp_path / "there" / "paper-blue.log").read_text()
    held = subprocess.run(["tar", "tf", tmp_path / "out2" / "run.tar.xz.00"], capture_output=True, text=True).stdout
    assert "paper-blue/evaluation/results.json" in held and "paper-blue/tuning/generator.keras" in held
    assert "checkpoints" not in held and "estimator.keras" not in held


@pytest.mark.nightly
@pytest.mark.skipif("PIR_TF_LONG" not in os.environ, reason="takes ten minutes: set PIR_TF_LONG")
def test_every_form_and_the_bench_on_a_cpu_with_networks_that_are_tiny(tmp_path):
    peer = tmp_path / "step.py"
    peer.write_text("print('12.5 ms')")
    code, text, _ = said(tmp_path / "out", "forms", "fixed", "peer", "bench", TINY="1", FORMS_S="3600", PEER=str(peer))
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert code == 0 and left >= {"fixed.json", "forms.json", "bench.json", "peer-bf16-compile.txt", "table.txt"}
    table = text.split("TFLOP/s")[-1]
    assert all(": ".join(one).split(": ")[0] in text for one in FORMS) and "failed" not in table
