"""What the owner does with the rows: status, export, withdrawal, preview, backup, and the report from the database alone."""

import csv
import importlib.util
import json
import sqlite3
from pathlib import Path

import pytest
from studies import Browser, begin, served

from pir_tf.cli import main
from pir_tf.estimator import ridge
from pir_tf.people import counted, keeping, pools
from pir_tf.people.store import Store


@pytest.fixture(scope="module")
def rated(tmp_path_factory):
    """A database with 12 answers of one rater and 6 of another, whose link has an id."""
    where = tmp_path_factory.mktemp("rated") / "study.db"
    key = begin(where, images=40, wanted=100, repeats=0, shared=0)
    with served(where) as server:
        for rater, count in (("", 12), ("%3D1%2B1", 6)):
            browser = Browser(server, rater=rater).join()
            for number in range(count):
                browser.answer(browser.slots(1)[0], "like", int(number % 3 > 0))
    return where, key


@pytest.fixture
def study(rated, tmp_path):
    """A test's own copy of it."""
    where, key = rated
    store = Store(where)
    store.backup(tmp_path / "study.db")
    store.close()
    return tmp_path / "study.db", key


def test_status_says_who_answers_and_what_is_missing(study, capsys):
    assert main(["people", "status", str(study[0])]) == 0
    said = capsys.readouterr().out
    assert "18 of 100 answers, 0 skipped, 0 seen and not answered; 40 images; open" in said
    assert said.count("1.0 s each") == 2 and "12 answers" in said and "6 answers" in said


def test_every_row_is_exported_and_no_cell_is_a_formula(study, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["people", "export", str(study[0]), "--to", str(folder)]) == 0
    tables = {path.stem: list(csv.DictReader(path.open())) for path in folder.glob("*.csv")}
    counts = {name: len(rows) for name, rows in tables.items()}
    assert counts == {"images": 40, "raters": 2, "impressions": 18, "events": 36, "controls": 1}
    assert {row["rater"] for row in tables["events"]} == {row["rater"] for row in tables["raters"]}
    assert not any("=1+1" in cell for rows in tables.values() for row in rows for cell in row.values())
    documented = (folder / "README.md").read_text()
    assert all(f"`{name}.csv`" in documented for name in tables)
    assert main(["people", "export", str(study[0]), "--to", str(folder)]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert [keeping.defused(cell) for cell in ("=1", "+1", "-1", "@a", "a=1", -1, None)] == [
        *("'=1", "'+1", "'-1", "'@a", "a=1"), -1, None,
    ]  # fmt: skip


def test_an_export_is_whole_or_not_there(study, tmp_path, monkeypatch):
    written, write = [], keeping._write

    def full(connection, chosen, path):
        written.append(path)
        if len(written) == 4:
            path.write_text("half")
            raise OSError(28, "No space left on device")
        return write(connection, chosen, path)

    store, folder = Store(study[0]), tmp_path / "out"
    monkeypatch.setattr(keeping, "_write", full)
    with pytest.raises(OSError, match="No space"):
        keeping.export(store, "", folder)
    assert {path.name for path in tmp_path.iterdir()} == {"study.db"}
    folder.mkdir()
    monkeypatch.chdir(folder)
    assert keeping.export(store, "", Path("."))["events.csv"] == 36 and len(list(folder.iterdir())) == 6
    assert (
        len(keeping.export(store, "", tmp_path / "new" / "one")) == len(list((tmp_path / "new" / "one").iterdir())) - 1
    )
    store.close()


def test_what_holds_tokens_and_ids_is_its_owners_alone_and_withdrawn_is_overwritten(study, tmp_path, monkeypatch):
    assert study[0].stat().st_mode & 0o077 == 0  # a backup
    Store(tmp_path / "new.db", create=True).close()
    assert (tmp_path / "new.db").stat().st_mode & 0o077 == 0
    (tmp_path / "mine.db").touch(mode=0o640)
    Store(tmp_path / "mine.db", create=True).close()
    assert (tmp_path / "mine.db").stat().st_mode & 0o777 == 0o640
    store = Store(study[0])
    with store.reading() as connection:
        assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1
    keeping.withdraw(store, "", "=1+1")
    store.close()
    assert b"o:=1+1" not in study[0].read_bytes()


@pytest.mark.parametrize("alike", [False, True])
def test_what_nothing_could_be_learnt_from_is_not_closed(tmp_path, capsys, alike):
    """A closed round is never opened again: its loop would have ended there."""
    where = tmp_path / "study.db"
    begin(where, images=40, repeats=0, shared=0)
    close = lambda: main(["people", "close", str(where)])  # noqa: E731
    with served(where) as server:
        browser = Browser(server).join()
        for number in range(9 + alike):
            browser.answer(browser.slots(1)[0], "like", int(number % 3 > 0 or alike))
        assert close() == 2
        said = capsys.readouterr().err
        assert ("All 10 answers of round 1 say the same" if alike else "answers to 9 images") in said
        browser.answer(browser.slots(1)[0], "like", 0)
        assert close() == 0
    proof = tmp_path / "proof.db"
    begin(proof, images=40, pool="proof")
    assert main(["people", "close", str(proof)]) == 0
    assert counted.FEWEST == ridge.FEWEST


def test_a_new_study_is_not_over_already(tmp_path, capsys):
    assert main(["people", "begin", str(tmp_path / "study.db"), "--ends", "2020-01-01"]) == 2
    assert "ends = '2020-01-01', expected today (UTC) or a later day" in capsys.readouterr().err


def test_a_person_who_withdraws_is_gone_from_every_table_and_from_a_running_server(study, capsys):
    where, key = study
    store = Store(where)
    with store.writing() as connection:
        pools.note(connection, key, "run", 1, "random", "../runs/first")
    with served(where) as server:
        other = Browser(server).join()
        assert main(["people", "withdraw", str(where), "=1+1"]) == 0
        said = capsys.readouterr().out
        assert "12 rows of events" in said and "6 rows of impressions" in said and "../runs/first" in said
        other.answer(other.slots(1)[0], "like", 1)
    assert main(["people", "withdraw", str(where), "=1+1"]) == 2
    assert main(["people", "withdraw", str(where), "\udcff"]) == 2  # no name that UTF-8 can write
    assert "0 raters called '=1+1'" in capsys.readouterr().err
    with store.reading() as connection:
        assert sum(slot.counted is not None for slot in counted.slots(connection, key)) == 13
    store.close()


def test_a_preview_records_nothing_and_a_backup_is_whole(study, tmp_path, capsys):
    where, _ = study
    store = Store(where)
    keeping.preview(store, "", tmp_path / "preview.db")
    before = where.read_bytes()
    with served(tmp_path / "preview.db") as server:
        browser = Browser(server).join()
        assert browser.ask("GET", "/api/study")[1]["study"] == "Preview"
        browser.answer(browser.slots(1)[0], "like", 1)
    assert where.read_bytes() == before
    assert main(["people", "backup", str(where), "--to", str(tmp_path / "copy.db")]) == 0
    assert main(["people", "backup", str(where), "--to", str(tmp_path / "copy.db")]) == 2
    assert "exists already" in capsys.readouterr().err
    count = lambda path: sqlite3.connect(path).execute("select count(*) from events").fetchone()  # noqa: E731
    assert count(tmp_path / "copy.db") == count(where) == (36,)
    store.close()


def test_pause_resume_and_close_from_the_command_line_reach_a_running_server(study, capsys):
    with served(study[0]) as server:
        browser = Browser(server).join()
        slot = browser.slots(1)[0]
        for command, state in (("pause", "paused"), ("resume", "open"), ("close", "paused")):
            assert main(["people", command, str(study[0])]) == 0
            for _ in range(100):
                if browser.post([])["state"] == state:
                    break
                import time

                time.sleep(0.05)
            assert browser.post([], ahead=2)["state"] == state
        assert browser.answer(slot, "like", 1)["stored"]  # what was handed out may still be answered, and is kept
        assert browser.slots(4) == []


def test_the_report_is_drawn_from_the_database_alone(study, tmp_path, capsys):
    page = tmp_path / "report.html"
    assert main(["people", "report", str(study[0]), "--to", str(page)]) == 0
    text = page.read_text()
    assert "Not measured yet" in text and "18 answers of 2 people" in text and ">nan" not in text
    assert main(["people", "report", str(study[0]), "--to", str(page)]) == 0
    other = tmp_path / "mine.html"
    other.write_text("<p>mine</p>")
    assert main(["people", "report", str(study[0]), "--to", str(other)]) == 2
    assert other.read_text() == "<p>mine</p>" and "no report of pir_tf" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "{0}/none.db"], "is not there"),
        (["status", "{0}/text.db"], "file is not a database"),
        (["status", "{0}"], "is a folder"),
        (["status", "mysql://a@b/c"], "begins with mysql://"),
        (["plan", "--budget", "20"], "d"),
        (["report", "{0}/none.db", "--to", "r.html"], "is not there"),
        (["begin", "{0}/new.db", "--mode", "stars"], "invalid choice"),
        (["begin", "{0}/new.db", "--ends", "soon"], "a day as YYYY-MM-DD"),
        (["begin", "{0}/study.db", "--mode", "pair"], "mode like, expected pair"),
        (
            ["begin", "{0}/study.db", "--question", "Nice?"],
            "was begun with question 'Do you like this image?', not 'Nice?'",
        ),
        (["status", "{0}/study.db", "--study", "other"], "no study 'other'"),
    ],
)
def test_a_mistake_is_one_sentence(study, tmp_path, capsys, words, said):
    (tmp_path / "text.db").write_text("not a database, but long enough to be looked into")
    assert main(["people", *(word.format(tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ") and said in error and "Traceback" not in error and error.count("\n") == 1


def test_settings_are_json_that_a_page_can_hold(study):
    store = Store(study[0])
    with store.reading() as connection:
        assert json.loads(pools.require(connection)["settings"])["mode"] == "like"
    store.close()


@pytest.mark.parametrize(
    "words",
    [["people", "status", "study.db"], ["people", "begin", "study.db"], ["loop", "new"], ["loop", "demo", "new"]],
)
def test_an_installation_without_the_extra_says_what_to_install(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "fastapi" else found(name, *a))
    assert main(words) == 2
    assert capsys.readouterr().err == (
        "Error: Studies with people need fastapi, which this installation lacks: pip install '.[people]'.\n"
    )
    assert list(tmp_path.iterdir()) == []
    assert main(["people", "plan", "--budget", "1800"]) == 0
