"""The command of one experiment in a process of its own."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pir_tf

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(pir_tf.__file__).parents[1])}
"""Processes that start elsewhere find the package under test, installed or not."""

GOLDEN = (
    "smoke --interactions.images 32 --estimator.steps 6 --estimator.quality_images 16 --tuning.steps 2 --tuning.batch_size 4 "
    "--tuning.true_pir_every 2 --tuning.gradients_every 4 --evaluation.images 16 --evaluation.diversity-pairs 2"
).split()
"""The smoke job of the fixture `smoke`, with fewer images where more show nothing; `.ci/run` has the whole of it."""


SMALL = (
    "smoke --gan.generator train --gan.steps 2 --data.count 32 --gan.batch_size 4 --interactions.images 16 "
    "--estimator.steps 4 --estimator.batch_size 8 --estimator.checkpoint_every 2 --estimator.quality_images 16 "
    "--tuning.steps 2 --tuning.batch_size 4 --tuning.gradients_every 4 --evaluation.images 16 --evaluation.diversity-pairs 2"
).split()
"""The smoke job at sizes that `small_command` does in some seconds, most of them those of the steps and the report."""
UP_TO_EVALUATION = "--stages gan interactions estimator tuning evaluation".split()
"""Without the report, whose drawing takes as long as the rest of a small run."""
JUDGED = [
    *SMALL,
    *"--estimator.output linear --estimator.backbone discriminator --evaluation.judge --interactions.images 300".split(),
    *"--tuning.stop judge --tuning.log_every 1 --tuning.checkpoint_every 1 --tuning.gradients_every 10".split(),
    *"--tuning.true_pir_every 1 --tuning.learning-rate 1e-3 --tuning.pir_gradient_ratio 100 --tuning.no-tensorboard".split(),
]
"""A small job whose judge sees the estimator lead the wrong way from the first step on, and so stops tuning after the fourth."""
LONGER = (
    "--gan.steps 4 --gan.sample_every 4 --tuning.steps 6 --tuning.true_pir_every 6 --tuning.gradients_every 6".split()
)
"""What a small job needs that is stopped on its way."""


def copy_stages(run: Path, to: Path, *stages: str) -> None:
    """Begins another run with finished stages of one, for a config that agrees in what they used."""
    for stage in stages:
        shutil.copytree(run / stage, to / stage)
    for name in ("config.json", "data.json"):
        shutil.copy(run / name, to / name)


def small_command(*words: object, cwd: Path, stop: Sequence[object] = ()) -> subprocess.CompletedProcess:
    """`command` with networks of a few channels, without tracing. Give it `SMALL` first: bundled networks aren't small."""
    return command(*words, cwd=cwd, make="make_small", stop=stop)


def narrow_command(*words: object, cwd: Path, stop: Sequence[object] = ()) -> subprocess.CompletedProcess:
    """`command` with networks of a few channels, traced, which XLA needs."""
    return command(*words, cwd=cwd, make="make_narrow", stop=stop)


def whole_command(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    """`command` as users have it, traced, but that it measures few images and draws coarsely."""
    return command(*words, cwd=cwd, make="measure_little")


def command(*words: object, cwd: Path, make: str = "", stop: Sequence[object] = ()) -> subprocess.CompletedProcess:
    """`pir-tf run`, made small and stopped as `forked.Server.run` says, in a fork of a process that has imported everything.

    It saves the seconds that imports take.
    """
    with tempfile.TemporaryDirectory() as folder:
        output, error = Path(folder) / "output", Path(folder) / "error"
        code = _server().run(list(map(str, words)), cwd, ENVIRONMENT, output, error, make=make, stop=stop)
        return subprocess.CompletedProcess(words, code, output.read_text(), error.read_text())


@functools.cache
def _server():
    from forked import Server

    server = Server(ENVIRONMENT)
    atexit.register(server.close)
    return server
