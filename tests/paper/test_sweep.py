"""The sweep's command with stand-ins for the experiments: options, failures, kills, resumption, limits, the lock, the tables."""

import hashlib
import io
import json
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from sweeping import InProcess, Sweep, leave, wait_for

from pir_tf.paper import sweep
from pir_tf.paper.jobs import DONE, RUNNING, WAITING, is_held, jobs_of
from pir_tf.paper.schedule import Progress
from pir_tf.paper.suites import SUITES, Weights
from pir_tf.runs.directory import RunDirectory, write_json

PAIRS = ("--only", "color-red-*")
"""Red-green, red-blue and red-green-blue."""
ONE = ("colors", "--only", "color-red")


@pytest.fixture
def swept(tmp_path):
    return Sweep(tmp_path / "sweep")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["colours"], ["'colours'", "colors"]),
        ([], ["SUITE"]),
        (["colors", "--size", "huge"], ["'huge'", "laptop"]),
        (["colors", "--jobs", "0"], ["--jobs is 0", "1 or more"]),
        (["colors", "--time-limit", "nan"], ["--time-limit is nan"]),
        (["colors", "--only", "vgg-*"], ["--only vgg-*", "color-red"]),
        (["colors", "--vgg-weights", "web"], ["'web'"]),
        (["colors", "--vgg-weights", "hub:x"], ["'hub:x'"]),
        (["colors", "--inception-range", "1", "0"], ["--inception-range is 1.0 0.0"]),
        (["colors", "--cpus", "0"], ["--cpus"]),
        (["colors", "--nonsense"], ["--nonsense"]),
        (["colors", "--dir", ""], ["--dir"]),
        (["vgg-single", "--vgg-weights", "file:somewhere/vgg.h5"], ["somewhere/vgg.h5", "PIR_TF_WEIGHTS"]),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_written(words, said, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sweep.main([*words, *([] if "--size" in words else ["--size", "paper"])]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("Error: ") and captured.err.count("\n") == 1
    assert all(part in captured.err for part in said)
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_runs_nothing_and_paths_are_found_as_the_shell_would(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["vgg-single", "iteration", "--vgg-weights", "file:there/vgg.h5", "--dry-run", "--only", "vgg-*-34*"]
    assert sweep.main(words) == 0
    lines, command = capsys.readouterr().out.splitlines(), "  python -m pir_tf.experiments.run laptop"
    assert lines[0] == "vgg-pool2-filter-34 (vgg-single, iteration)"
    assert lines[1].startswith(f"{command} --interactions.objective vgg:pool2:filters=34 ")
    assert "--first-round vgg-pool2-filter-34 " in lines[3]
    assert lines[-1] == "2 experiments. Nothing was run."
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PIR_TF_WEIGHTS", str(tmp_path / "weights"))
    (tmp_path / "weights").mkdir()
    for name in ("vgg.h5", "weights/inception.h5"):
        (tmp_path / name).touch()
    words = ["vgg-single", "--inception-weights", "file:inception.h5", "--dir=~/sweep", "--time-limit", "0"]
    for vgg in ("file:vgg.h5", "file:~/vgg.h5"):
        weights = sweep.weights_of(sweep.parse([*words, "--vgg-weights", vgg]))
        assert (weights.vgg, weights.inception) == (f"file:{tmp_path / 'vgg.h5'}", "file:inception.h5")
        assert sweep.main([*words, "--vgg-weights", vgg]) == 0, capsys.readouterr().err
    assert (tmp_path / "sweep" / "results.csv").exists() and not (tmp_path / "~").exists()


@pytest.mark.parametrize("name", ["results.csv", "sub/.backup"])
def test_a_folder_of_somebody_else_s_is_refused_untouched(swept, name):
    (swept.root / name).parent.mkdir(parents=True)
    (swept.root / name).write_text("mine")
    said = swept.run("colors", code=2)
    assert "holds other things than a sweep" in said and said.count("\n") == 1
    assert [path for path in swept.root.rglob("*") if path.is_file()] == [swept.root / name]
    assert "can't be used" in Sweep(swept.root / name).run("colors", code=2)


def test_what_a_kill_left_of_the_first_file_is_not_somebody_else_s(swept):
    swept.root.mkdir(parents=True, exist_ok=True)
    (swept.root / f".sweep.{'0' * 32}.partial.json").write_text("{")
    swept.run("colors", "--limit", "1")
    assert (swept.root / "sweep.json").exists()


def test_every_experiment_runs_once_in_its_own_directory_and_gets_a_row(swept):
    out = swept.run("colors", *PAIRS, "--jobs", 2)
    assert list(swept.rows()) == [one.name for one in SUITES["colors"]("smoke", Weights())]
    done = ["color-red-green", "color-red-blue", "color-red-green-blue"]
    assert swept.status() == {name: "done" if name in done else "waiting" for name in swept.rows()}
    row = swept.rows()["color-red-blue"]
    results = json.loads((swept.root / "color-red-blue/evaluation/results.json").read_text())
    assert (float(row["pir_before_mean"]), float(row["cohens_d"])) == (results["pir_before_mean"], results["cohens_d"])
    assert (row["suite"], row["objective"], row["kind"], row["seed"]) == ("colors", "color:red-blue", "two colors", "0")
    assert row["significant"] == str(results["significant"]).lower()
    assert swept.rows()["color-red"]["pir_before_mean"] == ""
    assert swept.rows("timings.csv")["color-red-blue"]["seconds"] == "12.0"
    assert "seconds" not in row and "peak_memory_mb" not in row
    assert "3 of 3 done." in out
    before = (swept.root / "results.csv").read_bytes()
    swept.run("colors", *PAIRS)
    assert set(swept.notes("start").values()) == {1}
    assert (swept.root / "results.csv").read_bytes() == before


@pytest.mark.slow
def test_a_failure_stops_nothing_else_and_stays_with_reason_and_checkpoints_until_it_is_done(swept):
    out = swept.run("colors", *PAIRS, code=1, FAKE_FAIL="color-red-green color-red-blue")
    assert Counter(swept.status().values()) == {"failed": 2, "done": 1, "waiting": 9}
    row, reason = swept.rows()["color-red-green"], "estimator is broken: mend it."
    assert (row["reason"], row["cohens_d"]) == (reason, "")
    green, blue = (swept.root / name for name in ("color-red-green", "color-red-blue"))
    assert f"failed: color-red-green, color-red-blue: {reason} (log: {green / 'log.txt'})" in out
    dropped, kept = (run / "tuning" / "checkpoints" / "step-6.npz" for run in (green, blue))
    mine = green / "notes" / "checkpoints" / "mine.txt"
    for path in (dropped, kept, mine):
        path.parent.mkdir(parents=True)
        path.touch()
    swept.run(*ONE)
    assert swept.rows()["color-red-green"]["reason"] == reason
    swept.run("colors", *PAIRS, "--keep-checkpoints", code=1, FAKE_KILLED="color-red-green")
    assert swept.rows()["color-red-green"]["reason"] == "the process was killed by signal 9 (often: memory ran out)"
    assert swept.status()["color-red-blue"] == "done" and dropped.exists() and kept.exists()
    swept.run("colors", *PAIRS)
    assert (swept.status()["color-red-green"], swept.rows()["color-red-green"]["reason"]) == ("done", "")
    assert not dropped.parent.exists() and kept.exists() and mine.exists()
    stages = swept.notes("stage")
    assert (stages["color-red-green", "interactions"], stages["color-red-green", "estimator"]) == (1, 3)


def test_another_config_in_a_directory_is_not_taken_for_done_and_a_newer_version_is(swept):
    both = ("colors", "--only", "color-red", "--only", "color-blue")
    swept.run(*both)
    for name, change in (("color-red", {"tuning.steps": 8}), ("color-blue", {"a.field": "of later"})):
        path = swept.root / name / "config.json"
        stored = json.loads(path.read_text())
        path.write_text(json.dumps({**stored, "config": {**stored["config"], **change}}))
    out = swept.run(*both, code=1)
    assert "failed: color-red: " in out and "tuning.steps (8 there, 6 now)" in out
    assert swept.status()["color-blue"] == "done"
    assert swept.notes("start")["color-blue",] == 1


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_kill_9_leaves_no_process_and_a_rerun_gives_the_bytes_of_an_unbroken_sweep(swept, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    unbroken = Sweep(tmp_path / "elsewhere" / "unbroken")
    unbroken.run("colors", *PAIRS, code=1, FAKE_FAIL="color-red-green-blue")
    process = swept.start("colors", *PAIRS, "--jobs", 2, FAKE_HANG="color-red-blue", FAKE_FAIL="color-red-green-blue")
    wait_for(lambda: (swept.root / "color-red-green/report/done.json").exists())
    wait_for(lambda: (swept.root / "color-red-blue/interactions/done.json").exists())
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.kill()
    process.communicate()
    wait_for(lambda: children and not any(map(is_alive, children)), seconds=10)
    assert not (swept.root / "color-red-blue/report/done.json").exists()
    out = swept.run("colors", *PAIRS, code=1, FAKE_FAIL="color-red-green-blue")
    assert (swept.root / "results.csv").read_bytes() == (unbroken.root / "results.csv").read_bytes()
    starts = swept.notes("start")
    assert (starts["color-red-green",], starts["color-red-blue",]) == (1, 2)
    assert swept.notes("stage")["color-red-blue", "gan"] == 1
    assert "2 of 3 done." in out


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_the_processes_that_run_side_by_side_and_keep_what_is_done(swept, number):
    process = swept.start("colors", "--only", "color-red*", "--jobs", 2, FAKE_HANG="color-red-green color-red-blue")
    wait_for(lambda: (swept.root / "color-red/report/done.json").exists())
    wait_for(lambda: (swept.root / "color-red-blue/interactions/done.json").exists())
    both = [swept.root / "color-red-green", swept.root / "color-red-blue"]
    wait_for(lambda: all(map(is_held, both)))
    process.send_signal(number)
    _, error = process.communicate(timeout=300)
    assert process.returncode == 130
    assert "Interrupted" in error and "Traceback" not in error
    assert not any(map(is_held, both))
    assert (swept.status()["color-red"], swept.status()["color-red-blue"]) == ("done", "waiting")


def test_a_directory_in_which_somebody_works_is_waited_for(swept, monkeypatch):
    swept.run("colors", "--time-limit", 0)
    with sweep._hold(swept.root):
        said = swept.run("colors", code=2)
    assert said.startswith("Error: Another sweep is working in") and said.count("\n") == 1 and "--dir" in said
    red = next(one for one in SUITES["colors"]("smoke", Weights()) if one.name == "color-red")
    other, start = RunDirectory(swept.root / "color-red", red.config), InProcess.start

    def start_and_let_the_other_end(self, job):
        start(self, job)
        for stage in ("gan", "evaluation", "report"):
            leave(other, stage)
        other.close()

    monkeypatch.setattr(InProcess, "start", start_and_let_the_other_end)
    out = swept.run(*ONE, "--only", "color-blue")
    assert "color-red waiting: another process works in its directory" in out
    assert swept.notes("start") == {("color-blue",): 1}
    assert swept.status()["color-red"] == "done"


def test_other_weights_in_the_same_place_are_refused_by_their_content_too(swept, tmp_path):
    for place, content in (("a", "one"), ("b", "two"), ("c", "one")):
        (tmp_path / place).mkdir()
        (tmp_path / place / "vgg.h5").write_text(content)
    words = ("vgg-single", "--only", "vgg-pool1-*", "--vgg-weights")
    swept.run(*words, f"file:{tmp_path / 'a' / 'vgg.h5'}")
    before, table = ((swept.root / name).read_bytes() for name in ("sweep.json", "results.csv"))
    said = swept.run("colors", *words, f"file:{tmp_path / 'b' / 'vgg.h5'}", "--only", "color-red", code=2)
    digests = [hashlib.sha256(content).hexdigest() for content in (b"one", b"two")]
    assert f"interactions.vgg_weights ('{digests[0]}' there, '{digests[1]}' now)" in said and said.count("\n") == 1
    said = swept.run("colors", "--vgg-weights", "imagenet", code=2)
    assert "--vgg-weights 'file:vgg.h5' there, 'imagenet' now" in said and said.count("\n") == 1
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
    assert rows["color-blue-scalar"]["suite"] == "ablations"


def test_a_second_round_waits_for_its_first_and_fails_with_it(swept):
    swept.run("iteration", "--only", "vgg-pool2-*-round-2")
    first, second = "vgg-pool2-filter-34", "vgg-pool2-filter-34-round-2"
    assert list(swept.notes("start")) == [(first,), (second,)]
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
    trained = [name for (name,) in swept.notes("start") if not name.startswith("color")]
    assert len(trained) == 3  # the losses and kinds differ, so do their GANs
    assert swept.notes("stage")["color-blue-trained-gan", "gan"] == 0
    text = (swept.root / "color-blue-trained-gan-saturating/gan/generator.keras").read_text()
    assert text == "generator.keras of seed 0 and saturating"
    timings = swept.rows("timings.csv")
    assert timings["color-blue-trained-gan"]["gan_trained_in"] in timings
    assert timings["color-blue-trained-gan"]["seconds"] == "10.0"
    assert {"gan/" + name for name in trained} <= timings.keys()
    assert not {"gan/" + name for name in trained} & swept.rows().keys()


def test_limits_leave_the_rest_and_lines_and_bar_say_counts_and_time_left(swept):
    out = swept.run("colors", *PAIRS, "--limit", 1)
    assert "color-red-green started; 0 done, 1 running, 0 waiting, 2 left by --limit, time left unknown" in out
    assert ", 12 seconds; 1 done, 0 waiting, 2 left by --limit\n" in out
    assert "left by --limit: color-red-blue, color-red-green-blue;" in out
    assert Counter(swept.status().values())["done"] == 1
    out = swept.run("colors", *PAIRS, "--time-limit", 0)
    assert "left by --time-limit: color-red-blue, color-red-green-blue;" in out
    assert Counter(swept.status().values())["done"] == 1
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    out = swept.run("colors", *PAIRS, stderr=terminal)
    assert "2 done, 1 waiting, about 12 seconds left" in out
    assert ", 12 seconds; 3 done, 0 waiting\n" in out
    assert out.count("\n") == 7 and "\r" not in out
    assert "1/3 |###3      | color-red-blue report\r" in terminal.getvalue()


def test_time_left_is_the_mean_of_the_done_of_its_kind_less_what_has_passed(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "monotonic", lambda: 1000.0)
    longer = [one for one in SUITES["ablations"]("smoke", Weights()) if one.name.endswith("12-steps")][:2]
    jobs = jobs_of([*SUITES["colors"]("smoke", Weights()), *longer], tmp_path)
    names, own = list(jobs)[:12], list(jobs)[12:]

    def done_in(name, seconds):  # two stages of half the time each
        for stage in ("gan", "report"):
            (tmp_path / name / stage).mkdir(parents=True)
            write_json(tmp_path / name / stage / "done.json", {"seconds": seconds / 2, "peak_memory_mb": 7})
        progress.states[name] = (DONE, "")

    progress = Progress(jobs, names, states=dict.fromkeys(jobs, (WAITING, "")))
    assert progress.seconds_left() is None
    done_in(names[0], 100)
    done_in(names[1], 200)
    progress.states |= dict.fromkeys(names[2:4], (RUNNING, ""))
    progress.started = {names[2]: 970.0, names[3]: 600.0}
    # A mean of 150 s: 120 s for the one that runs since 30 s, none for the other, 8 x 150 s that wait.
    assert progress.seconds_left() == pytest.approx(120 + 8 * 150)
    progress.at_once = 4
    assert progress.seconds_left() == pytest.approx((120 + 8 * 150) / 4)
    progress.limit, progress.log_starts = 5, dict.fromkeys(names[:4], 0)
    assert progress.seconds_left() == pytest.approx(150)  # the longer of the two that will run
    progress.asked, progress.limit = own[:1], None
    assert progress.seconds_left() == pytest.approx(150)
    done_in(own[1], 1000)
    assert progress.seconds_left() == pytest.approx(1000)


def test_importing_the_commands_loads_nothing_heavy():
    program = "import sys, pir_tf.paper.sweep, pir_tf.paper.figures.command, pir_tf.paper.claims.command\n"
    program += "print(*{'numpy', 'tensorflow', 'pandas', 'matplotlib', 'ray'} & set(sys.modules))"
    assert os.popen(f'{sys.executable} -c "{program}"').read() == "\n"
