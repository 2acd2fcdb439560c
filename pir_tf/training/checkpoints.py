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
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.errors import InputError, differences
from pir_tf.runs.arrays import DAMAGE, read_arrays
from pir_tf.runs.directory import atomic
from pir_tf.training.callbacks import steps_done

KEPT = 2
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
    arrays = read_arrays(path)
    there, here = json.loads(str(arrays.pop(MADE_BY))), json.loads(json.dumps(made_by or {}))
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


def state_of(
    networks: Mapping[str, keras.Model], optimizers: Iterable[keras.optimizers.Optimizer], **more: keras.Variable
) -> dict[str, keras.Variable]:
    """What a model's next step depends on: networks, their optimizers, random states inside networks, and what else is given.

    All are named by their place, since other people's layers, and Keras's own, are named by how many the process has made
    before. A layer's random state, such as a dropout's, counts as no weight in Keras.
    """
    groups: dict[str, list[keras.Variable]] = {}
    for (name, network), optimizer in zip(networks.items(), optimizers, strict=True):
        weights = {id(weight) for weight in network.weights}
        random = [variable for variable in network.variables if id(variable) not in weights]
        groups |= {name: network.weights, f"{name}_optimizer": optimizer.variables, f"{name}_random": random}
    return {f"{group}/{i:03d}": variable for group, some in groups.items() for i, variable in enumerate(some)} | more


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves every so many steps or minutes, whichever comes first, and at the end.

    Args:
        directory: where the checkpoints go.
        every: steps between two.
        minutes: minutes between two, as this process's clock counts them.
        made_by: what makes them, which a restore compares.
    """

    def __init__(self, directory: Path, *, every: int, minutes: float, made_by: Facts) -> None:
        super().__init__()
        self._directory, self._every, self._seconds, self._made_by = directory, every, 60 * minutes, made_by
        self._saved, self._when = 0, 0.0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Epochs are the log's rows, so a checkpoint and the log always agree.
        step = steps_done(self.model)
        late = time.monotonic() - self._when >= self._seconds
        if step - self._saved >= self._every or step % self._every == 0 or late:
            self._save(step)

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._saved, self._when = steps_done(self.model), time.monotonic()
        clear(self._directory, self._saved)  # a kill may have come before a save's clearing

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        if steps_done(self.model) > self._saved:
            self._save(steps_done(self.model))

    def _save(self, step: int) -> None:
        save_step(self._directory, step, self.model.state(), self._made_by)
        self._saved, self._when = step, time.monotonic()


def _steps(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("step-*.npz") if re.fullmatch(r"step-\d{9}", path.stem))


def _step(path: Path) -> int:
    return int(path.stem.removeprefix("step-"))
