"""A frozen network in a cheaper, algebraically equal form: its value, and its gradient with respect to the image (2.4).

While the generator is tuned the estimator never changes, so what depends on its weights alone is computed once:

- batch normalization is folded into the convolution before it;
- a 3x3 average pooling and the 1x1 convolution behind it change places (both are linear, and a mean leaves a bias as it
  is), so that the pooling has fewer channels;
- all 1x1 convolutions that read one tensor are one matrix product;
- where a map is smaller than the kernel, most of the kernel only ever meets padding: the convolution becomes a matrix
  product with the entries that meet pixels (InceptionV3's 1x7 and 7x1 on 3x3 maps at 75 pixels, its 3x3 on single pixels).

`open_network` reads the model's graph, for which Keras has no public way. What is not here: any change of precision, and what is
frozen when.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import itertools
import math
import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def fast_frozen(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The same function of images as `model(images, training=False)`, with the weights that the model has now.

    Its images are `[batch, height, width, 3]` of known height and width, in the model's own type. Where `open_network` doesn't
    know a layer, the function is the model's own call, after a warning.
    """
    try:
        operations, image, result = open_network(model)
    except UnknownLayer as unknown:
        warnings.warn(
            f"The estimator's part {unknown} has no faster form, so Keras computes the estimator: tuning takes longer on a "
            "CPU, and its results are the same.",
            stacklevel=2,
        )
        return functools.partial(model.__call__, training=False)
    steps = _join_siblings(_convolve_before_averaging(operations))

    def call(images: tf.Tensor) -> tf.Tensor:
        tensors = {image: images}
        for step in steps:
            if isinstance(step, Operation):
                tensors[step.out] = step.run(*[tensors[number] for number in step.inputs])
            elif isinstance(step, Convolution):
                tensors[step.out] = _finish(step, _convolve(step, tensors[step.inputs[0]]))
            else:
                together = _product(tensors[step[0].inputs[0]], np.concatenate([c.kernel[0, 0] for c in step], -1))
                parts = tf.split(together, [c.kernel.shape[-1] for c in step], -1)
                tensors.update({c.out: _finish(c, part) for c, part in zip(step, parts, strict=True)})
        return tensors[result]

    return call


def _convolve_before_averaging(steps: list[Convolution | Operation]) -> list[Convolution | Operation]:
    """Lets a 1x1 convolution that alone reads a 3x3 average pooling come before it."""
    kept = []
    for step in steps:
        if isinstance(step, Operation) and step.averages_3x3:
            readers = [s for s in steps if step.out in s.inputs]
            if len(readers) == 1 and isinstance(readers[0], Convolution) and _is_pointwise(readers[0]):
                later = readers[0]
                later.inputs, later.averaged = step.inputs, step.run
                continue
        kept.append(step)
    return kept


def _join_siblings(steps: list[Convolution | Operation]) -> list[Step]:
    """Puts the 1x1 convolutions that read the same tensor together, at the place of the first."""
    joined: list[Step] = []
    siblings: dict[int, list[Convolution]] = collections.defaultdict(list)
    for step in steps:
        if isinstance(step, Convolution) and _is_pointwise(step):
            group = siblings[step.inputs[0]]
            if not group:
                joined.append(group)
            group.append(step)
        else:
            joined.append(step)
    return joined


def _is_pointwise(step: Convolution) -> bool:
    return step.kernel.shape[:2] == (1, 1) and step.strides == (1, 1)


def _finish(step: Convolution, x: tf.Tensor) -> tf.Tensor:
    """What comes after a convolution's products."""
    x = step.averaged(x) if step.averaged else x
    x = x + tf.constant(step.bias, x.dtype)
    return tf.nn.relu(x) if step.relu else x


def _product(x: tf.Tensor, matrix: np.ndarray) -> tf.Tensor:
    """`[batch, height, width, channels]` times a matrix `[channels, out]`."""
    y = tf.matmul(tf.reshape(x, (-1, x.shape[-1])), tf.constant(matrix, x.dtype))
    return tf.reshape(y, (-1, *x.shape[1:3], matrix.shape[1]))


def _convolve(step: Convolution, x: tf.Tensor) -> tf.Tensor:
    """The convolution without its bias, in the form that fits the size of its input."""
    rows, columns, channels_in, channels = step.kernel.shape
    height, width = x.shape[1:3]
    if rows == 1 and step.strides[0] == 1 and height > 1 and _pays(step, (1, width)):
        y = _convolve(step, tf.reshape(x, (-1, 1, width, channels_in)))  # each row is a map of its own
        return tf.reshape(y, (-1, height, *y.shape[2:]))
    if columns == 1 and step.strides[1] == 1 and width > 1 and _pays(step, (height, 1)):
        turned = dataclasses.replace(step, kernel=step.kernel.transpose(1, 0, 2, 3), strides=step.strides[::-1])
        return tf.transpose(_convolve(turned, tf.transpose(x, (0, 2, 1, 3))), (0, 2, 1, 3))
    if _pays(step, (height, width)):
        matrix = tf.constant(_met(step.kernel, (height, width), step.strides, step.padding), x.dtype)
        y = tf.matmul(tf.reshape(x, (-1, height * width * channels_in)), matrix)
        return tf.reshape(y, (-1, *_out_sizes(step, (height, width)), channels))
    return tf.nn.conv2d(x, tf.constant(step.kernel, x.dtype), step.strides, step.padding)


def _pays(step: Convolution, size: tuple[int, int]) -> bool:
    """Whether the convolution of a map of this size should be one matrix product.

    Its products are never more if the kernel covers the map, but with a matrix much larger than the kernel little is saved,
    and memory is lost.
    """
    rows, columns = step.kernel.shape[:2]
    covers = rows >= size[0] and columns >= size[1]
    return covers and math.prod(size) * math.prod(_out_sizes(step, size)) <= LARGEST * rows * columns


def _out_sizes(step: Convolution, size: tuple[int, int]) -> list[int]:
    return [_out_size(*of, step.padding) for of in zip(size, step.kernel.shape[:2], step.strides, strict=True)]


def _out_size(size: int, kernel: int, stride: int, padding: str) -> int:
    return (size - kernel) // stride + 1 if padding == "VALID" else math.ceil(size / stride)


def _met(kernel: np.ndarray, size: tuple[int, int], strides: tuple[int, int], padding: str) -> np.ndarray:
    """The convolution of a map of this size as one matrix: the kernel's entries that meet pixels, zeros elsewhere.

    `[height * width * channels in, height out * width out * channels out]`, of `[rows, columns, channels in, channels out]`.
    """
    rows, columns, channels_in, channels = kernel.shape
    (down, high), (across, wide) = (_meetings(*of, padding) for of in zip(size, (rows, columns), strides, strict=True))
    matrix = np.zeros((*size, channels_in, high, wide, channels))
    for y, k, row in down:
        for x, j, column in across:
            matrix[row, column, :, y, x] = kernel[k, j]
    return matrix.reshape(size[0] * size[1] * channels_in, high * wide * channels)


def _meetings(size: int, kernel: int, stride: int, padding: str) -> tuple[list[tuple[int, int, int]], int]:
    """Along one axis, (pixel out, kernel entry, pixel in) wherever they meet, and the number of pixels out."""
    out = _out_size(size, kernel, stride, padding)
    before = 0 if padding == "VALID" else max((out - 1) * stride + kernel - size, 0) // 2
    pairs = [(o, k, o * stride + k - before) for o in range(out) for k in range(kernel)]
    return [(o, k, pixel) for o, k, pixel in pairs if 0 <= pixel < size], out


LARGEST = 4
"""Entries that the matrix of a convolution may have, in kernels."""
AS_THEY_ARE = (
    *(layers.Activation, layers.ReLU, layers.AveragePooling2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D),
    *(layers.Resizing, layers.Rescaling, layers.Flatten, layers.Dense, layers.Softmax, layers.LeakyReLU),
    *(layers.ZeroPadding2D, layers.Normalization, layers.Reshape),
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
        """Whether it is a 3x3 average pooling that keeps the size of its map."""
        pool, kept = self.layer, ((3, 3), (1, 1), "same")
        return isinstance(pool, layers.AveragePooling2D) and (pool.pool_size, pool.strides, pool.padding) == kept


Step = Convolution | Operation | list[Convolution]
"""What is computed in turn; a list stands for 1x1 convolutions of one tensor as one matrix product."""


def open_network(model: keras.Model) -> tuple[list[Convolution | Operation], int, int]:
    """A model's operations in an order in which they can be computed, the number of its input and that of its output.

    Raises:
        UnknownLayer: a layer is not known here, or the model is not a functional one with one input and one output.
    """
    fresh = itertools.count()
    steps: list[Convolution | Operation] = []

    def walk(inner: Any, given: list[int]) -> list[int]:
        graph: Any = getattr(inner, "_functional", None) if type(inner) is keras.Sequential else inner
        nodes = getattr(graph, "_nodes_by_depth", None)
        if type(graph).__name__ != "Functional" or nodes is None:  # a name that Keras doesn't export
            raise UnknownLayer(inner.name)
        numbers = {id(tensor): number for tensor, number in zip(graph.inputs, given, strict=True)}
        for depth in sorted(nodes, reverse=True):
            for node in nodes[depth]:
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
    if type(layer) in (layers.Add, layers.Subtract, layers.Multiply, layers.Dot):
        return Operation(inputs, out, lambda *parts: layer(list(parts)), layer)
    if type(layer) is layers.Dropout:
        return Operation(inputs, out, tf.identity, layer)
    if type(layer) is layers.BatchNormalization:
        return Operation(inputs, out, functools.partial(layer.__call__, training=False), layer)
    # Keras has no public type for a root.
    if type(layer).__name__ == "Sqrt" and type(layer).__module__.startswith("keras."):
        return Operation(inputs, out, tf.sqrt, layer)
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
    """Folds batch normalization and ReLU into the convolution before them that nothing else reads."""
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
    """Makes a normalization of channels or a plain ReLU part of the convolution before it; False for any other layer."""
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
