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


def changed(bundle, path, change):
    with np.load(bundle) as stored:
        arrays = {name: stored[name] for name in stored.files}
    change(arrays)
    np.savez(path, **arrays)
    return path


def test_round_trip(networks, bundle):
    back = bundled_networks(dropout=0.25, path=bundle)
    assert back.class_names == CLASS_NAMES
    assert back.discriminator.get_layer("dropout_3").rate == 0.25
    for ours, theirs in ((back.generator, networks.generator), (back.discriminator, networks.discriminator)):
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            a, b = np.asarray(a), np.asarray(b)
            assert a.dtype == np.float32
            if b.ndim == 1:
                np.testing.assert_array_equal(a, b)
            else:  # float16 has 11 bits; its smallest steps are 2^-24
                np.testing.assert_allclose(a, b, rtol=2**-11, atol=2**-25)


def test_kernels_are_half_precision_and_statistics_single(bundle):
    with np.load(bundle) as stored:
        kinds = {name: stored[name].dtype for name in stored.files}
    assert len(kinds) == 12 + 40
    assert {str(kind) for name, kind in kinds.items() if name.endswith("kernel")} == {"float16"}
    assert {str(kind) for name, kind in kinds.items() if not name.endswith("kernel")} == {"float32"}


def test_a_missing_file_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match=r"none.npz is missing from this installation: reinstall, or train"):
        bundled_networks(path=tmp_path / "none.npz")


def test_missing_and_wrong_arrays_are_named(bundle, tmp_path):
    missing = changed(bundle, tmp_path / "missing.npz", lambda arrays: arrays.pop("generator/conv_2/kernel"))
    with pytest.raises(InputError, match=r"doesn't hold generator/conv_2/kernel of shape \(3, 3, 512, 256\)"):
        bundled_networks(path=missing)
    name = "discriminator/batch_norm_1/gamma"
    wrong = changed(bundle, tmp_path / "wrong.npz", lambda arrays: arrays.update({name: np.zeros(3)}))
    with pytest.raises(InputError, match=rf"doesn't hold {name} of shape \(16,\)"):
        bundled_networks(path=wrong)


@pytest.mark.parametrize("kept", [0, 1000, 100_000])
def test_a_file_cut_short_is_one_sentence(bundle, tmp_path, kept):
    path = tmp_path / "cut.npz"
    path.write_bytes(bundle.read_bytes()[:kept])
    with pytest.raises(InputError, match="cut.npz is damaged"):
        bundled_networks(path=path)


# The file that the package ships. It is part of the repository: where it is absent, the package is broken.


def test_the_package_brings_its_networks():
    assert WEIGHTS.is_file(), f"{WEIGHTS.name} is not in the package"
    assert (WEIGHTS.parent / "CARD.md").is_file()
    assert WEIGHTS.stat().st_size < 20 * 2**20
    networks = bundled_networks()
    assert networks.class_names == CLASS_NAMES
    images = generate(networks.generator, *draw_latents(40, latent_size=64, class_count=2, seed=0))
    assert images.std() > 20, "the images are flat"
    within = np.stack([images[i].astype(float) - images[i + 1] for i in range(39)])
    assert np.abs(within).mean() > 5, "the images are all the same"
