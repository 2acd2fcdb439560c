"""The run directory: identity, what is ours in it, locks, atomic files, and what the machine refuses."""

import dataclasses
import errno
import fcntl
import json
import math
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from commands import ENVIRONMENT

from pir_tf.config import EvaluationConfig
from pir_tf.errors import InputError, explain_os_errors
from pir_tf.presets import laptop, paper
from pir_tf.runs import directory
from pir_tf.runs.directory import (
    STAGES,
    RunDirectory,
    atomic,
    atomic_folder,
    held_forms,
    identity,
    read_json,
    write_json,
)
from pir_tf.runs.provenance import commits, provenance, versions

HEX = "0f" * 16


def replaced(config, section, **fields):
    return dataclasses.replace(config, **{section: dataclasses.replace(getattr(config, section), **fields)})


def put(run, *names):
    """Files of a run, such as its stages leave."""
    for name in names:
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text("{}")


def files_in(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# What is ours


FOREIGN = {
    "notes and hidden ones": ("thesis.txt", "sub/.backup.2024.tmp/thesis.txt", "other/.notes.20260101.tmp"),
    "a model's config": ("config.json", f"gan/.generator.{HEX}.partial.keras"),
    "a folder called as a stage": ("gan/generator.keras",),
    "a lock and a home's files": (".lock", ".bashrc"),
    "a log beside": ("log.txt", "results.csv"),
}
REFUSED = r"holds what is no run's \(.*\), expected a new or empty directory, or a run's"


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("chief", [True, False])
def test_a_directory_of_other_things_is_refused_and_left_as_it_is(tmp_path, names, chief):
    put(tmp_path, *names)
    before = files_in(tmp_path)
    with pytest.raises(InputError, match=REFUSED):
        RunDirectory(tmp_path, laptop(), chief=chief)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "about", [{"config": ["a"]}, {"config": "x"}, {"config": {}, "files": {}, "jit_compile": True}, [1]]
)
def test_another_program_s_config_is_no_run_s(tmp_path, about):
    (tmp_path / "config.json").write_text(json.dumps(about))
    for begin in (held_forms, lambda path: RunDirectory(path, laptop())):
        with pytest.raises(InputError, match=REFUSED):
            begin(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == about and held_forms(tmp_path / "none") == {}


HARDLY_BEGUN = {
    "empty": (),
    "killed at once": (".lock",),
    "killed in its first write": (f".config.{HEX}.partial.json",),
    "begun by a sweep": ("log.txt", "failed.json", "data.json", "gan/done.json"),
}


@pytest.mark.parametrize("names", HARDLY_BEGUN.values(), ids=HARDLY_BEGUN)
def test_an_empty_directory_is_a_runs_and_so_is_one_that_hardly_began(tmp_path, names):
    put(tmp_path, *names)
    RunDirectory(tmp_path, laptop()).close()
    assert json.loads((tmp_path / "config.json").read_text())["config"] == identity(laptop())
    assert not list(tmp_path.glob("*.partial.json"))


def test_what_kills_left_of_files_is_cleared_away_and_nothing_else(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    endings = ("results.{}.partial.json", "generator.{}.partial.keras", "b.png.{}.tmp", "e.{}.partial/w")
    left = [f".{name}".format(HEX) for name in endings]
    kept = ["answers.tmp", ".~lock.answers.csv#", ".answers.csv.swp", ".x.tmp", ".a.20260101.tmp", f".b.{HEX}.tmp.gz"]
    put(tmp_path, *(f"{stage}/{name}" for stage in ("gan/checkpoints", "tuning") for name in [*left, *kept]))
    put(tmp_path, f".config.{HEX}.partial.json", f"mine/.notes.{HEX}.tmp")
    RunDirectory(tmp_path, laptop()).close()
    for folder in ("gan/checkpoints", "tuning"):
        assert sorted(os.listdir(tmp_path / folder)) == sorted(kept)
    assert not list(tmp_path.glob(".config*")) and os.listdir(tmp_path / "mine") == [f".notes.{HEX}.tmp"]


# Identity


def test_the_same_config_opens_the_directory_again_and_what_is_no_part_of_it_may_change(tmp_path):
    run, cache = tmp_path / "run", tmp_path / "cache"
    RunDirectory(run, laptop()).close()
    put(run, *(f"{stage}/done.json" for stage in STAGES))
    before = (run / "config.json").read_bytes()
    RunDirectory(run, laptop(), cache=cache).close()
    judged = dataclasses.replace(laptop(), evaluation=EvaluationConfig(source="csv:answers.csv"))
    RunDirectory(run, replaced(judged, "tuning", tensorboard=False, checkpoint_minutes=1.0)).close()
    RunDirectory(run, replaced(judged, "gan", tensorboard=False)).close()
    assert (run / "config.json").read_bytes() == before and not cache.exists()


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    put(tmp_path, *(f"{stage}/done.json" for stage in STAGES))
    other = dataclasses.replace(replaced(laptop(), "tuning", fools_weight=5.0), seed=3)
    with pytest.raises(InputError) as refused:
        RunDirectory(tmp_path, other)
    said = str(refused.value)
    assert "seed (0 there, 3 now)" in said and "tuning.fools_weight (1.0 there, 5.0 now)" in said
    assert said.count(" there, ") == 2 and "--run-dir" in said
    # The refused attempt holds no lock, even while its error is looked at.
    RunDirectory(tmp_path, laptop()).close()


CHANGES = {
    "data": ("data", {"count": 5}),
    "gan": ("gan", {"steps": 100, "decay_steps": 0}),
    "compute": ("compute", {"kernels": "stock"}),
    "number of images": ("interactions", {"images": 5}),
    "users": ("interactions", {"impressions": 5}),
    "estimator": ("estimator", {"steps": 5}),
    "tuning": ("tuning", {"batch_size": 8}),
    "number compared": ("evaluation", {"images": 5}),
    "evaluation": ("evaluation", {"alpha": 0.5}),
}
"""In the order in which stages use them."""


@pytest.mark.parametrize(
    ("used", "refused"),
    [
        ("", 0),
        ("data.json gan/history.csv tuning/history.csv evaluation/samples.npz", 0),
        ("gan/checkpoints/step-000000002.npz", 3),
        ("gan/best.npz", 3),
        ("gan/done.json", 3),
        ("interactions/images.npz", 4),
        ("interactions/done.json", 5),
        ("estimator/checkpoints/step-000000002.npz", 6),
        ("tuning/done.json", 7),
        ("tuning/done.json evaluation/checkpoints/step-000000002.npz", 7),
        ("tuning/done.json evaluation/images.npz", 8),
        ("evaluation/done.json", 9),
    ],
)
def test_a_field_may_change_until_a_stage_has_used_it(tmp_path, capsys, used, refused):
    for place, (name, (section, fields)) in enumerate(CHANGES.items()):
        run = tmp_path / name
        RunDirectory(run, laptop(), files={"tuning.x": "a"}, command="first").close()
        put(run, *used.split())
        before, other = files_in(run), replaced(laptop(), section, **fields)
        if place < refused:
            with pytest.raises(InputError, match=f"differs in {section}.* there, .*which its stages have used"):
                RunDirectory(run, other, files={"tuning.x": "a"})
            assert files_in(run) == before
            continue
        capsys.readouterr()
        RunDirectory(run, other, files={"tuning.x": "a"}, chief=False).close()
        assert files_in(run) == before  # the chief writes it
        RunDirectory(run, other, files={"tuning.x": "a"}, command="second").close()
        about = read_json(run / "config.json")
        assert (about["config"], about["command"], about["files"]) == (identity(other), "second", {"tuning.x": "a"})
        assert f"so this run goes on with {section}." in capsys.readouterr().out


def people_again(path):
    """A second round with people and a linear estimator."""
    first = path / "first"
    put(first, "evaluation/results.json")
    write_json(first / "evaluation" / "results.json", {"round": 1})
    config = replaced(laptop(), "interactions", source="people:study.db")
    return dataclasses.replace(replaced(config, "evaluation", judge=False), first_round=str(first))


@pytest.mark.parametrize(
    ("used", "section", "fields"),
    [
        # The estimator leaves a third of the answers to the judge.
        ("estimator/done.json", "evaluation", {"judge": True}),
        # People judge the images that are there, whatever they are called now.
        ("tuning/done.json evaluation/images.npz", "evaluation", {"against": "start"}),
        ("gan/done.json interactions/images.npz", "interactions", {"explore": 0.5}),
    ],
)
def test_a_field_that_an_earlier_stage_or_waiting_images_have_used_is_held(tmp_path, used, section, fields):
    config = people_again(tmp_path)
    RunDirectory(tmp_path / "run", config).close()
    RunDirectory(tmp_path / "run", replaced(config, section, **fields)).close()
    RunDirectory(tmp_path / "run", config).close()
    put(tmp_path / "run", *used.split())
    with pytest.raises(InputError, match=f"differs in {section}.* there, .*which its stages have used"):
        RunDirectory(tmp_path / "run", replaced(config, section, **fields))


ALL_OFF = {"gan": "off", "estimator": "off", "tuning": "off"}


@pytest.mark.parametrize("asked, held", [(False, "off"), (True, "on"), (None, "off")])
def test_a_run_of_the_time_when_xla_was_a_switch_is_recognised(tmp_path, asked, held):
    """Its field is no part of the identity any more; what it meant is. Before that there was none."""
    RunDirectory(tmp_path, laptop()).close()
    put(tmp_path, *(f"{stage}/done.json" for stage in STAGES))
    about = read_json(tmp_path / "config.json")
    assert about.pop("jit_compile") == ALL_OFF and about["config"].pop("compute.jit_compile") == "auto"
    if asked is not None:
        about["config"]["compute.jit_compile"] = asked
    (tmp_path / "config.json").write_text(json.dumps(about))
    assert held_forms(tmp_path) == dict.fromkeys(ALL_OFF, held)
    before = files_in(tmp_path)
    for word in ("auto", held):
        RunDirectory(tmp_path, replaced(laptop(), "compute", jit_compile=word), forms=held_forms(tmp_path)).close()
    assert files_in(tmp_path) == before
    other = dict.fromkeys(ALL_OFF, "off" if held == "on" else "on")
    with pytest.raises(
        InputError, match=rf"differs in gan.jit_compile \('{held}' there, '{other['gan']}' now\), estimator"
    ):
        RunDirectory(tmp_path, laptop(), forms=other)


def test_what_was_compiled_stands_in_the_run_and_may_change_until_a_stage_has_used_it(tmp_path, capsys):
    assert held_forms(tmp_path) == {}
    tuned = {**ALL_OFF, "tuning": "on"}
    RunDirectory(tmp_path, laptop(), forms=ALL_OFF).close()
    put(tmp_path, "gan/done.json")
    RunDirectory(tmp_path, laptop(), forms=tuned).close()
    assert "goes on with tuning.jit_compile ('off' there, 'on' now)" in capsys.readouterr().out
    assert held_forms(tmp_path) == tuned == read_json(tmp_path / "config.json")["jit_compile"]
    run = RunDirectory(tmp_path, laptop())  # without a word, what it began with
    assert run.forms == tuned
    run.close()
    put(tmp_path, "tuning/checkpoints/step-000000002.npz")
    with pytest.raises(InputError, match=r"tuning.jit_compile \('on' there, 'off' now\), which its stages have used"):
        RunDirectory(tmp_path, laptop(), forms=ALL_OFF)


def test_what_was_noted_of_real_images_is_forgotten_until_a_stage_has_used_them(tmp_path):
    for used in (False, True):
        RunDirectory(tmp_path, laptop()).close()
        put(tmp_path, "data.json", *(["gan/checkpoints/step-000000002.npz"] if used else []))
        RunDirectory(tmp_path, laptop()).close()
        assert (tmp_path / "data.json").exists() == used


def test_another_file_is_refused_and_the_same_elsewhere_is_not(tmp_path):
    def open_with(path, digest):
        config = replaced(paper(), "estimator", weights=f"file:{path}")
        RunDirectory(tmp_path, config, files={"estimator.weights": digest}).close()

    open_with("/a/w.npz", "9f")
    put(tmp_path, "estimator/done.json")
    open_with("/b/c/w.npz", "9f")
    with pytest.raises(InputError, match=r"estimator.weights \('9f' there, '77' now\)"):
        open_with("/a/w.npz", "77")


@pytest.mark.parametrize(
    "field, given, held",
    [
        ("data.source", "folder:/home/someone/photos/", "folder:photos"),
        ("data.source", "tfds:places365_small", "tfds:places365_small"),
        ("gan.generator", "import:~/models/mine.keras", "import:mine.keras"),
        ("interactions.source", "csv:/tmp/a/answers.csv", "csv:answers.csv"),
        ("interactions.source", "simulated", "simulated"),
        ("evaluation.source", "csv:../answers.csv", "csv:answers.csv"),
        ("estimator.weights", "file:/data/w.npz", "file:w.npz"),
        ("estimator.weights", "hub:/data/models/inception", "hub:inception"),
        ("estimator.weights", "hub:https://tfhub.dev/google/i/5", "hub:https://tfhub.dev/google/i/5"),
        ("estimator.weights", "imagenet", "imagenet"),
        ("interactions.vgg_weights", "file:/data/vgg16.h5", "file:vgg16.h5"),
        ("evaluation.kid_weights", "file:../vgg16.h5", "file:vgg16.h5"),
    ],
)
def test_paths_are_held_as_base_names(field, given, held):
    section, _, name = field.partition(".")
    assert identity(replaced(paper(), section, **{name: given}))[field] == held


def test_folders_are_held_by_their_own_names(tmp_path, monkeypatch):
    for given in ("/home/someone/runs/first", "runs/first/", "first"):
        assert identity(dataclasses.replace(paper(), first_round=given))["first_round"] == "first"
    assert identity(paper())["first_round"] == ""
    monkeypatch.chdir(tmp_path)
    assert identity(replaced(paper(), "data", source="folder:."))["data.source"] == f"folder:{tmp_path.name}"


def test_the_config_file_names_what_made_the_run_and_no_path(tmp_path):
    RunDirectory(tmp_path, replaced(paper(), "interactions", source=f"csv:{tmp_path}/answers.csv")).close()
    held = read_json(tmp_path / "config.json")
    assert str(tmp_path) not in (tmp_path / "config.json").read_text()
    assert held["config"]["gan.steps"] == 1_100_000 and held["config"]["estimator.input_range"] == [-1.0, 1.0]
    assert {"config", "files", "versions", "commit", "hardware", "started"} <= set(held)
    assert {"python", "keras", "tensorflow", "numpy"} <= set(held["versions"])


def test_gpus_are_recorded_by_name_where_tensorflow_is_loaded(monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    assert "gpus" not in provenance()["hardware"] and "tensorflow" not in sys.modules
    tensorflow = mock.Mock()
    tensorflow.config.list_physical_devices.return_value = ["a", "b"]
    tensorflow.config.experimental.get_device_details = {"a": {"device_name": "Card"}, "b": {}}.get
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    assert provenance()["hardware"]["gpus"] == ["Card", "unknown"]


def made_by(commit, **versions):
    return {"versions": {"python": "3.12", **versions}, "commit": commit, "hardware": {}, "started": "now"}


def test_a_run_that_goes_on_with_other_versions_notes_them_and_says_so(tmp_path, monkeypatch, capsys):
    def opened(facts, **options):
        monkeypatch.setattr(directory, "provenance", lambda: facts)
        RunDirectory(tmp_path, laptop(), **options).close()
        return read_json(tmp_path / "config.json").get("continued"), capsys.readouterr().out

    first, second, third = made_by("a", keras="3.8"), made_by("b", keras="3.8"), made_by("b", keras="3.9")
    assert opened(first) == opened({**first, "started": "later"}) == (None, "")
    said = "This run goes on with other versions, so that bits may differ: commit ('a' there, 'b' now)\n"
    assert opened(second) == ([second], said)
    assert opened(second) == ([second], "")  # once
    noted, said = opened(third)
    assert noted == [second, third] and "keras ('3.8' there, '3.9' now)" in said and "commit" not in said
    assert opened(first, chief=False) == ([second, third], "")
    put(tmp_path, *(f"{stage}/done.json" for stage in STAGES))  # nothing is left to make
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


# One process at a time


def test_a_process_keeps_it_until_it_ends_however_it_ends(tmp_path):
    run = RunDirectory(tmp_path, laptop())
    with pytest.raises(InputError, match="Another process is working in"):
        RunDirectory(tmp_path, laptop())
    run.close()
    hold = (
        "import sys; from pir_tf.presets import laptop; from pir_tf.runs.directory import RunDirectory\n"
        "run = RunDirectory(sys.argv[1], laptop()); print('held', flush=True); sys.stdin.read()"
    )
    line, pipes = [sys.executable, "-c", hold, tmp_path], dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen(line, env=ENVIRONMENT, **pipes) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="wait for it, or name another --run-dir"):
            RunDirectory(tmp_path, laptop())
        holder.kill()
        holder.wait(timeout=120)
        RunDirectory(tmp_path, laptop()).close()


# What the machine refuses


LOCKS = r"locked \({}\), expected a file system with locks"
PLACE = r"can't be used \({}\): mend that, or choose another --run-dir"
FULL = "disk is full while writing to .*; what was finished is whole"


@pytest.mark.parametrize(
    ("module", "call", "number", "said"),
    [
        *((fcntl, "flock", number, LOCKS) for number in (errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK)),
        *((Path, "mkdir", number, PLACE) for number in (errno.EACCES, errno.EPERM, errno.EROFS)),
        *((Path, "write_text", number, FULL) for number in (errno.ENOSPC, errno.EDQUOT)),
    ],
)
def test_what_the_machine_refuses_is_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, module, call, number, said):
    with monkeypatch.context() as patch:
        patch.setattr(module, call, mock.Mock(side_effect=OSError(number, os.strerror(number))))
        with pytest.raises(InputError, match=said.format(os.strerror(number))):
            RunDirectory(tmp_path, laptop())
    assert set(os.listdir(tmp_path)) <= {".lock"}
    RunDirectory(tmp_path, laptop()).close()


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300, "/proc/x"])
def test_a_place_that_can_be_no_directory(tmp_path, place):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match=PLACE.format(".*")):
        RunDirectory(tmp_path / place, laptop())


@pytest.mark.parametrize("error", [OSError(errno.EIO, "Input/output error"), KeyError("ours")])
def test_other_errors_keep_their_traceback(tmp_path, error):
    with pytest.raises(type(error)), explain_os_errors(tmp_path):
        raise error


# Files


@pytest.mark.parametrize("content", [b'{"config": ', "{}".encode("utf-16")])
def test_a_broken_config_file_is_one_sentence(tmp_path, content):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(InputError, match=r"config.json is not valid JSON .* restore it or start a new run"):
        RunDirectory(tmp_path, laptop())


def test_json_refuses_what_json_has_not(tmp_path):
    write_json(tmp_path / "x.json", {"a": 1})
    for value in (math.nan, math.inf, -math.inf):
        with pytest.raises(ValueError, match="JSON"):
            write_json(tmp_path / "x.json", {"a": [value]})
    assert read_json(tmp_path / "x.json") == {"a": 1} and os.listdir(tmp_path) == ["x.json"]


def test_a_file_appears_whole_under_its_name_or_not_at_all(tmp_path):
    path = tmp_path / "x.bin"
    with atomic(path) as beside:
        beside.write_bytes(b"old")
        assert not path.exists() and beside.suffix == ".bin"
    with pytest.raises(KeyboardInterrupt), atomic(path) as beside:
        beside.write_bytes(b"half")
        raise KeyboardInterrupt
    assert os.listdir(tmp_path) == ["x.bin"] and path.read_bytes() == b"old"
    (tmp_path / "model").mkdir()
    with pytest.raises(KeyboardInterrupt), atomic_folder(tmp_path / "model") as beside:
        (beside / "half").mkdir(parents=True)
        raise KeyboardInterrupt
    assert sorted(os.listdir(tmp_path)) == ["model", "x.bin"] and os.listdir(tmp_path / "model") == []


def test_what_is_written_is_on_the_disk_before_its_name_and_its_name_before_anything_else(tmp_path, monkeypatch):
    calls, fsync, replace = [], os.fsync, os.replace

    def synchronise(handle):
        calls.append(os.readlink(f"/proc/self/fd/{handle}"))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", synchronise)
    monkeypatch.setattr(os, "replace", lambda *paths: calls.append("rename") or replace(*paths))
    write_json(tmp_path / "a.json", {})
    assert calls.pop(0).endswith(".partial.json") and calls == ["rename", str(tmp_path)]

    calls.clear()
    put(tmp_path, "model/old")
    with atomic_folder(tmp_path / "model") as beside:
        put(beside, "model.pb", "variables/data")
        assert not calls and (tmp_path / "model" / "old").exists()
    place = calls.index("rename")
    names = [os.path.relpath(path, beside) for path in calls[:place]]
    assert sorted(names) == [".", "model.pb", "variables", "variables/data"] and names[-1] == "."
    assert calls[place + 1 :] == [str(tmp_path)] and sorted(os.listdir(tmp_path)) == ["a.json", "model"]
    assert sorted(os.listdir(tmp_path / "model")) == ["model.pb", "variables"]
