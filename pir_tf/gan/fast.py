"""The generator's and the discriminator's passes in cheaper, algebraically equal forms, over the stock layers' variables.

The networks stay what `gan.networks` builds, and what is saved are their stock layers. While training on one CPU device, and in
an export, their passes are computed here: the layers' identities are in `gan.fast_layers`, and equal means within float32
rounding. A network with other layers than ours is called as it is, after a warning.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from pir_tf.config import NETWORK_IMAGE_SIZE
from pir_tf.gan.fast_layers import upsample_and_convolve, upsample_and_convolve_few, winograd_convolve
from pir_tf.gan.networks import (
    DISCRIMINATOR_STRIDES,
    GENERATOR_CHANNELS,
    LEAKY_SLOPE,
    build_discriminator,
    build_generator,
)

MOVED_LATENTS = "moved_latents"
"""Name of the layer that ends what tuning puts before a generator."""


def fast_generator(generator: keras.Model, *, compiled: bool = False) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The same function of z and class as the model, over the same variables, of two tensors in place of their list.

    With `compiled` XLA compiles what follows the dense layer: seconds for each batch size of a process, which training gets back
    and sampling doesn't.
    """
    if not knows_generator(generator):
        _warn("generator")
        return lambda z, class_one_hot: generator([z, class_one_hot])
    if inner := _behind_moved_latents(generator):
        moved = keras.Model(generator.inputs, generator.get_layer(MOVED_LATENTS).output)
        of_moved = fast_generator(inner, compiled=compiled)
        return lambda z, class_one_hot: of_moved(moved([z, class_one_hot]), class_one_hot)
    dense = keras.Model(generator.inputs, generator.get_layer("image_4x4").output)
    layers = [generator.get_layer(f"conv_{i}") for i in range(1, len(GENERATOR_CHANNELS) + 1)]
    images = _compiled_images if compiled else _images

    def generate(z: tf.Tensor, class_one_hot: tf.Tensor) -> tf.Tensor:
        weights = [(tf.convert_to_tensor(layer.kernel), tf.convert_to_tensor(layer.bias)) for layer in layers]
        return images(dense([z, class_one_hot]), weights)

    return generate


def knows_generator(generator: keras.Model) -> bool:
    """Whether the model is one that `gan.networks.build_generator` makes, of float32, or that one behind moved latents."""
    inner = _behind_moved_latents(generator)
    return knows_generator(inner) if inner else _is_like(generator, _layout_made_by(build_generator))


def _behind_moved_latents(generator: keras.Model) -> keras.Model | None:
    """The generator inside one whose latents tuning moves (`tuning.latents`); None for any other."""
    if all(layer.name != MOVED_LATENTS for layer in generator.layers):
        return None
    return next(layer for layer in generator.layers if isinstance(layer, keras.Model))


def _images(x: tf.Tensor, weights: list[tuple[tf.Tensor, tf.Tensor]]) -> tf.Tensor:
    """Images of the dense layer's 4x4 images, by the kernels and biases of the five convolutions."""
    (first, *middle, last) = weights
    x = _leaky(winograd_convolve(x, first[0]) + first[1])
    for kernel, bias in middle:
        x = _leaky(upsample_and_convolve(x, kernel) + bias)
    return tf.tanh(upsample_and_convolve_few(x, last[0]) + last[1])


# Compiled as one: what is between the products is memory traffic, which XLA's fusion takes away in the gradient. Made once,
# so that all generators of a process share what was compiled.
_compiled_images = tf.function(_images, jit_compile=True, autograph=False)


def fast_discriminator(discriminator: keras.Model) -> FastDiscriminator | None:
    """The discriminator's cheaper passes; None, after a warning, for a model that `FastDiscriminator` doesn't know."""
    if FastDiscriminator.knows(discriminator):
        return FastDiscriminator(discriminator)
    _warn("discriminator")
    return None


class FastDiscriminator:
    """The discriminator's passes in training mode: batch statistics, dropout.

    Against the stock layers, the last convolution is Winograd's, the other convolutions of stride 1 are padded within
    the operation, and batch normalization is TensorFlow's fused operation.

    Source: C.2. Deviation: D17, D18.
    """

    def __init__(self, discriminator: keras.Model) -> None:
        layer = discriminator.get_layer
        count = len(DISCRIMINATOR_STRIDES)
        self._convolutions = [layer(f"conv_{i}") for i in range(1, count + 1)]
        self._norms = [layer(f"batch_norm_{i}") for i in range(1, count + 1)]
        self._dropouts = {i: layer(f"dropout_{i + 1}") for i in range(0, count, 2)}
        self._heads = [layer("source_logit"), layer("class_logits")]

    @staticmethod
    def knows(discriminator: keras.Model) -> bool:
        """Whether the model is one that `gan.networks.build_discriminator` makes, of float32."""
        size = tuple(discriminator.inputs[0].shape[1:3])  # Winograd's form needs even maps
        return size == (NETWORK_IMAGE_SIZE, NETWORK_IMAGE_SIZE) and _is_like(
            discriminator, _layout_made_by(build_discriminator)
        )

    def __call__(self, images: tf.Tensor, *, update: bool) -> tuple[tf.Tensor, tf.Tensor]:
        """u `[batch, 1]` and class logits `[batch, classes]` of images `[batch, 64, 64, 3]` in [-1, 1].

        With `update` the moving statistics and the dropout layers' seed states go on, as in a plain call of the model; without
        it nothing of the discriminator changes, as in a `stateless_call` whose state is discarded (D18).
        """
        x = images
        for index, (convolution, norm) in enumerate(zip(self._convolutions, self._norms, strict=True)):
            x = _leaky(self._convolve(x, index) + tf.convert_to_tensor(convolution.bias))
            x = self._normalize(x, norm, update=update)
            if index in self._dropouts:
                # A scope of its own keeps the new seed state to itself.
                with contextlib.nullcontext() if update else keras.StatelessScope():
                    x = self._dropouts[index](x, training=True)
        x = tf.reshape(x, (-1, x.shape[1] * x.shape[2] * x.shape[3]))
        kernels, biases = ([tf.convert_to_tensor(getattr(h, name)) for h in self._heads] for name in ("kernel", "bias"))
        both = tf.matmul(x, tf.concat(kernels, 1)) + tf.concat(biases, 0)
        return both[:, :1], both[:, 1:]

    def _convolve(self, x: tf.Tensor, index: int) -> tf.Tensor:
        kernel = tf.convert_to_tensor(self._convolutions[index].kernel)
        if index == len(self._convolutions) - 1:
            return winograd_convolve(x, kernel)
        stride = DISCRIMINATOR_STRIDES[index]
        if stride == 1:
            return tf.nn.conv2d(x, kernel, 1, "SAME")
        # Padded by hand, as the stock layers do it: "SAME" pads a strided convolution at one side alone.
        return tf.nn.conv2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), kernel, stride, "VALID")

    def _normalize(self, x: tf.Tensor, norm: keras.layers.BatchNormalization, *, update: bool) -> tf.Tensor:
        nothing = tf.constant([], tf.float32)
        gamma, beta = tf.convert_to_tensor(norm.gamma), tf.convert_to_tensor(norm.beta)
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=x, scale=gamma, offset=beta, mean=nothing, variance=nothing, epsilon=norm.epsilon, is_training=True
        )
        if update:
            count = tf.cast(tf.size(x) / x.shape[-1], tf.float32)
            biased = variance * (count - 1) / count  # Keras keeps the biased variance, TensorFlow's operation the other
            for moving, batch in ((norm.moving_mean, mean), (norm.moving_variance, biased)):
                moving.assign(moving * norm.momentum + tf.stop_gradient(batch) * (1 - norm.momentum))
        return y


def _warn(network: str) -> None:
    warnings.warn(
        f"The {network} has other layers than pir_tf's own, so Keras computes its passes: training takes longer on a CPU, and "
        "its results are the same.",
        stacklevel=3,
    )


def _leaky(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.leaky_relu(x, LEAKY_SLOPE)


_TAKEN_FOR_GRANTED = (
    *("kernel_size", "strides", "padding", "dilation_rate", "groups", "data_format", "use_bias", "activation"),
    *("negative_slope", "axis", "center", "scale", "size", "interpolation", "target_shape"),
)
"""Settings of layers that the passes here don't read from the layers."""

Layout = list[tuple[str, str, dict[str, Any]]]


def _layout(model: keras.Model) -> Layout:
    """Kind, name and settings of every layer of a model, in order."""
    rows = []
    for layer in model.layers:
        config = layer.get_config()
        settings = {name: config[name] for name in _TAKEN_FOR_GRANTED if name in config}
        rows.append((type(layer).__name__, layer.name, settings))
    return rows


def _is_like(model: keras.Model, ours: Layout) -> bool:
    """Whether the model differs from ours in sizes and weights alone. The fused normalization takes float32 alone."""
    kinds = [(type(layer).__name__, layer.name) for layer in model.layers]
    if kinds != [(kind, name) for kind, name, _ in ours]:
        return False  # before layers that are not Keras's are asked for their settings, which they may not tell
    return _layout(model) == ours and all(layer.dtype_policy.name == "float32" for layer in model.layers)


@functools.cache
def _layout_made_by(build: Callable[[int], keras.Model]) -> Layout:
    return _layout(build(1))
