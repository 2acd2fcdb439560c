"""Files through which real people's interactions come in: a template to fill, and its strict reader (section 2.2).

A row is an image with the totals of its impressions and positives, not a single answer: the image is the unit of all
statistics. So a repeated row is refused rather than added up, and copying rows never makes a result more significant.
"""

import os
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.interactions.records import LARGEST, check_image_ids, read_table, whole_number

COUNTS = ["impressions", "positives"]
COLUMNS = ["image_id", *COUNTS]


class Ratings(NamedTuple):
    """The counts of each image, in the order of the image ids that were asked for; 0 where nobody rated it."""

    impressions: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]


def write_template(path: str | os.PathLike[str], image_ids: Sequence[str] | npt.NDArray[Any]) -> None:
    """Writes a CSV file with one row per image, the counts left empty for people to fill in.

    Raises:
        InputError: If the file exists already, which may hold answers, or an id can't be written.

    Source: section 2.2.
    """
    table = pd.DataFrame({"image_id": check_image_ids(image_ids), "impressions": "", "positives": ""})
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        table.to_csv(beside, index=False)
        try:
            # Unlike a rename, a hard link never replaces a file, even one that came up since a check.
            os.link(beside, path)
        except OSError:
            if os.path.lexists(path):
                raise InputError(
                    f"{path} exists already and may hold answers; expected a name that is free: fill in that file, or "
                    "move it away."
                ) from None
            os.replace(beside, path)  # a file system without hard links
    finally:
        beside.unlink(missing_ok=True)


def is_unfilled(path: str | os.PathLike[str]) -> bool:
    """Whether the file is there but each row's counts are empty or 0: the reason to wait for people, not an error.

    Raises:
        InputError: If the file exists but is not a table with the columns of the template.
    """
    if not os.path.lexists(path):
        return False
    cells = read_table(path, COLUMNS)[COUNTS].to_numpy().ravel()
    return all(not text or whole_number(text) == 0 for text in cells)


def read_ratings(path: str | os.PathLike[str], image_ids: Sequence[str] | npt.NDArray[Any]) -> Ratings:
    """Reads a filled template, or what spreadsheets make of it (see `read_table`).

    Rows may come in any order. A row that is missing, or whose two cells are empty, is an image that nobody rated.

    Args:
        path: The file, in UTF-8.
        image_ids: Names of the images that were to be rated, n distinct strings.

    Raises:
        InputError: If no image is rated (see `is_unfilled`), or a row is wrong: an unknown or repeated id, one of two cells
            empty, no whole number of 0 or more, or more positives than impressions.

    Source: section 2.2.
    """
    ids = check_image_ids(image_ids).tolist()
    table = read_table(path, COLUMNS)
    name, empty = table["image_id"], table[COUNTS] == ""
    rows = table.assign(first=name.index.to_series().groupby(name).transform("min"))

    def refuse(wrong: Any, said: str, expected: str) -> None:
        if wrong.any():
            line = wrong.idxmax()
            seen = said.format(**rows.loc[line])
            raise InputError(f"{path}, line {line} (image_id {name[line]!r}) {seen}; expected {expected}.")

    shown = f"one of the {len(ids)} images that were shown ({', '.join(ids[:2])}, ...), spelt alike"
    refuse(~name.isin(ids), "names no image", f"{shown}: correct the id or delete the row")
    once = "one row per image with its totals: keep one of the two rows"
    refuse(name.duplicated(), "repeats the id of line {first}", once)
    for column, other in zip(COUNTS, COUNTS[::-1], strict=True):
        both = "both counts or neither: fill it in, or empty the other one if nobody saw the image"
        refuse(empty[column] & ~empty[other], f"has an empty cell {column}", both)
        whole = f"a whole number of 0 or more (up to {LARGEST}), in digits alone: correct that cell"
        wrong = ~empty[column] & table[column].map(whole_number).isna()
        refuse(wrong, f"has {column} {{{column}!r}}", whole)
    counts = table[COUNTS].map(lambda text: whole_number(text) or 0).astype(np.int64)
    more = "no more positives than impressions: correct that row"
    said = "has {positives} positives in {impressions} impressions"
    refuse(counts["positives"] > counts["impressions"], said, more)
    if not counts["impressions"].any():
        raise InputError(
            f"{path} is unfilled: no image in its {len(table)} rows has impressions; expected counts for at least one "
            "image: fill in the columns impressions and positives."
        )
    ordered = counts.set_axis(name).reindex(ids, fill_value=0)
    return Ratings(*(ordered[column].to_numpy() for column in COUNTS))
