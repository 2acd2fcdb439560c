"""A desk with its database, and what a desk remembers."""

import numpy as np
import sqlalchemy
import studies
from studies import begin, event

from pir_tf.people import counted, pools, schema
from pir_tf.people.desk import Desk
from pir_tf.people.server import Desks
from pir_tf.people.store import Store

ANSWERS = {
    "like": [("like", 0), ("like", 1)],
    "rating": [("rating", 1), ("rating", 3), ("rating", 5)],
    "pair": [("choice", "left"), ("choice", "right"), ("choice", "tie"), ("choice", "bad")],
    "grid": [("choice", []), ("choice", [0, 4, 8])],
}


class Office:
    """A database, its desks and one study's desk; jobs run in transactions of their own, without waiting for the disk."""

    def __init__(self, database, **settings):
        self.key = begin(database, **settings)
        self.store = Store(database)
        if self.store.sqlite:
            sqlalchemy.event.listen(
                self.store._engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous=OFF")
            )
            self.store._engine.dispose()
        self.desks = Desks(self.store)
        self.desks.reload()

    @property
    def desk(self):
        return self.desks.by_key[self.key]

    def do(self, job):
        with self.store.writing() as connection:
            self.desks.refresh(connection)
            return job(connection, self.desk)

    def enroll(self, name):
        return self.do(lambda connection, desk: desk.enroll(connection, name)).number

    def hand_out(self, number, ahead=1, **more):
        return self.do(lambda connection, desk: desk.hand_out(connection, desk.by_number(number), ahead, **more))

    def record(self, number, events):
        return self.do(lambda connection, desk: desk.record(connection, desk.by_number(number), events))

    def answer(self, number, slot, kind="like", value=1):
        """Sees and answers a slot; UUIDs of what was stored."""
        place = {"place": slot.place}
        return self.record(number, [event(place, "visible"), event(place, kind, value)])[0]

    def counted(self, *names):
        with self.store.reading() as connection:
            found = counted.slots(connection, self.key, 1, names or schema.POOLS)
            items = counted.items(connection, self.key, 1, names or schema.POOLS)
        return found, items


def memory(one: Desk):
    """All that a desk remembers, as values that can be compared."""
    one.expire()
    return {
        "state": one.state,
        "images": {key: (im.taken.tolist(), im.answers, im.rank.tolist()) for key, im in one.images.items()},
        "raters": {
            key: (
                *(rater.number, rater.pseudonym, rater.outside, rater.done, sorted(rater.waiting)),
                rater.second and rater.second.place,
                dict(sorted(rater.slots.items())),
                {pool: seen.tolist() for pool, seen in rater.seen.items() if seen.any()},
            )
            for key, rater in one.raters.items()
        },
        "uuids": one._uuid,
        "impressions": one.impression,
    }


def fresh(office):
    """What a desk remembers that was loaded just now."""
    found = Desk(office.desk.row)
    with office.store.reading() as connection:
        found.load(connection)
    return memory(found)


def add_pool(office, name, wanted=0, images=24):
    """Fills and opens another pool, as a stage does."""
    made, ids = studies.pictures(images, seed=7), [f"{name}-{i}" for i in range(images)]
    sides = ["before", "after"] * (images // 2) if name == "proof" else [""] * images
    with office.store.writing() as connection:
        labels = np.arange(images) // 2 % 3
        pools.fill(connection, office.key, 1, name, made, ids, labels=labels, sides=sides)
        pools.open_pool(connection, office.key, 1, name, wanted)
