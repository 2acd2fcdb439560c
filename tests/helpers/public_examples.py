"""Two public Keras examples, rebuilt from their descriptions with stock layers, and their training in short.

- *DCGAN to generate face images* (keras.io, examples/generative/dcgan_overriding_train_step): 64x64 RGB in [0, 1], no classes,
  128 latents; a dense layer to 8x8, three transposed convolutions of kernel 4 and stride 2, a 5x5 convolution with a sigmoid.
- *Conditional GAN* (keras.io, examples/generative/conditional_gan): 28x28 grey in [0, 1], 10 digits one-hot behind 128 latents
  in one input; a dense layer to 7x7, two transposed convolutions of kernel 4 and stride 2, a 7x7 convolution with a sigmoid.

`share` of the examples' numbers of filters and latents is built: all of them take minutes on one thread.
"""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

DIGITS = 10
SEGMENTS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcfgd")
"""Which strokes of a seven-segment display each digit has."""
STROKES = {
    **{"a": (0, 2, 0, 8), "b": (0, 8, 6, 8), "c": (8, 16, 6, 8), "d": (14, 16, 0, 8), "e": (8, 16, 0, 2)},
    **{"f": (0, 8, 0, 2), "g": (7, 9, 0, 8)},
}
"""Top, bottom, left and right of each stroke, in pixels."""


def dcgan(share=1.0):
    """(generator, discriminator) of the first example; 1.0 has 3,979,651 and 404,801 weights."""
    few = lambda count: max(4, round(count * share))  # noqa: E731
    dense = layers.Dense(8 * 8 * few(128))
    generator = keras.Sequential([keras.Input((few(128),)), dense, layers.Reshape((8, 8, few(128)))])
    for filters in (128, 256, 512):
        generator.add(layers.Conv2DTranspose(few(filters), 4, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(negative_slope=0.2))
    generator.add(layers.Conv2D(3, 5, padding="same", activation="sigmoid"))
    discriminator = keras.Sequential([keras.Input((64, 64, 3))])
    for filters in (64, 128, 128):
        discriminator.add(layers.Conv2D(few(filters), 4, strides=2, padding="same"))
        discriminator.add(layers.LeakyReLU(negative_slope=0.2))
    for layer in (layers.Flatten(), layers.Dropout(0.2), layers.Dense(1)):
        discriminator.add(layer)
    return generator, discriminator


def conditional_gan(share=1.0):
    """(generator, discriminator) of the second example; the discriminator sees the class as 10 more channels."""
    few = lambda count: max(4, round(count * share))  # noqa: E731
    joined = few(128) + DIGITS
    generator = keras.Sequential([keras.Input((joined,)), layers.Dense(7 * 7 * joined)])
    generator.add(layers.LeakyReLU(negative_slope=0.2))
    generator.add(layers.Reshape((7, 7, joined)))
    for _ in range(2):
        generator.add(layers.Conv2DTranspose(few(128), 4, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(negative_slope=0.2))
    generator.add(layers.Conv2D(1, 7, padding="same", activation="sigmoid"))
    discriminator = keras.Sequential([keras.Input((28, 28, 1 + DIGITS))])
    for filters in (64, 128):
        discriminator.add(layers.Conv2D(few(filters), 3, strides=2, padding="same"))
        discriminator.add(layers.LeakyReLU(negative_slope=0.2))
    for layer in (layers.GlobalMaxPooling2D(), layers.Dense(1)):
        discriminator.add(layer)
    return generator, discriminator


def train(generator, discriminator, images, one_hot=None, *, steps, batch=32, rate=1e-3, seed=0):
    """Both examples' training: cross-entropy of real against generated, the generator's for being called real.

    Classes `one_hot`, where there are any, go behind the latents and beside the pixels.
    """
    rng, classes = np.random.default_rng(seed), 0 if one_hot is None else one_hot.shape[1]
    latent = generator.input_shape[-1] - classes
    optimizers = [keras.optimizers.Adam(rate, beta_1=0.5) for _ in range(2)]
    for optimizer, network in zip(optimizers, (discriminator, generator), strict=True):
        optimizer.build(network.trainable_variables)
    entropy = keras.losses.BinaryCrossentropy(from_logits=True)

    def beside(pixels, labels):
        maps = tf.tile(labels[:, None, None], (1, *pixels.shape[1:3], 1))
        return tf.concat([pixels, maps], -1) if classes else pixels

    @tf.function
    def step(real, labels, z):
        given = tf.concat([z, labels], -1) if classes else z
        with tf.GradientTape() as generators, tf.GradientTape() as discriminators:
            fake = generator(given, training=True)
            on_real, on_fake = (discriminator(beside(pixels, labels), training=True) for pixels in (real, fake))
            ones = tf.ones_like(on_real)
            fooled = entropy(ones, on_fake)
            told = entropy(0.95 * ones, on_real) + entropy(0.0 * ones, on_fake)
        parts = (discriminators, told, discriminator, optimizers[0]), (generators, fooled, generator, optimizers[1])
        for tape, loss, network, optimizer in parts:
            optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    for _ in range(steps):
        rows = rng.integers(0, len(images), batch)
        labels = one_hot[rows] if classes else np.zeros((batch, 0), np.float32)
        step(images[rows], labels, rng.standard_normal((batch, latent)).astype(np.float32))


def digits(count, seed=0):
    """Seven-segment digits at varied places and brightness: float32 `[n, 28, 28, 1]` in [0, 1], one-hot `[n, 10]`."""
    rng = np.random.default_rng(seed)
    images, labels = np.zeros((count, 28, 28, 1), np.float32), rng.integers(0, DIGITS, count)
    for image, label in zip(images, labels, strict=True):
        row, column = 6 + rng.integers(-1, 2), 10 + rng.integers(-1, 2)
        for name in SEGMENTS[label]:
            top, bottom, left, right = STROKES[name]
            image[row + top : row + bottom, column + left : column + right] = rng.uniform(0.5, 1.0)
    return images, np.eye(DIGITS, dtype=np.float32)[labels]
