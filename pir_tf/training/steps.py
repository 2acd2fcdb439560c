"""How `fit` runs steps: compiled by XLA where that is asked for, and several in one call from Python.

Keras refuses XLA beside deterministic operations, and would let it draw a step's latents, which are others then. So what is
compiled here is a step's `update` alone, on what was drawn before. It is for one device: replicas meet in the middle of a step.

Between two steps `fit` does work of its own: it calls the step's function, reads whether there was a batch, and goes through the
callbacks, about a millisecond in all. `SeveralSteps` does as many steps in a call as take a quarter of a second, by one function
whose loop takes their number, so that how long a step takes, and with it how many there are, changes no bit. A call ends with its
row of the log at the latest.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pir_tf.training import pooling, replicas

CALL_S = 0.25
"""Seconds that a call aims at: the bar moves, and Ctrl-C is heard, in between."""
FASTER = 8
"""Times as many steps as the call before that a call has at the most."""


class SteppedModel(replicas.BuiltModel):
    """A model whose step XLA can compile. A subclass calls `compiled_update` in its step where `by_xla` is true.

    Attributes:
        by_xla: Whether XLA compiles the step.
    """

    by_xla = False

    def compile(self, *arguments: Any, jit_compile: bool = False, **more: Any) -> None:
        """As Keras's; `jit_compile` beside deterministic operations, too, and of the training step alone."""
        super().compile(*arguments, jit_compile=False, **more)
        self.by_xla = jit_compile
        self.__dict__.pop("compiled_update", None)

    def update(self, *data: Any) -> dict[str, tf.Tensor]:
        """The whole step, on one device, of what is drawn for it."""
        raise NotImplementedError

    @functools.cached_property
    def compiled_update(self) -> Callable[..., dict[str, tf.Tensor]]:
        """`update` by XLA."""

        def update(*data: Any) -> dict[str, tf.Tensor]:
            with pooling.of_slices():
                return self.update(*data)

        return tf.function(update, jit_compile=True, autograph=False)


class SeveralSteps:
    """What `fit` takes as a model's `train_function`: it is called for each step, and does the next ones before they are due.

    A call for a step that is done already does nothing. A step's logs, means since the epoch began, are those of its call's last.

    Args:
        model: On one device, compiled, with `step`; its logs are its metrics.
        epoch_steps: Steps of an epoch.
        steps: Steps until the end.
    """

    def __init__(self, model: keras.Model, epoch_steps: int, steps: int) -> None:
        self._model, self._epoch_steps, self._steps = model, epoch_steps, steps
        self._due = self._done = 0
        self._count = 1
        self._logs: dict[str, tf.Tensor] = {}
        self._run = tf.function(self._loop, autograph=False)

    def __call__(self, iterator: Any) -> dict[str, tf.Tensor]:
        """The next step of `fit`."""
        if self._done <= self._due:
            start = time.monotonic()
            row, end = self._epoch_steps - self._due % self._epoch_steps, self._steps - self._due
            count = max(1, min(self._count, row, end))
            self._logs = self._run(iterator, tf.constant(count))
            self._model.step.numpy()  # a GPU may be behind
            if self._done:  # the first call is traced
                fit = int(CALL_S * count / max(time.monotonic() - start, 1e-9))
                self._count = max(1, min(fit, FASTER * count))
            self._done += count
        self._due += 1
        return self._logs

    def _loop(self, iterator: Any, count: tf.Tensor) -> dict[str, tf.Tensor]:
        def one(done: tf.Tensor) -> tuple[tf.Tensor]:
            logs = self._model.train_step(next(iterator))
            with tf.control_dependencies(tf.nest.flatten(logs)):  # steps come one after the other
                return (done + 1,)

        tf.while_loop(lambda done: done < count, one, (tf.constant(0),), parallel_iterations=1)
        return {metric.name: metric.result() for metric in self._model.metrics}
