"""A study as its server remembers it: who sees which image next, and what came back.

Everything here follows from the rows, and is loaded from them when a server starts or a transaction was rolled back. It is used
in the writer's thread alone.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, select

from pir_tf.people import pools, schema
from pir_tf.people.slots import SEEN, Slot
from pir_tf.people.study import Study

SHARED_IMAGES = 20
"""Images of a pool that all raters see, in this order, at their shared places."""
LIVE_SECONDS = 900.0
"""After so long without an answer, a hand-out no longer keeps its image from others."""
_UUID = re.compile(r"[0-9A-Za-z-]{8,64}")


@dataclass
class Images:
    """The images of one pool, and how often each was handed out."""

    item: np.ndarray
    label: np.ndarray
    side: np.ndarray
    rank: np.ndarray
    probability: np.ndarray
    taken: np.ndarray
    shared: dict[str, list[int]]
    row: dict[int, int]
    size: tuple[int, int] = (1, 1)
    answers: int = 0

    def choose(self, seen: np.ndarray, allowed: np.ndarray) -> int | None:
        """The row least handed out of those allowed and not seen, in the pool's random order; None where there is none."""
        free = allowed & ~seen
        if not free.any():
            return None
        order = self.taken * len(self.taken) + self.rank
        return int(np.where(free, order, np.iinfo(np.int64).max).argmin())


@dataclass
class Rater:
    """A rater's places so far."""

    number: int
    pseudonym: str
    slots: dict[int, Slot] = field(default_factory=dict)
    seen: dict[tuple[int, str], np.ndarray] = field(default_factory=dict)
    shared: dict[tuple[int, str], int] = field(default_factory=dict)
    waiting: dict[int, Slot] = field(default_factory=dict)
    second: Slot | None = None
    """The first place of a block whose second one is still to come."""

    @property
    def done(self) -> int:
        """Places with an answer, skips too."""
        return len(self.slots) - len(self.waiting)


class Desk:
    """One study's hand-outs and answers.

    Args:
        row: The study's row in `studies`.
    """

    def __init__(self, row: RowMapping) -> None:
        self.key: str = row["study"]
        self.study = Study.from_json(row["settings"])
        self.row = dict(row)
        self._secret = bytes.fromhex(row["secret"])

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
        for row in connection.execute(select(schema.raters).where(columns.study == self.key)).mappings():
            self._number[row["rater"]] = self.raters[row["key"]] = Rater(row["rater"], row["pseudonym"])
        for slot in read_slots(connection, self.key):
            self._remember(self._number[slot.rater], slot)
        table = schema.events
        for row in connection.execute(select(table).where(table.c.study == self.key).order_by(table.c.seq)):
            self._uuid[row.uuid] = row.body
            rater = self._number.get(row.rater)
            if rater and row.place in rater.slots:
                self._apply(rater, rater.slots[row.place], row.seq, row.uuid, row.kind, json.loads(row.value), row.at)

    def refresh(self, connection: Connection) -> None:
        """Takes in what others did to the study: pools opened and closed, pauses."""
        if pools.last_control(connection, self.key) == self.state.seq:
            return
        if pools.withdrawn_since(connection, self.key, self.state.seq):
            self.load(connection)
        self.state = pools.state(connection, self.key)
        for pool in self.state.pools:
            if pool.key not in self.images:
                self.images[pool.key] = self._images(connection, pool)

    def stage(self, rater: Rater | None) -> str:
        """What the page says: `open`, `paused` (nothing to rate now), `ended`, or `done` with this rater's answers."""
        if self.state.ended or self.study.over(time.time()):
            return "ended"
        if rater and rater.done >= self.study.answers_per_rater:
            return "done"
        return "open" if self.state.open and not self.state.paused else "paused"

    def enroll(self, connection: Connection, key: str) -> Rater:
        """The rater of this key, made with their consent if new. The pseudonym follows from the key by the study's secret."""
        if key in self.raters:
            return self.raters[key]
        pseudonym = f"r-{self._hash('pseudonym', key).hex()[:8]}"
        if any(rater.pseudonym == pseudonym for rater in self.raters.values()):
            pseudonym = f"r-{self._hash('pseudonym', key).hex()[:24]}"
        values = {"study": self.key, "key": key, "pseudonym": pseudonym, "consented": time.time()}
        made = connection.execute(schema.raters.insert().values(**values)).inserted_primary_key
        assert made is not None
        self._number[made[0]] = self.raters[key] = rater = Rater(made[0], pseudonym)
        return rater

    def hand_out(self, connection: Connection, rater: Rater, ahead: int, *, outside: bool = False) -> list[Slot]:
        """Up to `ahead` slots without an answer, those handed out before first; new ones are stored.

        A team's own page (`outside`) gets new ones each time, without an end.
        """
        if self.stage(None if outside else rater) != "open":
            return []
        while self._handed and self._handed[0].handed < time.time() - LIVE_SECONDS:
            old = self._handed.popleft()
            if not old.done:
                self._count(old, -1)
        open_pools = {pool.key for pool in self.state.open}
        again = [] if outside else [slot for _, slot in sorted(rater.waiting.items())]
        found = [slot for slot in again if (slot.round, slot.pool) in open_pools]
        new: list[Slot] = []
        while len(found) + len(new) < ahead and (
            outside or rater.done + len(found) + len(new) < self.study.answers_per_rater
        ):
            slot = self._next(rater)
            if slot is None:
                break
            self._remember(rater, slot)
            new.append(slot)
        if new:
            connection.execute(schema.impressions.insert(), [row for slot in new for row in self._rows(slot)])
        return [*found, *new][:ahead]

    def record(self, connection: Connection, rater: Rater, events: list[Any]) -> tuple[list[str], list[dict[str, str]]]:
        """Stores what a page sent; an event that is stored already is stored still.

        Returns:
            UUIDs of the stored events, and for each refused one its UUID and why.
        """
        stored, refused, rows, last = [], [], [], None
        for event in events:
            uuid = event.get("uuid") if isinstance(event, dict) else None
            if not isinstance(uuid, str) or not _UUID.fullmatch(uuid):
                refused.append(
                    {"uuid": str(uuid)[:64], "why": "It has no uuid of 8 to 64 letters, digits and hyphens."}
                )
                continue
            kind, value, at = event.get("kind"), event.get("value"), event.get("at")
            page, place = str(event.get("page") or "")[:64], event.get("place")
            at = float(at) if isinstance(at, int | float) and not isinstance(at, bool) and 0 <= at < 1e15 else None
            body = hashlib.sha256(json.dumps([rater.number, place, kind, value, at, page]).encode()).hexdigest()
            if uuid in self._uuid:
                same = self._uuid[uuid] == body
                (stored if same else refused).append(
                    uuid if same else {"uuid": uuid, "why": "Its uuid is another event's."}
                )  # type: ignore[arg-type, attr-defined]
                continue
            slot = rater.slots.get(place) if isinstance(place, int) else None
            why = slot.refusal(self.study.mode, str(kind), value) if slot else "Nothing was shown at this place."
            if slot is None or why:
                refused.append({"uuid": uuid, "why": why})
                continue
            values = {"uuid": uuid, "study": self.key, "rater": rater.number, "place": place, "kind": kind}
            values |= {"value": json.dumps(value), "at": at, "page": page, "body": body, "received": time.time()}
            made = connection.execute(schema.events.insert().values(**values)).inserted_primary_key
            assert made is not None
            last = made[0]
            self._uuid[uuid] = body
            self._apply(rater, slot, last, uuid, str(kind), value, at)
            stored.append(uuid)
            rows.append(slot)
        for pool in {(slot.round, slot.pool) for slot in rows}:
            self._close_when_full(connection, pool)
        return stored, refused

    def by_number(self, number: int) -> Rater:
        """The rater of this number."""
        return self._number[number]

    def size(self, slot: Slot) -> tuple[int, int]:
        """Width and height in pixels of a slot's images."""
        return self.images[slot.round, slot.pool].size

    def progress(self, rater: Rater | None) -> dict[str, int]:
        """How far a rater is."""
        return {"answered": rater.done if rater else 0, "wanted": self.study.answers_per_rater}

    def _close_when_full(self, connection: Connection, key: tuple[int, str]) -> None:
        pool = self.state.pool(*key)
        if pool and pool.open and pool.wanted and self.images[key].answers >= pool.wanted:
            why = f"{pool.wanted} answers"
            pools.control(connection, self.key, "close", round=pool.round, pool=pool.pool, wanted=pool.wanted, why=why)
            self.state = pools.state(connection, self.key)

    def _images(self, connection: Connection, pool: pools.Pool) -> Images:
        columns = schema.items.c
        chosen = select(
            columns.item, columns.class_index, columns.side, columns.probability, columns.width, columns.height
        )
        where = (columns.study == self.key, columns.round == pool.round, columns.pool == pool.pool)
        found = connection.execute(chosen.where(*where).order_by(columns.number)).all()
        item, label, side, probability, width, height = zip(*found, strict=True) if found else ((),) * 6
        rng = np.random.default_rng(int.from_bytes(self._hash("order", pool.round, pool.pool)[:8], "big"))
        rank = rng.permutation(len(item))
        sides = np.array(side, dtype=str)
        shared = {
            name: [int(row) for row in np.argsort(rank) if sides[row] == name][:SHARED_IMAGES] for name in set(side)
        }
        return Images(
            np.array(item, np.int64), np.array(label, np.int64), sides, rank, np.array(probability, np.float64),
            np.zeros(len(item), np.int64), shared, {number: row for row, number in enumerate(item)},
            (width[0], height[0]) if found else (1, 1),
        )  # fmt: skip

    def _next(self, rater: Rater) -> Slot | None:
        """The slot at the rater's next place, or None where nothing new is left for them."""
        place = len(rater.slots) + 1
        open_pools = {pool.key for pool in self.state.open}
        first, rater.second = rater.second, None
        if first and (first.round, first.pool) in open_pools:
            slot = self._second(rater, first, place)
            if slot:
                return slot
        slot = self._repeat(rater, place)
        if slot:
            return slot
        for pool in sorted(self.state.open, key=lambda pool: self._share_handed(pool)):
            slot = self._of_pool(rater, pool, place)
            if slot:
                return slot
        return None

    def _share_handed(self, pool: pools.Pool) -> float:
        """How far a pool is with what it waits for."""
        images = self.images[pool.key]
        return float(images.taken.sum()) / max(pool.wanted or len(images.item), 1)

    def _repeat(self, rater: Rater, place: int) -> Slot | None:
        """What the rater saw some places ago, once more: the same images, in the same order."""
        earlier = rater.slots.get(place - self.study.repeat_after)
        if earlier is None or earlier.repeat_of or self.state.pool(earlier.round, earlier.pool) not in self.state.open:
            return None
        if self._uniform("repeat", rater.number, place) >= self.study.repeats:
            return None
        return self._slot(rater, place, (earlier.round, earlier.pool), earlier.items, repeat_of=earlier.place)

    def _of_pool(self, rater: Rater, pool: pools.Pool, place: int) -> Slot | None:
        """New images of a pool for this place, or None where the rater has seen them all."""
        images, seen = self.images[pool.key], self._seen(rater, pool.key)
        proof = pool.pool == "proof"
        coin = (1 if self._uniform("coin", rater.number, place) < 0.5 else -1) if proof else 0
        shared = self._uniform("shared", rater.number, place) < self.study.shared
        sides = ["before", "after"][::coin] if proof else [""]
        if self.study.mode == "grid":
            more = 5 if coin > 0 else 4  # how many of the nine are from after tuning
            rows = self._choose(images, seen, ["after"] * more + ["before"] * (9 - more) if proof else [""] * 9)
            rows = rows and [rows[i] for i in self._order(9, rater.number, place)]
        elif self.study.mode == "pair":
            rows = self._choose(
                images, seen, sides if proof else ["", ""], self._shared_row(rater, images, seen, shared, sides[0])
            )
        else:
            rows = self._choose(images, seen, sides[:1], self._shared_row(rater, images, seen, shared, sides[0]))
        if not rows:
            return None
        items = [int(images.item[row]) for row in rows]
        return self._slot(rater, place, pool.key, items, shared=shared, coin=coin, block=place if proof else 0)

    def _second(self, rater: Rater, first: Slot, place: int) -> Slot | None:
        """The other side's image of a block that `first` began, of the same class."""
        key = (first.round, first.pool)
        images, seen = self.images[key], self._seen(rater, key)
        row = images.row[first.items[0]]
        side = "after" if images.side[row] == "before" else "before"
        shared = self._shared_row(rater, images, seen, first.shared, side)
        rows = self._choose(images, seen, [side], shared, label=int(images.label[row]))
        if not rows:
            return None
        items = [int(images.item[rows[0]])]
        return self._slot(rater, place, key, items, shared=first.shared, coin=first.coin, block=first.place)

    def _choose(
        self, images: Images, seen: np.ndarray, sides: list[str], first: int | None = None, label: int | None = None
    ) -> list[int]:
        """A row for each side, empty for any; all of one class where it has enough. Empty where images are missing."""
        chosen: list[int] = []
        taken = seen.copy()
        for number, side in enumerate(sides):
            row = first if number == 0 else None
            if row is None:
                allowed = (images.side == side) if side else np.ones(len(taken), bool)
                same = allowed if label is None else allowed & (images.label == label)
                row = images.choose(taken, same)
                row = images.choose(taken, allowed) if row is None else row
            if row is None:
                return []
            if label is None and len(sides) == 2:
                label = int(images.label[row])
            taken[row] = True
            chosen.append(row)
        return chosen

    def _shared_row(self, rater: Rater, images: Images, seen: np.ndarray, shared: bool, side: str) -> int | None:
        """The first of the images shared by all raters that this one hasn't seen, at a place for them."""
        if not shared:
            return None
        rows = images.shared.get(side, []) if side else [row for group in images.shared.values() for row in group]
        return next((row for row in rows if not seen[row]), None)

    def _seen(self, rater: Rater, key: tuple[int, str]) -> np.ndarray:
        return rater.seen.setdefault(key, np.zeros(len(self.images[key].item), bool))

    def _slot(self, rater: Rater, place: int, key: tuple[int, str], items: list[int], **more: Any) -> Slot:
        """A new slot with fresh names of its impressions."""
        images = self.images[key]
        names = [secrets.token_urlsafe(18) for _ in items]
        chance = float(images.probability[images.row[items[0]]])
        return Slot(rater.number, place, *key, items, names, chance, handed=time.time(), **more)

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
        images, seen = self.images[slot.round, slot.pool], self._seen(rater, (slot.round, slot.pool))
        for name, item in zip(slot.impressions, slot.items, strict=True):
            self.impression[name] = (rater.number, item, slot.place)
            seen[images.row[item]] = True
        self._count(slot, +1)
        self._handed.append(slot)
        if slot.block and self.study.mode in ("like", "rating"):
            rater.second = slot if slot.block == slot.place else None

    def _count(self, slot: Slot, by: int) -> None:
        if not slot.repeat_of:
            images = self.images[slot.round, slot.pool]
            for item in slot.items:
                images.taken[images.row[item]] += by

    def _apply(self, rater: Rater, slot: Slot, seq: int, uuid: str, kind: str, value: Any, at: float | None) -> None:
        """Takes an event into account."""
        images, before = self.images[slot.round, slot.pool], slot.counted is not None
        slot.take(seq, uuid, kind, value, at)
        images.answers += (slot.counted is not None) - before
        if slot.done:
            rater.waiting.pop(slot.place, None)
        elif kind != SEEN:
            rater.waiting[slot.place] = slot

    def _order(self, count: int, *parts: Any) -> list[int]:
        seed = int.from_bytes(self._hash("cells", *parts)[:8], "big")
        return [int(i) for i in np.random.default_rng(seed).permutation(count)]

    def _uniform(self, *parts: Any) -> float:
        """A number in [0, 1) that follows from the study's secret and these parts alone: a reload changes nothing."""
        return int.from_bytes(self._hash(*parts)[:7], "big") / 2**56

    def _hash(self, *parts: Any) -> bytes:
        return hmac.new(self._secret, json.dumps(parts).encode(), hashlib.sha256).digest()


def read_slots(connection: Connection, study: str) -> list[Slot]:
    """All slots of a study in the order of their handing out, without what came back."""
    table, items = schema.impressions, schema.items
    chosen = select(table, items.c.round, items.c.pool).join(items, items.c.item == table.c.item)
    rows = connection.execute(
        chosen.where(table.c.study == study).order_by(table.c.handed, table.c.place, table.c.cell)
    )
    columns = schema.raters.c
    keys = connection.execute(select(columns.rater, columns.key).where(columns.study == study))
    outside = {row.rater for row in keys if row.key.startswith("x:")}
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
