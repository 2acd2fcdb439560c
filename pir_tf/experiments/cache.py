"""What runs would compute again, kept in a directory that they share: image sets, VGG16's energies, features.

A run uses it only where it is told of one (`RunDirectory.cache`, from the environment variable `PIR_TF_CACHE`). An entry's
name is the hash of its key, which holds everything that it was made from. All of it may be deleted at any time, and should be
after an update of this package or of TensorFlow, which may round otherwise. Unfinished entries of killed processes are removed
after a day: another process may be writing now.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.errors import InputError
from pir_tf.runs.arrays import DAMAGE, read_arrays
from pir_tf.runs.directory import atomic

_LEFTOVER = re.compile(r"\..+-[0-9a-f]{64}\.[0-9a-f]+\.partial\.npz")
_DAY = 24 * 60 * 60.0


def cached(
    cache: Path | None, kind: str, key: dict[str, Any], make: Callable[[], dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """What `make` returns, read from the cache where it is there and whole, else made and left there: equal to the last bit.

    Args:
        cache: the cache's directory; with None nothing is read or left.
        kind: what the arrays are, a word that begins the file's name.
        key: everything that they depend on, as JSON can hold it.
        make: makes arrays by name.

    Raises:
        InputError: the cache can't be written.
    """
    if cache is None:
        return make()
    canonical = json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False)
    path = cache / f"{kind}-{hashlib.sha256(canonical.encode()).hexdigest()}.npz"
    found = _read(path)
    if found is not None:
        return found
    with _explained(cache):
        cache.mkdir(parents=True, exist_ok=True)
        if not os.access(cache, os.W_OK | os.X_OK):  # said before anything is computed
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(cache))
    made = make()
    with _explained(cache):
        _remove_leftovers(cache)
        with atomic(path) as beside:
            np.savez(beside, **made)  # type: ignore[arg-type]
    return made


@contextlib.contextmanager
def _explained(cache: Path) -> Iterator[None]:
    """Turns the machine's refusals into one sentence about the cache, which is not the run's."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"The environment variable PIR_TF_CACHE names {cache}, which can't be written ({error.strerror or error}), expected "
            "a directory with free space, there or not yet: mend it, name another, or unset the variable, and repeat the command."
        ) from error


def _remove_leftovers(cache: Path) -> None:
    """Removes unfinished entries of more than a day ago, and nothing else, whatever directory it is."""
    for path in cache.glob(".*"):
        if _LEFTOVER.fullmatch(path.name):
            with contextlib.suppress(OSError):  # another process removed it, or it is another user's
                if path.stat().st_mtime < time.time() - _DAY:
                    path.unlink()


def _read(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of an entry, None if it is absent or damaged."""
    try:
        return read_arrays(path)
    except DAMAGE:
        return None


class Rows:
    """Rows that were computed from single images, by the image, so that no image is computed twice in a process."""

    def __init__(self) -> None:
        self._rows: dict[str, np.ndarray] = {}

    def of(self, images: np.ndarray, make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
        """The images' rows `[n, ...]`; `make` turns those images that are new, in their order, into theirs."""
        ids = [digest(image) for image in images]
        new = [place for place, name in enumerate(ids) if name not in self._rows]
        if new or not ids:
            made = make(images if len(new) == len(ids) else images[new])
            if not ids:
                return made
            self._rows.update(zip((ids[place] for place in new), made, strict=True))
        return np.stack([self._rows[name] for name in ids])


def digest(*arrays: np.ndarray) -> str:
    """SHA-256 of arrays, their types and shapes: their name in a key."""
    found = hashlib.sha256()
    for array in arrays:
        found.update(f"{array.dtype.str}{array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()
