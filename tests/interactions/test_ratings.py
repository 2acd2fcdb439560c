"""Tests of the files of ratings: what spreadsheets do to them, every wrong row, and the unfilled template."""

import os

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


# Value


def test_template_text(path):
    write_template(path, IDS)
    assert path.read_bytes() == b"image_id,impressions,positives\na,,\nb,,\nc,,\n"


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


def test_result_unpacks(path):
    path.write_text(HEADER + "a,10,3\n")
    impressions, positives = read_ratings(path, IDS)
    assert impressions.tolist() == [10, 0, 0]
    assert positives.tolist() == [3, 0, 0]


# Unfilled


@pytest.mark.parametrize("rows", ["", "a,,\nb,,\nc,,\n", "a,,\n\n", "a,0,0\nb,,\n", "a, ,\n"])
def test_unfilled(path, rows):
    path.write_text(HEADER + rows)
    assert is_unfilled(path)
    with pytest.raises(InputError, match="is unfilled"):
        read_ratings(path, IDS)


def test_a_missing_file_is_not_unfilled(path):
    assert not is_unfilled(path)
    with pytest.raises(InputError, match="can't be read"):
        read_ratings(path, IDS)


def test_a_wrong_cell_is_not_unfilled(path):
    path.write_text(HEADER + "a,,x\n")
    assert not is_unfilled(path)


def test_unfilled_names_a_file_that_is_no_template(path):
    path.write_text("")
    with pytest.raises(InputError, match="ratings.csv begins with the columns"):
        is_unfilled(path)


# What is refused


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,10,3\nx,1,1\n", "line 3 has the image_id 'x'"),
        ("a,10,3\nA,1,1\n", "line 3 has the image_id 'A'"),
        ("a,10,3\n,1,1\n", "line 3 has the image_id ''"),
        ("x,,\n", "line 2 has the image_id 'x'"),
        ("a,10,3\na,10,3\n", "line 3 repeats the image_id 'a'"),
        ("a,10,3\n\na,,\n", "line 4 repeats the image_id 'a'"),
        ("a,10,\n", "line 2 (image_id 'a') has an empty cell positives"),
        ("a,10\n", "line 2 (image_id 'a') has an empty cell positives"),
        ("a,,3\n", "line 2 (image_id 'a') has an empty cell impressions"),
        ("a,ten,3\n", "impressions 'ten'"),
        ("a,10,nan\n", "positives 'nan'"),
        ("a,inf,3\n", "impressions 'inf'"),
        ("a,NA,NA\n", "impressions 'NA'"),
        ("a,-10,3\n", "impressions '-10'"),
        ("a,10,-3\n", "positives '-3'"),
        ("a,10,3.5\n", "positives '3.5'"),
        ("a,1e3,3\n", "impressions '1e3'"),
        ("a,1_000,3\n", "impressions '1_000'"),
        ('a,"1,000",3\n', "impressions '1,000'"),
        ("a,30%,3\n", "impressions '30%'"),
        ("a,1,000,5\n", "line 2 has 4 cells under 3 column names"),
        ("a,10,3\nb,4,5\n", "line 3 (image_id 'b') has 5 positives in 4 impressions"),
        ("a,0,1\n", "1 positives in 0 impressions"),
        ('a,10,3\n"b,4,4\nc,4,4\n', "can't be read"),  # the quote would swallow the rest
    ],
)
def test_wrong_rows_are_named(path, rows, words):
    path.write_text(HEADER + rows)
    with pytest.raises(InputError) as error:
        read_ratings(path, IDS)
    assert words in str(error.value)
    assert "expected" in str(error.value)
    assert str(path) in str(error.value)


def test_lines_count_as_in_a_spreadsheet(path):
    path.write_text('image_id,impressions,positives,note\na,10,3,"one\ntwo"\nb,4,x,\n')
    with pytest.raises(InputError, match="line 3 "):
        read_ratings(path, IDS)


def test_repeated_rows_buy_no_significance(path):
    path.write_text(HEADER + "a,10,3\nb,10,5\n" * 10)
    with pytest.raises(InputError, match=r"line 4 repeats the image_id 'a' of .*line 2"):
        read_ratings(path, IDS)


@pytest.mark.parametrize(
    "header",
    ["", "image_id,impressions", "image,impressions,positives", "Image_id,impressions,positives", "a,10,3"]
    + ["image_id,impressions,positives,positives", "image_id impressions positives"],
)
def test_wrong_headers_are_named(path, header):
    path.write_text(header + "\na,10,3\n")
    with pytest.raises(InputError, match="expected image_id, impressions, positives once each in line 1"):
        read_ratings(path, IDS)


def test_other_encodings_are_named(path):
    path.write_bytes((HEADER.replace("\n", ",note\n") + "a,10,3,schön\n").encode("cp1252"))
    with pytest.raises(InputError, match="expected a CSV file in UTF-8"):
        read_ratings(path, IDS)


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(InputError, match="can't be read"):
        read_ratings(tmp_path, IDS)


@pytest.mark.parametrize("ids", [["a", "a"], ["a", ""], [" a"], ["a\nb"], [1, 2]])
def test_ids_that_cannot_come_back_are_refused(path, ids):
    with pytest.raises(InputError, match="image_id"):
        write_template(path, ids)
    assert not path.exists()


# Round trip


def test_a_filled_template_comes_back(path):
    ids = ["007", "NA", "a,b", "a;b", 'say "x"', "küste", "a b"]
    write_template(path, ids)
    assert is_unfilled(path)
    lines = path.read_text(encoding="utf-8").splitlines()
    filled = [lines[0]] + [line[:-2] + f",{10 + i},{i}" for i, line in enumerate(lines[1:])]
    path.write_text("\n".join(filled), encoding="utf-8")
    impressions, positives = read_ratings(path, ids)
    np.testing.assert_array_equal(impressions, 10 + np.arange(7))
    np.testing.assert_array_equal(positives, np.arange(7))


@pytest.mark.parametrize("links", [True, False])
def test_a_template_never_overwrites(path, monkeypatch, links):
    if not links:

        def refuse(*names):
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    write_template(path, IDS)
    path.write_text(HEADER + "a,10,3\n")
    with pytest.raises(InputError, match="exists already and may hold answers"):
        write_template(path, IDS)
    assert path.read_text() == HEADER + "a,10,3\n"
    assert os.listdir(path.parent) == ["ratings.csv"]


def test_template_creates_its_folder(tmp_path):
    write_template(tmp_path / "new" / "ratings.csv", np.array(IDS))
    assert os.listdir(tmp_path / "new") == ["ratings.csv"]
