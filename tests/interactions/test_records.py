"""Tests of `Interactions`: PIR worked by hand, 0 of 0, every refused row, and exact round trips."""

import os
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from pir_tf.errors import InputError
from pir_tf.interactions import records
from pir_tf.interactions.records import Interactions

HEADER = "image_id,class_index,impressions,positives,round\n"


def make(**changes):
    columns = {"image_id": ["a", "b", "c"], "class_index": [0, 1, 1], "impressions": [4, 0, 3], "positives": [1, 0, 3]}
    return Interactions(**{**columns, **changes})


def test_pir_by_hand_and_zero_of_zero_without_a_warning(recwarn):
    found = Interactions(list("abcdef"), [0] * 6, [4, 1, 3, 3, 1000, 0], [1, 0, 0, 3, 1, 0])
    np.testing.assert_array_equal(found.pir, [0.25, 0.0, 0.0, 1.0, 0.001, np.nan])
    assert found.rated.tolist() == [True] * 5 + [False] and not recwarn.list


def test_columns_have_their_types():
    interactions = make()
    assert len(interactions) == 3 and interactions.image_id.dtype.kind == "U"
    assert all(getattr(interactions, name).dtype == np.int64 for name in records.COLUMNS[1:])
    rounds = [made.round.tolist() for made in (interactions, make(round=2), make(round=[1, 2, 2]))]
    assert rounds == [[1, 1, 1], [2, 2, 2], [1, 2, 2]]
    assert make() != make(positives=[2, 0, 3]) and make() != "a"


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float32, np.float64, object])
def test_any_numbers_that_are_whole_are_taken(kind):
    assert make(impressions=np.array([4, 0, 3], kind)) == make()
    assert make(image_id=pd.Series(["a", "b", "c"]), impressions=pd.Series([4, 0, 3], dtype=kind)) == make()


@pytest.mark.parametrize(
    ("cell", "number"),
    [("12", 12), (" 12 ", 12), ("12.", 12), ("12.0", 12), ("12.00", 12), ("12.0000", 12), ("+12", 12)]
    + [(cell, None) for cell in ("1.000", "1.250", "12.5", "-1", "nan", "1_000", "", "1e3")],
)
def test_a_cell_is_a_whole_number_or_none(cell, number):
    assert records.whole_number(cell) == number  # "1.000" is a thousand where a point parts thousands


def test_later_changes_of_the_arguments_change_nothing():
    impressions = np.array([4, 0, 3])
    interactions = make(impressions=impressions)
    impressions[0] = 100
    assert interactions == make()
    with pytest.raises(ValueError, match="read-only"):
        interactions.impressions[0] = 100


def test_select_by_mask_and_by_indices():
    np.testing.assert_array_equal(make().select(make().rated).image_id, ["a", "c"])
    by_index = make().select([2, 0])
    assert (by_index.image_id.tolist(), by_index.positives.tolist()) == (["c", "a"], [3, 1])
    assert len(make().select([])) == len(make().select(np.zeros(3, bool))) == 0
    with pytest.raises(InputError, match="repeats the image_id 'a'"):
        make().select([0, 0])


def test_concatenate_keeps_order_and_rounds():
    second = make(image_id=["dd", "e", "f"], round=2)
    both = Interactions.concatenate(make(), second)
    assert (both.select([0, 1, 2]), both.select([3, 4, 5]), len(both)) == (make(), second, 6)
    with pytest.raises(InputError, match=r"2 image ids occur in both .* 'b'"):
        Interactions.concatenate(make(), make(image_id=["d", "c", "b"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": ["a", "b", "a"]}, "Row 3 repeats the image_id 'a' of row 1"),
        *(({"image_id": ["a", x, "c"]}, f"Row 2 has the image_id {x!r}") for x in ("", " b", "b\n", "b\0", None)),
        ({"image_id": [1, 2, 3]}, "Row 1 has the image_id 1"),
        ({"image_id": [["a", "b", "c"]]}, "shape (1, 3)"),
        ({"image_id": "abc"}, "shape ()"),
        ({"class_index": [0, 1]}, "class_index has shape (2,) beside 3 image ids"),
        ({"class_index": [0, -1, 1]}, "Row 2 (image_id 'b') has class_index -1"),
        ({"impressions": [4, 0]}, "impressions has shape (2,)"),
        ({"impressions": [[4, 0, 3]]}, "impressions has shape (1, 3)"),
        *(({"impressions": [4, x, 3]}, f"(image_id 'b') has impressions {x!r}") for x in (-1, 0.5, None, "0", True)),
        *(({"impressions": [4, x, 3]}, f"(image_id 'b') has impressions {x!r}") for x in (np.nan, np.inf, 1e300)),
        ({"impressions": pd.array([4, pd.NA, 3])}, "Row 2 (image_id 'b') has impressions"),
        ({"positives": [1, 1, 3]}, "Row 2 (image_id 'b') has 1 positives in 0 impressions"),
        ({"positives": [1, 0, 4]}, "Row 3 (image_id 'c') has 4 positives in 3 impressions"),
        ({"positives": [1, 0, -3]}, "Row 3 (image_id 'c') has positives -3"),
        ({"round": [1, 2]}, "round has shape (2,)"),
        *(({"round": x}, f"Row 1 (image_id 'a') has round {x!r}") for x in (1.5, None)),
    ],
)
def test_wrong_rows_are_named(changes, words):
    with pytest.raises(InputError) as error:
        make(**changes)
    assert words in str(error.value) and "expected" in str(error.value)


def test_saved_interactions_load_as_they_were(tmp_path):
    ids = ["007", "NA", "nan", "a,b", 'say "x"', "küste", "1e5", "=1+1", "a b"]
    counts = np.arange(9) * 10**14
    interactions = Interactions(ids, np.arange(9), counts, counts // 3, round=np.arange(9))
    interactions.save(tmp_path / "new" / "interactions.csv")
    assert Interactions.load(tmp_path / "new" / "interactions.csv") == interactions
    assert os.listdir(tmp_path / "new") == ["interactions.csv"]
    none = make().select([])
    none.save(tmp_path / "none.csv")
    assert Interactions.load(tmp_path / "none.csv") == none


def test_groups_are_kept_and_stay_apart_when_rounds_are_joined(tmp_path):
    first, single = make(group=[1, 2, 1]), make(image_id=["k", "l", "m"])
    second = make(image_id=["x", "y", "z"], round=2, group=[2, 1, 0])
    joined = Interactions.concatenate(first, second)
    assert joined.group.tolist() == [1, 2, 1, 4, 3, 0] and joined.select([3, 0]).group.tolist() == [4, 1]
    assert Interactions.concatenate(single, first).group.tolist() == [0, 0, 0, 1, 2, 1]
    joined.save(tmp_path / "groups.csv")
    assert Interactions.load(tmp_path / "groups.csv") == joined != Interactions.concatenate(make(), second)


def test_saved_text_which_a_failed_save_leaves(tmp_path, monkeypatch):
    path = tmp_path / "interactions.csv"
    make(round=[1, 1, 2]).save(path)
    assert path.read_bytes() == HEADER.encode() + b"a,0,4,1,1\nb,1,0,0,1\nc,1,3,3,2\n"

    monkeypatch.setattr(os, "fsync", mock.Mock(side_effect=OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        make(positives=[0, 0, 0]).save(path)
    assert Interactions.load(path) == make(round=[1, 1, 2])
    assert os.listdir(tmp_path) == ["interactions.csv"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "begins with the columns (none)"),
        (HEADER.replace(",round", "") + "a,0,4,1\n", "expected image_id, class_index, impressions, positives, round"),
        (HEADER + "a,0,4,1,1\nb,0,,0,1\n", "Row 2 (image_id 'b') has"),
        (HEADER + "a,0,4,x,1\n", "Row 1 (image_id 'a') has positives 'x'"),
        (HEADER + "a,0,4,1\n", "Row 1 (image_id 'a') has round ''"),
        (HEADER + "a,0,4,1,1,1\n", "line 2 has 6 cells under 5 column names"),
        (HEADER + "a,0,4,5,1\n", "has 5 positives in 4 impressions"),
        (HEADER + '"a,0,4,1,1\n', "can't be read"),
        (None, "interactions.csv can't be read"),
    ],
)
def test_wrong_files_are_named(tmp_path, text, words):
    path = tmp_path / "interactions.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError) as error:
        Interactions.load(path)
    assert words in str(error.value) and str(path) in str(error.value)


def test_positives_may_be_fractions_as_of_ratings_and_ties(tmp_path):
    made = make(positives=[1.25, 0, 3])
    assert made.positives.dtype == np.float64 and make(positives=[1.0, 0.0, 3.0]).positives.dtype == np.int64
    np.testing.assert_array_equal(made.pir, [0.3125, np.nan, 1.0])
    made.save(tmp_path / "a.csv")
    assert Interactions.load(tmp_path / "a.csv") == made
    small = make(positives=[1e-5, 0, 1.25e-7])  # which pandas writes with exponents
    small.save(tmp_path / "small.csv")
    assert Interactions.load(tmp_path / "small.csv") == small
    with pytest.raises(InputError, match="impressions 4.5"):
        make(impressions=[4.5, 0, 3])
    with pytest.raises(InputError, match="has 3.5 positives in 3 impressions"):
        make(positives=[1, 0, 3.5])
