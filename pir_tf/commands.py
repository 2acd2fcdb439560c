"""What every command shares: refusals in one sentence, and how they are said."""

from __future__ import annotations

import argparse
import os
import sys
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
