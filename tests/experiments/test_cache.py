"""The cache that runs share: the same bits again, and nothing damaged is believed."""

import errno
import os
import time
from unittest import mock

import numpy as np
import pytest

from pir_tf.errors import InputError, explain_os_errors
from pir_tf.experiments.cache import Rows, cached, digest


@pytest.fixture
def make():
    """Makes other arrays each time, and counts."""
    rng = np.random.default_rng(0)
    empty = np.zeros((0, 2), np.float32)
    return mock.Mock(side_effect=lambda: {"a": rng.random((3, 4)), "b": rng.integers(0, 256, 5), "empty": empty})


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "below"


def equal(first, second):
    return first.keys() == second.keys() and all(
        np.array_equal(first[name], second[name]) and first[name].dtype == second[name].dtype for name in first
    )


def test_made_once_and_read_again_by_the_same_key_and_kind(cache, make):
    first = cached(cache, "thing", {"x": 1, "y": [1.5, "z"]}, make)
    again = cached(cache, "thing", {"y": [1.5, "z"], "x": 1}, make)  # the order of a key's parts says nothing
    assert make.call_count == 1 and equal(first, again)
    assert [path.name[:6] for path in cache.iterdir()] == ["thing-"]  # whole, and nothing beside it
    for kind, key in (("a", {"x": 1}), ("a", {"x": 2}), ("b", {"x": 1}), ("a", {"x": "1"})):
        cached(cache, kind, key, make)
    assert make.call_count == 5 and len(list(cache.iterdir())) == 5
    cached(None, "thing", {"x": 1}, make)  # without a cache it is just made
    assert make.call_count == 6 and len(list(cache.iterdir())) == 5


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "text"])
def test_a_damaged_entry_is_made_again(cache, make, harm):
    cached(cache, "thing", {"x": 1}, make)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[whole.index(b"\x93NUMPY") + 140] ^= 1  # one bit of the first array's values
    harmed = {"cut": whole[: len(whole) // 2], "flip": bytes(flipped), "empty": b"", "text": b"no archive"}
    path.write_bytes(harmed[harm])
    again = cached(cache, "thing", {"x": 1}, make)
    assert equal(cached(cache, "thing", {"x": 1}, make), again) and make.call_count == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "Input/output error")])
def test_a_failed_maker_leaves_nothing_and_is_not_taken_for_the_caches_trouble(cache, error):
    with pytest.raises(type(error)) as raised:
        cached(cache, "thing", {"x": 1}, mock.Mock(side_effect=error))
    assert raised.value is error and list(cache.iterdir()) == []


@pytest.mark.parametrize("trouble", ["a file", "below a file", "no permission", "full"])
def test_what_the_cache_refuses_is_said_with_its_own_path_and_variable(cache, make, tmp_path, monkeypatch, trouble):
    if trouble == "full":
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        monkeypatch.setattr(np, "savez", mock.Mock(side_effect=full))
    elif trouble == "no permission":
        monkeypatch.setattr(os, "access", lambda path, mode: False)
    else:
        cache.parent.write_text("a file")
        cache = cache.parent if trouble == "a file" else cache
    with pytest.raises(InputError) as refused, explain_os_errors(tmp_path / "run" / "interactions"):
        cached(cache, "thing", {"x": 1}, make)
    said = str(refused.value)
    assert f"PIR_TF_CACHE names {cache}, which can't be written" in said and "interactions" not in said
    assert make.call_count == (trouble == "full")  # else nothing is computed in vain


def test_leftovers_of_a_day_ago_are_removed_and_nothing_else(cache, make):
    name = "f0" * 32
    old = [f".images-{name}.{'ab' * 16}.partial.npz", f".kid-features-{name}.42.partial.npz"]
    kept = [f"images-{name}.npz", ".thing.partial.npz", ".notes", f".images-{name}.{'cd' * 16}.partial.npz"]
    cache.mkdir(parents=True)
    for each in (*old, *kept):
        (cache / each).write_bytes(b"half")
        since = time.time() - (3600 if each == kept[-1] else 30 * 3600)
        os.utime(cache / each, (since, since))
    cached(cache, "thing", {"x": 1}, make)
    left = {path.name for path in cache.iterdir()}
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

    one_picture_twice = np.zeros((2, 4, 4, 3), np.uint8)
    for some in (images[:4], images[[3, 1]], images[::-1], images, images[[0, 0]], one_picture_twice):
        np.testing.assert_array_equal(rows.of(some, make), some.sum(axis=(1, 2)))
    assert asked == [4, 2, 2]
    assert rows.of(images[:0], make).shape == (0, 3)
