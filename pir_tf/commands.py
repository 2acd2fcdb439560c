"""What every command shares: settings of libraries that are no choice here, paths, and refusals in one sentence."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import functools
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

from pir_tf.errors import InputError, Unavailable

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence, as an `InputError`, for commands that aren't made from a dataclass."""

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise InputError(f"{message[:1].upper()}{message[1:].rstrip('.')}: see {self.prog} --help.")


class PathError(InputError, argparse.ArgumentTypeError):
    """A path that can't be meant; argparse keeps its words."""


def user_path(text: str) -> Path:
    """A path of the command line: `~` is the home folder, which the shell leaves alone behind `=` and `csv:`.

    Raises:
        InputError: it is empty, as an unset variable is, or names an unknown user's home.
    """
    if not text:
        raise PathError("A path is empty, perhaps from an unset variable: name a place, or `.` for the current folder.")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise PathError(f"{text} begins with a home folder that isn't known here: write out the whole path.") from None


def settle() -> None:
    """Sets what libraries would take from the user's own settings; before NumPy, Keras and matplotlib are imported.

    Keras's image data format follows its import, in `training.devices`.
    """
    # Products here are many and small: more threads only wait for each other, 12 times as long on a busy machine.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["MPLBACKEND"] = "agg"  # a notebook sets one that is known in it alone
    for name in ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):  # they would cut trainings short
        os.environ.pop(name, None)
    warnings.formatwarning = lambda message, *_, **__: f"Warning: {message}\n"
    for name in ("stdout", "stderr"):  # closed by `>&-`: what is said there goes nowhere
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)


def fail(message: str) -> None:
    """Says a user's mistake."""
    print(f"Error: {message}", file=sys.stderr)


def exit_code(command: Callable[[], int | None], otherwise: str) -> int:
    """Runs a command, with a user's mistake and what the machine refuses said in one sentence.

    Where a place can't be used that says what to choose `otherwise` (`another place with --to`).

    Returns:
        The command's own code, 0 for None; 2 after such a sentence; 141 where nobody reads what it prints any more.
    """
    settle()
    try:
        try:
            return command() or 0
        finally:
            sys.stdout.flush()  # what can't be written shows here, and not when Python ends
    except InputError as error:
        fail(str(error))
    except Unavailable as error:
        fail(f"The study's database can't be used now ({error}): mend that, and give the same command again.")
    except OSError as error:
        _drop_unwritten()
        if isinstance(error, BrokenPipeError):
            return 141
        place, why = error.filename or "The disk", error.strerror or error
        fail(f"{place} can't be used ({why}): mend that, or choose {otherwise}.")
    return 2


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Lets a long command go on when its terminal or pipe is gone."""
    with contextlib.redirect_stdout(_Lasting(sys.stdout)), contextlib.redirect_stderr(_Lasting(sys.stderr)):
        yield


class _Lasting:
    """A stream that writes to nowhere once nobody reads it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._tried(self._stream.write, text)

    def flush(self) -> None:
        self._tried(self._stream.flush)

    def _tried(self, do: Callable[..., Any], *words: str) -> Any:
        try:
            return do(*words)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise
            _to_nowhere(self._stream)
            return do(*words)


def _drop_unwritten() -> None:
    """Python would try again to write it when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        _to_nowhere(sys.stdout)


def _to_nowhere(stream: Any) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def end_with_parent() -> Callable[[], None] | None:
    """A `preexec_fn`: on Linux a child gets SIGTERM when its parent, this process, is gone, however it went."""
    return functools.partial(_end_with, os.getpid()) if _LIBC else None


def _end_with(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # type: ignore[union-attr]
    if os.getppid() != parent:  # it died before it could be watched
        os._exit(1)
