"""The networks that come with the package, and the array file that holds them."""

import numpy as np
import pytest

from pir_tf.data.landscapes import CLASS_NAMES
from pir_tf.errors import InputError
from pir_tf.gan.bundled import WEIGHTS, bundled_networks, write_bundle
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks


@pytest.fixture(scope="module")
def networks():
    return Networks(build_generator(2, seed=5), build_discriminator(2, seed=6), CLASS_NAMES)


@pytest.fixture(scope="module")
def bundle(networks, tmp_path_factory):
    path = tmp_path_factory.mktemp("bundle") / "networks.npz"
    write_bundle(networks, path)
    return path


@pytest.fixture(scope="module")
def arrays(bundle):
    with np.load(bundle) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.slow
def test_round_trip_with_kernels_in_half_precision_and_statistics_in_single(networks, bundle, arrays):
    assert len(arrays) == 12 + 40
    for name, array in arrays.items():
        assert array.dtype == ("float16" if name.endswith("kernel") else "float32")
    back = bundled_networks(dropout=0.25, path=bundle)
    assert back.class_names == CLASS_NAMES
    assert back.discriminator.get_layer("dropout_3").rate == 0.25
    for ours, theirs in ((back.generator, networks.generator), (back.discriminator, networks.discriminator)):
        for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            assert a.dtype == np.float32
            # float16 has 11 bits; its smallest steps are 2^-24
            np.testing.assert_allclose(a, b, rtol=2**-11 if b.ndim > 1 else 0, atol=2**-25 if b.ndim > 1 else 0)


def test_what_is_no_bundle_is_one_sentence(bundle, arrays, tmp_path):
    def refused(said):
        with pytest.raises(InputError, match=said):
            bundled_networks(path=tmp_path / "bundle.npz")

    refused("bundle.npz is missing from this installation: reinstall, or train")
    for kept in (0, 1000, 100_000):
        (tmp_path / "bundle.npz").write_bytes(bundle.read_bytes()[:kept])
        refused("bundle.npz is damaged")
    name = "generator/conv_2/kernel"
    np.savez(tmp_path / "bundle.npz", **{key: array for key, array in arrays.items() if key != name})
    refused(rf"doesn't hold {name} of shape \(3, 3, 512, 256\)")
    name = "discriminator/batch_norm_1/gamma"
    np.savez(tmp_path / "bundle.npz", **{**arrays, name: np.zeros(3)})
    refused(rf"doesn't hold {name} of shape \(16,\)")


def test_the_package_brings_its_networks():
    """The file is part of the repository: where it is absent, the package is broken."""
    assert WEIGHTS.is_file(), f"{WEIGHTS.name} is not in the package"
    assert (WEIGHTS.parent / "CARD.md").is_file()
    assert WEIGHTS.stat().st_size < 20 * 2**20
    networks = bundled_networks()
    assert networks.class_names == CLASS_NAMES
    images = generate(networks.generator, *draw_latents(40, latent_size=64, class_count=2, seed=0))
    assert images.std() > 20, "the images are flat"
    assert np.abs(np.diff(images.astype(float), axis=0)).mean() > 5, "the images are all the same"
