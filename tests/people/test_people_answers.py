"""Answers: one counted for each place, as many as wanted, changed, taken back and repeated ones."""

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import numpy as np
import sqlalchemy
from office import ANSWERS, fresh, memory
from studies import Browser, begin, event, served

from pir_tf.people import counted, pools, schema
from pir_tf.people.store import Store


def test_repeats_never_count(office):
    office = office(images=40, repeats=0.5, repeat_after=2, shared=0.0)
    number = office.enroll("n:one")
    for _ in range(30):
        (slot,) = office.hand_out(number)
        office.answer(number, slot)
    found, items = office.counted()
    repeats = [slot for slot in found if slot.repeat_of]
    assert len(repeats) > 3 and len(found) == 30
    given = counted.answers(found, items)
    assert len(given.value) == 30 - len(repeats) == office.desk.images[1, "random"].answers
    assert len(set(given.image)) == len(given.image)


def test_a_change_an_undo_and_a_skip(database):
    key = begin(database, shared=0.0, repeats=0.0)
    with served(database) as server:
        browser = Browser(server).join()
        slots = browser.slots(4)
        browser.answer(slots[0], "like", 1)
        browser.answer(slots[0], "like", 0)  # changed
        first = event(slots[1], "like", 1)
        browser.post([event(slots[1], "visible"), first])
        reply = browser.post([event(slots[1], "undo", first["uuid"])], ahead=3)
        assert [slot["place"] for slot in reply["slots"]] == [2, 3, 4] and reply["progress"]["answered"] == 1
        assert reply["slots"][0]["images"] == slots[1]["images"]
        again = browser.post([event(slots[1], "undo", first["uuid"])])
        assert again["refused"][0]["why"] == "It takes back an answer that isn't there."
        browser.post([event(slots[1], "visible"), event(slots[1], "skip")])
        both = event(slots[2], "like", 1)
        browser.post(
            [event(slots[2], "visible"), both, event(slots[2], "undo", both["uuid"]), event(slots[2], "like", 0)]
        )
        browser.post([event(slots[3], "like", 1)])  # never seen
        assert browser.post([])["progress"]["answered"] == 4
        with server.store.reading() as connection:
            found = counted.slots(connection, key)
            items = counted.items(connection, key, 1, ["random"])
            rows = connection.execute(sqlalchemy.select(schema.events.c.kind)).scalars().all()
    assert rows.count("like") == 6 and rows.count("undo") == 2  # the history is kept
    assert sorted(counted.answers(found, items).value) == [0.0, 0.0]
    assert [slot.answers[-1].kind for slot in sorted(found, key=lambda slot: slot.place)] == [
        "like",
        "skip",
        "like",
        "like",
    ]


def test_the_same_event_is_stored_once_and_another_with_its_uuid_refused(database):
    begin(database, name="one")
    with served(database) as server:
        browser = Browser(server).join()
        slot = browser.slots(1)[0]
        sent = event(slot, "like", 1)
        for _ in range(3):
            assert browser.post([sent, sent])["stored"] == [sent["uuid"]] * 2
        reply = browser.post([{**sent, "value": 0}, {**sent, "page": "other"}])
        assert [one["why"] for one in reply["refused"]] == ["Its uuid is another event's."] * 2
        other = Browser(server).join()
        own = other.slots(1)[0]
        assert other.post([{**event(own, "like", 1), "uuid": sent["uuid"]}])["refused"]
        # Another study may have it: nobody can lock another's events out.
        begin(database, name="two", round=2)
        Store(database).close()
        server.store.write(lambda connection: None).result(10)
        link = next(raters for name, raters, _ in server.links() if name == "two")
        third = Browser(server, link.split("/", 3)[3]).join()
        assert third.post([{**event(third.slots(1)[0], "like", 1), "uuid": sent["uuid"]}])["stored"]
        with server.store.reading() as connection:
            assert len(connection.execute(sqlalchemy.select(schema.events.c.seq)).all()) == 2


@pytest.mark.parametrize("mode", ["like", "pair"])
def test_a_pool_closes_with_the_very_answer_that_it_waits_for(office, mode):
    office = office(mode=mode, pool="proof", images=60, wanted=15, shared=0.0, repeats=0.0)
    one, two = office.enroll("n:1"), office.enroll("n:2")
    mine, theirs = office.hand_out(one, 10), office.hand_out(two, 12)
    kind, value = ANSWERS[mode][1]
    for slot in mine:
        office.answer(one, slot, kind, value)
    batch = [
        part
        for slot in theirs
        for part in (event({"place": slot.place}, "visible"), event({"place": slot.place}, kind, value))
    ]
    stored, refused = office.record(two, batch)  # an offline queue in one request
    assert len(stored) == 24 and not refused
    found, items = office.counted("proof")
    kept = [slot for slot in found if slot.counted]
    assert len(kept) == 15 and sorted(slot.place for slot in kept if slot.rater == two) == [1, 2, 3, 4, 5]
    assert office.hand_out(one) == [] and office.desk.stage(None) == "paused"
    before = counted.answers(found, items), counted.bets(found, items)
    assert len(before[1]) == 15 if mode == "pair" else len(before[1]) == 5 + 2
    # What comes later is kept and changes nothing: other answers, undone ones, and what was never seen.
    answered = {slot.place: slot.answers[-1].uuid for slot in kept if slot.rater == one}
    office.record(
        one,
        [event({"place": 1}, "undo", answered[1]), event({"place": 2}, *ANSWERS[mode][0]), event({"place": 3}, "skip")],
    )
    again, _ = office.counted("proof")
    after = counted.answers(again, items), counted.bets(again, items)
    assert all(np.array_equal(a, b) for a, b in zip(vars(before[0]).values(), vars(after[0]).values(), strict=True))
    assert np.array_equal(before[1], after[1])
    with office.store.reading() as connection:
        assert len(connection.execute(sqlalchemy.select(schema.events.c.seq)).all()) == 2 * 22 + 3
    assert memory(office.desk) == fresh(office)


def test_more_is_wanted_of_a_pool_later(office):
    office = office(images=60, wanted=3, shared=0.0, repeats=0.0)
    number = office.enroll("n:1")
    for slot in office.hand_out(number, 5):
        office.answer(number, slot)
    assert sum(slot.counted is not None for slot in office.counted()[0]) == 3
    with office.store.writing() as connection:
        pools.open_pool(connection, office.key, 1, "random", 3)  # nothing new
        pools.open_pool(connection, office.key, 1, "random", 7)
    for slot in office.hand_out(number, 5):
        office.answer(number, slot)
    assert sum(slot.counted is not None for slot in office.counted()[0]) == 7


def test_seconds_are_those_of_one_page(office):
    """A page's clock begins anew with each load: times of two loads have no difference."""
    office = office()
    number = office.enroll("n:1")
    slot = office.hand_out(number)[0]
    place = {"place": slot.place}
    office.record(number, [{**event(place, "visible", at=900000.0), "page": "first load"}])
    office.record(number, [{**event(place, "like", 1, at=1500.0), "page": "second load"}])
    assert office.counted()[0][0].seen_at is None
    office.record(number, [{**event(place, "visible", at=2000.0), "page": "second load"}])
    office.record(number, [{**event(place, "like", 0, at=3500.0), "page": "second load"}])
    slot = office.counted()[0][0]
    assert slot.answers[-1].at - slot.seen_at == 1500.0


def test_a_rater_who_withdraws_is_forgotten_by_a_running_server(office):
    office = office()
    one, two = office.enroll("n:1"), office.enroll("n:2")
    for number in (one, two):
        office.answer(number, office.hand_out(number)[0])
    with office.store.writing() as connection:
        for table in (schema.events, schema.impressions, schema.raters):
            connection.execute(table.delete().where(table.c.rater == one))
        pools.control(connection, office.key, "withdraw")
    office.do(lambda connection, desk: None)
    assert office.desk.by_number(one) is None and office.desk.by_number(two).done == 1
    assert memory(office.desk) == fresh(office)
    assert office.enroll("n:1") not in (one, two)
