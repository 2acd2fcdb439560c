"""What of a Keras model goes into an export: its weights in inference mode, SavedModels inside it, and nothing else."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from pir_tf.estimator.hub import SavedModelLayer
from pir_tf.serving.signatures import Endpoints, Stored, round_weights


def small_generator(classes):
    """Another size, another shape of latents, and layers that this package's generator doesn't have."""
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((classes,), name="class_one_hot")
    x = layers.Reshape((4, 6, 3))(layers.Dense(4 * 6 * 3)(layers.Concatenate()([z, class_one_hot])))
    x = layers.Dropout(0.5, seed=1)(layers.BatchNormalization()(layers.Conv2D(3, 3, padding="same")(x)))
    return keras.Model([z, class_one_hot], layers.Activation("tanh")(x), name="generator")


class Module(tf.Module):
    """Three channel means of images, times a variable, plus a number from a table: a resource that is no variable."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([1.0, 2.0, 3.0], name="scale")
        keys, values = tf.constant([0, 1]), tf.constant([0.0, 0.25])
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1.0)

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32)])
    def __call__(self, images):
        return tf.reduce_mean(images, (1, 2)) * self.scale + self.table.lookup(tf.constant(1))


@pytest.fixture
def estimator(tmp_path):
    """A model with a SavedModel in a nested model, as an estimator with a TF-Hub backbone; its folder is gone."""
    tf.saved_model.save(Module(), str(tmp_path / "module"))
    layer = SavedModelLayer(tmp_path / "module", image_size=8)
    image, outer = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    inner = keras.Model(image, layer(image), name="inner")
    model = keras.Model(outer, layers.Dense(1, activation="sigmoid", name="pir")(inner(outer)), name="pir_estimator")
    (tmp_path / "module").rename(tmp_path / "elsewhere")
    return model


@pytest.mark.slow
@pytest.mark.parametrize("half", [False, True])
def test_another_generator_and_an_estimator_around_a_savedmodel(estimator, tmp_path, recwarn, half):
    generator, names = small_generator(12), tuple(f"class {{{index}}}" for index in range(12))
    if half:
        round_weights([generator, estimator])
    file = tmp_path / "class_names.txt"
    file.write_text("a\n")
    endpoints = Endpoints(generator, names, names_file=file, estimator=estimator, half=half)
    assert not [warning for warning in recwarn if warning.category is UserWarning]
    tf.saved_model.save(endpoints, str(tmp_path / "v"), signatures=endpoints.signatures())
    signatures = tf.saved_model.load(str(tmp_path / "v")).signatures
    z, class_id = np.random.default_rng(0).standard_normal((4, 5), dtype=np.float32), np.array([0, 11, 5, 5], np.int32)
    image = signatures["generate_from_latent"](latent=tf.constant(z), class_id=tf.constant(class_id))["image"].numpy()
    expected = generator([z, np.eye(12, dtype=np.float32)[class_id]], training=False).numpy()
    assert image.shape == (4, 4, 6, 3) and np.abs((expected + 1) * 127.5 - image).max() <= 0.501
    assert image.std() > 10
    pir = signatures["score"](image_bytes=tf.io.encode_png(image))["pir"].numpy()
    np.testing.assert_allclose(pir, estimator(image / np.float32(127.5) - 1)[:, 0], atol=1e-5)
    assert np.ptp(pir) > 1e-3
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"class_id\[0\] is 12, expected 0 to 11 \(0 class \(0\)"):
        signatures["generate"](seed=tf.constant([1], tf.int64), class_id=tf.constant([12]))


@pytest.mark.slow
def test_only_weights_are_kept_and_later_changes_of_the_model_are_not():
    model = small_generator(2)
    model.compile("adam", "mse")
    data = [np.ones((4, 5), np.float32), np.ones((4, 2), np.float32)]
    model.fit(data, np.zeros((4, 4, 6, 3)), verbose=0)
    kept = Stored(model)
    before = model(data, training=False).numpy()
    assert [tuple(v.shape) for v in kept.variables] == [tuple(v.shape) for v in model.weights]
    assert len(model.variables) > len(model.weights)  # a dropout's seed
    for variable in model.weights:
        variable.assign(variable * 0)
    np.testing.assert_array_equal(kept(*map(tf.constant, data)), before)


def test_half_keeps_vectors_and_what_float16_cannot_hold():
    model = small_generator(2)
    large = next(layer for layer in model.layers if isinstance(layer, layers.Dense))
    large.kernel.assign(large.kernel + 1e6)
    types = {variable.name.split("/", 1)[1]: variable.dtype.name for variable in Stored(model, half=True).variables}
    assert types.pop(next(name for name in types if "conv" in name and "kernel" in name)) == "float16"
    assert set(types.values()) == {"float32"}
    round_weights([model])
    assert np.isfinite(large.kernel.numpy()).all() and large.kernel.numpy().max() > 65504
