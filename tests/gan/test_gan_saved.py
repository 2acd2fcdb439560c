"""The networks on disk: they load without this package, and give the same values."""

import json
import subprocess
import sys

import keras
import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.saved import Networks, load_generator

WITHOUT_THE_PACKAGE = """
import sys, json

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pir_tf":
            raise ImportError("pir_tf is not installed here")

sys.meta_path.insert(0, Refuse())
try:
    import pir_tf
except ImportError:
    pass
else:
    raise SystemExit("pir_tf could be imported")

import keras, numpy as np

given = np.load("inputs.npz")
generator = keras.models.load_model("generator.keras", safe_mode=True)
discriminator = keras.models.load_model("discriminator.keras", safe_mode=True)
images = np.asarray(generator({"z": given["z"], "class_one_hot": given["class_one_hot"]}))
source, class_logits = (np.asarray(x) for x in discriminator(images, training=False))
np.savez("outputs.npz", images=images, source=source, class_logits=class_logits)
layers = {type(layer).__module__.partition(".")[0] for model in (generator, discriminator) for layer in model.layers}
print(json.dumps([generator.output_names, discriminator.output_names, sorted(layers)]))
"""


@pytest.fixture(scope="module")
def networks():
    generator, discriminator = build_generator(3, latent_size=6, seed=1), build_discriminator(3, seed=2)
    rng = np.random.default_rng(0)
    for layer in discriminator.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.moving_mean.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, layer.moving_variance.shape))
    return Networks(generator, discriminator, ("coast", "mountain", "meadow"))


@pytest.fixture(scope="module")
def directory(networks, tmp_path_factory):
    directory = tmp_path_factory.mktemp("saved") / "gan"
    networks.save(directory)
    return directory


@pytest.fixture(scope="module")
def inputs():
    z = np.random.default_rng(4).standard_normal((3, 6)).astype(np.float32)
    return [z, np.eye(3, dtype=np.float32)]


def test_the_files_load_where_the_package_cannot_be_imported(networks, directory, inputs):
    np.savez(directory / "inputs.npz", z=inputs[0], class_one_hot=inputs[1])
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_THE_PACKAGE], cwd=directory, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout.splitlines()[-1]) == [["image"], ["source", "class_logits"], ["keras"]]
    with np.load(directory / "outputs.npz") as there:
        images = np.asarray(networks.generator(inputs))
        u, class_logits = (np.asarray(x) for x in networks.discriminator(images, training=False))
        np.testing.assert_allclose(there["images"], images, atol=1e-6)
        np.testing.assert_allclose(there["source"], np.tanh(u), atol=1e-5)
        np.testing.assert_allclose(there["class_logits"], class_logits, atol=1e-5)
        assert there["images"].shape == (3, 64, 64, 3) and np.abs(there["images"]).max() <= 1
        assert np.abs(there["source"]).max() <= 1
    for name in ("inputs.npz", "outputs.npz"):
        (directory / name).unlink()


def test_saving_writes_whole_files_under_their_names_alone(directory):
    assert {path.name for path in directory.iterdir()} == {"generator.keras", "discriminator.keras", "generator.json"}
    assert json.loads((directory / "generator.json").read_text()) == {
        "class_names": ["coast", "mountain", "meadow"],
        "latent_size": 6,
        "image_size": 64,
        "image_range": [-1, 1],
        "inputs": ["z", "class_one_hot"],
    }


def test_loading_gives_equal_networks(networks, directory, inputs):
    back = Networks.load(directory)
    assert back.class_names == networks.class_names
    for ours, theirs in ((back.generator, networks.generator), (back.discriminator, networks.discriminator)):
        assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
        for a, b in zip(ours.weights, theirs.weights, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b), err_msg=a.path)
    seeds = [[v.seed for v in n.discriminator.layers if isinstance(v, keras.layers.Dropout)] for n in (back, networks)]
    assert seeds[0] == seeds[1] and None not in seeds[0]
    images = np.asarray(back.generator(inputs))
    for a, b in zip(back.discriminator(images), networks.discriminator(images), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    np.testing.assert_array_equal(np.asarray(load_generator(directory)(inputs)), images)


@pytest.mark.parametrize("name", ["generator.keras", "discriminator.keras", "generator.json"])
def test_a_missing_file_is_named(directory, tmp_path, name):
    for path in directory.iterdir():
        if path.name != name:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=f"{name} is missing: run the stage"):
        Networks.load(tmp_path)
