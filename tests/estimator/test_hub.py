"""Modules in TF-Hub's format as backbones: tracked, in inference mode, saved, and refused in one sentence."""

import hashlib
import os
import shutil
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from equal_passes import assert_equal
from estimator_helpers import HUB_FEATURES, HUB_SIZE, call, hub_features, smooth_images

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import hub, model, train
from pir_tf.estimator.backbones import build_backbone, hub_module
from pir_tf.images import to_float

HANDLE = "https://module.invalid/features/1"  # a name that no network resolves


def config(folder, **changed):
    fields = {"weights": f"hub:{folder}", "image_size": 75, "input_range": (0.0, 1.0), "steps": 5, "batch_size": 16}
    return EstimatorConfig(**fields | changed)


def by_name(layer):
    return {variable.name: keras.ops.convert_to_numpy(variable) for variable in layer.module_variables}


@pytest.fixture
def module(hub_folder):
    return lambda **changed: hub.SavedModelLayer(hub_folder, image_size=HUB_SIZE, **changed)


def test_features_by_hand_and_in_inference_mode(module):
    layer, images = module(), smooth_images(5, seed=0, size=HUB_SIZE)
    expected = hub_features(images, by_name(layer)["kernel"])
    for training in (False, True):
        np.testing.assert_allclose(layer(images.astype(np.float32) / 255, training=training), expected, atol=1e-4)
    assert by_name(layer)["moving"].tolist() == [0.5] * HUB_FEATURES


def test_variables_are_tracked_counted_and_share_the_modules_storage(module):
    layer = module(trainable=True)
    assert sorted(variable.name for variable in layer.weights) == ["bias", "kernel", "moving", "scale"]
    assert sorted(variable.name for variable in layer.trainable_weights) == ["bias", "kernel", "scale"]
    x = np.random.default_rng(0).random((2, HUB_SIZE, HUB_SIZE, 3)).astype(np.float32)
    before = keras.ops.convert_to_numpy(layer(x))
    (bias,) = [variable for variable in layer.module_variables if variable.name == "bias"]
    bias.assign(keras.ops.convert_to_numpy(bias) + 1)
    np.testing.assert_allclose(layer(x), before + 1, atol=1e-5)
    layer.trainable = False
    assert layer.trainable_weights == [] and module(trainable=False).trainable_weights == []


@pytest.mark.parametrize("maps", [False, True])
def test_a_signature_and_maps_are_taken_too(tmp_path, maps):
    class Signed(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="pixels")])
        def serve(self, pixels):
            pooled = tf.nn.avg_pool2d(pixels, 16, 16, "VALID")
            return {"default": pooled if maps else tf.reduce_mean(pooled, (1, 2)), "other": pixels}

    module = Signed()
    tf.saved_model.save(module, str(tmp_path), signatures={"serving_default": module.serve})
    built = build_backbone(config(tmp_path, image_size=80), seed=0)
    images = smooth_images(3, seed=1, size=80)
    np.testing.assert_allclose(call(built, to_float(images)), (images / 255).mean(axis=(1, 2)), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("trainable", "output"), [("all", "bins"), ("head", "scalar")])
@pytest.mark.usefixtures("eager")
def test_trained_saved_and_loaded(large_hub, few, trainable, output, tmp_path, monkeypatch):
    images, interactions = few
    settings = config(large_hub, image_size=96, trainable=trainable, output=output)
    estimator = train.fit_estimator(images, interactions, settings, seed=0)
    layer = estimator.network.get_layer("hub_module")
    first, last = by_name(hub.SavedModelLayer(large_hub, image_size=96)), by_name(layer)
    changed = {name for name in first if not np.array_equal(first[name], last[name])}
    assert changed == ({"kernel", "bias", "scale"} if trainable == "all" else set())

    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda handle: synchronised.append(os.readlink(f"/proc/self/fd/{handle}")))
    path = model.save_estimator(estimator, tmp_path)
    assert {"saved_model.pb", "variables.index", "variables"} <= {os.path.basename(name) for name in synchronised}
    assert path == tmp_path / "estimator" and [item.name for item in tmp_path.iterdir()] == ["estimator"]
    assert model.save_estimator(estimator, tmp_path) == path == model.saved_estimator(tmp_path)  # in the first's place
    loaded = model.load_estimator(path)
    assert loaded.trainable_variables == []
    assert_equal([model.estimate(loaded, images)], [model.estimate(estimator, images)])

    network = model.build_network(settings, seed=9)
    train.restore(network, path)
    assert_equal([call(network, to_float(images))], [call(estimator.network, to_float(images))])
    (path / "variables" / "variables.index").unlink()
    with pytest.raises(InputError, match="estimator is missing or damaged"):
        model.load_estimator(path)


def test_a_folder_needs_neither_tf_keras_nor_tensorflow_hub(hub_folder, monkeypatch):
    for name in ("tf_keras", "tensorflow_hub"):
        monkeypatch.setitem(sys.modules, name, None)
    built = hub_module(str(hub_folder), HUB_SIZE, (0.0, 1.0), trainable=True)
    assert (built.count_params(), len(built.trainable_variables)) == (90, 3)
    with pytest.raises(InputError, match=f"The handle '{HANDLE}' needs tensorflow_hub"):
        hub.resolve(HANDLE)


def test_absent_empty_and_broken_folders_are_refused_in_one_sentence(hub_folder, tmp_path):
    def refused(folder, match, **changed):
        with pytest.raises(InputError, match=match) as error:
            build_backbone(config(folder, **changed), seed=0)
        assert "\n" not in str(error.value)

    refused(tmp_path / "absent", "absent' doesn't exist; expected a folder with saved_model.pb")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "empty is broken, it holds nothing")
    copy = tmp_path / "copy"
    shutil.copytree(hub_folder, copy)
    next((copy / "variables").glob("variables.data*")).write_bytes(b"cut")
    refused(copy, "copy can't be loaded")
    (copy / "saved_model.pb").write_bytes(b"cut")
    refused(copy, "copy can't be loaded")
    (copy / "variables" / "variables.index").unlink()
    refused(copy, "copy is broken, it holds .*saved_model.pb")
    refused(hub_folder, r"can't be called on float32 images \[1, 75, 75, 3\].*--estimator.image-size")
    refused(hub_folder, "a TF-Hub module can't be cut", layer="mixed2")


def test_a_handle_is_looked_for_in_the_cache_and_refused_soon_without_a_network(monkeypatch, tmp_path, hub_folder):
    pytest.importorskip("tensorflow_hub")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    start = time.monotonic()
    with pytest.raises(InputError, match=r"module\.invalid.*can't be fetched.*TFHUB_CACHE_DIR") as error:
        hub.resolve(HANDLE)
    assert time.monotonic() - start < 20 and "\n" not in str(error.value)
    cached = tmp_path / hashlib.sha1(HANDLE.encode()).hexdigest()
    shutil.copytree(hub_folder, cached)
    assert hub.resolve(HANDLE) == cached
    shutil.rmtree(cached / "variables")
    (cached / "saved_model.pb").unlink()
    with pytest.raises(InputError, match=rf"{cached.name}|can't be fetched"):
        hub.resolve(HANDLE)
