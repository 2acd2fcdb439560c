"""Checkpoints hold all or nothing: names, shapes, damage, a full disk."""

import errno
import itertools
import os
import types
import warnings

import keras
import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.training import checkpoints


def state(value, *, filters=3, name="conv"):
    """Three variables of other types and shapes, all filled with `value`."""
    return {
        f"net/{name}/kernel": keras.Variable(np.full((2, filters), value, np.float32)),
        "net/bias": keras.Variable(np.full(filters, value, np.float32)),
        "step": keras.Variable(value, dtype="int64", trainable=False),
    }


def contents(variables):
    return {name: np.asarray(v).tolist() for name, v in variables.items()}


def steps_in(folder):
    return sorted(int(path.stem[-9:]) for path in folder.glob("step-?????????.npz"))


@pytest.fixture
def folder(tmp_path):
    """A folder with checkpoints of steps 10 and 20, whose variables are 10 and 20."""
    for step in (10, 20):
        checkpoints.save_step(tmp_path / "checkpoints", step, state(step))
    return tmp_path / "checkpoints"


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((4, 5)).astype(np.float32)
    saved = {"a/b": keras.Variable(values), "count": keras.Variable(2**40 + 1, dtype="int64")}
    checkpoints.save(tmp_path / "x.npz", saved)
    fresh = {"a/b": keras.Variable(np.zeros((4, 5), np.float32)), "count": keras.Variable(0, dtype="int64")}
    checkpoints.restore(tmp_path / "x.npz", fresh)
    np.testing.assert_array_equal(np.asarray(fresh["a/b"]), values)
    assert int(fresh["count"]) == 2**40 + 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_the_newest_is_restored_and_the_last_two_are_kept(folder):
    for name in ("step-1.npz", "step-000000099.txt", ".step-000000099.1.partial.npz", "best.npz"):
        (folder / name).write_bytes(b"")  # no checkpoints
    fresh = state(0)
    assert checkpoints.restore_latest(folder, fresh) == 20
    assert contents(fresh) == contents(state(20))
    checkpoints.save_step(folder, 30, state(30))
    assert steps_in(folder) == [20, 30]
    # What kills leave is cleared, and nothing else.
    assert not list(folder.glob(".*")) and (folder / "best.npz").exists()


def test_an_empty_or_missing_folder_starts_new(tmp_path):
    fresh = state(5)
    (tmp_path / "empty").mkdir()
    assert checkpoints.restore_latest(tmp_path / "empty", fresh) == 0
    assert checkpoints.restore_latest(tmp_path / "missing", fresh) == 0
    assert contents(fresh) == contents(state(5))


@pytest.mark.parametrize(
    "here, sentence",
    [
        (state(0, filters=4), r"net/conv/kernel is \(2, 3\) in it and \(2, 4\) here: use the config"),
        (state(0, name="dense"), r"net/dense/kernel is no such variable in it and \(2, 3\) here"),
        ({"step": state(0)["step"]}, r"net/conv/kernel is \(2, 3\) in it and no such variable here"),
    ],
)
def test_another_model_is_refused_and_left_alone(folder, here, sentence):
    before = contents(here)
    with pytest.raises(InputError, match=sentence):
        checkpoints.restore_latest(folder, here)
    assert contents(here) == before


def damage(path, kind):
    content = bytearray(path.read_bytes())
    if kind == "empty":
        content = b""
    elif kind == "cut":
        content = content[: len(content) // 2]
    elif kind == "no zip":
        content = b"nothing of the kind"
    elif kind == "flipped bit":  # in the values of the first array, behind the zip and array headers
        content[content.index(b"\x93NUMPY") + 130] ^= 1
    elif kind == "unknown compression":
        content[content.index(b"PK\x01\x02") + 10] = 77
    path.write_bytes(content)


@pytest.mark.parametrize("kind", ["empty", "cut", "no zip", "flipped bit", "unknown compression"])
def test_a_damaged_newest_falls_back_to_the_one_before(folder, kind):
    damage(folder / "step-000000020.npz", kind)
    fresh = state(0)
    with pytest.warns(UserWarning, match=r"step-000000020.npz is damaged .* going on from the checkpoint before"):
        assert checkpoints.restore_latest(folder, fresh) == 10
    assert contents(fresh) == contents(state(10))
    checkpoints.save_step(folder, 15, state(15))
    assert steps_in(folder) == [10, 15]  # the damaged one is none of the last two


def test_all_damaged_is_an_error_and_not_a_new_start(folder):
    for path in folder.iterdir():
        damage(path, "cut")
    fresh = state(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(InputError, match="No checkpoint in .* is whole: delete that folder to start"):
            checkpoints.restore_latest(folder, fresh)
    assert contents(fresh) == contents(state(0))


def test_a_file_that_may_not_be_read_is_not_called_damaged(folder, monkeypatch):
    def refuse(path, **options):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(PermissionError):
        checkpoints.restore_latest(folder, state(0))


def test_every_single_flipped_byte_is_noticed_or_harmless(tmp_path):
    """No damage to one byte may give other values in silence."""
    path = tmp_path / "step-000000001.npz"

    def large(n):  # NumPy reads a header, and 4 KiB behind it, before it meets the checksum
        return {"kernel": keras.Variable(np.full((40, 64), n, "float32") * np.arange(1, 65, dtype="float32"))}

    def damaged(make, places, masks):
        checkpoints.save(path, make(1))
        whole = path.read_bytes()
        for place, mask in itertools.product(places(len(whole)), masks):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            fresh = make(0)
            try:
                checkpoints.restore(path, fresh)
            except (InputError, *checkpoints.DAMAGE):
                assert contents(fresh) == contents(make(0))
            else:
                assert contents(fresh) == contents(make(1)), (place, mask)

    damaged(state, lambda size: range(0, size, 23), [0x55])
    damaged(large, lambda size: range(200), [1 << bit for bit in range(8)])


def test_a_full_disk_leaves_the_old_checkpoints_whole(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path, **arrays):
        with open(path, "wb") as handle:
            handle.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoints.save_step(folder, 30, state(30))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_resume_clears_what_a_kill_before_the_clearing_left(folder):
    checkpoints.save(folder / "step-000000030.npz", state(30))
    (folder / ".step-000000040.42.partial.npz").write_bytes(b"half")
    saved_steps(folder, every=10, epoch_steps=2, epochs=0, start=30)
    assert sorted(os.listdir(folder)) == ["step-000000020.npz", "step-000000030.npz"]


# What made them


MADE_BY = {"gan.learning_rate": 1e-4, "gan.classes": ("coast", "hill"), "seed": 3}


def test_a_checkpoint_of_another_config_with_the_same_shapes_is_refused_by_name(tmp_path):
    checkpoints.save_step(tmp_path, 4, state(4), MADE_BY)
    fresh = state(0)
    assert checkpoints.restore_latest(tmp_path, fresh, dict(reversed(MADE_BY.items()))) == 4
    fresh = state(0)
    with pytest.raises(
        InputError, match=r"differs in gan.learning_rate \(0.0001 there, 0.001 now\), seed \(3 there, 4 now\)"
    ):
        checkpoints.restore_latest(tmp_path, fresh, {**MADE_BY, "gan.learning_rate": 1e-3, "seed": 4})
    assert contents(fresh) == contents(state(0))

    # Fields that one version alone knows are no difference.
    assert checkpoints.restore_latest(tmp_path, fresh, {"seed": 3, "new": 2}) == 4


# The callback


def saved_steps(folder, *, every, epoch_steps, epochs, start=0, minutes=1e9):
    """Steps at which a training with epochs of so many steps saves."""
    saved, step = [], keras.Variable(start, dtype="int64")
    model = types.SimpleNamespace(step=step, state=lambda: saved.append(int(step)) or state(int(step)))
    callback = checkpoints.SaveCheckpoints(folder, every=every, minutes=minutes, made_by=MADE_BY)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch in range(epochs):
        step.assign_add(epoch_steps)
        callback.on_epoch_end(epoch)
    callback.on_train_end()
    return saved


@pytest.mark.parametrize(
    "plan, saved",
    [
        ({"every": 4, "epochs": 5}, [4, 8, 10]),
        ({"every": 2, "epochs": 2}, [2, 4]),
        ({"every": 100, "epochs": 2}, [4]),
        ({"every": 4, "epochs": 0}, []),
        ({"every": 4, "epochs": 4, "start": 2}, [4, 8, 10]),  # a resumed training saves at the same steps
        ({"every": 100, "epochs": 3, "minutes": 0}, [2, 4, 6]),  # minutes that are over make one due
    ],
)
def test_saves_every_so_many_steps_or_minutes_and_at_the_end(tmp_path, plan, saved):
    assert saved_steps(tmp_path, epoch_steps=2, **plan) == saved
    if saved:
        with pytest.raises(InputError, match=r"seed \(3 there, 5 now\)"):  # they say what made them
            checkpoints.restore_latest(tmp_path, state(0), {"seed": 5})
