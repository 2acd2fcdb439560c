"""Which run may be a first round, what a second takes from it, and that both draw other random numbers."""

import dataclasses
import json
import os

import numpy as np
import pytest

from pir_tf.config import ExperimentConfig, derived_seed
from pir_tf.errors import InputError
from pir_tf.experiments.dry_run import counts, stage_flops
from pir_tf.experiments.rounds import FirstRound, require_same, round_files, round_results
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, write_json
from pir_tf.statistics.effects import cohens_d, cohens_d_interval

BEFORE, AFTER = np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.3, 0.4, 0.5, 0.6, 0.7])


def changed(config: ExperimentConfig, **fields) -> ExperimentConfig:
    """The config with fields changed, named `section__field` or `field`."""
    for name, value in fields.items():
        section, _, field = name.rpartition("__")
        if section:
            value = dataclasses.replace(getattr(config, section), **{field: value})
        config = dataclasses.replace(config, **{section or field: value})
    return config


def finished(path, *, files=None, results=(), **fields):
    """A run directory with what a second round looks at before it begins."""
    run = RunDirectory(path, changed(smoke(), **fields), files=files)
    write_json(run.file("evaluation", "results.json"), {"pir_before_mean": 0.25, "cohens_d": 1.5, **dict(results)})
    np.savez(run.file("evaluation", "samples.npz"), true_before=np.append(BEFORE, np.nan), true_after=AFTER)
    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        run.mark_done(stage)
    run.close()
    return path


@pytest.fixture
def one(tmp_path):
    return finished(tmp_path / "one")


def second(path, **fields):
    """The config of a second round after the run in `path`."""
    return changed(smoke(), first_round=str(path), **fields)


def test_a_run_that_names_none_is_the_first(tmp_path):
    assert FirstRound.of(smoke()) is None
    assert round_files(smoke()) == {}
    require_same(smoke(), {})
    run = RunDirectory(tmp_path, smoke())
    assert run.round == 1 and run.seed_of("shown images") == derived_seed(0, "shown images")
    run.close()


def test_rounds_are_counted_and_share_no_seed(one, tmp_path):
    purposes = ("shown images", "simulated users", "estimator", "evaluation before")
    seeds = set()
    for number, path in enumerate(["", one, finished(tmp_path / "two", results={"round": 2})], start=1):
        run = RunDirectory(tmp_path / f"run {number}", second(path))
        assert run.round == number
        seeds |= {run.seed_of(purpose) for purpose in purposes}
        run.close()
    assert len(seeds) == 3 * len(purposes)


def test_the_first_rounds_results_are_part_of_the_identity_and_its_place_is_not(one, tmp_path):
    config, files = second(one), round_files(second(one))
    assert set(files) == {"first_round"} and len(files["first_round"]) == 64
    run = RunDirectory(tmp_path / "two", config, files=files)
    run.mark_done("gan")
    run.close()
    (tmp_path / "elsewhere").mkdir()
    moved = one.rename(tmp_path / "elsewhere" / "one")
    RunDirectory(tmp_path / "two", second(moved), files=round_files(second(moved))).close()
    write_json(moved / "evaluation" / "results.json", {"cohens_d": 9.0})
    with pytest.raises(InputError, match="first_round"):
        RunDirectory(tmp_path / "two", second(moved), files=round_files(second(moved)))


def test_a_tuned_saved_model_is_copied_whole_and_onto_the_disk(one, tmp_path, monkeypatch):
    first = FirstRound.of(second(one))
    (one / "tuning" / "generator" / "variables").mkdir(parents=True)
    (one / "tuning" / "generator" / "variables" / "data").write_text("weights")
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda handle: synchronised.append(os.readlink(f"/proc/self/fd/{handle}")))
    (tmp_path / "two").mkdir()
    for _ in range(2):  # the second in place of the first
        first.copy_networks(tmp_path / "two")
        assert [path.name for path in (tmp_path / "two").iterdir()] == ["generator"]
        assert (tmp_path / "two" / "generator" / "variables" / "data").read_text() == "weights"
    assert {"data", "variables", "two"} <= {os.path.basename(path) for path in synchronised}


def test_what_is_no_run_or_unfinished_is_refused(one, tmp_path):
    with pytest.raises(InputError, match=r"no config\.json, expected the directory of a finished run.*--first-round"):
        FirstRound.of(second(tmp_path / "nowhere"))
    (one / "tuning" / "done.json").unlink()
    with pytest.raises(InputError, match="where tuning is not done"):
        FirstRound.of(second(one))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"interactions__objective": "color:red"}, r"interactions.objective \('color:blue' there, 'color:red' now\)"),
        ({"data__count": 96}, r"data.count \(128 there, 96 now\)"),
        ({"gan__generator": "train", "data__classes": ("coast",)}, r"data.classes \(\[\] there, \['coast'\] now\)"),
        ({"gan__generator": "train", "gan__kind": "gan"}, r"gan.kind \('acgan' there, 'gan' now\)"),
        ({"estimator__bins": 50}, r"estimator.bins \(100 there, 50 now\)"),
        ({"seed": 5, "data__count": 96, "interactions__scaling": "normalized"}, "seed .*data.count .*scaling"),
        ({"interactions__source": "csv:new.csv"}, r"interactions.source \('simulated' there, 'csv' now\)"),
    ],
)
def test_other_data_users_or_estimator_are_refused_by_their_fields(one, fields, said):
    with pytest.raises(InputError, match=said) as refused:
        require_same(second(one, **fields), {})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("before", "now"),
    [
        (
            {},
            {
                **{
                    "tuning__steps": 20,
                    "tuning__pir_weight": 10.0,
                    "estimator__steps": 5,
                    "estimator__temperature": 1.0,
                },
                **{"interactions__images": 32, "evaluation__images": 32, "preset": "laptop"},
            },
        ),
        # Real people answer each round in a file of its own.
        (
            {"interactions__source": "csv:one.csv"},
            {"interactions__source": "csv:two.csv", "interactions__objective": "color:red"},
        ),
        ({}, {"interactions__vgg_weights": "none"}),  # compared only where VGG16 is the objective
    ],
)
def test_steps_rates_and_counts_may_change(tmp_path, before, now):
    require_same(second(finished(tmp_path / "one", **before), **now), {})


def test_weights_are_compared_by_their_content_and_vgg16_where_it_is_the_objective(tmp_path):
    weights = {"estimator__image_size": 96, "estimator__backbone": "inception_v3", "estimator__weights": "file:w.h5"}
    vgg = {"interactions__objective": "vgg:pool1:k=1", "interactions__vgg_weights": "none"}
    path = finished(tmp_path / "one", **weights, **vgg, files={"estimator.weights": "a" * 64})
    require_same(second(path, **weights, **vgg), {"estimator.weights": "a" * 64})
    with pytest.raises(InputError, match="the file of estimator.weights"):
        require_same(second(path, **weights, **vgg), {"estimator.weights": "b" * 64})
    with pytest.raises(InputError, match=r"interactions.vgg_image_size \(224 there, 64 now\)"):
        require_same(second(path, **weights, **vgg, interactions__vgg_image_size=64), {})


def test_a_run_from_before_a_field_was_there_had_its_default(one):
    about = json.loads((one / "config.json").read_text())
    del about["config"]["gan.kind"], about["config"]["interactions.scaling"]
    write_json(one / "config.json", about)
    require_same(second(one), {})


def test_results_hold_the_round_before_and_the_way_since_the_start(tmp_path):
    path = finished(tmp_path / "blue", results={"change": 0.2, "verdict": "gain", "diversity": {"not": "copied"}})
    first, after = FirstRound(path), np.array([0.5, 0.7, 0.9])
    found = round_results(2, first, (AFTER, after), {"cohens_d": 0.1, "cohens_d_interval": [0, 1]})
    assert found["round"] == 2
    assert found["first_round"]["run"] == "blue" and found["first_round"]["round"] == 1
    assert (found["first_round"]["cohens_d"], found["first_round"]["verdict"]) == (1.5, "gain")
    assert found["first_round"]["p_value"] is None and "diversity" not in found["first_round"]
    # The NaN of an image that nobody rated is left out.
    assert found["cohens_d_from_start"] == cohens_d(BEFORE, after)
    assert found["cohens_d_from_start_interval"] == list(cohens_d_interval(BEFORE, after))
    waiting = round_results(2, first, None, {"cohens_d": None, "cohens_d_interval": None})
    assert waiting["cohens_d_from_start"] is None and waiting["first_round"]["cohens_d"] == 1.5


def test_a_third_round_starts_where_the_first_did(tmp_path):
    path, start = finished(tmp_path / "two", results={"round": 2}), np.array([0.0, 0.1, 0.2])
    np.savez(path / "evaluation" / "samples.npz", true_before=AFTER, true_start=start)
    found = round_results(3, FirstRound(path), (AFTER, BEFORE), {"cohens_d": 1.0, "cohens_d_interval": None})
    assert (found["round"], found["first_round"]["round"]) == (3, 2)
    assert found["cohens_d_from_start"] == cohens_d(start, BEFORE)


def test_in_a_first_round_the_way_since_the_start_is_its_own():
    found = round_results(1, None, (BEFORE, AFTER), {"cohens_d": 1.2, "cohens_d_interval": [1.0, 1.4]})
    expected = {"round": 1, "first_round": None, "cohens_d_from_start": 1.2, "cohens_d_from_start_interval": [1.0, 1.4]}
    assert found == expected


def test_the_dry_run_counts_no_pretraining_and_a_judge_of_both_rounds(tmp_path):
    config = changed(smoke(), gan__generator="train", evaluation__judge=True)
    again = changed(config, first_round=str(tmp_path / "one"))
    assert counts(config)["pretraining steps"] == 4 and "pretraining steps" not in counts(again)
    assert (counts(config)["estimator steps"], counts(again)["estimator steps"]) == (40, 60)
    assert stage_flops(config)["gan"] > 0 == stage_flops(again)["gan"]
