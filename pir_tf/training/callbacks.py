"""What a training shows and keeps while it runs: the log as CSV and for TensorBoard, and a progress bar."""

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


class HistoryCSV(keras.callbacks.Callback):
    """Writes one row an epoch, with the step first. Columns that an epoch doesn't measure stay empty.

    Callbacks before this one in the list may add columns of their own to `logs`.

    Args:
        path: the CSV file.
        columns: all columns but `step`, in order.
        step: the number of steps done so far.
    """

    def __init__(self, path: Path, *, columns: Sequence[str], step: Callable[[], int]) -> None:
        super().__init__()
        self._path, self._columns, self._step = path, ["step", *columns], step

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Drops rows that came after the step that was restored: they are going to be measured again."""
        kept = [row for row in read(self._path) if int(row["step"]) <= self._step()] if self._path.exists() else []
        with atomic(self._path) as beside, open(beside, "w", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, self._columns, extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
            writer.writerows(kept)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Appends the epoch's row."""
        row = {name: _text(value) for name, value in (logs or {}).items()}
        with open(self._path, "a", newline="", encoding="utf-8") as handle:
            writer = csv.DictWriter(handle, self._columns, extrasaction="ignore", restval="", lineterminator="\n")
            writer.writerow({**row, "step": self._step()})
            handle.flush()
            os.fsync(handle.fileno())  # before the checkpoint of the same step


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with an error as soon as a logged value is not finite: put it before any callback that saves."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Looks at the epoch's means.

        Raises:
            FloatingPointError: a mean is NaN or infinite.
        """
        bad = [name for name, value in (logs or {}).items() if value is not None and not np.isfinite(value)]
        if bad:
            raise FloatingPointError(
                f"Training diverged: {', '.join(bad)} is not finite; the last checkpoint is from before it: "
                "start a new run with a lower learning rate."
            )


def is_due(step: int, every: int, epoch_steps: int) -> bool:
    """Whether a multiple of `every` lies among the steps of the epoch that ends at `step`."""
    return step // every != (step - epoch_steps) // every


def read(path: Path) -> list[dict[str, str]]:
    """The rows of a history, as text; a line cut short by a kill is left out."""
    with open(path, newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(line for line in handle if line.endswith("\n")))
    return [row for row in rows if None not in row.values() and row.get("step", "").isdigit()]


def _text(value: Any) -> str:
    return "" if value is None else f"{float(value):.8g}"


T = TypeVar("T")


class ProgressBar(keras.callbacks.Callback):
    """One bar over all steps of a `fit`, whatever its epochs are.

    Args:
        title: what is being done.
        total: steps in all.
        done: the number of steps done so far, more than 0 in a resumed run; the optimizer's count when not given.
        shown: logs to show beside the bar, by the name that they are shown with.
    """

    def __init__(
        self, title: str, total: int, *, done: Callable[[], int] | None = None, shown: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        self._title, self._total, self._done, self._shown = title, total, done, shown or {}

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Opens the bar where the run goes on, and says so."""
        first = self._done() if self._done else int(self.model.optimizer.iterations.numpy())
        if first:
            print(f"{self._title}: resumed from its checkpoint of step {first:,} of {self._total:,}", flush=True)
        self._bar = _bar(self._title, self._total, "step", initial=first)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Moves it."""
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Shows the epoch's means."""
        values = {shown: f"{float(logs[name]):.3g}" for name, shown in self._shown.items() if logs and name in logs}
        self._bar.set_postfix(values, refresh=False)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes it."""
        self._bar.close()


def track(items: Iterable[T], title: str, total: int, unit: str = "image", size: int = 1) -> Iterator[T]:
    """Yields `items` while a bar moves by `size` units each.

    Args:
        items: what to go through.
        title: what is being done.
        total: units in all.
        unit: name of one unit.
        size: units in one item.
    """
    with _bar(title, total, unit) as bar:
        for item in items:
            yield item
            bar.update(min(size, total - bar.n))


def _bar(title: str, total: int, unit: str, initial: int = 0) -> Any:
    return tqdm(
        desc=f"{title:<28}",
        total=total,
        initial=initial,
        unit=f" {unit}",
        ncols=110,
        mininterval=0.5,
        dynamic_ncols=False,
    )
