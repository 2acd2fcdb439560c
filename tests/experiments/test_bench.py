"""`pir-tf bench`: operations are counted from the graph, the numbers of a row follow from them and from times."""

import json
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pir_tf.experiments import bench, bench_cases
from pir_tf.experiments.bench import count_operations
from pir_tf.gan import networks


@pytest.fixture
def tiny(monkeypatch):
    """Two cases of small matrix products in place of networks: the fast form has half of the operations."""
    a = tf.ones((64, 64))

    twice = tf.function(lambda: tf.matmul(tf.matmul(a, a), a), autograph=False)
    product = tf.function(lambda: tf.matmul(a, a), autograph=False)
    forms = {"stock": twice, "fast": product}
    monkeypatch.setattr(bench, "cases", lambda: dict.fromkeys((bench.PEER_CASE, "other"), lambda: (64, forms)))
    rates = dict.fromkeys(("matrix product", "convolution"), (product, 2.0 * 64**3))
    monkeypatch.setattr(bench, "machine", lambda large=False: rates)
    monkeypatch.setattr(bench, "host_times", lambda: {"bare": 0.001, "in a stage": 0.002})


def test_rows(tiny, tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "*the*", "--rounds", "3", "--json", str(path)]) == 0
    facts = json.loads(path.read_text())
    stock, fast = facts["rows"]
    assert (stock["case"], stock["form"], fast["form"]) == ("other", "stock", "fast")
    assert stock["operations"] == stock["operations_done"] == fast["operations"] == 4 * 64**3
    assert fast["operations_done"] == 2 * 64**3
    for row in facts["rows"]:
        assert row["rate"] == pytest.approx(4 * 64**3 / row["median_s"])
        assert row["share_of_limit"] == pytest.approx(row["rate"] / facts["rates"]["convolution"])
        assert row["times_as_fast_as_stock"] == pytest.approx(stock["median_s"] / row["median_s"])
        assert 0 < row["min_s"] <= row["median_s"]
    assert facts["machine"]["tensorflow"] == tf.__version__ and "peer" not in facts
    assert facts["machine"]["gpus"] == [] and facts["machine"]["deterministic"] is True
    said = capsys.readouterr().out
    assert "other" in said and str(path) in said and "on the host: bare 1.00 ms, in a stage 2.00 ms" in said


def test_a_peer_takes_turns(tiny, capsys, tmp_path):
    script = tmp_path / "peer.py"
    script.write_text("print('peer 32 75 eager s/step 12.5 min 0.4')\n")
    path = tmp_path / "bench.json"
    words = ["--only", "tuning*", "--rounds", "1", "--json", str(path), "--peer", f"{sys.executable} {script}"]
    assert bench.main(words) == 0
    peer = json.loads(path.read_text())["peer"]
    assert peer["peer_s"] == [12.5] * 3 and len(peer["ours_s"]) == 3
    assert peer["times_as_fast_as_peer"] == pytest.approx(sorted(12.5 / s for s in peer["ours_s"])[1])
    assert peer["command"] == f"{Path(sys.executable).name} peer.py"
    assert "against the peer" in capsys.readouterr().out


def test_a_bench_that_is_ended_leaves_its_rows(tiny, tmp_path, monkeypatch):
    def ended(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "_peer_seconds", ended)
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "tuning*", "--rounds", "1", "--json", str(path), "--peer", "hangs"]) == 130
    facts = json.loads(path.read_text())
    assert [row["form"] for row in facts["rows"]] == ["stock", "fast"] and facts["host"] == {}  # not asked for


@pytest.mark.parametrize(
    "words, expected",
    [
        (["--only", "nothing"], "expected a pattern of one of"),
        (["--rounds", "0"], "expected 1 or more"),
        (["--only", "tuning*", "--peer", "no-such-command"], "failed"),
        (["--only", "tuning*", "--peer", "echo fast"], "expected a line with s/step"),
    ],
)
def test_mistakes_are_one_sentence(tiny, words, expected, capsys):
    assert bench.main(words) == 2
    error = capsys.readouterr().err
    assert expected in error and error.count("\n") == 1


@pytest.mark.parametrize("name, batch, expected", [(bench.PEER_CASE, 32, "p 32 75"), ("ACGAN step, batch 64", 64, "")])
def test_a_peer_that_takes_sizes_runs_for_every_tuning_step(name, batch, expected):
    assert bench._peer_of(name, batch, "p {batch} {pixels}") == expected
    assert bench._peer_of(name, batch, "p") == ("p" if expected else "")
    assert bench._peer_of("tuning step, InceptionV3 at 299, batch 64", 64, "p {batch} {pixels}") == "p 64 299"
    assert bench._peer_seconds("echo torch 64 299 f32 eager 58.30 ms (max 59.01), first five 12.1 s") == 0.0583


@pytest.fixture
def small(monkeypatch):
    """Small networks, and small machine's rates."""
    monkeypatch.setattr(networks, "GENERATOR_CHANNELS", (8, 4, 4, 4, 3))
    monkeypatch.setattr(networks, "DISCRIMINATOR_FILTERS", (4, 4, 4, 4, 4, 4))
    product = tf.function(lambda: tf.matmul(tf.ones((64, 64)), tf.ones((64, 64))))
    names = ("matrix product", "convolution", "convolution, bfloat16")
    rates = {name: (product, (1 + place) * 2.0 * 64**3) for place, name in enumerate(names)}
    monkeypatch.setattr(bench, "machine", lambda large=False: rates)
    monkeypatch.setattr(bench, "host_times", dict)
    title = next(iter(bench_cases.ESTIMATORS))
    monkeypatch.setitem(bench_cases.ESTIMATORS, title, bench_cases.ESTIMATORS["compact"])


@pytest.mark.nightly
def test_the_forms_of_a_gpu_run_on_a_cpu(small, tmp_path, capsys):
    path = tmp_path / "bench.json"
    peer = "echo torch {batch} {pixels} 1000 ms"
    words = ["--forms", "gpu", "--only", "*75*", "--rounds", "1", "--json", str(path), "--peer", peer]
    assert bench.main(words) == 0
    facts = json.loads(path.read_text())
    ops, xla, half = facts["rows"]
    assert [row["form"] for row in facts["rows"]] == ["ops", "xla", "xla bf16"]
    assert ops["operations"] == xla["operations_done"] == half["operations"] > 0
    rates = facts["rates"]
    assert xla["share_of_limit"] == pytest.approx(xla["rate"] / rates["convolution"])
    assert half["share_of_limit"] == pytest.approx(half["rate"] / rates["convolution, bfloat16"])
    assert all(row["in_fit_s"] > 0 for row in facts["rows"])
    (compared,) = facts["peers"]
    assert compared["peer_s"] == [1.0] * 3 and compared["case"] == bench.PEER_CASE
    assert "xla bf16" in capsys.readouterr().out


@pytest.mark.slow
def test_what_fit_adds_is_measured_three_ways():
    found = bench_cases.host_times(steps=4, rounds=1)
    assert list(found) == ["bare", "in Keras's fit", "in a stage"] and min(found.values()) > 0


@pytest.mark.slow
def test_a_real_case_in_both_forms(tmp_path, monkeypatch):
    product = tf.function(lambda: tf.ones((8, 8)) @ tf.ones((8, 8)), autograph=False)
    monkeypatch.setattr(bench, "host_times", dict)
    monkeypatch.setattr(
        bench, "machine", lambda large=False: dict.fromkeys(("matrix product", "convolution"), (product, 1024.0))
    )
    assert bench.PEER_CASE in bench.cases()
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "discriminator, forward", "--rounds", "1", "--json", str(path)]) == 0
    stock, fast = json.loads(path.read_text())["rows"]
    assert 0 < fast["operations_done"] < stock["operations_done"]


# Operations, worked by hand


def counted(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return count_operations(tf.function(function, autograph=False).get_concrete_function(*specs))


def test_products_worked_by_hand():
    assert counted(tf.matmul, (2, 3), (3, 5)) == 2 * 2 * 3 * 5
    assert counted(lambda a, b: tf.matmul(a, b, adjoint_a=True), (7, 3, 2), (7, 3, 5)) == 7 * 2 * 2 * 3 * 5
    # What no result needs is not counted.
    assert counted(lambda a, b: (tf.matmul(b, a), tf.matmul(a, b))[1], (2, 3), (3, 2)) == 2 * 2 * 3 * 2
    with pytest.raises(ValueError, match="fixed batch"):
        counted(tf.matmul, (None, 3), (3, 5))


def test_convolutions_worked_by_hand():
    one = 2 * (4 * 4) * (3 * 3) * 5 * 6  # pixels out, kernel, channels in and out
    assert counted(lambda x, k: tf.nn.conv2d(x, k, 2, "SAME"), (1, 8, 8, 5), (3, 3, 5, 6)) == one

    def gradients(x, k):
        with tf.GradientTape() as tape:
            tape.watch([x, k])
            y = tf.nn.conv2d(x, k, 2, "SAME")
        return y, *tape.gradient(y, [x, k])

    assert counted(gradients, (1, 8, 8, 5), (3, 3, 5, 6)) == 3 * one
    assert counted(lambda x, k: tf.nn.conv2d_transpose(x, k, (1, 8, 8, 5), 2), (1, 4, 4, 6), (3, 3, 5, 6)) == one


def test_inner_functions_and_changed_variables_are_counted():
    kept = tf.Variable(tf.zeros((2, 2)))
    inner = tf.function(tf.matmul, jit_compile=True, autograph=False)

    def outer(a, b):
        kept.assign(tf.matmul(a, b))
        return inner(b, a)

    assert counted(outer, (2, 3), (3, 2)) == 2 * (2 * 3 * 2) + 2 * (3 * 2 * 3)
