"""Writers of one database wait for each other: a person who withdraws in the middle of a server's writing is gone."""

import concurrent.futures
import contextlib
import threading

import pytest
from sqlalchemy import func, select
from studies import begin, event

from pir_tf.people import keeping, pools, schema
from pir_tf.people.server import Desks
from pir_tf.people.store import Store

PATIENCE = 0.4


@pytest.fixture
def served_desk(database):
    """A served store, its desks, the study's key, and a rater with a place that waits for an answer."""
    key = begin(database, images=40)
    store = Store(database)
    desks = Desks(store)
    store.serve(desks.reload, desks.refresh)

    def come(connection):
        rater = desks.by_key[key].enroll(connection, "n:someone")
        return rater.pseudonym, desks.by_key[key].hand_out(connection, rater, 2)

    name, slots = store.write(come).result(10)
    yield store, desks, key, name, slots
    store.close()


def looked_at(store, desks, key):
    """What the server remembers of raters after its next look."""
    store.write(lambda connection: None).result(15)
    return set(desks.by_key[key].raters)


def test_a_withdrawal_in_the_middle_of_a_servers_transaction_leaves_no_rows(database, served_desk):
    store, desks, key, name, slots = served_desk
    inside, go = threading.Event(), threading.Event()

    def record(connection):
        desk, place = desks.by_key[key], {"place": slots[0].place}
        stored, _ = desk.record(
            connection, desk.raters["n:someone"], [event(place, "visible"), event(place, "like", 1)]
        )
        inside.set()
        go.wait(60)
        return stored

    recorded = store.write(record)
    assert inside.wait(60)
    other = Store(database)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        withdrawn = pool.submit(keeping.withdraw, other, "", name)
        concurrent.futures.wait([withdrawn], PATIENCE)
        go.set()
        assert len(recorded.result(15)) == 2
        assert withdrawn.result(15)[0] == {"events": 2, "impressions": 2, "raters": 1}
    assert looked_at(store, desks, key) == set()
    with other.reading() as connection:
        for table in (schema.events, schema.impressions, schema.raters):
            assert connection.execute(select(func.count()).select_from(table)).scalar() == 0, table.name
    other.close()


def test_a_server_notices_a_withdrawal_that_is_committed_after_its_own_later_row(database, served_desk):
    store, desks, key, _, _ = served_desk
    inside, go = threading.Event(), threading.Event()
    other = Store(database)

    def withdraw():
        with other.writing() as connection:
            connection.execute(schema.events.delete())
            connection.execute(schema.impressions.delete())
            connection.execute(schema.raters.delete())
            pools.control(connection, key, "withdraw")
            inside.set()
            go.wait(60)

    def pause(connection):
        pools.control(connection, key, "pause")
        desks.by_key[key].refresh(connection)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        withdrawn = pool.submit(withdraw)
        assert inside.wait(60)
        paused = store.write(pause)
        with contextlib.suppress(concurrent.futures.TimeoutError):
            paused.result(PATIENCE)
        go.set()
        withdrawn.result(15)
        paused.result(15)
    assert looked_at(store, desks, key) == set() and desks.by_key[key].state.paused
    other.close()
