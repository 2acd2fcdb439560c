"""A judge that stops the tuning: an estimator that tuning doesn't climb looks at the images along the way. Not the paper's.

What tuning climbs rises for as long as there are steps, also where the readout is wrong. A judge that learned from other answers
and other features is wrong elsewhere. At every row of the log both look at the images of the same fixed latents, and of each the
mean of the last three rows counts, or of those that there are. When the judge's falls three times in a row, each time while the
estimator's rises, tuning stops. Stopped or not, the networks of the row where the judge's was highest are kept.

What is not here: where the judge comes from (`experiments.estimator_stage`), and the true PIR, which chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from pir_tf.training import replicas
from pir_tf.training.callbacks import steps_done

ROWS = 3
"""Rows of the log that a view is the mean of."""
FALLS = 3
"""Falls in a row that stop the tuning."""

View = Callable[[keras.Model], tuple[float, float]]
"""From the model in training to the mean PIR of the same images by the judge and by the estimator."""


class JudgedStop(keras.callbacks.Callback):
    """Stops a tuning and keeps its best networks, by a judge. Every process of a job needs one; the chief's decides.

    Its state belongs into the model's checkpoints, so that a resumed tuning decides as an unbroken one.

    Args:
        networks: The networks in tuning, by name.
        view: What the judge and the estimator see. It must leave the model as it is. None in a process that only follows.
    """

    columns = ("judge_pir", "estimator_pir")
    """Columns of the log: the view of each row, alone."""

    def __init__(self, networks: Mapping[str, keras.Model], view: View | None) -> None:
        super().__init__()
        self._view = view
        self._weights = {f"{name}/{i:03d}": w for name, one in networks.items() for i, w in enumerate(one.weights)}
        self._best = {name: _variable(weight, str(weight.dtype)) for name, weight in self._weights.items()}
        self._rows = _variable(np.full((len(self.columns), ROWS), np.nan))  # the last row comes last
        self._falls, self._highest = _variable(0, "int64"), _variable(-np.inf)
        self._kept, self._stopped = _variable(0, "int64"), _variable(0, "int64")

    @property
    def kept(self) -> int:
        """The step whose networks are kept, 0 before the first row."""
        return int(self._kept.numpy())

    @property
    def stopped(self) -> int:
        """The step at which tuning stopped, 0 where it has not."""
        return int(self._stopped.numpy())

    def state(self) -> dict[str, keras.Variable]:
        """Everything that the next decision depends on, and the networks that are kept, by name."""
        named = ("rows", "falls", "highest", "kept", "stopped")
        own = (self._rows, self._falls, self._highest, self._kept, self._stopped)
        best = {f"judged/best/{name}": variable for name, variable in self._best.items()}
        return {f"judged/{name}": variable for name, variable in zip(named, own, strict=True)} | best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        stop = 0
        if self._view is not None:
            view = self._view(self.model)
            stop = int(self._look(view))
            if logs is not None:
                logs.update(zip(self.columns, view, strict=True))
        if replicas.agree(self.model.distribute_strategy, stop):
            self._stopped.assign(steps_done(self.model))
            self.model.stop_training = True

    def restore_best(self) -> None:
        """Sets the networks to the weights that are kept, if there was a row."""
        for name, weight in self._weights.items() if self.kept else ():
            weight.assign(self._best[name])

    def _look(self, view: tuple[float, float]) -> bool:
        """Whether this row's view, the judge's and the estimator's, stops the tuning."""
        rows = np.array(self._rows)
        before, rows = _smooth(rows), np.column_stack([rows[:, 1:], view])
        judge, estimator = _smooth(rows)
        falls = int(self._falls.numpy()) + 1 if judge < before[0] and estimator > before[1] else 0
        self._rows.assign(rows)
        self._falls.assign(falls)
        if judge > float(self._highest.numpy()):
            self._highest.assign(judge)
            self._kept.assign(steps_done(self.model))
            for name, weight in self._weights.items():
                self._best[name].assign(weight)
        return falls >= FALLS


def _smooth(rows: np.ndarray) -> np.ndarray:
    """Means over the rows that there are, NaN of none: no number is above or below that."""
    known = ~np.isnan(rows)
    return np.where(known, rows, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)


def _variable(value: Any, dtype: str = "float64") -> keras.Variable:
    return keras.Variable(np.array(value), trainable=False, dtype=dtype)
