"""The sweep's command with stand-ins for the experiments: failures, kills, resumption, limits, the lock, the tables."""

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from commands import ENVIRONMENT
from sweeping import FAKE_RUN, Sweep, wait_for

from pir_tf.paper.jobs import is_held
from pir_tf.paper.suites import SUITES, Weights


@pytest.fixture
def swept(tmp_path):
    return Sweep(tmp_path / "sweep")


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat") as handle:
        return handle.read().rsplit(")", 1)[1].split()[0] != "Z"


PAIRS = ("--only", "color-red-*")
"""Red-green, red-blue and red-green-blue."""


def test_every_experiment_runs_in_its_own_directory_and_gets_a_row(swept):
    out = swept.run("colors", *PAIRS, "--jobs", 2)
    assert list(swept.rows()) == [one.name for one in SUITES["colors"]("smoke", Weights())]
    done = [name for name, status in swept.status().items() if status == "done"]
    assert done == ["color-red-green", "color-red-blue", "color-red-green-blue"]
    assert Counter(swept.status().values()) == {"done": 3, "waiting": 9}
    row = swept.rows()["color-red-blue"]
    results = json.loads((swept.root / "color-red-blue/evaluation/results.json").read_text())
    assert float(row["pir_before"]) == results["pir_before_mean"]
    assert float(row["results.cohens_d"]) == results["cohens_d"]
    assert (row["suite"], row["objective"], row["kind"], row["seed"]) == ("colors", "color:red-blue", "two colors", "0")
    assert (row["results.diversity.after.distance.1"], row["significant"]) == (
        "0.5",
        str(results["significant"]).lower(),
    )
    assert swept.rows()["color-red"]["pir_before"] == ""
    assert swept.rows("timings.csv")["color-red-blue"]["seconds"] == "12.0"
    assert "seconds" not in row and "peak_memory_mb" not in row
    assert "Resume" not in out and "3 of 3 done." in out
    assert "45%" in (swept.root / "color-red-blue/log.txt").read_text()


def test_a_failure_stops_nothing_else_and_stays_in_the_table_with_its_reason(swept):
    out = swept.run("colors", *PAIRS, code=1, FAKE_FAIL="color-red-green")
    status = swept.status()
    assert (status["color-red-green"], status["color-red-blue"], status["color-red-green-blue"]) == (
        "failed",
        "done",
        "done",
    )
    row = swept.rows()["color-red-green"]
    assert row["reason"] == "estimator is broken: mend it."
    assert row["cohens_d"] == ""
    assert "failed: color-red-green: estimator is broken" in out
    swept.run("colors", "--only", "color-red", code=0)
    assert swept.rows()["color-red-green"]["reason"] == "estimator is broken: mend it."
    swept.run("colors", *PAIRS)
    assert swept.status()["color-red-green"] == "done"
    assert swept.rows()["color-red-green"]["reason"] == ""
    stages = swept.notes("stage")
    assert stages["color-red-green", "interactions"] == 1
    assert stages["color-red-green", "estimator"] == 2


def test_a_failure_after_another_has_its_own_reason(swept):
    swept.run("colors", "--only", "color-red", code=1, FAKE_FAIL="color-red")
    out = swept.run("colors", "--only", "color-red", code=1, FAKE_SECONDS="soon")
    reason = "ValueError: could not convert string to float: 'soon'"
    assert swept.rows()["color-red"]["reason"] == reason
    assert f"failed: color-red: {reason}" in out


def test_another_config_in_a_directory_is_not_taken_for_done_and_a_newer_version_is(swept):
    swept.run("colors", "--only", "color-red", "--only", "color-blue")
    for name, change in (("color-red", {"tuning.steps": 8}), ("color-blue", {"a.field": "of later"})):
        path = swept.root / name / "config.json"
        stored = json.loads(path.read_text())
        stored["config"] |= change
        path.write_text(json.dumps(stored))
    out = swept.run("colors", "--only", "color-red", "--only", "color-blue", code=1)
    assert "failed: color-red: " in out and "tuning.steps (8 there, 6 now)" in out
    assert swept.status()["color-blue"] == "done"
    assert swept.notes("start")["color-blue",] == 1


def test_checkpoints_of_what_is_done_are_dropped_and_others_kept(swept):
    for name in ("color-red", "color-blue"):
        (swept.root / name / "tuning" / "checkpoints").mkdir(parents=True)
        (swept.root / name / "tuning" / "checkpoints" / "step-6.npz").touch()
    swept.run("colors", "--only", "color-red", "--only", "color-blue", code=1, FAKE_FAIL="color-blue")
    assert not (swept.root / "color-red" / "tuning" / "checkpoints").exists()
    assert (swept.root / "color-blue" / "tuning" / "checkpoints" / "step-6.npz").exists()
    swept.run("colors", "--only", "color-blue", "--keep-checkpoints")
    assert (swept.root / "color-blue" / "tuning" / "checkpoints" / "step-6.npz").exists()


def test_what_is_done_is_skipped(swept):
    swept.run("colors", *PAIRS)
    before = (swept.root / "results.csv").read_bytes()
    swept.run("colors", *PAIRS)
    assert set(swept.notes("start").values()) == {1}
    assert (swept.root / "results.csv").read_bytes() == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_kill_9_in_the_middle_and_a_rerun_give_the_bytes_of_an_unbroken_sweep(swept, tmp_path, jobs):
    (tmp_path / "elsewhere").mkdir()
    unbroken = Sweep(tmp_path / "elsewhere" / "unbroken")
    unbroken.run("colors", *PAIRS, code=1, FAKE_FAIL="color-red-green-blue")
    process = swept.start(
        "colors", *PAIRS, "--jobs", jobs, FAKE_HANG="color-red-blue", FAKE_FAIL="color-red-green-blue"
    )
    wait_for(lambda: (swept.root / "color-red-green/report/done.json").exists())
    wait_for(lambda: (swept.root / "color-red-blue/interactions/done.json").exists())
    process.kill()
    process.communicate()
    assert not (swept.root / "color-red-blue/report/done.json").exists()
    out = swept.run("colors", *PAIRS, "--jobs", jobs, code=1, FAKE_FAIL="color-red-green-blue")
    assert (swept.root / "results.csv").read_bytes() == (unbroken.root / "results.csv").read_bytes()
    starts, stages = swept.notes("start"), swept.notes("stage")
    assert starts["color-red-green",] == 1
    assert starts["color-red-blue",] == 2
    assert stages["color-red-blue", "gan"] == 1
    assert "2 of 3 done." in out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_kill_9_leaves_no_process_behind(swept):
    process = swept.start("colors", "--only", "color-red", FAKE_HANG="color-red")
    wait_for(lambda: (swept.root / "color-red/interactions/done.json").exists())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    process.kill()
    process.communicate()
    wait_for(lambda: not is_alive(int(children[0])), seconds=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_processes_and_keep_what_is_done(swept, number):
    process = swept.start("colors", "--only", "color-red*", "--jobs", 2, FAKE_HANG="color-red-green color-red-blue")
    wait_for(lambda: (swept.root / "color-red/report/done.json").exists())
    wait_for(lambda: (swept.root / "color-red-blue/interactions/done.json").exists())
    assert is_held(swept.root / "color-red-green") and is_held(swept.root / "color-red-blue")
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Interrupted" in error and "Traceback" not in error
    assert not is_held(swept.root / "color-red-green") and not is_held(swept.root / "color-red-blue")
    assert swept.status()["color-red"] == "done"
    assert swept.status()["color-red-blue"] == "waiting"


def test_a_killed_experiment_is_said_and_resumed_by_the_next_call(swept):
    process = swept.start("colors", "--only", "color-red", "--only", "color-blue", FAKE_HANG="color-red")
    wait_for(lambda: (swept.root / "color-red/interactions/done.json").exists())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
    process.communicate(timeout=60)
    assert process.returncode == 1
    assert swept.rows()["color-red"]["reason"] == "the process was killed by signal 9 (often: memory ran out)"
    assert swept.status()["color-blue"] == "done"
    swept.run("colors", "--only", "color-red")
    assert swept.notes("stage")["color-red", "gan"] == 1


def test_two_jobs_run_at_once(swept):
    process = swept.start(
        "colors", "--jobs", 2, "--only", "color-red", "--only", "color-blue", FAKE_HANG="color-red color-blue"
    )
    wait_for(lambda: swept.root.exists() and is_held(swept.root / "color-red") and is_held(swept.root / "color-blue"))
    process.terminate()
    process.communicate(timeout=60)


def test_a_second_sweep_in_the_same_place_is_refused_in_one_sentence(swept):
    process = swept.start("colors", "--only", "color-red", FAKE_HANG="color-red")
    wait_for(lambda: (swept.root / "color-red/interactions/done.json").exists())
    said = swept.run("colors", code=2)
    assert said.startswith("Error: Another sweep is working in") and said.count("\n") == 1 and "--dir" in said
    process.terminate()
    process.communicate(timeout=60)


def test_a_directory_in_which_somebody_works_is_waited_for(swept):
    line = [sys.executable, FAKE_RUN, "smoke", "--interactions.objective", "color:red"]
    environment = {**ENVIRONMENT, "FAKE_JOURNAL": str(swept.journal), "FAKE_SECONDS": "0.5"}
    other = subprocess.Popen([*line, "--run-dir", str(swept.root / "color-red")], env=environment)
    wait_for(lambda: (swept.root / "color-red/gan/done.json").exists())
    out = swept.run("colors", "--only", "color-red", "--only", "color-blue")
    assert other.wait(timeout=60) == 0
    assert "color-red waiting: another process works in its directory" in out
    assert set(swept.notes("start").values()) == {1}
    assert swept.status()["color-red"] == "done"


def test_another_size_or_other_weights_in_the_same_place_are_refused(swept):
    swept.run("colors", "--only", "color-red")
    said = swept.run("colors", "--vgg-weights", "imagenet", code=2)
    assert "--vgg-weights 'none' there, 'imagenet' now" in said and said.count("\n") == 1


def test_a_file_of_the_same_name_and_another_content_is_refused_and_an_equal_one_taken(swept, tmp_path):
    for place, content in (("a", "one"), ("b", "two"), ("c", "one")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "vgg.h5").write_text(content)
    words = ("vgg-single", "--only", "vgg-pool1-*", "--vgg-weights")
    swept.run(*words, f"file:{tmp_path / 'a' / 'vgg.h5'}")
    before, table = ((swept.root / name).read_bytes() for name in ("sweep.json", "results.csv"))
    said = swept.run("colors", *words, f"file:{tmp_path / 'b' / 'vgg.h5'}", "--only", "color-red", code=2)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]
    assert f"interactions.vgg_weights ('{digests[0]}' there, '{digests[1]}' now)" in said and said.count("\n") == 1
    assert [(swept.root / name).read_bytes() for name in ("sweep.json", "results.csv")] == [before, table]
    swept.run(*words, f"file:{tmp_path / 'c' / 'vgg.h5'}")
    assert set(swept.notes("start").values()) == {1}
    assert (swept.root / "results.csv").read_bytes() == table


def test_several_suites_share_a_directory_and_what_they_have_in_common(swept):
    swept.run("colors", "--only", "color-blue")
    swept.run("ablations", "--only", "color-blue", "--only", "color-blue-scalar")
    assert swept.notes("start")["color-blue",] == 1
    rows = swept.rows()
    assert rows["color-blue"]["suite"] == "colors ablations"
    assert list(rows)[:3] == ["color-red", "color-green", "color-blue"]
    assert rows["color-blue-scalar"]["output"] == "scalar"


def test_limit_and_time_limit_leave_the_rest_and_say_it(swept):
    out = swept.run("colors", *PAIRS, "--limit", 1)
    assert "left by --limit: color-red-blue, color-red-green-blue;" in out
    assert Counter(swept.status().values())["done"] == 1
    out = swept.run("colors", *PAIRS, "--time-limit", 0)
    assert "left by --time-limit: color-red-blue, color-red-green-blue;" in out
    assert Counter(swept.status().values())["done"] == 1


def test_a_second_round_waits_for_its_first_and_fails_with_it(swept):
    swept.run("iteration", "--only", "vgg-pool2-*-round-2")
    first, second = "vgg-pool2-filter-34", "vgg-pool2-filter-34-round-2"
    assert [line for line in swept.journal.read_text().splitlines() if line.startswith("start")] == [
        f"start {first}",
        f"start {second}",
    ]
    assert (swept.rows()[second]["round"], swept.rows()[first]["round"]) == ("2", "1")
    assert json.loads((swept.root / second / "config.json").read_text())["config"]["first_round"] == first
    other = Sweep(swept.root.with_name("other"))
    other.run("iteration", "--only", "vgg-pool2-*-round-2", code=1, FAKE_FAIL=first)
    assert other.rows()[second]["status"] == "failed"
    assert other.rows()[second]["reason"] == f"it needs {first}, which failed: estimator is broken: mend it."


def test_layers_that_the_weights_lack_are_not_run_with_the_reason(swept):
    out = swept.run("vgg-single", "--only", "vgg-fc6-*", "--only", "vgg-pool1-*")
    assert Counter(swept.status().values()) == {"done": 1, "waiting": 4, "not run": 3}
    row = swept.rows()["vgg-fc6-filter-2092"]
    assert "fully connected" in row["reason"] and (row["layer"], row["layer_index"]) == ("fc6", "6")
    assert "not run: vgg-fc6-filter-2092: fc6 needs" in out


def test_a_gan_that_several_experiments_train_is_trained_once(swept):
    swept.run("ablations", "--only", "color-blue-trained-gan*")
    starts = swept.notes("start")
    trained = [name for (name,) in starts if not name.startswith("color")]
    assert len(trained) == 3  # the losses and kinds differ, so do their GANs
    assert swept.notes("stage")["color-blue-trained-gan", "gan"] == 0
    text = (swept.root / "color-blue-trained-gan-saturating/gan/generator.keras").read_text()
    assert text == "generator.keras of seed 0 and saturating"
    timings = swept.rows("timings.csv")
    assert timings["color-blue-trained-gan"]["gan_trained_in"] in timings
    assert timings["color-blue-trained-gan"]["seconds"] == "10.0"
    assert {"gan/" + name for name in trained} <= timings.keys()
    assert not {"gan/" + name for name in trained} & swept.rows().keys()


def test_the_log_shows_counts_and_the_time_left(swept):
    out = swept.run("colors", *PAIRS)
    assert "color-red-green started; 0 done, 1 running, 2 waiting, time left unknown until one is done" in out
    assert "2 done, 1 waiting, about 12 seconds left" in out
    assert "\x1b" not in out
