"""A second round end to end (A.3): what it takes from the first, and that people are asked about new images alone."""

import csv
import json

import keras
import numpy as np
import pytest
from commands import QUICK, command

from pir_tf.statistics.effects import cohens_d

HEAD = (
    "--estimator.backbone inception_v3 --estimator.weights none --estimator.layer mixed2 --estimator.image-size 75 "
    "--estimator.trainable head --evaluation.judge"
).split()


def results_of(path):
    return json.loads((path / "evaluation" / "results.json").read_text())


def trained(path):
    """The saved estimator's weights without moving statistics, which move at any learning rate."""
    model = keras.models.load_model(path / "estimator" / "estimator.keras")
    return {v.path: np.asarray(v) for v in model.weights if "moving" not in v.path}


def rows_of(path):
    with open(path / "interactions" / "interactions.csv", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.slow
def test_it_goes_on_from_the_first_rounds_networks_estimator_and_images(smoke, tmp_path):
    first, _ = smoke
    # At this rate training moves nothing, so what comes out is what it began with.
    words = ["smoke", *QUICK, "--first-round", first, "--estimator.learning-rate", "1e-30"]
    done = command(*words, "--run-dir", tmp_path / "two", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    second = tmp_path / "two"

    for name in ("generator.keras", "discriminator.keras", "generator.json"):
        assert (second / "gan" / name).read_bytes() == (first / "tuning" / name).read_bytes()
    before, after = trained(first), trained(second)
    assert before.keys() == after.keys() and np.abs(after["logits/kernel"]).max() > 0
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-20)  # a 0 may become 1e-30

    old, both = (np.load(path / "interactions" / "images.npz") for path in (first, second))
    assert len(both["images"]) == 2 * len(old["images"]) == 128
    assert np.array_equal(both["images"][:64], old["images"])
    assert not np.intersect1d(both["z"][64:], old["z"]).size
    generator = keras.models.load_model(first / "tuning" / "generator.keras")
    made = generator([both["z"][64:72], np.eye(2)[both["labels"][64:72]]])
    assert np.abs(np.asarray(made) - (both["images"][64:72] / 127.5 - 1)).max() <= 0.51 / 127.5

    rows = rows_of(second)
    assert [row["round"] for row in rows] == ["1"] * 64 + ["2"] * 64
    assert rows[:64] == rows_of(first)
    assert [row["image_id"] for row in rows] == both["ids"].tolist()
    assert rows[64]["image_id"].startswith("r2-0000-")

    results, samples = results_of(second), np.load(second / "evaluation" / "samples.npz")
    start = np.load(first / "evaluation" / "samples.npz")
    assert results["round"] == 2
    assert results["first_round"]["cohens_d"] == results_of(first)["cohens_d"]
    assert results["cohens_d_from_start"] == pytest.approx(cohens_d(start["true_before"], samples["true_after"]))
    assert results["cohens_d"] == pytest.approx(cohens_d(samples["true_before"], samples["true_after"]))
    seen = {image.tobytes() for image in start["after"]}
    assert not any(image.tobytes() in seen for image in samples["before"])
    assert "This is round 2: it goes on from the run run" in (second / "report" / "index.html").read_text()

    again = command(*words, "--run-dir", tmp_path / "two", cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("done before, skipped") == 6


@pytest.mark.slow
def test_another_objective_is_refused_before_anything_is_made(smoke, tmp_path):
    words = ["smoke", "--first-round", smoke[0], "--interactions.objective", "color:red"]
    refused = command(*words, "--run-dir", tmp_path / "two", cwd=tmp_path)
    assert refused.returncode == 2
    assert "interactions.objective ('color:blue' there, 'color:red' now)" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "two").exists()


@pytest.mark.slow
def test_it_works_with_a_trained_head_and_a_judge_that_begins_afresh(tmp_path):
    for name, more in (("one", []), ("two", ["--first-round", tmp_path / "one", "--estimator.learning-rate", "1e-30"])):
        done = command("smoke", *QUICK, *HEAD, *more, "--run-dir", tmp_path / name, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    before, after = (trained(tmp_path / name) for name in ("one", "two"))
    for name in before:
        # Standardization is folded into the logits and out of them again, which rounds.
        np.testing.assert_allclose(after[name], before[name], atol=1e-4 * max(np.abs(before[name]).max(), 1e-3))
    results = results_of(tmp_path / "two")
    # A judge that can't learn gives every image the mean of the bins' centres.
    assert results["judged"]["before_mean"] == pytest.approx(0.5, abs=0.01)
    assert results["estimated"]["before_sd"] > 0
    assert results["round"] == 2 and results["cohens_d_from_start"] is not None


def fill(path):
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, "impressions": 10, "positives": i % 11} for i, row in enumerate(rows))


@pytest.mark.slow
def test_people_are_asked_about_the_new_images_and_the_old_answers_stay(tmp_path):
    def round_of(name, *more):
        answers, judged = tmp_path / f"{name}.csv", tmp_path / name / "evaluation" / "answers.csv"
        words = ["smoke", *QUICK, "--interactions.source", f"csv:{answers}", "--interactions.images", 20, *more]
        words += ["--evaluation.images", 20, "--run-dir", tmp_path / name]
        for path in (answers, judged):
            waiting = command(*words, cwd=tmp_path)
            assert waiting.returncode == 0 and "Waiting for people" in waiting.stdout, waiting.stderr
            fill(path)
        done = command(*words, "--evaluation.source", f"csv:{judged}", cwd=tmp_path)
        assert done.returncode == 0, done.stderr

    round_of("one")
    round_of("two", "--first-round", tmp_path / "one")
    asked = [path.stem for path in (tmp_path / "two_images").glob("*.png")]
    assert len(asked) == 20 and all(name.startswith("r2-") for name in asked)
    rows = rows_of(tmp_path / "two")
    assert rows[:20] == rows_of(tmp_path / "one") and [row["round"] for row in rows[20:]] == ["2"] * 20
    results = results_of(tmp_path / "two")
    assert results["round"] == 2 and results["first_round"]["cohens_d"] is not None
    assert results["cohens_d_from_start"] is not None
