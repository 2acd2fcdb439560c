"""Commands in forks of a process that has imported everything and computed nothing: each starts at once.

A process that has run a TensorFlow operation can't be forked, so this can't be the process of pytest. As a program (`python
tests/helpers/forked.py`) it answers requests, a line of JSON each on standard input, by the exit status on standard output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path

SECONDS = 1800
"""After which a command is ended."""


def import_everything() -> None:
    """The imports of all stages, and no computation."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pir_tf.runs.directory import STAGES

    for name in ("run", *(f"{stage}_stage" for stage in STAGES)):
        import_module(f"pir_tf.experiments.{name}")


def make_small() -> None:
    """Lets this process and its forks have small networks, measure few images and trace nothing."""
    import tensorflow as tf

    from pir_tf.experiments import tuning_stage
    from pir_tf.gan import networks, train

    networks.GENERATOR_CHANNELS, networks.DISCRIMINATOR_FILTERS = (8, 4, 4, 4, 3), (4, 4, 4, 4, 4, 4)
    train.DISTANCE_IMAGES, tuning_stage.DISPLAY_IMAGES = 16, 8
    tf.config.run_functions_eagerly(True)


def fork(words: list[str], output: Path | str, error: Path | str, before: Callable[[], None] = lambda: None) -> int:
    """Runs `pir_tf.experiments.run` with these words in a fork, after `before`; returns its process number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        for target, path in ((1, output), (2, error)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), target)
        before()
        from pir_tf.experiments.run import main

        status = main(words)
    except SystemExit as ended:  # of the command line's parser
        status = ended.code if isinstance(ended.code, int) else int(bool(ended.code))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


class Server:
    """A process that runs commands in forks of itself, one at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, words: list[str], *where: object, small: bool = False) -> int:
        """The exit status of a command, negative where a signal ended it.

        `where` is its folder, its environment and the files of its output and its messages; `small` as in `make_small`.
        """
        assert self._process.stdin and self._process.stdout
        print(json.dumps([words, *where, small], default=str), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


def _serve() -> None:
    import_everything()
    for line in sys.stdin:
        words, cwd, environment, output, error, small = json.loads(line)

        def before(cwd: str = cwd, environment: dict = environment, small: bool = small) -> None:
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            signal.alarm(SECONDS)
            if small:
                make_small()

        child = fork(words, output, error, before)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
