"""The cache that runs share: the same bits again, and nothing damaged is believed."""

import errno
import os
import time

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.experiments.cache import Rows, cached, digest
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, explain_os_errors


class Maker:
    """Makes other arrays each time, and counts."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        rng = np.random.default_rng(self.calls)
        return {
            "a": rng.random((3, 4)),
            "b": rng.integers(0, 256, 5).astype(np.uint8),
            "empty": np.zeros((0, 2), np.float32),
        }


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run", smoke(), cache=tmp_path / "cache" / "below")
    yield directory
    directory.close()


def equal(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first
    )


def test_made_once_and_read_again_by_another_run(run, tmp_path):
    make = Maker()
    first = cached(run, "thing", {"x": 1, "y": [1.5, "z"]}, make)
    again = cached(run, "thing", {"y": [1.5, "z"], "x": 1}, make)  # the order of a key's parts says nothing
    assert make.calls == 1 and equal(first, again)
    other = RunDirectory(tmp_path / "other", smoke(), cache=run.cache)
    assert equal(cached(other, "thing", {"x": 1, "y": [1.5, "z"]}, make), first) and make.calls == 1
    other.close()
    assert [path.name[:6] for path in run.cache.iterdir()] == ["thing-"]  # whole, and nothing beside it


def test_other_keys_and_kinds_are_other_entries(run):
    make = Maker()
    for kind, key in (("a", {"x": 1}), ("a", {"x": 2}), ("b", {"x": 1}), ("a", {"x": "1"})):
        cached(run, kind, key, make)
    assert make.calls == 4 and len(list(run.cache.iterdir())) == 4


def test_without_a_cache_it_is_just_made(tmp_path):
    run, make = RunDirectory(tmp_path / "run", smoke()), Maker()
    first, second = (cached(run, "thing", {"x": 1}, make) for _ in range(2))
    run.close()
    assert make.calls == 2 and not equal(first, second)
    assert not list(tmp_path.rglob("thing-*"))


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "text", "folderless"])
def test_a_damaged_entry_is_made_again(run, harm):
    make = Maker()
    cached(run, "thing", {"x": 1}, make)
    (path,) = run.cache.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"\x93NUMPY") + 140] ^= 1  # one bit of the first array's values
    harmed = {"cut": whole[: len(whole) // 2], "flip": bytes(flipped), "empty": b"", "text": b"no archive"}
    if harm == "folderless":
        path.unlink()
        run.cache.rmdir()
    else:
        path.write_bytes(harmed[harm])
    again = cached(run, "thing", {"x": 1}, make)
    assert make.calls == 2
    assert equal(cached(run, "thing", {"x": 1}, make), again) and make.calls == 2


def test_a_failed_maker_leaves_nothing(run):
    def fails():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cached(run, "thing", {"x": 1}, fails)
    assert list(run.cache.iterdir()) == []


@pytest.mark.parametrize("trouble", ["a file", "below a file", "no permission", "full"])
def test_what_the_cache_refuses_is_said_with_its_own_path_and_variable(run, tmp_path, monkeypatch, trouble):
    make = Maker()
    if trouble == "full":

        def full(*args, **kwargs):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(np, "savez", full)
    elif trouble == "no permission":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    else:
        (tmp_path / "cache").write_text("a file")
        if trouble == "a file":
            run.cache = tmp_path / "cache"
    with pytest.raises(InputError) as refused, explain_os_errors(run.path / "interactions"):
        cached(run, "thing", {"x": 1}, make)
    said = str(refused.value)
    assert f"PIR_TF_CACHE names {run.cache}, which can't be written" in said and "interactions" not in said
    assert make.calls == (trouble == "full")  # else nothing is computed in vain


def test_what_making_meets_is_not_said_of_the_cache(run):
    def fails():
        raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        cached(run, "thing", {"x": 1}, fails)


def test_leftovers_of_a_day_ago_are_removed_and_nothing_else(run):
    name = "f0" * 32
    old = [f".images-{name}.{'ab' * 16}.partial.npz", f".kid-features-{name}.42.partial.npz"]
    kept = [f"images-{name}.npz", ".thing.partial.npz", ".notes", f".images-{name}.{'cd' * 16}.partial.npz"]
    run.cache.mkdir(parents=True)
    for each in (*old, *kept):
        (run.cache / each).write_bytes(b"half")
        since = time.time() - (3600 if each == kept[-1] else 30 * 3600)
        os.utime(run.cache / each, (since, since))
    cached(run, "thing", {"x": 1}, Maker())
    left = {path.name for path in run.cache.iterdir()}
    assert left - {each for each in left if each.startswith("thing-")} == set(kept) and len(left) == 5


def test_digest_tells_values_types_and_shapes_apart():
    a = np.arange(6, dtype=np.int32)
    names = {digest(a), digest(a + 1), digest(a.astype(np.int64)), digest(a.reshape(2, 3)), digest(a, a), digest()}
    assert len(names) == 6
    assert digest(a[::2]) == digest(np.array([0, 2, 4], np.int32))  # what matters is not how it lies in memory


def test_rows_are_made_once_for_each_image():
    images = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3)).astype(np.uint8)
    asked, rows = [], Rows()

    def make(new):
        asked.append(len(new))
        return new.sum(axis=(1, 2), dtype=np.float32)

    def check(some):
        np.testing.assert_array_equal(rows.of(some, make), some.sum(axis=(1, 2)))

    for some in (images[:4], images[[3, 1]], images[::-1], images):
        check(some)
    assert asked == [4, 2]
    check(images[[0, 0]])
    check(np.zeros((2, 4, 4, 3), np.uint8))  # one picture twice
    assert asked == [4, 2, 2]
    assert rows.of(images[:0], make).shape == (0, 3)
