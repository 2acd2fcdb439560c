"""The training log: rows, a kill in the middle of a line, a resume, and values that are not finite."""

import pytest

from pir_tf.training.callbacks import HistoryCSV, StopOnNonFinite, is_due, read


def begin(path, step, columns=("loss", "swd")):
    """A history as at the start of training after so many steps, and the counter to move."""
    now = [step]
    history = HistoryCSV(path, columns=columns, step=lambda: now[0])
    history.on_train_begin()
    return history, now


def write(path, steps, **logs):
    history, now = begin(path, 0)
    for step in steps:
        now[0] = step
        history.on_epoch_end(0, {"loss": step / 4, **logs})


def test_a_row_each_epoch(tmp_path):
    history, now = begin(tmp_path / "h.csv", 0)
    for step, logs in ((2, {"loss": 1 / 3, "unknown": 5.0}), (4, {"loss": -2.0, "swd": 1e-9}), (6, None)):
        now[0] = step
        history.on_epoch_end(0, logs)
    text = (tmp_path / "h.csv").read_bytes()
    assert text == b"step,loss,swd\n2,0.33333333,\n4,-2,1e-09\n6,,\n"
    assert read(tmp_path / "h.csv")[1] == {"step": "4", "loss": "-2", "swd": "1e-09"}


def test_a_resume_drops_the_rows_after_its_step_and_repeats_none(tmp_path):
    path = tmp_path / "h.csv"
    write(path, (2, 4, 6, 8))
    history, now = begin(path, 4)
    assert [row["step"] for row in read(path)] == ["2", "4"]
    for step in (6, 8):
        now[0] = step
        history.on_epoch_end(0, {"loss": step / 4})
    assert path.read_text() == "step,loss,swd\n2,0.5,\n4,1,\n6,1.5,\n8,2,\n"


def test_a_new_start_drops_an_old_log(tmp_path):
    write(tmp_path / "h.csv", (2, 4))
    begin(tmp_path / "h.csv", 0)
    assert (tmp_path / "h.csv").read_text() == "step,loss,swd\n"


@pytest.mark.parametrize("kept", range(1, 12))
def test_a_line_cut_anywhere_is_left_out(tmp_path, kept):
    path = tmp_path / "h.csv"
    write(path, (2, 40), swd=1.25)
    whole = path.read_text()
    assert whole.endswith("\n40,10,1.25\n")
    path.write_text(whole[:-kept])
    rows = read(path)
    assert rows == [{"step": "2", "loss": "0.5", "swd": "1.25"}]
    begin(path, 40)
    assert path.read_text() == "step,loss,swd\n2,0.5,1.25\n"


def test_an_empty_file_or_half_a_header_has_no_rows(tmp_path):
    for text in ("", "ste", "step,loss,swd"):
        (tmp_path / "h.csv").write_text(text)
        assert read(tmp_path / "h.csv") == []
        begin(tmp_path / "h.csv", 0)
        assert (tmp_path / "h.csv").read_text() == "step,loss,swd\n"


def test_new_columns_are_taken_on_a_resume(tmp_path):
    write(tmp_path / "h.csv", (2,))
    begin(tmp_path / "h.csv", 2, columns=("loss", "true_pir"))
    assert (tmp_path / "h.csv").read_text() == "step,loss,true_pir\n2,0.5,\n"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_training_stops_at_a_value_that_is_not_finite(value):
    stop = StopOnNonFinite()
    stop.on_epoch_end(0, {"generator_loss": 1.0, "swd": None})
    stop.on_epoch_end(0, None)
    with pytest.raises(FloatingPointError, match="diverged: L_PIR is not finite"):
        stop.on_epoch_end(0, {"generator_loss": 1.0, "L_PIR": value})


def test_what_is_due():
    # Epochs of 5 steps, measures every 10: at the ends of every second epoch.
    assert [step for step in range(5, 41, 5) if is_due(step, 10, 5)] == [10, 20, 30, 40]
    # Epochs of 5 steps, measures every 7: in the epochs that hold 7, 14, 21 and 28.
    assert [step for step in range(5, 31, 5) if is_due(step, 7, 5)] == [10, 15, 25, 30]
    # More often than epochs end: at each.
    assert [step for step in range(5, 16, 5) if is_due(step, 2, 5)] == [5, 10, 15]
