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
from types import SimpleNamespace

import pytest

import pir_tf
from pir_tf.config import EstimatorConfig, EvaluationConfig, InteractionsConfig
from pir_tf.errors import InputError, explain_os_errors
from pir_tf.presets import laptop, paper
from pir_tf.runs import directory
from pir_tf.runs.directory import STAGES, RunDirectory, atomic, atomic_folder, identity, read_json, write_json
from pir_tf.runs.provenance import commits, provenance, versions

REPOSITORY = Path(pir_tf.__file__).parents[1]
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


@pytest.mark.parametrize("names", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("chief", [True, False])
def test_a_directory_of_other_things_is_refused_and_left_as_it_is(tmp_path, names, chief):
    put(tmp_path, *names)
    before = files_in(tmp_path)
    with pytest.raises(
        InputError, match=r"holds what is no run's \(.*\), expected a new or empty directory, or a run's"
    ):
        RunDirectory(tmp_path, laptop(), chief=chief)
    assert files_in(tmp_path) == before


@pytest.mark.parametrize(
    "names",
    [(), (".lock",), (f".config.{HEX}.partial.json",), ("log.txt", "failed.json", "data.json", "gan/done.json")],
    ids=["empty", "killed at once", "killed in its first write", "begun by a sweep"],
)
def test_an_empty_directory_is_a_runs_and_so_is_one_that_hardly_began(tmp_path, names):
    put(tmp_path, *names)
    RunDirectory(tmp_path, laptop()).close()
    assert json.loads((tmp_path / "config.json").read_text())["config"] == identity(laptop())
    assert not list(tmp_path.glob("*.partial.json"))


def test_what_kills_left_of_files_is_cleared_away_and_nothing_else(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    left = [
        f".results.{HEX}.partial.json",
        f".generator.{HEX}.partial.keras",
        f".b.png.{HEX}.tmp",
        f".e.{HEX}.partial/w",
    ]
    kept = ["answers.tmp", ".~lock.answers.csv#", ".answers.csv.swp", ".x.tmp", ".a.20260101.tmp", f".b.{HEX}.tmp.gz"]
    put(tmp_path, *(f"{stage}/{name}" for stage in ("gan/checkpoints", "tuning") for name in [*left, *kept]))
    put(tmp_path, f".config.{HEX}.partial.json", f"mine/.notes.{HEX}.tmp")
    RunDirectory(tmp_path, laptop()).close()
    for folder in ("gan/checkpoints", "tuning"):
        assert sorted(os.listdir(tmp_path / folder)) == sorted(kept)
    assert not list(tmp_path.glob(".config*")) and os.listdir(tmp_path / "mine") == [f".notes.{HEX}.tmp"]


# Identity


def test_the_same_config_opens_the_directory_again(tmp_path):
    RunDirectory(tmp_path / "run", laptop()).close()
    before = (tmp_path / "run" / "config.json").read_bytes()
    RunDirectory(tmp_path / "run", laptop(), cache=tmp_path / "cache").close()
    assert (tmp_path / "run" / "config.json").read_bytes() == before and not (tmp_path / "cache").exists()


def test_another_config_is_refused_with_the_fields_that_differ(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    put(tmp_path, *(f"{stage}/done.json" for stage in STAGES))
    other = dataclasses.replace(replaced(laptop(), "tuning", pir_weight=5.0), seed=3)
    with pytest.raises(InputError) as refused:
        RunDirectory(tmp_path, other)
    said = str(refused.value)
    assert "seed (0 there, 3 now)" in said and "tuning.pir_weight (1000.0 there, 5.0 now)" in said
    assert said.count(" there, ") == 2 and "--run-dir" in said
    # The refused attempt holds no lock, even while its error is looked at.
    RunDirectory(tmp_path, laptop()).close()


CHANGES = {
    "data": ("data", {"count": 5}),
    "gan": ("gan", {"steps": 100, "decay_steps": 0}),
    "number of images": ("interactions", {"images": 5}),
    "users": ("interactions", {"impressions": 5}),
    "estimator": ("estimator", {"steps": 5}),
    "tuning": ("tuning", {"batch_size": 8}),
    "number compared": ("evaluation", {"images": 5}),
    "evaluation": ("evaluation", {"alpha": 0.5}),
    "compute": ("compute", {"kernels": "stock"}),
}


@pytest.mark.parametrize(
    ("used", "refused"),
    [
        ((), set()),
        (("data.json", "gan/history.csv", "tuning/history.csv", "evaluation/samples.npz"), set()),
        (("gan/checkpoints/step-000000002.npz",), {"data", "gan", "compute"}),
        (("gan/best.npz",), {"data", "gan", "compute"}),
        (("gan/done.json",), {"data", "gan", "compute"}),
        (("interactions/images.npz",), {"data", "gan", "compute", "number of images"}),
        (("interactions/done.json",), {"data", "gan", "compute", "number of images", "users"}),
        (
            ("estimator/checkpoints/step-000000002.npz",),
            {"data", "gan", "compute", "number of images", "users", "estimator"},
        ),
        (("tuning/done.json",), CHANGES.keys() - {"evaluation", "number compared"}),
        (
            ("tuning/done.json", "evaluation/checkpoints/step-000000002.npz"),
            CHANGES.keys() - {"evaluation", "number compared"},
        ),
        (("tuning/done.json", "evaluation/images.npz"), CHANGES.keys() - {"evaluation"}),
        (("evaluation/done.json",), CHANGES.keys()),
    ],
)
def test_a_field_may_change_until_a_stage_has_used_it(tmp_path, capsys, used, refused):
    for name, (section, fields) in CHANGES.items():
        run = tmp_path / name
        RunDirectory(run, laptop(), files={"tuning.x": "a"}, command="first").close()
        put(run, *used)
        before, other = files_in(run), replaced(laptop(), section, **fields)
        if name in refused:
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


def test_what_was_noted_of_real_images_is_forgotten_until_a_stage_has_used_them(tmp_path):
    for used in (False, True):
        RunDirectory(tmp_path, laptop()).close()
        put(tmp_path, "data.json", *(["gan/checkpoints/step-000000002.npz"] if used else []))
        RunDirectory(tmp_path, laptop()).close()
        assert (tmp_path / "data.json").exists() == used


def test_what_is_no_part_of_the_identity_may_always_change(tmp_path):
    RunDirectory(tmp_path, laptop()).close()
    put(tmp_path, *(f"{stage}/done.json" for stage in STAGES))
    judged = dataclasses.replace(laptop(), evaluation=EvaluationConfig(source="csv:answers.csv"))
    RunDirectory(tmp_path, replaced(judged, "tuning", tensorboard=False, checkpoint_minutes=1.0)).close()
    RunDirectory(tmp_path, replaced(judged, "gan", tensorboard=False)).close()


def test_another_file_is_refused_and_the_same_elsewhere_is_not(tmp_path):
    def config(path):
        return dataclasses.replace(paper(), estimator=EstimatorConfig(weights=f"file:{path}"))

    RunDirectory(tmp_path, config("/a/w.npz"), files={"estimator.weights": "9f"}).close()
    put(tmp_path, "estimator/done.json")
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
        ("gan", "generator", "import:~/models/mine.keras", "import:mine.keras"),
        ("interactions", "source", "csv:/tmp/a/answers.csv", "csv:answers.csv"),
        ("interactions", "source", "simulated", "simulated"),
        ("interactions", "objective", "vgg:pool1:k=1", "vgg:pool1:k=1"),
        ("evaluation", "source", "csv:../answers.csv", "csv:answers.csv"),
        ("estimator", "weights", "file:/data/w.npz", "file:w.npz"),
        ("estimator", "weights", "hub:/data/models/inception", "hub:inception"),
        ("estimator", "weights", "hub:https://tfhub.dev/google/i/5", "hub:https://tfhub.dev/google/i/5"),
        ("estimator", "weights", "imagenet", "imagenet"),
        ("interactions", "vgg_weights", "file:/data/vgg16.h5", "file:vgg16.h5"),
        ("evaluation", "kid_weights", "file:../vgg16.h5", "file:vgg16.h5"),
    ],
)
def test_paths_are_held_as_base_names(section, field, given, held):
    assert identity(replaced(paper(), section, **{field: given}))[f"{section}.{field}"] == held


def test_folders_are_held_by_their_own_names(tmp_path, monkeypatch):
    for given in ("/home/someone/runs/first", "runs/first/", "first"):
        assert identity(dataclasses.replace(paper(), first_round=given))["first_round"] == "first"
    assert identity(paper())["first_round"] == ""
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


def test_a_stage_is_done_when_it_says_so(tmp_path):
    run = RunDirectory(tmp_path, laptop())
    assert not run.is_done("gan") and run.facts("gan") is None
    assert run.file("gan", "generator.keras") == tmp_path / "gan" / "generator.keras"
    run.mark_done("gan", seconds=1.5, peak_memory_mb=7)
    assert run.is_done("gan") and not run.is_done("tuning")
    facts = run.facts("gan")
    assert (facts["seconds"], facts["peak_memory_mb"]) == (1.5, 7) and facts["finished"]
    run.close()


# One process at a time


HOLD = """
import sys
from pir_tf.presets import laptop
from pir_tf.runs.directory import RunDirectory
run = RunDirectory(sys.argv[1], laptop())
print("held", flush=True)
sys.stdin.read()
"""


def test_a_process_keeps_it_until_it_ends_however_it_ends(tmp_path):
    run = RunDirectory(tmp_path, laptop())
    with pytest.raises(InputError, match="Another process is working in"):
        RunDirectory(tmp_path, laptop())
    run.close()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(InputError, match="wait for it, or name another --run-dir"):
            RunDirectory(tmp_path, laptop())
        holder.kill()
        holder.wait(timeout=30)
        RunDirectory(tmp_path, laptop()).close()


# What the machine refuses


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch, number):
    def refuse(*args):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", refuse)
        with pytest.raises(InputError, match=rf"locked \({os.strerror(number)}\), expected a file system with locks"):
            RunDirectory(tmp_path, laptop())
    RunDirectory(tmp_path, laptop()).close()


@pytest.mark.parametrize("place", ["file", "file/below", "x" * 300, "/proc/x"])
def test_a_place_that_can_be_no_directory(tmp_path, place):
    (tmp_path / "file").write_text("a file")
    with pytest.raises(InputError, match=r"can't be used \(.*\): mend that, or choose another --run-dir"):
        RunDirectory(tmp_path / place, laptop())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_no_permission(tmp_path, monkeypatch, number):
    def refuse(self, *args, **kwargs):
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(InputError, match=rf"run can't be used \({os.strerror(number)}\): mend that"):
        RunDirectory(tmp_path / "run", laptop())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk(tmp_path, monkeypatch, number):
    def full(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        with pytest.raises(InputError, match="disk is full while writing to .*; what was finished is whole"):
            RunDirectory(tmp_path, laptop())
    assert sorted(os.listdir(tmp_path)) == [".lock"]
    RunDirectory(tmp_path, laptop()).close()


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


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_json_refuses_what_json_has_not(tmp_path, value):
    write_json(tmp_path / "x.json", {"a": 1})
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


@pytest.fixture
def calls(monkeypatch):
    """What is synchronised, by its path, and renamed, in order."""
    made = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda handle: made.append(os.readlink(f"/proc/self/fd/{handle}")) or fsync(handle)
    )
    monkeypatch.setattr(os, "replace", lambda *paths: made.append("rename") or replace(*paths))
    return made


def test_a_file_and_then_its_name_are_on_the_disk_before_anything_else(tmp_path, calls):
    write_json(tmp_path / "a.json", {})
    assert calls[0].endswith(".partial.json") and calls[1:] == ["rename", str(tmp_path)]


def test_a_folder_with_all_in_it_is_on_the_disk_before_its_name(tmp_path, calls):
    put(tmp_path, "model/old")
    with atomic_folder(tmp_path / "model") as beside:
        put(beside, "model.pb", "variables/data")
        assert not calls and (tmp_path / "model" / "old").exists()
    place = calls.index("rename")
    names = [os.path.relpath(path, beside) for path in calls[:place]]
    assert sorted(names) == [".", "model.pb", "variables", "variables/data"] and names[-1] == "."
    assert calls[place + 1 :] == [str(tmp_path)] and os.listdir(tmp_path) == ["model"]
    assert sorted(os.listdir(tmp_path / "model")) == ["model.pb", "variables"]
