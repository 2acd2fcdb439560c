"""Max pooling by slices is TensorFlow's in value and gradient, and in a compiled step takes its place."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pir_tf.training import pooling


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize(("size", "strides"), [((3, 3), (2, 2)), ((2, 2), (2, 2)), ((3, 2), (1, 3))])
def test_values_and_gradients_are_those_of_max_pooling(size, strides, padding):
    """Also of windows with equal largest pixels: after a ReLU many have zeros alone."""
    rng = np.random.default_rng(0)
    x = tf.constant(np.maximum(rng.integers(-3, 3, (2, 9, 8, 3)), 0).astype(np.float32) - 1)
    found = []
    for pool in (pooling.max_of_slices, lambda *given: tf.nn.max_pool2d(*given[:3], given[3].upper())):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = pool(x, size, strides, padding)
            pulled = tf.reduce_sum(y * np.arange(np.prod(y.shape), dtype=np.float32).reshape(y.shape))
        found.append((y, tape.gradient(pulled, x)))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def operations(layer, shape):
    """Kinds of operations in the layer's graph."""
    traced = tf.function(layer.__call__, autograph=False)
    return {op.type for op in traced.get_concrete_function(tf.TensorSpec(shape)).graph.get_operations()}


def test_kerass_layer_computes_so_inside_alone():
    layer = layers.MaxPooling2D(3, 2)
    with pooling.of_slices(), pooling.of_slices():
        inside, of_any_size = operations(layer, (1, 7, 7, 2)), operations(layer, (1, None, None, 2))
    assert "Maximum" in inside and "MaxPool" not in inside
    assert "MaxPool" in of_any_size and "MaxPool" in operations(layer, (1, 7, 7, 2))


@pytest.mark.nightly
def test_tensorflow_compiles_no_deterministic_gradient_of_its_own():
    """Why there is another form: once the last line works, that may go."""
    words = """import tensorflow as tf
from pir_tf.training import pooling
tf.config.experimental.enable_op_determinism()
x = tf.random.stateless_normal((1, 5, 5, 1), (0, 0))
def gradient_of(pool):
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(pool(x))
        return tape.gradient(y, x)
    return gradient
theirs = gradient_of(lambda x: tf.nn.max_pool2d(x, 3, 2, "SAME"))
ours = gradient_of(lambda x: pooling.max_of_slices(x, (3, 3), (2, 2), "same"))
assert (theirs(x).numpy() == tf.function(ours, jit_compile=True)(x).numpy()).all()
print("as far as here", flush=True)
tf.function(theirs, jit_compile=True)(x)"""
    done = subprocess.run([sys.executable, "-c", words], capture_output=True, text=True)
    assert done.returncode == 1 and "do not yet have a deterministic XLA implementation" in done.stderr
    assert done.stdout == "as far as here\n"
