"""The sweep on a Ray cluster of this machine."""

import os
import subprocess
import sys

import pytest
from commands import ENVIRONMENT
from sweeping import FAKE_SWEEP, Sweep, wait_for

from pir_tf.experiments.sweep_jobs import is_held

WORDS = ("colors", "--only", "color-red-*")


def test_without_ray_one_sentence_names_the_extra(tmp_path):
    program = "import runpy, sys; sys.modules['ray'] = None; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    line = [sys.executable, "-c", program, FAKE_SWEEP, "colors", "--ray", "auto", "--dir", str(tmp_path / "sweep")]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "pir_tf[sweep]" in done.stderr


@pytest.fixture(scope="module")
def cluster():
    """Address of a cluster with two CPUs, started here and ended after the tests."""
    pytest.importorskip("ray", reason="the extra [sweep] is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    yield made.address
    made.shutdown()


@pytest.mark.slow
def test_a_cluster_gives_the_same_table_as_this_machine(cluster, tmp_path):
    here, there = Sweep(tmp_path / "here"), Sweep(tmp_path / "there")
    here.run(*WORDS, code=1, FAKE_FAIL="color-red-blue")
    out = there.run(*WORDS, "--ray", cluster, code=1, FAKE_FAIL="color-red-blue")
    assert "2 of 3 done." in out
    assert (here.root / "results.csv").read_bytes() == (there.root / "results.csv").read_bytes()
    assert there.notes("start") == here.notes("start")
    assert "is broken" in (there.root / "color-red-blue" / "log.txt").read_text()


@pytest.mark.slow
def test_as_many_run_at_once_as_there_is_room_and_ctrl_c_ends_them(cluster, tmp_path):
    swept = Sweep(tmp_path / "sweep")
    names = ("color-red-green", "color-red-blue", "color-red-green-blue")
    process = swept.start(*WORDS, "--ray", cluster, FAKE_HANG=" ".join(names))
    held = lambda: [name for name in names if is_held(swept.root / name)]  # noqa: E731
    wait_for(lambda: len(held()) == 2)
    assert "color-red-green-blue" not in held()
    process.terminate()
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130, error
    wait_for(lambda: not held(), seconds=20)
    swept.run(*WORDS, "--ray", cluster)
    assert swept.notes("stage")["color-red-blue", "gan"] == 1


def test_no_cluster_is_one_sentence(tmp_path):
    pytest.importorskip("ray", reason="the extra [sweep] is not installed")
    swept = Sweep(tmp_path / "sweep")
    said = swept.run("colors", "--ray", "127.0.0.1:1", code=2)
    assert "--ray 127.0.0.1:1 is no Ray cluster" in said
