"""Exact, atomic checkpoints of everything that a trainer needs to go on as if it had never stopped.

A checkpoint is one `.npz` of named arrays. Unlike a lazily resolved checkpoint, a restore happens at once and wholly: every
variable is compared by name and shape first, and the first that differs is named. The last two are kept, and a damaged
newest one falls back to the one before.
"""

from __future__ import annotations

import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.errors import InputError
from pir_tf.runs import atomic

KEPT = 2
DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged `.npz` raises, by where the damage is."""


def save(path: Path, state: Mapping[str, Any]) -> None:
    """Writes every variable of `state` (name to Keras variable) as one `.npz`, atomically."""
    arrays: dict[str, Any] = {
        name: np.asarray(keras.ops.convert_to_numpy(variable)) for name, variable in state.items()
    }
    with atomic(path) as beside:
        np.savez(beside, **arrays)


def restore(path: Path, state: Mapping[str, Any]) -> None:
    """Sets every variable of `state` from a checkpoint, all or none.

    Raises:
        InputError: the checkpoint holds other variables; the first that differs is named, and nothing was set.
        One of `DAMAGE`: the file is damaged.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    for name in [*state, *arrays]:
        there = arrays[name].shape if name in arrays else "no such variable"
        here = tuple(state[name].shape) if name in state else "no such variable"
        if there != here:
            raise InputError(
                f"{path} doesn't fit this experiment: {name} is {there} in it and {here} here: use the config that wrote it."
            )
    for name, variable in state.items():
        variable.assign(arrays[name])


def save_step(directory: Path, step: int, state: Mapping[str, Any]) -> None:
    """Writes the checkpoint of a step and removes all but the last two."""
    directory.mkdir(parents=True, exist_ok=True)
    for partial in directory.glob(".step-*.partial.npz"):  # left by a kill while saving
        partial.unlink()
    save(directory / f"step-{step:09d}.npz", state)
    for old in _steps(directory)[:-KEPT]:
        old.unlink()


def restore_latest(directory: Path, state: Mapping[str, Any]) -> int:
    """Restores the newest whole checkpoint.

    Returns:
        Its step, or 0 where the directory holds none: training starts new.

    Raises:
        InputError: a whole checkpoint doesn't fit, or checkpoints are there and none is whole.
        PermissionError: a checkpoint can't be read.
    """
    paths = _steps(directory)
    for path in reversed(paths):
        try:
            restore(path, state)
        except (InputError, PermissionError):
            raise
        except DAMAGE as error:
            warnings.warn(f"{path} is damaged ({error}); going on from the checkpoint before it.", stacklevel=2)
            continue
        return int(path.stem.removeprefix("step-"))
    if paths:
        raise InputError(f"No checkpoint in {directory} is whole: delete that folder to start this stage again.")
    return 0


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves every so many steps, and at the end.

    Args:
        directory: where the checkpoints go.
        every: steps between two.
        state: what to save, asked for at each save.
        step: the number of steps done so far.
    """

    def __init__(
        self, directory: Path, *, every: int, state: Callable[[], Mapping[str, Any]], step: Callable[[], int]
    ) -> None:
        super().__init__()
        self._directory, self._every, self._state, self._step = directory, every, state, step
        self._saved = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Epochs are the log's rows, so a checkpoint and the log always agree."""
        step = self._step()
        if step - self._saved >= self._every or step % self._every == 0:
            self._save(step)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Counts from the step that was restored."""
        self._saved = self._step()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves what came after the last checkpoint."""
        if self._step() > self._saved:
            self._save(self._step())

    def _save(self, step: int) -> None:
        save_step(self._directory, step, self._state())
        self._saved = step


def _steps(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*.npz") if re.fullmatch(r"step-\d{9}", path.stem))
