"""Stages that ask people by a study's database: images go in once, answers come back once, and nothing of another study's."""

import dataclasses
import io
import types

import numpy as np
import pytest
from PIL import Image
from studies import Browser, pictures, served

from pir_tf.config import EvaluationConfig, InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.experiments import interactions_stage, study_answers, study_proof
from pir_tf.experiments.csv_answers import Waiting, image_ids, who_judges
from pir_tf.experiments.interactions_stage import Shown
from pir_tf.experiments.run import _run_that_waits
from pir_tf.interactions.records import Interactions
from pir_tf.people import pools
from pir_tf.people.simulated_raters import SimulatedRater
from pir_tf.people.store import Store
from pir_tf.people.study import Study
from pir_tf.presets import smoke
from pir_tf.report import tables
from pir_tf.runs.directory import RunDirectory, identity, write_json


@pytest.fixture
def opened(tmp_path):
    """A function that opens a run which asks a study, with these fields of both sections."""
    runs = []

    def opening(name="run", *, judged="same", learn=0, answers=0, **users):
        users = InteractionsConfig(source=f"people:{tmp_path / 'study.db'}", answers=learn, **users)
        judge = EvaluationConfig(source=judged, answers=answers)
        run = RunDirectory(tmp_path / name, dataclasses.replace(smoke(), interactions=users, evaluation=judge))
        runs.append(run)
        return run

    yield opening
    for run in runs:
        run.close()


def ask(run, stage="interactions", images=None):
    images = pictures(20) if images is None else images
    asked = study_answers.source_of(run, stage)
    return study_answers.ask(run, stage, asked, images, image_ids(images, "r1"), np.zeros(20, int), [""] * 20)


def rate(where, count, kind="like", value=1):
    with served(where) as server:
        browser = Browser(server).join()
        for _ in range(count):
            browser.answer(browser.slots(1)[0], kind, value)


def test_a_stage_waits_for_its_answers_and_takes_exactly_those(tmp_path, opened):
    run, where = opened(learn=12), tmp_path / "study.db"
    for _ in range(2):
        with pytest.raises(Waiting, match="Round 1 has 0 of 12 answers.*pir-tf people serve"):
            ask(run)
    rate(where, 7)
    with pytest.raises(Waiting, match="7 of 12 answers"):
        ask(run)
    rate(where, 5, value=0)
    found = ask(run)
    assert (found.impressions.sum(), found.positives.sum(), found.mode) == (12, 7, "like")
    assert found.impressions.max() <= 2 and len(found.value) == 12 and found.closed == "12 answers"
    assert study_answers.run_of_study(run.config.interactions.source) == run.path
    study_answers.keep(run, "interactions", found, image_ids(pictures(20), "r1"))
    assert (run.path / "interactions" / "answers.csv").read_text().startswith("rater,image_id,value\n1,r1-")


def test_ratings_are_fractions_and_a_round_that_the_owner_closes_is_enough(tmp_path, opened):
    store = Store(tmp_path / "study.db", create=True)
    with store.writing() as connection:
        key = pools.begin(connection, Study(mode="rating"))["study"]
    run = opened()
    with pytest.raises(Waiting, match="Round 1 has 0 answers"):
        ask(run)
    rate(tmp_path / "study.db", 6, "rating", 2)
    with store.writing() as connection:
        pools.close_pools(connection, key, "closed by the owner")
    store.close()
    found = ask(run)
    assert found.positives.sum() == 1.5 and found.impressions.sum() == 6


@pytest.mark.parametrize(("mode", "groups"), [("pair", [1, 3, 2, 1, 4]), ("like", [0] * 5)])
def test_shares_of_wins_compare_within_a_pool_and_a_class_of_a_round(opened, monkeypatch, mode, groups):
    ids = ["r1-0", "r1-1", "x1-2", "r1-3", "x1-4"]
    counts, none = np.full(5, 2.0), np.zeros(0)
    empty = (none.astype(int), none.astype(int), none, none, none, "5 answers", {})
    found = study_answers.Answered(counts, counts / 2, mode, *empty)
    monkeypatch.setattr(interactions_stage, "ask_pools", lambda *_: found)
    run = opened(images=5)
    write_json(run.file("interactions", interactions_stage.CHANCES), {"x1-2": 0.5, "x1-4": 0.2})
    write_json(run.file("gan", "generator.json"), {"class_names": ["coast", "mountain"]})
    shown = Shown(pictures(5), np.array([0, 1, 0, 0, 1], np.int32), ids, np.zeros((5, 2), np.float32))
    shown.save(run.file("interactions", "images.npz"))
    interactions_stage.run(run)
    answers = Interactions.load(run.file("interactions", "interactions.csv"))
    assert answers.group.tolist() == groups and answers.pir.tolist() == [0.5] * 5


def test_images_that_changed_and_another_studys_database_are_refused(tmp_path, opened):
    run = opened()
    with pytest.raises(Waiting):
        ask(run)
    with pytest.raises(InputError, match="changed since they were shown"):
        ask(run, images=pictures(20, seed=5))
    other = InteractionsConfig(source=f"people:{tmp_path / 'other.db'}")
    run.config = dataclasses.replace(run.config, interactions=other)
    with pytest.raises(InputError, match="another study .'study'. than the one that this run asked"):
        ask(run)


def test_the_same_command_finds_its_run_again_wherever_the_project_lies(tmp_path, opened, monkeypatch):
    run = opened("runs/one")
    with pytest.raises(Waiting):
        ask(run)
    run.close()
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("runs", "study.db"):
        (tmp_path / name).rename(moved / name)
    monkeypatch.chdir(moved)
    users = InteractionsConfig(source="people:study.db")
    config = dataclasses.replace(smoke(), interactions=users, evaluation=EvaluationConfig())
    assert _run_that_waits(config).resolve() == moved / "runs" / "one"
    RunDirectory(moved / "runs" / "one", config).close()  # is the same experiment
    other = dataclasses.replace(users, source="people:other.db")
    assert _run_that_waits(dataclasses.replace(config, interactions=other)) is None
    addresses = {
        f"people:{tmp_path}/study.db#blue": "people:study.db#blue",
        "people:postgresql://me@db.example/rates#blue": "people:postgresql://me@db.example/rates#blue",
    }
    for source, kept in addresses.items():
        named = dataclasses.replace(config, interactions=InteractionsConfig(source=source))
        assert identity(named)["interactions.source"] == kept


def test_who_judges(tmp_path, opened):
    sources = {"same": "people", "none": "none", "csv:a.csv": "csv", "people:b.db": "people"}
    found = {judged: who_judges(opened(f"r{i}", judged=judged).config) for i, judged in enumerate(sources)}
    assert found == sources
    run = opened("asks", judged="same", answers=30, engagement="click")
    assert study_answers.source_of(run, "evaluation") == study_answers.Asked(
        f"people:{tmp_path / 'study.db'}", "proof", 30, "click"
    )
    assert study_answers.source_of(opened("not", judged="none"), "evaluation") is None


def test_a_proof_is_judged_at_the_size_set_before_by_people_who_see_both_sides(tmp_path, opened):
    run = opened(answers=40)
    made = pictures(40)
    images = {
        "before": made[:20],
        "after": made[20:],
        "labels_before": np.zeros(20, int),
        "labels_after": np.zeros(20, int),
    }
    asked = study_answers.source_of(run, "evaluation")
    with pytest.raises(Waiting, match="0 of 40 answers to the images of pool proof"):
        study_proof.of_study(run, asked, images)
    after = {image.tobytes() for image in made[20:]}
    with served(tmp_path / "study.db") as server:
        for number in range(8):
            browser = Browser(server).join()
            for step in range(5):
                slot = browser.slots(1)[0]
                png = browser.ask("GET", slot["images"][0]["src"])[1]
                tuned = np.asarray(Image.open(io.BytesIO(png))).tobytes() in after
                browser.answer(slot, "like", int(tuned or (number + step) % 5 == 0))
    (before_pir, after_pir), answered = study_proof.of_study(run, asked, images)
    assert np.nanmean(after_pir) == 1.0 and np.nanmean(before_pir) < 0.5
    unlike = types.SimpleNamespace(after_over_before=None)  # diversity wasn't measured
    facts = study_proof.people_facts(answered, 20, run.config.evaluation, unlike)
    assert facts["verdict"] == "gain" and facts["people"]["answers"] == 40 and facts["people"]["raters"] == 8
    assert facts["p_value"] == facts["people"]["p"] < 0.001 and facts["people"]["e_value"] > 2
    assert "For these raters" in facts["people"]["sentence"]


def answered_as(mode, rater, image, value, pairs=(), closed="40 answers", count=40, bets=()):
    """What people said, in the form in which a stage has it."""
    given = [np.array(one) for one in (rater, image, value)]
    shown = np.bincount(np.array(image, int), minlength=count)
    return types.SimpleNamespace(
        **{
            "mode": mode,
            "rater": given[0],
            "image": given[1],
            "value": given[2],
            "pairs": np.array(pairs, float).reshape(-1, 3),
        },
        **{"impressions": shown, "closed": closed, "bets": np.array(bets), "study": {"name": "one"}},
    )


def test_pairs_are_told_on_one_scale_and_without_a_t():
    """After wins 30 of 40: its share of wins against images before is 0.75, theirs among themselves one half."""
    win = np.arange(40) % 4 > 0
    image = np.stack([np.arange(40), 40 + np.arange(40)], axis=1).ravel()
    value = np.stack([1 - win, win], axis=1).ravel().astype(float)
    rater, pairs = np.repeat(np.arange(40) % 10, 2), np.stack([np.arange(40) % 10, np.arange(40), win], axis=1)
    answered = answered_as("pair", rater, image, value, pairs, count=80)
    settings = types.SimpleNamespace(alpha=0.05, answers=40)
    facts = study_proof.people_facts(answered, 40, settings, types.SimpleNamespace(after_over_before=None))
    assert (facts["pir_before_mean"], facts["pir_after_mean"], facts["change"]) == (0.5, 0.75, 0.25)
    assert facts["verdict"] == "gain" and facts["welch_t"] is None and facts["p_value"] == facts["people"]["p"]
    low, high = facts["cohens_d_interval"]
    assert facts["cohens_d"] == facts["people"]["d"] == pytest.approx(0.954, abs=1e-3) and low < 0.954 < high
    rows = {row[0]: row[1] for row in tables.result_rows({**facts, "alpha": 0.05})}
    assert rows["Mean PIR after"] == "0.750" and "Sign test of pairs" in rows and "Welch's t-test" not in rows


@pytest.mark.parametrize("mode", ["like", "pair"])
def test_the_result_says_that_the_evidence_ended_a_study_whoever_closed_it(mode):
    rater, image, value = (
        np.arange(400) % 20,
        np.arange(400) % 40,
        np.arange(400) % 40 // 20 * 0.5 + np.arange(400) % 2 / 2,
    )
    pairs = np.stack([np.arange(40) % 10, np.arange(40), np.arange(40) % 5 > 0], axis=1)
    settings, unlike = types.SimpleNamespace(alpha=0.001, answers=900), types.SimpleNamespace(after_over_before=None)
    for bets, named in ((np.ones(60), "Evidence that ended it"), (np.empty(0), "Sign test of pairs")):
        answered = answered_as(mode, rater, image, value, pairs, count=40, closed="the owner", bets=bets)
        facts = study_proof.people_facts(answered, 20, settings, unlike)
        names = [row[0] for row in tables.result_rows({**facts, "alpha": 0.001})]
        assert (named if bets.size or mode == "pair" else "Welch's t-test") in names
        assert facts["verdict"] == ("gain" if bets.size else "not measured yet")


def test_what_can_t_be_tested_is_undefined_not_unmeasured_and_all_numbers_are_of_one_test():
    settings, unlike = types.SimpleNamespace(alpha=0.001, answers=4), types.SimpleNamespace(after_over_before=None)
    one_side = answered_as("like", [0] * 4, [0, 1, 2, 3], [1.0, 0, 1, 0], closed="4 answers")
    assert study_proof.people_facts(one_side, 20, settings, unlike)["verdict"] == "undefined"
    rng = np.random.default_rng(0)
    rater, image = np.arange(400) % 20, rng.permutation(400) % 40
    value = (rng.random(400) < np.clip(0.2 + 0.3 * (image >= 20) + 0.04 * rater, 0, 1)).astype(float)
    settings.answers = 400
    facts = study_proof.people_facts(answered_as("like", rater, image, value), 20, settings, unlike)
    people = facts["people"]
    assert (facts["pir_after_mean"], facts["change"], facts["welch_t"]) == (
        people["after"],
        people["change"],
        people["t"],
    )
    assert facts["cohens_d"] == people["d"] and facts["welch_t"] > 0


@pytest.mark.slow
@pytest.mark.parametrize(("better", "verdict"), [(0.0, "no significant change"), (0.35, "gain")])
def test_twice_the_same_generator_is_no_gain_and_a_better_one_is(tmp_path, opened, monkeypatch, better, verdict):
    """A/A and A/B from images to verdict over HTTP; raters come in turn and the secret is fixed, so that chance is the same."""
    monkeypatch.setattr(pools.secrets, "token_hex", lambda size: "ab" * size)
    run = opened(answers=400)
    rng = np.random.default_rng(0)
    shade = np.clip(rng.normal(0.4, 0.1, 160) + better * (np.arange(160) >= 80), 0, 1)
    made = np.repeat(np.round(shade * 255).astype(np.uint8), 8 * 8 * 3).reshape(160, 8, 8, 3)
    made[:, 0, 0, 0] = np.arange(160)  # each its own
    labels = np.zeros(80, int)
    images = {"before": made[:80], "after": made[80:], "labels_before": labels, "labels_after": labels}
    asked = study_answers.source_of(run, "evaluation")
    with pytest.raises(Waiting):
        study_proof.of_study(run, asked, images)
    with served(tmp_path / "study.db") as server:
        for seed in range(20):
            leniency = float(np.random.default_rng(seed).normal(0, 1))
            taste = lambda image: float(image[1:].mean() / 255)  # noqa: E731
            SimulatedRater(server.links()[0][1], taste, seed, leniency=leniency).rate(21)
    _, answered = study_proof.of_study(run, asked, images)
    facts = study_proof.people_facts(answered, 80, run.config.evaluation, types.SimpleNamespace(after_over_before=None))
    assert facts["verdict"] == verdict and facts["people"]["answers"] == 400 and facts["people"]["raters"] >= 15
    assert (facts["people"]["e_value"] > 20) == bool(better)
