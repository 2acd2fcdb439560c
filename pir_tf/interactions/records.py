"""`Interactions`: how often each image was shown, and how often people interacted with it (section 2.2).

The one type in which simulated users and files of ratings meet, and all that the estimator may see. It does
not know where the numbers come from, and it never holds the noise-free PIR of a simulated objective.
"""

import csv
import io
import numbers
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.runs.directory import atomic

COLUMNS = ("image_id", "class_index", "impressions", "positives", "round")
GROUP = "group"
"""A further column, left out of the file where there are no groups."""
DELIMITERS = (",", ";", "\t")  # spreadsheets write ';' where the comma is the decimal sign
LARGEST = 2**53  # the last whole number up to which float64, and so `pir`, is exact


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions with images, one row per image. The arrays are checked, copied and read-only.

    The image is the unit of every later statistic: an image has one row, so repeated rows buy no significance.

    Attributes:
        image_id: Names of the images, strings [n], unique, printable, without space around them.
        class_index: Class of each image, int64 [n], 0 or more.
        impressions: How often each image was shown, int64 [n], 0 or more.
        positives: How many of its impressions led to an interaction, [n], 0 to `impressions`: int64, or float64 where ratings
            or ties make fractions.
        round: Round of collection (A.3), int64 [n]; given as one number, it stands for every row.
        group: Images among which PIRs can be compared, int64 [n] or one number as well: a share of wins says how an image does
            beside those that it met, so a better generator's images win half of their pairs, too. All 0 where each image was
            judged alone. The linear estimator heeds it; the paper's estimator doesn't know of pairs.

    Source: section 2.2.
    """

    image_id: npt.NDArray[np.str_]
    class_index: npt.NDArray[np.int64]
    impressions: npt.NDArray[np.int64]
    positives: npt.NDArray[np.int64]
    round: npt.NDArray[np.int64] = 1  # type: ignore[assignment]  # becomes an array below
    group: npt.NDArray[np.int64] = 0  # type: ignore[assignment]

    def __post_init__(self) -> None:
        ids = check_image_ids(self.image_id)
        columns: dict[str, npt.NDArray[Any]] = {"image_id": ids}
        for name in (*COLUMNS[1:], GROUP):
            values = getattr(self, name)
            if name in ("round", GROUP) and np.ndim(values) == 0:
                values = [values] * len(ids)
            columns[name] = _numbers(name, values, ids, fractions=name == "positives")
        above = np.flatnonzero(columns["positives"] > columns["impressions"])
        if above.size:
            row = above[0]
            most, counted = columns["impressions"][row], columns["positives"][row]
            raise InputError(
                f"Row {row + 1} (image_id {str(ids[row])!r}) has {counted} positives in {most} impressions; expected no more "
                "positives than impressions: correct that row."
            )
        for name, array in columns.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        """The number of images, rated or not."""
        return len(self.image_id)

    def __eq__(self, other: object) -> bool:
        """True if all columns are equal, in order."""
        if not isinstance(other, Interactions):
            return NotImplemented
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in (*COLUMNS, GROUP))

    @property
    def rated(self) -> npt.NDArray[np.bool_]:
        """Which images were shown at least once, [n]: those that have a PIR."""
        return self.impressions > 0

    @property
    def pir(self) -> npt.NDArray[np.float64]:
        """Observed positive interaction rate, float64 [n] in [0, 1]; NaN where an image was never shown.

        No answer is not a bad answer: 0 of 0 is missing, while 0 of 3 is 0. Choose with `rated` before averaging.
        """
        pir = np.full(len(self), np.nan)
        np.divide(self.positives, self.impressions, out=pir, where=self.rated)
        return pir

    def select(self, which: npt.ArrayLike) -> "Interactions":
        """The rows that booleans [n] or indices [m] choose, in the order of `which`; an index twice is refused."""
        index = np.asarray(which)
        if index.size == 0 and index.dtype != np.bool_:
            index = index.astype(np.int64)  # an empty list arrives as float64
        return Interactions(**{name: getattr(self, name)[index] for name in (*COLUMNS, GROUP)})

    @staticmethod
    def concatenate(first: "Interactions", second: "Interactions") -> "Interactions":
        """The rows of `first`, then those of `second`, as for a second round; no image may be in both.

        Groups stay apart: those of `second` get other numbers than those of `first`, but for 0.

        Source: A.3.
        """
        both = np.intersect1d(first.image_id, second.image_id)
        if both.size:
            raise InputError(
                f"{both.size} image ids occur in both sets of interactions, the first is {str(both[0])!r}; expected an image in "
                "one of them only: give the images of each round their own ids."
            )
        apart = np.where(second.group > 0, second.group + first.group.max(initial=0), 0)
        joined = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in COLUMNS}
        return Interactions(**joined, group=np.concatenate([first.group, apart]))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a CSV file of `COLUMNS`, and of `GROUP` where there are any. It replaces an older file only when it is whole."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic(Path(path)) as beside:
            names = (*COLUMNS, GROUP) if self.group.any() else COLUMNS
            pd.DataFrame({name: getattr(self, name) for name in names}).to_csv(beside, index=False)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Interactions":
        """Reads a file that `save` wrote; other columns are ignored."""
        columns: dict[str, list[Any]] = read_table(path, COLUMNS, also=(GROUP,)).to_dict("list")
        for name in [name for name in columns if name != COLUMNS[0]]:
            found = [_number(text) if name == "positives" else whole_number(text) for text in columns[name]]
            columns[name] = [text if n is None else n for text, n in zip(columns[name], found, strict=True)]
        try:
            return cls(**columns)  # type: ignore[arg-type]  # lists become arrays
        except InputError as error:
            raise InputError(f"{path}: {error}") from None


def check_image_ids(image_ids: Sequence[str] | npt.NDArray[Any]) -> npt.NDArray[np.str_]:
    """The image ids as a new array of strings [n], distinct and printable, so that they can name images in a file."""
    ids = np.asarray(image_ids, dtype=object)
    if ids.ndim != 1:
        raise InputError(f"The image ids have shape {ids.shape}; expected one string per image: pass a list of ids.")
    seen: dict[str, int] = {}
    for row, name in enumerate(ids, start=1):
        if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
            expected = "a string that is not empty, is printable and has no space around it: rename that image"
            raise InputError(f"Row {row} has the image_id {name!r}; expected {expected}.")
        if name in seen:
            expected = "one row per image: give each image its own id, or merge the two rows"
            raise InputError(f"Row {row} repeats the image_id {name!r} of row {seen[name]}; expected {expected}.")
        seen[name] = row
    return np.array(list(seen), dtype=np.str_)


def whole_number(text: str) -> int | None:
    """The number that a cell holds (`12`, ` 12 `, `12.0`), or None if that isn't a whole number from 0 to `LARGEST`."""
    # int() and float() would also take "1_000", "nan" and digits of other scripts. "1.000" is a thousand to many people.
    match = re.fullmatch(r"\+?([0-9]{1,16})(?:\.(?:0{0,2}|0{4,}))?", text.strip())
    return int(match[1]) if match and int(match[1]) <= LARGEST else None


def _number(text: str) -> int | float | None:
    """The whole number that a cell holds, or a fraction with a decimal point, or None."""
    if re.fullmatch(r"[0-9]{1,16}\.[0-9]{1,20}(?:e-[0-9]{1,3})?|[0-9]e-[0-9]{1,3}", text.strip()):
        return float(text)
    return whole_number(text)


def read_table(path: str | os.PathLike[str], columns: Sequence[str], also: Sequence[str] = ()) -> pd.DataFrame:
    """The columns of a CSV file as text without space around it, by the line as a spreadsheet counts it (the header is 1).

    Those of `also` come with them where the file has them.

    Comma, semicolon or tab between cells, a byte order mark, any line ending, blank rows and further columns are all accepted,
    since spreadsheets write them.

    Raises:
        InputError: If it is no such file, or a row has cells beyond the header's.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
        first = (text.splitlines() or [""])[0]
        found = [len({cell.strip(' "') for cell in first.split(d)} & set(columns)) for d in DELIMITERS]
        delimiter = DELIMITERS[int(np.argmax(found))]
        # Strict, so that a quote that is never closed is an error instead of swallowing the rows after it.
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True)
        header, *rows = [[cell.strip() for cell in cells] for cells in lines] or [[]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"{path} can't be read ({error}); expected a CSV file in UTF-8: save the table anew as 'CSV UTF-8'."
        ) from None
    if any(header.count(column) != 1 for column in columns):
        raise InputError(
            f"{path} begins with the columns {', '.join(header) or '(none)'}; expected {', '.join(columns)} once each "
            "in line 1: restore the header."
        )
    for line, cells in enumerate(rows, start=2):
        if any(cells[len(header) :]):  # as from 1,000 with a comma inside: the counts would land in the wrong columns
            raise InputError(
                f"{path}, line {line} has {len(cells)} cells under {len(header)} column names; expected one cell per "
                "column: write numbers without separators, and text that contains a separator in quotes."
            )
    filled = [(cells + [""] * len(header))[: len(header)] for cells in rows]
    table = pd.DataFrame(filled, columns=header, index=range(2, len(rows) + 2), dtype=str)
    chosen = [*columns, *(name for name in also if header.count(name) == 1)]
    return table.loc[(table != "").any(axis=1), chosen]


def _numbers(
    name: str, values: Any, ids: npt.NDArray[np.str_], *, fractions: bool
) -> npt.NDArray[np.int64] | npt.NDArray[np.float64]:
    """The column as a new array [n] of whole numbers from 0 to `LARGEST`, or with `fractions` of any numbers in that range."""
    array = np.asarray(values, dtype=object)  # each entry is judged for itself: text stays text, and True no number
    if array.shape != ids.shape:
        raise InputError(f"{name} has shape {array.shape} beside {len(ids)} image ids; expected one number per image.")
    whole = True
    for row, value in enumerate(array, start=1):
        number = isinstance(value, numbers.Real) and not isinstance(value, bool)
        if not number or not (0 <= value <= LARGEST and (fractions or value == value // 1)):  # NaN compares as false
            raise InputError(
                f"Row {row} (image_id {str(ids[row - 1])!r}) has {name} {value!r}; expected a {'' if fractions else 'whole '}"
                f"number from 0 to {LARGEST}: correct that row."
            )
        whole = whole and value == value // 1
    return array.astype(np.int64) if whole else array.astype(np.float64)
