"""Commands in forks of a process that has imported everything and computed nothing: each starts at once.

A process that has run a TensorFlow operation can't be forked, so this can't be the process of pytest. As a program (`python
tests/helpers/forked.py`) it answers requests, a line of JSON each on standard input, by the exit status on standard output.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import drawing

SECONDS = 1800
"""After which a command is ended."""


def import_everything() -> None:
    """The imports of all stages, and no computation."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from pir_tf.runs.directory import STAGES

    for name in ("run", *(f"{stage}_stage" for stage in STAGES)):
        import_module(f"pir_tf.experiments.{name}")


def measure_little() -> None:
    """Lets this process and its forks measure few images, walk few steps and draw coarse figures."""
    from pir_tf.evaluation import plug_and_play
    from pir_tf.experiments import evaluation_stage, tuning_stage
    from pir_tf.gan import train

    train.DISTANCE_IMAGES, tuning_stage.DISPLAY_IMAGES, evaluation_stage.PICKS = 16, 8, 30
    evaluation_stage.PAIRS, evaluation_stage.REAL = 16, 8
    plug_and_play.walk.__kwdefaults__["steps"] = 2
    drawing.coarsely(setattr)


def make_narrow() -> None:
    """Besides, lets them have small networks and write empty figures."""
    from pir_tf.gan import networks

    measure_little()
    networks.GENERATOR_CHANNELS, networks.DISCRIMINATOR_FILTERS = (8, 4, 4, 4, 3), (4, 4, 4, 4, 4, 4)
    drawing.emptily(setattr)


def make_small() -> None:
    """Besides, lets them trace nothing."""
    import tensorflow as tf

    make_narrow()
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

    def run(self, words: list[str], *where: object, make: str = "", stop: Sequence[object] = ()) -> int:
        """The exit status of a command, negative where a signal ended it.

        `where` is its folder, its environment and the files of its output and its messages; `make` the name of a function here
        that is called before, or empty; `stop` a signal, and a file, or None for the output, with a text: the signal is sent
        once the file is there and has the text.
        """
        assert self._process.stdin and self._process.stdout
        print(json.dumps([words, *where, make, stop], default=str), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Ends it."""
        self._process.communicate()


def _stop(child: int, number: int, file: Path, text: bytes) -> None:
    while not (file.exists() and text in file.read_bytes()):
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return
        time.sleep(0.005)
    os.kill(child, number)


def _serve() -> None:
    import_everything()
    gc.freeze()  # so that forks needn't look through what imports made
    for line in sys.stdin:
        words, cwd, environment, output, error, make, stop = json.loads(line)

        def before(cwd: str = cwd, environment: dict = environment, make: str = make) -> None:
            os.chdir(cwd)
            os.environ.clear()
            os.environ.update(environment)
            signal.alarm(SECONDS)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if make:
                globals()[make]()

        child = fork(words, output, error, before)
        if stop:
            _stop(child, stop[0], Path(stop[1] or output), stop[2].encode())
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
