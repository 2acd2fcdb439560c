"""VGG16 objectives against a network in NumPy, their bounds, and the weights that they accept."""

import os
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
import vgg_by_hand as by_hand

from pir_tf.errors import InputError
from pir_tf.images import to_float
from pir_tf.objective_names import VGG_FILTERS, parse
from pir_tf.objectives import vgg

POOLS = ("pool1", "pool2", "pool3", "pool4", "pool5")
SIZE = 32


@pytest.fixture(scope="module")
def low():
    """pool1 and pool2 of a random network."""
    return vgg.VGGFeatures(("pool1", "pool2"), weights="none", image_size=SIZE, seed=3)


@pytest.fixture(scope="module")
def all_pools():
    return vgg.VGGFeatures(POOLS, weights="none", image_size=SIZE, seed=3)


def test_pir_worked_by_hand():
    energies = np.array([[9.0, 16.0, 0.0], [1.0, 1.0, 2.0], [0.0, 0.0, 0.0]], np.float32)
    assert vgg.pir_of_energies(energies, [0]).tolist() == [0.6, 0.5, 0.0]
    assert vgg.pir_of_energies(energies, [1]).tolist() == [0.8, 0.5, 0.0]
    np.testing.assert_allclose(vgg.pir_of_energies(energies, [2, 0]), [0.6, np.sqrt(0.75), 0.0], rtol=1e-15)
    assert vgg.pir_of_energies(energies, [0, 1, 2]).tolist() == [1.0, 1.0, 0.0]
    assert vgg.pir_of_energies(4 * energies, [0]).tolist() == [0.6, 0.5, 0.0]  # more activity of all changes nothing


def test_energies_are_sums_of_squares_over_positions():
    x = np.arange(24, dtype=np.float32).reshape(2, 2, 3, 2) - 9
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(vgg.filter_energies(x)), (x**2).sum(axis=(1, 2)))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(vgg.filter_energies(x[:, 0, 0])), x[:, 0, 0] ** 2)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(vgg.position_means(x)), x.mean(axis=(1, 2)))


def test_objectives_equal_those_of_a_network_in_numpy(all_pools):
    images = by_hand.pictures(3)
    energies = all_pools(images)
    activations = by_hand.pools(images, by_hand.weights_of(all_pools), SIZE, 5)
    for layer, expected in zip(POOLS, activations, strict=True):
        assert energies[layer].shape == (3, VGG_FILTERS[layer]) and energies[layer].dtype == np.float32
        for filters in ([5], vgg.target_filters(parse(f"vgg:{layer}:k=20"))):
            found = vgg.pir_of_energies(energies[layer], filters)
            np.testing.assert_allclose(found, by_hand.pir(expected, filters), rtol=1e-4)
            assert found.std() > 1e-4  # images differ, or nothing is shown


@pytest.mark.slow
def test_top_layers_are_their_formulas():
    """fc6 and fc7 after ReLU, fc8 before the softmax, from the pool5 that the test above compares."""
    names = ("pool5", "fc6", "fc7", "fc8")
    features = vgg.VGGFeatures(names, weights="none", image_size=64, seed=3)  # an eleventh of fc6's weights at 224
    images = by_hand.pictures(2)
    energies = features(images)
    assert {name: values.shape for name, values in energies.items()} == {name: (2, VGG_FILTERS[name]) for name in names}
    body = features.network.get_layer("vgg16_cut")
    maps = body(by_hand.preprocessed(images, 64).astype(np.float32))["pool5"]
    x = keras.ops.convert_to_numpy(maps).astype(np.float64)
    np.testing.assert_allclose(energies["pool5"], (x**2).sum(axis=(1, 2)), rtol=1e-3)
    x = x.reshape(2, -1)
    assert x.shape[1] == 2 * 2 * 512
    weights = by_hand.weights_of(features)[-6:]
    for name, kernel, bias in zip(names[1:], weights[::2], weights[1::2], strict=True):
        x = x @ kernel + bias
        if name == "fc8":
            assert (x < 0).any()  # logits, which no ReLU cut
        else:
            x = np.maximum(x, 0)
        filters = vgg.target_filters(parse(f"vgg:{name}:k=20"))
        np.testing.assert_allclose(vgg.pir_of_energies(energies[name], filters), by_hand.pir(x, filters), rtol=1e-3)


def test_bounds_and_all_filters_give_exactly_one(all_pools):
    rng = np.random.default_rng(0)
    for layer, values in all_pools(by_hand.pictures(9, seed=4)).items():
        drawn = rng.permutation(VGG_FILTERS[layer])
        for k in (1, 2, len(drawn) // 2, len(drawn) - 1):
            found = vgg.pir_of_energies(values, drawn[:k].tolist())
            assert (found >= 0).all() and (found <= 1).all()
        assert (vgg.pir_of_energies(values, drawn.tolist()) == 1.0).all()


def test_images_are_left_as_they_are_and_bytes_equal_floats(low):
    images = by_hand.pictures()
    floats = to_float(images)
    images.flags.writeable = floats.flags.writeable = False
    found = low(images)["pool2"]
    np.testing.assert_array_equal(found, low(floats)["pool2"])
    np.testing.assert_allclose(low(floats.astype(np.float64))["pool2"], found, rtol=1e-6)


def test_an_image_has_the_same_energies_alone_and_anywhere(low):
    images = by_hand.pictures(vgg.IMAGES_AT_ONCE * 2 + 3)
    together = low(images)["pool2"]
    assert together.shape == (len(images), 128)
    for row in (0, vgg.IMAGES_AT_ONCE, len(images) - 1):
        np.testing.assert_allclose(low(images[row : row + 1])["pool2"][0], together[row], rtol=1e-6)
    assert low(images[:0])["pool1"].shape == (0, 64)


def test_nothing_above_the_layer_is_computed(low):
    assert len(by_hand.weights_of(low)) == 8  # four convolutions
    assert low.network.get_layer("vgg16_cut").layers[-1].name == "block2_pool"


@pytest.mark.slow
def test_one_seed_gives_equal_weights(low):
    keras.utils.set_random_seed(5)
    again, other = (vgg.VGGFeatures(("pool2",), weights="none", image_size=SIZE, seed=seed) for seed in (3, 4))
    for mine, same, different in zip(*map(by_hand.weights_of, (low, again, other)), strict=True):
        assert np.array_equal(mine, same)
        assert mine.ndim == 1 or not np.array_equal(mine, different)


def test_other_images_are_refused(low):
    for images in (np.zeros((2, 8, 8, 1), np.uint8), np.zeros((1, 8, 8, 3), np.int64), np.full((1, 8, 8, 3), 255.0)):
        with pytest.raises(InputError, match="expected"):
            low(images)


def test_filters_are_drawn_without_replacement_by_the_seed():
    for text in ("vgg:pool3:k=20", "vgg:pool3:k=20:seed=7", "vgg:fc7:k=1:seed=2", "vgg:pool1:k=64:seed=1"):
        name = parse(text)
        drawn = vgg.target_filters(name)
        expected = np.random.default_rng(name.seed).choice(VGG_FILTERS[name.layer], name.k, replace=False)
        assert sorted(expected) == drawn.tolist() and len(set(drawn.tolist())) == name.k
    seeds = {tuple(vgg.target_filters(parse(f"vgg:pool4:k=20:seed={seed}"))) for seed in range(10)}
    assert len(seeds) == 10
    assert vgg.target_filters(parse("vgg:pool3:filters=40,12")).tolist() == [12, 40]


@pytest.mark.slow
def test_a_file_without_top_serves_the_pools_alone(tmp_path):
    path = tmp_path / "no_top.weights.h5"
    network = keras.applications.VGG16(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    network.save_weights(path)
    features = vgg.VGGFeatures(("pool3",), weights=f"file:{path}", image_size=SIZE)
    for mine, theirs in zip(by_hand.weights_of(features), network.get_weights()[:14], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    with pytest.raises(InputError, match=r"no_top\.weights\.h5 holds VGG16 without its top; expected one with it.*fc7"):
        vgg.weights_file(("pool5", "fc7"), f"file:{path}")
    assert vgg.weights_file(("pool5",), f"file:{path}") == path
    assert vgg.weights_file(("fc8",), "none") is None


def test_no_other_file_is_taken(tmp_path):
    path = tmp_path / "other.weights.h5"
    inputs = keras.Input((4,))
    keras.Model(inputs, keras.layers.Dense(3)(inputs)).save_weights(path)
    with pytest.raises(InputError, match=r"holds 2 arrays; expected the 26 of VGG16 without its top: .*--x\.weights"):
        vgg.VGGFeatures(("pool1",), weights=f"file:{path}", image_size=SIZE, option="x.weights")
    with pytest.raises(InputError, match=r"absent\.h5"):
        vgg.weights_file(("pool1",), f"file:{tmp_path / 'absent.h5'}")


def test_imagenet_without_a_network_names_the_right_file(monkeypatch, tmp_path):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("PIR_TF_WEIGHTS", raising=False)
    monkeypatch.setattr(keras.utils, "get_file", mock.Mock(side_effect=Exception("URL fetch failure")))
    for layer, name in (("pool5", "kernels_notop.h5"), ("fc6", "kernels.h5")):
        expected = rf"VGG16's ImageNet weights .*vgg16_weights_tf_dim_ordering_tf_{name} in .*--interactions\.vgg_weights file:"
        with pytest.raises(InputError, match=expected):
            vgg.weights_file((layer,), "imagenet")


@pytest.mark.nightly
def test_a_file_with_top_serves_all_layers(tmp_path):
    """138 million weights: the file is half a gigabyte."""
    path = tmp_path / "whole.weights.h5"
    whole = keras.applications.VGG16(weights=None)
    whole.save_weights(path)
    pool = vgg.VGGFeatures(("pool2",), weights=f"file:{path}", image_size=SIZE)
    top = vgg.VGGFeatures(("fc6",), weights=f"file:{path}")
    for features, count in ((pool, 8), (top, 28)):
        for mine, theirs in zip(by_hand.weights_of(features), whole.get_weights()[:count], strict=True):
            np.testing.assert_array_equal(mine, theirs)
    other = keras.Sequential([keras.Input((1,)), *(keras.layers.Dense(1) for _ in range(16))])
    other.save_weights(path)  # as many arrays as VGG19 has without its top
    with pytest.raises(InputError, match="doesn't fit .*expected VGG16 with its top or without"):
        vgg.VGGFeatures(("pool2",), weights=f"file:{path}", image_size=SIZE)


@pytest.mark.slow
def test_pool1_of_the_real_weights_equals_numpy_at_full_size():
    path = Path(os.environ.get("PIR_TF_SHARED", "absent")) / "weights" / "vgg16_notop.weights.h5"
    if not path.exists():
        pytest.skip("PIR_TF_SHARED names no folder with weights/vgg16_notop.weights.h5")
    real, images = vgg.VGGFeatures(("pool1",), weights=f"file:{path}"), by_hand.pictures(1, 64, 64)
    activations = by_hand.pools(images, by_hand.weights_of(real), 224, 1)[0]
    found = real(images)["pool1"]
    np.testing.assert_allclose(found, (activations**2).sum(axis=(1, 2)), rtol=1e-4, atol=1e-5 * found.max())
