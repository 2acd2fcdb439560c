"""The command of one experiment in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pir_tf

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pir_tf.__file__).parents[1])}
"""Processes that start elsewhere find the package under test, installed or not."""


def command(*words: object, cwd: Path, **options: object) -> subprocess.CompletedProcess:
    """`python -m pir_tf.experiments.run` with these words, from `cwd`, with the package under test."""
    line = [sys.executable, "-m", "pir_tf.experiments.run", *map(str, words)]
    return subprocess.run(line, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=600, **options)
