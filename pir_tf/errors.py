"""The one exception that stands for a user's mistake.

Everything that a user can get wrong (a field, a file, a count) raises `InputError` with one sentence that names what was
received, what was expected and what to do. The command line prints that sentence and exits with code 2. What isn't a user's
mistake and has a sentence too (training that diverged, a process or a server that is gone, a full disk) is said by its command;
any other exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PLACE = (
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR),
    *(errno.ENAMETOOLONG, errno.ELOOP),
)
"""What says that a place can't be used, rather than that the machine is broken."""


class Unavailable(Exception):
    """The database can't take rows now (full disk, no connection); nothing of the job is stored, and it may be tried again."""


class InputError(ValueError):
    """A user's mistake, said in one sentence: what was received, what was expected, what to do."""


def differences(there: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> str:
    """The part of a sentence that names what differs, with both values; what a side lacks is None."""
    return ", ".join(f"{name} ({there.get(name)!r} there, {now.get(name)!r} now)" for name in names)


@contextlib.contextmanager
def explain_os_errors(path: Path) -> Iterator[None]:
    """Turns what the machine refuses below `path` (no permission, no such place, disk full) into one sentence."""
    try:
        yield
    except Exception as error:
        if is_full_disk(error):
            raise InputError(
                f"The disk is full while writing to {path}; what was finished is whole: free some space and repeat the command."
            ) from error
        if isinstance(error, OSError) and error.errno in _PLACE:
            raise InputError(
                f"{error.filename or path} can't be used ({error.strerror}): mend that, or choose another --run-dir."
            ) from error
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


def one_line(error: BaseException) -> str:
    """The start of an error's text on one line, for use within a sentence."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", " ".join(str(error).split())).rstrip(".") or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
