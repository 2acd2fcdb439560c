"""Where a stage's time goes."""

import time

import pytest

from pir_tf.experiments.stopwatch import START_UP, Stopwatch, TimeFirstStep, note_start_up
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, read_json


def test_a_part_is_the_sum_of_its_blocks_one_that_failed_too_and_of_steps_the_first_counts(monkeypatch):
    moments = [10.0, 12.0, 20.0, 21.504, 1.0, 4.0]
    monkeypatch.setattr(time, "monotonic", lambda: moments.pop(0))
    watch = Stopwatch()
    with watch.part("images"):
        pass
    with pytest.raises(KeyError), watch.part("images"):
        raise KeyError
    callback = TimeFirstStep(watch)
    callback.on_train_begin()
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    assert watch.parts == {"images": 3.5, "tracing and first step": 3.0}


def test_the_start_up_is_the_age_of_the_process(tmp_path):
    run = RunDirectory(tmp_path / "run", smoke())
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    note_start_up(run)
    run.close()
    assert 0 < read_json(run.path / START_UP)["seconds"] < before + 1
