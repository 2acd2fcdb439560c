"""A SavedModel's signature as a model: its variables are the weights, and what is tuned goes back under the same signatures."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf
from foreign import CLASSES, LATENT, Module, config, foreign, latents

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


def test_images_are_the_signatures_own_in_our_range(module):
    generator, description = import_generator(config("integer", module, **fields()), ())
    z, one_hot = latents()
    images = np.asarray(generator([z, one_hot]))
    np.testing.assert_allclose(images, np.repeat(image(module, z, one_hot), 3, -1) * 2 - 1, atol=1e-6)
    assert (description.class_input, description.latent_size, description.signature) == ("label", LATENT, "make")


def test_its_weights_are_the_saved_variables(module):
    generator, _ = import_generator(config("integer", module, **fields()), ())
    assert [v.shape for v in generator.trainable_variables] == [(LATENT + CLASSES, 96)]
    assert len(generator.non_trainable_variables) == 1
    z, one_hot = latents()
    before = np.asarray(generator([z, one_hot]))
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(generator([tf.constant(z), tf.constant(one_hot)])))
    (gradient,) = tape.gradient(loss, generator.trainable_variables)
    assert np.abs(gradient).max() > 0
    (kernel,) = generator.trainable_variables
    kernel.assign(kernel - 10 * gradient)
    assert np.abs(np.asarray(generator([z, one_hot])) - before).max() > 0.01


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


def test_two_openings_have_weights_of_their_own(module):
    one, two = (import_generator(config("integer", module, **fields()), ())[0] for _ in range(2))
    one.trainable_variables[0].assign(one.trainable_variables[0] * 0)
    assert np.abs(np.asarray(two.trainable_variables[0])).max() > 0


def test_what_cannot_be_used_is_explain_os_errors(module, tmp_path):
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "saved_model.pb").write_bytes(b"\x00\x01")
    for folder, name, words in (
        (tmp_path, "", "has no saved_model.pb"),
        (damaged, "", "can't be loaded"),
        (module, "", "has the signatures"),
        (module, "paint", "expected paint among them: name one with --gan.import-signature"),
        (module, "mean", "expected one output of images"),
        (module, "four", "batches of any size"),
    ):
        with pytest.raises(InputError) as refused:
            open_signature(folder, name)
        assert words in str(refused.value) and str(folder) in str(refused.value)


def test_constants_in_place_of_weights_leave_nothing_to_train(tmp_path):
    kernel = tf.random.stateless_normal((LATENT, 27), (1, 2))

    class Constant(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, LATENT), name="latent")])
        def make(self, latent):
            return {"picture": tf.sigmoid(tf.reshape(latent @ kernel, (-1, 3, 3, 3)))}

    module = Constant()
    tf.saved_model.save(module, str(tmp_path / "constant"), signatures=module.make)
    generator, _ = import_generator(config("none", tmp_path / "constant"), ())
    assert isinstance(generator, keras.Model) and generator.trainable_variables == []
