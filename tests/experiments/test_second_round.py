"""A second round end to end (A.3): what it takes from the first, and that people are asked about new images alone."""

import csv

import keras
import numpy as np
import pytest
from commands import command
from small_runs import UP_TO_EVALUATION, changed, fill, finish, results_of, small_config, small_networks

from pir_tf.experiments import estimator_stage
from pir_tf.experiments.people import Waiting
from pir_tf.runs.directory import RunDirectory
from pir_tf.statistics.effects import cohens_d


@pytest.fixture(autouse=True)
def small(monkeypatch):
    with small_networks(monkeypatch):
        yield


def trained(path):
    """The saved estimator's weights without moving statistics, which move at any learning rate."""
    model = keras.models.load_model(path / "estimator" / "estimator.keras")
    return {v.path: np.asarray(v) for v in model.weights if "moving" not in v.path}


def rows_of(path):
    with open(path / "interactions" / "interactions.csv", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.slow
def test_it_goes_on_from_the_first_rounds_networks_estimator_and_images(tmp_path):
    first = finish(tmp_path / "one", small_config())
    # At this rate training moves nothing, so what comes out is what it began with.
    config = small_config(first_round=str(first), estimator__learning_rate=1e-30, evaluation__judge=True)
    second = finish(tmp_path / "two", config)

    for name in ("generator.keras", "discriminator.keras", "generator.json"):
        assert (second / "gan" / name).read_bytes() == (first / "tuning" / name).read_bytes()
    before, after = trained(first), trained(second)
    assert before.keys() == after.keys() and np.abs(after["logits/kernel"]).max() > 0
    for name in before:
        np.testing.assert_allclose(after[name], before[name], rtol=0, atol=1e-20)  # a 0 may become 1e-30

    old, both = (np.load(path / "interactions" / "images.npz") for path in (first, second))
    assert len(both["images"]) == 2 * len(old["images"]) == 48
    assert np.array_equal(both["images"][:24], old["images"])
    assert not np.intersect1d(both["z"][24:], old["z"]).size
    generator = keras.models.load_model(first / "tuning" / "generator.keras")
    made = generator([both["z"][24:], np.eye(2)[both["labels"][24:]]])
    assert np.abs(np.asarray(made) - (both["images"][24:] / 127.5 - 1)).max() <= 0.51 / 127.5

    rows = rows_of(second)
    assert [row["round"] for row in rows] == ["1"] * 24 + ["2"] * 24
    assert rows[:24] == rows_of(first)
    assert [row["image_id"] for row in rows] == both["ids"].tolist()
    assert rows[24]["image_id"].startswith("r2-0000-")

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


def test_a_judge_begins_afresh_with_the_steps_of_both_rounds(tmp_path, monkeypatch):
    first = tmp_path / "one"
    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        (first / stage).mkdir(parents=True)
        (first / stage / "done.json").write_text("{}")
    (first / "config.json").write_text("{}")
    (first / "evaluation" / "results.json").write_text('{"round": 1}')
    asked = {}
    monkeypatch.setattr(
        estimator_stage,
        "fit_estimator",
        lambda images, interactions, settings, **more: asked.update({more["seed"]: (settings.steps, more["initial"])}),
    )
    run = RunDirectory(tmp_path / "two", changed(small_config(), first_round=str(first)))
    shown = type("Shown", (), {"images": None})
    for stage, purpose in (("estimator", "estimator"), ("evaluation", "judge")):
        estimator_stage.train(run, shown, None, stage=stage, purpose=purpose, title="")
    assert asked == {
        run.seed_of("estimator"): (2, first / "estimator" / "estimator"),
        run.seed_of("judge"): (4, None),
    }
    run.close()


@pytest.mark.slow
def test_another_objective_is_refused_before_anything_is_made(smoke, tmp_path):
    words = ["smoke", "--first-round", smoke[0], "--interactions.objective", "color:red"]
    refused = command(*words, "--run-dir", tmp_path / "two", cwd=tmp_path)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "interactions.objective ('color:blue' there, 'color:red' now)" in refused.stderr
    assert not (tmp_path / "two").exists()


@pytest.mark.slow
def test_people_are_asked_about_the_new_images_and_the_old_answers_stay(tmp_path):
    def config_of(name, **more):
        return small_config(interactions__source=f"csv:{tmp_path / name}.csv", interactions__images=12, **more)

    def ask_and_fill(directory, config, answers, stages=UP_TO_EVALUATION):
        with pytest.raises(Waiting, match="Then give the same command again.$"):
            finish(directory, config, stages)
        fill(answers)

    first, second = tmp_path / "one", tmp_path / "two"
    ask_and_fill(first, config_of("one"), tmp_path / "one.csv")
    ask_and_fill(first, config_of("one"), first / "evaluation" / "answers.csv")
    finish(first, config_of("one"))
    assert results_of(first)["cohens_d"] is not None
    config, stages = config_of("two", first_round=str(first)), ("gan", "interactions")
    ask_and_fill(second, config, tmp_path / "two.csv", stages)
    finish(second, config, stages)
    asked = [path.stem for path in (tmp_path / "two_images").glob("*.png")]
    assert len(asked) == 12 and all(name.startswith("r2-") for name in asked)
    rows = rows_of(second)
    assert rows[:12] == rows_of(first) and [row["round"] for row in rows[12:]] == ["2"] * 12
