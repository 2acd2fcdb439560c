"""Which run may be a first round, what a second takes from it, and that both draw other random numbers."""

import dataclasses
import json
import os

import numpy as np
import pytest

from pir_tf.config import ExperimentConfig, derived_seed
from pir_tf.errors import InputError
from pir_tf.experiments.rounds import FirstRound, require_same, round_files, round_number, round_results, seed_of
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


def finished(path, config=None, *, files=None, **results):
    """A run directory with what a second round looks at before it begins."""
    run = RunDirectory(path, config or smoke(), files=files)
    write_json(run.file("evaluation", "results.json"), {"pir_before_mean": 0.25, "cohens_d": 1.5, **results})
    np.savez(run.file("evaluation", "samples.npz"), true_before=np.append(BEFORE, np.nan), true_after=AFTER)
    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        run.mark_done(stage)
    run.close()
    return path


def second(path, **fields):
    """The config of a second round after the run in `path`."""
    return changed(smoke(), first_round=str(path), **fields)


def test_a_run_that_names_none_is_the_first():
    assert FirstRound.of(smoke()) is None
    assert round_number(smoke()) == 1
    assert round_files(smoke()) == {}
    assert seed_of(smoke(), "shown images") == derived_seed(0, "shown images")
    require_same(smoke(), {})


def test_rounds_are_counted_and_share_no_seed(tmp_path):
    one = second(finished(tmp_path / "one"))
    two = second(finished(tmp_path / "two", round=2))
    assert (round_number(one), round_number(two)) == (2, 3)
    purposes = ("shown images", "simulated users", "estimator", "evaluation before")
    seeds = {seed_of(config, purpose) for config in (smoke(), one, two) for purpose in purposes}
    assert len(seeds) == 3 * len(purposes)


def test_the_first_rounds_results_are_part_of_the_identity(tmp_path):
    path = finished(tmp_path / "one")
    first = round_files(second(path))
    assert set(first) == {"first_round"} and len(first["first_round"]) == 64
    write_json(path / "evaluation" / "results.json", {"pir_before_mean": 0.3})
    assert round_files(second(path)) != first


def test_a_tuned_saved_model_is_copied_whole_and_onto_the_disk(tmp_path, monkeypatch):
    first = FirstRound.of(second(finished(tmp_path / "one")))
    (tmp_path / "one" / "tuning" / "generator" / "variables").mkdir(parents=True)
    (tmp_path / "one" / "tuning" / "generator" / "variables" / "data").write_text("weights")
    synchronised = []
    monkeypatch.setattr(os, "fsync", lambda handle: synchronised.append(os.readlink(f"/proc/self/fd/{handle}")))
    (tmp_path / "two").mkdir()
    for _ in range(2):  # the second in place of the first
        first.copy_networks(tmp_path / "two")
        assert [path.name for path in (tmp_path / "two").iterdir()] == ["generator"]
        assert (tmp_path / "two" / "generator" / "variables" / "data").read_text() == "weights"
    assert {"data", "variables", "two"} <= {os.path.basename(path) for path in synchronised}


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no config\.json, expected the directory of a finished run.*--first-round"):
        FirstRound.of(second(tmp_path / "nowhere"))


@pytest.mark.parametrize("stage", ["tuning", "evaluation"])
def test_an_unfinished_run_is_refused_with_the_stage(tmp_path, stage):
    path = finished(tmp_path / "one")
    (path / stage / "done.json").unlink()
    with pytest.raises(InputError, match=f"where {stage} is not done"):
        FirstRound.of(second(path))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"interactions__objective": "color:red"}, r"interactions.objective \('color:blue' there, 'color:red' now\)"),
        ({"data__count": 96}, r"data.count \(128 there, 96 now\)"),
        ({"gan__generator": "train", "data__classes": ("coast",)}, r"data.classes \(\[\] there, \['coast'\] now\)"),
        ({"gan__generator": "train", "gan__kind": "gan"}, r"gan.kind \('acgan' there, 'gan' now\)"),
        ({"estimator__bins": 50}, r"estimator.bins \(100 there, 50 now\)"),
        ({"seed": 5}, r"seed \(0 there, 5 now\)"),
        ({"interactions__scaling": "normalized"}, "interactions.scaling"),
        ({"interactions__source": "csv:new.csv"}, r"interactions.source \('simulated' there, 'csv' now\)"),
    ],
)
def test_other_data_users_or_estimator_are_refused_by_their_fields(tmp_path, fields, said):
    path = finished(tmp_path / "one")
    with pytest.raises(InputError, match=said) as refused:
        require_same(second(path, **fields), {})
    assert "\n" not in str(refused.value)


def test_every_field_that_differs_is_named_at_once(tmp_path):
    path = finished(tmp_path / "one")
    with pytest.raises(InputError, match="seed .*data.count .*interactions.objective"):
        require_same(second(path, seed=1, data__count=96, interactions__objective="color:red"), {})


def test_steps_rates_and_counts_may_change(tmp_path):
    path = finished(tmp_path / "one")
    fields = {"tuning__steps": 20, "tuning__pir_weight": 10.0, "estimator__steps": 5, "interactions__images": 32}
    require_same(second(path, **fields, evaluation__images=32, estimator__temperature=1.0, preset="laptop"), {})


def test_real_people_answer_each_round_in_a_file_of_its_own(tmp_path):
    path = finished(tmp_path / "one", changed(smoke(), interactions__source="csv:one.csv"))
    require_same(second(path, interactions__source="csv:two.csv", interactions__objective="color:red"), {})


def test_other_content_of_a_weights_file_is_refused(tmp_path):
    weights = {"estimator__image_size": 96, "estimator__backbone": "inception_v3", "estimator__weights": "file:w.h5"}
    path = finished(tmp_path / "one", changed(smoke(), **weights), files={"estimator.weights": "a" * 64})
    config = second(path, **weights)
    require_same(config, {"estimator.weights": "a" * 64})
    with pytest.raises(InputError, match="the file of estimator.weights"):
        require_same(config, {"estimator.weights": "b" * 64})


def test_the_vgg_network_is_compared_only_where_it_is_the_objective(tmp_path):
    path = finished(tmp_path / "colors")
    require_same(second(path, interactions__vgg_weights="none"), {})
    vgg = {"interactions__objective": "vgg:pool1:k=1", "interactions__vgg_weights": "none"}
    path = finished(tmp_path / "vgg", changed(smoke(), **vgg))
    with pytest.raises(InputError, match=r"interactions.vgg_image_size \(224 there, 64 now\)"):
        require_same(second(path, **vgg, interactions__vgg_image_size=64), {})


def test_a_run_from_before_a_field_was_there_had_its_default(tmp_path):
    path = finished(tmp_path / "one")
    about = json.loads((path / "config.json").read_text())
    del about["config"]["gan.kind"], about["config"]["interactions.scaling"]
    write_json(path / "config.json", about)
    require_same(second(path), {})


def test_results_hold_the_round_before_and_the_way_since_the_start(tmp_path):
    path = finished(tmp_path / "blue", change=0.2, verdict="gain", diversity={"not": "copied"})
    after = np.array([0.5, 0.7, 0.9])
    found = round_results(second(path), (AFTER, after), {"cohens_d": 0.1, "cohens_d_interval": [0, 1]})
    assert found["round"] == 2
    assert found["first_round"]["run"] == "blue" and found["first_round"]["round"] == 1
    assert (found["first_round"]["cohens_d"], found["first_round"]["verdict"]) == (1.5, "gain")
    assert found["first_round"]["p_value"] is None and "diversity" not in found["first_round"]
    # The NaN of an image that nobody rated is left out.
    assert found["cohens_d_from_start"] == cohens_d(BEFORE, after)
    assert found["cohens_d_from_start_interval"] == list(cohens_d_interval(BEFORE, after))


def test_a_third_round_starts_where_the_first_did(tmp_path):
    path = finished(tmp_path / "two", round=2)
    start = np.array([0.0, 0.1, 0.2])
    np.savez(path / "evaluation" / "samples.npz", true_before=AFTER, true_start=start)
    found = round_results(second(path), (AFTER, BEFORE), {})
    assert (found["round"], found["first_round"]["round"]) == (3, 2)
    assert found["cohens_d_from_start"] == cohens_d(start, BEFORE)


def test_in_a_first_round_the_way_since_the_start_is_its_own():
    found = round_results(smoke(), (BEFORE, AFTER), {"cohens_d": 1.2, "cohens_d_interval": [1.0, 1.4]})
    expected = {"round": 1, "first_round": None, "cohens_d_from_start": 1.2, "cohens_d_from_start_interval": [1.0, 1.4]}
    assert found == expected


def test_while_people_still_judge_the_way_is_not_known(tmp_path):
    found = round_results(second(finished(tmp_path / "one")), None, {"cohens_d": None, "cohens_d_interval": None})
    assert found["cohens_d_from_start"] is None and found["first_round"]["cohens_d"] == 1.5


def test_a_moved_first_round_is_the_same(tmp_path):
    """Paths are no part of a run's identity: its name and its results are."""
    path = finished(tmp_path / "one")
    config, files = second(path), round_files(second(path))
    RunDirectory(tmp_path / "two", config, files=files).close()
    (tmp_path / "elsewhere").mkdir()
    moved = path.rename(tmp_path / "elsewhere" / "one")
    config = second(moved)
    RunDirectory(tmp_path / "two", config, files=round_files(config)).close()
    write_json(moved / "evaluation" / "results.json", {"cohens_d": 9.0})
    with pytest.raises(InputError, match="first_round"):
        RunDirectory(tmp_path / "two", config, files=round_files(config))


def test_the_dry_run_counts_no_pretraining_and_a_judge_of_both_rounds(tmp_path):
    from pir_tf.experiments.dry_run import counts, stage_flops

    config = changed(smoke(), gan__generator="train", evaluation__judge=True)
    again = changed(config, first_round=str(tmp_path / "one"))
    assert counts(config)["pretraining steps"] == 4 and "pretraining steps" not in counts(again)
    assert (counts(config)["estimator steps"], counts(again)["estimator steps"]) == (40, 60)
    assert stage_flops(config)["gan"] > 0 == stage_flops(again)["gan"]
