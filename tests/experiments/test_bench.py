"""`pir-tf bench`: the numbers of a row follow from operations and times; mistakes are one sentence."""

import json
import sys
from pathlib import Path

import pytest
import tensorflow as tf

from pir_tf.experiments import bench, bench_cases
from pir_tf.experiments.bench_cases import Case


@pytest.fixture
def tiny(monkeypatch):
    """Two cases of small matrix products in place of networks: the fast form has half of the operations."""
    a = tf.ones((64, 64))

    def build(name):
        twice = tf.function(lambda: tf.matmul(tf.matmul(a, a), a), autograph=False)
        return Case(name, 64, {"stock": twice, "fast": tf.function(lambda: tf.matmul(a, a), autograph=False)})

    names = (bench.PEER_CASE, "other")
    monkeypatch.setattr(bench_cases, "cases", lambda: [(name, lambda name=name: build(name)) for name in names])
    product = tf.function(lambda: tf.matmul(a, a), autograph=False)
    rates = {"matrix product": (product, 2.0 * 64**3), "convolution": (product, 2.0 * 64**3)}
    monkeypatch.setattr(bench_cases, "machine", lambda: rates)


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
    names = [name for name, _ in bench_cases.cases()]
    assert len(names) == len(set(names)) and bench.PEER_CASE in names
    assert {"ACGAN step, batch 32", "ACGAN step, batch 64"} <= set(names)
    for title in bench_cases.ESTIMATORS:
        assert {f"tuning step, {title}, batch {batch}" for batch in (16, 32)} <= set(names)


@pytest.mark.slow
def test_a_real_case_in_both_forms(tmp_path):
    path = tmp_path / "bench.json"
    assert bench.main(["--only", "discriminator, forward", "--rounds", "1", "--json", str(path)]) == 0
    stock, fast = json.loads(path.read_text())["rows"]
    assert 0 < fast["operations_done"] < stock["operations_done"]
