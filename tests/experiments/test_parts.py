"""Where a stage's time goes."""

import time

import pytest
from pir_tf.experiments.parts import START_UP, TimeFirstStep, note_start_up, part

from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, read_json


@pytest.fixture
def run(tmp_path):
    run = RunDirectory(tmp_path / "run", smoke())
    yield run
    run.close()


def test_a_part_is_the_sum_of_its_blocks_and_counts_one_that_failed(run, monkeypatch):
    clock = iter([10.0, 12.0, 20.0, 21.5])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with part(run, "images"):
        pass
    with pytest.raises(KeyError), part(run, "images"):
        raise KeyError
    assert run.parts == {"images": 3.5}


def test_only_the_first_step_is_timed(run, monkeypatch):
    clock = iter([1.0, 4.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    callback = TimeFirstStep(run)
    callback.on_train_begin()
    callback.on_train_batch_end(0)
    callback.on_train_batch_end(1)
    assert run.parts == {"tracing and first step": 3.0}


def test_the_start_up_is_the_age_of_the_process(run):
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    note_start_up(run)
    seconds = read_json(run.path / START_UP)["seconds"]
    assert 0 < seconds < before + 1
