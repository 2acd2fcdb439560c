"""The forms in which `gpu.sh` times a frozen network compute what Keras's layers do, in value and gradient, by the CPU's XLA."""

import json

import gpu_frozen
import keras
import numpy as np
import pytest
import tensorflow as tf
from frozen_helpers import images, small_inception, stirred
from gpu_frozen import FORMS, Form, difference, function_of, with_gradient
from keras import layers
from tensorflow.python.framework.config import disable_op_determinism


@pytest.fixture(scope="module")
def network():
    disable_op_determinism()  # a test before this may have asked for it; max pooling then has no gradient by XLA
    keras.utils.set_random_seed(0)  # its kernels', which Keras draws
    return stirred(small_inception())


def off(network, form):
    """How far a form's value and gradient are from the stock layers' op by op."""
    x = images(3, 13, "float32")
    stock = with_gradient(function_of(network, Form(xla=False)), x, Form(xla=False))()
    return [difference(*pair) for pair in zip(with_gradient(function_of(network, form), x, form)(), stock, strict=True)]


def test_a_form_is_named_once_and_the_definition_comes_first():
    names = [form.name for form in FORMS]
    assert len(set(names)) == len(names) and names[0] == "ops" and {"xla", "xla bf16", "xla folded"} < set(names)


@pytest.mark.parametrize("multiple", [1, 8])
def test_op_by_op(network, multiple):
    assert max(off(network, Form("folded", xla=False, multiple=multiple))) < 1e-5


COMPILED = Form("folded", constants=False, multiple=8), Form("folded", layout="NCHW", multiple=64), Form("fast")


@pytest.mark.slow
@pytest.mark.parametrize("form", COMPILED, ids=lambda form: form.name)
def test_by_xla(network, form):
    assert max(off(network, form)) < 1e-5


@pytest.mark.slow
def test_in_bfloat16(network):
    """It has 8 bits; rounded channels are off by some of them, and the gradient by the ReLUs that they switch."""
    value, gradient = off(network, Form("folded", bf16=True, layout="NCHW"))
    assert 1e-4 < value < 0.02 and gradient < 0.4


def test_what_is_filled_up_is_left_out_of_the_features(network):
    folded = gpu_frozen.Folded(network, Form("folded", multiple=64))
    sizes = {size for kernel, _ in folded.weights.values() for size in kernel.shape[2:]}
    assert sizes == {64, 320}  # five branches are put together
    assert folded(images(1, 13, "float32")).shape == (1, network.output_shape[1])


def test_a_layer_that_is_not_known_there_is_named():
    image = keras.Input((5, 5, 3))
    x = layers.Conv2D(2, 1)(layers.LeakyReLU(name="leaky")(layers.Conv2D(2, 1)(image)))
    with pytest.raises(ValueError, match="leaky isn't known"):
        function_of(keras.Model(image, x), Form("folded"))(images(1, 5, "float32"))


def test_a_form_that_fails_leaves_a_row_and_rows_are_kept_as_they_come(tmp_path, monkeypatch):
    measure = gpu_frozen.Measure.__new__(gpu_frozen.Measure)
    measure.options = gpu_frozen.argparse.Namespace(rounds=1, json=tmp_path / "rows.json")
    measure.calls, measure.facts, measure.functions = 1, {"rows": []}, {}
    measure.rates, x = {"convolution": 1e9}, tf.ones((2, 2))
    measure.images = x

    def fails():
        raise tf.errors.UnimplementedError(None, None, "no kernel\nand more")

    measure.row("case", Form(layout="NCHW"), fails)
    assert json.loads(measure.options.json.read_text())["rows"][0]["failed"] == "UnimplementedError: no kernel"
    product = Form(xla=False)
    measure.row("case", product, lambda: with_gradient(lambda a: tf.matmul(a, a), x, product))
    (_, row) = json.loads(measure.options.json.read_text())["rows"]
    assert row["difference"] == {"value": 0.0, "gradient": 0.0} and row["median_s"] >= row["min_s"] > 0
    # A product forward, and two of the gradient.
    assert row["share_of_limit"] == pytest.approx(3 * 2 * 2**3 / row["median_s"] / 1e9)
    np.testing.assert_array_equal(measure.expected[0], 2)
