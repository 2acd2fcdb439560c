"""A sweep of stand-ins for experiments, as tests of the sweep use it."""

import csv
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from commands import ENVIRONMENT

FAKE_RUN = str(Path(__file__).with_name("fake_run.py"))
FAKE_SWEEP = str(Path(__file__).with_name("fake_sweep.py"))


class Sweep:
    """A sweep directory and its command."""

    def __init__(self, root):
        self.root = root
        self.journal = root.with_suffix(".journal")
        self.journal.touch()

    def start(self, *words, **environment):
        line = [sys.executable, FAKE_SWEEP, *map(str, words), "--size", "smoke", "--dir", str(self.root)]
        return subprocess.Popen(
            line, env={**ENVIRONMENT, "FAKE_JOURNAL": str(self.journal), **environment}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A shell without a terminal starts its jobs deaf to Ctrl-C, and they their children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def run(self, *words, code=0, **environment):
        process = self.start(*words, **environment)
        try:
            out, error = process.communicate(timeout=120)
        finally:
            process.kill()
        assert process.returncode == code, out + error
        assert "Traceback" not in error
        return out + error

    def notes(self, first):
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return Counter(tuple(words[1:]) for words in lines if words[0] == first)

    def rows(self, name="results.csv"):
        with open(self.root / name, newline="") as handle:
            return {row["name"]: row for row in csv.DictReader(handle)}

    def status(self):
        return {name: row["status"] for name, row in self.rows().items()}


def wait_for(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
