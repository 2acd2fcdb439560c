"""A frozen functional model as a list of operations: models within models opened, batch normalization and ReLU folded in.

It knows the layers of InceptionV3, of our backbones and of the saved estimator, all in inference mode. What is not here:
any cheaper form of an operation (`estimator.frozen`).
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

AS_THEY_ARE = (
    *(layers.Activation, layers.ReLU, layers.AveragePooling2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D),
    *(layers.Resizing, layers.Rescaling, layers.Flatten, layers.Dense, layers.Softmax),
)
"""Layers that are called as they are."""


class UnknownLayer(Exception):
    """The network holds a layer that is not known here."""


@dataclasses.dataclass
class Convolution:
    """relu(averaged(x * kernel) + bias): a convolution and what was folded into it. Tensors are numbers."""

    inputs: list[int]
    out: int
    kernel: np.ndarray
    bias: np.ndarray
    strides: tuple[int, int]
    padding: str
    relu: bool = False
    averaged: Callable[..., tf.Tensor] | None = None


@dataclasses.dataclass
class Operation:
    """Anything else: `out = run(*inputs)`."""

    inputs: list[int]
    out: int
    run: Callable[..., tf.Tensor]
    layer: Any

    @property
    def averages_3x3(self) -> bool:
        """Whether it is an average pooling that keeps the size of its map."""
        pool = self.layer
        return isinstance(pool, layers.AveragePooling2D) and (
            (pool.pool_size, pool.strides, pool.padding) == ((3, 3), (1, 1), "same")
        )


def open_network(model: keras.Model) -> tuple[list[Convolution | Operation], int, int]:
    """The model's operations in an order in which they can be computed.

    Args:
        model: a functional model of one input and one output.

    Returns:
        The operations, the number of the input and that of the output.

    Raises:
        UnknownLayer: a layer is not known here, or the model is not functional.
    """
    fresh = itertools.count()
    steps: list[Convolution | Operation] = []

    def walk(inner: Any, given: list[int]) -> list[int]:
        graph = inner._functional if type(inner) is keras.Sequential else inner
        if type(graph).__name__ != "Functional":  # which Keras exports under no name
            raise UnknownLayer(inner.name)
        numbers = {id(tensor): number for tensor, number in zip(graph.inputs, given, strict=True)}
        for depth in sorted(graph._nodes_by_depth, reverse=True):  # Keras has no public way through a model's nodes
            for node in graph._nodes_by_depth[depth]:
                if node.is_input:
                    continue
                layer = node.operation
                sources = [numbers[id(tensor)] for tensor in node.input_tensors]
                if isinstance(layer, keras.Model):
                    made = walk(layer, sources)
                else:
                    made = [next(fresh)]
                    steps.append(_step(layer, sources, made[0]))
                numbers.update({id(tensor): number for tensor, number in zip(node.output_tensors, made, strict=True)})
        return [numbers[id(tensor)] for tensor in graph.outputs]

    if len(getattr(model, "inputs", ())) != 1 or len(model.outputs) != 1:
        raise UnknownLayer(model.name)
    image = next(fresh)
    (result,) = walk(model, [image])
    return _absorbed(_needed(steps, result)), image, result


def _step(layer: Any, inputs: list[int], out: int) -> Convolution | Operation:
    """A layer as a step. By its very type: a class derived from it may compute something else."""
    if type(layer) is layers.Conv2D:
        return _convolution(layer, inputs, out)
    if type(layer) is layers.Concatenate:
        return Operation(inputs, out, lambda *parts: tf.concat(parts, layer.axis), layer)
    if type(layer) is layers.Dropout:
        return Operation(inputs, out, tf.identity, layer)
    if type(layer) is layers.BatchNormalization:
        return Operation(inputs, out, functools.partial(layer.__call__, training=False), layer)
    if type(layer) in AS_THEY_ARE:
        return Operation(inputs, out, layer, layer)
    raise UnknownLayer(layer.name)


def _needed(steps: list[Convolution | Operation], result: int) -> list[Convolution | Operation]:
    """The steps that the result depends on: of a model within the model, not every output need be read."""
    needed, kept = {result}, []
    for step in reversed(steps):
        if step.out in needed:
            needed.update(step.inputs)
            kept.append(step)
    return kept[::-1]


def _absorbed(steps: list[Convolution | Operation]) -> list[Convolution | Operation]:
    """Folds batch normalization and ReLU into the convolution that they alone read."""
    readers = collections.Counter(number for step in steps for number in step.inputs)
    convolutions: dict[int, Convolution] = {}
    kept: list[Convolution | Operation] = []
    for step in steps:
        before = convolutions.get(step.inputs[0])
        if isinstance(step, Operation) and before and readers[before.out] == 1 and _fold(step.layer, before):
            before.out = step.out
        else:
            before = step if isinstance(step, Convolution) else None
            kept.append(step)
        if before and not before.relu:
            convolutions[before.out] = before
    return kept


def _fold(layer: Any, convolution: Convolution) -> bool:
    """Makes the layer part of the convolution before it, if it is a normalization of its channels or a plain ReLU."""
    if type(layer) is layers.BatchNormalization and layer.axis in (-1, 3):
        scale = (_array(layer.gamma) if layer.scale else 1.0) / np.sqrt(_array(layer.moving_variance) + layer.epsilon)
        shift = (_array(layer.beta) if layer.center else 0.0) - _array(layer.moving_mean) * scale
        convolution.kernel = convolution.kernel * scale
        convolution.bias = convolution.bias * scale + shift
        return True
    if type(layer) in (layers.Activation, layers.ReLU) and _activation(layer) == "relu":
        convolution.relu = True
        return True
    return False


def _activation(layer: Any) -> str:
    """Name of the nonlinearity that the layer applies."""
    if type(layer) is layers.ReLU:
        plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return "relu" if plain else "other"
    name = keras.activations.serialize(layer.activation)
    return name if isinstance(name, str) else "other"


def _convolution(layer: layers.Conv2D, inputs: list[int], out: int) -> Convolution:
    activation = _activation(layer)
    plain = tuple(layer.dilation_rate) == (1, 1) and layer.groups == 1 and layer.data_format == "channels_last"
    if not plain or activation not in ("linear", "relu") or layer.padding not in ("same", "valid"):
        raise UnknownLayer(layer.name)
    bias = _array(layer.bias) if layer.use_bias else np.zeros(layer.filters)
    strides = tuple(layer.strides)
    return Convolution(inputs, out, _array(layer.kernel), bias, strides, layer.padding.upper(), activation == "relu")


def _array(variable: Any) -> np.ndarray:
    """A variable's value now, in float64."""
    return keras.ops.convert_to_numpy(variable).astype(np.float64)
