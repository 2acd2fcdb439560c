"""`folder:PATH`: photographs in one subfolder per class (section C.1 of the paper; Deviation: D10).

The rules, each so that no picture gets in or stays out unseen:
- A class is a subfolder of PATH; the folder's name (NFC-normalized) is the class name. Classes are sorted by plain
  code-point order: `1`, `10`, `2`, `B`, `a`.
- Pictures lie directly in their class folder, sorted the same way. A folder inside a class folder counts as a bad
  file: read recursively, a PATH with `train` and `test` inside would quietly become a set of two classes so named.
- Hidden names (a leading dot, and `Thumbs.db`, `desktop.ini`, `__MACOSX`, `@eaDir` in any case) are never a class or a
  picture.
- Any other file in a class folder that is no picture by its extension (in any letter case) is a bad file and listed: a
  photograph of a kind that we don't read must not vanish silently. So is a picture beside the class folders, which has
  no class; other files there (a licence, a table of labels) are not looked at.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pir_tf.data.reading import Picture, printable, read_images, select_classes
from pir_tf.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")
KINDS = ", ".join(EXTENSIONS[:-1]) + " or " + EXTENSIONS[-1]
HIDDEN = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")


def load(
    path: str | os.PathLike[str],
    *,
    image_size: int,
    classes: Sequence[str] = (),
    split: str = "train",
    on_bad_file: str = "stop",
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Reads every picture of the chosen classes: images, labels and class names as of `ImageSet`.

    The arguments are those of `sources.load`; a folder has only the split "train".
    """
    source = f"folder:{printable(path)}"
    if split != "train":
        raise InputError(f"split {split!r} received for {source}, but a folder has no splits: name another folder")
    root = Path(path).expanduser()
    folders, loose = _class_folders(root, source)
    kept = select_classes(list(folders), classes, source)

    pictures: list[Picture] = []
    problems = [f"{printable(file)}: it lies beside the class folders, so it has no class" for file in loose]
    empty = []
    for label, class_name in enumerate(kept):
        found, bad = _class_pictures(folders[class_name], label)
        if not found and not bad:
            empty.append(class_name)
        pictures += found
        problems += bad
    if empty:
        raise InputError(
            f"class folder {', '.join(map(repr, empty))} of {source} has no images; "
            f"fill it with {KINDS} files, remove it, or leave that class out with --data.classes"
        )
    images, labels = read_images(
        pictures, image_size=image_size, on_bad_file=on_bad_file, source=source, problems=problems
    )
    return images, labels, kept


def _class_folders(root: Path, source: str) -> tuple[dict[str, Path], list[Path]]:
    """The class folders by name, in class order, and the picture files that lie beside them."""
    if not root.is_dir():
        wrong = "is a file" if root.exists() else "does not exist"
        raise InputError(f"{source} {wrong}; expected a folder with one subfolder per class")
    folders: dict[str, Path] = {}
    loose = []
    for entry in _visible(root):
        if entry.is_dir():
            name = unicodedata.normalize("NFC", entry.name)
            if name != printable(name):
                raise InputError(f"class folder {printable(entry)} has a name that is not UTF-8; rename it")
            if name in folders:
                raise InputError(f"{source} has two class folders that read {name!r}; rename or merge one of them")
            folders[name] = entry
        elif entry.suffix.lower() in EXTENSIONS:
            loose.append(entry)
    if not folders:
        found = f"{len(loose)} images directly in it" if loose else "no subfolders"
        raise InputError(
            f"{source} has {found}; expected one subfolder per class with its images, "
            "for example PATH/coast/1.jpg and PATH/mountain/1.jpg"
        )
    return dict(sorted(folders.items())), loose


def _class_pictures(folder: Path, label: int) -> tuple[list[Picture], list[str]]:
    """A class folder's pictures in order, and a line for everything else in it."""
    pictures, problems = [], []
    for entry in _visible(folder):
        if entry.is_dir():
            problem = "it is a folder inside a class folder; images lie directly in their class folder"
        elif entry.suffix.lower() not in EXTENSIONS:
            problem = f"it is no picture by its extension (expected {KINDS})"
        elif not entry.is_file():  # opening a pipe would wait for ever
            problem = "it is a broken link or not a regular file"
        else:
            pictures.append(Picture(printable(entry), entry, label))
            continue
        problems.append(f"{printable(entry)}: {problem}")
    return pictures, problems


def _visible(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except OSError as error:
        raise InputError(
            f"folder {printable(folder)} can't be read ({error.strerror}); check its permissions"
        ) from error
    return [folder / name for name in sorted(names) if not name.startswith(".") and name.lower() not in HIDDEN]
