"""The VGG16 objectives on real weights and photographs, where they are at hand."""

import os
from pathlib import Path

import numpy as np
import pytest
import vgg_by_hand as by_hand

from pir_tf.objective_names import VGG_FILTERS
from pir_tf.objectives import vgg

POOLS = ("pool1", "pool2", "pool3", "pool4", "pool5")


@pytest.fixture(scope="module")
def real():
    shared = os.environ.get("PIR_TF_SHARED")
    path = Path(shared or ".") / "weights" / "vgg16_notop.weights.h5"
    if not shared or not path.exists():
        pytest.skip("PIR_TF_SHARED names no folder with weights/vgg16_notop.weights.h5")
    return vgg.VGGFeatures(POOLS, weights=f"file:{path}"), f"file:{path}"


def test_the_first_convolution_is_imagenets(real):
    """Known values of block1_conv1 in the ImageNet release."""
    kernel, bias = by_hand.weights_of(real[0])[:2]
    np.testing.assert_allclose(kernel[0, 0, 0, :3], [0.42947057, 0.11727387, 0.03401296], rtol=1e-3)
    assert kernel.shape == (3, 3, 3, 64) and bias.shape == (64,)


@pytest.mark.slow
def test_real_filters_tell_colours_and_edges_apart(real):
    """A flat picture wakes no edge filter: some filter has nearly all its share of the striped one, and none of the flat."""
    size = 64
    flat = np.full((1, size, size, 3), 128, np.uint8)
    striped = flat.copy()
    striped[:, :, ::2] = 255
    striped[:, :, 1::2] = 0
    upright, lying = striped, striped.transpose(0, 2, 1, 3)
    energies = real[0](np.concatenate([flat, upright, lying]))["pool1"]
    shares = np.stack([vgg.pir_of_energies(energies, [f]) for f in range(64)])
    assert (shares[:, 1] > 10 * shares[:, 0] + 0.05).any()
    # Some filter prefers one direction clearly, and some other the other one.
    assert (shares[:, 1] > 3 * shares[:, 2] + 0.05).any() and (shares[:, 2] > 3 * shares[:, 1] + 0.05).any()


@pytest.mark.slow
def test_higher_layers_are_sparser(real):
    """The paper's reason for k = 20 (3.2): more single filters are zero to within a bin."""
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3))
    smooth = by_hand.bilinear(images, 64).round().astype(np.uint8)
    zeros = []
    for name, values in real[0](smooth).items():
        single = np.stack([vgg.pir_of_energies(values, [f]) for f in range(VGG_FILTERS[name])])
        zeros.append(float((single < 0.01).mean()))
    assert zeros[4] > zeros[3] > zeros[1] and zeros[4] > 0.3


@pytest.mark.slow
def test_real_pool1_equals_numpy_at_full_size(real):
    images = by_hand.pictures(1, 64, 64)
    activations = by_hand.pools(images, by_hand.weights_of(real[0]), 224, 1)[0]
    found = real[0](images)["pool1"]
    np.testing.assert_allclose(found, (activations**2).sum(axis=(1, 2)), rtol=1e-4, atol=1e-5 * found.max())
