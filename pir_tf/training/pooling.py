"""Max pooling as the largest of shifted slices: XLA compiles its gradient with deterministic operations, too.

TensorFlow 2.21 has none for its own max pooling. The values are equal to the bit, and so are gradients: of a window's equal
largest entries the first, by rows, gets all of it, as in TensorFlow on a CPU.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterator

import tensorflow as tf
from keras import layers


def max_of_slices(
    images: tf.Tensor, size: tuple[int, int], strides: tuple[int, int], padding: str = "valid"
) -> tf.Tensor:
    """Max pooling.

    Args:
        images: `[batch, height, width, channels]`, height and width known.
        size, strides: Of the window: rows, columns.
        padding: "valid" or "same".

    Returns:
        `[batch, height out, width out, channels]`, of the images' type.
    """
    axes = list(zip(images.shape[1:3], size, strides, strict=True))
    if padding == "same":
        more = [max((-(-length // step) - 1) * step + window - length, 0) for length, window, step in axes]
        around = [(0, 0), *((n // 2, n - n // 2) for n in more), (0, 0)]
        images = tf.pad(images, around, constant_values=images.dtype.min)
        axes = [(length + n, window, step) for (length, window, step), n in zip(axes, more, strict=True)]
    reach = [(length - window) // step * step + 1 for length, window, step in axes]
    shifted = [
        images[:, row : row + reach[0] : strides[0], column : column + reach[1] : strides[1]]
        for row, column in itertools.product(*map(range, size))
    ]
    return functools.reduce(tf.maximum, shifted)


@contextlib.contextmanager
def of_slices() -> Iterator[None]:
    """Inside, Keras's `MaxPooling2D` computes so: what is traced there keeps it."""

    def call(self: layers.MaxPooling2D, inputs: tf.Tensor) -> tf.Tensor:
        if self.data_format != "channels_last" or None in inputs.shape[1:3]:
            return usual(self, inputs)
        return max_of_slices(inputs, self.pool_size, self.strides, self.padding)

    usual = layers.MaxPooling2D.call
    layers.MaxPooling2D.call = call
    try:
        yield
    finally:
        layers.MaxPooling2D.call = usual
