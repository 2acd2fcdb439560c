"""What may stop a tuning before its steps are done, and which networks are then kept. Not the paper's.

At every row of the log each looks at the images of the same fixed latents. Two kinds:

* A judge, an estimator that tuning doesn't climb. What tuning climbs rises for as long as there are steps, also where the
  readout is wrong; a judge that learned from other answers and features is wrong elsewhere. Of its view and the estimator's the
  mean of the last three rows counts, or of those that there are. When the judge's falls three times in a row, each time while the
  estimator's rises, tuning stops. Stopped or not, the networks of the row where the judge's was highest are kept.
* The distance between images of a class (5.1), of which every class is to keep a share. When one lacks it in three rows in a row,
  tuning stops, and the networks of the last row before are kept: those before the first step where there is none. (To lower w_PIR
  instead and go on was tried: what PIR had gained was gone before the distance came back.)

What is not here: where the judge comes from (`experiments.tuning_stops`), and the true PIR, which chooses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from pir_tf.training import replicas
from pir_tf.training.callbacks import steps_done

ROWS = 3
"""Rows of the log that a judge's view is the mean of."""
FALLS = 3
"""Falls in a row of a judge's view, or rows in a row that lack distance, that stop the tuning."""

View = Callable[[keras.Model], tuple[float, ...]]
"""From the model in training to what is seen of the images, a number for each column of the log. It leaves the model as it is."""


class Stop(keras.callbacks.Callback):
    """Stops a tuning and keeps the networks of one row. Every process of a job needs one; the chief's decides.

    Its state belongs into the model's checkpoints, so that a resumed tuning decides as an unbroken one.

    Args:
        networks: The networks in tuning, by name, before the first step.
        view: What is seen. None in a process that only follows.
    """

    name: ClassVar[str]
    """Before the names of its state."""
    columns: ClassVar[tuple[str, ...]]
    """Columns of the log: the view of each row."""

    def __init__(self, networks: Mapping[str, keras.Model], view: View | None) -> None:
        super().__init__()
        self._view = view
        self._weights = {f"{name}/{i:03d}": w for name, one in networks.items() for i, w in enumerate(one.weights)}
        self._best = {name: _variable(weight, str(weight.dtype)) for name, weight in self._weights.items()}
        self._kept, self._stopped = _variable(0, "int64"), _variable(0, "int64")

    @property
    def kept(self) -> int:
        """The step whose networks are kept, 0 for those before the first."""
        return int(self._kept.numpy())

    @property
    def stopped(self) -> int:
        """The step at which tuning stopped, 0 where it has not."""
        return int(self._stopped.numpy())

    def own_state(self) -> dict[str, keras.Variable]:
        """What a kind's own decisions depend on, by name."""
        return {}

    def state(self) -> dict[str, keras.Variable]:
        """Everything that the next decision depends on, and the networks that are kept, by name."""
        best = {f"best/{name}": variable for name, variable in self._best.items()}
        mine = {**self.own_state(), "kept": self._kept, "stopped": self._stopped, **best}
        return {f"{self.name}/{name}": variable for name, variable in mine.items()}

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        stop = 0
        if self._view is not None:
            view = self._view(self.model)
            keep, stops = self.decide(view)
            stop = int(stops)
            if keep:
                self._kept.assign(steps_done(self.model))
                for name, weight in self._weights.items():
                    self._best[name].assign(weight)
            if logs is not None:
                logs.update(zip(self.columns, view, strict=True))
        if replicas.agree(self.model.distribute_strategy, stop):
            self._stopped.assign(steps_done(self.model))
            self.model.stop_training = True

    def decide(self, view: tuple[float, ...]) -> tuple[bool, bool]:
        """Whether this row's networks are those to keep, and whether tuning stops."""
        raise NotImplementedError

    def restore_best(self) -> None:
        """Sets the networks to the weights that are kept. A process that only follows has none of its own to go back to."""
        for name, weight in self._weights.items() if self._view is not None else ():
            weight.assign(self._best[name])


class JudgedStop(Stop):
    """Stops by a judge, whose view and the estimator's are the mean PIR of the same images, in [0, 1]."""

    name = "judged"
    columns = ("judge_pir", "estimator_pir")

    def __init__(self, networks: Mapping[str, keras.Model], view: View | None) -> None:
        super().__init__(networks, view)
        self._rows = _variable(np.full((len(self.columns), ROWS), np.nan))  # the last row comes last
        self._falls, self._highest = _variable(0, "int64"), _variable(-np.inf)

    def own_state(self) -> dict[str, keras.Variable]:
        return {"rows": self._rows, "falls": self._falls, "highest": self._highest}

    def decide(self, view: tuple[float, ...]) -> tuple[bool, bool]:
        rows = np.array(self._rows)
        before, rows = _smooth(rows), np.column_stack([rows[:, 1:], view])
        judge, estimator = _smooth(rows)
        falls = int(self._falls.numpy()) + 1 if judge < before[0] and estimator > before[1] else 0
        self._rows.assign(rows)
        self._falls.assign(falls)
        highest = judge > float(self._highest.numpy())
        if highest:
            self._highest.assign(judge)
        return bool(highest), falls >= FALLS


class DistanceStop(Stop):
    """Stops where the images of a class lose too much of their distance.

    Args:
        networks, view: As for `Stop`; seen is the least share of its distance that a class keeps, 1 before the first step.
        least: The share that every class is to keep.

    Source: 5.1.
    """

    name = "distance"
    columns = ("distance_kept",)

    def __init__(self, networks: Mapping[str, keras.Model], view: View | None, *, least: float) -> None:
        super().__init__(networks, view)
        self._least, self._lacking = least, _variable(0, "int64")

    def own_state(self) -> dict[str, keras.Variable]:
        return {"lacking": self._lacking}

    def decide(self, view: tuple[float, ...]) -> tuple[bool, bool]:
        keeps = view[0] >= self._least
        self._lacking.assign(0 if keeps else int(self._lacking.numpy()) + 1)
        return keeps, int(self._lacking.numpy()) >= FALLS


def _smooth(rows: np.ndarray) -> np.ndarray:
    """Means over the rows that there are, NaN of none: no number is above or below that."""
    known = ~np.isnan(rows)
    return np.where(known, rows, 0).sum(axis=1) / np.where(known.any(axis=1), known.sum(axis=1), np.nan)


def _variable(value: Any, dtype: str = "float64") -> keras.Variable:
    return keras.Variable(np.array(value), trainable=False, dtype=dtype)
