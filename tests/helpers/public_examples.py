"""The generators of two public Keras examples, rebuilt from their descriptions with stock layers.

- *DCGAN to generate face images* (keras.io, examples/generative/dcgan_overriding_train_step): 64x64 RGB in [0, 1], no classes,
  128 latents; a dense layer to 8x8, three transposed convolutions of kernel 4 and stride 2, a 5x5 convolution with a sigmoid.
- *Conditional GAN* (keras.io, examples/generative/conditional_gan): 28x28 grey in [0, 1], 10 digits one-hot behind 128 latents
  in one input; a dense layer to 7x7, two transposed convolutions of kernel 4 and stride 2, a 7x7 convolution with a sigmoid.

`share` of the examples' numbers of filters and latents is built: all of them take minutes on one thread.
"""

import keras
from keras import layers

DIGITS = 10


def dcgan(share=1.0):
    """The generator of the first example; 1.0 has 3,979,651 weights."""
    few = lambda count: max(4, round(count * share))  # noqa: E731
    generator = keras.Sequential(
        [keras.Input((few(128),)), layers.Dense(8 * 8 * few(128)), layers.Reshape((8, 8, few(128)))]
    )
    for filters in (128, 256, 512):
        generator.add(layers.Conv2DTranspose(few(filters), 4, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(negative_slope=0.2))
    generator.add(layers.Conv2D(3, 5, padding="same", activation="sigmoid"))
    return generator


def conditional_gan(share=1.0):
    """The generator of the second example."""
    few = lambda count: max(4, round(count * share))  # noqa: E731
    joined = few(128) + DIGITS
    generator = keras.Sequential(
        [keras.Input((joined,)), layers.Dense(7 * 7 * joined), layers.LeakyReLU(negative_slope=0.2)]
    )
    generator.add(layers.Reshape((7, 7, joined)))
    for _ in range(2):
        generator.add(layers.Conv2DTranspose(few(128), 4, strides=2, padding="same"))
        generator.add(layers.LeakyReLU(negative_slope=0.2))
    generator.add(layers.Conv2D(1, 7, padding="same", activation="sigmoid"))
    return generator


def spread(generator, contrast):
    """Scales the last layer's first weights, so that untrained images of other latents and classes differ plainly.

    Where a short adversarial training ends hangs on the rounding of a processor, and no verdict on it can be a test's.
    """
    kernel, *rest = generator.layers[-1].get_weights()
    generator.layers[-1].set_weights([contrast * kernel, *rest])
