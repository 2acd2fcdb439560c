"""`pir-tf bench`: operations are counted from the graph, the numbers of a row follow from them and from times."""

import json
import sys
from pathlib import Path

import keras
import pytest
import tensorflow as tf

from pir_tf.experiments import bench
from pir_tf.experiments.bench import count_operations
from pir_tf.gan.networks import build_discriminator, build_generator


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


def test_the_cases_are_those_that_are_promised():
    names = bench.cases().keys()
    assert {bench.PEER_CASE, "ACGAN step, batch 32", "ACGAN step, batch 64", "generator, forward"} <= names
    for title in bench.ESTIMATORS:
        assert {f"tuning step, {title}, batch {batch}" for batch in (16, 32)} <= names


@pytest.mark.slow
def test_a_real_case_in_both_forms(tmp_path):
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "discriminator, forward", "--rounds", "1", "--json", str(path)]) == 0
    stock, fast = json.loads(path.read_text())["rows"]
    assert 0 < fast["operations_done"] < stock["operations_done"]


# Operations: worked by hand, and whole networks by the sum over their layers


def counted(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return count_operations(tf.function(function, autograph=False).get_concrete_function(*specs))


def test_products_worked_by_hand():
    assert counted(tf.matmul, (2, 3), (3, 5)) == 2 * 2 * 3 * 5
    assert counted(lambda a, b: tf.matmul(a, b, transpose_a=True), (3, 2), (3, 5)) == 2 * 2 * 3 * 5
    assert counted(lambda a, b: tf.matmul(a, b, adjoint_a=True), (7, 3, 2), (7, 3, 5)) == 7 * 2 * 2 * 3 * 5


def test_convolutions_worked_by_hand():
    one = 2 * (4 * 4) * (3 * 3) * 5 * 6  # pixels out, kernel, channels in and out
    assert counted(lambda x, k: tf.nn.conv2d(x, k, 2, "SAME"), (1, 8, 8, 5), (3, 3, 5, 6)) == one

    def gradients(x, k):
        with tf.GradientTape() as tape:
            tape.watch([x, k])
            y = tf.nn.conv2d(x, k, 2, "SAME")
        return y, *tape.gradient(y, [x, k])

    assert counted(gradients, (1, 8, 8, 5), (3, 3, 5, 6)) == 3 * one
    transposed = lambda x, k: tf.nn.conv2d_transpose(x, k, (1, 8, 8, 5), 2)  # noqa: E731
    assert counted(transposed, (1, 4, 4, 6), (3, 3, 5, 6)) == one


def test_what_no_result_needs_is_not_counted():
    def one_of_two(a, b):
        tf.matmul(b, a)
        return tf.matmul(a, b)

    assert counted(one_of_two, (2, 3), (3, 2)) == 2 * 2 * 3 * 2


def test_inner_functions_and_changed_variables_are_counted():
    kept = tf.Variable(tf.zeros((2, 2)))
    inner = tf.function(tf.matmul, jit_compile=True, autograph=False)

    def outer(a, b):
        kept.assign(tf.matmul(a, b))
        return inner(b, a)

    assert counted(outer, (2, 3), (3, 2)) == 2 * (2 * 3 * 2) + 2 * (3 * 2 * 3)


def test_an_unknown_batch_is_refused():
    with pytest.raises(ValueError, match="fixed batch"):
        counted(tf.matmul, (None, 3), (3, 5))


@pytest.mark.parametrize(
    "build, inputs", [(build_generator, [(2, 64), (2, 2)]), (build_discriminator, [(2, 64, 64, 3)])]
)
def test_whole_networks(build, inputs):
    network = build(2)

    def of(layer):
        if isinstance(layer, keras.layers.Dense):
            return 2 * layer.kernel.shape[0] * layer.kernel.shape[1]
        if not isinstance(layer, keras.layers.Conv2D):
            return 0
        _, height, width, _ = layer.output.shape
        rows, columns, channels_in, channels = layer.kernel.shape
        return 2 * height * width * rows * columns * channels_in * channels

    expected = 2 * sum(map(of, network.layers))  # two images
    assert counted(lambda *x: network(list(x) if len(x) > 1 else x[0]), *inputs) == expected
