"""What a training shows and keeps while it runs: the log as CSV, measures, and a progress bar. Their model counts its `step`s."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import keras
import numpy as np
from tqdm import tqdm

from pir_tf.runs.directory import atomic
from pir_tf.training.devices import is_chief


def steps_done(model: Any) -> int:
    """How many steps a model in training has done, those before a resume included."""
    return int(model.step.numpy())


class HistoryCSV(keras.callbacks.Callback):
    """Writes one row an epoch, with the step first. Columns that an epoch doesn't measure stay empty.

    Callbacks before this one in the list may add columns of their own to `logs`.

    Args:
        path: the CSV file.
        columns: all columns but `step`, in order.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        super().__init__()
        self._path, self._columns = path, ["step", *columns]

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        # Rows after the step that was restored are going to be measured again.
        rows = read(self._path) if self._path.exists() else []
        with atomic(self._path) as beside, open(beside, "w", newline="", encoding="utf-8") as handle:
            writer = self._writer(handle)
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["step"]) <= steps_done(self.model))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: "" if value is None else f"{float(value):.8g}" for name, value in (logs or {}).items()}
        with open(self._path, "a", newline="", encoding="utf-8") as handle:
            self._writer(handle).writerow({**row, "step": steps_done(self.model)})
            handle.flush()
            os.fsync(handle.fileno())  # before the checkpoint of the same step

    def _writer(self, handle: Any) -> csv.DictWriter[str]:
        return csv.DictWriter(handle, self._columns, restval="", extrasaction="ignore", lineterminator="\n")


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a history, as text; a line cut short by a kill is left out."""
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(line for line in handle if line.endswith("\n")))
    return [row for row in rows if None not in row.values() and row.get("step", "").isdigit()]


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with an error as soon as a logged value is not finite: put it before any callback that saves."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        bad = [name for name, value in (logs or {}).items() if value is not None and not np.isfinite(value)]
        if bad:
            raise FloatingPointError(
                f"Training diverged: {', '.join(bad)} is not finite; the last checkpoint is from before it: "
                "start a new run with a lower learning rate."
            )


class Measure(keras.callbacks.Callback):
    """Adds columns to the log at the end of each epoch that holds a multiple of so many steps. Put it before what logs.

    Args:
        every: steps between two measures.
        measure: from the model in training to numbers by their column. It must leave the model as it is.
        last: a last step that is measured too; none by default.
    """

    def __init__(self, every: int, measure: Callable[[Any], dict[str, float]], *, last: int = 0) -> None:
        super().__init__()
        self._every, self._measure, self._last = every, measure, last

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        step = steps_done(self.model)
        crossed = step // self._every != (step - self.params["steps"]) // self._every
        if logs is not None and (crossed or step == self._last):
            logs.update(self._measure(self.model))


T = TypeVar("T")


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a `fit`, whatever its epochs are.

    Args:
        title: what is being done.
        total: steps in all.
        shown: logs to show beside the bar, by the name that they are shown with.
    """

    def __init__(self, title: str, total: int, shown: dict[str, str] | None = None) -> None:
        super().__init__()
        self._title, self._total, self._shown = title, total, shown or {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        first = steps_done(self.model)
        if first:
            print(f"{self._title}: resumed from its checkpoint of step {first:,} of {self._total:,}", flush=True)
        self._bar = _bar(self._title, self._total, "step", initial=first)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        values = {shown: f"{float(logs[name]):.3g}" for name, shown in self._shown.items() if logs and name in logs}
        self._bar.set_postfix(values, refresh=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self._bar.close()


def track(items: Iterable[T], title: str, total: int, unit: str = "image", size: int = 1) -> Iterator[T]:
    """Yields `items` while a bar moves by `size` units each, of `total` in all."""
    with _bar(title, total, unit) as bar:
        for item in items:
            yield item
            bar.update(min(size, total - bar.n))


def _bar(title: str, total: int, unit: str, initial: int = 0) -> Any:
    shown = {"desc": f"{title:<28}", "unit": f" {unit}", "ncols": 110, "mininterval": 0.5, "disable": not is_chief()}
    return tqdm(total=total, initial=initial, **shown)
