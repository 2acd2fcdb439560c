"""Weights files: found in the stated places, loaded whole, refused in one sentence."""

import dataclasses
import hashlib
import http.server
import re
import threading
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


def test_checksum_beside_the_file(file):
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert pretrained.sha256(file) == digest
    beside = file.with_name(file.name + ".sha256")
    beside.write_text(f"{digest.upper()}  {file.name}\n")
    assert pretrained.find_weights(file) == file
    beside.write_text("0" * 64)
    with pytest.raises(InputError, match=f"SHA-256 {digest}; expected '000"):
        pretrained.find_weights(file)
    beside.write_text("")
    with pytest.raises(InputError, match="expected ''"):
        pretrained.find_weights(file)


def test_loaded_whole(file):
    model = network()
    pretrained.load_weights(model, file, "a small network")
    for mine, theirs in zip(model.get_weights(), network(seed=1).get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_cut_off_and_foreign_files_are_refused_with_their_size(file):
    whole = file.read_bytes()
    for content in (whole[: len(whole) // 2], b"no HDF5", b""):
        file.write_bytes(content)
        with pytest.raises(InputError, match=rf"\({len(content)} bytes\) can't be read as HDF5.*a small network"):
            pretrained.load_weights(network(), file, "a small network")
    with pytest.raises(InputError, match="no file"):
        pretrained.load_weights(network(), file.with_name("absent.h5"), "a small network")


def test_a_whole_model_and_weights_that_are_all_zero_are_refused(file):
    network().save(whole := file.with_name("net.keras"))
    with pytest.raises(InputError, match=r"net\.keras \(\d+ bytes\) is a zip archive.*model\.save_weights\('NAME"):
        pretrained.load_weights(network(), whole, "a small network")
    zeros = network()
    zeros.set_weights([0 * array for array in zeros.get_weights()])
    zeros.save_weights(file)
    with pytest.raises(InputError, match="has NaN or zeros alone for dense.*expected a small network"):
        pretrained.load_weights(network(), file, "a small network")


def test_another_network_is_refused_before_anything_is_loaded(file):
    inputs = keras.Input((4,))
    other = keras.Model(inputs, keras.layers.Dense(3)(inputs))
    before = other.get_weights()
    with pytest.raises(InputError, match="holds 6 arrays; expected the 2 of one layer"):
        pretrained.load_weights(other, file, "one layer")
    assert all(np.array_equal(a, b) for a, b in zip(before, other.get_weights(), strict=True))
    with pytest.raises(InputError, match="doesn't fit"):
        pretrained.load_weights(network(units=5), file, "five units")


def test_damaged_imagenet_file_in_a_folder_is_refused(monkeypatch, tmp_path):
    (tmp_path / pretrained.INCEPTION_V3.name).write_bytes(b"cut off")
    monkeypatch.setenv(pretrained.FOLDERS, str(tmp_path))
    with pytest.raises(InputError, match=rf"\(7 bytes\) has the MD5 \w+; expected {pretrained.INCEPTION_V3.md5}"):
        pretrained.imagenet_file(pretrained.INCEPTION_V3)


def test_arrays_that_keras_would_leave_out_with_a_warning_are_missed(file):
    """A file of as many arrays whose names are others."""
    with h5py.File(file, "a") as data:
        (name,) = [name for name in data["layers"] if name.startswith("dense")]
        data.move(f"layers/{name}", "layers/elsewhere")
    with pytest.raises(InputError, match=r"\(\d+ bytes\) .*; expected a small network"):
        pretrained.load_weights(network(), file, "a small network")


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
    content, requests = bytes(range(256)) * 100, []

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:9000])
            time.sleep(0.5)
            self.wfile.write(content[9000:])

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(pretrained, "_KERAS_URL", f"http://127.0.0.1:{server.server_port}")
    network = dataclasses.replace(pretrained.INCEPTION_V3, md5=hashlib.md5(content).hexdigest())
    try:
        with ThreadPoolExecutor(2) as pool:
            places = list(pool.map(pretrained.imagenet_file, [network, network]))
    finally:
        server.shutdown()
        server.server_close()
    assert [place.read_bytes() for place in places] == [content, content]
    assert requests == [f"/{network.folder}/{network.name}"]


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
