"""Exact, atomic checkpoints of everything that a trainer needs to go on as if it had never stopped.

A checkpoint is one `.npz` of named arrays. Unlike a lazily resolved checkpoint, a restore happens at once and wholly: what made
the checkpoint is compared by field, then every variable by name and shape, and the first that differs is named. The last two are
kept, and a damaged newest one falls back to the one before.
"""

from __future__ import annotations

import json
import re
import time
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.errors import InputError, differences
from pir_tf.runs.directory import atomic

KEPT = 2
DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged `.npz` raises, by where the damage is."""

MADE_BY = "made_by"
"""Name of the array that holds, as JSON, what made a checkpoint."""

Facts = Mapping[str, Any]
"""What made a checkpoint: fields of the config, seeds and digests of data, by name, as JSON can hold them."""


def save(path: Path, state: Mapping[str, Any], made_by: Facts | None = None) -> None:
    """Writes every variable of `state` (name to Keras variable) as one `.npz`, atomically."""
    arrays: dict[str, Any] = {
        name: np.asarray(keras.ops.convert_to_numpy(variable)) for name, variable in state.items()
    }
    arrays[MADE_BY] = np.array(json.dumps(made_by or {}))
    with atomic(path) as beside:
        np.savez(beside, **arrays)


def restore(path: Path, state: Mapping[str, Any], made_by: Facts | None = None) -> None:
    """Sets every variable of `state` from a checkpoint, all or none.

    Raises:
        InputError: something else made the checkpoint, or it holds other variables; what differs is named, and nothing was
            set.
        One of `DAMAGE`: the file is damaged.
    """
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    # Checkpoints of earlier versions don't say what made them.
    there, here = json.loads(str(arrays.pop(MADE_BY, "{}"))), json.loads(json.dumps(made_by or {}))
    differ = [name for name in there if name in here and there[name] != here[name]]
    if differ:
        said = differences(there, here, differ)
        raise InputError(
            f"{path} was made by an experiment that differs in {said}: repeat its config, or delete {path.parent} to start "
            "this stage again."
        )
    for name in [*state, *arrays]:
        found = arrays[name].shape if name in arrays else "no such variable"
        expected = tuple(state[name].shape) if name in state else "no such variable"
        if found != expected:
            raise InputError(
                f"{path} doesn't fit this experiment: {name} is {found} in it and {expected} here: use the config that "
                "wrote it."
            )
    for name, variable in state.items():
        variable.assign(arrays[name])


def save_step(directory: Path, step: int, state: Mapping[str, Any], made_by: Facts | None = None) -> None:
    """Writes the checkpoint of a step and removes all but the last two that lead to it."""
    directory.mkdir(parents=True, exist_ok=True)
    save(directory / f"step-{step:09d}.npz", state, made_by)
    clear(directory, step)


def clear(directory: Path, step: int) -> None:
    """Removes all checkpoints but the last two that lead to a step, and what kills left while saving.

    Those of later steps were passed over as damaged, and their steps are about to be done again.
    """
    paths = _steps(directory)
    good = [path for path in paths if _step(path) <= step][-KEPT:]
    for path in [*paths, *directory.glob(".step-*.partial.npz")]:
        if path not in good:
            path.unlink(missing_ok=True)


def restore_latest(directory: Path, state: Mapping[str, Any], made_by: Facts | None = None) -> int:
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
            restore(path, state, made_by)
        except (InputError, PermissionError):
            raise
        except DAMAGE as error:
            warnings.warn(f"{path} is damaged ({error}); going on from the checkpoint before it.", stacklevel=2)
            continue
        return _step(path)
    if paths:
        raise InputError(f"No checkpoint in {directory} is whole: delete that folder to start this stage again.")
    return 0


def random_states(models: Iterable[keras.Model]) -> dict[str, keras.Variable]:
    """States of the random generators inside models, such as a dropout layer's: Keras counts them as no weights.

    By their place: Keras names them by how many the process has made before.
    """
    models = list(models)
    weights = {id(weight) for model in models for weight in model.weights}
    states = [variable for model in models for variable in model.variables if id(variable) not in weights]
    return {f"random/{i:03d}": state for i, state in enumerate(states)}


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves every so many steps or minutes, whichever comes first, and at the end.

    Args:
        directory: where the checkpoints go.
        every: steps between two.
        minutes: minutes between two, as this process's clock counts them.
        state: what to save, asked for at each save.
        step: the number of steps done so far.
        made_by: what makes them, which a restore compares.
    """

    def __init__(
        self,
        directory: Path,
        *,
        every: int,
        state: Callable[[], Mapping[str, Any]],
        step: Callable[[], int],
        minutes: float = float("inf"),
        made_by: Facts | None = None,
    ) -> None:
        super().__init__()
        self._directory, self._every, self._state, self._step = directory, every, state, step
        self._seconds, self._made_by = 60 * minutes, made_by
        self._saved, self._when = 0, 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Epochs are the log's rows, so a checkpoint and the log always agree."""
        step = self._step()
        late = time.monotonic() - self._when >= self._seconds
        if step - self._saved >= self._every or step % self._every == 0 or late:
            self._save(step)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Counts from the step that was restored, and from now. A kill may have come before a save's clearing."""
        self._saved, self._when = self._step(), time.monotonic()
        clear(self._directory, self._saved)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves what came after the last checkpoint."""
        if self._step() > self._saved:
            self._save(self._step())

    def _save(self, step: int) -> None:
        save_step(self._directory, step, self._state(), self._made_by)
        self._saved, self._when = step, time.monotonic()


def _steps(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*.npz") if re.fullmatch(r"step-\d{9}", path.stem))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
