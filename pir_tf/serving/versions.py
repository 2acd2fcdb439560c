"""A model's folder of numbered versions: a number appears only when its version is whole.

The server loads every subfolder whose name is a number and ignores all others, so a version is written under another name
and renamed at the end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

from pir_tf.errors import InputError
from pir_tf.runs.directory import synchronise_folder

UNFINISHED = ".unfinished-"
"""With twelve hexadecimal digits behind it, the name of a version that is being written."""


@contextlib.contextmanager
def unfinished_version(model: Path) -> Iterator[Path]:
    """An empty folder in the model's, gone when the block ends unless `publish` has renamed it.

    While the block runs, the folder is locked; those without a lock were left by exports that were killed, and are removed.

    Raises:
        InputError: the model's folder is itself named like a version, or is no folder.
    """
    if model.resolve().name.isdecimal():
        raise InputError(
            f"The model's folder is {model}, whose name is a number, expected a name: versions are numbered inside it."
        )
    if model.exists() and not model.is_dir():
        raise InputError(f"{model} is a file, expected the model's folder: choose another place with --to.")
    model.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(model)
    folder, lock = _locked_folder(model)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def publish(folder: Path) -> Path:
    """Renames a whole version to the next free number beside it. Of two that are published at once each gets its own."""
    synchronise_folder(folder)  # every file is on the disk before the name that says so
    while True:
        numbers = [int(path.name) for path in folder.parent.iterdir() if path.name.isdecimal()]
        target = folder.with_name(str(max(numbers, default=0) + 1))
        if renamed(folder, target):
            return target


def renamed(folder: Path, target: Path) -> bool:
    """Renames a folder unless another has taken the name: one with content is never replaced."""
    try:
        os.rename(folder, target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _locked_folder(model: Path) -> tuple[Path, int]:
    """A new folder and the open descriptor that locks it."""
    while True:
        folder = model / f"{UNFINISHED}{uuid.uuid4().hex[:12]}"
        folder.mkdir()
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # taken for a leftover before it was opened
            continue
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # taken for a leftover before it was locked


def _remove_leftovers(model: Path) -> None:
    for folder in model.glob(UNFINISHED + 12 * "[0-9a-f]"):
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)
