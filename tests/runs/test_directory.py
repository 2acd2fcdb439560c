"""The run directory: identity, locks, atomic files, and what the machine refuses."""

import dataclasses
import errno
import fcntl
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import pir_tf
from pir_tf.config import EstimatorConfig, EvaluationConfig, InteractionsConfig
from pir_tf.errors import InputError, explain_os_errors
from pir_tf.presets import laptop, paper
from pir_tf.runs import directory
from pir_tf.runs.directory import (
    STAGES,
    RunDirectory,
    atomic,
    atomic_folder,
    finite_or_none,
    identity,
    read_json,
    write_json,
)
from pir_tf.runs.provenance import commits, provenance, versions

REPOSITORY = Path(pir_tf.__file__).parents[1]


def replaced(config, section, **fields):
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **fields)})


# Identity


def test_the_same_config_opens_the_directory_again(tmp_path):
    RunDirectory(tmp_path / "run", laptop()).close()
    before = (tmp_path / "run" / "config.json").read_bytes()
    RunDirectory(tmp_path / "run", laptop()).close()
    assert (tmp_path / "run" / "config.json").read_bytes() == before


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    other = dataclasses.replace(replaced(laptop(), "tuning", pir_weight=5.0), seed=3)
    with pytest.raises(InputError) as refused:
        RunDirectory(tmp_path, other)
    said = str(refused.value)
    assert "seed (0 there, 3 now)" in said and "tuning.pir_weight (1000.0 there, 5.0 now)" in said
    assert said.count(" there, ") == 2 and "--run-dir" in said
    # The refused attempt holds no lock, even while its error is looked at.
    RunDirectory(tmp_path, laptop()).close()


def test_who_judges_and_what_is_logged_may_change(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    judged = dataclasses.replace(laptop(), evaluation=EvaluationConfig(source="csv:answers.csv"))
    RunDirectory(tmp_path, replaced(judged, "tuning", tensorboard=False)).close()
    RunDirectory(tmp_path, replaced(judged, "gan", tensorboard=False)).close()


def test_another_file_is_refused_and_the_same_elsewhere_is_not(tmp_path):
    def config(path):
        return dataclasses.replace(paper(), estimator=EstimatorConfig(weights=f"file:{path}"))

    RunDirectory(tmp_path, config("/a/w.npz"), files={"estimator.weights": "9f"}).close()
    RunDirectory(tmp_path, config("/b/c/w.npz"), files={"estimator.weights": "9f"}).close()
    with pytest.raises(InputError, match=r"estimator.weights \('9f' there, '77' now\)"):
        RunDirectory(tmp_path, config("/a/w.npz"), files={"estimator.weights": "77"})


@pytest.mark.parametrize(
    "section, field, given, held",
    [
        ("data", "source", "folder:/home/someone/photos/", "folder:photos"),
        ("data", "source", "folder:photos", "folder:photos"),
        ("data", "source", "tfds:places365_small", "tfds:places365_small"),
        ("data", "source", "landscapes", "landscapes"),
        ("interactions", "source", "csv:/tmp/a/answers.csv", "csv:answers.csv"),
        ("interactions", "source", "simulated", "simulated"),
        ("evaluation", "source", "csv:../answers.csv", "csv:answers.csv"),
        ("estimator", "weights", "file:/data/w.npz", "file:w.npz"),
        ("estimator", "weights", "hub:/data/models/inception", "hub:inception"),
        (
            "estimator",
            "weights",
            "hub:https://tfhub.dev/google/inception/5",
            "hub:https://tfhub.dev/google/inception/5",
        ),
        ("estimator", "weights", "imagenet", "imagenet"),
        ("interactions", "vgg_weights", "file:/data/vgg16.h5", "file:vgg16.h5"),
        ("interactions", "vgg_weights", "none", "none"),
        ("evaluation", "kid_weights", "file:../vgg16.h5", "file:vgg16.h5"),
    ],
)
def test_paths_are_held_as_base_names(section, field, given, held):
    assert identity(replaced(paper(), section, **{field: given}))[f"{section}.{field}"] == held


def test_the_first_round_is_held_by_its_base_name(tmp_path, monkeypatch):
    assert identity(paper())["first_round"] == ""
    for given in ("/home/someone/runs/first", "runs/first/", "first"):
        assert identity(dataclasses.replace(paper(), first_round=given))["first_round"] == "first"


def test_when_checkpoints_are_written_is_no_part_of_the_identity(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    RunDirectory(tmp_path, replaced(laptop(), "tuning", checkpoint_minutes=1.0)).close()
    with pytest.raises(InputError, match="tuning.steps"):
        RunDirectory(tmp_path, replaced(laptop(), "tuning", steps=300))


def test_what_kills_left_of_files_is_cleared_away_and_nothing_else(tmp_path):
    left = [".results.42.partial.json", ".generator.7.partial.keras", ".a.csv.42.tmp", f".b.png.{'0f' * 16}.tmp"]
    kept = [".lock", ".~lock.answers.csv#", ".answers.csv.swp", "x.42.partial.json", "answers.tmp", ".x.tmp"]
    (tmp_path / "tuning" / ".estimator.42.partial").mkdir(parents=True)
    for name in [*left, *kept, ".estimator.42.partial/weights"]:
        (tmp_path / "tuning" / name).write_bytes(b"half")
    RunDirectory(tmp_path, laptop()).close()
    assert sorted(path.name for path in (tmp_path / "tuning").iterdir()) == sorted(kept)


def test_a_file_and_then_its_name_are_on_the_disk_before_anything_else(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(handle):
        calls.append("directory" if os.path.isdir(f"/proc/self/fd/{handle}") else "file")
        real["fsync"](handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or real["replace"](*paths))
    write_json(tmp_path / "a.json", {})
    assert calls == ["file", "rename", "directory"]


def test_a_folder_with_all_in_it_is_on_the_disk_before_its_name(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}

    def fsync(handle):
        calls.append(os.readlink(f"/proc/self/fd/{handle}"))
        real["fsync"](handle)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or real["replace"](*paths))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "old").write_text("old")
    with atomic_folder(tmp_path / "model") as beside:
        (beside / "variables").mkdir(parents=True)
        for name in ("model.pb", "variables/data"):
            (beside / name).write_text("new")
        assert not calls and (tmp_path / "model" / "old").exists()
    inside, after = calls[: calls.index("rename")], calls[calls.index("rename") + 1 :]
    names = [os.path.relpath(path, beside) for path in inside]
    assert sorted(names) == [".", "model.pb", "variables", "variables/data"] and names[-1] == "."
    assert after == [str(tmp_path)] and os.listdir(tmp_path) == ["model"]
    assert sorted(os.listdir(tmp_path / "model")) == ["model.pb", "variables"]


def test_an_error_in_an_atomic_folder_leaves_the_old_one(tmp_path):
    (tmp_path / "model").mkdir()
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "model") as beside:
        (beside / "half").mkdir(parents=True)
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["model"] and os.listdir(tmp_path / "model") == []


def test_a_cache_is_no_part_of_the_identity(tmp_path):
    first = RunDirectory(tmp_path / "run", laptop(), cache=tmp_path / "cache")
    assert first.cache == tmp_path / "cache"
    first.close()
    again = RunDirectory(tmp_path / "run", laptop())
    assert again.cache is None
    again.close()
    assert not (tmp_path / "cache").exists()
    assert "cache" not in (tmp_path / "run" / "config.json").read_text()


def test_the_present_folder_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    assert identity(replaced(paper(), "data", source="folder:."))["data.source"] == "folder:photos"


def test_the_config_file_names_what_made_the_run_and_no_path(tmp_path):
    config = dataclasses.replace(paper(), interactions=InteractionsConfig(source=f"csv:{tmp_path}/answers.csv"))
    RunDirectory(tmp_path, config).close()
    text = (tmp_path / "config.json").read_text()
    held = json.loads(text)
    assert str(tmp_path) not in text
    assert held["config"]["gan.steps"] == 1_100_000 and held["config"]["estimator.input_range"] == [-1.0, 1.0]
    assert {"config", "files", "versions", "commit", "hardware", "started"} <= set(held)
    assert {"python", "keras", "tensorflow", "numpy"} <= set(held["versions"])


def test_gpus_are_recorded_by_name_where_tensorflow_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert "gpus" not in provenance()["hardware"] and "tensorflow" not in sys.modules
    details = {"a": {"device_name": "Card"}, "b": {}}
    experimental = SimpleNamespace(get_device_details=details.get)
    config = SimpleNamespace(list_physical_devices=lambda kind: list(details), experimental=experimental)
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    assert provenance()["hardware"]["gpus"] == ["Card", "unknown"]


def made_by(commit, **versions):
    return {"versions": {"python": "3.12", **versions}, "commit": commit, "hardware": {}, "started": "now"}


def test_a_run_that_goes_on_with_other_versions_notes_them_and_says_so(tmp_path, monkeypatch, capsys):
    def opened(facts, **options):
        monkeypatch.setattr(directory, "provenance", lambda: facts)
        RunDirectory(tmp_path, laptop(), **options).close()
        held = read_json(tmp_path / "config.json")
        return held.get("continued"), capsys.readouterr().out

    first, second, third = made_by("a", keras="3.8"), made_by("b", keras="3.8"), made_by("b", keras="3.9")
    assert opened(first) == opened({**first, "started": "later"}) == (None, "")
    noted, said = opened(second)
    assert noted == [second] and said == (
        "This run goes on with other versions, so that bits may differ: commit ('a' there, 'b' now)\n"
    )
    assert opened(second) == ([second], "")  # once
    noted, said = opened(third)
    assert noted == [second, third] and "keras ('3.8' there, '3.9' now)" in said and "commit" not in said
    assert opened(first, chief=False) == ([second, third], "")
    for stage in STAGES:  # nothing is left to make
        (tmp_path / stage).mkdir()
        write_json(tmp_path / stage / "done.json", {})
    assert opened(first) == ([second, third], "")
    assert read_json(tmp_path / "config.json")["commit"] == "a"


def test_commits_and_versions_are_named_in_their_order():
    run = made_by("a" * 40, keras="3.8", scipy=None)
    assert (commits(run), commits(run, 7)) == ("a" * 40, "a" * 7)
    assert versions(run) == {"python": "3.12", "keras": "3.8", "scipy": ""}
    run["continued"] = [made_by("b", keras="3.9", scipy="1.2"), made_by(None, keras="3.9", scipy="1.2"), made_by("b")]
    assert commits(run, 3) == "aaa then b then unknown then b"
    assert versions(run) == {"python": "3.12", "keras": "3.8 then 3.9 then none", "scipy": "none then 1.2 then none"}
    assert commits(made_by(None)) == commits({}) == "" and versions({}) == {}


def test_a_broken_config_file_is_one_sentence(tmp_path):
    (tmp_path / "config.json").write_text('{"config": ')
    with pytest.raises(InputError, match=r"config.json is not valid JSON .* restore it or start a new run"):
        RunDirectory(tmp_path, laptop())


# Stages


def test_a_stage_is_done_when_it_says_so(tmp_path):
    run = RunDirectory(tmp_path, laptop())
    assert not run.is_done("gan") and run.facts("gan") is None
    assert run.file("gan", "generator.keras") == tmp_path / "gan" / "generator.keras"
    run.mark_done("gan", seconds=1.5, peak_memory_mb=7)
    assert run.is_done("gan") and not run.is_done("tuning")
    facts = run.facts("gan")
    assert (facts["seconds"], facts["peak_memory_mb"]) == (1.5, 7) and facts["finished"]
    run.unmark("gan")
    run.unmark("gan")
    assert not run.is_done("gan")
    run.close()


# One process at a time


def test_the_same_process_cannot_open_it_twice(tmp_path):
    run = RunDirectory(tmp_path, laptop())
    with pytest.raises(InputError, match="Another process is working in"):
        RunDirectory(tmp_path, laptop())
    run.close()
    RunDirectory(tmp_path, laptop()).close()


HOLD = """
import sys
from pir_tf.presets import laptop
from pir_tf.runs.directory import RunDirectory
run = RunDirectory(sys.argv[1], laptop())
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_keeps_it_until_it_ends_however_it_ends(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="wait for it, or name another --run-dir"):
            RunDirectory(tmp_path, laptop())
        holder.kill()
        holder.wait(timeout=30)
        RunDirectory(tmp_path, laptop()).close()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(
            InputError, match=rf"can't be locked \({os.strerror(number)}\), expected a file system with locks"
        ):
            RunDirectory(tmp_path, laptop())
    RunDirectory(tmp_path, laptop()).close()


# What the machine refuses


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "run").write_text("a file")
    for path in (tmp_path / "run", tmp_path / "run" / "below"):
        with pytest.raises(InputError, match="is no directory: choose another place with --run-dir"):
            RunDirectory(path, laptop())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_permission(tmp_path, monkeypatch, number):
    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=r"run can't be used \(no permission\): mend its permissions"):
        RunDirectory(tmp_path / "run", laptop())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(tmp_path, number):
    with pytest.raises(InputError, match="disk is full while writing to .*gan; what was finished is whole"):
        with explain_os_errors(tmp_path / "gan"):
            raise OSError(number, os.strerror(number))


def test_a_full_disk_while_the_config_is_written(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match="disk is full"):
            RunDirectory(tmp_path, laptop())
    assert sorted(os.listdir(tmp_path)) == [".lock"]
    RunDirectory(tmp_path, laptop()).close()


def test_other_errors_keep_their_traceback(tmp_path):
    with pytest.raises(OSError, match="Input/output"), explain_os_errors(tmp_path):
        raise OSError(errno.EIO, "Input/output error")
    with pytest.raises(KeyError), explain_os_errors(tmp_path):
        raise KeyError("ours")


# Files


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_json_has_not(tmp_path, value):
    write_json(tmp_path / "x.json", {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "x.json", {"a": [value]})
    assert read_json(tmp_path / "x.json") == {"a": 1} and os.listdir(tmp_path) == ["x.json"]
    assert finite_or_none(value) is None and finite_or_none(2) == 2.0


def test_an_error_in_an_atomic_block_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "x.bin").write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), atomic(tmp_path / "x.bin") as beside:
        beside.write_bytes(b"half")
        assert (tmp_path / "x.bin").read_bytes() == b"old" and beside.suffix == ".bin"
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["x.bin"] and (tmp_path / "x.bin").read_bytes() == b"old"


def test_an_atomic_file_appears_whole_under_its_name(tmp_path):
    with atomic(tmp_path / "x.bin") as beside:
        beside.write_bytes(b"new")
        assert not (tmp_path / "x.bin").exists()
    assert os.listdir(tmp_path) == ["x.bin"] and (tmp_path / "x.bin").read_bytes() == b"new"


# Which commit
