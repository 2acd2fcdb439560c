"""Mixed precision in training: bfloat16 inside the networks, float32 where numbers are small or final (`compute.precision`).

Weights, optimizers and batch normalization's statistics stay float32. So do the layers that end a network (the generator's image,
the discriminator's and the estimator's logits), what resizes and rescales pixels, and every softmax. bfloat16 has float32's
range, so no loss has to be scaled; float16 hasn't, and is not offered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

INNER = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.SeparableConv2D,
    layers.DepthwiseConv2D,
    layers.Dense,
    layers.BatchNormalization,
    layers.Activation,
    layers.LeakyReLU,
    layers.ReLU,
    layers.UpSampling2D,
    layers.ZeroPadding2D,
    layers.AveragePooling2D,
    layers.MaxPooling2D,
    layers.Concatenate,
    layers.Reshape,
    layers.Flatten,
    layers.Dropout,
)
"""Kinds of layers that may compute in bfloat16."""


@contextlib.contextmanager
def mixed(precision: str, *networks: keras.Model) -> Iterator[None]:
    """Lets networks compute in another precision until the block ends; what they save then is as if they never had.

    Args:
        precision: `float32`, which changes nothing, or `mixed_bfloat16`.
        *networks: functional models. Their outputs stay float32.
    """
    if precision == "float32":
        yield
        return
    changed = {id(layer): (layer, layer.dtype_policy) for network in networks for layer in _inner(network)}
    try:
        for layer, _ in changed.values():
            layer.dtype_policy = keras.DTypePolicy(precision)
        yield
    finally:
        for layer, policy in changed.values():
            layer.dtype_policy = policy


def _inner(network: keras.Model, ends: bool = True) -> Iterator[keras.Layer]:
    """The layers that may compute in bfloat16: not those that make an output, nor the last layer with weights before it."""
    kept = _ends(network) if ends else set()
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from _inner(layer, ends=id(layer) in kept)
        elif isinstance(layer, INNER) and id(layer) not in kept:
            yield layer


def _ends(network: keras.Model) -> set[int]:
    """Each output's layers, back to the first that has weights."""
    found: set[int] = set()
    for output in network.outputs:
        tensor = output
        while True:
            layer = tensor._keras_history.operation
            found.add(id(layer))
            inputs = layer.input if not isinstance(layer, layers.InputLayer) else None
            if inputs is None or isinstance(inputs, (list, tuple)) or layer.weights:
                break
            tensor = inputs
    return found
