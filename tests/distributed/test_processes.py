"""Two processes of one job on this machine: a late one is waited for, a killed one ends the job, the next start goes on."""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

import pytest

TRAINING = ("--gan.generator", "train", "--stages", "gan", "--gan.checkpoint-every", "2", "--data.count", "32")
PATIENCE = 240  # seconds, for busy machines


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(directory, steps, index, ports):
    config = {
        "cluster": {"worker": [f"localhost:{port}" for port in ports]},
        "task": {"type": "worker", "index": index},
    }
    words = ["smoke", *TRAINING, "--gan.steps", str(steps), "--gan.decay-steps", "0", "--run-dir", str(directory)]
    with open(directory.parent / f"process-{index}.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "pir_tf.experiments.run", *words],
            env={**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": ""},
            stdout=log,
            stderr=subprocess.STDOUT,
        )


def said(directory, index):
    return (directory.parent / f"process-{index}.log").read_text(errors="replace")


@pytest.mark.slow
def test_a_late_process_a_killed_process_and_the_start_after_it(tmp_path):
    directory = tmp_path / "run"
    ports = free_ports(2)
    chief = start(directory, 200, 0, ports)
    time.sleep(5)
    assert chief.poll() is None  # it waits
    worker = start(directory, 200, 1, ports)
    try:
        end = time.monotonic() + PATIENCE
        while len(list(directory.glob("gan/checkpoints/step-*.npz"))) < 2:
            assert time.monotonic() < end and chief.poll() is None and worker.poll() is None, said(directory, 0)
            time.sleep(0.1)
        worker.send_signal(signal.SIGKILL)
        assert chief.wait(timeout=60) == 1
    finally:
        for process in (chief, worker):
            process.kill()
            process.wait()
    assert "Error: Another process of this job is gone (TensorFlow names worker 1)" in said(directory, 0)
    reached = max(int(path.stem.removeprefix("step-")) for path in directory.glob("gan/checkpoints/step-*.npz"))

    ports = free_ports(2)
    both = [start(directory, 200, index, ports) for index in (0, 1)]
    try:
        # Checkpoints are of the config, so the number of steps stays; the end isn't waited for.
        end = time.monotonic() + PATIENCE
        while not re.search(rf"checkpoint of step {reached}\b", said(directory, 0)) or not newer(directory, reached):
            assert time.monotonic() < end and both[0].poll() is None, said(directory, 0)
            time.sleep(0.1)
    finally:
        for process in both:
            process.kill()
            process.wait()
    with open(directory / "gan" / "history.csv", newline="") as handle:
        steps = [int(row["step"]) for row in csv.DictReader(handle)]
    assert steps[: reached // 2 + 1] == list(range(2, reached + 4, 2))  # no row twice, none left out


def newer(directory, reached):
    return any(int(path.stem.removeprefix("step-")) > reached + 2 for path in directory.glob("gan/checkpoints/step-*"))
