"""The database's file: one server, full disks, read-only and other people's files, networks, backups, no password shown."""

import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import sqlalchemy
from studies import Browser, begin, event, rated, served, uuids

from pir_tf.errors import InputError, Unavailable
from pir_tf.people import owner, pools
from pir_tf.people.places import file_system, masked
from pir_tf.people.store import Store
from pir_tf.people.study import Study


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
        pools.begin(connection, Study(name="mine"))
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


READS_AND_SERVES = """
import os, sys
import sqlalchemy.dialects.sqlite
from pir_tf.people import routes
from pir_tf.people.server import Server
from pir_tf.people.store import Store
from pir_tf.errors import InputError, Unavailable
for mode in (0o555, 0o777):
    os.chmod(os.path.dirname(sys.argv[1]), mode)
    if os.fork():
        os.wait()
        continue
    if os.geteuid() == 0:
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    store = Store(sys.argv[1])  # it may be looked at
    with store.reading() as connection:
        print(len(connection.exec_driver_sql("SELECT * FROM studies").all()))
    try:
        Server(sys.argv[1])
    except InputError as error:
        print(error)
    sys.stdout.flush()
    os._exit(0)
"""


@pytest.mark.slow
def test_a_file_that_is_read_only():
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        path = Path(folder) / "a.db"
        begin(path)
        os.chmod(path, 0o444)
        done = subprocess.run([sys.executable, "-c", READS_AND_SERVES, path], capture_output=True, text=True)
    assert not done.stderr, done.stderr
    first, closed, second, locked = done.stdout.splitlines()
    assert first == second == "1"
    assert "can't be written (Permission denied" in closed
    assert re.search("can't be written to .*readonly", locked)


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


@pytest.mark.parametrize("journal", ["as it is", "WAL"])
@pytest.mark.parametrize("instead", ["nothing", "a backup"])
def test_a_file_that_is_moved_or_replaced_while_it_is_served(tmp_path, monkeypatch, journal, instead):
    """What is acknowledged is stored; nobody makes an empty file in its place, and it goes on once it is back."""
    if journal == "WAL":
        monkeypatch.setattr("pir_tf.people.connections.sqlite3.sqlite_version_info", (3, 51, 3))
    path, away = tmp_path / "a.db", tmp_path / "away.db"
    begin(path)
    Store(path).backup(tmp_path / "copy.db")
    with served(path) as server:
        browser = Browser(server).join()
        looking, slots = Browser(server), browser.slots(4)
        looking.ask("GET", "/" + server.links()[0][2].split("/", 3)[3])
        status, reply, _ = browser.ask("POST", "/api/events", {"events": [event(slots[0], "like", 1)], "ahead": 4})
        assert status == 200 and looking.ask("GET", "/api/owner/status")[1]["refusing"] is None
        for end in ("", "-wal", "-shm"):
            if Path(f"{path}{end}").exists() and (instead == "nothing" or not end):
                os.rename(f"{path}{end}", f"{away}{end}")
        if instead == "a backup":
            (tmp_path / "copy.db").rename(path)
        late = event(slots[1], "like", 0)
        assert browser.ask("POST", "/api/events", {"events": [late], "ahead": 4})[0] == 503
        status, reply, _ = looking.ask("GET", "/api/owner/status")  # the last one is shown for a moment
        assert status == 503 or "was moved or replaced: put it back" in reply["refusing"]["why"]
        with pytest.raises(Unavailable), server.store.snapshot():
            pass
        assert path.exists() is (instead == "a backup")
        if instead == "nothing":
            for end in ("", "-wal", "-shm"):
                if Path(f"{away}{end}").exists():
                    os.rename(f"{away}{end}", f"{path}{end}")
            assert browser.ask("POST", "/api/events", {"events": [late], "ahead": 4})[0] == 200
            assert late["uuid"] in uuids(server) and len(uuids(server)) == 2
    with contextlib.closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_the_pace_is_of_the_last_minutes_also_after_the_clock_was_set_back(tmp_path, monkeypatch):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db") as server:
        browser = Browser(server).join()
        for slot in browser.slots(8)[:6]:
            browser.ask("POST", "/api/events", {"events": [event(slot, "like", 1)], "ahead": 8})
        with server.store.reading() as connection:
            key = pools.require(connection)["study"]
            assert owner._pace(connection, key, [])[0] > 6
            monkeypatch.setattr("time.time", lambda: 1.5e9)
            assert owner._pace(connection, key, [])[0] is None


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
