"""Operations are counted from the graph: worked by hand, and whole networks by the sum over their layers."""

import keras
import pytest
import tensorflow as tf

from pir_tf.experiments.operations import count_operations
from pir_tf.gan.networks import build_discriminator, build_generator


def counted(function, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return count_operations(tf.function(function, autograph=False).get_concrete_function(*specs))


def test_products_worked_by_hand():
    assert counted(tf.matmul, (2, 3), (3, 5)) == 2 * 2 * 3 * 5
    assert counted(lambda a, b: tf.matmul(a, b, transpose_a=True), (3, 2), (3, 5)) == 2 * 2 * 3 * 5
    assert counted(lambda a, b: tf.matmul(a, b, adjoint_a=True), (7, 3, 2), (7, 3, 5)) == 7 * 2 * 2 * 3 * 5


def test_convolutions_worked_by_hand():
    one = 2 * (4 * 4) * (3 * 3) * 5 * 6  # pixels out, kernel, channels in and out
    assert counted(lambda x, k: tf.nn.conv2d(x, k, 2, "SAME"), (1, 8, 8, 5), (3, 3, 5, 6)) == one

    def gradients(x, k):
        with tf.GradientTape() as tape:
            tape.watch([x, k])
            y = tf.nn.conv2d(x, k, 2, "SAME")
        return y, *tape.gradient(y, [x, k])

    assert counted(gradients, (1, 8, 8, 5), (3, 3, 5, 6)) == 3 * one
    transposed = lambda x, k: tf.nn.conv2d_transpose(x, k, (1, 8, 8, 5), 2)  # noqa: E731
    assert counted(transposed, (1, 4, 4, 6), (3, 3, 5, 6)) == one


def test_what_no_result_needs_is_not_counted():
    def one_of_two(a, b):
        tf.matmul(b, a)
        return tf.matmul(a, b)

    assert counted(one_of_two, (2, 3), (3, 2)) == 2 * 2 * 3 * 2


def test_inner_functions_and_changed_variables_are_counted():
    kept = tf.Variable(tf.zeros((2, 2)))
    inner = tf.function(tf.matmul, jit_compile=True, autograph=False)

    def outer(a, b):
        kept.assign(tf.matmul(a, b))
        return inner(b, a)

    assert counted(outer, (2, 3), (3, 2)) == 2 * (2 * 3 * 2) + 2 * (3 * 2 * 3)


def test_an_unknown_batch_is_refused():
    with pytest.raises(ValueError, match="fixed batch"):
        counted(tf.matmul, (None, 3), (3, 5))


@pytest.mark.parametrize(
    "build, inputs", [(build_generator, [(2, 64), (2, 2)]), (build_discriminator, [(2, 64, 64, 3)])]
)
def test_whole_networks(build, inputs):
    network = build(2)

    def of(layer):
        if isinstance(layer, keras.layers.Dense):
            return 2 * layer.kernel.shape[0] * layer.kernel.shape[1]
        if not isinstance(layer, keras.layers.Conv2D):
            return 0
        _, height, width, _ = layer.output.shape
        rows, columns, channels_in, channels = layer.kernel.shape
        return 2 * height * width * rows * columns * channels_in * channels

    expected = 2 * sum(map(of, network.layers))  # two images
    assert counted(lambda *x: network(list(x) if len(x) > 1 else x[0]), *inputs) == expected
