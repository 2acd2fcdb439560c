"""The loop with people: what it refuses, what its rounds are, and all of it end to end with simulated raters."""

import argparse
import contextlib
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from studies import begin, served

from pir_tf.cli import main
from pir_tf.errors import InputError, Unavailable
from pir_tf.experiments import demo, loop, loop_page
from pir_tf.experiments.command_line import parse as parse_run
from pir_tf.experiments.study_answers import Asked
from pir_tf.experiments.study_options import begin_study
from pir_tf.images import to_uint8
from pir_tf.people import pools
from pir_tf.people.server import Server, free_port
from pir_tf.people.store import Store


def adopted(path, *words):
    given, options = loop.parse([str(path), *words])
    return loop.adopt(given, options)


def test_a_new_loop_splits_its_budget_and_the_same_command_finds_it_again(tmp_path, capsys):
    made = adopted(tmp_path / "a", "--budget", "1800", "--rounds", "2", "--tuning.steps", "30")
    assert "1800 answers: 800 to learn from and 1000 for the proof" in capsys.readouterr().out
    assert (made.learn, made.proof, made.rounds, made.mode) == (400, 1000, 2, "like")
    again = adopted(tmp_path / "a")
    assert again == made and capsys.readouterr().out == ""
    assert adopted(tmp_path / "a", "--rounds", "3", "--stop", "e-value").rounds == 3
    assert json.loads((tmp_path / "a" / "loop.json").read_text())["stop"] == "e-value"


def test_the_rounds_are_runs_that_go_on_from_each_other_and_the_last_one_is_proved(tmp_path):
    made = adopted(tmp_path / "a", "--mode", "pair", "--budget", "1800", "--tuning.steps", "30")
    configs = [parse_run(made.command(number)).experiment for number in (1, 2)]
    assert [config.evaluation.source for config in configs] == ["none", f"people:{tmp_path}/a/study.db#a"]
    assert configs[0].interactions.source == configs[1].evaluation.source
    assert [config.first_round for config in configs] == ["", str(tmp_path / "a" / "round-01")]
    for config in configs:
        assert (config.estimator.output, config.estimator.backbone, config.tuning.steps) == (
            "linear",
            "discriminator",
            30,
        )
        assert (config.tuning.pir_gradient_ratio, config.evaluation.against) == (1, "start")
        assert (
            config.estimator.pessimism == 0.25 and not config.evaluation.judge
        )  # whose third of the answers the estimator has
    other = adopted(tmp_path / "b", "--estimator.output", "bins", "--budget", "1800")
    config = parse_run(other.command(1)).experiment
    assert (config.estimator.output, config.estimator.pessimism, config.tuning.pir_gradient_ratio) == ("bins", 0, 0)
    likes = parse_run(adopted(tmp_path / "d", "--budget", "1800").command(1)).experiment
    assert likes.estimator.pessimism == 1
    judged = adopted(tmp_path / "c", "--tuning.stop", "judge", "--budget", "1800")
    assert config.evaluation.judge and parse_run(judged.command(1)).experiment.evaluation.judge
    guarded = parse_run(
        adopted(tmp_path / "e", "--tuning.keep-distance=0.85", "--budget", "1800").command(1)
    ).experiment
    assert guarded.tuning.keep_distance == 0.85 and not guarded.evaluation.judge


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--budget", "20"], "budget"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--colour", "red"], "Option --colour is unknown"),
        (["--mode", "stars"], "invalid choice"),
        (["--study", "x" * 81], "expected 1 to 80 printable characters"),
        (["--people", "postgresql://me:geheim@db.example/rates"], "--people has a password in its URL"),
    ],
)
def test_a_mistake_leaves_nothing_behind(tmp_path, capsys, words, said):
    assert main(["loop", str(tmp_path / "a"), *words]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error and "geheim" not in error and not (tmp_path / "a").exists()


def test_what_was_begun_otherwise_or_is_not_ours_is_left_alone(tmp_path):
    adopted(tmp_path / "a", "--budget", "1800")
    with pytest.raises(InputError, match="is a loop with budget 1800, not 900"):
        adopted(tmp_path / "a", "--budget", "900")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="holds other things"):
        adopted(tmp_path / "b")
    with pytest.raises(InputError, match="a loop with people, expected a folder for the demonstration"):
        demo.main([str(tmp_path / "a")])
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["thesis.txt"]


def test_a_plan_goes_by_the_limit_of_the_study(tmp_path, capsys):
    adopted(tmp_path / "a", "--budget", "1800", "--answers-per-rater", "20")
    assert "95 raters with up to 20 answers each" in capsys.readouterr().out  # of which one is a repeat
    (tmp_path / "s.toml").write_text("answers_per_rater = 20\nrepeats = 0.5\n")
    adopted(tmp_path / "b", "--budget", "1800", "--settings", str(tmp_path / "s.toml"))
    assert "180 raters with up to 20 answers each" in capsys.readouterr().out
    begin(tmp_path / "study.db", name="c", answers_per_rater=20, repeats=0.5)
    adopted(tmp_path / "c", "--budget", "1800", "--people", str(tmp_path / "study.db"))
    assert "180 raters with up to 20 answers each" in (planned := capsys.readouterr().out)
    assert main("people plan --budget 1800 --answers-per-rater 20".split()) == 0
    assert capsys.readouterr().out.splitlines()[:2] == planned.splitlines()[:2]  # the command plans what a loop does
    assert main("people plan --budget 1800 --answers-per-image 1.25".split()) == 0
    assert "on 800 new images" in capsys.readouterr().out


def test_a_loop_that_has_ended_takes_no_more_rounds(tmp_path):
    adopted(tmp_path / "a", "--budget", "1800")
    assert adopted(tmp_path / "a", "--rounds", "3").rounds == 3
    (tmp_path / "a" / "report.html").write_text("")
    before = (tmp_path / "a" / "loop.json").read_bytes()
    with pytest.raises(InputError, match="--rounds 4: the loop in .* has ended"):
        adopted(tmp_path / "a", "--rounds", "4")
    assert (tmp_path / "a" / "loop.json").read_bytes() == before and adopted(tmp_path / "a").rounds == 3


@pytest.mark.parametrize("how", ["end", "last day"])
def test_a_round_of_a_study_that_has_ended_waits_for_nobody(tmp_path, how):
    begin(tmp_path / "study.db", name="a")
    with sqlite3.connect(tmp_path / "study.db") as database:
        [(settings,)] = database.execute("SELECT settings FROM studies").fetchall()
        over = json.dumps({**json.loads(settings), "ends": "2020-01-01"} if how == "last day" else json.loads(settings))
        database.execute("UPDATE studies SET settings = ?", (over,))
    made = adopted(tmp_path / "a", "--budget", "1800", "--people", str(tmp_path / "study.db"))
    store = Store(made.database)
    if how == "end":
        with store.writing() as connection:
            pools.control(connection, pools.require(connection)["study"], "end")
    with pytest.raises(InputError, match="has ended, while round 1 waits for answers: close what is asked"):
        loop.wait_for_answers(made, store, 1)
    assert main(["people", "close", made.database]) == 0
    loop.wait_for_answers(made, store, 1)
    store.close()


def test_a_loop_beside_another_server_says_which_to_stop(tmp_path):
    """`people serve` of the same database: its links are of no use to a loop, which opens a page of its own."""
    begin(tmp_path / "study.db", name="a")
    made = adopted(tmp_path / "a", "--budget", "1800", "--people", str(tmp_path / "study.db"))
    ended = SimpleNamespace(poll=lambda: 2)
    with served(tmp_path / "study.db"), contextlib.closing(Store(tmp_path / "study.db")) as store:
        with pytest.raises(InputError) as taken:
            store.serve(lambda: None, lambda connection: None)
    (tmp_path / "a" / "page.log").write_text(f"Error: {taken.value}\n")
    with pytest.raises(
        InputError, match="Another server serves .*study.db, and a loop opens its own: stop that one, and give"
    ):
        loop_page._wait_until_up(ended, made, 0)


def test_a_database_that_is_away_is_waited_for(tmp_path, monkeypatch, capsys):
    begin(tmp_path / "study.db", name="a", wanted=40)
    made = adopted(tmp_path / "a", "--budget", "1800", "--people", str(tmp_path / "study.db"))
    store, reading, asked = Store(made.database), Store.snapshot, []

    def away(self):
        asked.append(1)
        if len(asked) in (2, 3):
            raise Unavailable("database is locked")
        return reading(self)

    def slept(_):
        if len(asked) == 5:
            with store.writing() as connection:
                pools.close_pools(connection, pools.require(connection)["study"], "closed by the owner")

    monkeypatch.setattr(Store, "snapshot", away)
    monkeypatch.setattr(loop, "time", SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=slept))
    capsys.readouterr()
    loop.wait_for_answers(made, store, 1)
    once, away_once, again = capsys.readouterr().out.splitlines()
    assert once == again == "0 of 40 answers (random, round 1)"
    assert away_once == "The study's database can't be reached (database is locked); the loop waits for it."
    store.close()


def test_what_a_command_says_of_a_database_that_is_away(tmp_path, monkeypatch, capsys):
    def away(*_):
        raise Unavailable("database is locked")

    monkeypatch.setattr(loop, "run", away)
    assert main(["loop", str(tmp_path / "a")]) == 2
    said = "Error: The study's database can't be used now (database is locked): mend that, and give the same command again.\n"
    assert capsys.readouterr().err == said


def test_the_page_keeps_the_port_that_was_asked_for_and_an_unknown_host_is_one_sentence(tmp_path, capsys):
    made, port = adopted(tmp_path / "a"), free_port("127.0.0.1")
    given, _ = loop.parse([str(tmp_path / "a"), "--port", str(port)])
    store = Store(made.database, create=True)
    with store.writing() as connection:
        begin_study(connection, given, made.study)
    with loop.served(made, given, store):
        assert made.port == port == json.loads((tmp_path / "a" / "loop.json").read_text())["port"]
    store.close()
    assert main(["loop", str(tmp_path / "b"), "--host", "nosuch.invalid"]) == 2
    assert "nosuch.invalid:0 can't be listened on" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("place", "parts"),
    [
        ("c#/study.db#loop", ("c#/study.db", "loop")),
        ("c#/study.db", ("c#/study.db", "")),
        ("plain.db#one#two", ("plain.db", "one#two")),
        ("none.db#one", ("none.db", "one")),
        ("postgresql://db.example/rates#one", ("postgresql://db.example/rates", "one")),
    ],
)
def test_a_database_and_its_study_are_told_apart(tmp_path, monkeypatch, place, parts):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c#").mkdir()
    for name in ("c#/study.db", "plain.db"):
        (tmp_path / name).write_bytes(b"")
    asked = Asked(f"people:{place}", "random", 10, "click")
    assert (asked.database, asked.study) == parts


def test_without_a_budget_the_demonstration_is_quick():
    def said(budget, *options):
        return demo.words_of(argparse.Namespace(folder="a", mode="like", budget=budget), [*options])

    few = [f"{name}={value}" for name, value in demo.QUICK.items()]
    assert said(None) == [*said(1000), *few] and said(None)[4] == "1000" and said(0)[4] == "0"
    config, usual = (parse_run(["laptop", *words]).experiment for words in (few, []))
    assert config.tuning.steps < usual.tuning.steps / 2 and config.tuning.learning_rate > 2 * usual.tuning.learning_rate
    assert config.data.count >= config.tuning.steps * config.tuning.batch_size
    assert said(None, "--tuning.steps", "9") == [*said(1000), "--tuning.steps", "9"]


def test_the_rounds_share_what_each_stop_for_people_would_compute_again(tmp_path, monkeypatch):
    made, seen = adopted(tmp_path / "a", "--budget", "1800"), []
    monkeypatch.setattr(loop, "_call", lambda words, environment: seen.append(environment["PIR_TF_CACHE"]) or 1)
    for own in ("", None):
        monkeypatch.setenv("PIR_TF_CACHE", own) if own is not None else monkeypatch.delenv("PIR_TF_CACHE")
        with pytest.raises(InputError, match="Round 1 stopped"):
            loop._round(made, None, 1, lambda: None, "")
    assert seen == ["", str(tmp_path / "a" / "cache")]  # none, where the user wants none


def test_simulated_raters_like_blue():
    blue, grey, red = np.full((4, 4, 3), [-1, -1, 1.0]), np.zeros((4, 4, 3)), np.full((4, 4, 3), [1.0, -1, -1])
    liked = [demo.taste(to_uint8(image)) for image in (blue, grey, red)]
    assert liked[0] > 0.9 > liked[1] > 0.1 > liked[2] > 0


@pytest.mark.slow
def test_a_page_that_is_still_ending_is_waited_for(tmp_path):
    """Killed and repeated at once, the new page finds the last one's port and database taken."""
    made = adopted(tmp_path / "a")
    begin(made.database, name="a")
    last, store = Server(made.database), Store(made.database)
    thread = last.start()
    threading.Timer(5, last.stop).start()
    given = argparse.Namespace(host="127.0.0.1", port=last.port, public_url="")
    with loop.served(made, given, store):
        assert not thread.is_alive()
        with urllib.request.urlopen(
            f"http://127.0.0.1:{last.port}/join/{last.links()[0][1].rsplit('/', 1)[1]}"
        ) as page:
            assert page.status == 200
    store.close()


SMALLER = (
    "--data.count 32 --estimator.quality-images 16 --tuning.pir-gradient-ratio 0 --tuning.pir-weight 30 --tuning.steps 2 "
    "--tuning.batch-size 2 --tuning.gradients-every 4 --evaluation.diversity-pairs 2"
).split()


@pytest.mark.nightly
def test_the_demonstration_ends_with_a_report_though_it_is_killed_on_the_way(tmp_path):
    words = [sys.executable, "-m", "pir_tf.cli", "loop", "demo", str(tmp_path / "demo"), "--preset", "smoke"]
    words += ["--budget", "700", *SMALLER]
    answers = tmp_path / "demo" / "study.db"
    first = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    for line in first.stdout:
        if "answers (random, round 2)" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.wait()
    until = time.monotonic() + 60
    while any_process_of(tmp_path) and time.monotonic() < until:  # its children end with it
        time.sleep(0.1)
    done = subprocess.run(words, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "round 1" not in done.stdout.split("== Round 2")[-1]
    page = (tmp_path / "demo" / "report.html").read_text()
    (people,) = {int(count) for count in re.findall(r"answers of (\d+) simulated raters", page)}
    assert 35 <= people <= 40  # on a busy machine some come when all is answered; too few answers of each for a flag
    results = json.loads((tmp_path / "demo" / "round-02" / "evaluation" / "results.json").read_text())
    assert (
        results["source"] == "people"
        and results["people"]["answers"] == json.loads((tmp_path / "demo" / "loop.json").read_text())["proof"]
    )
    traced(answers)
    assert "the estimator foresaw" in page and "People like" not in page
    assert (
        "simulated raters in place of people" in (tmp_path / "demo" / "round-02" / "report" / "index.html").read_text()
    )
    assert "For raters:" in done.stdout and "Resume with" not in done.stdout and "people serve" not in done.stdout


def any_process_of(path):
    """Whether a process has this path in its command."""
    for one in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(path).encode() in one.read_bytes():
                return True
    return False


def traced(database):
    """Checks that each image names its generator and the estimator of its time, which foresaw the later ones."""
    chosen = (
        "SELECT round, pool, side, generator, i.estimator, predicted FROM items i LEFT JOIN predictions USING (item)"
    )
    with sqlite3.connect(database) as connection:
        rows = connection.execute(chosen).fetchall()
    made = {}
    for round, pool, side, generator, estimator, predicted in rows:
        made.setdefault((round, pool, side), set()).add((generator, estimator, predicted is not None))
    assert {key: len(found) for key, found in made.items()} == dict.fromkeys(made, 1)
    first, random, explored, before, after = (
        made[key].pop()
        for key in (
            (1, "random", ""),
            (2, "random", ""),
            (2, "explore", ""),
            (2, "proof", "before"),
            (2, "proof", "after"),
        )
    )
    assert random == explored and len({first[1], random[1], after[1]}) == 3 and first[1:] == ("", False)
    assert before[0] == first[0] and before[1:] == after[1:] and after[2] and random[2]
    assert len({before[0], random[0], after[0]}) == 3


def test_a_page_is_opened_again_once_its_database_is_back(tmp_path, monkeypatch):
    made, said = (
        adopted(tmp_path / "a", "--budget", "1800"),
        [Unavailable("gone"), Unavailable("gone"), (1, 2, "random")],
    )

    def asked(*_):
        one = said.pop(0)
        if isinstance(one, Exception):
            raise one
        return one

    def look():
        assert not said
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "_asked", asked)
    monkeypatch.setattr(loop, "POLL_SECONDS", 0)
    with pytest.raises(KeyboardInterrupt):
        loop.wait_for_answers(made, None, 1, look)


@pytest.mark.nightly
def test_a_page_that_dies_is_opened_again(tmp_path, capsys):
    made = adopted(tmp_path / "a", "--budget", "1800")
    begin(made.database, name="a", wanted=2)
    given, _ = loop.parse([str(tmp_path / "a")])
    store = Store(made.database)
    with loop.served(made, given, store) as (look, _):
        address = f"http://127.0.0.1:{made.port}/"
        look()
        assert "opened again" not in capsys.readouterr().out
        children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
        for child in map(int, children):
            if "study_command" in Path(f"/proc/{child}/cmdline").read_text():
                os.kill(child, signal.SIGKILL)
        waiting = threading.Thread(target=loop.wait_for_answers, args=(made, store, 1, look), daemon=True)
        waiting.start()
        until = time.monotonic() + 60
        while "opened again" not in (said := capsys.readouterr().out) and time.monotonic() < until:
            time.sleep(0.1)
        assert "opened again" in said
        while not answers_at(address) and time.monotonic() < until:
            time.sleep(0.1)
        assert answers_at(address)
        with store.writing() as connection:
            pools.close_pools(connection, pools.require(connection)["study"], "closed by the owner")
        waiting.join(30)
        assert not waiting.is_alive()
    assert not answers_at(address)
    store.close()


def answers_at(address):
    try:
        return urllib.request.urlopen(address, timeout=5).status == 200
    except OSError:
        return False


def test_no_fewer_rounds_than_were_begun_and_no_end_without_a_proof(tmp_path):
    made = adopted(tmp_path / "a", "--budget", "1800", "--rounds", "3")
    done = made.run_path(1) / "evaluation"
    done.mkdir(parents=True)
    (done / "results.json").write_text('{"source": "none"}')
    with pytest.raises(InputError, match="--rounds is 1, expected 2 or more, as round 1 was done without the proof"):
        adopted(tmp_path / "a", "--rounds", "1")
    made.run_path(2).mkdir()
    assert adopted(tmp_path / "a", "--rounds", "2").rounds == 2  # it ends with the proof then
    made.run_path(3).mkdir()
    assert adopted(tmp_path / "a", "--rounds", "3").rounds == 3
    with pytest.raises(InputError, match="--rounds is 2, expected 3 or more, as round 3 was begun"):
        adopted(tmp_path / "a", "--rounds", "2")


def test_evidence_ends_a_proof_at_its_own_threshold_alone(tmp_path):
    words = [str(tmp_path / "a"), "--stop", "e-value"]
    with pytest.raises(InputError, match="--evaluation.alpha is 0.0001 beside --stop e-value"):
        adopted(*words, "--evaluation.alpha", "0.0001")
    assert not (tmp_path / "a").exists()
    adopted(*words, "--evaluation.alpha=1e-3")  # the threshold itself
    with pytest.raises(InputError, match="--evaluation.alpha is 0.01 beside"):
        adopted(tmp_path / "a", "--evaluation.alpha=0.01")
