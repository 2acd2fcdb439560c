"""Hand-outs: nothing twice, evenly, and the same after a reload."""

import shutil
import threading

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import numpy as np
import sqlalchemy
from office import ANSWERS, Office, add_pool, fresh, memory
from scipy import stats
from studies import Browser, begin, event, served

from pir_tf.people import counted, desk, pools, schema
from pir_tf.people.desk import LIVE_SECONDS
from pir_tf.people.server import Desks
from pir_tf.people.store import Store


@pytest.mark.parametrize(("mode", "seed"), [(mode, seed) for mode in ANSWERS for seed in (1, 2)])
def test_a_desk_remembers_what_a_new_one_would_load(office, clock, mode, seed):
    """Random work by raters, owner, stages and faults; then the memory equals that of a desk loaded from the rows."""
    rng = np.random.default_rng(seed)
    office = office(mode=mode, images=30, wanted=60, repeat_after=5, repeats=0.3, shared=0.3, answers_per_rater=60)
    add_pool(office, "proof", wanted=50)
    people = [office.enroll(f"n:{i}") for i in range(4)] + [office.enroll("x:outside")]
    sent = []
    for step in range(160):
        clock[0] += float(rng.choice([0.1, 5, 200, 1000], p=[0.6, 0.2, 0.15, 0.05]))
        number, chance = int(rng.choice(people)), rng.random()
        rater = office.desk.by_number(number)
        if chance < 0.35:
            office.hand_out(number, int(rng.integers(1, 6)), outside=rater.outside)
        elif chance < 0.85 and rater.slots:
            events = []
            for _ in range(int(rng.integers(1, 5))):
                slot = rater.slots[int(rng.integers(1, len(rater.slots) + 1))]
                kinds = [
                    *ANSWERS[mode],
                    ("skip", None),
                    ("visible", None),
                    ("visible", None),
                    ("click", 2),
                    ("like", 7),
                ]
                if slot.answers:
                    kinds += [("undo", slot.answers[-1].uuid)] * 3
                events.append(event({"place": slot.place}, *kinds[int(rng.integers(len(kinds)))], at=float(step)))
            events += [sent[int(rng.integers(len(sent)))]] if sent and rng.random() < 0.3 else []
            sent += events
            if rng.random() < 0.15:
                with pytest.raises(ZeroDivisionError):
                    office.do(
                        lambda c, d, n=number, e=events: (
                            d.record(c, d.by_number(n), e),
                            d.hand_out(c, d.by_number(n), 8),
                            1 / 0,
                        )
                    )
                office.desks.reload()  # as the writer does after a rollback
            else:
                office.record(number, events)
        elif chance < 0.9:
            with office.store.writing() as connection:
                action = rng.choice(["pause", "resume", "resume", "resume", "close", "open", "open"])
                if action == "close":
                    pools.close_pools(connection, office.key, "test")
                elif action == "open":
                    for name in ("random", "proof"):
                        pools.control(
                            connection, office.key, "open", round=1, pool=name, wanted=int(rng.integers(50, 200))
                        )
                else:
                    pools.control(connection, office.key, str(action))
            office.do(lambda connection, desk: None)
        if step % 20 == 19:
            assert memory(office.desk) == fresh(office), step
    assert sum(rater.done for rater in office.desk.raters.values()) > 8


@pytest.mark.parametrize("mode", list(ANSWERS))
def test_the_order_is_the_same_with_and_without_reloads(tmp_path, mode):
    first = Office(tmp_path / "a.db", mode=mode, images=60, pool="proof", repeat_after=2, repeats=0.5, shared=0.2)
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    second = Office.__new__(Office)
    second.key, second.store = first.key, Store(tmp_path / "b.db")
    second.desks = Desks(second.store)
    second.desks.reload()
    shown = {}
    for office in (first, second):
        numbers = [office.enroll("n:one"), office.enroll("n:two")]
        for turn in range(16):
            for number in numbers:
                for slot in office.hand_out(number, 2):
                    office.answer(number, slot, *ANSWERS[mode][turn % 2])
                    shown.setdefault(office, []).append(
                        (number, slot.place, slot.items, slot.repeat_of, slot.coin, slot.block)
                    )
            if office is second:
                office.desks.reload()
        office.store.close()
    assert shown[first] == shown[second] and any(row[3] for row in shown[first])


def test_a_reload_gives_back_what_waits_first(office):
    office = office()
    number = office.enroll("n:one")
    before = office.hand_out(number, 5)
    office.answer(number, before[2])
    office.desks.reload()
    again = office.hand_out(number, 6)
    assert [slot.place for slot in again] == [1, 2, 4, 5, 6, 7]
    assert [slot.impressions for slot in again[:2]] == [slot.impressions for slot in before[:2]]


def test_twenty_raters_at_once_share_the_images_evenly(database):
    begin(database, images=100, shared=0.0, repeats=0.0)
    with served(database) as server:
        browsers = [Browser(server).join() for _ in range(20)]
        shown, barrier = [[] for _ in browsers], threading.Barrier(20)

        def rate(number):
            barrier.wait()
            for _ in range(3):
                slots = browsers[number].slots(4)
                shown[number] += [image["src"] for slot in slots for image in slot["images"]]
                browsers[number].post([event(slot, "like", 1) for slot in slots])

        threads = [threading.Thread(target=rate, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        addresses = [address for own in shown for address in own]
        assert len(addresses) == len(set(addresses)) == 20 * 3 * 4
        with server.store.reading() as connection:
            rows = connection.execute(sqlalchemy.select(schema.impressions)).all()
        assert len({(row.rater, row.place, row.cell) for row in rows}) == len(rows) == 240
        taken = np.bincount([row.item for row in rows], minlength=101)[1:]
        assert taken.max() - taken.min() <= 1
        seen = {(row.rater, row.item) for row in rows}
        assert len(seen) == 240  # none twice to one rater


@pytest.mark.parametrize("mode", ["like", "pair", "grid"])
def test_coverage_is_even(office, mode):
    office = office(mode=mode, images=90, shared=0.0, repeats=0.0)
    numbers = [office.enroll(f"n:{i}") for i in range(5)]
    for _ in range(90 // {"like": 1, "pair": 2, "grid": 9}[mode] // 2):
        for number in numbers:
            for slot in office.hand_out(number):
                office.answer(number, slot, *ANSWERS[mode][0])
        taken = office.desk.images[1, "random"].taken
        assert taken.max() - taken.min() <= (2 if mode == "pair" else 1)  # two of a pair are of one class


def test_an_abandoned_hand_out_comes_back_to_others(office, clock):
    office = office(images=8, shared=0.0, repeats=0.0)
    gone, here, later, last = (office.enroll(f"n:{i}") for i in range(4))
    lost = [slot.items[0] for slot in office.hand_out(gone, 4)]
    for slot in office.hand_out(here, 4):
        office.answer(here, slot)
        assert slot.items[0] not in lost
    clock[0] += LIVE_SECONDS - 1
    assert office.hand_out(last, 1)
    clock[0] += 2
    lasts = office.desk.by_number(last).slots[1].items
    assert {slot.items[0] for slot in office.hand_out(later, 4)} <= {*lost, *lasts}
    # Whoever was away answers after all: the images count as handed out again.
    before = office.desk.images[1, "random"].taken.sum()
    back = office.hand_out(gone, 4)
    assert [slot.items[0] for slot in back] == lost
    office.answer(gone, back[0])
    assert office.desk.images[1, "random"].taken.sum() == before + 1
    clock[0] += 2 * LIVE_SECONDS
    office.hand_out(last, 1)
    assert office.desk.images[1, "random"].taken.sum() == 4 + 1  # what was answered alone
    assert memory(office.desk) == fresh(office)


@pytest.mark.parametrize(
    ("mode", "pool"), [("like", "random"), ("like", "proof"), ("rating", "proof"), ("pair", "proof"), ("grid", "proof")]
)
def test_shares_of_places_and_repeats(tmp_path, mode, pool):
    places = 300 if mode != "grid" else 60
    # Of 60 places none is shared in one rater of 400 at a share of 0.1, in one of 300,000 at 0.2.
    more = {"images": 900, "shared": 0.2} if mode == "grid" else {"images": 2 * places}
    office = Office(tmp_path / "a.db", mode=mode, pool=pool, answers_per_rater=10**6, **more)
    numbers = [office.enroll(f"n:{i}") for i in range(3)]
    shared, repeats, slots = 0, 0, []
    for number in numbers:
        mine = office.do(lambda connection, desk, n=number: desk.hand_out(connection, desk.by_number(n), places))
        slots += mine
        by_place = {slot.place: slot for slot in mine}
        for slot in mine:
            if slot.repeat_of:
                assert slot.repeat_of == slot.place - 20
                earlier = by_place[slot.repeat_of]
                assert slot.items == earlier.items and slot.impressions != earlier.impressions and not earlier.repeat_of
                assert not slot.coin and not slot.block
        items = [item for slot in mine if not slot.repeat_of for item in slot.items]
        assert len(items) == len(set(items))
        shared += sum(slot.shared for slot in mine)
        repeats += sum(bool(slot.repeat_of) for slot in mine)
    count = len(slots)
    least, most = stats.binom.ppf([1e-6, 1 - 1e-6], count - 60, 0.05)  # the first 20 of a rater repeat nothing
    assert least <= repeats <= most
    if mode != "grid":
        # Each rater sees the first 20 that all see; a proof's blocks of two are drawn as one.
        assert 0.05 * count < shared <= 0.2 * count
    common = [
        {item for slot in slots if slot.shared and slot.rater == number for item in slot.items} for number in numbers
    ]
    least = min(map(len, common))
    assert least >= (9 if mode == "grid" else 4)
    assert len(common[0] & common[1]) >= min(len(common[0]), len(common[1]), 20) - 2
    assert len(common[1] & common[2]) >= min(len(common[1]), len(common[2]), 20) - 2
    office.store.close()


@pytest.mark.parametrize("mode", list(ANSWERS))
def test_a_proof_is_half_and_half_and_its_coin_is_fair(tmp_path, mode):
    office = Office(
        tmp_path / "a.db", mode=mode, images=900 if mode == "grid" else 400, pool="proof", answers_per_rater=10**6
    )
    side = {}
    heads = tosses = 0
    for one in range(12):
        number = office.enroll(f"n:{one}")
        count = 40 if mode == "grid" else 100
        slots = office.do(lambda connection, desk, n=number, m=count: desk.hand_out(connection, desk.by_number(n), m))
        images = office.desk.images[1, "proof"]
        side = {int(item): str(name) for item, name in zip(images.item, images.side, strict=True)}
        label = {int(item): int(name) for item, name in zip(images.item, images.label, strict=True)}
        own = [slot for slot in slots if not slot.repeat_of]
        blocks = {}
        for slot in own:
            blocks.setdefault(slot.block, []).append(slot)
        for block in list(blocks.values())[:-1]:
            sides = [side[item] for slot in block for item in slot.items]
            tosses += 1
            if mode == "grid":
                assert sorted([sides.count("after"), sides.count("before")]) == [4, 5]
                heads += sides.count("after") == 5
                assert (block[0].coin == 1) == (sides.count("after") == 5)
                continue
            assert sorted(sides) == ["after", "before"]
            assert len({label[item] for slot in block for item in slot.items}) == 1
            assert len(block) == (1 if mode == "pair" else 2)
            assert {slot.coin for slot in block} == {1 if sides == ["before", "after"] else -1}
            heads += sides == ["before", "after"]
        if mode in ("like", "rating"):
            firsts = [block for block in blocks.values() if len(block) == 2]
            assert all(0 < two[1].place - two[0].place <= 5 for two in firsts)  # but for repeats, one after the other
    assert abs(heads / tosses - 0.5) < 4 * 0.5 / np.sqrt(tosses)
    office.store.close()


@pytest.mark.parametrize("mode", ["like", "pair"])
def test_what_one_side_has_more_of_a_class_is_neither_a_bet_nor_a_pair(tmp_path, mode):
    """Before 15 of class 0 and 5 of class 1, after the other way round: users who like class 0 alone saw no change."""
    labels = np.stack([np.arange(20) >= 15, np.arange(20) >= 5], axis=1).astype(int).ravel()
    more = {"images": 40, "classes": labels, "shared": 0.2, "repeats": 0.0, "answers_per_rater": 100}
    office = Office(tmp_path / "a.db", mode=mode, pool="proof", **more)
    judged = 0
    for one in range(2):
        number = office.enroll(f"n:{one}")
        for slot in office.hand_out(number, 60):
            images = office.desk.images[1, "proof"]
            row = images.row[slot.items[0]]
            office.answer(
                number, slot, *(("choice", "tie") if mode == "pair" else ("like", 1 - int(images.label[row])))
            )
            judged += 1
    slots, items = office.counted()
    bets = counted.bets(slots, items)
    assert set(bets) == {0.0} and len(bets) == 10
    if mode == "like":  # all images are rated all the same
        assert judged == 2 * 40
    else:
        assert judged == 2 * 10
        label = dict(zip(items.item.tolist(), items.label.tolist(), strict=True))
        assert all(label[first] == label[second] for first, second in (slot.items for slot in slots))
    office.store.close()


def test_a_team_s_own_page_gets_no_repeats_and_no_end(office):
    office = office(images=100, repeats=0.5, repeat_after=2, answers_per_rater=5)
    number = office.enroll("x:user")
    slots = [slot for _ in range(20) for slot in office.hand_out(number, 2, outside=True)]
    assert len(slots) == 40 and all(slot.outside and not slot.repeat_of for slot in slots)
    stored, refused = office.record(number, [event({"place": 1}, "click"), event({"place": 2}, "dwell", 0)])
    assert len(stored) == 2 and office.desk.by_number(number).slots[2].exposure == {"dwell": 0.0}
    mine = office.enroll("n:rater")
    office.hand_out(mine)
    assert office.record(mine, [event({"place": 1}, "click")])[1][0]["why"].startswith("The kind is 'click'")


def test_the_place_doesn_t_tell_the_pool(office):
    office = office(images=200, shared=0.0, repeats=0.0, answers_per_rater=1000)
    add_pool(office, "explore", images=200)
    number = office.enroll("n:1")
    names = [
        slot.pool for slot in office.do(lambda connection, desk: desk.hand_out(connection, desk.by_number(number), 200))
    ]
    assert 70 < names.count("explore") < 130
    same = sum(a == b for a, b in zip(names, names[1:], strict=False))
    assert 60 < same < 140  # turns by turns would be 0


def test_pseudonyms_stay_apart(office, monkeypatch):
    office = office()
    monkeypatch.setattr(
        desk.Chooser, "pseudonym", lambda self, key, digits: "r-12345678" if digits == 8 else f"r-{key[-1] * 24}"
    )
    names = [
        office.do(lambda connection, desk, k=k: desk.enroll(connection, k)).pseudonym for k in ("n:a", "n:b", "n:a")
    ]
    assert names == ["r-12345678", "r-" + "b" * 24, "r-12345678"]


def test_a_clock_that_is_set_back_leaves_a_proofs_blocks_whole(office, clock):
    office = office(images=40, pool="proof", shared=0, repeats=0)
    rater = office.enroll("n:a")
    for turn in range(4):
        [slot] = office.hand_out(rater)
        office.answer(rater, slot)
        assert slot.block == turn // 2 * 2 + 1
        clock[0] -= 1.0
        assert fresh(office) == memory(office.desk)
        office.desks.reload()
