"""Tests of numbers, sentences and the table for the terminal."""

import math

import pytest
from synthetic_run import results

from pir_tf.report import sentences as say
from pir_tf.report.numbers import duration, interval, number, p_value, percent, plain, two_means, whole
from pir_tf.report.tables import config_groups, diversity_rows, kid_row, result_table, stage_rows

OPEN = "not measured yet"
NUMBERS = [
    ([number(value) for value in (0.61234, -0.0712, 0.0, 0.00004)], ["0.612", "-0.071", "0.000", "4e-05"]),
    ([number(value) for value in (None, math.nan, math.inf)], [OPEN] * 3),
    ([number(value, signed=True) for value in (0.0712, 0.0)], ["+0.071", "0.000"]),
    ([p_value(p) for p in (0.0, 1e-310, 3.21e-45)], ["p < 1e-300", "p < 1e-300", "p = 3.2e-45"]),
    ([p_value(p) for p in (0.0341, 1.0, None)], ["p = 0.034", "p = 1.000", OPEN]),
    (two_means(0.61, 0.68), ("0.61", "0.68")),
    (two_means(0.6121, 0.6138), ("0.612", "0.614")),
    (two_means(0.5, 0.5), ("0.500", "0.500")),
    ([interval([2.3, 2.516]), interval(None), interval([None, 1.0], missing="")], ["2.30 to 2.52", "undefined", ""]),
    ([duration(s) for s in (4.24, 41, 59.7, 192)], ["4.2 s", "41 s", "1 min 00 s", "3 min 12 s"]),
    ([duration(s) for s in (3599.8, 7499, None)], ["1 h 00 min", "2 h 05 min", "unknown"]),
    ([whole(1234), percent(12.34, 1)], ["1,234", "12.3%"]),
    ([plain(v) for v in (None, True, 15000, 1e-5)], ["not set", "yes", "15,000", "1e-05"]),
    ([plain(v) for v in ([], [1.0, -1.0], "")], ["(empty)", "1, -1", "(empty)"]),
]


def test_numbers():
    for said, text in NUMBERS:
        assert said == text


def test_verdict_sentences_and_the_doubt_where_the_estimate_did_not_rise():
    base = {
        **{"pir_before_mean": 0.611, "pir_after_mean": 0.684, "change": 0.073, "cohens_d": 2.41, "p_value": 0.0},
        **{"cohens_d_interval": [2.31, 2.52], "alpha": 0.001, "class_names": ["mountain", "coast"]},
    }
    effect = "(d = 2.4, 95% interval 2.3 to 2.5)"
    gain = say.verdict_sentence({**base, "verdict": "gain"})
    assert gain == f"Tuning raised the mean PIR from 0.61 to 0.68 {effect}: a gain."
    collapse = {**base, "verdict": "gain with collapse", "diversity": {"collapsed": [False, True]}}
    assert "in the class coast less than half of the variety is left" in say.verdict_sentence(collapse)
    assert "no success" in say.verdict_sentence(collapse)
    loss = {**base, "pir_before_mean": 0.684, "pir_after_mean": 0.611, "verdict": "loss"}
    assert say.verdict_sentence(loss).startswith("Tuning lowered the mean PIR from 0.68 to 0.61")
    nothing = say.verdict_sentence({**base, "verdict": "no significant change", "p_value": 0.4})
    assert "no difference that stands out from chance" in nothing and "p = 0.400, threshold 0.001" in nothing
    undefined = {**base, "verdict": "undefined", "cohens_d": None, "cohens_d_interval": None, "p_value": None}
    assert "can't be told" in say.verdict_sentence(undefined)
    for some in ({}, results(measured=False), {"verdict": "gain"}, {"verdict": "of another version"}):
        assert "not measured yet" in say.verdict_sentence(some)
    assert say.headline({}) == "Not measured yet"
    moved = {"estimate_rose": False, "estimated_change": 4e-9, "estimated_change_interval": [-1e-8, 2e-8]}
    said = (
        "This change can't be put down to the PIR term: the estimated PIR, which that term raises, didn't rise beyond chance "
        "(+4e-09, 95% interval -1e-08 to +2e-08)."
    )
    assert say.doubt({**results(), **moved}) == said
    assert say.doubt({**results(), **moved, "estimated_change_interval": None}).endswith("chance (+4e-09).")
    assert say.doubt({**results(), **moved, "verdict": "loss"}) == said
    table = result_table({**results(), **moved})
    assert f"Note: {said}" in " ".join(table.split()) and "gain" in table
    for other in (results(), results(measured=False), {}, {**results(), **moved, "verdict": "no significant change"}):
        assert say.doubt(other) is None


VGG = "what activates {} of VGG16's layer {}"
LIKED = {
    "color:blue": "blue",
    "color:red-blue": "red in the left half and blue in the right half",
    "color:red-green-blue": "red in the left third, green in the middle third and blue in the right third",
    "vgg:pool3:filters=12": VGG.format("filter 12", "pool3"),
    "vgg:pool3:filters=40,12": VGG.format("filters 12 and 40", "pool3"),
    "vgg:fc7:k=20:seed=2": VGG.format("20 filters (draw 2)", "fc7"),
    "vgg:pool1:k=1": VGG.format("1 filter (draw 0)", "pool1"),
    "vgg:fc8:filters=9,8,7,6,5,4,3,2,1,0": VGG.format("filters 0, 1, 2, 3, 4, 5, 6, 7 and 2 more", "fc8"),
}
LIKED = {objective: f"simulated users who like {said}" for objective, said in LIKED.items()}


@pytest.mark.parametrize("objective", [*LIKED, "vgg:pool1"])
def test_audience(objective):
    said = LIKED.get(objective, f"simulated users with the objective {objective}")
    assert say.audience({"source": "simulated", "objective": objective}) == said
    assert say.audience({"source": "csv", "objective": objective}) == f"{said}, while real people judge the new images"
    assert say.audience({"source": "csv", "objective": None}) == "real people"
    people = {"source": "people:study.db", "objective": None}
    assert say.audience(people, demonstration=True) == "simulated raters in place of people"


def test_a_round_that_asks_nobody_says_so():
    assert say.verdict_sentence({"source": "none"}).endswith("which asks nobody about the new images.")
    assert say.verdict_sentence({"source": "csv"}).endswith("nobody has reacted to the new images.")


def test_sentences_of_scaling_the_estimator_and_a_second_round():
    both = {"before_mean": 0.149, "after_mean": 0.153, "cohens_d": 0.1, "cohens_d_interval": [-0.3, 0.4]}
    scaling = {"percent_clipped_shown": 1.56, "percent_clipped_before": 7.8, "percent_clipped_after": 100.0}
    said = say.scaling_sentence({"scaling": scaling, "unscaled": both})
    assert "mean 0.5 and standard deviation 0.25" in said and "from 0.149 to 0.153 (d = 0.1" in said
    assert "(1.6% of those, 7.8% of those before, 100.0% of those after tuning)" in said
    assert say.scaling_sentence({}) is None and say.scaling_sentence({"scaling": None, "unscaled": None}) is None
    assert "1.50 times that" in say.estimator_sentence({"estimated_change": 0.04, "change": 0.06})
    assert "times" not in say.estimator_sentence({"estimated_change": 0.04, "change": -0.06})
    assert say.estimator_sentence({"estimated_change": 0.04, "change": None}) is None
    first = {"run": "blue", "pir_before_mean": 0.561, "pir_after_mean": 0.702, "cohens_d": 2.31}
    first["cohens_d_interval"] = [2.2, 2.42]
    way = {"cohens_d_from_start": 3.14, "cohens_d_from_start_interval": [3.0, 3.3]}
    assert say.round_sentence({"round": 2, "first_round": first, **way}, {"first_round": "blue"}) == (
        "This is round 2: it goes on from the run blue, which took the mean PIR from 0.56 to 0.70 (d = 2.3, 95% interval "
        "2.2 to 2.4). From the images before the first round to those after this one, d = 3.1, 95% interval 3.0 to 3.3."
    )
    assert say.round_sentence({}, {"first_round": "blue"}) == "This is round 2: it goes on from the run blue."
    said = say.round_sentence({"round": 3, "first_round": first, "cohens_d_from_start": None}, {"first_round": "blue"})
    assert said.startswith("This is round 3") and "From the images" not in said
    assert say.round_sentence({"round": 1, "first_round": None}, {"first_round": ""}) is None


def test_result_table_of_runs_that_are_measured_open_or_undefined():
    table = result_table({**results(), "p_value": 0.0})
    assert "p < 1e-300" in table and "Verdict at alpha 0.001" in table
    assert "Estimates, not gains" in table and "a second judge" in table
    lines = table.splitlines()
    assert max(map(len, lines)) <= 80
    starts = {line.index(value) for line, value in zip(lines[:3], ("0.609", "0.680", "+0.071"), strict=True)}
    assert len(starts) == 1
    estimates = lines[lines.index("") + 1 :]
    assert len({len(line) for line in estimates}) == 1  # right-aligned
    some = results()
    some["true"]["n_before"] = 120  # the others have no answer
    lines = result_table(some).splitlines()
    assert lines[0].endswith("120 of 300 images rated") and lines[1].endswith(" 300 images")
    table = result_table({**results(measured=False, judge=False), "note": "word " * 40})
    assert table.count("not measured yet") == 6 and "KL of" not in table
    assert ["KL", "of", "the", "moved", "latents", "1.23", "nats"] in [
        line.split() for line in result_table({**results(), "kl": 1.234}).splitlines()
    ]
    kid = {"network": "VGG16 pool5, mean over positions, weights file:some-long-name.h5, resized", "images": 300}
    kid |= {"before": 27.5, "before_se": 0.34, "after": 256.0, "after_se": 2.6, "control": 27.4, "control_se": None}
    lines = result_table({**results(), "kid": kid}).splitlines()
    assert "KID before 27.5 ± 0.34, after 256 ± 2.6, of the control 27.4" in lines and max(map(len, lines)) <= 80
    assert f"of 300 images by {kid['network']}" in " ".join(" ".join(lines).split())
    assert not any(word in table for word in ("None", "nan", "null", "KID"))
    assert max(map(len, table.splitlines())) <= 80
    assert result_table({})
    table = result_table({**results(), "cohens_d": None, "cohens_d_interval": None, "p_value": None, "welch_t": None})
    assert table.count("undefined") == 2
    constant = {"before_mean": 0.995, "after_mean": 0.995, "change": 0.0, "cohens_d": None}
    lines = result_table({**results(), "estimated": constant}).splitlines()
    line = next(line for line in lines if "own view" in line)
    assert line.split("view")[1].split() == ["0.995", "0.995", "0.000", "undefined"]
    assert len({len(line) for line in lines[lines.index("") + 1 :]}) == 1 and max(map(len, lines)) <= 80


def test_rows_of_diversity_stages_and_config():
    kid = {"before": -0.0123, "after": 4.5678, "before_se": None, "after_se": 0.11}
    assert kid_row({"kid": kid}) == ("-0.0123", "4.57 ± 0.11")
    assert kid_row({"kid": {**kid, "control": 3.2, "control_se": 0.1}})[2:] == ("3.2 ± 0.1",)
    assert kid_row({}) is kid_row({"kid": None}) is kid_row({"kid": {**kid, "after": None}}) is None
    diversity = results()["diversity"]
    diversity["collapsed"], diversity["after_over_before"] = [True, False], [0.4, 0.9]
    diversity["collapsed_against_real"] = [True, True]
    rows = diversity_rows({"diversity": diversity}, ["mountain", "coast"])
    assert rows[0][0] == "mountain" and rows[0][1] == ("0.210", "0.180", "0.250")
    assert rows[0][3].startswith("Collapsed: 40%")
    assert rows[1][3].startswith("Less than half as varied as real images")
    assert diversity_rows({}, ["mountain"]) == []
    diversity.update(real=None, after_over_real=[None, None], collapsed_against_real=[None, None])
    _, (_, distance, likeness, said) = diversity_rows({"diversity": diversity}, ["mountain", "coast"])
    assert distance == ("0.240", "0.200", "none") and likeness[2] == "none" and "real" not in said
    gan = {"seconds": 5.0, "peak_memory_mb": None, "finished": "2024-03-01T10:02:11+0000"}
    parts = {"images": 0.2, "data": 1.0, "first step": 3.25}
    rows = stage_rows({"gan": gan, "tuning": {**gan, "peak_memory_mb": 1400, "parts": parts}})
    assert rows[0] == ("gan", "5.0 s", "unknown", "", "2024-03-01 10:02")
    assert rows[1] == ("interactions", "not finished", "", "", "")
    assert rows[3] == ("tuning", "5.0 s", "1,400 MB", "first step 3.2 s, data 1.0 s", "2024-03-01 10:02")
    groups = config_groups({"seed": 0, "gan.steps": 5, "gan.keep": "last"})
    assert groups == [("experiment", [("seed", "0")]), ("gan", [("steps", "5"), ("keep", "last")])]
