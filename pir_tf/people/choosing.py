"""Which image a rater sees next: from the study's secret, the rater and the place, and from how often each was handed out.

Shared places, repeats, coins and the order of cells follow from the secret alone, so that a reload changes nothing and nobody can
foretell them. Among the images that are left, the one least handed out is next.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pir_tf.people.pools import Pool
from pir_tf.people.slots import Slot
from pir_tf.people.study import Study

SHARED_IMAGES = 20
"""Images of a pool that all raters see, of each side, in this order, at their shared places; a quarter of a small pool."""
Key = tuple[int, str]
"""Round and pool."""


@dataclass
class Images:
    """The images of one pool, and how often each was handed out."""

    item: np.ndarray
    label: np.ndarray
    side: np.ndarray
    rank: np.ndarray
    probability: np.ndarray
    size: tuple[int, int] = (1, 1)
    """Width and height in pixels."""
    shares: bool = True
    """Whether there are shared places."""
    answers: int = 0
    """Counted ones."""
    taken: np.ndarray = field(init=False)
    shared: dict[str, list[int]] = field(init=False)
    own: np.ndarray = field(init=False)
    """Which aren't shared: the others are kept for shared places while there are any of these."""
    row: dict[int, int] = field(init=False)
    partner: dict[int, int] = field(init=False)
    """Of a proof: the other side's image with which each is compared, of the same class where there is one; fixed, so that an
    image belongs to one pair alone and every pair is new until all were shown."""
    matched: np.ndarray = field(init=False)
    """Which have a partner of their own class; all of them where none has. The others are what one side has more of a class:
    pairs of them would judge classes, so no pair has them."""

    def __post_init__(self) -> None:
        self.taken = np.zeros(len(self.item), np.int64)
        self.row = {int(number): row for row, number in enumerate(self.item)}
        order = [int(row) for row in np.argsort(self.rank)]
        self.partner = self._partners(order)
        self.matched = np.zeros(len(self.item), bool)
        self.matched[[row for row, other in self.partner.items() if self.label[row] == self.label[other]]] = True
        self.matched |= not self.matched.any()
        self.shared = {}
        self.own = np.ones(len(self.item), bool)
        for side in (
            sorted({str(side) for side in self.side}, reverse=True) if self.shares else []
        ):  # before, then after
            rows = [row for row in order if self.side[row] == side]
            partners = [self.partner[row] for row in self.shared.get("before", []) if row in self.partner]
            rows = list(dict.fromkeys([*partners, *rows])) if side == "after" else rows
            self.shared[side] = rows[: min(SHARED_IMAGES, -(-len(rows) // 4))]
            self.own[self.shared[side]] = False

    def _partners(self, order: list[int]) -> dict[int, int]:
        """Pairs of an image before and one after, in the random order: within each class, then of what is left."""
        left: dict[str, list[int]] = {"before": [], "after": []}
        pairs = []
        for label in sorted(set(self.label.tolist())):
            sides = [[row for row in order if self.side[row] == side and self.label[row] == label] for side in left]
            pairs += list(zip(*sides, strict=False))
            for rows, kept in zip(sides, left.values(), strict=True):
                kept += rows[min(map(len, sides)) :]
        pairs += list(zip(*left.values(), strict=False))
        return {row: other for pair in pairs for row, other in (pair, pair[::-1])}

    def choose(self, free: np.ndarray) -> int | None:
        """The row least handed out of those that are free, in the pool's random order; None where there is none."""
        if not free.any():
            return None
        order = self.taken * len(self.taken) + self.rank
        return int(np.where(free, order, np.iinfo(np.int64).max).argmin())


@dataclass
class Rater:
    """A rater's places so far."""

    number: int
    pseudonym: str
    outside: bool = False
    """Whether a team's own page shows them the images."""
    slots: dict[int, Slot] = field(default_factory=dict)
    seen: dict[Key, np.ndarray] = field(default_factory=dict)
    waiting: dict[int, Slot] = field(default_factory=dict)
    second: Slot | None = None
    """The first place of a block whose second one is still to come."""

    @property
    def done(self) -> int:
        """Places with an answer, skips too."""
        return len(self.slots) - len(self.waiting)

    def has_seen(self, key: Key, images: Images) -> np.ndarray:
        """Which of a pool's images were handed out to this rater, bool for each."""
        return self.seen.setdefault(key, np.zeros(len(images.item), bool))


class Chooser:
    """The order of one study.

    Args:
        secret: The study's secret, in hexadecimal digits.
        study: Its settings.
    """

    def __init__(self, secret: str, study: Study) -> None:
        self._secret = bytes.fromhex(secret)
        self.study = study

    def ranks(self, key: Key, count: int) -> np.ndarray:
        """The random order of a pool's images, int64 `[count]`."""
        return self._rng("order", *key).permutation(count)

    def pseudonym(self, key: str, digits: int) -> str:
        """What a rater of this key is called."""
        return f"r-{self._hash('pseudonym', key).hex()[:digits]}"

    def next(self, rater: Rater, pools: Sequence[Pool], images: Mapping[Key, Images]) -> Slot | None:
        """The slot at the rater's next place, or None where nothing new is left for them.

        Args:
            rater: Who it is for.
            pools: The open ones.
            images: Of all pools.
        """
        place = len(rater.slots) + 1
        keys = {pool.key for pool in pools}
        slot = self._repeat(rater, place, keys, images)
        first = rater.second
        if slot is None and first and (first.round, first.pool) in keys:
            slot = self._second(rater, first, place, images)
        for pool in self._in_order(rater, place, pools, images) if slot is None else []:
            slot = self._of_pool(rater, pool, place, images[pool.key])
            if slot:
                break
        return slot

    def _in_order(self, rater: Rater, place: int, pools: Sequence[Pool], images: Mapping[Key, Images]) -> list[Pool]:
        """The open pools, each the likelier first the more it lacks. By lot: the place itself must not tell the pool."""
        if len(pools) < 2:
            return list(pools)
        lacks = []
        for pool in pools:
            wanted = (pool.wanted or len(images[pool.key].item)) * self.study.cells
            lacks.append(max(wanted - float(images[pool.key].taken.sum()), 0.01 * wanted, 1e-9))
        lots = [self._uniform("pool", rater.number, place, *pool.key) for pool in pools]
        # Source: Efraimidis and Spirakis 2006: the largest u^(1/w) draws by weight without putting back.
        return [pools[i] for i in sorted(range(len(pools)), key=lambda i: -np.log(lots[i] or 1e-300) / lacks[i])]

    def _repeat(self, rater: Rater, place: int, keys: set[Key], images: Mapping[Key, Images]) -> Slot | None:
        """What the rater saw some places ago, once more: the same images, in the same order."""
        earlier = rater.slots.get(place - self.study.repeat_after)
        if earlier is None or earlier.repeat_of or rater.outside or (earlier.round, earlier.pool) not in keys:
            return None
        if self._uniform("repeat", rater.number, place) >= self.study.repeats:
            return None
        key = (earlier.round, earlier.pool)
        return self._slot(rater, place, key, earlier.items, images[key], repeat_of=earlier.place)

    def _of_pool(self, rater: Rater, pool: Pool, place: int, images: Images) -> Slot | None:
        """New images of a pool for this place, or None where the rater has seen them all."""
        proof = pool.pool == "proof"
        coin = (1 if self._uniform("coin", rater.number, place) < 0.5 else -1) if proof else 0
        sides = ["before", "after"][::coin] if proof else ["", ""]
        if self.study.mode == "grid":
            more = 5 if coin > 0 else 4  # how many of the nine are from after tuning
            sides = ["after"] * more + ["before"] * (9 - more) if proof else [""] * 9
        elif self.study.mode != "pair":
            sides = sides[:1]
        shared = self._uniform("shared", rater.number, place) < self.study.shared
        rows = _choose(images, rater.has_seen(pool.key, images), sides, shared)
        if not rows:
            return None
        if self.study.mode == "grid":
            rows = [rows[i] for i in self._rng("cells", rater.number, place).permutation(9)]
        items = [int(images.item[row]) for row in rows]
        return self._slot(rater, place, pool.key, items, images, shared=shared, coin=coin, block=place if proof else 0)

    def _second(self, rater: Rater, first: Slot, place: int, images: Mapping[Key, Images]) -> Slot | None:
        """The other side's image of a block that `first` began, of the same class."""
        key = (first.round, first.pool)
        own = images[key]
        row = own.row[first.items[0]]
        side = "after" if own.side[row] == "before" else "before"
        seen, partner = rater.has_seen(key, own), own.partner.get(row)
        fixed = [] if partner is None or seen[partner] else [partner]
        rows = fixed or _choose(own, seen, [side], first.shared, int(own.label[row]))
        if not rows:
            return None
        items = [int(own.item[rows[0]])]
        return self._slot(rater, place, key, items, own, shared=first.shared, coin=first.coin, block=first.place)

    def _slot(self, rater: Rater, place: int, key: Key, items: list[int], images: Images, **more: Any) -> Slot:
        """A new slot with fresh names of its impressions."""
        names = [secrets.token_urlsafe(18) for _ in items]
        chance = float(images.probability[images.row[items[0]]])
        more |= {"outside": rater.outside, "handed": time.time()}
        return Slot(rater.number, place, *key, list(items), names, chance, **more)

    def _uniform(self, *parts: Any) -> float:
        """A number in [0, 1) that follows from the study's secret and these parts alone: a reload changes nothing."""
        return int.from_bytes(self._hash(*parts)[:7], "big") / 2**56

    def _rng(self, *parts: Any) -> np.random.Generator:
        return np.random.default_rng(int.from_bytes(self._hash(*parts)[:8], "big"))

    def _hash(self, *parts: Any) -> bytes:
        return hmac.new(self._secret, json.dumps(parts).encode(), hashlib.sha256).digest()


def _choose(
    images: Images, seen: np.ndarray, sides: Sequence[str], shared: bool, label: int | None = None
) -> list[int]:
    """A row for each side, empty for any, that wasn't seen; two of one class where it has enough. Empty where images are missing.

    At a shared place the first that all raters see are taken, so that raters see the same pairs and grids there.
    """
    chosen: list[int] = []
    free = ~seen & images.matched if len(sides) == 2 else ~seen
    for side in sides:
        allowed = free & (images.side == side) if side else free
        same = allowed if label is None else allowed & (images.label == label)
        row = next((row for row in images.shared.get(side, []) if same[row]), None) if shared else None
        for several in (same & images.own, allowed & images.own, same, allowed):
            row = images.choose(several) if row is None else row
        if row is None:
            return []
        if label is None and len(sides) == 2:
            label = int(images.label[row])
        free[row] = False
        chosen.append(row)
        partner = images.partner.get(row) if side and len(sides) == 2 else None
        if partner is not None and free[partner] and len(chosen) == 1:
            return [row, partner]
    return chosen
