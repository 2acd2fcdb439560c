"""Arrays of an `.npz`, all or none."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.errors import InputError

DAMAGE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged `.npz` raises, by where the damage is."""


def read_arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a file, once all its checksums hold.

    NumPy parses an array's header before its checksum, and reads as many bytes as that says: of a damaged one it makes other
    values, without reaching the checksum.

    Raises:
        One of `DAMAGE`: It can't be read, or is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise zipfile.BadZipFile(f"{damaged} isn't what was written")
    with np.load(path, allow_pickle=False) as stored:
        return dict(stored)


def require_arrays(path: Path, otherwise: str) -> dict[str, np.ndarray[Any, Any]]:
    """All arrays of a file that somebody needs.

    Raises:
        InputError: It can't be read, or is damaged, with what to do otherwise.
    """
    try:
        return read_arrays(path)
    except DAMAGE as error:
        raise InputError(f"{path} can't be read ({error}): {otherwise}.") from error
