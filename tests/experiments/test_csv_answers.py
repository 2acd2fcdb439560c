"""Real people, who come in through CSV files: the run waits for them twice, invents nothing and asks nothing twice."""

import dataclasses
import json
import shutil
import tempfile

import numpy as np
import pytest
from answers import fill
from commands import SMALL, UP_TO_EVALUATION, small_command

from pir_tf.config import EvaluationConfig, InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.experiments.csv_answers import (
    Waiting,
    answers,
    answers_digest,
    image_ids,
    require_unchanged,
    run_directory_of,
)
from pir_tf.experiments.interactions_stage import few_or_many
from pir_tf.interactions.ratings import write_template
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


def pictures(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def test_it_waits_twice_and_then_reads_answers_to_images_that_are_known_by_their_pixels(tmp_path):
    images, path = pictures(), tmp_path / "answers.csv"
    ids = image_ids(images, "r1")
    images[1, 0, 0, 0] ^= 1
    others, ids = ids, image_ids(images, "r1")
    assert [a == b for a, b in zip(ids, others, strict=True)] == [True, False, True, True]
    ask = lambda: answers(path, images, ids, run_directory=tmp_path)  # noqa: E731
    with pytest.raises(Waiting, match="4 images.* Then give the same command again.$"):
        ask()
    assert sorted(p.stem for p in (tmp_path / "answers_images").glob("*.png")) == sorted(ids)
    with pytest.raises(Waiting, match="not filled in yet.* Then give the same command again.$"):
        ask()
    fill(path)
    assert (ask().impressions.tolist(), ask().positives.tolist()) == ([10] * 4, [4, 5, 6, 7])


def test_images_of_another_run_are_not_mixed_with_ones_own(tmp_path):
    """The file was moved away, its images were left."""
    images, path = pictures(), tmp_path / "answers.csv"
    with pytest.raises(Waiting):
        answers(path, images, image_ids(images, "r1"), run_directory=tmp_path / "one")
    path.rename(tmp_path / "first.csv")
    there = sorted(p.name for p in (tmp_path / "answers_images").iterdir())
    with pytest.raises(InputError, match="has images of another run .*one.*: name another CSV file"):
        answers(path, pictures() ^ 1, image_ids(pictures() ^ 1, "r1"), run_directory=tmp_path / "two")
    assert sorted(p.name for p in (tmp_path / "answers_images").iterdir()) == there and not path.exists()
    with pytest.raises(Waiting):  # its own are made again
        answers(path, images, image_ids(images, "r1"), run_directory=tmp_path / "one")


@pytest.fixture
def finished(tmp_path):
    """A function that opens a run with these sources, whose stage is done with these facts."""

    def opening(stage, facts, *, shown="simulated", judged="same"):
        people = InteractionsConfig(source=shown)
        config = dataclasses.replace(smoke(), interactions=people, evaluation=EvaluationConfig(source=judged))
        run = RunDirectory(tempfile.mkdtemp(dir=tmp_path), config)
        run.mark_done(stage, **facts)
        return run

    return opening


def test_people_whose_answers_a_finished_stage_did_not_use_are_refused(tmp_path, finished):
    people = tmp_path / "people.csv"
    for _ in ("absent", "there"):
        run = finished("evaluation", {}, judged=f"csv:{people}")
        with pytest.raises(InputError, match=f"csv:{people}.*simulated users' answers.*copy {run.path}"):
            require_unchanged(run, "evaluation")
        people.touch()
    changed = finished("interactions", {"answers_sha256": "0"}, shown=f"csv:{people}")
    with pytest.raises(InputError, match="changed after stage interactions"):
        require_unchanged(changed, "interactions")
    require_unchanged(finished("evaluation", {}), "evaluation")
    require_unchanged(finished("interactions", {"answers_sha256": "0"}), "interactions")


def test_what_people_judged_in_the_runs_own_file_is_held_against_it(tmp_path, finished):
    other, run = tmp_path / "other.csv", finished("evaluation", {}, shown=f"csv:{tmp_path / 'shown.csv'}")
    own = run.file("evaluation", "answers.csv")
    write_template(own, ["e-0", "e-1"])
    fill(own)
    shutil.copy(own, other)
    run.mark_done("evaluation", answers_sha256=answers_digest(own))
    require_unchanged(run, "evaluation")
    fill(own, positives=5)
    with pytest.raises(InputError, match="changed after stage evaluation"):
        require_unchanged(run, "evaluation")
    own.unlink()
    require_unchanged(run, "evaluation")  # the file is gone
    write_template(own, ["e-0"])
    require_unchanged(run, "evaluation")  # others were named, while this is the template
    run.config = dataclasses.replace(run.config, evaluation=EvaluationConfig(source=f"csv:{other}"))
    require_unchanged(run, "evaluation")  # the same answers elsewhere
    fill(other, positives=5)
    with pytest.raises(InputError, match=r"other\.csv changed after stage evaluation used it, or is another file"):
        require_unchanged(run, "evaluation")
    other.unlink()
    with pytest.raises(InputError, match="which is not there.*leave --evaluation.source out"):
        require_unchanged(run, "evaluation")


@pytest.mark.parametrize("how", [shutil.move, shutil.copytree])
@pytest.mark.parametrize("where", ["answers.csv", "runs/r/evaluation/answers.csv"])
def test_a_run_is_found_beside_its_images_wherever_both_have_gone(tmp_path, monkeypatch, how, where):
    assert [run_directory_of(source) for source in ("simulated", "same", "csv:a.csv")] == [None] * 3
    run = tmp_path / "pm" / "runs" / "r"
    (run / "evaluation").mkdir(parents=True)
    (run / "config.json").write_text("{}")
    with pytest.raises(Waiting):
        answers(tmp_path / "pm" / where, pictures(), list("abcd"), run_directory=run)
    how(tmp_path / "pm", tmp_path / "pm2")
    monkeypatch.chdir(tmp_path / "pm2")
    assert run_directory_of(f"csv:{where}") == tmp_path / "pm2" / "runs" / "r"
    monkeypatch.setenv("HOME", str(tmp_path / "pm2"))
    assert run_directory_of(f"csv:~/{where}") == tmp_path / "pm2" / "runs" / "r"


@pytest.mark.parametrize("note", ['{"run_directory": "../runs/r"}', '{"run_directory": "/gone"}', "[]", "{}"])
def test_images_of_a_run_that_is_not_there_are_not_asked_about_again(tmp_path, note):
    (tmp_path / "answers_images").mkdir()
    (tmp_path / "answers_images" / "run.json").write_text(note)
    with pytest.raises(InputError, match=r"answers_images/run\.json says .* asked a second time.* --run-dir PATH"):
        run_directory_of(f"csv:{tmp_path / 'answers.csv'}")


def test_how_many_images_were_rated_is_said_with_what_it_means():
    assert few_or_many(20, 20, 10) == "People rated 20 of the 20 images shown."
    assert few_or_many(15, 20, 10).endswith("15 of the 20 images shown. The estimator learns from those alone.")
    assert "1 of the 20 images" in few_or_many(1, 20, 10) and "fewer than 10 its quality can't be" in few_or_many(
        1, 20, 10
    )


FEW = "--gan.steps 1 --estimator.steps 1 --tuning.steps 1".split()


@pytest.mark.slow
def test_the_same_command_goes_on_when_people_have_answered_wherever_the_project_lies(tmp_path):
    root = tmp_path / "project"
    root.mkdir()
    words = [*SMALL, *UP_TO_EVALUATION, "--interactions.source", "csv:answers.csv", *FEW]
    ask = lambda: small_command(*words, cwd=root)  # noqa: E731
    first = ask()
    assert first.returncode == 0 and "Waiting for people" in first.stdout, first.stderr
    assert len(list((root / "answers_images").glob("*.png"))) == 16

    path = root / "answers.csv"
    fill(path)
    good = path.read_text()
    lines = good.splitlines()
    lines[3] = f"{lines[3].rpartition(',')[0]},11"  # of 10
    path.write_text("\n".join(lines))
    wrong = ask()
    assert wrong.returncode == 2 and "line 4" in wrong.stderr

    path.write_text(good)
    second = ask()
    assert second.returncode == 0, second.stderr
    assert "People rated 16 of the 16 images shown." in second.stdout and "not measured yet" in second.stdout
    (run,) = (root / "runs").iterdir()
    results = json.loads((run / "evaluation" / "results.json").read_text())
    assert results["verdict"] == "not measured yet"
    assert results["change"] is None and results["significant"] is None and results["estimated_change"] is not None

    root = root.rename(tmp_path / "moved")
    (run,) = (root / "runs").iterdir()
    judged = run / "evaluation" / "answers.csv"
    assert len(list((run / "evaluation" / "answers_images").glob("*.png"))) == 32
    fill(judged)
    third = ask()
    assert third.returncode == 0, third.stderr
    assert list((root / "runs").iterdir()) == [run]
    results = json.loads((run / "evaluation" / "results.json").read_text())
    assert results["source"] == "csv" and results["true"]["n_before"] == 16
    assert results["verdict"] in ("gain", "loss", "no significant change", "gain with collapse")
    assert json.loads((run / "evaluation" / "done.json").read_text())["answers_sha256"] == answers_digest(judged)
    kept, samples = (np.load(run / "evaluation" / name) for name in ("images.npz", "samples.npz"))
    assert all(np.array_equal(kept[when], samples[when]) for when in ("before", "after"))
