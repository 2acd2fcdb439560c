"""The generator and the discriminator of C.2, as functional models of stock Keras layers.

Generator: the latent vector and the one-hot class go through a dense layer to a 4x4x512 image; then five 3x3 convolutions
to 512, 256, 128, 64 and 3 channels, each but the first after nearest-neighbour upsampling by 2, with leaky ReLU 0.2 and at
the end tanh: 64x64 pixels. The paper names no nonlinearity after the dense layer, so there is none.

Discriminator: six 3x3 convolutions of 16, 32, 64, 128, 256, 512 filters with strides 2, 1, 2, 1, 2, 1; leaky ReLU 0.2 and
batch normalization after each, dropout after the 1st, 3rd and 5th; then a dense layer to the source logit u and, beside it
as in the ACGAN paper, one to the class logits.

What is not here: the losses (`gan.losses`) and cheaper forms of the same layers (`gan.fast`).
"""

from __future__ import annotations

import keras
from keras import layers

from pir_tf.config import NETWORK_IMAGE_SIZE, derived_seed
from pir_tf.errors import InputError
from pir_tf.training.devices import require_channels_last

GENERATOR_CHANNELS = (512, 256, 128, 64, 3)
DISCRIMINATOR_FILTERS = (16, 32, 64, 128, 256, 512)
DISCRIMINATOR_STRIDES = (2, 1, 2, 1, 2, 1)
LEAKY_SLOPE = 0.2


def build_generator(class_count: int, *, latent_size: int = 64, seed: int = 0) -> keras.Model:
    """G(z, c): images from a latent vector and a class, with first weights from the seed.

    Returns:
        A functional model from `[z, class_one_hot]`, float32 `[batch, latent_size]` (standard normal) and
        `[batch, class_count]`, to images float32 `[batch, 64, 64, 3]` in [-1, 1].

    Source: C.1 (one-hot class inputs), C.2.
    """
    require_channels_last()
    z = keras.Input((latent_size,), name="z")
    class_one_hot = keras.Input((class_count,), name="class_one_hot")
    x = layers.Concatenate(name="z_and_class")([z, class_one_hot])
    x = layers.Dense(4 * 4 * 512, kernel_initializer=_glorot(seed, "dense"), name="dense")(x)
    x = layers.Reshape((4, 4, 512), name="image_4x4")(x)
    for index, channels in enumerate(GENERATOR_CHANNELS, start=1):
        if index > 1:
            x = layers.UpSampling2D(2, interpolation="nearest", name=f"upsample_{index}")(x)
        name = f"conv_{index}"
        x = layers.Conv2D(channels, 3, padding="same", kernel_initializer=_glorot(seed, name), name=name)(x)
        last = index == len(GENERATOR_CHANNELS)
        x = layers.Activation("tanh", name="image")(x) if last else _leaky(f"leaky_{index}")(x)
    return keras.Model([z, class_one_hot], x, name="generator")


def build_discriminator(class_count: int, *, dropout: float = 0.5, seed: int = 0) -> keras.Model:
    """D(image): the source logit u and the class logits.

    P(real) is (1 + tanh u) / 2 = sigmoid(2u): see `gan.losses`.

    The rate `dropout` holds after the 1st, 3rd and 5th layers; the seed is of the first weights and of the dropout.

    Returns:
        A functional model from images float32 `[batch, 64, 64, 3]` in [-1, 1] to `[u, class_logits]`, float32
        `[batch, 1]` and `[batch, class_count]`.

    Source: C.1 (class outputs beside the source), C.2.
    Deviation: D1 (u instead of tanh u), D3 (dropout rate), D17 (order inside a layer, zero padding).
    """
    require_channels_last()
    image = keras.Input((NETWORK_IMAGE_SIZE, NETWORK_IMAGE_SIZE, 3), name="image")
    x = image
    for index, (filters, stride) in enumerate(zip(DISCRIMINATOR_FILTERS, DISCRIMINATOR_STRIDES, strict=True), start=1):
        name = f"conv_{index}"
        init = _glorot(seed, name)
        # Padded by hand: "same" would pad a strided convolution at the right and bottom alone, unlike the unstrided ones.
        x = layers.ZeroPadding2D(1, name=f"pad_{index}")(x)
        x = layers.Conv2D(filters, 3, strides=stride, kernel_initializer=init, name=name)(x)
        x = _leaky(f"leaky_{index}")(x)
        x = layers.BatchNormalization(name=f"batch_norm_{index}")(x)
        if index % 2 == 1:
            x = layers.Dropout(dropout, seed=derived_seed(seed, f"dropout_{index}"), name=f"dropout_{index}")(x)
    x = layers.Flatten(name="flatten")(x)
    u = layers.Dense(1, kernel_initializer=_glorot(seed, "source_logit"), name="source_logit")(x)
    class_logits = layers.Dense(class_count, kernel_initializer=_glorot(seed, "class_logits"), name="class_logits")(x)
    return keras.Model(image, [u, class_logits], name="discriminator")


def with_tanh(discriminator: keras.Model) -> keras.Model:
    """The discriminator as the paper has it and as it is saved: outputs `[tanh u, class_logits]`. Shares the weights.

    Source: C.2 ("except the final layer, where we used a tanh"). Deviation: D17.
    """
    u, class_logits = discriminator.outputs
    source = layers.Activation("tanh", name="source")(u)
    return keras.Model(discriminator.inputs[0], [source, class_logits], name="discriminator")


def without_tanh(saved: keras.Model) -> keras.Model:
    """The inverse of `with_tanh`, for a loaded discriminator: outputs `[u, class_logits]`. Shares the weights.

    Raises:
        InputError: the model has no layers `source_logit` and `class_logits`.
    """
    names = [layer.name for layer in saved.layers]
    if not {"source_logit", "class_logits"} <= set(names):
        raise InputError(
            f"The discriminator has the layers {', '.join(names)}, expected source_logit and class_logits among them: "
            "load a discriminator that pir_tf saved."
        )
    outputs = [saved.get_layer("source_logit").output, saved.get_layer("class_logits").output]
    return keras.Model(saved.inputs[0], outputs, name="discriminator")


def _glorot(seed: int, name: str) -> keras.Initializer:
    """Keras's usual first weights, with a seed of their own for each layer."""
    return keras.initializers.GlorotUniform(seed=derived_seed(seed, name))


def _leaky(name: str) -> layers.Layer:
    return layers.LeakyReLU(negative_slope=LEAKY_SLOPE, name=name)
