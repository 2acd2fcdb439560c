"""Experiments found in run directories, sweeps and published folders."""

import json
from pathlib import Path

import pytest
from many_rows import config, experiment, results

from pir_tf.errors import InputError
from pir_tf.paper.collect import collect
from pir_tf.paper.rows import COLUMNS, row_of, write_rows


def write_run(path, d=1.0, published=False, **changes):
    """A run directory, or a published folder."""
    place = path if published else path / "evaluation"
    place.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"config": config(**changes), "files": {}}))
    (place / "results.json").write_text(json.dumps(results(d)))
    return path


def names(found):
    return [row["experiment"] for row in found.rows]


def test_a_run_and_a_published_folder_are_named_by_their_directories(tmp_path):
    run = write_run(tmp_path / "blue", 2.0)
    (run / "evaluation" / "samples.npz").write_bytes(b"")
    published = write_run(tmp_path / "red", 1.0, published=True, objective="color:red")
    found = collect([run, published])
    assert found.rows == [
        row_of(config(), results(2.0), experiment="blue"),
        row_of(config("color:red"), results(1.0), experiment="red"),
    ]
    assert found.samples == {"blue": run / "evaluation" / "samples.npz"} and found.notes == []
    assert found.places == {"blue": run, "red": published} and found.missing == []


def test_the_working_directory_itself_has_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(write_run(tmp_path / "blue"))
    assert names(collect([Path(".")])) == ["blue"]


def test_a_sweep_is_searched_to_any_depth_but_not_its_cache(tmp_path):
    write_run(tmp_path / "sweep" / "colors" / "blue")
    write_run(tmp_path / "sweep" / "red", objective="color:red")
    write_run(tmp_path / "sweep" / "cache" / "x", 3.0)
    write_run(tmp_path / "sweep" / ".trash" / "y", 4.0)
    write_run(tmp_path / "sweep" / "red" / "inner", 5.0)
    assert names(collect([tmp_path / "sweep"])) == ["colors/blue", "red"]


def test_what_is_open_or_damaged_below_a_sweep_is_noted_without_its_directory(tmp_path):
    write_run(tmp_path / "s" / "blue")
    (tmp_path / "s" / "open").mkdir()
    (tmp_path / "s" / "open" / "config.json").write_text("{}")
    (write_run(tmp_path / "s" / "torn") / "evaluation" / "results.json").write_text("{")
    (write_run(tmp_path / "s" / "list") / "evaluation" / "results.json").write_text("[]")
    (write_run(tmp_path / "s" / "empty") / "config.json").write_text("{}")
    found = collect([tmp_path / "s"])
    assert names(found) == ["blue"]
    assert [note.split()[0] for note in found.notes] == ["empty", "list", "open", "torn"]
    assert "has no results yet" in found.notes[2] and "is not valid JSON" in found.notes[3]
    assert not [note for note in found.notes if str(tmp_path) in note]


def test_a_damaged_run_that_was_named_is_refused(tmp_path):
    (write_run(tmp_path / "torn") / "evaluation" / "results.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        collect([tmp_path / "torn"])


def test_places_without_experiments_are_refused(tmp_path):
    with pytest.raises(InputError, match="no directory"):
        collect([tmp_path / "absent"])
    with pytest.raises(InputError, match="no config.json with results"):
        collect([tmp_path])
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "config.json").write_text("{}")
    with pytest.raises(InputError, match="No experiment with results was found .open has no results yet."):
        collect([tmp_path / "open"])
    # Beside others it is only noted.
    found = collect([tmp_path / "open", write_run(tmp_path / "blue")])
    assert names(found) == ["blue"] and found.notes == ["open has no results yet."]


def sweep_table(path, lines):
    """A sweep's results.csv: its own columns, then ours."""
    rows = [
        {"suite": "s", "name": row["experiment"], "status": status, "reason": why, **row} for row, status, why in lines
    ]
    write_rows(path, rows, ("suite", "name", "status", "reason", *COLUMNS))


def test_a_sweep_s_table_speaks_for_runs_that_are_not_there(tmp_path):
    write_run(tmp_path / "s" / "blue", 2.0)
    write_run(tmp_path / "s" / "shared-gan").joinpath("evaluation", "results.json").unlink()
    here, away = experiment(name="blue", d=7.0), experiment("color:red", name="red", d=1.5)
    empty = [row_of(config(f"vgg:fc6:filters={i}"), {}, experiment=f"fc6-{i}") for i in range(6)]
    lines = [(here, "done", ""), (away, "done", "")]
    lines += [(row, "not run", "no weights of the top.") for row in empty]
    lines += [(row_of(config(), {}, experiment="bad"), "failed", "Disk full")]
    sweep_table(tmp_path / "s" / "results.csv", lines)
    found = collect([tmp_path / "s"])
    # The run's own files come before the table's copy of them.
    assert [(row["experiment"], row["cohens_d"]) for row in found.rows] == [("blue", 2.0), ("red", 1.5)]
    assert found.rows[1] == away
    assert found.notes == [
        "fc6-0, fc6-1, 4 more: not run (no weights of the top).",
        "bad: failed (Disk full).",
    ]
    assert found.places == {"blue": tmp_path / "s" / "blue", "red": tmp_path / "s" / "red"}
    first, last = found.missing[0], found.missing[-1]
    assert (first["experiment"], first["layer"], first["status"]) == ("fc6-0", "fc6", "not run")
    assert first["reason"] == "no weights of the top." and (last["experiment"], last["status"]) == ("bad", "failed")


def test_a_published_table_alone_is_enough_also_below(tmp_path):
    (tmp_path / "published" / "colors").mkdir(parents=True)
    sweep_table(tmp_path / "published" / "colors" / "results.csv", [(experiment(name="blue"), "done", "")])
    assert names(collect([tmp_path / "published" / "colors"])) == ["blue"]
    assert names(collect([tmp_path / "published"])) == ["colors/blue"]
    assert collect([tmp_path / "published"]).places == {"colors/blue": tmp_path / "published" / "colors" / "blue"}


def test_equal_experiments_count_once_and_equal_names_get_their_folder(tmp_path):
    one, copy = write_run(tmp_path / "a" / "blue"), write_run(tmp_path / "b" / "blue", published=True)
    found = collect([one, one, copy])
    assert names(found) == ["blue"] and found.notes == []
    other = write_run(tmp_path / "c" / "blue", 1.7)
    third = write_run(tmp_path / "d" / "azure")
    found = collect([one, other, third])
    assert names(found) == ["blue", "c/blue"]
    assert found.notes == ["azure equals blue in settings and results, so it counts once."]
