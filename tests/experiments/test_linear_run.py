"""A run with the linear estimator, the control and the best of n: what it writes, and what it refuses before it begins."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import SMALL, UP_TO_EVALUATION, small_command

from pir_tf.errors import InputError
from pir_tf.experiments import control, estimator_stage, evaluation_stage, interactions_stage
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.estimator_stage import answered, has_judge, judge_config
from pir_tf.experiments.interactions_stage import Shown
from pir_tf.experiments.stopwatch import Stopwatch
from pir_tf.experiments.tuning_stage import weigh
from pir_tf.interactions.records import Interactions
from pir_tf.presets import laptop
from pir_tf.runs.directory import RunDirectory, write_json

LINEAR = "--estimator.output linear --estimator.backbone discriminator".split()
MEASURED = (
    "--evaluation.control --evaluation.best-of 2 --evaluation.plug-and-play 100 --tuning.pir-weight 0 --estimator.pessimism 1 "
    "--compute.precision mixed_bfloat16"  # in which the control has to be too
).split()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    path = tmp_path_factory.mktemp("linear")
    done = small_command(*SMALL, *LINEAR, *MEASURED, *UP_TO_EVALUATION, "--run-dir", path / "run", cwd=path)
    assert done.returncode == 0, done.stderr
    return path / "run", done.stdout


@pytest.mark.slow
def test_the_control_is_tuning_without_the_term_to_the_last_bit(run):
    tuned, beside = (
        np.load(sorted((run[0] / folder).glob("step-*.npz"))[-1])
        for folder in ("tuning/checkpoints", "evaluation/control/steps/checkpoints")
    )
    assert any(name.startswith("discriminator/") for name in tuned.files)
    for name in set(tuned.files) - {"made_by"}:
        np.testing.assert_array_equal(beside[name], tuned[name], err_msg=name)


@pytest.mark.slow
def test_the_control_and_the_best_of_n_stand_beside_the_result(run):
    path, said = run
    results = json.loads((path / "evaluation" / "results.json").read_text())
    before, best = results["pir_before_mean"], results["best_of"]
    assert results["control"]["before_mean"] == before == best["before"]["before_mean"] == best["after"]["before_mean"]
    assert results["over_control"]["after_mean"] == results["pir_after_mean"]
    assert results["over_control"]["before_mean"] == results["control"]["after_mean"]
    assert (best["n"], best["picks"], best["before"]["n_after"]) == (2, 30, 30)
    sampled = results["plug_and_play"]
    assert (sampled["weight"], sampled["images"], sampled["n_after"]) == (100, 30, 30)
    for measured in (sampled, best["before"], best["after"]):  # the distance that is left in each class
        assert len(measured["after_over_before"]) == len(results["class_names"])
    for line in ("the GAN's own training", "best of 2, untouched", "best of 2, tuned", "Plug & Play sampling"):
        assert f"  {line}" in said
    assert not {"control", "labels_control"} & set(np.load(path / "evaluation" / "samples.npz").files)


@pytest.mark.parametrize(
    "weight, said",
    [(812.4, "w_PIR is 812 per unit of PIR (the paper's is 1,000)"), (None, "no gradient yet, so w_PIR is 1000")],
)
def test_the_weight_that_a_ratio_gives_is_said(weight, said, capsys):
    config = laptop()
    config = dataclasses.replace(config, tuning=dataclasses.replace(config.tuning, pir_gradient_ratio=2.0))
    assert weigh(config, SimpleNamespace(weigh=lambda ratio, batch_size: weight)) == (weight or 1000.0)
    assert "for a gradient ratio of 2" in (printed := capsys.readouterr().out) and said in printed


@pytest.mark.parametrize(
    "words, said",
    [
        (
            ["--tuning.pir-gradient-ratio", "1", "--tuning.pir-weight", "5"],
            "tuning.pir_weight is 5.0, expected none beside",
        ),
        (
            ["--tuning.pir-gradient-ratio", "1", "--tuning.pir-weight=1000"],
            "--tuning.pir-weight 1000 and --tuning.pir-gradient-ratio were both given, expected one",
        ),
        (
            ["--estimator.backbone", "discriminator"],
            "estimator.backbone is 'discriminator', expected inception_v3 or compact",
        ),
        (["--estimator.grid", "2"], "estimator.grid is 2, expected 0 without --estimator.output linear"),
        (["--estimator.pessimism", "2"], "estimator.pessimism is 2.0, expected 0 without --estimator.output linear"),
        ([*LINEAR, "--estimator.layer", "mixed2"], "estimator.layer is 'mixed2', expected names of conv_1"),
        ([*LINEAR, "--estimator.grid", "9"], "estimator.grid is 9, expected 0 for none, or places a side up to 8"),
        ([*LINEAR, "--estimator.pessimism", "-1"], "estimator.pessimism is -1.0, expected a finite number, 0 or above"),
        (
            ["--tuning.pir-gradient-limit", "0.5"],
            "tuning.pir_gradient_limit is 0.5, expected 0 for no limit, or 1 or above",
        ),
        (
            ["--tuning.stop", "judge", "--evaluation.judge"],
            "tuning.stop is 'judge', expected none without --estimator.output",
        ),
        ([*LINEAR, "--tuning.stop", "judge"], "tuning.stop is 'judge', expected none without the second judge"),
        (["--tuning.keep-distance", "1"], "tuning.keep_distance is 1.0, expected a share of the distance below 1"),
        (
            [*LINEAR, "--evaluation.judge", "--tuning.stop", "judge", "--tuning.keep-distance", "0.8"],
            "tuning.keep_distance is 0.8, expected 0 beside tuning.stop judge",
        ),
        ([*LINEAR, "--evaluation.best-of", "1"], "evaluation.best_of is 1, expected 0 for not, or 2 or more"),
        ([*LINEAR, "--gan.generator", "import:x.keras"], "an imported generator comes without a discriminator to copy"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_runs(words, said, tmp_path):
    done = small_command("smoke", *words, "--run-dir", tmp_path / "run", cwd=tmp_path)
    assert done.returncode == 2 and said in done.stderr.replace("\n", " ") and not (tmp_path / "run").exists()


# The second judge


def answers_of(run, rated, classes=1):
    """Writes answers to 400 images of which so many were shown."""
    shown = np.where(np.arange(400) < rated, 5, 0)
    columns = {"image_id": [f"{i:04}" for i in range(400)], "class_index": np.arange(400) % classes}
    answers = Interactions(**columns, impressions=shown, positives=shown // 2)
    answers.save(run.file("interactions", "interactions.csv"))


def test_fewer_answers_than_a_judge_needs_are_said(tmp_path, monkeypatch, capsys):
    run = RunDirectory(tmp_path / "run", laptop())
    answers_of(run, 299)
    monkeypatch.setattr(evaluation_stage, "load_estimator", lambda path: None)
    monkeypatch.setattr(evaluation_stage, "_estimates", lambda model, images: None)
    monkeypatch.setattr(evaluation_stage, "who_judges", lambda config: "none")
    pir, _, _ = evaluation_stage.judge(run, {}, Stopwatch())
    run.close()
    assert "judged" not in pir
    assert "evaluation: there is no second judge, who needs 300 images with answers" in capsys.readouterr().out


def test_fewer_images_or_answers_than_classes_are_refused(tmp_path, monkeypatch):
    run = RunDirectory(tmp_path / "run", laptop())
    write_json(run.file("gan", "generator.json"), {"class_names": [f"class {i}" for i in range(1001)]})
    with pytest.raises(
        InputError, match="1000 images are to be shown, fewer than the generator's 1001 classes, expected"
    ):
        interactions_stage.run(run)
    write_json(run.file("gan", "generator.json"), {"class_names": [f"class {i}" for i in range(12)]})
    answers_of(run, 11)
    given = Interactions.load(run.file("interactions", "interactions.csv"))
    for name, made in (
        ("_shown", SimpleNamespace(last=lambda count: None)),
        ("source_of", None),
        ("unscaled_pir", None),
    ):
        monkeypatch.setattr(interactions_stage, name, lambda *_, made=made: made)
    monkeypatch.setattr(interactions_stage, "_of_people", lambda *_: (given, {}))
    with pytest.raises(InputError, match="11 images have answers, fewer than the generator's 12 classes, expected"):
        interactions_stage.run(run)
    run.close()


def test_the_judge_beside_a_linear_estimator_shares_neither_answers_nor_features(tmp_path, monkeypatch):
    config = laptop()
    run = RunDirectory(tmp_path / "run", config)
    answers_of(run, 330)
    monkeypatch.setattr(
        "pir_tf.experiments.estimator_stage.Shown.load", lambda run: pd.Series({"images": np.arange(400)})
    )
    (mine, my_answers), (judges, _) = (answered(run, of_judge=judge) for judge in (False, True))
    assert has_judge(run) and not set(mine) & set(judges)
    assert (len(mine), len(judges)) == (220, 110) and my_answers.rated.all()
    assert judge_config(config.estimator).backbone == "compact"
    run.close()


def test_an_image_is_the_estimators_or_the_judges_in_every_round(tmp_path, monkeypatch):
    config, rng = laptop(), np.random.default_rng(0)

    def part(number):
        ids = np.array([f"{number}-{i}" for i in range(400)])
        zeros = np.zeros(400, int)
        return Interactions(ids, zeros, np.full(400, 9), rng.integers(0, 10, 400), np.full(400, number))

    learned = {}
    first = part(1)
    for number, answers in ((1, first), (2, Interactions.concatenate(first, part(2)))):
        path, count = tmp_path / str(number), len(answers)
        run = SimpleNamespace(
            config=config, path=path, round=number, file=lambda stage, name, path=path: path / stage / name
        )
        (path / "interactions").mkdir(parents=True)
        answers.save(path / "interactions" / "interactions.csv")
        images = np.zeros((count, 2, 2, 3), np.uint8)
        shown = Shown(images, np.zeros(count, np.int32), list(answers.image_id), np.zeros((count, 2), np.float32))
        shown.save(path / "interactions" / "images.npz")
        learned[number] = [set(answered(run, of_judge=which)[1].image_id) for which in (False, True)]
        assert len(learned[number][1]) == 133 * number and not learned[number][0] & learned[number][1]
        monkeypatch.setattr(estimator_stage, "true_pir", lambda run: lambda pictures: np.arange(len(pictures)))
        assert len(estimator_stage.training_pir(run)) == len(learned[number][0])  # of those alone that it learned from
        monkeypatch.setattr(estimator_stage, "true_pir", lambda run: None)
        assert len(estimator_stage.training_pir(run)) == len(learned[number][0])
    for own, other in ((0, 1), (1, 0)):
        assert learned[1][own] < learned[2][own] and not learned[1][own] & learned[2][other]


@pytest.mark.slow
def test_the_controls_of_two_forms_of_the_step_are_two(run, monkeypatch):
    seen = []

    def look(cache, name, facts, make):
        seen.append(facts)
        raise LookupError

    monkeypatch.setattr(control, "cached", look)
    opened = RunDirectory(run[0], parse([*SMALL, *LINEAR, *MEASURED]).experiment)
    for kernels in ("fast", "stock"):
        compute = dataclasses.replace(opened.config.compute, kernels=kernels, precision="float32")
        opened.config = dataclasses.replace(opened.config, compute=compute)
        with pytest.raises(LookupError):
            control.control_generator(opened, SimpleNamespace(digest="x"))
    opened.close()
    assert seen[0] != seen[1] and {**seen[1], "fast": True} == seen[0]
