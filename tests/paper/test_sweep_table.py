"""What a running sweep shows: the table on a terminal, and the time left, worked by hand."""

import io
import os
import subprocess
import sys

import pytest
from commands import ENVIRONMENT
from sweeping import FAKE_SWEEP

from pir_tf.paper.jobs import DONE, FAILED, RUNNING, WAITING, jobs_of
from pir_tf.paper.schedule import Progress
from pir_tf.paper.suites import SUITES, Weights
from pir_tf.paper.sweep_table import Display, seconds_left, stage_of, table
from pir_tf.report.numbers import about_as_long
from pir_tf.runs.directory import write_json


def done_in(job, seconds):
    """Leaves what a finished job leaves, two stages of half the time each."""
    for stage in ("gan", "report"):
        (job.directory / stage).mkdir(parents=True)
        write_json(job.directory / stage / "done.json", {"seconds": seconds / 2, "peak_memory_mb": 7})


@pytest.fixture
def progress(tmp_path):
    """Of twelve colours two are done in 100 and 200 s, two run since 30 and 400 s, the rest waits."""
    jobs = jobs_of(SUITES["colors"]("smoke", Weights()), tmp_path)
    names = list(jobs)
    done_in(jobs[names[0]], 100)
    done_in(jobs[names[1]], 200)
    state = dict.fromkeys(names, (WAITING, ""))
    state |= dict.fromkeys(names[:2], (DONE, "")) | dict.fromkeys(names[2:4], (RUNNING, ""))
    return Progress(jobs, state, started={names[2]: 970.0, names[3]: 600.0}, began=500.0)


def test_time_left_is_the_mean_of_the_done_less_what_has_passed(progress):
    names = list(progress.jobs)
    # A mean of 150 s: 120 s for the one that runs since 30 s, none for the other, 8 x 150 s that wait.
    assert seconds_left(progress, names, 1, now=1000.0) == pytest.approx(120 + 8 * 150)
    assert seconds_left(progress, names, 4, now=1000.0) == pytest.approx((120 + 8 * 150) / 4)
    assert seconds_left(progress, names[:4], 4, now=1000.0) == pytest.approx(120)


def test_time_left_takes_experiments_of_the_same_kind_where_there_are_some(progress, tmp_path):
    longer = next(one for one in SUITES["ablations"]("smoke", Weights()) if one.name.endswith("12-steps"))
    job = jobs_of([longer], tmp_path)[longer.name]
    jobs = {**progress.jobs, longer.name: job}
    mixed = Progress(jobs, {**progress.states, longer.name: (WAITING, "")}, began=0.0)
    assert seconds_left(mixed, [longer.name], 1, now=0.0) == pytest.approx(150)
    other = next(one for one in SUITES["ablations"]("smoke", Weights()) if one.name == "color-blue-red-green-12-steps")
    jobs[other.name] = jobs_of([other], tmp_path)[other.name]
    done_in(jobs[other.name], 1000)
    mixed.states[other.name] = (DONE, "")
    assert seconds_left(mixed, [longer.name], 1, now=0.0) == pytest.approx(1000)
    assert seconds_left(mixed, list(progress.jobs)[4:5], 1, now=0.0) == pytest.approx(150)


def test_nothing_done_means_unknown_and_nothing_left_means_nothing(progress):
    names = list(progress.jobs)
    assert seconds_left(progress, names[:2], 1, now=0.0) == 0
    progress.states.update(dict.fromkeys(names[:2], (WAITING, "")))
    assert seconds_left(progress, names, 1, now=1000.0) is None


def test_what_a_limit_leaves_is_not_counted(progress):
    progress.stopped_by = "--limit"
    assert seconds_left(progress, list(progress.jobs), 1, now=1000.0) == pytest.approx(120)


def test_the_table_has_a_row_for_each_and_says_what_is_known(progress):
    names = list(progress.jobs)
    progress.states[names[5]] = (FAILED, "no weights")
    (progress.jobs[names[2]].directory / "gan").mkdir(parents=True)
    write_json(progress.jobs[names[2]].directory / "gan" / "done.json", {})
    lines = table("colors, smoke", progress, names, 1, 1000.0, 120, 40)
    assert lines[0] == "colors, smoke: 2 done, 2 running, 7 waiting, 1 failed; 8 minutes so far, about 20 minutes left"
    assert len(lines) == 13
    assert lines[1] == "  done     color-red             2 minutes".replace("2 minutes", "100 seconds")
    assert lines[3] == "  running  color-blue            interactions, 30 seconds"
    assert lines[6] == "  failed   color-green-red       no weights"


def test_the_table_fits_a_small_terminal(progress):
    names = list(progress.jobs)
    lines = table("colors, smoke", progress, names, 1, 1000.0, 40, 6)
    assert len(lines) <= 6
    assert all(len(line) < 40 for line in lines)
    assert [line.split()[0] for line in lines[1:3]] == ["running", "running"]
    assert lines[-1] == "  and 8 more"


def test_the_stage_of_a_running_job_comes_with_the_last_percent_of_its_log(tmp_path):
    job = jobs_of(SUITES["colors"]("smoke", Weights())[:1], tmp_path)["color-red"]
    assert stage_of(job) == "gan"
    for stage in ("gan", "interactions", "estimator"):
        (job.directory / stage).mkdir(parents=True)
        write_json(job.directory / stage / "done.json", {})
    log = job.directory / "log.txt"
    log.write_text("Training:  100%|####| 5/5\nTuning:   3%|   | 1/30\rTuning:  47%|##  | 14/30")
    assert stage_of(job) == "tuning 47%"
    log.write_text(log.read_text() + "\ntuning: 4 s\n")
    assert stage_of(job) == "tuning"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (119, "119 seconds"), (120, "2 minutes"), (7200, "2 hours"), (172_800, "2 days")],
)
def test_durations_are_in_words(seconds, words):
    assert about_as_long(seconds) == words


def test_lines_not_a_table_where_nobody_sees_a_terminal(progress):
    stream = io.StringIO()
    display = Display("colors", list(progress.jobs), 1, stream)
    display.show(progress, "")
    assert stream.getvalue() == ""
    display.show(progress, list(progress.jobs)[0])
    assert "color-red done, 100 seconds; 2 done, 2 running, 8 waiting, about" in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_a_terminal_gets_a_table_that_is_drawn_over_itself(tmp_path):
    master, terminal = os.openpty()
    line = [sys.executable, FAKE_SWEEP, "colors", "--size", "smoke"]
    line += ["--dir", str(tmp_path / "sweep"), "--only", "color-red", "--only", "color-blue"]
    environment = {**ENVIRONMENT, "FAKE_JOURNAL": str(tmp_path / "journal"), "COLUMNS": "100", "LINES": "20"}
    done = subprocess.run(line, env=environment, stdout=terminal, stderr=subprocess.PIPE, text=True, check=False)
    os.close(terminal)
    text = os.read(master, 100_000).decode()
    assert done.returncode == 0, done.stderr
    assert "\x1b[3A\x1b[2Kcolors, smoke: 1 done, 1 running, 0 waiting" in text
    assert text.rindex("colors, smoke: 2 done, 0 waiting") < text.index("2 of 2 done.")
