"""A team's own page: images by a secret, events by signed impressions, and a PIR by the rule that was stated."""

import uuid

import numpy as np
from studies import Browser, begin, event, served

from pir_tf.interactions.engagement import Rule
from pir_tf.people import counted, owner, pools
from pir_tf.people.desk import Desk
from pir_tf.people.store import Store
from pir_tf.people.summary import read_summary
from pir_tf.report.people import write_people_report


def test_clicks_and_dwelling_become_a_pir_and_close_the_pool(tmp_path):
    where = tmp_path / "study.db"
    key = begin(where, images=12, wanted=6, shared=0, repeats=0, origins=("https://shop.example",))
    store = Store(where)
    with store.reading() as connection:
        secret = pools.require(connection)["server_secret"]
    shop = {"Origin": "https://shop.example", "Content-Type": "text/plain"}  # as a beacon sends it
    with served(where) as server:
        page = Browser(server)
        bearer = {"Authorization": f"Bearer {secret}"}
        given = [
            page.ask("POST", "/impressions", {"user": f"u{i}", "count": 2}, bearer)[1]["impressions"] for i in range(4)
        ]
        shown = [one for two in given for one in two]
        assert len({one["impression"] for one in shown}) == 8
        path = "/" + shown[0]["image"].split("/", 3)[3]
        assert page.ask("GET", path)[1].startswith(b"\x89PNG")

        def send(which, *kinds):
            for kind, value in kinds:
                event = {
                    "uuid": str(uuid.uuid4()),
                    "impression": shown[which]["impression"],
                    "kind": kind,
                    "value": value,
                }
                for _ in range(2):  # again is no second time
                    status, reply, headers = page.ask("POST", "/events", event, shop)
                    assert (status, reply["stored"]) == (200, [event["uuid"]])
                    assert headers["Access-Control-Allow-Origin"] == "https://shop.example"

        send(0, ("visible", None), ("click", None), ("dwell", 0.5))
        send(1, ("visible", None), ("dwell", 4.0))
        send(2, ("visible", None), ("dwell", 1.0))
        send(3, ("visible", None))  # still being looked at
        send(4, ("dwell", 9.0))  # never visible
        send(5, ("visible", None), ("share", None))
        nothing = {"uuid": str(uuid.uuid4()), "impression": shown[5]["impression"], "kind": "dwell", "value": None}
        assert "value null, expected a number" in str(page.ask("POST", "/events", nothing, shop)[1])
        send(6, ("visible", None), ("dwell", 0))
        assert page.ask("POST", "/impressions", {"user": "late"}, bearer)[1]["impressions"]
        send(7, ("visible", None), ("dwell", 2.5))
        assert page.ask("POST", "/impressions", {"user": "later"}, bearer)[1]["impressions"] == []
    with store.reading() as connection:
        assert not pools.state(connection, key).open
        images = counted.items(connection, key, 1, ["random"])
        slots = counted.slots(connection, key)
        totals = {}
        for rule in ("click", "dwell:3", "click,share,dwell:2"):
            answers = counted.answers(slots, images, Rule.parse(rule))
            totals[rule] = counted.totals(answers, 12)
        for impressions, _ in totals.values():
            assert impressions.sum() == 7 and impressions.max() == 1  # each visible one, whatever became of it
        assert [int(positives.sum()) for _, positives in totals.values()] == [1, 1, 4]
        assert counted.answers(slots, images).value.size == 0  # without a rule nothing is made of it
    store.close()
    assert np.isfinite(totals["click"][1]).all()


def test_the_owner_and_the_report_are_told_what_the_page_sent_and_what_the_rule_makes_of_it(tmp_path):
    where = tmp_path / "study.db"
    key = begin(where, images=12, shared=0, repeats=0)
    store = Store(where)
    with store.writing() as connection:
        desk = Desk(pools.require(connection))
        desk.load(connection)
        rater = desk.enroll(connection, "n:on our page")
        [slot] = desk.hand_out(connection, rater, 1)
        desk.record(connection, rater, [event({"place": slot.place}, kind, 0) for kind in ("visible", "like")])
        assert owner.status(connection, desk.row)["own_page"] is None
        user = desk.enroll(connection, "x:u1")
        slots = desk.hand_out(connection, user, 5, outside=True)
        sent = (
            [("visible", None), ("click", None)],
            [("visible", None), ("dwell", 1.5), ("dwell", 4)],
            [("visible", None)],
        )
        for slot, kinds in zip(slots, sent, strict=False):
            desk.record(connection, user, [event({"place": slot.place}, kind, value) for kind, value in kinds])
        events = {"visible": 3, "click": 1, "dwell": 2, "share": 0}
        assert owner.status(connection, desk.row)["own_page"] == {"handed": 5, "events": events, "rules": []}
    assert read_summary(store)["rounds"][0]["mean"] == 0  # without a rule nothing is made of them
    with store.writing() as connection:
        for rule in ("dwell:0", "click", "click,dwell:3"):  # the last one counts, whatever was said before
            pools.note(connection, key, "rule", 1, "random", rule)
        assert len(pools.noted(connection, key, "rule")) == 3
        told = owner.status(connection, desk.row)
    found = read_summary(store)
    assert told["own_page"] == found["own_page"] and told["own_page"]["events"] == events
    [rule] = found["own_page"]["rules"]
    assert told["pools"][0]["unanswered"] == 1  # seen, and nothing more came of it
    assert (rule["seen"], rule["liked"], rule["rate"]) == (3, 2, 2 / 3)
    assert found["rounds"][0]["mean"] == 2 / 4 and len(told["images"]) == 4
    page = write_people_report(found, tmp_path / "report.html").read_text()
    assert "clicked or looked at for 3 s or more" in page and "2 of 3 seen: 0.67" in page
    store.close()


def test_a_proof_on_the_own_page_is_not_measured_before_there_is_a_rule_and_nobody_has_withdrawn(tmp_path):
    key = begin(tmp_path / "study.db", images=12, pool="proof", wanted=6, shared=0, repeats=0)
    store = Store(tmp_path / "study.db")
    with store.writing() as connection:
        desk = Desk(pools.require(connection))
        desk.load(connection)
        user = desk.enroll(connection, "x:u1")
        for slot in desk.hand_out(connection, user, 8, outside=True):
            desk.record(connection, user, [event({"place": slot.place}, "visible", None)])
            desk.record(connection, user, [event({"place": slot.place}, "click", None)])
    proof = read_summary(store)["proof"]
    assert (proof["open"], proof["verdict"]) == (False, "not measured yet")
    assert "withdrawn" not in proof["sentence"] and proof["given"] >= 6
    with store.writing() as connection:
        pools.note(connection, key, "rule", 1, "proof", "click")
    assert "withdrawn" not in read_summary(store)["proof"]["sentence"]
    store.close()


def test_a_proof_on_the_own_page_takes_all_that_its_rule_makes_of_what_was_seen(tmp_path):
    """Its pool waits for images with an event; those without one are judged too, and none is cut off."""
    begin(tmp_path / "study.db", images=40, pool="proof", wanted=6, shared=0, repeats=0)
    store = Store(tmp_path / "study.db")
    with store.writing() as connection:
        row = pools.require(connection)
        pools.note(connection, row["study"], "rule", 1, "proof", "click")
        desk = Desk(row)
        desk.load(connection)
        user = desk.enroll(connection, "x:u1")
        for turn, slot in enumerate(desk.hand_out(connection, user, 30, outside=True)):
            kinds = ("visible", "click") if turn % 4 == 0 else ("visible",)
            desk.record(connection, user, [event({"place": slot.place}, kind) for kind in kinds])
    proof = read_summary(store)["proof"]
    assert (proof["given"], proof["closed"]) == (6, "6 answers")
    assert proof["answers"] == 21  # the sixth click is at the 21st that was seen
    assert "withdrawn" not in proof["sentence"] and "No verdict yet" not in proof["sentence"]
    store.close()
