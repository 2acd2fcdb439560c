"""One experiment as a row, and tables of rows as CSV."""

import json
from pathlib import Path

import pytest
from many_rows import config, experiment, results, whole

from pir_tf.errors import InputError
from pir_tf.paper.rows import COLUMNS, objective_parts, read_rows, row_of, write_rows


@pytest.mark.parametrize(
    ("objective", "kind", "layer", "index", "k", "filters", "seed"),
    [
        ("color:blue", "single color", "", None, None, "", None),
        ("color:red-blue", "two colors", "", None, None, "", None),
        ("color:green-blue-red", "three colors", "", None, None, "", None),
        ("vgg:pool1:k=1", "vgg single", "pool1", 1, 1, "", 0),
        ("vgg:pool5:filters=40", "vgg single", "pool5", 5, 1, "40", None),
        ("vgg:fc6:k=20:seed=3", "vgg k=20", "fc6", 6, 20, "", 3),
        ("vgg:fc7:filters=40,12", "vgg k=2", "fc7", 7, 2, "12 40", None),
        ("vgg:fc8:k=5", "vgg k=5", "fc8", 8, 5, "", 0),
        ("vgg:pool9:k=5", "other", "", None, None, "", None),
        ("color:a-b-c-d", "other", "", None, None, "", None),
        ("magic", "other", "", None, None, "", None),
        ("", "other", "", None, None, "", None),
    ],
)
def test_an_objective_s_name_says_what_it_is(objective, kind, layer, index, k, filters, seed):
    parts = objective_parts(objective)
    assert parts == {
        "kind": kind, "layer": layer, "layer_index": index, "k": k, "filters": filters, "filter_seed": seed
    }  # fmt: skip


def test_a_row_has_what_was_asked_and_what_came_out():
    found = results(
        2.0,
        sd=0.1,
        before=0.3,
        zero=25.0,
        estimated=0.12,
        initial_mean=0.31,
        unscaled={"change": 0.05, "cohens_d": 1.9, "cohens_d_interval": [1.8, 2.0]},
        kid={"before": 0.01, "after": 0.04, "before_se": 0.001, "after_se": 0.002},
    )
    row = row_of(config("vgg:pool2:k=20:seed=4", seed=7, tuning__pir_weight=300), found, experiment="one")
    assert list(row) == list(COLUMNS)
    assert row["experiment"] == "one" and row["objective"] == "vgg:pool2:k=20:seed=4" and row["seed"] == 7
    assert (row["kind"], row["layer_index"], row["filter_seed"]) == ("vgg k=20", 2, 4)
    assert row["pir_weight"] == 300.0 and isinstance(row["pir_weight"], float)
    assert (row["pir_before"], row["pir_after"], row["change"]) == (0.3, 0.5, 0.2)
    assert (row["cohens_d"], row["d_low"], row["d_high"], row["significant"]) == (2.0, 1.9, 2.1, True)
    assert (row["initial_mean"], row["initial_sd"]) == (0.31, 0.1)
    assert (row["percent_zero"], row["percent_nonzero"]) == (25.0, 75.0)
    assert row["estimated_change"] == 0.12
    assert row["estimator_bias"] == pytest.approx(-0.01)  # estimated 0.29, true 0.30
    assert row["unscaled_cohens_d"] == 1.9 and row["unscaled_d_high"] == 2.0
    assert row["ms_ssim_before"] == pytest.approx(0.39) and row["distance_real"] == pytest.approx(0.24)
    assert row["collapsed"] is False and row["kid_after_se"] == 0.002
    assert row["round"] == 1 and row["first_round_d"] is None


def test_channel_means_and_what_scaling_clips():
    thirds = [[0.1, 0.2, 0.3], [0.1, 0.2, 0.6], [0.1, 0.2, 0.4]]
    means = {"before": {"image": [0.1, 0.2, 0.3], "thirds": thirds}, "after": None}
    found = results(1.0, channel_means=means, scaling={"percent_clipped_shown": 7.5})
    row = row_of(config(interactions__images=500, interactions__impressions=20), found)
    assert (row["red_before"], row["green_before"], row["blue_before"]) == (0.1, 0.2, 0.3)
    assert row["middle_blue_before"] == pytest.approx(0.25) and row["blue_after"] is None
    assert (row["percent_clipped"], row["images"], row["impressions"]) == (7.5, 500, 20)


def test_a_second_round_knows_the_first():
    found = results(0.4, round=2, first_round={"cohens_d": 1.0}, cohens_d_from_start=1.3)
    row = row_of(config(first_round="one"), found)
    assert (row["round"], row["first_round_d"], row["d_from_start"]) == (2, 1.0, 1.3)
    assert row_of(config(first_round="one"), results(0.4))["round"] == 2
    third = results(0.1, round=3, first_round={"cohens_d": 0.4, "cohens_d_from_start": 1.3}, cohens_d_from_start=1.35)
    assert row_of(config(first_round="two"), third)["first_round_d"] == 1.3


def test_what_is_missing_or_undefined_is_none():
    empty = row_of({}, {})
    assert {name for name, value in empty.items() if value is None} == {
        name for name, kind in COLUMNS.items() if kind is not str and name != "round"
    }
    odd = results(
        1.0, cohens_d=None, cohens_d_interval=None, p_value=float("nan"), significant=None, diversity=None, true=None
    )
    row = row_of(config(), odd)
    assert row["cohens_d"] is None and row["d_low"] is None and row["p_value"] is None and row["significant"] is None
    assert row["ms_ssim_after"] is None and row["collapsed"] is None and row["estimator_bias"] is None
    one_class = results(1.0)
    one_class["diversity"]["after"]["ms_ssim"] = [0.4, None]
    assert row_of(config(), one_class)["ms_ssim_after"] is None


def test_real_people_have_no_objective():
    row = row_of(config(interactions__source="csv:ratings.csv"), results(1.0))
    assert row["kind"] == "people" and row["objective"] == ""


def test_published_runs_make_rows():
    folder = Path(__file__).resolve().parents[2] / "experiments" / "main-job"
    about, found = (json.loads((folder / name).read_text()) for name in ("config.json", "results.json"))
    row = row_of(about["config"], found, experiment="main-job")
    assert row["kind"] == "single color" and row["cohens_d"] == found["cohens_d"]
    assert row["pir_after"] - row["pir_before"] == pytest.approx(row["change"])


def test_rows_come_back_as_they_were(tmp_path):
    rows = [*whole(), experiment(name='odd, "name"\nwith µ'), row_of({}, {}, experiment="empty")]
    write_rows(tmp_path / "a.csv", rows)
    assert read_rows(tmp_path / "a.csv") == rows
    write_rows(tmp_path / "b.csv", read_rows(tmp_path / "a.csv"))
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_columns_that_are_not_ours_stay_text(tmp_path):
    write_rows(tmp_path / "a.csv", [{"status": "done", "seconds": 1.5, "k": 20}], ("status", "seconds", "k"))
    assert read_rows(tmp_path / "a.csv") == [{"status": "done", "seconds": "1.5", "k": 20}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no header"),
        ("k,k\n1,2\n", "no header with a name for each column"),
        ("k,change\n1\n", "line 2, has 1 cells, expected 2"),
        ("change\nbig\n", "change is 'big', expected a number"),
        ("change\nnan\n", "change is nan, expected a finite number"),
        ("k\n1.5\n", "k is '1.5', expected a whole number"),
        ("significant\nmaybe\n", "significant is 'maybe', expected true or false"),
    ],
)
def test_a_damaged_table_is_refused_in_one_sentence(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_rows(tmp_path / "a.csv")


def test_an_unreadable_table_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\x00k")
    with pytest.raises(InputError, match="can't be read"):
        read_rows(tmp_path / "a.csv")
    with pytest.raises(InputError, match="can't be read"):
        read_rows(tmp_path / "absent.csv")
