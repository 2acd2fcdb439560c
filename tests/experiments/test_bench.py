"""`pir-tf bench`: operations are counted from the graph, the numbers of a row follow from them and from times."""

import json
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pir_tf.experiments import bench
from pir_tf.experiments.bench import count_operations


@pytest.fixture
def tiny(monkeypatch):
    """Two cases of small matrix products in place of networks: the fast form has half of the operations."""
    a = tf.ones((64, 64))

    twice = tf.function(lambda: tf.matmul(tf.matmul(a, a), a), autograph=False)
    product = tf.function(lambda: tf.matmul(a, a), autograph=False)
    forms = {"stock": twice, "fast": product}
    monkeypatch.setattr(bench, "cases", lambda: dict.fromkeys((bench.PEER_CASE, "other"), lambda: (64, forms)))
    rates = dict.fromkeys(("matrix product", "convolution"), (product, 2.0 * 64**3))
    monkeypatch.setattr(bench, "machine", lambda: rates)


def test_rows(tiny, tmp_path, capsys):
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "oth*", "--rounds", "3", "--json", str(path)]) == 0
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
    said = capsys.readouterr().out
    assert "other" in said and str(path) in said


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


@pytest.mark.slow
def test_a_real_case_in_both_forms(tmp_path, monkeypatch):
    product = tf.function(lambda: tf.ones((8, 8)) @ tf.ones((8, 8)), autograph=False)
    monkeypatch.setattr(bench, "machine", lambda: dict.fromkeys(("matrix product", "convolution"), (product, 1024.0)))
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
