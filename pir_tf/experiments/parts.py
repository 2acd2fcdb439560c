"""Where a stage's time goes: seconds of its named parts, kept in the stage's `done.json` and shown in the report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import keras

from pir_tf.runs.directory import RunDirectory, write_json

START_UP = "start-up.json"


def note_start_up(run: RunDirectory) -> None:
    """Notes in the run directory how long the process took to get to its first stage: mostly imports."""
    with contextlib.suppress(OSError):  # where there is no /proc it isn't known
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = float(file.read().rsplit(")", 1)[1].split()[19])
        since = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        write_json(run.path / START_UP, {"seconds": round(since, 2)})


@contextlib.contextmanager
def part(run: RunDirectory, name: str) -> Iterator[None]:
    """Adds the block's seconds to the part of that name of the stage that is running."""
    start = time.monotonic()
    try:
        yield
    finally:
        run.parts[name] = run.parts.get(name, 0.0) + time.monotonic() - start


class TimeFirstStep(keras.callbacks.Callback):
    """The first step's seconds as a part: in it the step is traced, and compiled where it is."""

    def __init__(self, run: RunDirectory, name: str = "tracing and first step") -> None:
        super().__init__()
        self._run, self._name = run, name
        self._start: float | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts the clock."""
        self._start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stops it, once."""
        if self._start is not None:
            self._run.parts[self._name] = time.monotonic() - self._start
            self._start = None
