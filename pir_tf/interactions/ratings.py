"""Files through which real people's interactions come in: a template to fill, and its strict reader (section 2.2).

A row is an image with the totals of its impressions and positives, not a single answer: the image is the unit of all
statistics. So a repeated row is refused rather than added up, and copying rows never makes a result more significant.
"""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pir_tf.errors import InputError
from pir_tf.interactions.records import check_image_ids, whole_number, write_beside

COLUMNS = ("image_id", "impressions", "positives")
DELIMITERS = (",", ";", "\t")  # spreadsheets write ';' where the comma is the decimal sign


class Ratings(NamedTuple):
    """The counts of each image, in the order of the image ids that were asked for.

    Attributes:
        impressions: How often each image was shown, int64 [n]; 0 where nobody rated it.
        positives: How many of its impressions led to an interaction, int64 [n], 0 to `impressions`.
    """

    impressions: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]


class _Row(NamedTuple):
    where: str  # file and line, for messages
    image_id: str
    impressions: str
    positives: str


def write_template(path: str | os.PathLike[str], image_ids: Sequence[str] | npt.NDArray[Any]) -> None:
    """Writes a CSV file with one row per image, the counts left empty for people to fill in.

    Args:
        path: The file to create; folders above it are created too.
        image_ids: Names of the images, n distinct strings.

    Raises:
        InputError: If the file exists already, which may hold answers, or an id can't be written.

    Source: section 2.2.
    """
    ids = check_image_ids(image_ids)
    path = Path(path)
    beside = write_beside(path, COLUMNS, ((name, "", "") for name in ids.tolist()))
    try:
        # Unlike a rename, a hard link never replaces a file, even one that came up since a check.
        os.link(beside, path)
    except OSError:
        if os.path.lexists(path):
            raise InputError(
                f"{path} exists already and may hold answers; expected a name that is free: fill in that file, or move "
                "it away."
            ) from None
        os.replace(beside, path)  # a file system without hard links
    finally:
        beside.unlink(missing_ok=True)


def is_unfilled(path: str | os.PathLike[str]) -> bool:
    """Whether the file is there but holds no counts yet: the reason to wait for people, not an error.

    Args:
        path: A file of ratings, which need not exist.

    Returns:
        True if the file exists and each row's two cells are empty or 0; False if it doesn't exist or a cell holds
        anything else, be it right or wrong.

    Raises:
        InputError: If the file exists but is not a table with the columns of the template.
    """
    if not os.path.lexists(path):
        return False
    return all(_is_empty(row) for row in _read_rows(path))


def read_ratings(path: str | os.PathLike[str], image_ids: Sequence[str] | npt.NDArray[Any]) -> Ratings:
    """Reads a filled template.

    Rows may come in any order and with further columns. A row that is missing, or whose two cells are empty, is an
    image that nobody rated. Comma, semicolon or tab between cells, a byte order mark, either line ending, and blank
    lines are all accepted, since spreadsheets write them.

    Args:
        path: The file, in UTF-8.
        image_ids: Names of the images that were to be rated, n distinct strings.

    Returns:
        Impressions and positives in the order of `image_ids`, 0 and 0 for an image that nobody rated.

    Raises:
        InputError: If the file can't be read, no image is rated (see `is_unfilled`), or a row is wrong: an unknown or
            repeated id, one of two cells empty, no whole number of 0 or more, or more positives than impressions. The
            sentence names the file and the line as a spreadsheet counts it: the header is line 1.

    Source: section 2.2.
    """
    ids = check_image_ids(image_ids).tolist()
    index = {name: i for i, name in enumerate(ids)}
    impressions = np.zeros(len(ids), dtype=np.int64)
    positives = np.zeros(len(ids), dtype=np.int64)
    rows = _read_rows(path)
    seen: dict[str, str] = {}
    for row in rows:
        name = row.image_id
        if name not in index:
            raise InputError(
                f"{row.where} has the image_id {name!r}; expected one of the {len(ids)} images that were shown "
                f"({', '.join(ids[:2])}, ...), spelt alike: correct the id or delete the row."
            )
        if name in seen:
            raise InputError(
                f"{row.where} repeats the image_id {name!r} of {seen[name]}; expected one row per image with its "
                "totals: keep one of the two rows."
            )
        seen[name] = row.where
        impressions[index[name]], positives[index[name]] = _counts(row)
    if not impressions.any():
        raise InputError(
            f"{path} is unfilled: no image in its {len(rows)} rows has impressions; expected counts for at least one "
            "image: fill in the columns impressions and positives."
        )
    return Ratings(impressions, positives)


def _counts(row: _Row) -> tuple[int, int]:
    """Impressions and positives of one row, (0, 0) if both cells are empty."""
    if not row.impressions and not row.positives:
        return 0, 0
    numbers = []
    for column in ("impressions", "positives"):
        text = getattr(row, column)
        if not text:
            raise InputError(
                f"{row.where} (image_id {row.image_id!r}) has an empty cell {column}; expected both counts or neither: "
                "fill it in, or empty the other cell if nobody saw the image."
            )
        number = whole_number(text)
        if number is None:
            raise InputError(
                f"{row.where} (image_id {row.image_id!r}) has {column} {text!r}; expected a whole number of 0 or more, "
                "written in digits alone: correct that cell."
            )
        numbers.append(number)
    if numbers[1] > numbers[0]:
        raise InputError(
            f"{row.where} (image_id {row.image_id!r}) has {numbers[1]} positives in {numbers[0]} impressions; expected "
            "no more positives than impressions: correct that row."
        )
    return numbers[0], numbers[1]


def _is_empty(row: _Row) -> bool:
    return all(not text or whole_number(text) == 0 for text in (row.impressions, row.positives))


def _read_rows(path: str | os.PathLike[str]) -> list[_Row]:
    """The rows that are not blank, cells stripped of the space around them, counts still as text."""
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        delimiter = _delimiter(text)
        # Strict, so that a quote that is never closed is an error instead of swallowing the rows after it.
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=delimiter != "\t", strict=True)
        table = [[cell.strip() for cell in cells] for cells in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} can't be read ({error}); expected a CSV file in UTF-8: save the table anew as 'CSV UTF-8'."
        ) from None
    header = table[0] if table else []
    if any(header.count(column) != 1 for column in COLUMNS):
        raise InputError(
            f"{path} begins with the columns {', '.join(header) or '(none)'}; expected {', '.join(COLUMNS)} once each "
            "in line 1: restore the template's header."
        )
    rows = []
    for line, cells in enumerate(table[1:], start=2):
        if not any(cells):
            continue
        where = f"{path}, line {line}"
        if any(cells[len(header) :]):  # as from 1,000 with a comma inside: the counts would land in the wrong columns
            raise InputError(
                f"{where} has {len(cells)} cells under {len(header)} column names; expected one cell per column: write "
                "numbers without separators, and text that contains a separator in quotes."
            )
        cells += [""] * (len(header) - len(cells))
        rows.append(_Row(where, *(cells[header.index(column)] for column in COLUMNS)))
    return rows


def _delimiter(text: str) -> str:
    """The delimiter that finds most of the wanted columns in the first line, the comma if none does."""
    first = text.split("\n", 1)[0].split("\r", 1)[0]
    found = [len(set(COLUMNS) & {cell.strip(' "') for cell in first.split(d)}) for d in DELIMITERS]
    return DELIMITERS[int(np.argmax(found))]
