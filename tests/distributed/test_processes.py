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
TRAINING += ("--gan.steps", "200", "--gan.decay-steps", "0")
PROGRAM = ("-m", "pir_tf.experiments.run")
UNREADABLE = """
import errno, os, sys
import numpy as np
from pir_tf.experiments.run import main
load = np.load

def fails_at_the_newest(path, **options):
    if os.path.basename(path) == NEWEST:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return load(path, **options)

np.load = fails_at_the_newest
sys.exit(main(sys.argv[1:]))
"""
"""The same program on a machine that can't read the newest checkpoint."""
PATIENCE = 240  # seconds, for busy machines


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def start(directory, index, ports, *words, program=PROGRAM):
    config = {
        "cluster": {"worker": [f"localhost:{port}" for port in ports]},
        "task": {"type": "worker", "index": index},
    }
    with open(directory.parent / f"process-{index}.log", "w") as log:
        return subprocess.Popen(
            [sys.executable, *program, "smoke", *words, "--run-dir", str(directory)],
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
    chief = start(directory, 0, ports, *TRAINING)
    time.sleep(5)
    assert chief.poll() is None  # it waits
    worker = start(directory, 1, ports, *TRAINING)
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
    both = [start(directory, index, ports, *TRAINING) for index in (0, 1)]
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


@pytest.mark.slow
def test_when_one_machine_restores_another_step_all_processes_end(tmp_path):
    directory = tmp_path / "run"
    words = tuple("4" if word == "200" else word for word in TRAINING)
    assert finished([start(directory, 0, free_ports(1), *words)]) == [0], said(directory, 0)
    (directory / "gan" / "done.json").unlink()
    before, after = sorted(path.name for path in directory.glob("gan/checkpoints/*"))
    ports = free_ports(2)
    unreadable = ("-c", UNREADABLE.replace("NEWEST", repr(after)))
    both = [start(directory, 0, ports, *words), start(directory, 1, ports, *words, program=unreadable)]
    assert finished(both) == [2, 2], said(directory, 0) + said(directory, 1)
    assert "gave another step in another process than step 4 in the job's first process" in said(directory, 0)
    assert "gave step 2 here and step 4 in the job's first process" in said(directory, 1)
    assert sorted(path.name for path in directory.glob("gan/checkpoints/*")) == [before, after]


@pytest.mark.slow
def test_when_the_chief_waits_for_people_or_meets_an_error_the_others_end_with_it(tmp_path):
    answers = tmp_path / "answers.csv"
    words = ("--interactions.source", f"csv:{answers}", "--stages", "gan", "interactions", "estimator")
    for code, chief_says, other_says in (
        (0, f"the template is {answers}", "Waiting for people. The job's first process says what to do"),
        (2, "Error: ", "Error: The job's first process stopped with an error, which it says itself"),
    ):
        ports = free_ports(2)
        both = [start(tmp_path / "run", index, ports, *words) for index in (0, 1)]
        try:
            codes = [process.wait(timeout=PATIENCE) for process in both]
        finally:
            for process in both:
                process.kill()
                process.wait()
        assert codes == [code, code], said(tmp_path / "run", 0) + said(tmp_path / "run", 1)
        assert chief_says in said(tmp_path / "run", 0)
        assert other_says in said(tmp_path / "run", 1)
        answers.write_text(answers.read_text().replace(",,", ",1,2", 1))  # 2 of 1 liked it
    assert "positives" in said(tmp_path / "run", 0)


def finished(processes):
    try:
        return [process.wait(timeout=PATIENCE) for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def newer(directory, reached):
    return any(int(path.stem.removeprefix("step-")) > reached + 2 for path in directory.glob("gan/checkpoints/step-*"))
