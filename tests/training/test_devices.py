"""How a process computes, and its place in a job: TF_CONFIG as TensorFlow reads it, who is waited for, which forms are taken."""

import json
import signal
import socket
import threading
import time

import pytest
import tensorflow as tf
from commands import ENVIRONMENT, command

from pir_tf.config import ComputeConfig
from pir_tf.errors import InputError
from pir_tf.training import devices
from pir_tf.training.devices import Cluster, meet, read_cluster, use_fast_forms

TWO = {"worker": ["localhost:12345", "localhost:12346"]}


def text(cluster, kind="worker", index=0):
    return json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})


@pytest.mark.parametrize("given", [None, "", " ", "{}"])
def test_without_a_cluster_there_is_one_process(monkeypatch, given):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_cluster(given) == Cluster() and (read_cluster().size, read_cluster().index) == (1, 0)


@pytest.mark.parametrize("index", [0, "1"])
def test_a_worker_has_its_place_and_the_chief_comes_before_the_workers(monkeypatch, index):
    monkeypatch.setenv("TF_CONFIG", text(TWO, index=index))
    cluster = read_cluster()
    assert (cluster.size, cluster.index, cluster.task) == (2, int(index), f"worker {index}")
    cluster = {**TWO, "chief": ["localhost:12344"]}
    assert read_cluster(text(cluster, "chief")).index == 0
    assert (read_cluster(text(cluster, index=index)).index, read_cluster(text(cluster)).size) == (int(index) + 1, 3)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("{", "no JSON"),
        ("[]", "without cluster"),
        ('{"cluster": {"worker": ["a:1"]}}', "without task"),
        (text({"worker": "localhost:12345"}), "cluster.worker"),
        (text({"worker": ["localhost"]}), '"localhost"'),
        (text({"worker": ["localhost:99999"]}), "99999"),
        (text({"worker": [12345]}), "12345"),
        (text({"worker": ["localhost:²"]}), "localhost:"),
        (text({**TWO, "ps": ["localhost:1"]}), "ps"),
        (text({}), "without workers"),
        (text({**TWO, "chief": ["localhost:12346"]}), "the address localhost:12346 twice"),
        (text(TWO, index=2), '"index": 2'),
        (text(TWO, index=True), '"index": true'),
        (text(TWO, kind="evaluator"), "evaluator"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_it(given, named):
    with pytest.raises(InputError) as caught:
        read_cluster(given)
    message = str(caught.value)
    assert named in message and message.startswith("TF_CONFIG has") and message.endswith("environment variable.")
    assert "\n" not in message and "expected for example" in message


# Meeting


@pytest.fixture
def addresses():
    """Three free ones of this machine."""
    sockets = [socket.create_server(("localhost", 0)) for _ in range(3)]
    found = {f"worker {i}": f"localhost:{one.getsockname()[1]}" for i, one in enumerate(sockets)}
    for one in sockets:
        one.close()
    return found


@pytest.mark.slow
def test_processes_wait_for_each_other_and_say_for_whom(addresses, capsys):
    met, arrived = threading.Event(), threading.Semaphore(0)

    def live(task):
        meet(Cluster(addresses, task), 0.1)
        arrived.release()
        with socket.create_server(("", int(addresses[task].rpartition(":")[2]))):  # as TensorFlow does
            met.wait(120)

    first, second, third = (threading.Thread(target=live, args=(task,), daemon=True) for task in addresses)
    first.start()
    second.start()
    time.sleep(1.0)
    assert first.is_alive() and second.is_alive()
    third.start()
    assert all(arrived.acquire(timeout=120) for _ in addresses)
    said = capsys.readouterr().out.splitlines()
    waiting = f"Waiting for worker 2 at {addresses['worker 2']} (Connection refused): start every process of the job."
    assert said.count(waiting) > 3
    time.sleep(0.5)
    assert capsys.readouterr().out == ""
    met.set()


def test_a_name_that_does_not_resolve_is_said_and_ctrl_c_ends_the_wait(addresses, capsys, monkeypatch):
    def interrupt(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", interrupt)
    cluster = Cluster({"worker 0": addresses["worker 0"], "worker 1": "no-such-host.invalid:1"}, "worker 0")
    with pytest.raises(KeyboardInterrupt):
        meet(cluster, 0.0)
    assert "Waiting for worker 1 at no-such-host.invalid:1 (" in capsys.readouterr().out


def test_a_port_in_use_is_refused(addresses):
    port = int(addresses["worker 0"].rpartition(":")[2])
    with socket.create_server(("", port)), pytest.raises(InputError, match=rf"the port {port}, which can't be used"):
        meet(Cluster(addresses, "worker 0"))


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)])
def test_a_run_that_waits_says_so_and_can_be_stopped(tmp_path, monkeypatch, addresses, number, code):
    monkeypatch.setitem(ENVIRONMENT, "TF_CONFIG", text({"worker": list(addresses.values())}, index=1))
    monkeypatch.setitem(ENVIRONMENT, "CUDA_VISIBLE_DEVICES", "")
    waits = (number, None, "Waiting for worker 0 at localhost")
    done = command("smoke", "--run-dir", tmp_path / "run", cwd=tmp_path, stop=waits)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert done.stdout.startswith("Resume with: ") and not (tmp_path / "run").exists()


# Memory


def test_a_process_shares_gpus_before_anything_runs_there_and_leaves_one_in_use_as_it_is(monkeypatch):
    said = []

    def grow(gpu, on):
        said.append((gpu, on))
        if gpu == "in use":
            raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: ["in use", "free"])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    monkeypatch.setattr(devices, "strategy", lambda config: said.append("devices are opened"))
    devices.configure(ComputeConfig(deterministic=False), seed=0)
    assert said == [("in use", True), ("free", True), "devices are opened"]


# Forms of the training passes


@pytest.mark.parametrize(
    "options, gpus, expected",
    [
        ({"kernels": "stock"}, 0, False),
        ({"kernels": "fast"}, 0, True),
        ({"kernels": "fast"}, 1, True),
        ({"kernels": "auto"}, 0, True),
        ({"kernels": "auto"}, 2, False),
        ({"distribute": "mirrored"}, 0, False),
        ({"distribute": "none", "precision": "mixed_bfloat16"}, 0, False),
    ],
)
def test_the_fast_forms_are_for_one_device_in_float32_asked_for_or_no_gpu(options, gpus, expected, monkeypatch):
    devices = {"CPU": ["/physical_device:CPU:0"], "GPU": [f"/physical_device:GPU:{i}" for i in range(gpus)]}
    every = [device for found in devices.values() for device in found]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices[kind] if kind else every)
    assert use_fast_forms(ComputeConfig(**options)) is expected
    with pytest.raises(InputError, match="compute.kernels is fast with the distribution mirrored"):
        use_fast_forms(ComputeConfig(distribute="mirrored", kernels="fast"))
