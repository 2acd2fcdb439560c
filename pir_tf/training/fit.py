"""The one way to restore, fit and save a training that may be killed at any moment: resumed, it equals an unbroken one.

A model trained here has `step`, which counts its steps, and `state()`, every variable that the next one depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.config import GanConfig, TuningConfig
from pir_tf.errors import InputError
from pir_tf.training import checkpoints, replicas
from pir_tf.training.callbacks import HistoryCSV, StopOnNonFinite
from pir_tf.training.devices import is_chief
from pir_tf.training.steps import SeveralSteps

Stream = Callable[[replicas.Part, int], tf.data.Dataset]
"""Makes training data: from a part and the number of steps that are done to endless batches of `Part.batch_size` rows."""


@dataclass(frozen=True)
class Schedule:
    """How long a training takes and what it leaves in its directory.

    Attributes:
        steps: Steps in all.
        batch_size: Rows of a step, over all replicas.
        epoch_steps: Steps of an epoch, which is a row of the log; the last epoch may be shorter.
        checkpoint_every: Steps between checkpoints, rounded up to whole epochs.
        checkpoint_minutes: Minutes after which one is due even before.
        columns: What `history.csv` logs beside the step; without any there is no such file.
        tensorboard: Whether the log is written for TensorBoard too.
    """

    steps: int
    batch_size: int
    epoch_steps: int
    checkpoint_every: int
    checkpoint_minutes: float
    columns: tuple[str, ...] = ()
    tensorboard: bool = False

    @classmethod
    def of(cls, config: GanConfig | TuningConfig, columns: tuple[str, ...]) -> Schedule:
        """The schedule that a section of the config describes."""
        every, minutes = config.checkpoint_every, config.checkpoint_minutes
        return cls(config.steps, config.batch_size, config.log_every, every, minutes, columns, config.tensorboard)


def fit_resumable(
    model: keras.Model,
    stream: Stream,
    schedule: Schedule,
    directory: Path | None,
    made_by: checkpoints.Facts,
    *,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    chief_callbacks: Sequence[keras.callbacks.Callback] = (),
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Fits a compiled model to the end of its schedule, from the newest checkpoint in `directory` on where there is one.

    Args:
        model: A `keras.Model` with `step` and `state()`.
        stream: Makes the training data.
        schedule: How long, and what is logged and saved.
        directory: Where `checkpoints/`, `history.csv` and `tensorboard/` go; None for neither saving nor resuming.
        made_by: What else the state depends on; a checkpoint of other facts is refused.
        callbacks: Keras callbacks for every process of a job. They may add to the logs of an epoch, which are written after them.
        chief_callbacks: The same for the chief alone.
        ended: Whether the state that was restored is the end of a training that a callback stopped: there is nothing left to do.

    Raises:
        InputError: Something else made the checkpoint, none is whole, it is past the schedule's end, or the processes of a job
            restored different steps.
        FloatingPointError: Training diverged.
    """
    first, made_by = 0, {**made_by, "compute.jit_compile": "on" if getattr(model, "by_xla", False) else "off"}
    if directory:
        first = checkpoints.restore_latest(directory / "checkpoints", model.state(), made_by)
        replicas.require_one_step(model.distribute_strategy, first, directory / "checkpoints")
        if first > schedule.steps:
            raise InputError(
                f"{directory / 'checkpoints'} is at step {first} already, expected at most the {schedule.steps} that are asked "
                "for now: ask for as many or more, or begin in another directory."
            )
    if ended():
        return
    all_callbacks = [StopOnNonFinite(), *callbacks]
    if is_chief():
        all_callbacks += [*chief_callbacks, *(_writers(schedule, directory, made_by) if directory else ())]
    left = schedule.steps - first
    if left % schedule.epoch_steps:
        all_callbacks.append(_StopAfter(left))
    if _alone(model):
        model.train_function = SeveralSteps(model, schedule.epoch_steps, left)
    # A finished schedule may have ended within an epoch; where it has more steps now, the next epoch begins there.
    epochs_done = -(-first // schedule.epoch_steps)
    try:
        model.fit(
            replicas.distributed(
                model.distribute_strategy, lambda part: stream(part, first), batch_size=schedule.batch_size
            ),
            epochs=epochs_done + -(-left // schedule.epoch_steps),
            steps_per_epoch=schedule.epoch_steps,
            initial_epoch=epochs_done,
            callbacks=all_callbacks,
            shuffle=False,  # the batches come in their order
            verbose=0,
        )
    finally:
        model.train_function = None  # it knew this schedule


def _alone(model: keras.Model) -> bool:
    """Whether steps are traced, and for one device: then several come in a call."""
    strategy = model.distribute_strategy
    alone = strategy.num_replicas_in_sync == 1 and not replicas.is_multi_worker(strategy)
    return alone and not model.run_eagerly


def _writers(schedule: Schedule, directory: Path, made_by: checkpoints.Facts) -> list[keras.callbacks.Callback]:
    """The log, then the checkpoint that agrees with it."""
    directory.mkdir(parents=True, exist_ok=True)
    saving = checkpoints.SaveCheckpoints(
        directory / "checkpoints", every=schedule.checkpoint_every, minutes=schedule.checkpoint_minutes, made_by=made_by
    )
    writers = [HistoryCSV(directory / "history.csv", schedule.columns), saving] if schedule.columns else [saving]
    if schedule.tensorboard:
        writers.append(keras.callbacks.TensorBoard(directory / "tensorboard", write_graph=False))
    return writers


class _StopAfter(keras.callbacks.Callback):
    """Ends training after exactly so many steps, also within an epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self._left -= 1
        if self._left <= 0:
            self.model.stop_training = True
