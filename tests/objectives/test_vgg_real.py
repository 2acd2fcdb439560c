"""The VGG16 objectives on real weights, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import vgg_by_hand as by_hand

from pir_tf.objectives import vgg


@pytest.fixture(scope="module")
def real():
    shared = os.environ.get("PIR_TF_SHARED")
    path = Path(shared or ".") / "weights" / "vgg16_notop.weights.h5"
    if not shared or not path.exists():
        pytest.skip("PIR_TF_SHARED names no folder with weights/vgg16_notop.weights.h5")
    return vgg.VGGFeatures(("pool1",), weights=f"file:{path}")


def test_the_first_convolution_is_imagenets(real):
    """Known values of block1_conv1 in the ImageNet release."""
    kernel, bias = by_hand.weights_of(real)[:2]
    np.testing.assert_allclose(kernel[0, 0, 0, :3], [0.42947057, 0.11727387, 0.03401296], rtol=1e-3)
    assert kernel.shape == (3, 3, 3, 64) and bias.shape == (64,)


@pytest.mark.slow
def test_real_pool1_equals_numpy_at_full_size(real):
    images = by_hand.pictures(1, 64, 64)
    activations = by_hand.pools(images, by_hand.weights_of(real), 224, 1)[0]
    found = real(images)["pool1"]
    np.testing.assert_allclose(found, (activations**2).sum(axis=(1, 2)), rtol=1e-4, atol=1e-5 * found.max())
