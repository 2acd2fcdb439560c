"""Where a stage's time goes."""

import time

import pytest

from pir_tf.experiments.stopwatch import START_UP, Stopwatch, TimeFirstStep, note_start_up
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, read_json


@pytest.fixture
def clock(monkeypatch):
    """The moments that the clock shows, in their order."""
    moments = []
    monkeypatch.setattr(time, "monotonic", lambda: moments.pop(0))
    return moments


def test_a_part_is_the_sum_of_its_blocks_and_counts_one_that_failed(clock):
    clock[:] = [10.0, 12.0, 20.0, 21.504]
    watch = Stopwatch()
    with watch.part("images"):
        pass
    with pytest.raises(KeyError), watch.part("images"):
        raise KeyError
    assert watch.parts == {"images": 3.5}


def test_only_the_first_step_is_timed(clock):
    clock[:] = [1.0, 4.0]
    watch = Stopwatch()
    callback = TimeFirstStep(watch)
    callback.on_train_begin()
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    assert watch.parts == {"tracing and first step": 3.0}


def test_the_start_up_is_the_age_of_the_process(tmp_path):
    run = RunDirectory(tmp_path / "run", smoke())
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    note_start_up(run)
    run.close()
    assert 0 < read_json(run.path / START_UP)["seconds"] < before + 1
