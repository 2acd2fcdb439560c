"""Jobs' processes, and jobs on a Ray cluster: with a stand-in for Ray, and where it is installed on a cluster of this machine."""

import functools
import os
import signal
import sys
from concurrent.futures import Future
from types import SimpleNamespace

import pytest
from sweeping import Sweep, wait_for

from pir_tf.errors import InputError
from pir_tf.paper import sweep, workers
from pir_tf.paper.jobs import Job, is_held
from pir_tf.paper.workers import RayTasks
from pir_tf.presets import smoke

WORDS = ("colors", "--only", "color-red-*")


def test_a_process_leaves_its_output_and_exit_code_and_a_deaf_one_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "PATIENCE", 0.2)
    said = "import os; print(os.environ['FAKE'], flush=True); raise SystemExit(3)"
    assert workers.run_in_process(["-c", said], str(tmp_path / "a"), {"FAKE": "it"}) == 3
    assert (tmp_path / "a" / "log.txt").read_text() == "\nit\n"
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    process = workers.start_process(["-c", deaf], tmp_path, {})
    wait_for(lambda: "deaf" in (tmp_path / "log.txt").read_text())
    workers.stop_processes([process])
    assert process.returncode == -signal.SIGKILL


def test_without_ray_one_sentence_names_the_extra(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert sweep.main(["colors", "--ray", "auto", "--dir", str(tmp_path / "sweep")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "pir_tf[sweep]" in said


@pytest.fixture
def ray(monkeypatch):
    """A stand-in for Ray: tasks wait in `tasks` until a test begins and ends them."""
    nodes = [(True, {"CPU": 8.0}), (True, {"CPU": 1.0, "GPU": 4.0}), (False, {"CPU": 64.0, "GPU": 8.0})]
    ray = SimpleNamespace(
        **{"tasks": {}, "reserved": {}, "shut": []},
        nodes=lambda: [{"Alive": alive, "Resources": {"memory": 1e9, **has}} for alive, has in nodes],
        init=lambda **_: None,
        shutdown=lambda: ray.shut.append(True),
        wait=lambda tasks, timeout, num_returns=1: ([task for task in tasks if task.done()], []),
        get=lambda task: task.result(),
        cancel=lambda task: task.cancel(),
        exceptions=SimpleNamespace(RayError=type("RayError", (Exception,), {})),
    )

    def submit(name, *arguments):
        ray.tasks[name] = Future()
        ray.tasks[name].arguments = arguments
        return ray.tasks[name]

    def options(name):
        return SimpleNamespace(remote=functools.partial(submit, name))

    ray.remote = lambda **reserved: lambda _: SimpleNamespace(options=options, reserved=ray.reserved.update(reserved))
    monkeypatch.setitem(sys.modules, "ray", ray)
    return ray


def test_ray_counts_its_own_room_one_job_waits_and_what_no_node_can_hold_is_refused(ray, tmp_path, monkeypatch):
    monkeypatch.setenv("TF_SOMETHING", "kept")
    tasks = RayTasks("auto", None, 1, 0.5, {"PIR_TF_CACHE": "there"})
    jobs = {name: Job(name, tmp_path / name, smoke()) for name in "abc"}
    for job in jobs.values():
        job.directory.mkdir()
        (job.directory / "log.txt").write_text("of an earlier process")
        assert tasks.has_room()
        tasks.start(job)
        assert not tasks.has_room()
        with open(job.directory / "log.txt", "a") as log:
            log.write("\n")  # Ray has begun it
    assert ray.reserved == {"num_cpus": 1, "num_gpus": 0.5}
    words, directory, environment = ray.tasks["a"].arguments
    assert (words[-2:], directory) == (["--run-dir", str(tmp_path / "a")], str(tmp_path / "a"))
    assert (environment["PIR_TF_CACHE"], environment["TF_SOMETHING"]) == ("there", "kept")
    assert tasks.ended() == []
    ray.tasks["a"].set_result(0)
    ray.tasks["b"].set_exception(ray.exceptions.RayError())
    assert tasks.ended() == [("a", 0), ("b", 1)]
    assert "Error: Ray lost this job (RayError)" in (tmp_path / "b" / "log.txt").read_text()
    tasks.stop()
    assert ray.tasks["c"].cancelled() and ray.shut
    two = RayTasks("auto", 2, 1, 0, {})
    for name, room in (("a", True), ("b", False)):
        two.start(jobs[name])
        assert two.has_room() is room
    ray.shut.clear()
    RayTasks("auto", 2, 8, 0, {})
    RayTasks("auto", None, 0.5, 4, {})
    with pytest.raises(InputError, match="--cpus is 2 and --gpus 1, .*8 CPUs and 0 GPUs; 1 CPUs and 4 GPUs"):
        RayTasks("auto", None, 2, 1, {})
    ray.nodes = list
    with pytest.raises(InputError, match="no node is alive"):
        RayTasks("auto", None, 1, 0, {})
    assert ray.shut == [True, True]
    with pytest.raises(InputError, match="--ray 127.0.0.1:1 is no Ray cluster that answers"):
        RayTasks("127.0.0.1:1", None, 1, 0, {})


@pytest.mark.slow
def test_a_real_cluster_gives_the_same_table_runs_as_many_as_it_has_room_for_and_obeys_ctrl_c(tmp_path):
    pytest.importorskip("ray", reason="the extra [sweep] is not installed")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    here, there, hanging = (Sweep(tmp_path / name) for name in ("here", "there", "hanging"))
    names = ("color-red-green", "color-red-blue", "color-red-green-blue")
    held = lambda: [name for name in names if is_held(hanging.root / name)]  # noqa: E731
    try:
        here.run(*WORDS, code=1, FAKE_FAIL="color-red-blue")
        process = there.start(*WORDS, "--ray", cluster.address, FAKE_FAIL="color-red-blue")
        out, error = process.communicate(timeout=300)
        assert process.returncode == 1 and "2 of 3 done." in out, error
        assert (here.root / "results.csv").read_bytes() == (there.root / "results.csv").read_bytes()
        assert there.notes("start") == here.notes("start")
        process = hanging.start(*WORDS, "--ray", cluster.address, FAKE_HANG=" ".join(names))
        wait_for(lambda: len(held()) == 2)
        assert "color-red-green-blue" not in held()
        process.terminate()
        assert process.communicate(timeout=300) and process.returncode == 130
        wait_for(lambda: not held(), seconds=20)
    finally:
        cluster.shutdown()
