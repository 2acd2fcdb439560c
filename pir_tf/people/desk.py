"""A study as its server remembers it: who sees which image next, and what came back.

Everything here follows from the rows, and is loaded from them when a server starts or a transaction was rolled back. It is used
in the writer's thread alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, Table, select
from sqlalchemy.engine import make_url

from pir_tf.people import pools, schema
from pir_tf.people.choosing import Chooser, Images, Rater
from pir_tf.people.slots import SEEN, Slot
from pir_tf.people.study import Study
from pir_tf.statistics.closing import FULL

LIVE_SECONDS = 900.0
"""After so long without an answer, a hand-out no longer keeps its image from others."""
OUTSIDE = "x:"
"""Begins the keys of raters of a team's own page."""
_UUID = re.compile(r"[0-9A-Za-z-]{8,64}")


class Desk:
    """One study's hand-outs and answers.

    Args:
        row: The study's row in `studies`.
    """

    def __init__(self, row: RowMapping) -> None:
        self.key: str = row["study"]
        self.study = Study.from_json(row["settings"])
        self.row = dict(row)
        self._chooser = Chooser(row["secret"], self.study)

    def load(self, connection: Connection) -> None:
        """Remembers what the rows say, in place of what was remembered."""
        self.state = pools.state(connection, self.key)
        self.images = {pool.key: self._images(connection, pool) for pool in self.state.pools}
        self.raters: dict[str, Rater] = {}
        self._number: dict[int, Rater] = {}
        self._uuid: dict[str, str] = {}
        self.impression: dict[str, tuple[int, int, int]] = {}  # rater, item and place of each
        self._handed: deque[Slot] = deque()
        columns = schema.raters.c
        for person in connection.execute(select(schema.raters).where(columns.study == self.key)):
            self._know(Rater(person.rater, person.pseudonym, person.key.startswith(OUTSIDE)), person.key)
        for slot in read_slots(connection, self.key):
            self._remember(self._number[slot.rater], slot)
        for known in self._number.values():  # by their places: a clock that was set back orders hand-outs otherwise
            if slots := [slot for slot in known.slots.values() if not slot.repeat_of]:
                known.second = self._second(max(slots, key=lambda slot: slot.place))
        table = schema.events
        for row in connection.execute(select(table).where(table.c.study == self.key).order_by(table.c.seq)).all():
            self._uuid[row.uuid] = row.body
            rater = self._number.get(row.rater)
            if rater and row.place in rater.slots:
                self._apply(
                    rater, rater.slots[row.place], row.seq, row.uuid, row.kind, json.loads(row.value), row.at, row.page
                )

    def refresh(self, connection: Connection) -> None:
        """Takes in what others did to the study: pools opened and closed, pauses, raters withdrawn."""
        if pools.last_control(connection, self.key) == self.state.seq:
            return
        if pools.withdrawn_since(connection, self.key, self.state.seq):
            fresh = Desk(self.row)  # type: ignore[arg-type]
            fresh.load(connection)
            self.__dict__.update(fresh.__dict__)  # at once: others read it meanwhile
        self._look(connection)

    def _look(self, connection: Connection) -> None:
        self.state = pools.state(connection, self.key)
        new = {pool.key: self._images(connection, pool) for pool in self.state.pools if pool.key not in self.images}
        self.images = {**self.images, **new}  # others may be reading the old one

    def stage(self, rater: Rater | None) -> str:
        """What the page says: `open`, `paused` (nothing to rate now), `ended`, or `done` with this rater's answers."""
        if rater and rater.done >= self.study.answers_per_rater:
            return "done"
        if self.state.ended or self.study.over(time.time()):
            return "ended"
        return "open" if self.state.open and not self.state.paused else "paused"

    def enroll(self, connection: Connection, key: str) -> Rater:
        """The rater of this key, made with their consent if new. The pseudonym follows from the key by the study's secret."""
        if key in self.raters:
            return self.raters[key]
        taken = {rater.pseudonym for rater in self.raters.values()}
        short = self._chooser.pseudonym(key, 8)
        pseudonym = self._chooser.pseudonym(key, 24) if short in taken else short
        values = {"study": self.key, "key": key, "pseudonym": pseudonym, "consented": time.time()}
        made = connection.execute(schema.raters.insert().values(**values)).inserted_primary_key
        assert made is not None
        return self._know(Rater(made[0], pseudonym, key.startswith(OUTSIDE)), key)

    def hand_out(self, connection: Connection, rater: Rater, ahead: int, *, outside: bool = False) -> list[Slot]:
        """Up to `ahead` slots without an answer, those handed out before first; new ones are stored.

        A team's own page (`outside`) gets new ones each time, without an end.
        """
        if self.stage(None if outside else rater) != "open":
            return []
        self.expire()
        open_pools = {pool.key for pool in self.state.open}
        again = [] if outside else [slot for _, slot in sorted(rater.waiting.items())]
        found = [slot for slot in again if (slot.round, slot.pool) in open_pools]
        new: list[Slot] = []
        while len(found) + len(new) < ahead and (
            outside or rater.done + len(found) + len(new) < self.study.answers_per_rater
        ):
            slot = self._chooser.next(rater, self.state.open, self.images)
            if slot is None:
                break
            self._remember(rater, slot)
            new.append(slot)
        if new:
            _add(connection, schema.impressions, [row for slot in new for row in self._rows(slot)])
        return [*found, *new][:ahead]

    def expire(self) -> None:
        """Gives the images of what waited too long for an answer to others."""
        while self._handed and self._handed[0].handed < time.time() - LIVE_SECONDS:
            old = self._handed.popleft()
            old.expired = True
            self._hold(old)

    def record(self, connection: Connection, rater: Rater, events: list[Any]) -> tuple[list[str], list[dict[str, str]]]:
        """Stores what a page sent; an event that is stored already is stored still.

        Returns:
            UUIDs of the stored events, and for each refused one its UUID and why.
        """
        stored: list[str] = []
        refused: list[dict[str, str]] = []
        rows: list[dict[str, Any]] = []
        for sent in events:
            event = sent if isinstance(sent, dict) else {}
            uuid, place, kind, page = (event.get(name) for name in ("uuid", "place", "kind", "page"))
            if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
                why = "It has no uuid of 8 to 64 letters, digits and hyphens."
                refused.append({"uuid": str(uuid)[:64], "why": why})
                continue
            at, value = event.get("at"), None if kind in (SEEN, "skip") else event.get("value")
            at = float(at) if isinstance(at, int | float) and not isinstance(at, bool) and 0 <= at < 1e15 else None
            page = page[:64] if isinstance(page, str) and page.isprintable() else ""
            text = json.dumps(value)
            body = hashlib.sha256(json.dumps([rater.number, place, kind, text, at, page]).encode()).hexdigest()
            if uuid in self._uuid:
                if self._uuid[uuid] == body:
                    stored.append(uuid)
                else:
                    refused.append({"uuid": uuid, "why": "Its uuid is another event's."})
                continue
            if kind == "undo":  # which answers there are is known once those before it are applied
                self._insert(connection, rater, rows)
            slot = rater.slots.get(place) if isinstance(place, int) and not isinstance(place, bool) else None
            why = slot.refusal(self.study.mode, kind, value) if slot else "Nothing was shown at this place."
            if why:
                refused.append({"uuid": uuid, "why": why})
                continue
            values = {"uuid": uuid, "study": self.key, "rater": rater.number, "place": place, "kind": kind}
            rows.append(values | {"value": text, "at": at, "page": page, "body": body, "received": time.time()})
            self._uuid[uuid] = body
            stored.append(uuid)
        self._insert(connection, rater, rows)
        return stored, refused

    def _insert(self, connection: Connection, rater: Rater, rows: list[dict[str, Any]]) -> None:
        """Stores these events in one statement, takes them into account in their order, and empties the list.

        A pool closes with the very answer that fills it; what comes later is kept, and not counted.
        """
        if not rows:
            return
        seqs = _add_numbered(connection, rows)
        for seq, row in zip(seqs, rows, strict=True):
            slot = rater.slots[row["place"]]
            self._apply(rater, slot, seq, row["uuid"], row["kind"], json.loads(row["value"]), row["at"], row["page"])
            pool = self.state.pool(slot.round, slot.pool)
            if pool and pool.open and pool.wanted and self.images[pool.key].answers >= pool.wanted:
                pools.close_pool(connection, self.key, pool, FULL.format(pool.wanted), last_event=seq)
                self._look(connection)
        rows.clear()

    def by_number(self, number: int) -> Rater | None:
        """The rater of this number, None for one who withdrew."""
        return self._number.get(number)

    def size(self, slot: Slot) -> tuple[int, int]:
        """Width and height in pixels of a slot's images."""
        return self.images[slot.round, slot.pool].size

    def progress(self, rater: Rater | None) -> dict[str, int]:
        """How far a rater is."""
        return {"answered": rater.done if rater else 0, "wanted": self.study.answers_per_rater}

    def _images(self, connection: Connection, pool: pools.Pool) -> Images:
        columns = schema.items.c
        chosen = select(
            columns.item, columns.class_index, columns.side, columns.probability, columns.width, columns.height
        )
        where = (columns.study == self.key, columns.round == pool.round, columns.pool == pool.pool)
        found = connection.execute(chosen.where(*where).order_by(columns.number)).all()
        item, label, side, probability, width, height = zip(*found, strict=True) if found else ((),) * 6
        return Images(
            *(np.array(item, np.int64), np.array(label, np.int64), np.array(side, dtype=str)),
            rank=self._chooser.ranks(pool.key, len(item)),
            probability=np.array(probability, np.float64),
            size=(width[0], height[0]) if found else (1, 1),
            shares=self.study.shared > 0,
        )

    def _know(self, rater: Rater, key: str) -> Rater:
        self._number[rater.number] = self.raters[key] = rater
        return rater

    def _rows(self, slot: Slot) -> list[dict[str, Any]]:
        common = {"study": self.key, "rater": slot.rater, "place": slot.place, "shared": int(slot.shared)}
        common |= {"repeat_of": slot.repeat_of, "block": slot.block, "coin": slot.coin, "handed": slot.handed}
        return [
            {**common, "impression": name, "cell": cell, "item": item, "probability": slot.probability}
            for cell, (name, item) in enumerate(zip(slot.impressions, slot.items, strict=True))
        ]

    def _remember(self, rater: Rater, slot: Slot) -> None:
        """Takes a slot that was handed out into account."""
        rater.slots[slot.place] = rater.waiting[slot.place] = slot
        key = (slot.round, slot.pool)
        images = self.images[key]
        seen = rater.has_seen(key, images)
        for name, item in zip(slot.impressions, slot.items, strict=True):
            self.impression[name] = (rater.number, item, slot.place)
            seen[images.row[item]] = True
        self._handed.append(slot)
        self._hold(slot)
        if not slot.repeat_of:  # which may come between the two of a block
            rater.second = self._second(slot)

    def _second(self, slot: Slot) -> Slot | None:
        """The slot, where a second one of its block is to follow."""
        return slot if slot.block == slot.place and self.study.cells == 1 else None

    def _hold(self, slot: Slot) -> None:
        """Counts a slot's images as handed out while it is answered or may still be; repeats never count."""
        held = not slot.repeat_of and (slot.done or not slot.expired)
        if held != slot.held:
            images = self.images[slot.round, slot.pool]
            for item in slot.items:
                images.taken[images.row[item]] += 1 if held else -1
            slot.held = held

    def _apply(
        self, rater: Rater, slot: Slot, seq: int, uuid: str, kind: str, value: Any, at: float | None, page: str
    ) -> None:
        """Takes an event into account."""
        images, before = self.images[slot.round, slot.pool], slot.judged
        slot.take(seq, uuid, kind, value, at, page)
        images.answers += slot.judged - before
        self._hold(slot)
        if slot.done:
            rater.waiting.pop(slot.place, None)
        else:
            rater.waiting[slot.place] = slot


_NUMBERED = schema.events.insert().returning(schema.events.c.seq, sort_by_parameter_order=True)


def _add_numbered(connection: Connection, rows: list[dict[str, Any]]) -> Sequence[int]:
    """Adds events, and gives their numbers in order."""
    if connection.dialect.name != "sqlite":
        return connection.scalars(_NUMBERED, rows).all()
    _add(connection, schema.events, rows)
    last = connection.exec_driver_sql("SELECT last_insert_rowid()").scalar_one()  # nobody else writes meanwhile
    return range(last - len(rows) + 1, last + 1)


@functools.cache
def _insert_text(driver: str, table: str, columns: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The statement for a driver, and the order of its values; no order where it takes them by their names."""
    dialect = make_url(f"{driver}://").get_dialect()()
    compiled: Any = schema.metadata.tables[table].insert().compile(dialect=dialect, column_keys=columns)
    return compiled.string, tuple(compiled.positiontup or ())


def _add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Adds rows by the driver's own statement for many: a rater's answer waits for this."""
    dialect = connection.dialect
    text, order = _insert_text(f"{dialect.name}+{dialect.driver}", table.name, tuple(rows[0]))
    connection.exec_driver_sql(text, [tuple(row[name] for name in order) for row in rows] if order else rows)


def read_slots(connection: Connection, study: str) -> list[Slot]:
    """All slots of a study in the order of their handing out, without what came back."""
    table, items = schema.impressions, schema.items
    chosen = select(table, items.c.round, items.c.pool).join(items, items.c.item == table.c.item)
    rows = connection.execute(
        chosen.where(table.c.study == study).order_by(table.c.handed, table.c.place, table.c.cell)
    )
    columns = schema.raters.c
    keys = connection.execute(select(columns.rater, columns.key).where(columns.study == study))
    outside = {row.rater for row in keys if row.key.startswith(OUTSIDE)}
    found: dict[tuple[int, int], Slot] = {}
    for row in rows:
        slot = found.get((row.rater, row.place))
        if slot is None:
            slot = Slot(row.rater, row.place, row.round, row.pool, probability=row.probability, shared=bool(row.shared))
            slot.repeat_of, slot.block, slot.coin, slot.handed = row.repeat_of, row.block, row.coin, row.handed
            slot.outside = row.rater in outside
            found[row.rater, row.place] = slot
        slot.items.append(row.item)
        slot.impressions.append(row.impression)
    return list(found.values())
