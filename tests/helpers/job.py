"""Two processes of one job on this machine, each with small networks."""

import json
import os
import socket
import subprocess
import sys
import time

PROGRAM = """
import errno, os, sys
import numpy as np
from pir_tf.experiments.run import main
from pir_tf.gan import networks, train

networks.GENERATOR_CHANNELS, networks.DISCRIMINATOR_FILTERS = (8, 4, 4, 4, 3), (4, 4, 4, 4, 4, 4)
train.DISTANCE_IMAGES = 16
load = np.load

def fails_at_one(path, **options):
    if os.path.basename(path) == UNREADABLE:
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    return load(path, **options)

np.load = fails_at_one
sys.exit(main(sys.argv[1:]))
"""
"""The program with small networks, on a machine that can't read one file."""
PATIENCE = 240  # seconds, for busy machines


class Job:
    """The processes of a job, in a folder, each of which runs the program with these words."""

    def __init__(self, folder, words):
        self.folder, self.words, self.running = folder, words, {}
        sockets = [socket.create_server(("localhost", 0)) for _ in range(2)]
        self.addresses = [f"localhost:{one.getsockname()[1]}" for one in sockets]
        for one in sockets:
            one.close()

    def start(self, index, unreadable=""):
        config = {"cluster": {"worker": self.addresses}, "task": {"type": "worker", "index": index}}
        with open(self.folder / f"process-{index}.log", "w") as log:
            self.running[index] = subprocess.Popen(
                [sys.executable, "-c", PROGRAM.replace("UNREADABLE", repr(unreadable)), *self.words],
                env={**os.environ, "TF_CONFIG": json.dumps(config), "CUDA_VISIBLE_DEVICES": ""},
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def said(self, index):
        return (self.folder / f"process-{index}.log").read_text(errors="replace")

    def wait_until(self, condition):
        end = time.monotonic() + PATIENCE
        while not condition():
            alive = all(process.poll() is None for process in self.running.values())
            assert alive and time.monotonic() < end, self.said(0)
            time.sleep(0.1)

    def ends(self):
        return [self.running[index].wait(timeout=PATIENCE) for index in sorted(self.running)]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for process in self.running.values():
            process.kill()
            process.wait()
