"""Which run may be a first round, what a second takes from it, and that both draw other random numbers."""

import os

import numpy as np
import pytest

from pir_tf.config import derived_seed
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.dry_run import counts, describe, stage_flops
from pir_tf.experiments.gpu_times import training_seconds
from pir_tf.experiments.rounds import RoundBefore, require_same, round_files, round_results
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, read_json, write_json
from pir_tf.statistics.effects import cohens_d, cohens_d_interval

BEFORE, AFTER = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.3, 0.4, 0.5, 0.6, 0.7])


def config_of(words="", path=""):
    """The config of the smoke job with these words, after the run in `path`."""
    return parse(["smoke", *words.split(), *(["--first-round", str(path)] if path else [])]).experiment


def finished(path, words="", *, files=None, results=()):
    """A run directory with what a second round looks at before it begins."""
    run = RunDirectory(path, config_of(words), files=files)
    write_json(run.file("evaluation", "results.json"), {"pir_before_mean": 0.25, "cohens_d": 1.5, **dict(results)})
    np.savez(run.file("evaluation", "samples.npz"), true_before=np.append(BEFORE, np.nan), true_after=AFTER)
    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        run.mark_done(stage)
    run.close()
    return path


@pytest.fixture
def one(tmp_path):
    return finished(tmp_path / "one")


def test_rounds_are_counted_and_share_no_seed(one, tmp_path):
    assert RoundBefore.of(smoke()) is None and round_files(smoke()) == {}
    require_same(smoke(), {})
    purposes = ("shown images", "simulated users", "estimator", "evaluation before")
    seeds = set()
    for number, path in enumerate(["", one, finished(tmp_path / "two", results={"round": 2})], start=1):
        run = RunDirectory(tmp_path / f"run {number}", config_of(path=path))
        assert run.round == number
        seeds |= {run.seed_of(purpose) for purpose in purposes}
    assert len(seeds) == 3 * len(purposes) and derived_seed(0, "shown images") in seeds


def test_the_first_rounds_results_are_part_of_the_identity_and_its_place_is_not(one, tmp_path):
    config, files = config_of(path=one), round_files(config_of(path=one))
    assert set(files) == {"first_round"} and len(files["first_round"]) == 64
    run = RunDirectory(tmp_path / "two", config, files=files)
    run.mark_done("gan")
    run.close()
    (tmp_path / "elsewhere").mkdir()
    moved = one.rename(tmp_path / "elsewhere" / "one")
    RunDirectory(tmp_path / "two", config_of(path=moved), files=round_files(config_of(path=moved))).close()
    write_json(moved / "evaluation" / "results.json", {"cohens_d": 9.0})
    with pytest.raises(InputError, match="first_round"):
        RunDirectory(tmp_path / "two", config_of(path=moved), files=round_files(config_of(path=moved)))


def test_a_tuned_saved_model_is_copied_whole_and_onto_the_disk(one, tmp_path, monkeypatch):
    first = RoundBefore.of(config_of(path=one))
    (one / "tuning" / "generator" / "variables").mkdir(parents=True)
    (one / "tuning" / "generator" / "variables" / "data").write_text("weights")
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda handle: synchronised.append(os.readlink(f"/proc/self/fd/{handle}")))
    (tmp_path / "two").mkdir()
    for _ in range(2):  # the second in place of the first
        first.copy_networks(tmp_path / "two")
        assert sorted(path.name for path in (tmp_path / "two").iterdir()) == ["generator", "start"]
        assert (tmp_path / "two" / "generator" / "variables" / "data").read_text() == "weights"
    assert {"data", "variables", "two"} <= {os.path.basename(path) for path in synchronised}


def test_what_is_no_run_or_unfinished_is_refused(one, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json, expected the directory of a finished run.*--first-round"):
        RoundBefore.of(config_of(path=tmp_path / "nowhere"))
    (one / "tuning" / "done.json").unlink()
    with pytest.raises(InputError, match="where tuning is not done"):
        RoundBefore.of(config_of(path=one))


WEIGHTS = "--estimator.backbone inception_v3 --estimator.image-size 96 --estimator.weights file:w.h5"
VGG = "--interactions.objective vgg:pool1:k=1 --interactions.vgg-weights none"
FILE = {"estimator.weights": "a" * 64}
LINEAR = "--estimator.output linear --estimator.backbone discriminator"


@pytest.mark.parametrize(
    ("before", "now", "files", "said"),
    [
        ("", "--interactions.objective color:red", {}, "interactions.objective ('color:blue' there, 'color:red' now)"),
        ("", "--data.count 96", {}, "data.count (128 there, 96 now)"),
        ("", "--gan.generator train --data.classes coast", {}, "data.classes ([] there, ['coast'] now)"),
        ("", "--gan.generator train --gan.kind gan", {}, "gan.kind ('acgan' there, 'gan' now)"),
        ("", "--estimator.bins 50", {}, "estimator.bins (100 there, 50 now)"),
        (LINEAR, f"{LINEAR} --estimator.grid 4", {}, "estimator.grid (0 there, 4 now)"),
        (
            "",
            "--seed 5 --data.count 96 --interactions.scaling normalized",
            {},
            "5 now), data.count (128 there, 96 now), i",
        ),
        ("", "--interactions.source csv:new.csv", {}, "interactions.source ('simulated' there, 'csv' now)"),
        (WEIGHTS, WEIGHTS, {"estimator.weights": "b" * 64}, "the file of estimator.weights"),
        (VGG, f"{VGG} --interactions.vgg-image-size 64", {}, "interactions.vgg_image_size (224 there, 64 now)"),
    ],
)
def test_other_data_users_or_estimator_are_refused_by_their_fields(tmp_path, before, now, files, said):
    path = finished(tmp_path / "one", before, files=FILE)
    with pytest.raises(InputError) as refused:
        require_same(config_of(now, path), files)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("", "--tuning.steps 20 --tuning.pir-weight 10 --estimator.steps 5 --estimator.temperature 1"),
        ("", "--interactions.images 32 --evaluation.images 32"),
        # Real people answer each round in a file of its own.
        ("--interactions.source csv:1.csv", "--interactions.source csv:2.csv --interactions.objective color:red"),
        ("", "--interactions.vgg-weights none"),  # compared only where VGG16 is the objective
        (f"{WEIGHTS} {VGG}", f"{WEIGHTS} {VGG} --estimator.weights file:elsewhere/w.h5"),
    ],
)
def test_steps_rates_and_counts_may_change(tmp_path, before, now):
    path = finished(tmp_path / "one", before, files=FILE)
    require_same(config_of(now, path), FILE)
    about = read_json(path / "config.json")
    del about["config"]["gan.kind"], about["config"]["interactions.scaling"]  # a run from before they were there
    write_json(path / "config.json", about)
    require_same(config_of(now, path), FILE)


def test_results_hold_the_round_before_and_the_way_since_the_start(tmp_path):
    found = round_results(1, None, (BEFORE, AFTER), {"cohens_d": 1.2, "cohens_d_interval": [1.0, 1.4]})
    expected = {"round": 1, "first_round": None, "cohens_d_from_start": 1.2, "cohens_d_from_start_interval": [1.0, 1.4]}
    assert found == expected

    path = finished(tmp_path / "blue", results={"change": 0.2, "verdict": "gain", "diversity": {"not": "copied"}})
    first, after = RoundBefore(path), np.array([0.5, 0.7, 0.9])
    found = round_results(2, first, (AFTER, after), {"cohens_d": 0.1, "cohens_d_interval": [0, 1]})
    expected = {"run": "blue", "round": 1, "cohens_d": 1.5, "verdict": "gain", "p_value": None}
    assert found["round"] == 2 and expected.items() <= found["first_round"].items()
    assert "diversity" not in found["first_round"]
    # The NaN of an image that nobody rated is left out.
    assert found["cohens_d_from_start"] == cohens_d(BEFORE, after)
    assert found["cohens_d_from_start_interval"] == list(cohens_d_interval(BEFORE, after))
    waiting = round_results(2, first, None, {"cohens_d": None, "cohens_d_interval": None})
    assert waiting["cohens_d_from_start"] is None and waiting["first_round"]["cohens_d"] == 1.5

    path, start = finished(tmp_path / "two", results={"round": 2}), np.array([0.0, 0.1, 0.2])
    np.savez(path / "evaluation" / "samples.npz", true_before=AFTER, true_start=start)
    found = round_results(3, RoundBefore(path), (AFTER, BEFORE), {"cohens_d": 1.0, "cohens_d_interval": None})
    assert (found["round"], found["first_round"]["round"]) == (3, 2)
    assert found["cohens_d_from_start"] == cohens_d(start, BEFORE)


def test_the_way_since_the_start_is_unknown_where_nobody_has_measured_it(tmp_path):
    first, own = RoundBefore(finished(tmp_path / "one")), {"cohens_d": 0.3, "cohens_d_interval": [0.2, 0.4]}
    np.savez(first.path / "evaluation" / "samples.npz", true_before=np.zeros(0))
    found = round_results(2, first, (BEFORE, AFTER), own)
    assert found["cohens_d_from_start"] is found["cohens_d_from_start_interval"] is None
    found = round_results(2, first, (BEFORE, AFTER), own, against="start")  # whose images before are the start's
    assert (found["cohens_d_from_start"], found["cohens_d_from_start_interval"]) == (0.3, [0.2, 0.4])


def test_the_dry_run_counts_no_pretraining_and_a_judge_of_both_rounds(tmp_path):
    words = "--gan.generator train --evaluation.judge"
    (tmp_path / "one" / "evaluation").mkdir(parents=True)
    (tmp_path / "one" / "evaluation" / "results.json").write_text("{}")
    config, again = config_of(words), config_of(words, tmp_path / "one")
    assert counts(config)["pretraining steps"] == 4 and "pretraining steps" not in counts(again)
    assert (counts(config)["estimator steps"], counts(again)["estimator steps"]) == (40, 60)
    assert stage_flops(config)["gan"] > 0 == stage_flops(again)["gan"]
    two = tmp_path / "two"
    (two / "evaluation").mkdir(parents=True)
    (two / "evaluation" / "results.json").write_text('{"round": 2}')
    third = config_of(words, two)
    assert counts(third)["estimator steps"] == 80
    one, two_seconds, three = (training_seconds(each).get("estimator", 0) for each in (config, again, third))
    assert three - two_seconds == pytest.approx(two_seconds - one) and two_seconds > one > 0
    with pytest.raises(InputError, match="first_round names .*none, which has no config.json"):
        describe(config_of(words, tmp_path / "none"))


def test_a_later_round_keeps_the_generator_that_the_first_of_all_began_with(one, tmp_path):
    for stage in ("gan", "tuning"):
        for name in ("generator.keras", "discriminator.keras", "generator.json"):
            (one / stage).mkdir(exist_ok=True)
            (one / stage / name).write_text(f"{stage} of one")
    two = tmp_path / "two"
    RoundBefore(one).copy_networks(two / "gan")
    (two / "tuning").mkdir()
    (two / "tuning" / "generator.keras").write_text("tuning of two")
    RoundBefore(two).copy_networks(tmp_path / "three" / "gan")
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.glob("t*/gan/**/generator.keras")}
    assert found == {
        **{"two/gan/generator.keras": "tuning of one", "two/gan/start/generator.keras": "gan of one"},
        **{"three/gan/generator.keras": "tuning of two", "three/gan/start/generator.keras": "gan of one"},
    }
    assert not list(tmp_path.glob("*/gan/start/discriminator.keras"))
