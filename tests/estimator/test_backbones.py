"""Backbones: sizes, preprocessing inside the model, the layer cut, seeds."""

import keras
import numpy as np
import pytest
from equal_passes import assert_equal
from estimator_helpers import call
from vgg_by_hand import bilinear

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import backbones
from pir_tf.pretrained import FOLDERS


def random_images(count, height, width):
    return np.random.default_rng(0).uniform(-1, 1, (count, height, width, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def whole():
    """Made once: it takes seconds. `inception` of the tests of frozen networks makes another, as the package does."""
    return keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(75, 75, 3))


@pytest.fixture(scope="module")
def cut(whole):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras.applications, "InceptionV3", lambda **_: whole)
        return backbones.inception_v3(75, layer="mixed2", seed=1)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (299, 299), (300, 200), (200, 300)])
def test_images_of_any_size_are_stretched_to_the_backbones_own(height, width):
    model = backbones.compact(64, seed=0)
    images = random_images(2, height, width)
    stretched = call(keras.Model(model.input, model.get_layer("resize").output), images)
    assert stretched.shape == (2, 64, 64, 3)
    np.testing.assert_allclose(stretched, bilinear(images, 64), atol=2e-5)
    assert_equal([call(model, stretched)], [call(model, images)])


@pytest.mark.parametrize("bounds", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-0.5, 2.0)])
def test_values_are_rescaled_to_the_range_of_the_weights(bounds):
    images = keras.Input((None, None, 3))
    model = keras.Model(images, backbones.resized(images, 32, bounds))
    found = call(model, np.stack([np.full((32, 32, 3), value, np.float32) for value in (-1.0, 0.0, 1.0)]))
    for image, value in zip(found, (bounds[0], sum(bounds) / 2, bounds[1]), strict=True):
        np.testing.assert_allclose(image, value, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("size", "positions"), [(32, 2), (64, 4), (100, 4), (224, 4)])
def test_compact_keeps_a_grid_of_at_most_four_places(size, positions):
    model = backbones.compact(size, seed=0)
    assert model.get_layer("flatten").output.shape == (None, positions**2 * 96)
    assert call(model, random_images(3, 64, 64)).shape == (3, 64)


def test_one_seed_gives_equal_weights_whatever_keras_global_seed_is():
    def first(seed):
        keras.utils.set_random_seed(int(np.random.default_rng().integers(1000)))
        return backbones.compact(32, seed=seed).get_weights()

    assert all(np.array_equal(a, b) for a, b in zip(first(1), first(1), strict=True))
    kernels = [(a, b) for a, b in zip(first(1), first(2), strict=True) if a.ndim > 1]
    assert len(kernels) == 5 and not any(np.array_equal(a, b) for a, b in kernels)


@pytest.mark.slow
def test_inceptions_first_weights_are_a_function_of_the_seed(cut):
    assert cut.output.shape == (None, 288)
    again = keras.models.clone_model(cut)
    mine = cut.get_weights()
    for seed in (1, 4):
        backbones._seed_kernels(again.get_layer("inception_v3"), seed)
        same = [np.array_equal(a, b) for a, b in zip(mine, again.get_weights(), strict=True) if a.ndim == 4]
        assert same and (all(same) if seed == 1 else not any(same))
    kernels = [kernel.tobytes() for kernel in mine if kernel.ndim == 4]
    assert len(set(kernels)) == len(kernels)  # layers of one shape don't start alike


def test_a_layer_that_is_not_there_is_refused_with_those_that_are(cut, monkeypatch):
    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **_: cut.get_layer("inception_v3"))
    with pytest.raises(InputError, match=r"estimator\.layer is 'conv2d_3'; expected one of mixed0, mixed1, mixed2 of"):
        backbones.inception_v3(75, layer="conv2d_3")


@pytest.mark.slow
def test_files_are_loaded_before_the_cut_and_only_whole(whole, tmp_path, monkeypatch):
    monkeypatch.delenv(FOLDERS, raising=False)
    path = tmp_path / "net.weights.h5"
    monkeypatch.setattr(keras.applications, "InceptionV3", lambda **_: whole)
    whole.save_weights(path)
    config = EstimatorConfig(weights=f"file:{path}", layer="mixed1", image_size=75)
    images = random_images(2, 75, 75)
    maps = call(keras.Model(whole.input, whole.get_layer("mixed1").output), images)
    whole.set_weights([2 * weight for weight in whole.get_weights()])  # those of the file are to come back
    cut = backbones.build_backbone(config, seed=0)
    assert_equal([call(cut, images)], [maps.mean(axis=(1, 2))])
    cut.get_layer("inception_v3").save_weights(path)
    with pytest.raises(InputError, match=r"arrays; expected the 376 of InceptionV3 without its output layer"):
        backbones.build_backbone(config, seed=0)
    path.unlink()
    backbones.build_backbone(config, seed=0, pretrained=False)  # all weights will be replaced: no file is needed
