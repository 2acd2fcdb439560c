"""Files of pretrained weights: found, checked and loaded whole, or refused in one sentence (2.3, 3.1, D4).

A file is looked for where its name says and then, by its base name, in the folders of the environment variable
`PIR_TF_WEIGHTS`. If a file `NAME.sha256` lies beside it, its first word is the SHA-256 that the file must have.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import os
import re
import socket
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from pir_tf.commands import user_path
from pir_tf.errors import InputError, one_line

if TYPE_CHECKING:
    import keras

FOLDERS = "PIR_TF_WEIGHTS"
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"


@dataclasses.dataclass(frozen=True)
class ImageNetFile:
    """A file of ImageNet weights that Keras publishes."""

    called: str  # the network, in words
    folder: str  # at Keras's address
    part: str  # of the file's name
    md5: str

    @property
    def name(self) -> str:
        """In Keras's cache."""
        return f"{self.folder}_weights_tf_dim_ordering_tf_kernels{self.part}.h5"

    @property
    def url(self) -> str:
        """Where Keras gets it from."""
        return f"{_KERAS_URL}/{self.folder}/{self.name}"


INCEPTION_V3 = ImageNetFile("InceptionV3", "inception_v3", "_notop", "bcbd6486424b2319ff4ef7d526e38f63")
VGG16 = ImageNetFile("VGG16", "vgg16", "", "64373286793e3c8b2b4e3219cbf3544b")
VGG16_NO_TOP = ImageNetFile("VGG16", "vgg16", "_notop", "6d6bbae143d832006294945121d1f1fc")
"""The convolutions alone."""


def find_weights(name: str | os.PathLike[str]) -> Path:
    """The file at that path, or of its base name in a folder of `PIR_TF_WEIGHTS`, after its checksum."""
    given = user_path(os.fspath(name))
    places = [given, *(folder / given.name for folder in _folders())]
    for place in places:
        if place.is_file():
            _check_sha256(place)
            return place
    raise InputError(
        f"The weights file {os.fspath(name)!r} is not at {', '.join(map(str, places))}; expected an HDF5 file of Keras "
        f"weights: correct the path, or place the file in a folder and name that folder in ${FOLDERS}."
    )


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 of a file, 64 hexadecimal digits: the name of the weights in a run's records."""
    return _digest(path, "sha256")


def imagenet_file(network: ImageNetFile, *, option: str = "estimator.weights") -> Path:
    """A network's ImageNet weights: from `PIR_TF_WEIGHTS`, Keras's cache, or Keras's download.

    Args:
        network: One of this module's constants.
        option: The config's field that asks for them, for messages.

    Source: 2.3, 3.1. Deviation: D4, the paper's weights of the estimator are not released.
    """
    import keras  # not with this module: a sweep only looks for files

    for place in (folder / network.name for folder in _folders()):
        if not place.is_file():
            continue
        if (found := _digest(place, "md5")) != network.md5:
            raise InputError(
                f"{_sized(place)} has the MD5 {found}; expected {network.md5}, Keras's own: delete the file and copy or "
                "download it again."
            )
        return place
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")  # Keras has no public name for it
    options = {"cache_dir": home, "cache_subdir": "models", "file_hash": network.md5}
    try:
        with _alone_with(network, home), network_timeout():
            return Path(keras.utils.get_file(network.name, network.url, **options))
    except Exception as error:  # without a network, get_file raises a bare Exception
        raise InputError(
            f"{network.called}'s ImageNet weights can't be downloaded ({one_line(error)}); expected a network, or the "
            f"file {network.name} in {home / 'models'} or in a folder of ${FOLDERS}: place it there, or choose "
            f"--{option} file:PATH."
        ) from error


def load_weights(
    model: keras.Model, path: str | os.PathLike[str], expected: str, *, option: str = "estimator.weights"
) -> None:
    """Puts a file's arrays into the model, all of them or none.

    Args:
        model: A built model.
        path: A file that Keras wrote, `.weights.h5` or the older `.h5`.
        expected: What the file should hold, in words, for messages.
        option: The config's field that named it, for messages.

    Raises:
        InputError: If the file is damaged or holds another network; the model is then not to be used.
    """
    path, advice = Path(path), f"name the file of that network in --{option}."
    found = count_arrays(path, expected)
    if found != len(model.weights):
        raise InputError(
            f"{_sized(path)} holds {found} arrays; expected the {len(model.weights)} of {expected}: {advice}"
        )
    for weight in model.weights:  # Keras only warns of some arrays that it doesn't find: they would stay NaN
        weight.assign(np.full(weight.shape, np.nan))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{_sized(path)} doesn't fit ({one_line(error)}); expected {expected}: {advice}") from error
    arrays = {weight.path: np.asarray(weight) for weight in model.weights}
    missing = [name for name, array in arrays.items() if np.isnan(array).any() or (array.ndim > 1 and not array.any())]
    if missing:
        raise InputError(
            f"{_sized(path)} has NaN or zeros alone for {missing[0]} and {len(missing) - 1} other arrays; expected "
            f"{expected}: {advice}"
        )


def count_arrays(path: str | os.PathLike[str], expected: str) -> int:
    """Arrays of weights in an HDF5 file, without those of an optimizer; `expected` says in words what it should hold."""
    path, names = Path(path), list[str]()
    if zipfile.is_zipfile(path):
        raise InputError(
            f"{_sized(path)} is a zip archive, as of a whole model (.keras); expected the weights of {expected} as HDF5: load "
            "it where it was made and save them with model.save_weights('NAME.weights.h5')."
        )
    try:
        with h5py.File(path, "r") as file:
            file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    except OSError as error:
        raise InputError(
            f"{_sized(path)} can't be read as HDF5 ({one_line(error)}); expected {expected}: the file is cut off or no "
            "weights file, so copy or download it again."
        ) from error
    return sum(not name.startswith(("optimizer", "_optimizer")) for name in names)


def _digest(path: str | os.PathLike[str], kind: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _sized(path: Path) -> str:
    return f"{path} ({path.stat().st_size} bytes)" if path.is_file() else f"{path} (no file)"


def _check_sha256(path: Path) -> None:
    beside = path.with_name(path.name + ".sha256")
    if not beside.is_file():
        return
    expected = (beside.read_text(encoding="utf-8-sig", errors="replace").split() or [""])[0].lower()
    if not re.fullmatch(r"[0-9a-f]{64}", expected):
        raise InputError(
            f"{beside} begins with {expected[:80]!r}, expected a SHA-256 of 64 hexadecimal digits in UTF-8: write it anew, or "
            "remove it."
        )
    if (found := sha256(path)) != expected:
        raise InputError(
            f"{_sized(path)} has the SHA-256 {found}; expected {expected!r}, which {beside.name} names: copy or download the "
            "file again."
        )


def _folders() -> list[Path]:
    return [user_path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]


@contextlib.contextmanager
def _alone_with(network: ImageNetFile, home: Path) -> Iterator[None]:
    """Lets one process at a time look for a file of Keras's cache and download it; without a place for locks, all at once.

    Keras writes to the final name: two that download would cut off each other's file.
    """
    folder = home if os.access(home, os.W_OK) else Path(tempfile.gettempdir())  # as Keras itself chooses
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            lock = stack.enter_context(open(folder / f".{network.name}.lock", "a"))
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def network_timeout() -> Iterator[None]:
    """Ends a download that stands still after half a minute: those who download here set no limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30.0)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
