"""The database: commits together, rollbacks, full disks, read-only files, other people's files, one server, no password shown."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import numpy as np
import sqlalchemy
import studies
from studies import Browser, begin, event, served

from pir_tf.errors import InputError
from pir_tf.people import counted, pools, schema
from pir_tf.people.places import file_system
from pir_tf.people.store import Store, Unavailable, masked
from pir_tf.people.study import Study


@pytest.fixture
def store(database):
    """A store with its writer running, which counts how often it was told to reload."""
    Store(database, create=True).close()
    store = Store(database)
    store.reloads = 0

    def reload():
        store.reloads += 1

    store.serve(reload)
    yield store
    store.close()


def named(name):
    """A job that adds a study of this name."""
    return lambda connection: pools.begin(connection, Study(name=name))["name"]


def names(store):
    with store.reading() as connection:
        return sorted(connection.execute(sqlalchemy.select(schema.studies.c.name)).scalars())


def held_up(store):
    """Keeps the writer busy until it is set, so that what comes meanwhile waits together."""
    go, busy = threading.Event(), threading.Event()
    store.write(lambda connection: (busy.set(), go.wait(10)))
    assert busy.wait(10)
    return go


def test_jobs_that_wait_share_one_commit(store):
    commits = []
    sqlalchemy.event.listen(store._engine, "commit", lambda connection: commits.append(1))
    go = held_up(store)
    futures = [store.write(named(f"s{i}")) for i in range(50)]
    go.set()
    assert [future.result(10) for future in futures] == [f"s{i}" for i in range(50)]
    assert len(commits) == 2 and len(names(store)) == 50


def test_a_job_that_fails_takes_no_other_with_it(store):
    go = held_up(store)
    good = [store.write(named(f"s{i}")) for i in range(5)]
    bad = store.write(lambda connection: (named("half")(connection), 1 / 0))
    double = store.write(lambda connection: connection.execute(sqlalchemy.text("INSERT INTO about VALUES (NULL)")))
    more = [store.write(named(f"t{i}")) for i in range(5)]
    go.set()
    assert [future.result(10) for future in good + more]
    with pytest.raises(ZeroDivisionError):
        bad.result(10)
    with pytest.raises(sqlalchemy.exc.IntegrityError):
        double.result(10)
    assert names(store) == sorted([f"s{i}" for i in range(5)] + [f"t{i}" for i in range(5)])
    assert store.reloads >= 3


def test_a_cancelled_wait_leaves_the_writer_alive(store):
    go = held_up(store)
    gone = store.write(named("gone"))
    assert gone.cancel()
    after = store.write(named("after"))
    go.set()
    assert after.result(10) == "after" and names(store) == ["after"]
    assert not after.cancel()


def test_a_reload_that_fails_is_made_up_for_before_the_next_job(database):
    Store(database, create=True).close()
    store, told = Store(database), []

    def reload():
        told.append(1)
        if len(told) < 3:
            raise Unavailable("gone")

    store.serve(reload)
    with pytest.raises(ZeroDivisionError):
        store.write(lambda connection: 1 / 0).result(10)
    for _ in range(2):
        with pytest.raises(Unavailable):
            store.write(named("early")).result(10)
    assert store.write(named("late")).result(10) == "late" and len(told) == 3
    assert names(store) == ["late"]
    store.close()


def test_a_server_takes_in_what_others_did_before_each_transaction(database):
    Store(database, create=True).close()
    store, seen = Store(database), []
    store.serve(lambda: None, lambda connection: seen.append(len(names_of(connection))))
    other = Store(database)
    with other.writing() as connection:
        named("theirs")(connection)
    store.write(lambda connection: None).result(10)
    assert seen == [1]
    store.close()
    other.close()


def names_of(connection):
    return connection.execute(sqlalchemy.select(schema.studies.c.name)).scalars().all()


def test_a_reader_sees_one_state(database):
    store = Store(database, create=True)
    with store.reading() as connection:
        before = names_of(connection)
        writing = threading.Thread(target=_write_one, args=(database,))
        writing.start()
        time.sleep(0.3)
        assert names_of(connection) == before
    writing.join()
    assert names(store) == ["other"]
    store.close()


def test_a_snapshot_is_one_state_and_keeps_no_writer_waiting(database):
    key = begin(database, images=7)
    store = Store(database)
    with store.reading() as connection:
        wanted = counted.items(connection, key, 1, ["random"])
    with store.snapshot() as connection:
        before = names_of(connection)
        _write_one(database)  # at once, in this very thread
        assert names_of(connection) == before
        found = counted.items(connection, key, 1, ["random"])
        assert found.sha256 == wanted.sha256 and found.item.tolist() == wanted.item.tolist()
    assert len(names(store)) == len(before) + 1
    store.close()


def _write_one(database):
    other = Store(database)
    with other.writing() as connection:
        named("other")(connection)
    other.close()


def test_one_server_for_a_database_by_any_name(database, tmp_path):
    begin(database)
    with served(database):
        places = [database]
        if "://" not in database:
            (tmp_path / "link.db").symlink_to(database)
            places += [str(tmp_path / "link.db"), f"sqlite:///{database}"]
        for place in places:
            with pytest.raises(InputError, match="Another server serves .* already"):
                with served(place):
                    pass
    with served(database):
        pass


def test_opening_a_served_file_again_keeps_the_locks(tmp_path):
    """A file that is opened and closed beside SQLite loses the process's locks on it."""
    begin(tmp_path / "a.db")
    store = Store(tmp_path / "a.db")
    with store.writing() as connection:
        named("mine")(connection)
        Store(tmp_path / "a.db").close()
        code = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0, isolation_level=None).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", code, tmp_path / "a.db"], capture_output=True, text=True)
        assert "locked" in other.stderr
    store.close()


class Full:
    """Sets how many pages SQLite's file may have, for all connections of a store."""

    def __init__(self, store):
        self.store, self.most = store, 0
        sqlalchemy.event.listen(store._engine, "begin", self.set)

    def set(self, connection):
        connection.exec_driver_sql(f"PRAGMA max_page_count={self.most or 2**30}")


def test_a_full_disk_refuses_and_loses_nothing(tmp_path):
    begin(tmp_path / "a.db", images=400, answers_per_rater=1000, repeats=0.0)
    with served(tmp_path / "a.db") as server:
        full = Full(server.store)
        browser = Browser(server).join()
        slots, stored, refused = browser.slots(8), {}, []
        for slot in slots[:4]:
            sent = event(slot, "like", 1)
            browser.post([sent])
            stored[sent["uuid"]] = sent
        with server.store.reading() as connection:
            full.most = connection.exec_driver_sql("PRAGMA page_count").scalar()
        for number in range(400):
            sent = event(slots[4 + number % 4], "like", number % 2)
            status, reply, headers = browser.ask("POST", "/api/events", {"events": [sent] * 1, "ahead": 8})
            assert status in (200, 503), reply
            if status == 200:
                stored[sent["uuid"]] = sent
            else:
                assert headers["Retry-After"] and "nothing is lost" in reply["error"]
                refused.append(sent)
            if len(refused) > 5:
                break
        assert len(refused) > 5
        assert browser.ask("GET", "/api/study")[1]["progress"]["answered"] == len(rated(server)) >= 4
        full.most = 0
        assert browser.post(refused)["stored"] == [sent["uuid"] for sent in refused]
        stored |= {sent["uuid"]: sent for sent in refused}
        assert uuids(server) == sorted(stored)


def rated(server):
    """Places with an answer, by the rows."""
    with server.store.reading() as connection:
        rows = connection.execute(sqlalchemy.select(schema.events.c.place).where(schema.events.c.kind == "like"))
        return set(rows.scalars())


def uuids(server):
    """Of all events in the database."""
    with server.store.reading() as connection:
        return sorted(connection.execute(sqlalchemy.select(schema.events.c.uuid)).scalars())


def test_a_file_that_is_read_only():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        _read_only(Path(folder))


def _read_only(folder):
    begin(folder / "a.db")
    code = """
import os, sys
import sqlalchemy.dialects.sqlite
from pir_tf.people import routes
from pir_tf.people.server import Server
from pir_tf.people.store import Store
from pir_tf.errors import InputError
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = Store(sys.argv[1])  # it may be looked at
with store.reading() as connection:
    print(len(connection.exec_driver_sql("SELECT * FROM studies").all()))
try:
    Server(sys.argv[1])
except InputError as error:
    print(error)
"""
    os.chmod(folder / "a.db", 0o444)
    for mode, words in ((0o555, "can't be written .Permission denied"), (0o777, "can't be written to .*readonly")):
        os.chmod(folder, mode)
        done = subprocess.run([sys.executable, "-c", code, folder / "a.db"], capture_output=True, text=True)
        assert not done.stderr and done.stdout.startswith("1\n"), done.stderr
        assert re.search(words, done.stdout) and done.stdout.count("\n") == 2


def test_a_disk_that_turns_read_only_refuses_and_goes_on(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db") as server:
        browser = Browser(server).join()
        slot = browser.slots(1)[0]
        only = [1]
        sqlalchemy.event.listen(
            server.store._engine, "begin", lambda connection: connection.exec_driver_sql(f"PRAGMA query_only={only[0]}")
        )
        assert browser.ask("POST", "/api/events", {"events": [event(slot, "like", 1)]})[0] == 503
        only[0] = 0
        assert browser.ask("POST", "/api/events", {"events": [event(slot, "like", 1)]})[0] == 200


def test_other_files_are_refused_in_one_sentence(tmp_path):
    (tmp_path / "text").write_text("a text\n" * 1000)
    os.mkfifo(tmp_path / "fifo")
    with contextlib.closing(sqlite3.connect(tmp_path / "theirs.db")) as other:
        other.execute("CREATE TABLE customers (name)")
        other.execute("CREATE TABLE about (text)")
        other.commit()
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("text", "file is not a database"),
        ("fifo", "no ordinary file"),
        ("theirs.db", "holds about, customers, expected a study's tables"),
        ("folder", "is a folder"),
        ("text/below", "is not there|Not a directory|File exists"),
        ("x" * 300, "is not there|File name too long"),
        ("", "folder"),
    ):
        for create in (False, True):
            with pytest.raises(InputError, match=words) as caught:
                Store(tmp_path / name, create=create)
            assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="is not there, expected a study's database"):
        Store(tmp_path / "absent.db")
    assert not (tmp_path / "absent.db").exists()
    for name in ("", "a\0b", "sqlite://", "sqlite:///:memory:", "mysql://u:geheim@h/d", "postgresql://h:port/d"):
        with pytest.raises(InputError) as caught:
            Store(name)
        assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("version", [0, 2])
def test_another_schema_is_named(database, version):
    store = Store(database, create=True)
    with store.writing() as connection:
        connection.execute(schema.about.update().values(schema_version=version))
        if not version:
            connection.execute(sqlalchemy.text("DROP TABLE controls"))
    store.close()
    with pytest.raises(InputError, match=f"has schema {version}, expected {schema.VERSION}"):
        Store(database)


def test_two_that_make_one_database_at_once(database):
    failed = []

    def make():
        try:
            Store(database, create=True).close()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store = Store(database)
    with store.reading() as connection:
        assert connection.execute(sqlalchemy.select(schema.about)).all() == [(schema.VERSION,)]
    store.close()
    assert not failed


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_network_file_systems_are_refused(tmp_path, monkeypatch, kind):
    mounts = tmp_path / "mounts"
    there = str(tmp_path / "my share").replace(" ", "\\040")
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/x {there} {kind} rw 0 0\nbroken line\n")
    (tmp_path / "my share").mkdir()
    assert file_system(tmp_path / "my share" / "a.db", mounts) == kind
    assert file_system(tmp_path / "my share2" / "a.db", mounts) == "ext4"
    (tmp_path / "elsewhere").symlink_to(tmp_path / "my share")
    assert file_system(tmp_path / "elsewhere" / "a.db", mounts) == kind
    monkeypatch.setattr(file_system, "__defaults__", (mounts,))
    with pytest.raises(InputError, match=f"network file system .{kind}.*PostgreSQL"):
        Store(tmp_path / "my share" / "a.db", create=True)
    assert file_system(tmp_path, tmp_path / "absent") == ""


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://rater:geheim@db.example/study",
        "postgresql://rater@db.example/study?password=geheim",
        "postgres://rater:geheim@db.example:5433/study?sslmode=require&sslpassword=geheim",
    ],
)
def test_a_password_is_never_shown(url, caplog, capfd):
    shown = masked(url)
    assert "geheim" not in shown and "rater" in shown and "db.example" in shown and "study" in shown
    url = url.replace("db.example:5433", "127.0.0.1:1").replace("db.example", "127.0.0.1:1")
    with pytest.raises(InputError) as caught:
        Store(url)
    assert "geheim" not in repr(caught.value)
    assert "geheim" not in caplog.text + "".join(capfd.readouterr())


def test_a_backup_is_whole_while_it_is_served(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db") as server:
        browser = Browser(server).join()
        for slot in browser.slots(8):
            browser.answer(slot, "like", 1)
        server.store.backup(tmp_path / "copy.db")
        assert [name for name in os.listdir(tmp_path) if name.endswith(".tmp")] == []
        with pytest.raises(InputError, match="exists already"):
            server.store.backup(tmp_path / "copy.db")
        with pytest.raises(InputError, match="can't be written"):
            server.store.backup(tmp_path / "absent" / "copy.db")
        wanted = uuids(server)
    with served(tmp_path / "copy.db") as server:
        assert uuids(server) == wanted and len(wanted) == 16


def test_numbers_of_deleted_rows_never_come_again(database):
    """A late answer with the number of one from before the close would count."""
    key = begin(database)
    store = Store(database)
    row = {"study": key, "rater": 1, "place": 1, "kind": "like", "value": "1", "page": "", "body": "", "received": 0.0}
    with store.writing() as connection:
        numbers = [
            connection.execute(schema.events.insert().values(uuid=f"uuid{i}", **row)).inserted_primary_key[0]
            for i in (1, 2)
        ]
        connection.execute(schema.events.delete())
    with store.writing() as connection:
        again = connection.execute(schema.events.insert().values(uuid="uuid3", **row)).inserted_primary_key[0]
    assert again > max(numbers)
    store.close()


@pytest.mark.nightly
def test_postgresql_killed_and_started_again(postgres):
    if postgres.given:
        pytest.skip("the server that PIR_TF_TEST_POSTGRES names isn't ours to kill")
    url = postgres.new()
    begin(url, images=200, answers_per_rater=1000)
    with served(url) as server:
        browser = Browser(server).join()
        acknowledged, waiting = [], browser.slots(8)
        for number in range(60):
            slot = waiting[0]
            sent = [event(slot, "visible"), event(slot, "like", number % 2)]
            if number in (20, 40):
                postgres.kill()
                status, _, headers = browser.ask("POST", "/api/events", {"events": sent, "ahead": 8})
                assert status == 503 and headers["Retry-After"]
                assert browser.ask("GET", "/api/study")[0] == 200
                postgres.start()
            reply = browser.post(sent, ahead=8)
            assert len(reply["stored"]) == 2
            acknowledged += reply["stored"]
            waiting = reply["slots"]
        assert uuids(server) == sorted(acknowledged)
        assert sorted(rated(server)) == list(range(1, 61))


@pytest.mark.nightly
def test_a_server_that_lost_its_lock_to_another_stops_writing(postgres, monkeypatch):
    monkeypatch.setattr("pir_tf.people.server.REFRESH_SECONDS", 1000)  # or it would take it again at once
    if postgres.given:
        pytest.skip("the server that PIR_TF_TEST_POSTGRES names isn't ours to kill")
    url = postgres.new()
    begin(url)
    with served(url) as first:
        browser = Browser(first).join()
        slot = browser.slots(1)[0]
        postgres.kill()
        postgres.start()
        with served(url) as second:
            assert Browser(second).join().slots(1)
            sent = [event(slot, "like", 1)]
            assert browser.ask("POST", "/api/events", {"events": sent})[0] == 503
        assert browser.ask("POST", "/api/events", {"events": sent})[0] == 200


def test_the_sum_of_pictures_in_memory_is_bounded(tmp_path, monkeypatch):
    from pir_tf.people import pictures

    begin(tmp_path / "a.db", images=10)
    store = Store(tmp_path / "a.db")
    monkeypatch.setattr(pictures, "MOST_BYTES", 3 * len(pools.flat_png(studies.pictures(1)[0])))
    held = pictures.Pictures(store)
    first = [held.read(item) for item in range(1, 11)]
    assert [held.held(item) is not None for item in range(1, 11)] == [False] * 7 + [True] * 3
    assert held.read(1) == first[0] and held.held(1) == first[0] and held.held(8) is None
    assert held.read(99) is None
    assert len(set(first)) == 10 and len({len(png) for png in first}) == 1
    assert np.array_equal(held._bytes, sum(map(len, held._held.values())))
    store.close()
