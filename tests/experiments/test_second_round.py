"""A second round end to end (A.3): what it takes from the first, and that people are asked about new images alone."""

import csv
import json
import shutil
from pathlib import Path
from unittest import mock

import keras
import numpy as np
import pytest
from answers import fill
from commands import SMALL, UP_TO_EVALUATION, small_command

from pir_tf.experiments import estimator_stage
from pir_tf.experiments.run import parse
from pir_tf.runs.directory import RunDirectory
from pir_tf.statistics.effects import cohens_d

pytestmark = pytest.mark.slow


@pytest.fixture
def first(small_run):
    """The directory of a finished first round."""
    return small_run


def results_of(path):
    return json.loads((path / "evaluation" / "results.json").read_text())


def trained(path):
    """The saved estimator's weights without moving statistics, which move at any learning rate."""
    model = keras.models.load_model(path / "estimator" / "estimator.keras")
    return {v.path: np.asarray(v) for v in model.weights if "moving" not in v.path}


def rows_of(path):
    with open(path / "interactions" / "interactions.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def test_it_goes_on_from_the_first_rounds_networks_estimator_and_images(first, tmp_path):
    # At this rate training moves nothing, so what comes out is what it began with.
    words = ["--first-round", first, "--estimator.learning-rate", "1e-30", "--evaluation.judge"]
    second = tmp_path / "two"
    refused = small_command(*SMALL, *words, "--interactions.objective", "color:red", "--run-dir", second, cwd=tmp_path)
    assert refused.returncode == 2 and not second.exists() and "Traceback" not in refused.stderr
    assert "interactions.objective ('color:blue' there, 'color:red' now)" in refused.stderr
    done = small_command(*SMALL, *UP_TO_EVALUATION, *words, "--run-dir", second, cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    for name in ("generator.keras", "discriminator.keras", "generator.json"):
        assert (second / "gan" / name).read_bytes() == (first / "tuning" / name).read_bytes()
    before, after = trained(first), trained(second)
    assert before.keys() == after.keys() and np.abs(after["logits/kernel"]).max() > 0
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-20)  # a 0 may become 1e-30

    old, both = (np.load(path / "interactions" / "images.npz") for path in (first, second))
    assert len(both["images"]) == 2 * len(old["images"]) == 32
    assert np.array_equal(both["images"][:16], old["images"])
    assert not np.intersect1d(both["z"][16:], old["z"]).size
    generator = keras.models.load_model(first / "tuning" / "generator.keras")
    made = generator([both["z"][16:], np.eye(2)[both["labels"][16:]]])
    assert np.abs(np.asarray(made) - (both["images"][16:] / 127.5 - 1)).max() <= 0.51 / 127.5

    rows = rows_of(second)
    assert [row["round"] for row in rows] == ["1"] * 16 + ["2"] * 16
    assert rows[:16] == rows_of(first)
    assert [row["image_id"] for row in rows] == both["ids"].tolist()
    assert rows[16]["image_id"].startswith("r2-0000-")

    results, samples = results_of(second), np.load(second / "evaluation" / "samples.npz")
    start = np.load(first / "evaluation" / "samples.npz")
    assert results["round"] == 2
    assert results["first_round"]["cohens_d"] == results_of(first)["cohens_d"]
    assert results["cohens_d_from_start"] == pytest.approx(cohens_d(start["true_before"], samples["true_after"]))
    assert results["cohens_d"] == pytest.approx(cohens_d(samples["true_before"], samples["true_after"]))
    seen = {image.tobytes() for image in start["after"]}
    assert not any(image.tobytes() in seen for image in samples["before"])
    # A judge that begins afresh and can't learn gives every image the mean of the bins' centres.
    assert results["judged"]["before_mean"] == pytest.approx(0.5, abs=0.02)


def test_a_judge_begins_afresh_with_the_steps_of_both_rounds(first, tmp_path, monkeypatch):
    asked = mock.Mock()
    monkeypatch.setattr(estimator_stage, "fit_estimator", asked)
    run = RunDirectory(tmp_path / "two", parse([*SMALL, "--first-round", str(first)]).experiment)
    for name in ("images.npz", "interactions.csv"):
        shutil.copy(first / "interactions" / name, run.file("interactions", name))
    estimator_stage.second_judge(run)
    _, _, settings = asked.call_args.args
    assert settings.steps == 8
    assert {"initial": None, "seed": run.seed_of("judge")}.items() <= asked.call_args.kwargs.items()


def test_people_are_asked_about_the_new_images_and_the_old_answers_stay(first, tmp_path):
    one, two = Path(shutil.copytree(first, tmp_path / "one")), tmp_path / "two"
    about = json.loads((one / "config.json").read_text())
    about["config"]["interactions.source"] = "csv:one.csv"  # as if the users had been people
    (one / "config.json").write_text(json.dumps(about))
    words = ["--first-round", one, "--interactions.source", "csv:two.csv", "--run-dir", two]
    ask = lambda: small_command(*SMALL, "--stages", "gan", "interactions", *words, cwd=tmp_path)  # noqa: E731
    assert "Waiting for people" in ask().stdout
    fill(tmp_path / "two.csv")
    assert "People rated 32 of the 32 images shown." in ask().stdout
    asked = [path.stem for path in (tmp_path / "two_images").glob("*.png")]
    assert len(asked) == 16 and all(name.startswith("r2-") for name in asked)
    rows = rows_of(two)
    assert rows[:16] == rows_of(one) and [row["round"] for row in rows[16:]] == ["2"] * 16
