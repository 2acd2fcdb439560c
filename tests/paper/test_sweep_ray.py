"""The sweep on a Ray cluster of this machine."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commands import ENVIRONMENT
from sweeping import FAKE_SWEEP, Sweep, wait_for

from pir_tf.errors import InputError
from pir_tf.paper.jobs import is_held
from pir_tf.paper.ray_workers import RayTasks, room

WORDS = ("colors", "--only", "color-red-*")


def test_without_ray_one_sentence_names_the_extra(tmp_path):
    program = "import runpy, sys; sys.modules['ray'] = None; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    line = [sys.executable, "-c", program, FAKE_SWEEP, "colors", "--ray", "auto", "--dir", str(tmp_path / "sweep")]
    done = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1 and "pir_tf[sweep]" in done.stderr


def node(alive=True, **resources):
    return {"Alive": alive, "Resources": {"memory": 1e9, **resources}}


NODES = [node(CPU=8.0), node(CPU=1.0, GPU=4.0), node(alive=False, CPU=64.0, GPU=8.0), node()]


@pytest.mark.parametrize(
    ("cpus", "gpus", "count"),
    [(1, 0, 9), (3, 0, 2), (0, 1, 4), (0.25, 1, 4), (1, 0.5, 1), (0.1, 0.1, 10), (2, 1, 0), (9, 0, 0), (0, 5, 0)],
)
def test_room_is_counted_node_by_node_and_only_where_both_are(cpus, gpus, count):
    assert room(NODES, cpus, gpus) == count


@pytest.mark.parametrize("count", [None, 2])
def test_what_no_node_can_hold_is_one_sentence_and_nothing_waits(monkeypatch, count):
    left = []
    ray = SimpleNamespace(
        init=lambda **_: None,
        nodes=lambda: NODES,
        shutdown=lambda: left.append("the cluster"),
        cluster_resources=lambda: {"CPU": 9.0, "GPU": 4.0},
        remote=lambda **_: lambda function: function,
    )
    monkeypatch.setitem(sys.modules, "ray", ray)
    with pytest.raises(InputError, match="--cpus is 2 and --gpus 1, .*8 CPUs and 0 GPUs; 1 CPUs and 4 GPUs; 0 CPUs"):
        RayTasks("auto", count=count, cpus=2, gpus=1, environment={})
    assert left == ["the cluster"]
    assert RayTasks("auto", count=count, cpus=3, gpus=0, environment={}).capacity == 2
    ray.nodes = list
    with pytest.raises(InputError, match="no node is alive"):
        RayTasks("auto", count=count, cpus=1, gpus=0, environment={})


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
