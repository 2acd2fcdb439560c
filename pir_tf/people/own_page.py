"""What a team's own page has sent, in numbers: events by kind, and the rate of liking by the rule that the stages go by."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select

from pir_tf.interactions.engagement import Rule
from pir_tf.people import pools, schema
from pir_tf.people.desk import OUTSIDE
from pir_tf.people.slots import EXPOSURE, SEEN, Slot

KINDS = (SEEN, *EXPOSURE)


def rules(connection: Connection, study: str) -> dict[tuple[int, str], Rule]:
    """What makes an impression of a team's own page a positive one, for each pool whose stage has said so, last of all."""
    said = {(round, pool): text for round, pool, text in pools.noted(connection, study, "rule")}
    return {key: Rule.parse(text) for key, text in said.items()}


def own_page(connection: Connection, study: str, slots: list[Slot]) -> dict[str, Any] | None:
    """Counts of what a team's own page did with the images that it got; None for a study without one.

    Args:
        connection: One state of the database.
        study: The study's key.
        slots: Of all its pools.

    Returns:
        `handed`, images that the page got; `events`, stored events by kind, those after a pool's close too; and `rules`, for each
        pool whose rule is known: round, pool, the rule's sentence, images seen, those that were liked by it, and their rate.
    """
    own = [slot for slot in slots if slot.outside]
    if not own:
        return None
    events, raters = schema.events.c, schema.raters.c
    counts = (
        select(events.kind, func.count().label("count"))
        .join(schema.raters, raters.rater == events.rater)
        .where(events.study == study, raters.key.startswith(OUTSIDE))
        .group_by(events.kind)
    )
    sent = dict.fromkeys(KINDS, 0) | {row.kind: row.count for row in connection.execute(counts)}
    found = []
    for (round, pool), rule in rules(connection, study).items():
        seen = [slot for slot in own if (slot.round, slot.pool) == (round, pool) and slot.visible and not slot.answers]
        if seen:
            liked = sum(rule.positive(slot.exposure) for slot in seen)
            named = {"round": round, "pool": pool, "rule": rule.sentence()}
            found.append({**named, "seen": len(seen), "liked": liked, "rate": liked / len(seen)})
    return {"handed": len(own), "events": sent, "rules": found}
