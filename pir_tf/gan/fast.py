"""Cheaper, algebraically equal forms of the generator's layers that share the stock layers' weights.

Nearest-neighbour upsampling by 2 followed by a 3x3 convolution reads each input pixel up to four times with summed kernel
entries. The same sum is one transposed convolution of stride 2 whose 4x4 kernel K is derived from the 3x3 kernel k; along
each axis

    K = [k_2, k_1 + k_2, k_0 + k_1, k_0]

so the upsampled image is never made. The derived kernel is recomputed from the shared 3x3 kernel in every call, so gradients
reach the stock weights. It pays where channels are few (the last layer: 64 to 3); elsewhere the stock form is as fast on a CPU.
Saved files hold the stock layers alone.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import tensorflow as tf

FAST_LAYERS = ("conv_5",)
"""Convolutions that are computed as transposed ones, with the upsampling before them."""


def transposed_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """K, the 4x4 kernel of stride 2 that equals upsampling by 2 and then the 3x3 kernel k.

    Args:
        kernel: `[3, 3, channels in, channels out]`.

    Returns:
        `[4, 4, channels out, channels in]`, as `tf.nn.conv2d_transpose` takes it.
    """
    rows = tf.stack([kernel[2], kernel[1] + kernel[2], kernel[0] + kernel[1], kernel[0]], axis=0)
    both = tf.stack([rows[:, 2], rows[:, 1] + rows[:, 2], rows[:, 0] + rows[:, 1], rows[:, 0]], axis=1)
    return tf.transpose(both, (0, 1, 3, 2))


def upsample_and_convolve(x: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
    """Equals `UpSampling2D(2, "nearest")` and then a 3x3 convolution with zero padding.

    Args:
        x: `[batch, height, width, channels in]`.
        kernel: `[3, 3, channels in, channels out]`.
        bias: `[channels out]`.

    Returns:
        `[batch, 2 height, 2 width, channels out]`.
    """
    shape = tf.shape(x)
    out = [shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[-1]]
    return tf.nn.conv2d_transpose(x, transposed_kernel(kernel), out, strides=2, padding="SAME") + bias


def fast_generator(generator: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """The same function of z and class as `gan.networks.build_generator`'s model, over the same variables.

    A generator with other layers than ours (no `conv_5` after `upsample_5`) is called as it is.

    Args:
        generator: the stock functional model.

    Returns:
        A function of `z [batch, latent]` and `class_one_hot [batch, classes]` to images `[batch, 64, 64, 3]` in [-1, 1].
    """
    names = [layer.name for layer in generator.layers]
    if not {"upsample_5", "conv_5", "leaky_4", "image"} <= set(names):
        return lambda z, class_one_hot: generator([z, class_one_hot])
    before = keras.Model(generator.inputs, generator.get_layer("leaky_4").output)
    last = generator.get_layer("conv_5")

    def call(z: tf.Tensor, class_one_hot: tf.Tensor) -> tf.Tensor:
        x = before([z, class_one_hot])
        return tf.tanh(upsample_and_convolve(x, tf.convert_to_tensor(last.kernel), tf.convert_to_tensor(last.bias)))

    return call
