"""What a report says of a further round, of the distance from real images, and of the saturating loss."""

import csv
import json
import re

import pytest
from synthetic_run import write_run

from pir_tf.report.page import write_report
from pir_tf.report.sentences import round_sentence
from pir_tf.report.tables import kid_row

FIRST = {"run": "blue", "pir_before_mean": 0.561, "pir_after_mean": 0.702, "cohens_d": 2.31}
FIRST["cohens_d_interval"] = [2.2, 2.42]
KID = {
    **{"network": "VGG16 pool5, weights imagenet", "images": 300, "real_images": 300, "block_size": 100, "blocks": 3},
    **{"before": -0.0123, "after": 4.5678, "before_se": 0.00456, "after_se": 0.11, "reason": None},
}


def text_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8").partition("<body>")[2]))


def test_a_first_round_has_no_sentence_of_rounds():
    assert round_sentence({"round": 1, "first_round": None}, {"first_round": ""}) is None
    assert round_sentence({}, {}) is None


def test_a_second_round_says_what_the_first_did_and_how_far_both_came():
    results = {
        **{"round": 2, "first_round": FIRST},
        **{"cohens_d_from_start": 3.14, "cohens_d_from_start_interval": [3.0, 3.3]},
    }
    said = round_sentence(results, {"first_round": "blue"})
    assert said == (
        "This is round 2: it goes on from the run blue, which took the mean PIR from 0.56 to 0.70 (d = 2.3, 95% interval "
        "2.2 to 2.4). From the images before the first round to those after this one, d = 3.1, 95% interval 3.0 to 3.3."
    )


def test_a_second_round_without_a_measure_claims_nothing():
    assert round_sentence({}, {"first_round": "blue"}) == "This is round 2: it goes on from the run blue."
    said = round_sentence({"round": 3, "first_round": FIRST, "cohens_d_from_start": None}, {"first_round": "blue"})
    assert said.startswith("This is round 3") and "From the images" not in said


def test_the_distance_stands_with_its_standard_error():
    assert kid_row({"kid": KID}) == ("-0.0123 ± 0.0046", "4.57 ± 0.11")
    assert kid_row({"kid": {**KID, "before_se": None}}) == ("-0.0123", "4.57 ± 0.11")


@pytest.mark.parametrize("results", [{}, {"kid": None}, {"kid": {**KID, "after": None}}])
def test_without_both_distances_there_is_no_row(results):
    assert kid_row(results) is None


def test_the_page_shows_round_distance_and_the_saturating_loss(tmp_path):
    rounds = {"round": 2, "first_round": FIRST, "cohens_d_from_start": 3.14, "cohens_d_from_start_interval": None}
    path = write_run(tmp_path, kid=KID, **rounds)
    about = json.loads((path / "config.json").read_text())
    about["config"]["first_round"] = "blue"
    (path / "config.json").write_text(json.dumps(about))
    history = path / "tuning" / "history.csv"
    rows = list(csv.DictReader(history.open()))
    with history.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, [*rows[0], "L_saturating"])
        writer.writeheader()
        writer.writerows({**row, "L_saturating": 0.7} for row in rows)
    text = text_of(write_report(path))
    assert "This is round 2: it goes on from the run blue" in text
    assert "−0.0123 ± 0.0046" in text and "4.57 ± 0.11" in text
    assert "VGG16 pool5, weights imagenet" in text and "3 blocks of 100 images" in text
    assert "This generator maximised L saturating instead" in text


def test_the_page_says_why_the_distance_is_not_measured(tmp_path):
    reason = "No weights of VGG16 were named."
    text = text_of(write_report(write_run(tmp_path, kid={**dict.fromkeys(KID), "reason": reason})))
    assert f"(KID) is not measured. {reason}" in text
    assert "This is round" not in text and "This generator maximised" not in text
