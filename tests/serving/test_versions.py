"""Numbered versions: a number appears only whole, each once, and what a killed export left is removed."""

import fcntl
import multiprocessing
import os

import pytest

from pir_tf.errors import InputError
from pir_tf.serving.versions import UNFINISHED, publish, renamed, unfinished_version


def add(model, text="whole"):
    with unfinished_version(model) as folder:
        (folder / "file").write_text(text)
        return publish(folder)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_versions_are_numbered_from_one_and_after_the_greatest(tmp_path):
    assert add(tmp_path / "m").name == "1"
    (tmp_path / "m" / "007").mkdir()
    (tmp_path / "m" / "notes").mkdir()
    assert add(tmp_path / "m").name == "8"
    assert names(tmp_path / "m") == ["007", "1", "8", "notes"]


def test_an_error_leaves_no_number_and_no_rest(tmp_path):
    with pytest.raises(RuntimeError, match="broken"), unfinished_version(tmp_path / "m") as folder:
        assert not folder.name.isdecimal() and folder.parent == tmp_path / "m"
        raise RuntimeError("broken")
    assert names(tmp_path / "m") == []


def test_only_our_own_folders_that_nobody_writes_any_more_are_removed(tmp_path):
    left, written, theirs = (tmp_path / f"{UNFINISHED}{name}" for name in ("0123456789ab", "ba9876543210", "thesis"))
    for folder in (left, written, theirs):
        folder.mkdir()
        (folder / "file").write_text("half")
    lock = os.open(written, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    add(tmp_path)
    os.close(lock)
    assert names(tmp_path) == sorted([written.name, theirs.name, "1"]) and (theirs / "file").exists()


def test_a_number_that_another_export_took_in_between_is_not_replaced(tmp_path):
    for name in ("ours", "3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    assert not renamed(tmp_path / "ours", tmp_path / "3")
    assert [(tmp_path / name / "file").read_text() for name in ("ours", "3")] == ["ours", "3"]
    assert renamed(tmp_path / "ours", tmp_path / "4")
    with pytest.raises(OSError, match="No such file"):
        renamed(tmp_path / "ours", tmp_path / "5")


def test_a_folder_that_is_cleared_before_it_is_opened_is_made_again(tmp_path, monkeypatch):
    real, cleared = os.open, []

    def opening(path, *rest, **more):
        if not cleared:
            cleared.append(path)
            os.rmdir(path)
        return real(path, *rest, **more)

    monkeypatch.setattr(os, "open", opening)
    with unfinished_version(tmp_path / "m") as folder:
        assert folder.is_dir() and folder != cleared[0]


def _add_many(model, start):
    start.wait()
    for index in range(20):
        add(model, f"{os.getpid()} {index}")


def test_many_at_once_each_get_their_own_number(tmp_path):
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    processes = [context.Process(target=_add_many, args=(tmp_path / "m", start)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert names(tmp_path / "m") == sorted(str(number) for number in range(1, 81))
    assert len({path.read_text() for path in (tmp_path / "m").glob("*/file")}) == 80


def test_a_folder_that_is_no_models_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    for name, said in (("3", "whose name is a number, expected a name"), ("file", "is a file, expected the model's")):
        with pytest.raises(InputError, match=said), unfinished_version(tmp_path / name):
            pass
