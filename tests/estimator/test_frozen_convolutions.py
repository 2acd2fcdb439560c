"""A convolution as a matrix product where its map is small: equal to its definition, and taken where it pays."""

import itertools

import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import images

from pir_tf.estimator.frozen import Convolution, _convolve, _met, _pays


def convolution(kernel, strides, padding):
    return Convolution([0], 1, kernel, np.zeros(kernel.shape[-1]), strides, padding)


def by_hand(x, kernel, strides, padding):
    """The convolution from its definition, in NumPy. SAME puts the odd row of zeros at the end, as TensorFlow does."""
    sizes = list(zip(x.shape[1:3], kernel.shape[:2], strides, strict=True))
    if padding == "SAME":
        lacking = [max((-(-size // stride) - 1) * stride + k - size, 0) for size, k, stride in sizes]
        x = np.pad(x, [(0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)])
    patches = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("nyxcij,ijco->nyxo", patches[:, :: strides[0], :: strides[1]], kernel)


SIZES = [(1, 1), (1, 5), (2, 2), (2, 3), (3, 1), (3, 3), (5, 3), (7, 4)]
KERNELS = [(1, 1), (3, 3), (1, 7), (7, 1), (1, 3), (3, 1), (5, 2), (2, 5)]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2)])
def test_every_form_of_a_convolution_and_its_matrix_equal_the_definition(strides, padding):
    rng = np.random.default_rng(0)
    tried = 0
    for size, shape in itertools.product(SIZES, KERNELS):
        if padding == "VALID" and (shape[0] > size[0] or shape[1] > size[1]):
            continue
        x, kernel = rng.standard_normal((2, *size, 3)), rng.standard_normal((*shape, 3, 4))
        expected = by_hand(x, kernel, strides, padding)
        matrix = _met(kernel, size, strides, padding)
        assert matrix.shape == (np.prod(x.shape[1:]), np.prod(expected.shape[1:]))
        if _pays(convolution(kernel, strides, padding), size):  # it never has more products than the convolution
            assert matrix.size <= 12 * np.prod(shape) * np.prod(expected.shape[1:3])
        found = _convolve(convolution(kernel, strides, padding), tf.constant(x)).numpy()
        for one in (found, (x.reshape(2, -1) @ matrix).reshape(expected.shape)):
            np.testing.assert_allclose(one, expected, rtol=1e-10, atol=1e-12, err_msg=f"{size} {shape}")
        tried += 1
    assert tried >= 20


@pytest.mark.parametrize(
    "size, shape, strides, padding, matrix",
    [
        *[((3, 3), (1, 7), (1, 1), "SAME", True), ((3, 3), (7, 1), (1, 1), "SAME", True)],
        *[((1, 1), (3, 3), (1, 1), "SAME", True), ((3, 3), (3, 3), (2, 2), "VALID", True)],
        *[((9, 9), (3, 3), (1, 1), "SAME", False), ((17, 17), (1, 7), (1, 1), "SAME", False)],
        *[((3, 3), (1, 7), (2, 1), "SAME", False), ((7, 7), (7, 7), (1, 1), "SAME", False)],
    ],
)
def test_a_matrix_is_taken_where_the_map_is_small(size, shape, strides, padding, matrix, monkeypatch):
    """And not where it would be much larger than the kernel, nor where rows are skipped."""
    called = []
    monkeypatch.setattr(tf.nn, "conv2d", lambda x, *rest: called.append(x.shape))
    _convolve(convolution(np.ones((*shape, 2, 2)), strides, padding), images(1, size, channels=2))
    assert bool(called) is not matrix
