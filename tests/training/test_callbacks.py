"""What a training keeps and shows: the log and its rows cut by a kill, values that are not finite, measures, the progress bar."""

import json
import types

import keras
import numpy as np
import pytest

from pir_tf.training.callbacks import HistoryCSV, Measure, ProgressBar, StopOnNonFinite, read, track


def model_at(step):
    return types.SimpleNamespace(step=keras.Variable(step, dtype="int64"))


def begin(path, step, columns=("loss", "swd")):
    """A history as at the start of training after so many steps, and the step's counter."""
    model, history = model_at(step), HistoryCSV(path, columns)
    history.set_model(model)
    history.on_train_begin()
    return history, model.step


def write(history, step, *steps, **logs):
    for now in steps:
        step.assign(now)
        history.on_epoch_end(0, {"loss": now / 4, **logs})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "h.csv"


def test_a_row_each_epoch(path):
    history, now = begin(path, 0)
    for step, logs in ((2, {"loss": 1 / 3, "unknown": 5.0}), (4, {"loss": -2.0, "swd": 1e-9}), (6, None)):
        now.assign(step)
        history.on_epoch_end(0, logs)
    assert path.read_bytes() == b"step,loss,swd\n2,0.33333333,\n4,-2,1e-09\n6,,\n"
    assert read(path)[1] == {"step": "4", "loss": "-2", "swd": "1e-09"}


def test_a_resume_drops_the_rows_after_its_step_and_repeats_none(path):
    write(*begin(path, 0), 2, 4, 6, 8)
    resumed = begin(path, 4)
    assert [row["step"] for row in read(path)] == ["2", "4"]
    write(*resumed, 6, 8)
    assert path.read_text() == "step,loss,swd\n2,0.5,\n4,1,\n6,1.5,\n8,2,\n"
    begin(path, 2, columns=("loss", "true_pir"))
    assert path.read_text() == "step,loss,true_pir\n2,0.5,\n"
    begin(path, 0)
    assert path.read_text() == "step,loss,swd\n"


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_line_cut_anywhere_is_left_out(path, kept):
    write(*begin(path, 0), 2, 40, swd=1.25)
    whole = path.read_text()
    assert whole.endswith("\n40,10,1.25\n")
    path.write_text(whole[:-kept])
    assert read(path) == [{"step": "2", "loss": "0.5", "swd": "1.25"}]
    begin(path, 40)
    assert path.read_text() == "step,loss,swd\n2,0.5,1.25\n"


@pytest.mark.parametrize("text", ["", "ste", "step,loss,swd"])
def test_an_empty_file_or_half_a_header_has_no_rows(path, text):
    path.write_text(text)
    assert read(path) == []
    begin(path, 0)
    assert path.read_text() == "step,loss,swd\n"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_training_stops_at_a_value_that_is_not_finite(value):
    stop = StopOnNonFinite()
    stop.on_epoch_end(0, {"generator_loss": 1.0, "swd": None})
    stop.on_epoch_end(0, None)
    with pytest.raises(FloatingPointError, match="diverged: L_PIR is not finite"):
        stop.on_epoch_end(0, {"generator_loss": 1.0, "L_PIR": value})


@pytest.mark.parametrize(
    "every, measured",
    [
        (10, [10, 20, 30]),  # epochs of 5 steps: at the end of every second one
        (7, [10, 15, 25, 30]),  # in the epochs that hold 7, 14, 21 and 28
        (2, [5, 10, 15, 20, 25, 30]),  # more often than epochs end: at each
    ],
)
def test_measures_are_due_in_the_epochs_that_hold_their_steps_and_at_the_last(every, measured):
    assert measured_at(every) == measured
    assert measured_at(every, last=25) == sorted({*measured, 25})


def measured_at(every, **last):
    model, found = model_at(0), []
    measure = Measure(every, lambda model: {"at": int(model.step)}, **last)
    measure.set_model(model)
    measure.set_params({"steps": 5})
    for step in range(5, 31, 5):
        model.step.assign(step)
        logs = {}
        measure.on_epoch_end(0, logs)
        found += logs.values()
    return found


@pytest.mark.parametrize(
    ("done", "said"), [(0, ""), (1200, "Tuning: resumed from its checkpoint of step 1,200 of 2,000\n")]
)
def test_a_resumed_training_says_from_which_step(capsys, done, said):
    bar = ProgressBar("Tuning", 2000)
    bar.set_model(model_at(done))
    bar.on_train_begin()
    bar.on_train_end()
    printed = capsys.readouterr()
    assert printed.out == said
    assert f"{done}/2000" in printed.err


@pytest.mark.parametrize("index, shown", [(0, True), (1, False)])
def test_only_the_first_process_of_a_job_shows_bars(monkeypatch, capsys, index, shown):
    cluster = {"worker": ["127.0.0.1:1", "127.0.0.1:2"]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}}))
    assert list(track(range(3), "Readouts", 5, size=2)) == [0, 1, 2]
    bar = ProgressBar("Tuning", 2, {"loss": "loss"})
    bar.set_model(model_at(0))
    bar.on_train_begin()
    bar.on_train_batch_end(0)
    bar.on_epoch_end(0, {"loss": 1.0})
    bar.on_train_end()
    said = capsys.readouterr().err
    assert [title in said for title in ("Readouts", "Tuning")] == [shown, shown]
