"""What the machine refuses, no permission or a full disk, as one sentence that says what is safe."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from pir_tf.errors import InputError

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def said_in_one_sentence(path: Path) -> Iterator[None]:
    """Turns the machine's refusals (no permission, disk full) into one sentence that says what is safe."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise InputError(
                f"The disk is full while writing to {path}; what was finished is whole: free some space and repeat the command."
            ) from error
        if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == errno.EROFS):
            raise InputError(
                f"{error.filename or path} can't be used (no permission): mend its permissions, or choose another --run-dir."
            ) from error
        if isinstance(error, FileExistsError | NotADirectoryError):
            raise InputError(f"{path} is no directory: choose another place with --run-dir.") from error
        raise


def is_full_disk(error: Exception) -> bool:
    """Whether an error means that a disk is full, or a user's share of it.

    TensorFlow's own writers say so by an error of the same class as a GPU that is out of memory; the system's words tell them
    apart. It is known by its name: nothing here imports TensorFlow.
    """
    if isinstance(error, OSError):
        return error.errno in _FULL
    words = [os.strerror(number) for number in _FULL]
    return type(error).__name__ == "ResourceExhaustedError" and any(word in str(error) for word in words)
