"""The command of one experiment in a process of its own."""

import atexit
import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pir_tf

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pir_tf.__file__).parents[1])}
"""Processes that start elsewhere find the package under test, installed or not."""

QUICK = "--tuning.steps 2 --tuning.batch_size 4 --tuning.gradients_every 2 --tuning.true_pir_every 2".split()
"""Words for runs in which tuning need only happen."""


def public_command(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    """`python -m pir_tf.experiments.run` with these words, from `cwd`, with the package under test, as users start it."""
    line = [sys.executable, "-m", "pir_tf.experiments.run", *map(str, words)]
    return subprocess.run(line, cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=1800)


SMALL = (
    "smoke --gan.generator train --data.count 32 --gan.batch_size 4 --gan.sample_every 4 --interactions.images 16 "
    "--estimator.steps 6 --estimator.batch_size 8 --estimator.checkpoint_every 2 --estimator.quality_images 16 "
    "--tuning.batch_size 4 --tuning.true_pir_every 6 --tuning.gradients_every 6 --evaluation.images 16"
).split()
"""The smoke job at sizes that `small_command` does in a second or two."""


def small_command(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    """`command` with networks of a few channels, without tracing. Give it `SMALL` first: bundled networks aren't small."""
    return command(*words, cwd=cwd, small=True)


def command(*words: object, cwd: Path, small: bool = False) -> subprocess.CompletedProcess:
    """The same, in a fork of a process that has imported everything already, which saves the seconds that imports take."""
    with tempfile.TemporaryDirectory() as folder:
        output, error = Path(folder) / "output", Path(folder) / "error"
        code = _server().run(list(map(str, words)), cwd, ENVIRONMENT, output, error, small=small)
        return subprocess.CompletedProcess(words, code, output.read_text(), error.read_text())


@functools.cache
def _server():
    from forked import Server

    server = Server(ENVIRONMENT)
    atexit.register(server.close)
    return server
