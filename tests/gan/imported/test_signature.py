"""A SavedModel's signature as a model: its variables are the weights, and what is tuned goes back under the same signatures."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from foreign import CLASSES, LATENT, Module, config, foreign, latents
from keras import layers

from pir_tf.errors import InputError
from pir_tf.gan.imported.generator import core_of, import_generator, load_imported, save_imported
from pir_tf.gan.imported.signature import open_signature, signature_layer, write_saved_model


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return Module().save(tmp_path_factory.mktemp("saved") / "module")


def fields(**more):
    return {"signature": "make", "class_count": CLASSES, **more}


def image(folder, z, one_hot):
    """What the saved signature gives, by TensorFlow alone."""
    function = tf.saved_model.load(str(folder)).signatures["make"]
    return function(latent=tf.constant(z), label=tf.constant(one_hot.argmax(-1)))["picture"].numpy()


def test_images_and_weights_are_the_signatures_own(module):
    generator, description = import_generator(config("integer", module, **fields()), ())
    z, one_hot = latents()
    images = np.asarray(generator([z, one_hot]))
    np.testing.assert_allclose(images, np.repeat(image(module, z, one_hot), 3, -1) * 2 - 1, atol=1e-6)
    assert (description.class_input, description.latent_size, description.signature) == ("label", LATENT, "make")
    (kernel,) = generator.trainable_variables
    assert kernel.shape == (LATENT + CLASSES, 96) and len(generator.non_trainable_variables) == 1
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(generator([tf.constant(z), tf.constant(one_hot)])))
    (gradient,) = tape.gradient(loss, generator.trainable_variables)
    kernel.assign(kernel - 10 * gradient)
    assert np.abs(np.asarray(generator([z, one_hot])) - images).max() > 0.01
    again, _ = import_generator(config("integer", module, **fields()), ())  # with weights of its own
    assert np.array_equal(np.asarray(again([z, one_hot])), images)


def test_what_is_tuned_goes_back_under_the_same_signatures(module, tmp_path, monkeypatch):
    generator, description = import_generator(config("integer", module, **fields()), ())
    generator.trainable_variables[0].assign(generator.trainable_variables[0] * 0.5)
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda handle: synchronised.append(os.readlink(f"/proc/self/fd/{handle}")))
    save_imported(generator, description, tmp_path, own=True)
    assert {"saved_model.pb", "variables.index", "variables"} <= {os.path.basename(name) for name in synchronised}
    z, one_hot = latents()
    images = np.asarray(generator([z, one_hot]))
    assert np.array_equal(np.asarray(load_imported(tmp_path)([z, one_hot])), images)
    written = tmp_path / "generator"
    np.testing.assert_allclose(np.repeat(image(written, z, one_hot), 3, -1) * 2 - 1, images, atol=1e-6)
    old, new = (tf.saved_model.load(str(folder)).signatures for folder in (module, written))
    assert set(new) == {"make", "mean", "four"}
    for name in old:
        assert new[name].structured_input_signature == old[name].structured_input_signature
        assert new[name].structured_outputs == old[name].structured_outputs
    # The other signature has the tuned weights too.
    mean = new["mean"](latent=tf.constant(z))["mean"]
    np.testing.assert_allclose(mean, image(written, z, one_hot * 0 + np.eye(3)[0]).mean((1, 2, 3)), rtol=1e-5)
    assert not list(tmp_path.glob(".*")) and not (tmp_path / "imported.keras").exists()
    (written / "variables" / "variables.index").unlink()
    with pytest.raises(
        InputError, match="generator is missing or damaged .*restore it, or run the stage that writes it"
    ):
        load_imported(tmp_path)


def test_a_keras_export_is_such_a_saved_model(tmp_path):
    core = foreign("integer")
    core.export(tmp_path / "export", verbose=False)
    generator, description = import_generator(config("integer", tmp_path / "export", class_count=CLASSES), ())
    z, one_hot = latents()
    own = np.asarray(core([z, one_hot.argmax(-1)[:, None]]))
    np.testing.assert_allclose(np.asarray(generator([z, one_hot])), own * 2 - 1, atol=1e-6)
    assert description.signature == "serving_default"
    assert len(generator.trainable_variables) == len(core.trainable_variables)
    write_saved_model(signature_layer(core_of(generator)), tmp_path / "again")
    assert open_signature(tmp_path / "again")[1] == "serving_default"
    assert signature_layer(core) is None


def saved_by_tensorflow_1(folder, names, output="image", signature="serving_default"):
    """Names that Keras and TensorFlow 2 can't give."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        z = v1.placeholder(tf.float32, (None, LATENT))
        label = v1.placeholder(tf.int64, (None,))
        kernel = v1.get_variable("w", (LATENT, 27), initializer=v1.random_normal_initializer(stddev=1.0, seed=1))
        bias = v1.get_variable("b", (CLASSES, 27), initializer=v1.random_normal_initializer(stddev=1.0, seed=2))
        image = tf.reshape(tf.tanh(z @ kernel + tf.gather(bias, label)), (-1, 3, 3, 3))
        session.run(v1.global_variables_initializer())
        infos = {name: v1.saved_model.build_tensor_info(x) for name, x in zip(names, (z, label), strict=True)}
        outputs = {output: v1.saved_model.build_tensor_info(image)}
        made = v1.saved_model.build_signature_def(infos, outputs, "tensorflow/serving/predict")
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], {signature: made})
        builder.save()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("names", "valid"),
    [
        (("z:0", "the label"), ("z_0", "the_label")),
        (("generator/noise", "_label"), ("generator_noise", "arg_label")),
        (("rauschen ü", "标"), ("rauschen__", "arg_")),
        (("0", "1"), ("arg_0", "arg_1")),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_any_names_of_inputs_come_through_tuning(tmp_path, names, valid):
    folder = saved_by_tensorflow_1(tmp_path / "theirs", names, output="image:0", signature="make images")
    fields = {"class_count": CLASSES, "class_input": names[1], "range": (-1.0, 1.0)}
    generator, description = import_generator(config("integer", folder, **fields), ())
    assert description.class_input == valid[1]
    z, one_hot = latents()
    theirs = tf.saved_model.load(str(folder)).signatures["make images"]
    expected = theirs(**{names[0]: tf.constant(z), names[1]: tf.constant(one_hot.argmax(-1))})["image:0"]
    np.testing.assert_allclose(np.asarray(generator([z, one_hot])), expected, atol=1e-6)
    for v in generator.trainable_variables:
        v.assign(v * 0.5)
    images = np.asarray(generator([z, one_hot]))
    save_imported(generator, description, tmp_path / "once", own=True)
    again = load_imported(tmp_path / "once")
    save_imported(again, description, tmp_path / "twice", own=True)  # as a second round does
    assert np.array_equal(np.asarray(load_imported(tmp_path / "twice")([z, one_hot])), images)
    served = tf.saved_model.load(str(tmp_path / "twice" / "generator")).signatures["make images"]
    assert set(served.structured_input_signature[1]) == set(valid)
    given = dict(zip(valid, (tf.constant(z), tf.constant(one_hot.argmax(-1))), strict=True))
    np.testing.assert_allclose(served(**given)["image:0"], images, atol=1e-6)


def test_tuned_weights_go_back_into_ones_own_class(tmp_path):
    """What the README says of a SavedModel: its variables are the model's, in the model's order."""

    class Style(layers.Layer):
        def build(self, shape):
            self.w = self.add_weight(shape=(shape[-1], 27), initializer="random_normal", name="w")
            self.shift = layers.Dense(27)
            self.shift.build(shape)
            self.steps = self.add_weight(shape=(), trainable=False, name="steps")

        def call(self, x):
            return x @ self.w + self.shift(x)

    def make():
        z = keras.Input((LATENT,))
        x = layers.BatchNormalization()(layers.Dense(8, activation="tanh")(z))
        x = layers.Dropout(0.5)(Style()(x))  # whose seed is a variable, too, and no weight
        return keras.Model(z, layers.Reshape((3, 3, 3))(layers.Activation("tanh")(x)))

    own = make()
    own.export(tmp_path / "theirs", verbose=False)
    generator, description = import_generator(config("none", tmp_path / "theirs", range=(-1.0, 1.0)), ())
    for v in generator.trainable_variables:
        v.assign(v + 0.1)
    save_imported(generator, description, tmp_path, own=True)
    own = make()  # in another process, say
    tuned = tf.saved_model.load(str(tmp_path / "generator")).variables
    for mine, value in zip(own.variables, tuned, strict=True):
        mine.assign(value)
    z, one_hot = latents()
    np.testing.assert_allclose(np.asarray(own(z)), np.asarray(generator([z, one_hot[:, :1]])), atol=1e-6)


def test_what_cannot_be_used_is_one_sentence(module, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "saved_model.pb").write_bytes(b"\x00\x01")
    for folder, name, words in (
        (tmp_path, "", "has no saved_model.pb"),
        (damaged, "", "can't be loaded"),
        (module, "", "has the signatures"),
        (module, "paint", "expected paint: name one with --gan.import-signature"),
        (module, "mean", "expected one output of images"),
        (module, "four", "batches of any size"),
    ):
        with pytest.raises(InputError) as refused:
            open_signature(folder, name)
        assert words in str(refused.value) and str(folder) in str(refused.value)
