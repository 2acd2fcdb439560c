"""Real people, who come in through CSV files: the run waits for them twice and invents nothing."""

import csv
import json

import numpy as np
import pytest
from commands import QUICK, command

from pir_tf.errors import InputError
from pir_tf.experiments.people import Waiting, answers, image_ids, require_unchanged, run_directory_of


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


def test_answers_that_change_later_are_noticed(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("x")
    with pytest.raises(InputError, match="changed after stage interactions"):
        require_unchanged("interactions", {"answers_sha256": "0"}, f"csv:{path}")
    require_unchanged("interactions", {}, f"csv:{path}")
    require_unchanged("interactions", {"answers_sha256": "0"}, "simulated")


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
