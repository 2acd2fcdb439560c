"""The estimator: hand-worked PIR through its saved form, freezing, gradients, round trips, damaged files."""

import dataclasses
import math

import keras
import numpy as np
import pytest
from equal_passes import assert_equal
from estimator_helpers import call, smooth_images
from keras import layers

from pir_tf import presets
from pir_tf.errors import InputError
from pir_tf.estimator import model as models
from pir_tf.estimator.heads import Bins, head_of
from pir_tf.images import to_float

CONFIG = dataclasses.replace(presets.smoke().estimator, image_size=32)
WHITE = np.ones((1, 5, 7, 3), np.float32)


def stub(kernel):
    """Logits that are linear in an image's mean colour."""
    images = keras.Input((None, None, 3), name="images")
    logits = layers.Dense(kernel.shape[1], use_bias=False, name=models.LOGITS)
    network = keras.Model(images, logits(layers.GlobalAveragePooling2D()(images)))
    logits.set_weights([kernel])
    return network


def random_estimator(config=CONFIG, scale=1.0, temperature=0.01):
    """An estimator whose layer `logits` doesn't begin at 0."""
    network = models.build_network(config, seed=1)
    layer, rng = network.get_layer(models.LOGITS), np.random.default_rng(0)
    layer.set_weights([rng.normal(0, scale, weight.shape) for weight in layer.get_weights()])
    return models.PIREstimator(network, head_of(config), temperature=temperature)


@pytest.fixture(scope="module")
def images():
    return to_float(smooth_images(8, seed=2, size=40))


# Logits [0, log 3] on a white image, so [1/4, 3/4] with the centres 1/4 and 3/4; at T = 1/2 the odds are 9 : 1. At
# T = 0.01 the odds are 3^100, and of [0, log 1.01] they are 1.01^100 = 2.704814, so 1/4 + 2.704814 / 3.704814 / 2
@pytest.mark.parametrize(
    ("odds", "temperature", "pir"), [(3, 1.0, 0.625), (3, 0.5, 0.7), (3, 0.01, 0.75), (1.01, 0.01, 0.615040)]
)
def test_pir_by_hand_through_the_saved_file(odds, temperature, pir, tmp_path):
    network = stub(np.array([[0.0, math.log(odds)], [0.0, 0.0], [0.0, 0.0]]))
    path = models.save_estimator(models.PIREstimator(network, Bins(2), temperature=temperature), tmp_path)
    assert path == tmp_path / "estimator.keras"
    assert call(keras.models.load_model(path), WHITE).tolist() == [[pytest.approx(pir, rel=1e-5)]]


def test_an_untrained_estimator_knows_nothing(images):
    network = models.build_network(CONFIG, seed=0)
    found = call(models.with_pir(network, Bins(100), temperature=1.0), images)
    assert found.shape == (8, 1) and found.dtype == np.float32 and found[:, 0] == pytest.approx(np.full(8, 0.5))
    with pytest.raises(InputError, match="finite number above 0"):
        models.PIREstimator(network, Bins(100), temperature=0)


def test_estimate_does_not_depend_on_the_batches():
    pixels = smooth_images(11, seed=3, size=40)
    model = random_estimator(temperature=1.0)
    whole = models.estimate(model, pixels)
    assert whole.shape == (11,) and whole.dtype == np.float32 and np.ptp(whole) > 0.01
    others = [models.estimate(model, pixels, batch_size=size) for size in (1, 4)]
    others += [models.estimate(model, pixels[::-1], batch_size=4)[::-1], models.estimate(model.pir_model, pixels)]
    for other in (*others, call(model, to_float(pixels))):
        assert_equal([other], [whole])
    assert np.array_equal(model(to_float(pixels), training=True), call(model, to_float(pixels)))
    assert models.estimate(model, pixels[:0]).shape == (0,)
    for wrong in (pixels[0], pixels.astype(np.float32), pixels[..., :1]):
        with pytest.raises(InputError, match="expected uint8"):
            models.estimate(model, wrong)


@pytest.mark.parametrize("output", ["bins", "scalar"])
def test_saved_and_loaded_estimators_are_equal(output, images, tmp_path):
    estimator = random_estimator(dataclasses.replace(CONFIG, output=output), scale=0.2, temperature=0.1)
    path = models.save_estimator(estimator, tmp_path / "new" / "folder")
    assert [item.name for item in path.parent.iterdir()] == ["estimator.keras"]
    loaded = models.load_estimator(path)
    assert np.array_equal(call(loaded, images)[:, 0], estimator(images))
    assert np.array_equal(call(models.network_of(loaded), images), call(estimator.network, images))


def test_a_loaded_estimator_is_frozen_at_every_depth(images, tmp_path):
    x, y, z = (keras.Input((None, None, 3)) for _ in range(3))
    inner = keras.Model(x, layers.BatchNormalization()(layers.Conv2D(4, 3)(x)), name="inner")
    middle = keras.Model(y, inner(y), name="middle")
    outer = keras.Model(z, layers.Dense(1)(layers.GlobalAveragePooling2D()(middle(z))))
    assert len(outer.trainable_variables) == 6
    outer.save(tmp_path / "estimator.keras")
    loaded = models.load_estimator(tmp_path / "estimator.keras")
    inside = [loaded, loaded.get_layer("middle"), loaded.get_layer("middle").get_layer("inner")]
    assert not any(layer.trainable for model in inside for layer in [model, *model.layers])
    before = loaded.get_weights()
    assert_equal([loaded(images, training=True)], [call(outer, images)])
    assert all(np.array_equal(a, b) for a, b in zip(before, loaded.get_weights(), strict=True))


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    path = models.save_estimator(random_estimator(), tmp_path)
    (tmp_path / "done.json").write_text("{}")
    whole = path.read_bytes()
    middle = len(whole) // 2
    spoiled = whole[:middle] + bytes(255 - value for value in whole[middle : middle + 64]) + whole[middle + 64 :]
    for content in (whole[:middle], spoiled, b"", b"no archive", None):
        path.unlink() if content is None else path.write_bytes(content)
        said = r"estimator\.keras is missing or damaged \(.*remove .*done\.json"
        with pytest.raises(InputError, match=said) as error:
            models.load_estimator(models.saved_estimator(tmp_path))
        assert "\n" not in str(error.value)
    inputs = keras.Input((None, None, 3))
    with pytest.raises(InputError, match="expected logits among them"):
        models.network_of(keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs)))
