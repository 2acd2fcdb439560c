"""Files of pretrained weights: found, checked and loaded whole, or refused in one sentence (2.3, D4).

A file is looked for where its name says and then, by its base name, in the folders of the environment variable
`PIR_TF_WEIGHTS`. If a file `NAME.sha256` lies beside it, its first word is the SHA-256 that the file must have.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import warnings
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from pir_tf.errors import InputError

FOLDERS = "PIR_TF_WEIGHTS"
IMAGENET_NAME = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
IMAGENET_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{IMAGENET_NAME}"
IMAGENET_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"  # the checksum that Keras publishes with that file


def find_weights(name: str | os.PathLike[str]) -> Path:
    """The file of that name, as given or in a folder of `PIR_TF_WEIGHTS`, after its checksum.

    Args:
        name: A path, or a base name.

    Returns:
        The path of an existing file.

    Raises:
        InputError: If no such file exists, or a `.sha256` beside it names another checksum.
    """
    given = Path(name).expanduser()
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
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def imagenet_file() -> Path:
    """InceptionV3's ImageNet weights without top: from `PIR_TF_WEIGHTS`, Keras's cache, or Keras's download.

    Raises:
        InputError: If the file in `PIR_TF_WEIGHTS` is damaged, or there is neither a file nor a network.

    Source: 2.3.

    Deviation: D4, the paper's weights are not released.
    """
    for folder in _folders():
        place = folder / IMAGENET_NAME
        if place.is_file():
            with open(place, "rb") as file:
                found = hashlib.file_digest(file, "md5").hexdigest()
            if found != IMAGENET_MD5:
                raise InputError(
                    f"{place} ({place.stat().st_size} bytes) has the MD5 {found}; expected {IMAGENET_MD5}, Keras's "
                    "own: delete the file and copy or download it again."
                )
            return place
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")  # Keras has no public name for it
    try:
        with network_timeout():
            return Path(
                keras.utils.get_file(
                    IMAGENET_NAME, IMAGENET_URL, cache_dir=home, file_hash=IMAGENET_MD5, cache_subdir="models"
                )
            )
    except Exception as error:  # without a network, get_file raises a bare Exception
        raise InputError(
            f"InceptionV3's ImageNet weights can't be downloaded ({one_line(error)}); expected a network, or the file "
            f"{IMAGENET_NAME} in {home / 'models'} or in a folder of ${FOLDERS}: place it "
            "there, or choose --estimator.weights file:PATH."
        ) from error


def load_weights(model: keras.Model, path: str | os.PathLike[str], expected: str) -> None:
    """Puts a file's arrays into the model, all of them or none.

    Args:
        model: A built model.
        path: A file that Keras wrote, `.weights.h5` or the older `.h5`.
        expected: What the file should hold, in words, for messages.

    Raises:
        InputError: If the file is damaged or holds another network; the model is then not to be used.
    """
    path = Path(path)
    size = f"{path.stat().st_size} bytes" if path.is_file() else "no file"
    try:
        found = _count_arrays(path)
    except OSError as error:
        raise InputError(
            f"{path} ({size}) can't be read as HDF5 ({one_line(error)}); expected {expected}: the file is cut off or "
            "no weights file, so copy or download it again."
        ) from error
    advice = "name the file of that network in --estimator.weights."
    if found != len(model.weights):
        raise InputError(
            f"{path} ({size}) holds {found} arrays; expected the {len(model.weights)} of {expected}: {advice}"
        )
    for weight in model.weights:  # Keras only warns of some arrays that it doesn't find: they would stay NaN
        weight.assign(np.full(weight.shape, np.nan))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            model.load_weights(path)
    except (ValueError, KeyError, OSError) as error:
        raise InputError(f"{path} ({size}) doesn't fit ({one_line(error)}); expected {expected}: {advice}") from error
    missing = [weight.path for weight in model.weights if np.isnan(keras.ops.convert_to_numpy(weight)).any()]
    if missing:
        raise InputError(
            f"{path} ({size}) has no finite values for {missing[0]} and {len(missing) - 1} other arrays; expected "
            f"{expected}: {advice}"
        )


def _count_arrays(path: Path) -> int:
    """Arrays of weights in an HDF5 file, without those of an optimizer."""
    names: list[str] = []
    with h5py.File(path, "r") as file:
        file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return sum(not name.startswith(("optimizer", "_optimizer")) for name in names)


def _check_sha256(path: Path) -> None:
    beside = path.with_name(path.name + ".sha256")
    if not beside.is_file():
        return
    words = beside.read_text(encoding="utf-8", errors="replace").split()
    expected, found = (words[0].lower() if words else ""), sha256(path)
    if found != expected:
        raise InputError(
            f"{path} ({path.stat().st_size} bytes) has the SHA-256 {found}; expected {expected!r}, which {beside.name} "
            "names: copy or download the file again."
        )


def _folders() -> list[Path]:
    return [Path(folder).expanduser() for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]


@contextlib.contextmanager
def network_timeout() -> Iterator[None]:
    """Ends a download that stands still after half a minute: those who download here set no limit of their own."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30.0)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def one_line(error: BaseException) -> str:
    """The start of an error's text on one line, for use within a sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
