"""What the commands of a study print and do around the server: the links, a preview, the secret, evidence and another server."""

import os
import resource
import socket
import subprocess
import sys
import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pytest
from office import Office
from studies import Browser, begin, event, served

from pir_tf.cli import main
from pir_tf.errors import InputError, Unavailable
from pir_tf.experiments import loop, study_command
from pir_tf.people import keeping, pools
from pir_tf.people.server import Server, public_origin, raters_url
from pir_tf.people.store import Store
from pir_tf.people.summary import read_summary
from pir_tf.report.people import write_people_report
from pir_tf.statistics.closing import EARLY, FULL


@pytest.fixture
def looked_at(monkeypatch):
    """What a command's server serves, looked at in place of waiting for a Ctrl-C."""
    seen = []

    def look(server):
        seen.append((server.links(), server.store.name))
        server.stop()
        server.store.close()
        server._socket.close()

    monkeypatch.setattr(Server, "run", look)
    return seen


def test_serve_prints_each_studys_two_links_and_says_who_else_can_open_them(tmp_path, looked_at, capsys):
    where = tmp_path / "study.db"
    begin(where, name="cats")
    assert main(["people", "serve", str(where)]) == 0
    said = capsys.readouterr().out
    [([(name, raters, owner)], _)] = looked_at
    assert name == "cats" and raters.startswith("http://127.0.0.1:") and raters in said and owner in said
    assert study_command.OPEN_TO_OTHERS not in said and said.endswith(f"{study_command.UP}\n")
    assert main(["people", "serve", str(where), "--host", "0.0.0.0"]) == 0
    assert study_command.OPEN_TO_OTHERS in capsys.readouterr().out


def test_a_database_without_a_study_is_served_and_says_so(tmp_path, looked_at, capsys):
    Store(tmp_path / "study.db", create=True).close()
    assert main(["people", "serve", str(tmp_path / "study.db")]) == 0
    assert "has no study yet; the page is at http://127.0.0.1:" in capsys.readouterr().out


def test_a_port_that_is_taken_is_one_sentence_at_once_and_waited_for_by_a_loop(
    tmp_path, looked_at, monkeypatch, capsys
):
    where = tmp_path / "study.db"
    begin(where)
    monkeypatch.setattr(study_command, "LAST_PAGE_SECONDS", 0.5)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        words = ["people", "serve", str(where), "--port", str(other.getsockname()[1])]
        assert main(words) == 2 and looked_at == []
        assert capsys.readouterr().err.startswith("Error: ")
        began = time.monotonic()
        assert main([*words, "--with-parent"]) == 2 and time.monotonic() - began > 0.5
        monkeypatch.setattr(study_command, "LAST_PAGE_SECONDS", 60)
        ended = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _: other.close())  # the last page
        monkeypatch.setattr(study_command, "time", ended)
        assert main([*words, "--with-parent"]) == 0
    assert len(looked_at) == 1


def test_a_preview_is_a_copy_that_is_gone_afterwards(tmp_path, looked_at, capsys):
    begin(tmp_path / "study.db", name="cats")
    before = (tmp_path / "study.db").read_bytes()
    assert main(["people", "preview", str(tmp_path / "study.db")]) == 0
    [([(name, raters, _)], database)] = looked_at
    said = capsys.readouterr().out
    assert name == "Preview" and raters in said and "nothing that is answered here is kept" in said
    assert not os.path.exists(database) and (tmp_path / "study.db").read_bytes() == before


def test_a_preview_that_is_ended_from_outside_leaves_no_copy(tmp_path):
    begin(tmp_path / "study.db")
    (tmp_path / "tmp").mkdir()
    words = [sys.executable, "-m", "pir_tf.experiments.study_command", "preview", str(tmp_path / "study.db")]
    preview = subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    )
    assert any(line == f"{study_command.UP}\n" for line in preview.stdout)
    assert list((tmp_path / "tmp").iterdir())
    time.sleep(1)
    preview.terminate()
    preview.wait(60)
    assert not list((tmp_path / "tmp").iterdir())


@pytest.mark.parametrize(
    ("given", "origin"),
    [
        ("https://Rate.example/", "https://rate.example"),
        ("https://rate.example:443", "https://rate.example"),
        ("http://rate.example:80/", "http://rate.example"),
        ("http://rate.example:443", "http://rate.example:443"),
        ("https://rate.example.:8443", "https://rate.example:8443"),
        ("https://b\u00fccher.example", "https://xn--bcher-kva.example"),
        ("https://stra\u00dfe.example", "https://xn--strae-oqa.example"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_a_public_address_is_what_browsers_send(given, origin):
    assert public_origin(given) == origin and raters_url("0.0.0.0", 8000, given) == origin


@pytest.mark.parametrize(
    "given",
    [
        "rate.example",
        "ftp://rate.example",
        "https://",
        "https://rate.example/page",
        "https://a@b.example",
        "https://\u2603.\u2603..example",
    ],
)
def test_another_is_one_sentence(given):
    with pytest.raises(
        InputError, match="^--public-url is .*, expected one like https://rate.example, without a path: correct it.$"
    ):
        public_origin(given)


def test_without_one_raters_get_the_machines_own():
    machine = socket.gethostname()
    assert raters_url("127.0.0.1", 8000) == "http://127.0.0.1:8000" and raters_url("::1", 8000) == "http://[::1]:8000"
    assert {raters_url(host, 8000) for host in ("", "0.0.0.0", "::")} == {f"http://{machine}:8000"}


def test_a_server_takes_as_many_lines_as_the_system_lets_it(tmp_path):
    where = tmp_path / "study.db"
    begin(where)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
        with served(where) as server:
            Browser(server).join()
            now = resource.getrlimit(resource.RLIMIT_NOFILE)
            assert now == (min(65_536, hard) if hard != resource.RLIM_INFINITY else 65_536, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_secret_is_the_one_that_the_server_takes(tmp_path, capsys):
    begin(tmp_path / "study.db", images=4)
    assert main(["people", "secret", str(tmp_path / "study.db")]) == 0
    secret = capsys.readouterr().out.strip()
    with served(tmp_path / "study.db") as server:
        for word, status in ((secret, 200), (secret[:-1], 401)):
            asked = Browser(server).ask("POST", "/impressions", {"user": "u"}, {"Authorization": f"Bearer {word}"})
            assert asked[0] == status


def test_a_database_that_fails_during_a_command_is_one_sentence(tmp_path, monkeypatch, capsys):
    begin(tmp_path / "study.db")

    def full(*_):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(pools, "control", full)
    assert main(["people", "pause", str(tmp_path / "study.db")]) == 2
    assert capsys.readouterr().err == (
        f"Error: The database {tmp_path}/study.db can't be used now (the disk is full): mend that, and repeat the command.\n"
    )


def convinced(office, raters, each, *, slips=False):
    """A proof whose raters like what comes after and nothing that comes before, but for every seventh answer if they slip."""
    _, items = office.counted("proof")
    after = dict(zip(items.item.tolist(), (items.side == "after").tolist(), strict=True))
    for rater in range(raters):
        number = office.enroll(f"n:{rater}")
        for _ in range(each):
            for slot in office.hand_out(number):
                office.answer(number, slot, value=int(after[slot.items[0]] ^ (slips and slot.place % 7 == 0)))


def test_a_proof_that_may_stop_early_is_closed_by_its_evidence_alone(tmp_path, monkeypatch, capsys):
    office = Office(tmp_path / "study.db", images=40, pool="proof", wanted=5000, repeats=0, shared=0)
    settings = SimpleNamespace(study="", stop="e-value")
    convinced(office, raters=1, each=4)
    assert main(["people", "status", str(tmp_path / "study.db")]) == 0
    assert "evidence (e-value) " in (said := capsys.readouterr().out) and "enough to stop at 2,000" in said
    convinced(office, raters=20, each=20)
    with office.store.reading() as connection:
        assert pools.state(connection, office.key).open  # nobody closes it but the loop
    clock = SimpleNamespace(
        time=time.time, monotonic=time.monotonic, sleep=lambda _: pytest.fail("it waits for more answers")
    )
    monkeypatch.setattr(loop, "time", clock)
    loop.wait_for_answers(settings, office.store, 1)
    with office.store.reading() as connection:
        state = pools.state(connection, office.key)
    assert not state.open and state.pool(1, "proof").why == EARLY
    office.store.close()


def test_a_proof_that_a_rater_leaves_afterwards_keeps_its_verdict(tmp_path):
    office = Office(tmp_path / "study.db", images=40, pool="proof", wanted=120, repeats=0, shared=0)
    convinced(office, raters=12, each=20, slips=True)

    def proof():
        return read_summary(office.store)["proof"]

    assert proof()["closed"] == FULL.format(120) and proof()["verdict"] == "gain" and proof()["answers"] == 120
    with office.store.reading() as connection:
        name = connection.exec_driver_sql("select pseudonym from raters order by rater").scalar()
    answers = keeping.withdraw(office.store, "", name)[0]["impressions"]
    left = proof()
    assert left["verdict"] == "gain" and left["answers"] == 120 - answers < 120
    assert left["sentence"].endswith(f"; {answers} of 120 answers were withdrawn since.")
    office.store.close()


@pytest.mark.parametrize("mode", ["like", "pair", "grid"])
def test_a_preview_of_a_proof_shows_images_of_both_sides(tmp_path, mode):
    office = Office(tmp_path / "study.db", images=200, pool="proof", mode=mode)
    keeping.preview(office.store, "", tmp_path / "preview.db")
    office.store.close()
    with served(tmp_path / "preview.db") as server:
        assert len(Browser(server).join().slots(4)) == 4


def test_who_came_by_the_page_and_by_the_teams_own_is_withdrawn_from_both(tmp_path):
    office = Office(tmp_path / "study.db", images=12, repeats=0, shared=0)
    for name in ("o:ann", "x:ann", "o:bob"):
        office.enroll(name)
    assert keeping.withdraw(office.store, "", "ann")[0]["raters"] == 2
    with pytest.raises(InputError, match="has 0 raters called 'ann'"):
        keeping.withdraw(office.store, "", "ann")
    office.store.close()


@pytest.mark.parametrize("why", [EARLY, "the owner"])
def test_the_report_says_at_which_size_the_test_was_made(tmp_path, why):
    office = Office(tmp_path / "study.db", images=40, pool="proof", wanted=5000, repeats=0, shared=0)
    convinced(office, raters=10, each=20)
    with office.store.writing() as connection:
        pools.close_pools(connection, office.key, why)
    page = write_people_report(read_summary(office.store), tmp_path / "report.html").read_text()
    office.store.close()
    assert "Asking stopped at 200 answers, when the evidence was enough" in page and "set before" not in page


def test_the_report_of_an_open_proof_by_grids_counts_grids(tmp_path):
    office = Office(tmp_path / "study.db", images=400, pool="proof", mode="grid", wanted=100, repeats=0, shared=0)
    for rater in range(3):
        number = office.enroll(f"n:{rater}")
        for _ in range(4):
            [slot] = office.hand_out(number)
            office.answer(number, slot, "choice", [0, 4])
    page = write_people_report(read_summary(office.store), tmp_path / "report.html").read_text()
    office.store.close()
    assert "The proof is open: 12 of 100 answers are there." in page


def test_an_open_proof_has_no_verdict_without_doubtful_raters_either(tmp_path):
    office = Office(tmp_path / "study.db", images=300, pool="proof", wanted=704, repeats=0)
    rng, numbers = np.random.default_rng(0), [office.enroll(f"o:{rater}") for rater in range(8)]
    with office.store.reading() as connection:
        side = dict(connection.exec_driver_sql("select item, side from items").fetchall())

    def judge(count):
        for rater, number in enumerate(numbers):
            for _ in range(count):
                [slot] = office.hand_out(number)
                hasty = rater == 7  # always the same answer, faster than one sees
                liked = hasty or rng.random() < (0.9 if side[slot.items[0]] == "after" else 0.2)
                at = 5000.0 * slot.place
                place, after = {"place": slot.place}, 100 if hasty else 1200
                office.record(number, [event(place, "visible", at=at), event(place, "like", int(liked), at=at + after)])
        return read_summary(office.store)["proof"]

    some, all_of_them = judge(40), judge(48)
    office.store.close()
    assert some["doubtful"] == 1 and some["verdict"] == "not measured yet" and some["without_doubtful"] is None
    assert all_of_them["verdict"] == "gain" and all_of_them["without_doubtful"]["verdict"] == "gain"


def test_a_proof_in_which_nothing_could_be_tested_is_no_finding(tmp_path):
    office = Office(tmp_path / "study.db", images=40, pool="proof", wanted=24, repeats=0, shared=0)
    for rater in range(3):
        number = office.enroll(f"n:{rater}")
        for _ in range(8):
            for slot in office.hand_out(number):
                office.answer(number, slot)
    found = read_summary(office.store)
    page = write_people_report(found, tmp_path / "report.html").read_text()
    office.store.close()
    assert found["proof"]["verdict"] == "undefined" and "<h1>No result</h1>" in page and "No difference" not in page


def test_status_says_what_the_teams_own_page_sent(tmp_path, capsys):
    office = Office(tmp_path / "study.db", images=12, repeats=0, shared=0)
    slot, _ = office.do(
        lambda connection, desk: desk.hand_out(connection, desk.enroll(connection, "x:u"), 2, outside=True)
    )
    user = office.do(lambda connection, desk: desk.enroll(connection, "x:u")).number
    office.record(user, [event({"place": slot.place}, kind) for kind in ("visible", "click")])
    office.store.close()
    assert main(["people", "status", str(tmp_path / "study.db")]) == 0
    assert "your own page: 2 images taken; events: 1 visible, 1 click" in capsys.readouterr().out


@pytest.mark.slow
def test_a_page_ends_with_the_loop_that_began_it(tmp_path):
    begin(tmp_path / "study.db")
    serve = [sys.executable, "-m", "pir_tf.cli", "people", "serve", str(tmp_path / "study.db"), "--with-parent"]
    starts_it = f"import subprocess, time; subprocess.Popen({serve!r}); time.sleep(600)"
    parent = subprocess.Popen([sys.executable, "-c", starts_it], stdout=subprocess.PIPE, text=True)
    said = iter(parent.stdout.readline, "")
    url = next(line.split()[-1] for line in said if "for raters" in line)
    next(line for line in said if line.strip() == study_command.UP)
    parent.kill()
    parent.wait()
    with pytest.raises(OSError):
        for _ in range(200):
            urllib.request.urlopen(url, timeout=5)
            time.sleep(0.1)


def test_a_loop_that_is_interrupted_ends_with_130_and_says_what_is_kept(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "run", interrupted)
    assert main(["loop", str(tmp_path / "a"), "--budget", "1800"]) == 130
    assert capsys.readouterr().err == (
        "\nInterrupted: answers, finished stages and checkpoints are kept; the same command goes on.\n"
    )
    assert (tmp_path / "a" / "loop.json").exists()
