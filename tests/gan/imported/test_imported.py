"""Somebody else's Keras generator behind our contract, and back in its own form."""

import zipfile

import keras
import numpy as np
import pytest
from foreign import CLASSES, HEIGHT, LATENT, WIDTH, config, foreign, latents, wide
from keras import layers

from pir_tf.errors import InputError
from pir_tf.gan.imported.description import describe
from pir_tf.gan.imported.generator import import_generator, imported_facts, load_imported, save_imported, wrap
from pir_tf.gan.saved import load_generator
from pir_tf.runs.directory import read_json


def own_inputs(way, z, one_hot):
    """What the generator itself is given for our latents and classes."""
    labels = one_hot.argmax(-1)[:, None].astype(np.int32)
    return {"none": [z], "joined": [np.concatenate([z, one_hot], -1)], "integer": [z, labels], "one-hot": [z, one_hot]}[
        way
    ]


@pytest.mark.parametrize("way", ["none", "joined", "integer", "one-hot"])
def test_images_are_the_generators_own_in_our_range(way):
    core = foreign(way, factor=8.0)
    fields = {} if way == "none" else {"class_count": CLASSES}
    generator = wrap(core, describe(core, config(way, range=(-3.0, 5.0), **fields), ()))
    z, one_hot = latents()
    images = np.asarray(generator([z, one_hot if way != "none" else one_hot[:, :1]]))
    expected = (np.asarray(core(own_inputs(way, z, one_hot))) - 1) / 4
    assert images.shape == (5, HEIGHT, WIDTH, 3) and images.dtype == np.float32
    np.testing.assert_allclose(images, expected, atol=1e-6)
    assert [tensor.name for tensor in generator.inputs] == ["z", "class_one_hot"]


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_model_may_take_a_tensor_a_list_or_a_dictionary():
    z, one_hot = latents()
    for structure in (lambda x: x, lambda x: [x], lambda x: {"noise": x}):
        tensor = keras.Input((LATENT,), name="noise")
        image = layers.Dense(27, activation="sigmoid", kernel_initializer=wide(2))(tensor)
        core = keras.Model(structure(tensor), layers.Reshape((3, 3, 3))(image))
        generator = wrap(core, describe(core, config("none"), ()))
        images = np.asarray(generator([z, one_hot[:, :1]]))
        np.testing.assert_allclose(images, np.asarray(core(structure(z))) * 2 - 1, atol=1e-6)


def test_inputs_in_another_order_latents_of_another_shape_and_half_precision():
    label, z = keras.Input((), dtype="int64", name="y"), keras.Input((1, 1, LATENT), name="x")
    embedded = layers.Embedding(CLASSES, 2, embeddings_initializer=wide(1))(label)
    x = layers.Concatenate()([layers.Flatten()(z), embedded])
    x = layers.Dense(4 * 4 * 3, activation="tanh", kernel_initializer=wide(2), dtype="float16")(x)
    core = keras.Model([label, z], layers.Reshape((4, 4, 3), dtype="float16")(x))
    generator = wrap(core, describe(core, config("integer", class_count=CLASSES, range=(-1.0, 1.0)), ()))
    z_values, one_hot = latents()
    images = np.asarray(generator([z_values, one_hot]))
    expected = np.asarray(core([one_hot.argmax(-1), z_values[:, None, None]])).astype(np.float32)
    assert images.dtype == np.float32 and np.array_equal(images, expected)


def test_what_is_saved_loads_equal_and_its_own_form_too(tmp_path):
    core = foreign("integer", channels=1)
    core.save(tmp_path / "mine.keras")
    generator, description = import_generator(config("integer", tmp_path / "mine.keras"), ("a", "b", "c"))
    generator.weights[1].assign(generator.weights[1] + 0.5)  # as tuning does
    save_imported(generator, description, tmp_path / "run", own=True)
    z, one_hot = latents()
    images = np.asarray(generator([z, one_hot]))
    for loaded in (load_imported(tmp_path / "run"), load_generator(tmp_path / "run")):
        assert np.array_equal(np.asarray(loaded([z, one_hot])), images)
    plain = keras.models.load_model(tmp_path / "run" / "generator.keras")  # safe mode
    assert np.array_equal(np.asarray(plain([z, one_hot])), images)
    own = keras.models.load_model(tmp_path / "run" / "imported.keras")
    given = own_inputs("integer", z, one_hot)
    np.testing.assert_allclose(np.repeat(np.asarray(own(given)), 3, -1) * 2 - 1, images, atol=1e-6)
    assert np.abs(np.asarray(own(given)) - np.asarray(core(given))).max() > 0.01
    assert [t.name for t in own.inputs] == ["noise", "label"] and own.output_shape == (None, HEIGHT, WIDTH, 1)


def test_the_file_beside_it_says_how_both_forms_are_called(tmp_path):
    core = foreign("joined", factor=255.0)
    description = describe(core, config("joined", class_count=CLASSES, range=(0.0, 255.0)), ("a", "b", "c"))
    save_imported(wrap(core, description), description, tmp_path, own=False)
    facts = read_json(tmp_path / "generator.json")
    assert (facts["class_names"], facts["latent_size"]) == (["a", "b", "c"], LATENT)
    assert (facts["image_shape"], facts["image_range"]) == ([HEIGHT, WIDTH, 3], [-1, 1])
    own = {"form": "keras", "channels": 3, "class_as": "joined", "value_range": [0.0, 255.0], "latent_size": LATENT}
    assert own.items() <= facts["imported"].items()
    assert imported_facts(tmp_path) == facts["imported"] and imported_facts(tmp_path / "elsewhere") is None
    assert not (tmp_path / "imported.keras").exists()


@pytest.mark.parametrize("name", ["z", "class_one_hot", "rescale", "generator", "imported_z"])
def test_a_generator_may_have_any_name(name, tmp_path):
    core = foreign("joined")
    core = keras.Model(core.inputs, core.outputs, name=name)
    core.save(tmp_path / "mine.keras")
    fields = {"class_count": CLASSES, "latent_size": LATENT}
    generator, description = import_generator(config("joined", tmp_path / "mine.keras", **fields), ())
    save_imported(generator, description, tmp_path, own=True)
    z, one_hot = latents()
    own = np.asarray(core(own_inputs("joined", z, one_hot)[0]))
    np.testing.assert_allclose(np.asarray(load_imported(tmp_path)([z, one_hot])), own * 2 - 1, atol=1e-6)
    assert keras.models.load_model(tmp_path / "imported.keras").count_params() == core.count_params()


def test_what_cannot_be_opened_is_one_sentence_with_the_way_out(tmp_path):
    @keras.saving.register_keras_serializable("somebody")
    class Own(layers.Layer):
        def call(self, x):
            return x

    def save(name, *more):
        z = keras.Input((LATENT,))
        core = keras.Sequential([layers.Dense(27), *more, layers.Reshape((3, 3, 3))])
        keras.Model(z, core(z)).save(tmp_path / name)

    save("lambda.keras", layers.Lambda(lambda x: x, name="twice"))
    save("own.keras", *(Own(name=f"style_{i}") for i in range(4)))
    keras.saving.get_custom_objects().clear()
    with zipfile.ZipFile(tmp_path / "k2.keras", "w") as whole:
        whole.writestr("metadata.json", '{"keras_version": "2.15.0"}')
        whole.writestr(
            "config.json", '{"module": "keras.src.engine.functional", "class_name": "Functional", "config": {}}'
        )
    (tmp_path / "damaged.keras").write_bytes(b"no model at all")
    (tmp_path / "k2.h5").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    folder = "or export it where it was made with model.export(FOLDER), in Keras 2 model.save(FOLDER), and name FOLDER."
    for name, words in {
        "missing.keras": "is not there, expected a Keras model saved as .keras, or a SavedModel folder",
        "k2.h5": f"save it with model.save('generator.keras') of Keras 3, {folder}",
        "k2.keras": f"was saved by Keras 2 (2.15.0), expected Keras 3: build and save it there, {folder}",
        "damaged.keras": "has 15 bytes and is no whole .keras file, expected a Keras model saved as .keras",
        "lambda.keras": f"no stock layers of Keras (twice of class Lambda): replace them, {folder}",
        "own.keras": "(style_0 of class Own, style_1 of class Own, style_2 of class Own and 1 more): replace them",
        "empty": "has no saved_model.pb",
    }.items():
        with pytest.raises(InputError) as refused:
            import_generator(config("none", tmp_path / name), ())
        assert words in str(refused.value) and name in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("dtype", ["int32", "float32"])
def test_a_class_that_is_one_number_is_no_one_hot_of_one_class(tmp_path, dtype):
    """All of its classes but one would never be shown."""
    noise, label = keras.Input((LATENT,), name="noise"), keras.Input((1,), dtype=dtype, name="label")
    x = layers.Concatenate()([noise, layers.Flatten()(layers.Embedding(CLASSES, 4)(label))])
    keras.Model([noise, label], layers.Reshape((3, 3, 3))(layers.Dense(27, "tanh")(x))).save(tmp_path / "mine.keras")
    with pytest.raises(InputError, match="takes its class in 'label', one number, .*--gan.import-class integer"):
        import_generator(config("one-hot", tmp_path / "mine.keras"), ())
    integer = config("integer", tmp_path / "mine.keras", class_count=CLASSES)
    assert len(import_generator(integer, ())[1].class_names) == CLASSES


def test_a_cut_or_missing_file_of_a_run_is_one_sentence(tmp_path):
    core = foreign("none")
    description = describe(core, config("none"), ())
    save_imported(wrap(core, description), description, tmp_path, own=False)
    (tmp_path / "done.json").write_text("{}")
    path = tmp_path / "generator.keras"
    said = r"generator\.keras is missing or damaged .*restore it, or remove .*done\.json"
    for spoil in (lambda: path.write_bytes(path.read_bytes()[:1000]), path.unlink):
        spoil()
        with pytest.raises(InputError, match=said):
            load_imported(tmp_path)


def test_a_one_hot_class_may_have_the_shape_of_an_image():
    label, z = keras.Input((1, 1, CLASSES), name="y"), keras.Input((LATENT,), name="x")
    x = layers.Concatenate()([z, layers.Flatten()(label)])
    core = keras.Model(
        [z, label], layers.Reshape((4, 4, 3))(layers.Dense(48, activation="tanh", kernel_initializer=wide(2))(x))
    )
    fields = {"class_count": CLASSES, "class_input": "y", "range": (-1.0, 1.0)}
    generator = wrap(core, describe(core, config("one-hot", **fields), ()))
    z_values, one_hot = latents()
    expected = np.asarray(core([z_values, one_hot[:, None, None]]))
    np.testing.assert_allclose(np.asarray(generator([z_values, one_hot])), expected, atol=1e-6)
