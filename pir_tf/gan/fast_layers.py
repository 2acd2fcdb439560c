"""Convolutions with fewer multiplications than their definition, over the stock layers' own kernels.

Images are `[batch, height, width, channels in]`, kernels `[3, 3, channels in, channels out]`. Three identities, each exact in
real numbers; `tests/gan/test_fast_layers.py` holds them to float64 rounding.

**Upsampling by 2, then a 3x3 kernel** (`upsample_and_convolve`). Along one axis, with the kernel (k0, k1, k2), its sum S and
the differences e[i] = x[i] - x[i-1] of the input (zero outside),

    y[2i] = S x[i] - k0 e[i]        y[2i+1] = S x[i] + k2 e[i+1]

so an input pixel costs 3 products an axis where the definition has 6: a quarter in two dimensions, and every constant is
0 or 1, so that rounding doesn't grow.

**The same as one transposed convolution** (`upsample_and_convolve_few`), whose 4x4 kernel of stride 2 is along each axis

    K = [k2, k1 + k2, k0 + k1, k0]

It has 16/36 of the products and no intermediate arrays: the better form where channels are few (the last layer: 64 to 3).

**A 3x3 kernel alone** (`winograd_convolve`): Winograd's F(2x2, 3x3), 16 products for 4 pixels in place of 36. Its
transforms are small matrix products here. F(4x4, 3x3) would need fewer still, but its rounding is ten times the stock one.
"""

from __future__ import annotations

import numpy as np
import tensorflow as tf


def upsample_and_convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Equals `UpSampling2D(2, "nearest")` and then a 3x3 convolution with zero padding, in a quarter of its products."""
    _, height, width, channels_in = x.shape
    channels = kernel.shape[-1]
    k = [_sum_and_ends(row) for row in _sum_and_ends(kernel)]

    def product(a: tf.Tensor, *kernels: tf.Tensor) -> tf.Tensor:
        flat = tf.matmul(tf.reshape(a, (-1, channels_in)), tf.concat(kernels, 1))
        return tf.reshape(flat, (-1, *a.shape[1:3], len(kernels) * channels))

    across, down = _differences(x, 2), _differences(x, 1)
    both = _differences(across, 1)
    sums = product(x, k[0][0])
    columns = product(across, -k[0][1], k[0][2])
    rows = product(down, -k[1][0], k[2][0])
    corners = product(both, k[1][1], -k[1][2], -k[2][1], k[2][2])

    def phase(odd_row: int, odd_column: int) -> tf.Tensor:
        """Output pixels (2i + odd_row, 2j + odd_column)."""
        i = slice(odd_row, odd_row + height)
        j = slice(odd_column, odd_column + width)
        part = lambda index: slice(index * channels, (index + 1) * channels)  # noqa: E731
        corner = part(2 * odd_row + odd_column)
        return sums + columns[:, :, j, part(odd_column)] + rows[:, i, :, part(odd_row)] + corners[:, i, j, corner]

    y = tf.stack([tf.stack([phase(r, 0), phase(r, 1)], axis=3) for r in (0, 1)], axis=2)
    return tf.reshape(y, (-1, 2 * height, 2 * width, channels))


def upsample_and_convolve_few(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """The same function as `upsample_and_convolve`, for few output channels."""
    shape = tf.shape(x)
    out = [shape[0], 2 * x.shape[1], 2 * x.shape[2], kernel.shape[-1]]
    return tf.nn.conv2d_transpose(x, transposed_kernel(kernel), out, strides=2, padding="SAME")


def transposed_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """K, the 4x4 kernel of stride 2 that equals upsampling by 2 and then the 3x3 kernel k.

    `[4, 4, channels out, channels in]`, as `tf.nn.conv2d_transpose` takes it.
    """
    rows = tf.stack([kernel[2], kernel[1] + kernel[2], kernel[0] + kernel[1], kernel[0]], axis=0)
    both = tf.stack([rows[:, 2], rows[:, 1] + rows[:, 2], rows[:, 0] + rows[:, 1], rows[:, 0]], axis=1)
    return tf.transpose(both, (0, 1, 3, 2))


_INPUT = np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]], float)
_KERNEL = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], float)
_OUTPUT = np.array([[1, 1, 1, 0], [0, 1, -1, -1]], float)
"""Winograd's F(2, 3): along one axis, y = _OUTPUT ((_KERNEL k) * (_INPUT x)) for 4 pixels of x and 2 of y."""


def winograd_convolve(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Equals a 3x3 convolution of stride 1 with zero padding, of images of even height and width, in 4/9 of its products.

    It pays where channels are many and the image small: the transforms touch 16 numbers for each 4 pixels of a channel.
    """
    _, height, width, channels_in = x.shape
    channels = kernel.shape[-1]
    tiles = (height // 2) * (width // 2)
    constant = lambda matrix: tf.constant(matrix, x.dtype)  # noqa: E731
    k = tf.matmul(constant(np.kron(_KERNEL, _KERNEL)), tf.reshape(kernel, (9, channels_in * channels)))
    a = tf.matmul(constant(_tiles(height, width)), tf.reshape(x, (-1, height * width, channels_in)))
    a = tf.transpose(tf.reshape(a, (-1, 16, tiles, channels_in)), (1, 0, 2, 3))
    products = tf.matmul(tf.reshape(a, (16, -1, channels_in)), tf.reshape(k, (16, channels_in, channels)))
    y = tf.matmul(constant(np.kron(_OUTPUT, _OUTPUT)), tf.reshape(products, (16, -1)))
    y = tf.reshape(y, (2, 2, -1, height // 2, width // 2, channels))
    return tf.reshape(tf.transpose(y, (2, 3, 0, 4, 1, 5)), (-1, height, width, channels))


def _tiles(height: int, width: int) -> np.ndarray:
    """[16 * tiles, height * width]: the transform of every 4x4 tile of an image, with the zeros around it left out."""
    rows, columns = _axis_tiles(height), _axis_tiles(width)
    return np.einsum("pti,quj->pqtuij", rows, columns).reshape(16 * (height // 2) * (width // 2), height * width)


def _axis_tiles(size: int) -> np.ndarray:
    """[4, size / 2, size]: _INPUT at the tiles that begin at -1, 1, 3, ..."""
    matrix = np.zeros((4, size // 2, size))
    for tile in range(size // 2):
        for offset in range(4):
            pixel = 2 * tile + offset - 1
            if 0 <= pixel < size:
                matrix[:, tile, pixel] = _INPUT[:, offset]
    return matrix


def _sum_and_ends(kernel: tf.Tensor) -> list[tf.Tensor]:
    """S, k0 and k2 of a kernel along its first axis."""
    k0, k1, k2 = tf.unstack(kernel, axis=0)
    return [k0 + k1 + k2, k0, k2]


def _differences(x: tf.Tensor, axis: int) -> tf.Tensor:
    """e[i] = x[i] - x[i-1] for i from 0 to the size along the axis, x zero outside."""
    after = tf.pad(x, [[0, 1] if i == axis else [0, 0] for i in range(4)])
    before = tf.pad(x, [[1, 0] if i == axis else [0, 0] for i in range(4)])
    return after - before
