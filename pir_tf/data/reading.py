"""What every source of photographs shares: the class filter, and reading pictures with a policy for bad files (C.1)."""

from __future__ import annotations

import difflib
import itertools
import threading
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pir_tf import images
from pir_tf.errors import InputError

THREADS = 4  # Pillow decodes outside Python's lock; more threads would mostly hold more full-size photographs in memory
CHUNK = 64  # pictures in flight; a TFDS set is never held encoded as a whole
SHOWN_NAMES = 30


class Picture(NamedTuple):
    """An encoded picture: the name that messages use, its bytes or path, and its class index."""

    name: str
    content: bytes | Path
    label: int


def printable(text: object) -> str:
    """Text that any terminal and file takes: bytes of a file name that are not UTF-8 are shown escaped."""
    return str(text).encode("utf-8", "backslashreplace").decode("utf-8")


def select_classes(available: Sequence[str], wanted: Sequence[str], source: str) -> tuple[str, ...]:
    """The wanted of the available class names, all where none is wanted: the order is always the source's own."""
    names = {unicodedata.normalize("NFC", name) for name in wanted}
    unknown = sorted(names.difference(available))
    if unknown:
        close = [match for name in unknown for match in difflib.get_close_matches(name, available, n=3)]
        shown = list(available) if len(available) <= SHOWN_NAMES else [*dict.fromkeys(close), "..."]
        raise InputError(
            f"{source} has no class {', '.join(map(repr, unknown))}; "
            f"its {len(available)} classes are {', '.join(shown)}; choose from those"
        )
    return tuple(name for name in available if not names or name in names)


def read_images(
    pictures: Iterable[Picture], *, image_size: int, on_bad_file: str, source: str, problems: Sequence[str] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes every picture, in order, to one centred square; all bad ones are found before anything is trained.

    Args:
        pictures: the encoded pictures.
        image_size: side of the result, in pixels.
        on_bad_file: "stop" raises with the list of all bad files, "skip" warns with the same list and goes on.
        source: what messages call the source.
        problems: lines about files that the source itself already refused.

    Returns:
        uint8 images [n, image_size, image_size, 3], in [0, 255], and int32 labels [n].
    """
    if on_bad_file not in ("stop", "skip"):
        raise InputError(f'on_bad_file is {on_bad_file!r}, expected "stop" or "skip"')
    reading, noted = threading.local(), list[str]()
    show = warnings.showwarning

    def prepare(picture: Picture) -> np.ndarray | str:
        reading.name = printable(picture.name)
        try:
            whole = images.decode(picture.content, name=picture.name)
        except images.BadImage as error:
            return f"{reading.name}: {printable(error.reason)}"
        return images.center_crop_resize(whole, image_size)

    def note(message: Any, *where: Any, **more: Any) -> None:  # Pillow's warnings don't say of which file they are
        if hasattr(reading, "name"):
            noted.append(f"{reading.name}: {message}")
        else:
            show(message, *where, **more)

    kept, labels, bad = [], [], list(problems)
    with warnings.catch_warnings(), ThreadPoolExecutor(THREADS) as pool:
        warnings.filterwarnings("always", module=r"PIL\.")
        warnings.showwarning = note
        iterator = iter(pictures)
        while chunk := list(itertools.islice(iterator, CHUNK)):
            for picture, result in zip(chunk, pool.map(prepare, chunk), strict=True):
                if isinstance(result, str):
                    bad.append(result)
                else:
                    kept.append(result)
                    labels.append(picture.label)
    total = len(kept) + len(bad)
    if bad and on_bad_file == "stop":
        raise InputError(
            f"{len(bad)} of {total} files of {source} can't be used; repair or remove them, or leave them out with "
            f"--data.on-bad-file skip:{_listed(bad)}"
        )
    if bad:
        warnings.warn(f"{len(bad)} of {total} files of {source} are left out:{_listed(bad)}", stacklevel=2)
    if noted:
        warnings.warn(f"{len(noted)} of {total} files of {source} are odd, but used:{_listed(noted)}", stacklevel=2)
    shape = (len(kept), image_size, image_size, 3)
    return np.array(kept, dtype=np.uint8).reshape(shape), np.array(labels, dtype=np.int32)


def _listed(lines: Sequence[str]) -> str:
    return "".join(f"\n  {line}" for line in lines)
