"""Tests of numbers, sentences and the table for the terminal."""

import math

import pytest
from synthetic_run import results

from pir_tf.report.numbers import duration, interval, number, p_value, percent, plain, two_means, whole
from pir_tf.report.sentences import audience, estimator_sentence, headline, scaling_sentence, verdict_sentence
from pir_tf.report.tables import config_groups, diversity_rows, result_table, stage_rows

# Numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.61234, "0.612"),
        (-0.0712, "-0.071"),
        (0.0, "0.000"),
        (0.00004, "4e-05"),
        (None, "not measured yet"),
        (math.nan, "not measured yet"),
        (math.inf, "not measured yet"),
    ],
)
def test_number(value, text):
    assert number(value) == text


def test_signed_number():
    assert number(0.0712, signed=True) == "+0.071"
    assert number(-0.0712, signed=True) == "-0.071"
    assert number(0.0, signed=True) == "0.000"


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.0, "p < 1e-300"),
        (1e-310, "p < 1e-300"),
        (3.21e-45, "p = 3.2e-45"),
        (0.0341, "p = 0.034"),
        (1.0, "p = 1.000"),
        (None, "not measured yet"),
    ],
)
def test_p_value(p, text):
    assert p_value(p) == text


def test_two_means_show_that_they_differ():
    assert two_means(0.61, 0.68) == ("0.61", "0.68")
    assert two_means(0.6121, 0.6138) == ("0.612", "0.614")
    assert two_means(0.5, 0.5) == ("0.500", "0.500")


def test_other_numbers():
    assert interval([2.3, 2.516]) == "2.30 to 2.52"
    assert interval(None) == "undefined" and interval([None, 1.0], missing="") == ""
    assert [duration(s) for s in (4.24, 41, 192, 7499, None)] == [
        "4.2 s",
        "41 s",
        "3 min 12 s",
        "2 h 05 min",
        "unknown",
    ]
    assert duration(59.7) == "1 min 00 s" and duration(3599.8) == "1 h 00 min"
    assert whole(1234) == "1,234" and percent(12.34, 1) == "12.3%"
    assert [plain(v) for v in (None, True, 15000, 1e-5, [], [1.0, -1.0], "")] == [
        *("not set", "yes", "15,000", "1e-05", "(empty)", "1, -1", "(empty)")
    ]


# Sentences


def test_verdict_sentences():
    base = {
        "pir_before_mean": 0.611,
        "pir_after_mean": 0.684,
        "change": 0.073,
        "cohens_d": 2.41,
        "cohens_d_interval": [2.31, 2.52],
        "p_value": 0.0,
        "alpha": 0.001,
        "class_names": ["mountain", "coast"],
    }
    effect = "(d = 2.4, 95% interval 2.3 to 2.5)"
    assert verdict_sentence({**base, "verdict": "gain"}) == (
        f"Tuning raised the mean PIR from 0.61 to 0.68 {effect}: a gain."
    )
    collapse = {**base, "verdict": "gain with collapse", "diversity": {"collapsed": [False, True]}}
    assert "in the class coast less than half of the variety is left" in verdict_sentence(collapse)
    assert "no success" in verdict_sentence(collapse)
    loss = {**base, "pir_before_mean": 0.684, "pir_after_mean": 0.611, "verdict": "loss"}
    assert verdict_sentence(loss).startswith("Tuning lowered the mean PIR from 0.68 to 0.61")
    nothing = verdict_sentence({**base, "verdict": "no significant change", "p_value": 0.4})
    assert "no difference that stands out from chance" in nothing and "p = 0.400, threshold 0.001" in nothing
    undefined = {**base, "verdict": "undefined", "cohens_d": None, "cohens_d_interval": None, "p_value": None}
    assert "can't be told" in verdict_sentence(undefined)


def test_not_measured_is_never_a_gain():
    for some in ({}, results(measured=False), {"verdict": "gain"}, {"verdict": "of another version"}):
        assert "not measured yet" in verdict_sentence(some)
    assert headline({}) == "Not measured yet"


def test_audience():
    assert audience({"source": "simulated", "objective": "color:blue"}) == "simulated users who like blue"
    assert audience({"source": "simulated", "objective": "color:red-green-blue"}) == (
        "simulated users who like red in the left third, green in the middle third and blue in the right third"
    )
    assert audience({"source": "csv", "objective": None}) == "real people"
    both = audience({"source": "csv", "objective": "color:blue"})
    assert both == "simulated users who like blue, while real people judge the new images"
    assert "vgg:pool1" in audience({"source": "simulated", "objective": "vgg:pool1"})


@pytest.mark.parametrize(
    "objective, said",
    [
        ("vgg:pool3:filters=12", "filter 12 of VGG16's layer pool3"),
        ("vgg:pool3:filters=40,12", "filters 12 and 40 of VGG16's layer pool3"),
        ("vgg:fc7:k=20:seed=2", "20 filters (draw 2) of VGG16's layer fc7"),
        ("vgg:pool1:k=1", "1 filter (draw 0) of VGG16's layer pool1"),
        ("vgg:fc8:filters=9,8,7,6,5,4,3,2,1,0", "filters 0, 1, 2, 3, 4, 5, 6, 7 and 2 more of VGG16's layer fc8"),
    ],
)
def test_audience_of_vgg_objectives(objective, said):
    assert audience({"objective": objective}) == f"simulated users who like what activates {said}"


def test_scaling_sentence():
    both = {"before_mean": 0.149, "after_mean": 0.153, "cohens_d": 0.1, "cohens_d_interval": [-0.3, 0.4]}
    scaling = {"percent_clipped_shown": 1.56, "percent_clipped_before": 7.8, "percent_clipped_after": 100.0}
    said = scaling_sentence({"scaling": scaling, "unscaled": both})
    for words in (
        "mean 0.5 and standard deviation 0.25",
        "(1.6% of those, 7.8% of those before, 100.0% of those after tuning)",
    ):
        assert words in said
    assert "from 0.149 to 0.153 (d = 0.1" in said
    assert scaling_sentence({}) is None and scaling_sentence({"scaling": None, "unscaled": None}) is None


def test_estimator_sentence():
    assert "1.50 times that" in estimator_sentence({"estimated_change": 0.04, "change": 0.06})
    assert "times" not in estimator_sentence({"estimated_change": 0.04, "change": -0.06})
    assert estimator_sentence({"estimated_change": 0.04, "change": None}) is None


# Tables


def test_result_table():
    table = result_table({**results(), "p_value": 0.0})
    assert "p < 1e-300" in table and "Verdict at alpha 0.001" in table
    assert "Estimates, not gains" in table and "a second judge" in table
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    starts = {line.index(value) for line, value in zip(lines[:3], ("0.609", "0.680", "+0.071"), strict=True)}
    assert len(starts) == 1
    estimates = lines[lines.index("") + 1 :]
    assert len({len(line) for line in estimates}) == 1  # right-aligned


def test_result_table_of_a_run_that_is_not_measured():
    table = result_table({**results(measured=False, judge=False), "note": "word " * 40})
    assert table.count("not measured yet") == 6
    assert not any(word in table for word in ("None", "nan", "null"))
    assert max(map(len, table.splitlines())) <= 80
    assert result_table({})


def test_images_without_an_answer_are_not_counted():
    some = results()
    some["true"]["n_before"] = 120
    lines = result_table(some).splitlines()
    assert lines[0].endswith("120 of 300 images rated") and lines[1].endswith(" 300 images")


def test_undefined_is_not_called_not_measured():
    table = result_table({**results(), "cohens_d": None, "cohens_d_interval": None, "p_value": None, "welch_t": None})
    assert table.count("undefined") == 2


def test_diversity_rows_say_what_collapsed():
    diversity = results()["diversity"]
    diversity["collapsed"], diversity["after_over_before"] = [True, False], [0.4, 0.9]
    diversity["collapsed_against_real"] = [True, True]
    rows = diversity_rows({"diversity": diversity}, ["mountain", "coast"])
    assert rows[0][0] == "mountain" and rows[0][1] == ("0.210", "0.180", "0.250")
    assert rows[0][3].startswith("Collapsed: 40%")
    assert rows[1][3].startswith("Less than half as varied as real images")
    assert diversity_rows({}, ["mountain"]) == []


def test_diversity_rows_without_real_images():
    diversity = results()["diversity"]
    diversity.update(real=None, after_over_real=[None, None], collapsed_against_real=[None, None])
    (_, distance, likeness, said), _ = diversity_rows({"diversity": diversity}, ["mountain", "coast"])
    assert distance == ("0.210", "0.180", "none") and likeness[2] == "none"
    assert "real" not in said


def test_stage_rows_and_config_groups():
    gan = {"seconds": 5.0, "peak_memory_mb": None, "finished": "2024-03-01T10:02:11+0000"}
    parts = {"images": 0.2, "data": 1.0, "first step": 3.25}
    rows = stage_rows({"gan": gan, "tuning": {**gan, "peak_memory_mb": 1400, "parts": parts}})
    assert rows[0] == ("gan", "5.0 s", "unknown", "", "2024-03-01 10:02")
    assert rows[1] == ("interactions", "not finished", "", "", "")
    assert rows[3] == ("tuning", "5.0 s", "1,400 MB", "first step 3.2 s, data 1.0 s", "2024-03-01 10:02")
    assert config_groups({"seed": 0, "gan.steps": 5, "gan.keep": "last"}) == [
        ("experiment", [("seed", "0")]),
        ("gan", [("steps", "5"), ("keep", "last")]),
    ]
