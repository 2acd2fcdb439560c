"""A Keras model's function over weights of its own: all of the model that an export keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class Stored(tf.Module):
    """The function of a model in inference mode, without its optimizer, its random generators' state or Keras.

    Args:
        model: stock layers, and perhaps layers around a SavedModel, such as `estimator.hub.SavedModelLayer`, which say what
            they hold as `loaded` and `module_variables`: that is kept whole, in its own precision.
        function: what to compute of the model, by default its call; it reads the model's variables while it is called.
        half: store matrices and kernels as float16, which are cast when they are used; `round_weights` gives the model the
            same values.
    """

    def __init__(
        self,
        model: keras.Model,
        function: Callable[..., tf.Tensor] | None = None,
        *,
        half: bool = False,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name or model.name)
        self.foreign = [layer.loaded for layer in _foreign(model)]
        weights = _own_weights(model)
        with self.name_scope:
            self.weights = [
                tf.Variable(_stored(variable, half=half), trainable=False, name=variable.path) for variable in weights
            ]
        # What only closures know is not saved with the module.
        self._call = _substituted(function or _inference(model), weights, self.weights)

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        """The function of some tensors."""
        return self._call(*inputs)


def round_weights(models: Iterable[keras.Model]) -> None:
    """Gives the models the weights that `Stored` with `half` keeps of them."""
    for model in models:
        for variable in _own_weights(model):
            variable.assign(_stored(variable, half=True).astype(np.float32))


def _foreign(model: keras.Model) -> list[Any]:
    """The layers around a SavedModel, in nested models too."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += _foreign(layer)
        elif hasattr(layer, "module_variables"):
            found.append(layer)
    return found


def _own_weights(model: keras.Model) -> list[keras.Variable]:
    """The weights that belong to Keras layers."""
    theirs = {id(variable) for layer in _foreign(model) for variable in layer.module_variables}
    return [variable for variable in model.weights if id(variable) not in theirs]


def _stored(variable: keras.Variable, *, half: bool) -> np.ndarray:
    """The array to keep: vectors stay float32, they are few and the statistics among them need the range."""
    value = keras.ops.convert_to_numpy(variable)
    if not half or value.ndim < 2 or value.dtype != np.float32 or np.abs(value).max() > np.finfo(np.float16).max:
        return value
    return value.astype(np.float16)


def _inference(model: keras.Model) -> Callable[..., tf.Tensor]:
    return lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)


def _substituted(
    function: Callable[..., tf.Tensor], weights: list[keras.Variable], kept: list[tf.Variable]
) -> Callable[..., tf.Tensor]:
    """The function with `kept` read wherever it reads `weights`."""

    def call(*inputs: tf.Tensor) -> tf.Tensor:
        values = [(old, tf.cast(new, old.dtype)) for old, new in zip(weights, kept, strict=True)]
        with keras.StatelessScope(state_mapping=values):
            return function(*inputs)

    return call
