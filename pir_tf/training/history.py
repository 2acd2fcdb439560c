"""A training log as one CSV file that survives a kill: a row each epoch, cut back to the checkpoint on a resume."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

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
