"""Real people, who come in through CSV files: the run waits for them twice and invents nothing."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from commands import QUICK, command

from pir_tf.config import EvaluationConfig, InteractionsConfig
from pir_tf.errors import InputError
from pir_tf.experiments.people import Waiting, answers, answers_digest, image_ids, require_unchanged, run_directory_of
from pir_tf.interactions.ratings import write_template
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


def pictures(count=4):
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def fill(path, impressions=10, positives=4):
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        for i, row in enumerate(rows):
            writer.writerow({**row, "impressions": impressions, "positives": (positives + i) % (impressions + 1)})


def test_ids_name_the_pixels():
    first, second = pictures(2), pictures(2)
    second[1, 0, 0, 0] ^= 1
    a, b = image_ids(first, "r1"), image_ids(second, "r1")
    assert a[0] == b[0]
    assert a[1] != b[1]


def test_it_waits_twice_and_then_reads(tmp_path):
    images, path = pictures(), tmp_path / "answers.csv"
    ids = image_ids(images, "r1")
    ask = lambda: answers(path, images, ids, run_directory=tmp_path, todo="Then go on.")  # noqa: E731
    with pytest.raises(Waiting, match="4 images"):
        ask()
    assert sorted(p.stem for p in (tmp_path / "answers_images").glob("*.png")) == sorted(ids)
    with pytest.raises(Waiting, match="not filled in yet"):
        ask()
    fill(path)
    assert ask().impressions.tolist() == [10] * 4
    assert ask().positives.tolist() == [4, 5, 6, 7]


@pytest.fixture
def finished(tmp_path):
    """A function that opens a run with these sources, whose stage is done with these facts."""
    opened = []

    def opening(stage, facts, *, shown="simulated", judged="same"):
        people = InteractionsConfig(source=shown)
        config = dataclasses.replace(smoke(), interactions=people, evaluation=EvaluationConfig(source=judged))
        opened.append(RunDirectory(tmp_path / f"run-{len(opened)}", config))
        opened[-1].mark_done(stage, **facts)
        return opened[-1]

    yield opening
    for run in opened:
        run.close()


def test_answers_that_change_later_are_noticed(tmp_path, finished):
    path = tmp_path / "a.csv"
    path.write_text("x")
    with pytest.raises(InputError, match="changed after stage interactions"):
        require_unchanged(finished("interactions", {"answers_sha256": "0"}, shown=f"csv:{path}"), "interactions")
    require_unchanged(finished("interactions", {}, shown=f"csv:{path}"), "interactions")
    require_unchanged(finished("interactions", {"answers_sha256": "0"}), "interactions")


def test_people_asked_for_where_simulated_users_have_judged_are_refused(tmp_path, finished):
    people = tmp_path / "people.csv"
    for _ in ("absent", "there"):
        run = finished("evaluation", {}, judged=f"csv:{people}")
        with pytest.raises(InputError) as refused:
            require_unchanged(run, "evaluation")
        said = str(refused.value)
        assert f"csv:{people}" in said and "simulated users' answers" in said and f"copy {run.path}" in said
        people.touch()
    require_unchanged(finished("evaluation", {}), "evaluation")


def test_what_people_judged_in_the_runs_own_file_is_held_against_it(tmp_path, finished):
    shown = f"csv:{tmp_path / 'shown.csv'}"
    other = tmp_path / "other.csv"
    for noted in (True, False):  # earlier versions noted nothing
        run = finished("evaluation", {}, shown=shown)
        own = run.file("evaluation", "answers.csv")
        write_template(own, ["e-0", "e-1"])
        fill(own)
        shutil.copy(own, other)
        if noted:
            run.mark_done("evaluation", answers_sha256=answers_digest(own))
        require_unchanged(run, "evaluation")
        run.config = dataclasses.replace(run.config, evaluation=EvaluationConfig(source=f"csv:{other}"))
        require_unchanged(run, "evaluation")  # the same answers elsewhere
        fill(other, positives=5)
        with pytest.raises(InputError, match=r"other\.csv changed after stage evaluation used it, or is another file"):
            require_unchanged(run, "evaluation")
        other.unlink()
        with pytest.raises(InputError, match="which is not there.*leave --evaluation.source out"):
            require_unchanged(run, "evaluation")
    run = finished("evaluation", {"answers_sha256": "0"}, shown=shown)
    require_unchanged(run, "evaluation")  # the file is gone
    write_template(run.file("evaluation", "answers.csv"), ["e-0"])
    require_unchanged(run, "evaluation")  # others were named, while this is the template
    fill(run.file("evaluation", "answers.csv"))
    with pytest.raises(InputError, match="changed after stage evaluation"):
        require_unchanged(run, "evaluation")


def test_no_run_is_found_where_none_was(tmp_path):
    assert run_directory_of("simulated") is None
    assert run_directory_of("same") is None
    assert run_directory_of(f"csv:{tmp_path / 'a.csv'}") is None


@pytest.mark.slow
def test_the_same_command_goes_on_when_people_have_answered(tmp_path):
    path = tmp_path / "answers.csv"
    words = [
        "smoke",
        *QUICK,
        "--interactions.source",
        f"csv:{path}",
        "--interactions.images",
        40,
        "--evaluation.images",
        20,
    ]

    first = command(*words, cwd=tmp_path)
    assert first.returncode == 0
    assert "Waiting for people" in first.stdout
    assert len(list((tmp_path / "answers_images").glob("*.png"))) == 40

    fill(path, positives=11)  # 11 of 10 is impossible in no row, since fill wraps; break one row by hand
    text = path.read_text().splitlines()
    good = "\n".join(text) + "\n"
    text[3] = text[3].rsplit(",", 1)[0] + ",11"
    path.write_text("\n".join(text) + "\n")
    wrong = command(*words, cwd=tmp_path)
    assert wrong.returncode == 2
    assert "line 4" in wrong.stderr

    path.write_text(good)
    second = command(*words, cwd=tmp_path)
    assert second.returncode == 0, second.stderr
    runs = list((tmp_path / "runs").iterdir())
    assert len(runs) == 1
    results = json.loads((runs[0] / "evaluation" / "results.json").read_text())
    assert results["verdict"] == "not measured yet"
    assert results["change"] is None
    assert results["significant"] is None
    assert results["estimated_change"] is not None
    assert "not measured yet" in second.stdout

    judged = runs[0] / "evaluation" / "answers.csv"
    names = [p.stem for p in (runs[0] / "evaluation" / "answers_images").glob("*.png")]
    assert len(names) == 40
    fill(judged)
    third = command(*words, "--evaluation.source", f"csv:{judged}", cwd=tmp_path)
    assert third.returncode == 0, third.stderr
    assert list((tmp_path / "runs").iterdir()) == runs
    results = json.loads((runs[0] / "evaluation" / "results.json").read_text())
    assert results["source"] == "csv"
    assert results["verdict"] in ("gain", "loss", "no significant change", "gain with collapse")
    assert results["true"]["n_before"] == 20
    done = json.loads((runs[0] / "evaluation" / "done.json").read_text())
    assert done["answers_sha256"] == answers_digest(judged)
    kept, samples = (np.load(runs[0] / "evaluation" / name) for name in ("images.npz", "samples.npz"))
    assert all(np.array_equal(kept[when], samples[when]) for when in ("before", "after"))
