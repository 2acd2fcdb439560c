"""What goes to the server is checked here first, so that a mistake is a sentence about the caller's own argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pir_tf.errors import InputError
from pir_tf.serving.endpoints import Values


def integers(argument: str, values: Any, dtype: type) -> np.ndarray:
    """Whole numbers [n] of the signature's type.

    Args:
        argument: what messages call them.
        values: a sequence of integers; floats are refused, since a seed of 1.5 is nobody's intention.
        dtype: np.int64 or np.int32.

    Raises:
        InputError: something else, none at all, or a number that the type can't hold.
    """
    try:
        array = np.asarray(values)
        whole = array.ndim == 1 and array.dtype.kind in "iu"
    except (ValueError, OverflowError):
        whole = False
    if not whole or not len(array):
        raise InputError(
            f"{argument} received {_shown(values)}, expected a list of at least one whole number: change it."
        )
    limits = np.iinfo(dtype)
    if array.min() < limits.min or array.max() > limits.max:
        worst = array.max() if array.max() > limits.max else array.min()
        raise InputError(f"{argument} has {worst}, expected numbers from {limits.min} to {limits.max}: change it.")
    return array.astype(dtype)


def latents(values: Any) -> np.ndarray:
    """Latent vectors as float32 [n, size].

    Raises:
        InputError: another shape or type, none at all, or numbers that are not finite.
    """
    array = np.asarray(values)
    if array.ndim != 2 or array.dtype.kind != "f" or 0 in array.shape:
        received = f"{array.dtype} values of shape {list(array.shape)}"
        raise InputError(f"latent received {received}, expected floats [n, latent size]: change it.")
    with np.errstate(over="ignore"):
        array = array.astype(np.float32)
    if not np.isfinite(array).all():  # after the conversion: a large float64 becomes infinite by it
        raise InputError("latent has NaN or infinite values, expected finite float32 ones: change it.")
    return array


def files(images: Sequence[bytes]) -> list[bytes]:
    """PNG files [n].

    Raises:
        InputError: no list of bytes, or an empty one. Whether the bytes are an image is for the server to say.
    """
    # bytes are a sequence too, of numbers: one image alone would be taken apart.
    if isinstance(images, bytes | bytearray | str) or not len(images):
        raise InputError(f"images received {_shown(images)}, expected a list of at least one file's bytes: change it.")
    for place, image in enumerate(images):
        if not isinstance(image, bytes | bytearray) or not image:
            raise InputError(
                f"images has {_shown(image)} at place {place}, expected the bytes of a PNG file: change it."
            )
    return [bytes(image) for image in images]


def together(*, class_id: Any, **inputs: np.ndarray) -> dict[str, Values]:
    """Inputs and the class of each row; one class stands for all.

    Raises:
        InputError: as many classes as there are rows were not given, or one is negative. How many classes there are is the
            server's to say.
    """
    ((name, rows),) = inputs.items()
    one = isinstance(class_id, int | np.integer) and not isinstance(class_id, bool)
    classes = integers("class_ids", [class_id] * len(rows) if one else class_id, np.int32)
    if len(classes) != len(rows):
        raise InputError(
            f"class_ids has {len(classes)} numbers and {name} {len(rows)}, expected as many of both: change one."
        )
    if classes.min() < 0:
        raise InputError(f"class_ids has {classes.min()}, expected 0 or more: change it.")
    return {name: rows, "class_id": classes}


def require_settings(model: str, deadline: float) -> None:
    """Raises `InputError` for a model without a name, or a deadline that is no time."""
    if not model:
        raise InputError("The model's name is empty, expected the one in the server's configuration: give it.")
    if not 0 < deadline < float("inf"):
        raise InputError(f"The deadline is {deadline!r}, expected seconds above 0: change it.")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
