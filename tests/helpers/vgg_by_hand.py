"""VGG16 in NumPy, independent of Keras: resize, colours, convolutions, pooling and dense layers."""

import numpy as np

BLOCKS = {1: 2, 2: 2, 3: 3, 4: 3, 5: 3}
"""Convolutions of each block."""

MEANS_RGB = np.array([123.68, 116.779, 103.939])


def bilinear(images, size):
    """Half-pixel centres, edges repeated, no antialiasing."""

    def matrix(length):
        place = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
        return np.maximum(0, 1 - np.abs(place[:, None] - np.arange(length)))

    return np.einsum("yh,xw,nhwc->nyxc", matrix(images.shape[1]), matrix(images.shape[2]), images, optimize=True)


def preprocessed(images, size):
    """uint8 images at the size, as blue, green, red minus their means."""
    return (bilinear(images.astype(np.float64), size) - MEANS_RGB)[..., ::-1]


def convolved(x, kernel, bias):
    """3x3, zero padding, ReLU."""
    height, width = x.shape[1:3]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    total = np.zeros((*x.shape[:3], kernel.shape[-1]))
    for i in range(3):
        for j in range(3):
            total += padded[:, i : i + height, j : j + width] @ kernel[i, j].astype(np.float64)
    return np.maximum(total + bias, 0)


def pooled(x):
    """The largest of each 2x2 square."""
    n, height, width, filters = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, filters).max(axis=(2, 4))


def pools(images, weights, size, last):
    """Activations of pool1 to pool`last` at the size, [n, h, w, filters] each, by kernels and biases in turn."""
    x, rest, found = preprocessed(images, size), list(weights), []
    for block in range(1, last + 1):
        for _ in range(BLOCKS[block]):
            kernel, bias = rest.pop(0), rest.pop(0)
            x = convolved(x, kernel, bias)
        x = pooled(x)
        found.append(x)
    return found


def pir(activations, filters):
    """The formula of C.4.2, filter by filter."""
    x = activations.astype(np.float64)
    norms = np.array([[np.linalg.norm(image[..., f]) for f in range(x.shape[-1])] for image in x])
    return np.sqrt(sum(norms[:, f] ** 2 for f in filters) / (norms**2).sum(axis=1))


def pictures(count=5, height=20, width=24, seed=0):
    """Smooth and different, uint8."""
    small = np.random.default_rng(seed).uniform(0, 255, (count, 4, 4, 3))
    large = bilinear(small, max(height, width))
    return large[:, :height, :width].round().astype(np.uint8)


def weights_of(features):
    return features.network.get_layer("vgg16_cut").get_weights()
