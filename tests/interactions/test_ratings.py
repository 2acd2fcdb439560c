"""Tests of the files of ratings: what spreadsheets do to them, every wrong row, and the unfilled template."""

import os
from unittest import mock

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.interactions.ratings import is_unfilled, read_ratings, write_template

IDS = ["a", "b", "c"]
HEADER = "image_id,impressions,positives\n"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ratings.csv"


def check(path, impressions=(10, 0, 4), positives=(3, 0, 4)):
    ratings = read_ratings(path, IDS)
    np.testing.assert_array_equal(ratings.impressions, impressions)
    np.testing.assert_array_equal(ratings.positives, positives)
    assert ratings.impressions.dtype == ratings.positives.dtype == np.int64
    assert not is_unfilled(path)


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "a,10,3\nb,,\nc,4,4\n",
        HEADER + "c,4,4\na,10,3\nb,,\n",  # another order
        HEADER + "a,10,3\nc,4,4\n",  # a missing row
        HEADER + "a,10,3\nb\nc,4,4",  # missing cells, no line end
        HEADER + "a,10,3\nb,0,0\nc,4,4\n",  # explicit zeros
        HEADER + "a,10.0,3.\nb,,\nc,+4,4\n",
        HEADER + "\n a , 10 ,\t3\n\nb, ,  \n  c,4 ,4\n\n,,\n \n",  # blanks
        HEADER + '"a","10","3"\n"b","",""\n"c", "4","4"\n',
        HEADER.replace(",", ";") + "a;10;3\nb;;\nc;4;4\n;;\n",
        HEADER.replace(",", "\t") + "a\t10\t3\nb\t\t\nc\t4\t4\n",
        (HEADER + "a,10,3\nb,,\nc,4,4\n").replace("\n", "\r\n"),
        (HEADER + "a,10,3\nb,,\nc,4,4\n").replace("\n", "\r"),
        "\ufeff" + HEADER + "a,10,3\nb,,\nc,4,4\n",
        ("\ufeff" + HEADER.replace(",", ";") + "a;10;3\nc;4;4\n").replace("\n", "\r\n"),
        "positives,note,image_id,impressions\n3,schön,a,10\n,nobody,b,\n4,,c,4\n",  # more columns, another order
        'image_id,impressions,positives,note\na,10,3,"one\ntwo, three"\nc,4,4,\n',
        "image_id,impressions,positives,note\na,10,3,one\x0btwo\u2028three\nc,4,4,\n",
        "image_id,impressions,positives,a;b;c\na,10,3,\nc,4,4,\n",
        "image_id,impressions,positives\na,10,3,,\nc,4,4,,\n",  # trailing delimiters
    ],
)
def test_good_files(path, text):
    path.write_bytes(text.encode())
    check(path)


@pytest.mark.parametrize("rows", ["", "a,,\nb,,\nc,,\n", "a,,\n\n", "a,0,0\nb,,\n", "a, ,\n"])
def test_unfilled(path, rows):
    path.write_text(HEADER + rows)
    assert is_unfilled(path)
    with pytest.raises(InputError, match="is unfilled"):
        read_ratings(path, IDS)


def test_a_missing_file_or_a_wrong_cell_is_not_unfilled_and_no_template_is_refused(path):
    assert not is_unfilled(path)
    path.write_text(HEADER + "a,,x\n")
    assert not is_unfilled(path)
    path.write_text("")
    with pytest.raises(InputError, match="ratings.csv begins with the columns"):
        is_unfilled(path)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("x,,\n", "line 2 (image_id 'x') names no image; expected one of the 3 images that were shown (a, b, ...)"),
        *((f"a,10,3\n{x},1,1\n", f"line 3 (image_id '{x}') names no image") for x in ("A", "", "{x}", "a.png")),
        ("a,10,3\na,10,3\n", "line 3 (image_id 'a') repeats the id of line 2"),
        ("a,10,3\n\na,,\n", "line 4 (image_id 'a') repeats the id of line 2"),
        ("a,10,3\nb,10,5\n" * 10, "line 4 (image_id 'a') repeats the id of line 2"),
        ("a,10,\n", "line 2 (image_id 'a') has an empty cell positives"),
        ("a,10\n", "line 2 (image_id 'a') has an empty cell positives"),
        ("a,,3\n", "line 2 (image_id 'a') has an empty cell impressions"),
        *((f"a,10,{x}\n", f"has positives {x!r}") for x in ("nan", "-3", "3.5", "30%", "٣", "²", "1_0", "{x}")),
        *((f'a,"{x}",3\n', f"has impressions {x!r}") for x in ("ten", "inf", "NA", "-10", "1e3", "1,000", "9" * 20)),
        ("a,9007199254740993,3\n", "has impressions '9007199254740993'"),  # float64 would make it 2**53
        ("a,1,000,5\n", "line 2 has 4 cells under 3 column names"),
        ("a,10,3\nb,4,5\n", "line 3 (image_id 'b') has 5 positives in 4 impressions"),
        ("a,0,1\n", "1 positives in 0 impressions"),
        ('a,10,3\n"b,4,4\nc,4,4\n', "can't be read"),  # the quote would swallow the rest
        ('a,10,"3\n"\nb,4,x\n', "line 3 "),  # as a spreadsheet counts
    ],
)
def test_wrong_rows_are_named(path, rows, words):
    path.write_text(HEADER + rows)
    with pytest.raises(InputError) as error:
        read_ratings(path, IDS)
    said = str(error.value)
    assert words in said and "expected" in said and said.startswith(str(path))


@pytest.mark.parametrize("header", ["", "image_id,impressions", "Image_id,impressions,positives", "a,10,3", "sep=;",
                                    "image_id,impressions,positives,positives", "image_id|impressions|positives"])  # fmt: skip
def test_wrong_headers_are_named(path, header):
    path.write_text(header + "\na,10,3\n")
    with pytest.raises(InputError, match="expected image_id, impressions, positives once each in line 1"):
        read_ratings(path, IDS)


def test_other_encodings_and_folders_are_refused(path):
    filled = HEADER.replace("\n", ",note\n") + "a,10,3,schön\n"
    for encoding in ("cp1252", "utf-16"):
        path.write_bytes(filled.encode(encoding))
        with pytest.raises(InputError, match="expected a CSV file in UTF-8"):
            read_ratings(path, IDS)
    with pytest.raises(InputError, match="can't be read"):
        read_ratings(path.parent, IDS)


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], [" a"], ["a\nb"], [1, 2]])
def test_ids_that_cannot_come_back_are_refused(path, ids):
    with pytest.raises(InputError, match="image_id"):
        write_template(path, ids)
    assert not path.exists()


def test_a_filled_template_comes_back(path):
    ids = ["007", "NA", "a,b", "a;b", 'say "x"', "küste", "a b"]
    write_template(path, ids)
    assert is_unfilled(path)
    assert path.read_bytes().startswith(b"image_id,impressions,positives\n007,,\nNA,,\n")
    lines = path.read_text(encoding="utf-8").splitlines()
    filled = [lines[0]] + [line[:-2] + f",{10 + i},{i}" for i, line in enumerate(lines[1:])]
    path.write_text("\n".join(filled), encoding="utf-8")
    impressions, positives = read_ratings(path, ids)
    np.testing.assert_array_equal(impressions, 10 + np.arange(7))
    np.testing.assert_array_equal(positives, np.arange(7))


@pytest.mark.parametrize("links", [True, False])
def test_a_template_never_overwrites(path, monkeypatch, links):
    if not links:
        monkeypatch.setattr(os, "link", mock.Mock(side_effect=OSError("no hard links here")))
    path = path.parent / "new" / path.name
    write_template(path, np.array(IDS))
    path.write_text(HEADER + "a,10,3\n")
    with pytest.raises(InputError, match="exists already and may hold answers"):
        write_template(path, IDS)
    assert path.read_text() == HEADER + "a,10,3\n"
    assert os.listdir(path.parent) == ["ratings.csv"]
