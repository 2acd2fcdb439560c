"""The database: commits together, readers of one state, other schemas, killed servers, numbers that never come again."""

import threading
import time

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import numpy as np
import sqlalchemy
import studies
from studies import Browser, begin, event, rated, served, uuids

from pir_tf.cli import main
from pir_tf.errors import InputError, Unavailable
from pir_tf.people import counted, pools, schema, server
from pir_tf.people.store import Store
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
    assert store.reloads == 1  # once it is this server's alone
    store.reloads = 0
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
    store.write(lambda connection: (busy.set(), go.wait(60)))
    assert busy.wait(60)
    return go


def test_jobs_that_wait_share_one_commit(store):
    commits = []
    sqlalchemy.event.listen(store._engine, "commit", lambda connection: commits.append(1))
    go = held_up(store)
    futures = [store.write(named(f"s{i}")) for i in range(50)]
    go.set()
    assert [future.result(60) for future in futures] == [f"s{i}" for i in range(50)]
    assert len(commits) == 2 and len(names(store)) == 50


def test_a_job_that_fails_takes_no_other_with_it(store):
    go = held_up(store)
    good = [store.write(named(f"s{i}")) for i in range(5)]
    bad = store.write(lambda connection: (named("half")(connection), 1 / 0))
    double = store.write(lambda connection: connection.execute(sqlalchemy.text("INSERT INTO about VALUES (NULL)")))
    more = [store.write(named(f"t{i}")) for i in range(5)]
    go.set()
    assert [future.result(60) for future in good + more]
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
        if 1 < len(told) < 4:
            raise Unavailable("gone")

    store.serve(reload)
    with pytest.raises(ZeroDivisionError):
        store.write(lambda connection: 1 / 0).result(10)
    for _ in range(2):
        with pytest.raises(Unavailable):
            store.write(named("early")).result(10)
    assert store.write(named("late")).result(10) == "late" and len(told) == 4
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
def test_postgresql_killed_and_started_again(mortal_postgres):
    url = mortal_postgres.new()
    begin(url, images=200, answers_per_rater=1000)
    with served(url) as server:
        browser = Browser(server).join()
        acknowledged, waiting = [], browser.slots(8)
        for number in range(60):
            slot = waiting[0]
            sent = [event(slot, "visible"), event(slot, "like", number % 2)]
            if number in (20, 40):
                mortal_postgres.kill()
                status, _, headers = browser.ask("POST", "/api/events", {"events": sent, "ahead": 8})
                assert status == 503 and headers["Retry-After"]
                assert browser.ask("GET", "/api/study")[0] == 200
                mortal_postgres.start()
            reply = browser.post(sent, ahead=8)
            assert len(reply["stored"]) == 2
            acknowledged += reply["stored"]
            waiting = reply["slots"]
        assert uuids(server) == sorted(acknowledged)
        assert sorted(rated(server)) == list(range(1, 61))


@pytest.mark.nightly
@pytest.mark.nightly
def test_both_ends_of_postgresqls_lines_notice_one_that_is_gone(postgres):
    """Its end holds the lock of the one server: two hours by PostgreSQL's own settings."""
    store = Store(postgres.new(), create=True)
    with store.reading() as connection:
        names = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
        found = [
            connection.exec_driver_sql(f"SELECT setting FROM pg_settings WHERE name = '{name}'").scalar()
            for name in names
        ]
        line = connection.exec_driver_sql("SELECT inet_client_addr() IS NOT NULL").scalar()
    store.close()
    assert found == (["5", "2", "3", "10000"] if line else ["0"] * 4)  # a socket of the machine has none of them


def test_a_server_that_lost_its_lock_to_another_stops_writing(mortal_postgres, monkeypatch):
    monkeypatch.setattr("pir_tf.people.server.REFRESH_SECONDS", 1000)  # or it would take it again at once
    url = mortal_postgres.new()
    begin(url)
    with served(url) as first:
        browser = Browser(first).join()
        slot = browser.slots(1)[0]
        mortal_postgres.kill()
        mortal_postgres.start()
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


def test_what_the_last_server_took_in_while_this_one_was_coming_up_is_known(tmp_path, monkeypatch):
    where = tmp_path / "study.db"
    begin(where, wanted=3, shared=0, repeats=0)
    first = server.Server(where)
    thread, application = first.start(), server.application
    browser = Browser(first).join()
    one, two = browser.slots(2)
    browser.answer(one, "like", 1)

    def while_the_first_ends(*arguments, **options):
        found = application(*arguments, **options)
        assert browser.answer(two, "like", 1)["progress"]["answered"] == 2
        first.stop()
        thread.join(60)
        return found

    monkeypatch.setattr(server, "application", while_the_first_ends)
    with served(where) as second:
        again = Browser(second)
        again.cookies = browser.cookies
        assert again.ask("GET", "/api/study")[1]["progress"]["answered"] == 2
        [slot] = again.slots(1)
        assert slot["place"] == 3
        assert again.answer(slot, "like", 0)["state"] == "paused"  # the pool has its three


def allowed(database, role, *statements):
    """The URL of a PostgreSQL database for a role with these privileges."""
    url = sqlalchemy.make_url(database).set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(f"DROP ROLE IF EXISTS {role}"))
        for text in (f"CREATE ROLE {role} LOGIN", *statements):
            connection.execute(sqlalchemy.text(text.format(role)))
    engine.dispose()
    return sqlalchemy.make_url(database).set(username=role).render_as_string(hide_password=False)


@pytest.mark.nightly
def test_a_role_without_a_privilege_is_refused_in_one_sentence_without_the_studys_secrets(postgres, capsys):
    database, empty = postgres.new(), postgres.new()
    begin(database)
    reader = allowed(database, "reader", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}")
    nobody = allowed(empty, "nobody_here")
    for words in (
        ["people", "begin", reader, "--study", "another"],
        ["people", "pause", reader],
        ["people", "serve", reader],
        ["people", "begin", nobody],
        ["people", "status", nobody],
        ["people", "status", f"{database}?foo=bar"],
    ):
        assert main(words) == 2
        said = capsys.readouterr().err
        assert said.startswith("Error: ") and said.count("\n") == 1 and "secret" not in said, words
    assert main(["people", "status", reader]) == 0  # who may read may look
    store = Store(database)
    with pytest.raises(sqlalchemy.exc.ProgrammingError), store.writing() as connection:
        connection.execute(sqlalchemy.text("SELECT no_such_column FROM studies"))  # our own mistake
    store.close()
