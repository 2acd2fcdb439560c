"""The command of one experiment in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path


def command(*words: object, cwd: Path, **options: object) -> subprocess.CompletedProcess:
    """`python -m pir_tf.experiments.run` with these words, from `cwd`, with the package under test."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    line = [sys.executable, "-m", "pir_tf.experiments.run", *map(str, words)]
    return subprocess.run(line, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600, **options)
