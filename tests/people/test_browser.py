"""The rating page and the owner's page in Chromium, against the real server: what people do, and what is in the database then."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
import studies

from pir_tf.people import keeping, pools, words
from pir_tf.people.server import Server
from pir_tf.people.store import Store

FOLDER = Path(__file__).parent / "browser"
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
MISSING = [
    name
    for name, found in (("node", shutil.which("node")), ("npm", shutil.which("npm")), ("chromium", CHROMIUM))
    if not found
]

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(bool(MISSING), reason=f"the browser tests need {', '.join(MISSING)}: install Debian's packages"),
]

SERVE = "import sys; from pir_tf.people.server import Server; Server(sys.argv[1], port=int(sys.argv[2])).run()"


@pytest.fixture(scope="module", autouse=True)
def packages():
    """What the lock file names, installed beside the scenarios."""
    if not (FOLDER / "node_modules" / "playwright-core").is_dir():
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=300)
        if done.returncode:
            pytest.skip(f"npm ci didn't get the packages: {done.stderr.strip()[-300:]}")


class Place:
    """A study's database with a server in a process of its own, which can be killed and started again on the same port."""

    def __init__(self, folder, **settings):
        self.where = folder / "study.db"
        studies.begin(self.where, **{"images": 120, "shared": 0.0, "repeats": 0.0, **settings})
        server = Server(self.where)
        [(_, self.link, self.owner_link)] = server.links()
        self.port = server.port
        server._socket.close()
        server.store.close()
        self.start()

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-c", SERVE, str(self.where), str(self.port)])
        for _ in range(1200):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
                return
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server doesn't answer")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def take_away(self):
        """The database's file is elsewhere."""
        self.where.rename(self.where.with_suffix(".away"))

    def bring_back(self):
        self.where.with_suffix(".away").rename(self.where)

    def withdraw(self):
        """The first rater withdraws, and the server has noticed."""
        store = Store(self.where)
        with store.reading() as connection:
            name = connection.exec_driver_sql("select pseudonym from raters order by rater").scalar()
        keeping.withdraw(store, "", name)
        store.close()
        time.sleep(1.0)

    def end(self):
        """The study ends, and the server has noticed."""
        store = Store(self.where)
        with store.writing() as connection:
            pools.control(connection, pools.require(connection)["study"], "end")
        store.close()
        time.sleep(1.0)

    def play(self, scenario, **given):
        """Runs a scenario; returns what it found after checking that the pages complained about nothing."""
        given |= {"scenario": scenario, "chromium": CHROMIUM, "link": self.link, "ownerLink": self.owner_link}
        command = ["node", str(FOLDER / "drive.mjs"), json.dumps(given)]
        driver = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        told = {}
        for line in driver.stdout:
            told = json.loads(line)
            if "ask" in told:
                getattr(self, told["ask"])()
                driver.stdin.write("true\n")
                driver.stdin.flush()
        driver.wait()
        assert "found" in told, told.get("failed", "the driver ended without a word")
        assert told["problems"] == []
        return told["found"]

    def answers(self):
        """The standing answers of each rater by place, as the rows of the database say; each place was seen before."""
        with sqlite3.connect(f"file:{self.where}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT rater, place, kind, value, uuid FROM events ORDER BY seq").fetchall()
        standing, seen = {}, set()
        for rater, place, kind, value, uuid in rows:
            if kind == "visible":
                seen.add((rater, place))
            elif kind == "undo":
                standing[rater, place].remove(next(a for a in standing[rater, place] if a[0] == json.loads(value)))
            else:
                assert (rater, place) in seen, "an answer to what wasn't seen"
                standing.setdefault((rater, place), []).append((uuid, json.loads(value)))
        assert all(len(found) <= 1 for found in standing.values()), "a place has two answers"
        by_rater = {}
        for (rater, _), found in sorted(standing.items()):
            by_rater.setdefault(rater, []).extend(value for _, value in found)
        return list(by_rater.values())


@pytest.fixture
def place(tmp_path):
    made = []

    def make(**settings):
        made.append(Place(tmp_path, **settings))
        return made[-1]

    yield make
    for one in made:
        one.kill()


@pytest.mark.parametrize(
    "scenario", ["keys", "undo", "offline", "restart", "reload", "leave", "tabs", "poor", "mail", "between"]
)
def test_each_answer_is_stored_once_whatever_happens(place, scenario):
    study = place()
    found = study.play(scenario)
    assert study.answers() == [found["answers"]]
    if "count" in found:
        assert found["count"] == f"{len(found['answers'])} of 200"


@pytest.mark.parametrize("mode", ["like", "rating", "pair", "grid"])
def test_a_tap_is_an_answer_on_a_phone(place, mode):
    study = place(mode=mode)
    found = study.play("taps", mode=mode)
    assert study.answers() == [found["answers"]]


def test_a_grid_by_keys_and_by_focus(place):
    study = place(mode="grid")
    found = study.play("gridKeys")
    assert study.answers() == [found["answers"]]


def test_left_is_left_in_a_language_from_right_to_left(place):
    study = place(mode="pair", words={"lang": "ar", "dir": "rtl"})
    found = study.play("rtl")
    assert study.answers() == [found["answers"]]


def test_who_has_withdrawn_is_told_so_and_may_come_again(place):
    study = place()
    found = study.play("withdrawn")
    assert study.answers() == [found["answers"]]


def test_an_image_that_does_not_come_holds_up_no_other(place):
    study = place()
    note = study.play("blocked")["note"]
    assert note == words.WORDS["image_late"]
    with sqlite3.connect(f"file:{study.where}?mode=ro", uri=True) as database:
        rows = database.execute("SELECT place, kind, value FROM events WHERE kind != 'visible' ORDER BY seq").fetchall()
    liked = [(place, value) for place, kind, value in rows if kind == "like"]
    assert liked == [(1, "1"), (2, "1"), (4, "0"), (5, "1"), (6, "1"), (7, "1"), (3, "0")]


def test_a_browser_without_cookies_is_told_so(place):
    assert place().play("cookies")["title"] == words.WORDS["cookies_title"]


def test_whoever_agrees_when_the_study_has_ended_is_told_so(place):
    study = place()
    study.play("late")
    assert study.answers() == []


def test_two_raters_of_one_browser_never_mix(place):
    study = place()
    found = study.play("raters")
    assert study.answers() == found["raters"]


def test_a_natural_end_and_the_completion_code(place):
    study = place(answers_per_rater=4, pause_every=2, completion_code="HX7-Q2M")
    found = study.play("end")
    assert found["code"] == "HX7-Q2M"
    assert study.answers() == [found["answers"]]


def test_words_of_the_owner_are_shown_as_written_and_run_nothing(place):
    evil = "<img src=x onerror=window.hit=1>"
    study = place(
        name=evil,
        question=evil,
        instructions=evil,
        consent=f"<script>window.hit=1</script>{evil}",
        labels={"like": evil},
    )
    found = study.play("words")
    assert (found["title"], found["question"], found["like"]) == (evil, evil, evil)
    assert found["images"] == 1


def test_the_owner_sees_answers_come_pauses_and_closes(place):
    study = place(wanted=20)
    found = study.play("owner")
    assert study.answers() == [found["answers"]]


def test_the_owner_reads_that_the_database_is_away_until_it_is_back(place):
    study = place(wanted=20)
    assert study.play("refused") == {"answers": 3}
    assert [len(rater) for rater in study.answers()] == [3]


def test_two_owners_pages_in_one_browser_act_on_their_own_studies(place):
    study = place(name="one")
    studies.begin(study.where, name="two")
    with sqlite3.connect(f"file:{study.where}?mode=ro", uri=True) as database:
        tokens = dict(database.execute("SELECT name, owner_token FROM studies").fetchall())
    site = study.owner_link.partition("/owner/")[0]
    found = study.play("owners", ownerLinks=[f"{site}/owner/{tokens[name]}" for name in ("one", "two")])
    assert found == {"names": ["one", "two"], "states": ["Paused", "Open"]}


@pytest.mark.parametrize(
    "words", [{}, {"undo": "Letzte Antwort zurücknehmen", "skip": "Das kann ich nicht beurteilen"}]
)
@pytest.mark.parametrize("mode", ["like", "rating", "pair", "grid"])
def test_at_200_percent_everything_is_in_reach(place, mode, words):
    for size in place(mode=mode, words=words).play("zoom")["found"]:
        assert size["sideways"] <= 0 and size["below"] <= 0, size
        assert size["smallest"] >= (44 if size["size"] in ("phone", "desktop") else 24), size
        assert size["image"] >= {"phone": 100, "desktop": 140, "zoomed": 60, "small": 24}[size["size"]], size


@pytest.mark.parametrize("mode", ["like", "rating", "pair", "grid"])
def test_axe_finds_nothing(place, mode):
    found = place(mode=mode, pause_every=2).play("axeRules")
    assert len(found["states"]) == 12
    assert found["violations"] == []


@pytest.mark.parametrize("mode", ["like"])
def test_the_next_image_comes_with_the_key(place, mode, capsys):
    study = place(mode=mode, pause_every=1000)
    found = study.play("fast", count=60)
    with capsys.disabled():
        print(f"\nkey to next painted image: p50 {found['p50']} ms, p95 {found['p95']} ms, longest {found['most']} ms")
    assert found["late"] == 0
    assert study.answers() == [found["answers"]]


def test_the_pages_are_small():
    folder = Path(sys.modules["pir_tf.people.server"].__file__).parent / "page"
    rate = sum(
        os.path.getsize(folder / name)
        for name in ("rate.html", "rate.css", "rate.js", "answers.js", "pictures.js", "icon.svg")
    )
    assert rate < 60_000
