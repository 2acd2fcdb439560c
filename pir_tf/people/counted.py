"""From rows to numbers: which answers of a study count, by image and as arrays for the statistics."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, RowMapping, inspect, select

from pir_tf.errors import InputError
from pir_tf.interactions.engagement import Rule
from pir_tf.people import pools, schema
from pir_tf.people.desk import read_slots
from pir_tf.people.slots import Slot
from pir_tf.people.study import Study
from pir_tf.statistics.betting import block_bets

FEWEST = 10
"""Images with answers that the linear estimator needs at least, as it leaves each of them out in turn."""


@dataclass(frozen=True)
class Items:
    """A pool's images in the order in which they were added: n of each.

    Attributes:
        item: Their numbers in the database, int64 `[n]`.
        image_id: Their names.
        label: Their classes, int64 `[n]`.
        side: `before`, `after` or empty.
        sha256: Of their pixels.
    """

    item: np.ndarray
    image_id: list[str]
    label: np.ndarray
    side: np.ndarray
    sha256: list[str]


@dataclass(frozen=True)
class Answers:
    """Judgements of single images in the server's order, m of them: what the statistics take.

    Attributes:
        rater: int64 `[m]`.
        image: Row of the image in `Items`, int64 `[m]`.
        value: float64 `[m]` in [0, 1].
    """

    rater: np.ndarray
    image: np.ndarray
    value: np.ndarray


def items(connection: Connection, study: str, round: int, names: Iterable[str]) -> Items:
    """The images of these pools of a round."""
    columns = schema.items.c
    chosen = select(columns.item, columns.image_id, columns.class_index, columns.side, columns.sha256)
    where = (columns.study == study, columns.round == round, columns.pool.in_(list(names)))
    rows = connection.execute(chosen.where(*where).order_by(columns.item)).all()
    return Items(
        np.array([row.item for row in rows], np.int64),
        [row.image_id for row in rows],
        np.array([row.class_index for row in rows], np.int64),
        np.array([row.side for row in rows], str),
        [row.sha256 for row in rows],
    )


def slots(
    connection: Connection, study: str, round: int | None = None, names: Iterable[str] = schema.POOLS
) -> list[Slot]:
    """Slots with what came back until their pool was closed, in the order of the answers, those without one last.

    Args:
        connection: One state of the database.
        study: The study's key.
        round: A round, or None for all.
        names: Pools.
    """
    state, wanted = pools.state(connection, study), set(names)
    chosen = {
        (slot.rater, slot.place): slot
        for slot in read_slots(connection, study)
        if slot.pool in wanted and round in (None, slot.round)
    }
    last = {pool.key: pool.last_event for pool in state.pools if not pool.open}
    table = schema.events
    for row in connection.execute(select(table).where(table.c.study == study).order_by(table.c.seq)):
        slot = chosen.get((row.rater, row.place))
        if slot and row.seq <= last.get((slot.round, slot.pool), row.seq):
            slot.take(row.seq, row.uuid, row.kind, json.loads(row.value), row.at, row.page)
    return sorted(chosen.values(), key=lambda slot: slot.answers[-1].seq if slot.answers else 2**62)


def values(slot: Slot, rule: Rule | None = None) -> list[tuple[int, float]]:
    """(item, value) of each image that a slot judges: by its answer, or by what a team's own page saw of it."""
    if slot.answers or not slot.visible or slot.repeat_of:
        return slot.values()
    if rule is None or not slot.outside:
        return []
    return [(slot.items[0], float(rule.positive(slot.exposure)))]


def answers(found: Iterable[Slot], of: Items, rule: Rule | None = None) -> Answers:
    """The judgements in these slots of these images."""
    row = {int(item): i for i, item in enumerate(of.item)}
    triples = [(slot.rater, row[item], value) for slot in found for item, value in values(slot, rule) if item in row]
    rater, image, value = zip(*triples, strict=True) if triples else ((), (), ())
    return Answers(np.array(rater, np.int64), np.array(image, np.int64), np.array(value, np.float64))


def predicted(connection: Connection, of: Items) -> np.ndarray:
    """What the estimator said of each image when it was offered, float64 `[n]`, NaN where it wasn't asked."""
    found = np.full(len(of.item), np.nan)
    if len(of.item) and inspect(connection).has_table("predictions"):
        table = schema.predictions.c
        rows = {row.item: row.predicted for row in connection.execute(select(table.item, table.predicted))}
        found = np.array([rows.get(int(item), np.nan) for item in of.item])
    return found


def require_enough(connection: Connection, row: RowMapping | Mapping[str, Any]) -> None:
    """Refuses to close what an estimator couldn't learn from: a closed round is never opened again, and its loop would end there.

    A proof may be closed at any time, and whatever a study that has ended still asks. Of a team's own page only the rule of its
    run says what counts.

    Raises:
        InputError: Too few images of an open pool have answers, or all answers say the same.
    """
    study = row["study"]
    now, ended = pools.state(connection, study), Study.from_json(row["settings"]).over(time.time())
    for pool in [] if now.ended or ended else now.open:
        found = slots(connection, study, pool.round, [pool.pool])
        if pool.pool == "proof" or any(slot.outside for slot in found):
            continue
        of = items(connection, study, pool.round, [pool.pool])
        given = answers(found, of)
        judged, needed = len(np.unique(given.image)), min(FEWEST, len(of.item))
        todo = "wait for more answers, or pause the study"
        if judged < needed:
            raise InputError(
                f"Round {pool.round} has answers to {judged} images, and nothing can be learnt from fewer than {needed}: {todo}."
            )
        if judged and np.ptp(given.value) == 0:
            raise InputError(
                f"All {len(given.value)} answers of round {pool.round} say the same, which teaches nothing: {todo}."
            )


def totals(given: Answers, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Impressions and positives of `count` images: whole numbers, and sums of values in [0, 1], both float64."""
    impressions = np.bincount(given.image, minlength=count).astype(np.float64)
    return impressions, np.bincount(given.image, weights=given.value, minlength=count)


def bets(found: Iterable[Slot], of: Items) -> np.ndarray:
    """What the server's coins gave to bet on, in order: after less before, in [-1, 1] (see `statistics.betting.block_bets`).

    Two images of different classes are no bet: they are what one side has more of, so that the order of the classes within
    them is known before the answers.
    """
    row = {int(item): i for i, item in enumerate(of.item)}
    rows = [
        (slot.rater, row[item], value, slot.block)
        for slot in found
        if slot.block
        for item, value in slot.values()
        if item in row
    ]
    classes: dict[tuple[int, int], list[int]] = {}
    for rater, image, _, block in rows:
        classes.setdefault((rater, block), []).append(int(of.label[image]))
    unfair = {key for key, labels in classes.items() if len(labels) == 2 and labels[0] != labels[1]}
    raters, images, given, blocks = zip(*rows, strict=True) if rows else ((),) * 4
    side, fair = (of.side == "after").astype(int), [(rater, block) not in unfair for rater, _, _, block in rows]
    judged = np.array(raters, int), np.array(images, int), np.array(given, float)
    return block_bets(*judged, side, np.array(blocks, int), fair)


def pairs(found: Iterable[Slot], of: Items) -> np.ndarray:
    """(rater, pair, win) of each answer to one image before and one after, float64 `[m, 3]`.

    The win is 1 where the image after was chosen, 0 for the other, 0.5 for a tie and for two bad ones; the pair's number is the
    row of its image before.
    """
    row = {int(item): i for i, item in enumerate(of.item)}
    made = []
    for slot in found:
        judgement = {str(of.side[row[item]]): (row[item], value) for item, value in slot.values() if item in row}
        if len(slot.items) == 2 and judgement.keys() == {"before", "after"}:
            win = (1 + judgement["after"][1] - judgement["before"][1]) / 2
            made.append((slot.rater, judgement["before"][0], win))
    return np.array(made, np.float64).reshape(-1, 3)
