"""Where a stage's time goes: seconds of its named parts, kept in its `done.json` and shown in the report."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator

import keras

from pir_tf.runs.directory import RunDirectory, write_json

START_UP = "start-up.json"


class Stopwatch:
    """The seconds of one stage's parts."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @property
    def parts(self) -> dict[str, float]:
        """Seconds of each part, to a hundredth, as a stage returns them."""
        return {name: round(seconds, 2) for name, seconds in self._seconds.items()}

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the block's seconds to a part."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.add(name, time.monotonic() - start)

    def add(self, name: str, seconds: float) -> None:
        """Adds seconds to a part."""
        self._seconds[name] = self._seconds.get(name, 0.0) + seconds


class TimeFirstStep(keras.callbacks.Callback):
    """The first step's seconds as a part: in it the step is traced, and compiled where it is."""

    def __init__(self, watch: Stopwatch) -> None:
        super().__init__()
        self._watch = watch
        self._start: float | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        self._start = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        if self._start is not None:
            self._watch.add("tracing and first step", time.monotonic() - self._start)
            self._start = None


def note_start_up(run: RunDirectory) -> None:
    """Notes in the run directory how long the process took to get to its first stage: mostly imports."""
    with contextlib.suppress(OSError):  # where there is no /proc it isn't known
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = float(file.read().rsplit(")", 1)[1].split()[19])
        since = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
        write_json(run.path / START_UP, {"seconds": round(since, 2)})
