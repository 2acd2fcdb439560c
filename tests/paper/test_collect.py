"""Experiments found in run directories, sweeps and published folders."""

from pathlib import Path

import pytest
from many_rows import config, experiment, results, write_run

from pir_tf.errors import InputError
from pir_tf.paper.collect import collect
from pir_tf.paper.rows import COLUMNS, records, row_of, write_rows


def test_runs_and_published_folders_have_their_directories_names_and_count_once(tmp_path, monkeypatch):
    run = write_run(tmp_path / "blue", 2.0)
    (run / "evaluation" / "samples.npz").write_bytes(b"")
    published = write_run(tmp_path / "red", 1.0, published=True, objective="color:red")
    found = collect([run, published])
    assert records(found.rows) == [
        row_of(config(), results(2.0), experiment="blue"),
        row_of(config("color:red"), results(1.0), experiment="red"),
    ]
    assert found.samples == {"blue": run / "evaluation" / "samples.npz"} and found.notes == []
    assert found.places == {"blue": run, "red": published} and found.missing.empty
    monkeypatch.chdir(run)
    assert list(collect([Path(".")]).rows["experiment"]) == ["blue"]
    one, copy = write_run(tmp_path / "a" / "blue"), write_run(tmp_path / "b" / "blue", published=True)
    found = collect([one, one, copy])
    assert list(found.rows["experiment"]) == ["blue"] and found.notes == []
    other, third = write_run(tmp_path / "c" / "blue", 1.7), write_run(tmp_path / "d" / "azure")
    found = collect([one, other, third])
    assert list(found.rows["experiment"]) == ["blue", "c/blue"]
    assert found.notes == ["azure equals blue in settings and results, so it counts once."]


def test_a_sweep_is_searched_to_any_depth_and_what_is_open_or_damaged_is_noted(tmp_path):
    for place in ("colors/blue", "cache/x", ".trash/y", "red", "red/inner"):
        write_run(tmp_path / "s" / place, objective="color:red" if place == "red" else "color:blue")
    write_run(tmp_path / "s" / "open", None)
    (write_run(tmp_path / "s" / "torn") / "evaluation" / "results.json").write_text("{")
    (write_run(tmp_path / "s" / "list") / "evaluation" / "results.json").write_text("[]")
    (write_run(tmp_path / "s" / "empty") / "config.json").write_text("{}")
    (tmp_path / "s" / "foreign").mkdir()
    (tmp_path / "s" / "foreign" / "results.csv").write_text("step,loss\n1,2\n")
    found = collect([tmp_path / "s"])
    assert list(found.rows["experiment"]) == ["colors/blue", "red"]
    assert [note.split()[0] for note in found.notes] == ["empty", "foreign", "list", "open", "torn"]
    assert "has no results yet" in found.notes[3] and "is not valid JSON" in found.notes[4]
    assert not [note for note in found.notes if str(tmp_path) in note]


def test_places_without_experiments_are_refused(tmp_path):
    (write_run(tmp_path / "torn") / "evaluation" / "results.json").write_text("{")
    (tmp_path / "none").mkdir()
    unfinished = write_run(tmp_path / "open", None)
    for place, said in (
        ("torn", "not valid JSON"),
        ("absent", "no directory"),
        ("none", "no config.json with results"),
        ("open", "No experiment with results was found .open has no results yet."),
    ):
        with pytest.raises(InputError, match=said):
            collect([tmp_path / place])
    # Beside others it is only noted.
    found = collect([unfinished, write_run(tmp_path / "blue")])
    assert list(found.rows["experiment"]) == ["blue"] and found.notes == ["open has no results yet."]


def test_a_sweep_s_table_speaks_for_runs_that_are_not_there(tmp_path):
    write_run(tmp_path / "s" / "blue", 2.0)
    write_run(tmp_path / "s" / "shared-gan").joinpath("evaluation", "results.json").unlink()
    here, away = experiment(name="blue", d=7.0), experiment("color:red", name="red", d=1.5)
    empty = [row_of(config(f"vgg:fc6:filters={i}"), {}, experiment=f"fc6-{i}") for i in range(6)]
    lines = [{"status": "done", "reason": "", **row} for row in (here, away)]
    lines += [{"status": "not run", "reason": "no weights of the top.", **row} for row in empty]
    lines += [{"status": "failed", "reason": "Disk full", **row_of(config(), {}, experiment="bad")}]
    lines += [{"status": "done", "reason": "", **experiment("color:green", name="torn", d=4.0)}]
    (write_run(tmp_path / "s" / "torn") / "evaluation" / "results.json").write_text("{")
    write_rows(tmp_path / "s" / "results.csv", lines, ("status", "reason", *COLUMNS))
    notes = ["fc6-0, fc6-1, 4 more: not run (no weights of the top).", "bad: failed (Disk full)."]
    below = ["s/fc6-0, s/fc6-1, 4 more: not run (no weights of the top).", "s/bad: failed (Disk full)."]
    for place, prefix, said in ((tmp_path / "s", "", notes), (tmp_path, "s/", below)):
        found = collect([place])
        own, of_the_table = records(found.rows)
        assert (own["experiment"], own["cohens_d"]) == (f"{prefix}blue", 2.0)  # not what the table says of it
        assert of_the_table == {**away, "experiment": f"{prefix}red"}
        torn, *others = found.notes
        assert torn.startswith(f"{prefix}torn was left out") and others == said  # by the table too
        assert found.places == {f"{prefix}{name}": tmp_path / "s" / name for name in ("blue", "red")}
        first, *_, last = records(found.missing)
        assert (first["experiment"], first["layer"], first["status"]) == (f"{prefix}fc6-0", "fc6", "not run")
        assert first["reason"] == "no weights of the top."
        assert (last["experiment"], last["status"]) == (f"{prefix}bad", "failed")
