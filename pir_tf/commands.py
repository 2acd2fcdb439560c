"""What every command shares: refusals in one sentence, and how they are said."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from pir_tf.errors import InputError


class Parser(argparse.ArgumentParser):
    """A parser whose refusals are one sentence, as an `InputError`, for commands that aren't made from a dataclass."""

    def error(self, message: str) -> NoReturn:
        """Refuses the command line."""
        raise InputError(f"{message[:1].upper()}{message[1:]}: see {self.prog} --help.")


def use_one_blas_thread() -> None:
    """Lets NumPy multiply in one thread, unless the environment says otherwise; before NumPy is imported.

    The products here are many and small: more threads only wait for each other, 12 times as long on a busy machine.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def fail(message: str) -> None:
    """Says a user's mistake."""
    print(f"Error: {message}", file=sys.stderr)


def exit_code(command: Callable[[], int | None], otherwise: str) -> int:
    """Runs a command, with a user's mistake and what the machine refuses said in one sentence.

    Args:
        command: what is done; None is 0.
        otherwise: what to choose where a place can't be used (`another place with --to`).

    Returns:
        The command's own code, or 2 after such a sentence.
    """
    try:
        return command() or 0
    except InputError as error:
        fail(str(error))
    except OSError as error:
        place, why = error.filename or "The disk", error.strerror or error
        fail(f"{place} can't be used ({why}): mend that, or choose {otherwise}.")
    return 2
