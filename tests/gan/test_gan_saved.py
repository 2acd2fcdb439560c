"""The networks on disk: they give the same values; damage is one sentence. `test_run.py` loads them without this package."""

import json

import keras
import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.saved import Networks, load_generator

FILES = ("generator.keras", "discriminator.keras", "generator.json")


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
    return [np.random.default_rng(4).standard_normal((3, 6)).astype(np.float32), np.eye(3, dtype=np.float32)]


def test_saving_writes_whole_files_under_their_names_alone(directory):
    assert {path.name for path in directory.iterdir()} == set(FILES)
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
        assert all(np.array_equal(a, b) for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True))
    seeds = [[v.seed for v in n.discriminator.layers if isinstance(v, keras.layers.Dropout)] for n in (back, networks)]
    assert seeds[0] == seeds[1] and None not in seeds[0]
    images = np.asarray(back.generator(inputs))
    for a, b in zip(back.discriminator(images), networks.discriminator(images), strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    np.testing.assert_array_equal(np.asarray(load_generator(directory)(inputs)), images)


@pytest.mark.parametrize("done", [True, False])
@pytest.mark.parametrize("name", FILES)
def test_a_missing_or_cut_file_is_named_with_what_to_do(directory, tmp_path, name, done):
    for path in directory.iterdir():
        if path.name != name:
            (tmp_path / path.name).symlink_to(path)
    if done:
        (tmp_path / "done.json").write_text("{}")
    again = r"remove \S+done\.json to make it again\." if done else r"run the stage that writes it\."
    said = rf"{name} is missing or damaged \(no such file\): restore it, or {again}"
    with pytest.raises(InputError, match=said):
        Networks.load(tmp_path)
    if name.endswith(".keras"):
        (tmp_path / name).write_bytes((directory / name).read_bytes()[:1000])
        with pytest.raises(InputError, match=rf"{name} is missing or damaged \(1000 bytes, cut off"):
            Networks.load(tmp_path)
    if name == "generator.keras":
        with pytest.raises(InputError, match="missing or damaged"):
            load_generator(tmp_path)
