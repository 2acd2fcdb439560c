"""Keras models that a run's stages saved, loaded whole or refused in one sentence."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from pir_tf.errors import InputError, one_line

if TYPE_CHECKING:
    import keras


def load_model(path: Path) -> keras.Model:
    """A `.keras` file that a stage saved, in safe mode and not compiled.

    Raises:
        InputError: it is missing or damaged.
    """
    import keras

    try:
        with open(path, "rb") as file:
            whole = zipfile.is_zipfile(file)
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        raise unusable(path, "no such file") from error
    if not whole:  # of which Keras says that it isn't there
        raise unusable(path, f"{path.stat().st_size} bytes, cut off or no Keras file")
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # damage shows as many types
        if isinstance(error, MemoryError) or type(error).__module__.startswith("tensorflow"):
            raise  # a machine that is too small says nothing of the file
        raise unusable(path, one_line(error)) from error


def unusable(path: Path, reason: str) -> InputError:
    """The refusal of what a stage wrote into its folder and can write again."""
    done = path.parent / "done.json"
    again = f"remove {done} to make it again" if done.exists() else "run the stage that writes it"
    return InputError(f"{path} is missing or damaged ({reason}): restore it, or {again}.")
