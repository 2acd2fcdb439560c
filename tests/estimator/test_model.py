"""The estimator: hand-worked PIR through its saved form, freezing, gradients, round trips."""

import dataclasses
import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_helpers import run_python, smooth_images
from keras import layers

from pir_tf import presets
from pir_tf.errors import InputError
from pir_tf.estimator import model as models
from pir_tf.estimator.bins import expected_pir
from pir_tf.images import to_float

CONFIG = dataclasses.replace(presets.smoke().estimator, image_size=32)


def stub(kernel, bias=None):
    """Logits that are linear in an image's mean colour."""
    images = keras.Input((None, None, 3), name="images")
    x = layers.GlobalAveragePooling2D(name="features")(images)
    logits = layers.Dense(kernel.shape[1], dtype="float32", name=models.LOGITS)
    network = keras.Model(images, logits(x))
    logits.set_weights([kernel, np.zeros(kernel.shape[1]) if bias is None else bias])
    return network


def random_network(config=CONFIG, scale=1.0):
    """A network whose layer `logits` doesn't begin at 0."""
    network = models.build_network(config, seed=1)
    layer = network.get_layer(models.LOGITS)
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, scale, weight.shape) for weight in layer.get_weights()])
    return network


def call(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def assert_equal(a, b):
    assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max()


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
    path = models.save_estimator(models.PIREstimator(network, temperature=temperature), tmp_path)
    white = np.ones((1, 5, 7, 3), np.float32)
    assert path == tmp_path / "estimator.keras"
    assert call(keras.models.load_model(path), white).tolist() == [[pytest.approx(pir, rel=1e-5)]]


def test_layers_and_formula_give_one_pir(images):
    network = random_network()
    logits = call(network, images)
    assert logits.shape == (8, 100) and logits.std() > 0.1
    for temperature in (1.0, 0.1, 0.01):
        found = call(models.with_pir(network, temperature=temperature), images)
        assert found.shape == (8, 1) and found.dtype == np.float32
        np.testing.assert_allclose(found[:, 0], expected_pir(logits, temperature), rtol=1e-4)


@pytest.mark.parametrize("temperature", [0, -1.0, math.nan, math.inf])
def test_other_temperatures_are_refused(temperature):
    with pytest.raises(InputError, match="finite number above 0"):
        models.PIREstimator(stub(np.zeros((3, 2))), temperature=temperature)


def test_extreme_logits_stay_finite_through_the_saved_layers():
    network = stub(np.zeros((3, 3)), bias=np.array([0.0, 1000.0, -1000.0]))
    white = np.ones((1, 4, 4, 3), np.float32)
    assert call(models.with_pir(network, temperature=0.01), white)[0, 0] == pytest.approx(0.5)


def test_scalar_output_is_a_sigmoid_at_any_temperature():
    network = stub(np.array([[math.log(3.0)], [0.0], [0.0]]))
    for temperature in (1.0, 0.01):
        found = call(models.with_pir(network, temperature=temperature), np.ones((1, 4, 4, 3), np.float32))
        assert found[0, 0] == pytest.approx(0.75)
    network = models.build_network(dataclasses.replace(CONFIG, output="scalar"), seed=0)
    assert network.output.shape == (None, 1)


def test_an_untrained_estimator_knows_nothing(images):
    network = models.build_network(CONFIG, seed=0)
    assert call(models.with_pir(network, temperature=1.0), images)[:, 0] == pytest.approx(np.full(8, 0.5))


def test_an_image_has_the_same_pir_alone_and_among_others(images):
    model = models.PIREstimator(random_network(), temperature=1.0)
    assert_equal(np.concatenate([call(model, images[i : i + 1]) for i in range(8)]), call(model, images))


def test_estimate_does_not_depend_on_the_batches():
    pixels = smooth_images(11, seed=3, size=40)
    model = models.PIREstimator(random_network(), temperature=1.0)
    whole = models.estimate(model, pixels)
    assert whole.shape == (11,) and whole.dtype == np.float32 and np.ptp(whole) > 0.01
    assert_equal(models.estimate(model, pixels, batch_size=4), whole)
    assert_equal(models.estimate(model, pixels[::-1], batch_size=4)[::-1], whole)
    assert_equal(models.estimate(model.pir_model, pixels), whole)
    assert_equal(whole, call(model, to_float(pixels)))
    assert models.estimate(model, pixels[:0]).shape == (0,)
    for wrong in (pixels[0], pixels.astype(np.float32), pixels[..., :1]):
        with pytest.raises(InputError, match="expected uint8"):
            models.estimate(model, wrong)


def test_gradients_reach_the_images_and_training_changes_nothing(images):
    model = models.frozen(models.with_pir(random_network(), temperature=1.0))
    x = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(x)
        pir = model(x, training=False)
    gradient = tape.gradient(pir, x).numpy()
    assert np.isfinite(gradient).all() and (np.abs(gradient).max(axis=(1, 2, 3)) > 0).all()
    estimator = models.PIREstimator(random_network())
    assert np.array_equal(estimator(images, training=True), estimator(images))


def test_frozen_reaches_nested_layers_and_stops_batch_statistics(images):
    inner_images = keras.Input((None, None, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3)(inner_images))
    inner = keras.Model(inner_images, x, name="inner")
    middle_images = keras.Input((None, None, 3))
    middle = keras.Model(middle_images, inner(middle_images), name="middle")
    outer_images = keras.Input((None, None, 3))
    pooled = layers.GlobalAveragePooling2D()(middle(outer_images))
    outer = keras.Model(outer_images, layers.Dense(1)(pooled))
    assert len(outer.trainable_variables) == 6
    assert models.frozen(outer) is outer
    assert outer.trainable_variables == [] and inner.trainable_variables == []
    assert not any(layer.trainable for model in (outer, middle, inner) for layer in model.layers)
    before = [weight.copy() for weight in outer.get_weights()]
    assert_equal(keras.ops.convert_to_numpy(outer(images, training=True)), call(outer, images))
    assert all(np.array_equal(a, b) for a, b in zip(before, outer.get_weights(), strict=True))


@pytest.mark.parametrize("output", ["bins", "scalar"])
def test_saved_and_loaded_estimators_are_equal(output, images, tmp_path):
    network = random_network(dataclasses.replace(CONFIG, output=output), scale=0.2)
    estimator = models.PIREstimator(network, temperature=0.1)
    path = models.save_estimator(estimator, tmp_path / "new" / "folder")
    assert [item.name for item in path.parent.iterdir()] == ["estimator.keras"]
    loaded = models.load_estimator(path)
    assert loaded.trainable_variables == [] and np.array_equal(call(loaded, images)[:, 0], estimator(images))
    assert np.array_equal(call(models.network_of(loaded), images), call(network, images))


def test_a_saved_estimator_needs_keras_alone(images, tmp_path):
    estimator = models.PIREstimator(random_network(), temperature=0.01)
    path = models.save_estimator(estimator, tmp_path)
    np.save(tmp_path / "images.npy", images)
    code = """
        import keras, numpy
        try:
            import pir_tf
        except ImportError:
            model = keras.models.load_model(sys.argv[1])
            pir = model(numpy.load(sys.argv[2]), training=False)
            numpy.save(sys.argv[3], keras.ops.convert_to_numpy(pir))
    """
    run_python(code, path, tmp_path / "images.npy", tmp_path / "pir.npy", blocked=["pir_tf"])
    assert_equal(np.load(tmp_path / "pir.npy")[:, 0], call(estimator, images))


def test_damaged_files_are_refused_in_one_sentence(tmp_path):
    path = models.save_estimator(models.PIREstimator(random_network()), tmp_path)
    whole = path.read_bytes()
    middle = len(whole) // 2
    spoiled = whole[:middle] + bytes(255 - value for value in whole[middle : middle + 64]) + whole[middle + 64 :]
    for content in (whole[:middle], spoiled, b"", b"no archive"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"estimator\.keras can't be loaded") as error:
            models.load_estimator(path)
        assert "\n" not in str(error.value)
    path.unlink()
    with pytest.raises(InputError, match="can't be loaded"):
        models.load_estimator(path)


def test_a_model_without_logits_is_no_estimator():
    inputs = keras.Input((None, None, 3))
    with pytest.raises(InputError, match="expected logits among them"):
        models.network_of(keras.Model(inputs, layers.GlobalAveragePooling2D()(inputs)))
