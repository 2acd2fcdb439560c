"""One experiment as a row, and tables of rows as CSV."""

import pandas as pd
import pytest
from many_rows import config, experiment, results, whole

from pir_tf.errors import InputError
from pir_tf.paper.rows import COLUMNS, LATER, read_rows, records, row_of, table, write_rows

PARTS = {
    "color:red-blue": ["two colors"],
    "vgg:fc6:k=20:seed=3": ["vgg k=20", "fc6", 6, 20, 3],
    "vgg:fc7:filters=40,12": ["vgg k=2", "fc7", 7, 2, "12 40"],
    **dict.fromkeys(("vgg:pool9:k=5", "color:a-b-c-d", ""), ["other"]),
}


def test_an_objective_s_name_says_what_it_is():
    columns = ("kind", "layer", "layer_index", "k", "filters", "filter_seed")
    for objective, parts in PARTS.items():
        row = row_of(config(objective), {})
        assert [row[name] for name in columns if row[name] not in (None, "")] == parts


def test_a_row_has_what_was_asked_and_what_came_out():
    thirds = [[0.1, 0.2, 0.3], [0.1, 0.2, 0.6], [0.1, 0.2, 0.4]]
    found = results(2.0, sd=0.1, before=0.3, zero=25.0, estimated=0.12, initial_mean=0.31)
    found["true"]["before_sd"] = 0.08
    found |= {
        "unscaled": {"change": 0.05, "cohens_d": 1.9, "cohens_d_interval": [1.8, 2.0]},
        "kid": {"before": 0.01, "after": 0.04, "before_se": 0.001, "after_se": 0.002},
        "channel_means": {"before": {"image": [0.1, 0.2, 0.3], "thirds": thirds}, "after": None},
        "scaling": {"percent_clipped_shown": 7.5},
    }
    row = row_of(config("vgg:pool2:k=20:seed=4", seed=7, tuning__pir_weight=300), found, experiment="one")
    assert list(row) == list(COLUMNS) and isinstance(row["pir_weight"], float)
    expected = {
        **{"experiment": "one", "objective": "vgg:pool2:k=20:seed=4", "seed": 7, "images": 1000, "round": 1},
        **{"kind": "vgg k=20", "layer_index": 2, "filter_seed": 4, "pir_weight": 300.0},
        **{"pir_before_mean": 0.3, "pir_after_mean": 0.5, "change": 0.2, "significant": True, "estimated_change": 0.12},
        # The judged images' spread is one thing, that of the estimator's training images another.
        **{"pir_before_sd": 0.08, "initial_sd": 0.1, "initial_mean": 0.31},
        **{"initial_percent_zero": 25.0, "initial_percent_nonzero": 75.0, "percent_clipped": 7.5},
        **{"cohens_d": 2.0, "d_low": 1.9, "d_high": 2.1, "unscaled_cohens_d": 1.9, "unscaled_d_high": 2.0},
        **{"red_before": 0.1, "green_before": 0.2, "blue_before": 0.3, "blue_after": None, "middle_blue_after": None},
        **{"collapsed": False, "kid_after_se": 0.002, "first_round_d": None},
    }
    assert {name: row[name] for name in expected} == expected
    near = {"ms_ssim_before": 0.39, "distance_real": 0.24, "middle_blue_before": 0.25, "estimator_bias": -0.01}
    assert {name: row[name] for name in near} == pytest.approx(near)


def test_a_later_round_knows_the_one_before_and_what_is_undefined_is_none():
    found = results(0.4, round=2, first_round={"cohens_d_from_start": 1.0}, cohens_d_from_start=1.3)
    row = row_of(config(first_round="one"), found)
    assert (row["round"], row["first_round_d"], row["d_from_start"]) == (2, 1.0, 1.3)
    assert row_of(config(first_round="one"), {})["round"] == 2
    assert row_of(config(first_round="two"), results(0.1, round=3))["round"] == 3
    numbers = {name for name, kind in COLUMNS.items() if kind is not str}
    assert {name for name, value in row_of({}, {}).items() if value is None} == numbers - {"round", *LATER}
    odd = dict.fromkeys(("cohens_d", "cohens_d_interval", "significant", "diversity", "true"))
    row = row_of(config(), results(1.0, **odd, p_value=float("nan")))
    assert {row[name] for name in (*odd, "d_low", "p_value", "ms_ssim_after", "collapsed") if name in row} == {None}
    one_class = results(1.0)
    one_class["diversity"]["after"]["ms_ssim"] = [0.4, None]
    assert row_of(config(), one_class)["ms_ssim_after"] is None
    people = row_of(config(interactions__source="csv:ratings.csv"), results(1.0))
    assert people["kind"] == "people" and people["objective"] == ""


@pytest.mark.parametrize(("source", "kind"), [("simulated", "single color"), ("csv", "people"), ("people", "people")])
def test_people_who_judge_what_simulated_users_taught_are_people(source, kind):
    row = row_of(config("color:blue"), results(1.0, source=source))
    assert (row["kind"], row["objective"]) == (kind, "color:blue" if source == "simulated" else "")


def test_other_tables_come_back_too(tmp_path):
    types = {"name": str, "holm": bool}
    write_rows(tmp_path / "t.csv", [{"name": "a", "holm": True}, {"name": "b", "holm": None}], types)
    assert records(read_rows(tmp_path / "t.csv", types)) == [{"name": "a", "holm": True}, {"name": "b", "holm": None}]


def test_rows_come_back_as_they_were(tmp_path):
    rows = [*whole(), experiment(name='odd, "name"\nwith µ', seed=2**60 + 1), row_of({}, {}, experiment="NA")]
    assert records(table(rows)) == rows
    write_rows(tmp_path / "a.csv", rows)
    back = read_rows(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(back, table(rows))
    assert records(back) == rows
    write_rows(tmp_path / "b.csv", back)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))
    # Columns that aren't ours stay text.
    rows = [{"status": "done", "seconds": 1.5, "k": 20, "collapsed": True}, {"status": "", "k": None}]
    write_rows(tmp_path / "a.csv", rows, ("status", "seconds", "k", "collapsed"))
    assert (tmp_path / "a.csv").read_text() == "status,seconds,k,collapsed\ndone,1.5,20,true\n,,,\n"
    assert list(read_rows(tmp_path / "a.csv", {"k": int}).loc[0]) == ["done", "1.5", 20, "true"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *((text, "can't be read as a table") for text in (None, b"", b"\xff\xfe\x00k", b"k,change\n1,2,true,4\n")),
        (b"k,k\n1,2\n", "two columns of one name"),
        (b"k,change,significant\n1\n", "a line that is too short"),
        (b"k,change\n1,2\n", "has no column significant"),
        (b"k,change,significant\n1,big,\n", "change is 'big', expected a finite number or nothing"),
        (b"k,change,significant\n1,nan,\n", "change is 'nan', expected a finite number"),
        (b"k,change,significant\n1.5,,\n", "k is '1.5', expected a whole number"),
        (b"k,change,significant\n1,,maybe\n", "significant is 'maybe', expected true or false"),
    ],
)
def test_a_damaged_table_is_refused_in_one_sentence(tmp_path, text, said):
    if text is not None:
        (tmp_path / "a.csv").write_bytes(text)
    with pytest.raises(InputError, match=said):
        read_rows(tmp_path / "a.csv", {"k": int, "change": float, "significant": bool})
