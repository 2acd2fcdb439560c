"""Weights files: found in the stated places, loaded whole, refused in one sentence."""

import dataclasses
import hashlib
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from pir_tf import pretrained
from pir_tf.errors import InputError


def network(units=3, seed=0):
    init = keras.initializers.GlorotUniform(seed=seed)
    inputs = keras.Input((4,))
    x = keras.layers.Dense(units, kernel_initializer=init)(inputs)
    return keras.Model(inputs, keras.layers.BatchNormalization()(x))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "store" / "net.weights.h5"
    path.parent.mkdir()
    network(seed=1).save_weights(path)
    return path


def test_found_as_given_and_in_the_folders(file, monkeypatch, tmp_path):
    monkeypatch.delenv(pretrained.FOLDERS, raising=False)
    assert pretrained.find_weights(file) == file
    with pytest.raises(InputError, match=r"net\.weights\.h5.*PIR_TF_WEIGHTS"):
        pretrained.find_weights(file.name)
    monkeypatch.setenv(pretrained.FOLDERS, f"{tmp_path / 'none'}:{file.parent}")
    assert pretrained.find_weights(file.name) == file
    assert pretrained.find_weights("elsewhere/" + file.name) == file


def test_an_unknown_home_is_one_sentence(monkeypatch):
    monkeypatch.setenv("PIR_TF_WEIGHTS", "~nobody-here/w")
    with pytest.raises(InputError, match="~nobody-here/w begins with a home folder that isn't known here"):
        pretrained.find_weights("net.weights.h5")


def test_checksum_beside_the_file(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert pretrained.sha256(file) == digest
    beside = file.with_name(file.name + ".sha256")
    beside.write_text(f"{digest.upper()}  {file.name}\n")
    assert pretrained.find_weights(file) == file
    beside.write_text("0" * 64)
    with pytest.raises(InputError, match=f"SHA-256 {digest}; expected '000"):
        pretrained.find_weights(file)
    for encoding in ("utf-8-sig", "ascii"):
        beside.write_text(digest, encoding=encoding)
        assert pretrained.find_weights(file) == file
    beside.write_text(digest, encoding="utf-16")
    with pytest.raises(InputError, match="expected a SHA-256 of 64 hexadecimal digits in UTF-8: write it anew"):
        pretrained.find_weights(file)
    beside.write_text("")
    with pytest.raises(InputError, match="begins with '', expected a SHA-256 of 64 hexadecimal digits"):
        pretrained.find_weights(file)


def test_loaded_whole_or_refused_before_anything_is_loaded(file):
    model, other = network(), keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    pretrained.load_weights(model, file, "a small network")
    for mine, theirs in zip(model.get_weights(), network(seed=1).get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    before = other.get_weights()
    with pytest.raises(InputError, match="holds 6 arrays; expected the 2 of one layer"):
        pretrained.load_weights(other, file, "one layer")
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def whole_model(file):
    network().save(file.with_name("net.keras"))
    file.with_name("net.keras").rename(file)


def zeroed(file):
    zeros = network()
    zeros.set_weights([0 * array for array in zeros.get_weights()])
    zeros.save_weights(file)


def renamed(file):
    """As many arrays, with names at which Keras would leave them out with a warning."""
    with h5py.File(file, "a") as data:
        (name,) = [name for name in data["layers"] if name.startswith("dense")]
        data.move(f"layers/{name}", "layers/elsewhere")


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (cut, "can't be read as HDF5.*expected a small network"),
        (lambda file: file.write_bytes(b"no HDF5"), "can't be read as HDF5.*expected a small network"),
        (lambda file: file.write_bytes(b""), "can't be read as HDF5"),
        (Path.unlink, ""),
        (whole_model, r"is a zip archive.*model\.save_weights\('NAME"),
        (lambda file: network(units=5).save_weights(file), "doesn't fit"),
        (zeroed, "has NaN or zeros alone for dense.*expected a small network"),
        (renamed, "; expected a small network"),
    ],
)
def test_damaged_and_foreign_files_are_refused_with_their_size(file, harm, said):
    harm(file)
    size = f"{file.stat().st_size} bytes" if file.exists() else "no file"
    with pytest.raises(InputError, match=rf"\({size}\).*{said}"):
        pretrained.load_weights(network(), file, "a small network")


def test_damaged_imagenet_file_in_a_folder_is_refused(monkeypatch, tmp_path):
    (tmp_path / pretrained.INCEPTION_V3.name).write_bytes(b"cut off")
    monkeypatch.setenv(pretrained.FOLDERS, str(tmp_path))
    with pytest.raises(InputError, match=rf"\(7 bytes\) has the MD5 \w+; expected {pretrained.INCEPTION_V3.md5}"):
        pretrained.imagenet_file(pretrained.INCEPTION_V3)


@pytest.fixture
def home(monkeypatch, tmp_path):
    """Keras's own folder, and none of `PIR_TF_WEIGHTS`."""
    monkeypatch.delenv(pretrained.FOLDERS, raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def test_keras_folder_is_the_one_that_keras_uses(monkeypatch, home):
    """The message names the folder in which a file placed there is found without a network."""
    place = home / "models" / pretrained.INCEPTION_V3.name
    place.parent.mkdir()
    place.write_bytes(b"stands for the file")
    ours = dataclasses.replace(pretrained.INCEPTION_V3, md5=hashlib.md5(place.read_bytes()).hexdigest())
    assert pretrained.imagenet_file(ours) == place
    monkeypatch.setattr(pretrained, "_KERAS_URL", "file:///nowhere/at/all")
    with pytest.raises(InputError, match=f"in {place.parent} or in a folder of"):
        pretrained.imagenet_file(dataclasses.replace(ours, md5="0" * 32))


def test_two_that_need_a_file_at_once_download_it_once_and_whole(monkeypatch, home):
    """Two open files of a thread each lock each other out as those of two processes do."""
    place, requests = home / "models" / pretrained.VGG16.name, []

    def get_file(name, url, **options):
        if not place.exists():
            requests.append(url)
            place.parent.mkdir()
            place.write_bytes(b"half")
            time.sleep(0.2)
            place.write_bytes(b"whole")
        return place

    monkeypatch.setattr(keras.utils, "get_file", get_file)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda network: pretrained.imagenet_file(network).read_bytes(), [pretrained.VGG16] * 2))
    assert found == [b"whole"] * 2 and requests == [pretrained.VGG16.url]


def test_without_a_place_for_locks_a_file_is_found_all_the_same(monkeypatch, home):
    monkeypatch.setattr(keras.utils, "get_file", lambda name, *rest, **options: f"/{name}")
    monkeypatch.setattr(pretrained.tempfile, "gettempdir", lambda: str(home / "absent"))
    monkeypatch.setenv("KERAS_HOME", str(home / "none"))
    assert pretrained.imagenet_file(pretrained.VGG16) == Path("/" + pretrained.VGG16.name)


@pytest.mark.parametrize("network", [pretrained.INCEPTION_V3, pretrained.VGG16, pretrained.VGG16_NO_TOP])
def test_addresses_and_checksums_are_those_of_keras(network):
    """Keras keeps them private, in the source of the network's module."""
    source = Path(keras.src.applications.__file__).with_name(f"{network.folder}.py").read_text()
    assert f'"{network.name}"' in source and network.md5 in source
    assert network.url in "".join(re.findall(r'"([^"]*)"', source))
