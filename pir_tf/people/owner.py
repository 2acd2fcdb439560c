"""What the owner of a study is told while it runs: progress, raters, agreement, evidence, and the images with their PIR."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection, RowMapping, select

from pir_tf.people import counted, pools, schema
from pir_tf.people.own_page import own_page, rules
from pir_tf.people.slots import JUDGEMENTS, Slot
from pir_tf.people.study import Study

if TYPE_CHECKING:
    from pir_tf.statistics.flags import RaterReport

EXAMPLES = 12
"""Best images shown, and as many of the worst."""
PACE_SECONDS = 600.0
"""The time in which the pace is measured."""
EVIDENCE = 2000.0
"""The e-value that ends a proof where it may stop early: `statistics.betting.needed` of the paper's alpha, 0.001."""


def status(connection: Connection, row: RowMapping | dict[str, Any], url: str = "") -> dict[str, Any]:
    """The state of a study as plain numbers and words; what can't be known yet is None.

    Args:
        connection: One state of the database.
        row: The study's row.
        url: The server's address.
    """
    study, key = Study.from_json(row["settings"]), row["study"]
    state = pools.state(connection, key)
    slots = counted.slots(connection, key)
    last = state.pools[-1].round if state.pools else 1
    table = [
        _pool(pool, [slot for slot in slots if (slot.round, slot.pool) == pool.key], connection, key)
        for pool in state.pools
    ]
    pace, left = _pace(connection, key, table)
    shown = state.pools[-1] if state.pools else None
    images = counted.items(connection, key, shown.round, [shown.pool]) if shown else None
    own = [slot for slot in slots if shown and (slot.round, slot.pool) == shown.key]
    rule = rules(connection, key).get(shown.key) if shown else None
    given = counted.answers(own, images, rule) if images else None
    alpha, one = _agreement(given) if given else (None, None)
    return {
        "study": study.name,
        "mode": study.mode,
        "question": study.question,
        "state": _word(study, state),
        "round": last,
        "link": f"{url}/join/{row['join_token']}",
        "pools": table,
        "pace_per_hour": pace,
        "minutes_left": left,
        "raters": raters(connection, key, study.mode, slots),
        "alpha": alpha,
        "one_predicts_the_others": one,
        "e_value": e_value(own, images) if images and shown and shown.pool == "proof" else None,
        "e_needed": EVIDENCE,
        "own_page": own_page(connection, key, slots),
        "images": _examples(given, images, shown.pool) if given and images and shown else [],
    }


def e_value(slots: list[Slot], images: counted.Items) -> float:
    """The evidence that images after tuning are liked better, after every answer. Where asking stops at it, p comes of it."""
    from pir_tf.statistics.betting import e_values

    bets = counted.bets(slots, images)
    return float(e_values(bets)[-1]) if bets.size else 1.0


def raters(connection: Connection, study: str, mode: str, slots: list[Slot]) -> list[dict[str, Any]]:
    """A row for each rater with an answer: how many, how fast, how like their own earlier ones, and what is doubtful."""
    columns = schema.raters.c
    chosen = select(columns.rater, columns.pseudonym).where(columns.study == study)
    names = {row.rater: row.pseudonym for row in connection.execute(chosen)}
    return [
        {
            **{"rater": names[report.rater], "answers": report.answers, "median_seconds": report.median_seconds},
            **{"repeats": report.repeats, "repeats_same": report.repeats_same, "share": report.share},
            "flags": list(report.flags),
        }
        for report in reports(mode, slots)
    ]


def reports(mode: str, slots: list[Slot]) -> list[RaterReport]:
    """What `statistics.flags` says of each rater with an answer; skips say nothing, repeats count here."""
    from pir_tf.statistics.flags import PAIR_ANSWERS, rater_reports

    given = [slot for slot in slots if slot.answers and slot.answers[-1].kind != "skip" and not slot.outside]
    given.sort(key=lambda slot: slot.answers[-1].seq)
    row = {(slot.rater, slot.place): number for number, slot in enumerate(given)}
    answer, seconds = [], []
    for slot in given:
        last = slot.answers[-1]
        value: Any = PAIR_ANSWERS[last.value] if mode == "pair" else last.value
        answer.append(sum(1 << cell for cell in value) if mode == "grid" else int(value))
        timed = last.at is not None and slot.seen_at is not None and last.at >= slot.seen_at
        seconds.append((last.at - slot.seen_at) / 1000 if timed else np.nan)  # type: ignore[operator]
    repeat_of = [row.get((slot.rater, slot.repeat_of), -1) for slot in given]
    numbers = [slot.rater for slot in given]
    if not given:
        return []
    return rater_reports(np.array(numbers), np.array(answer), np.array(seconds), mode, np.array(repeat_of))  # type: ignore[arg-type]


def _word(study: Study, state: pools.State) -> str:
    if state.ended or study.over(time.time()):
        return "ended"
    if state.paused:
        return "paused"
    return "open" if state.open else "closed"


def _pool(pool: pools.Pool, slots: list[Slot], connection: Connection, study: str) -> dict[str, Any]:
    given = [slot for slot in slots if not slot.repeat_of]
    return {
        "round": pool.round,
        "pool": pool.pool,
        "images": len(counted.items(connection, study, pool.round, [pool.pool]).item),
        "answers": sum(slot.judged for slot in given),
        "wanted": pool.wanted,
        "skipped": sum(bool(slot.answers) and slot.answers[-1].kind == "skip" for slot in given),
        "unanswered": sum(slot.visible and not slot.answers and not slot.judged for slot in given),
        "state": "open" if pool.open else "closed",
    }


def _pace(connection: Connection, study: str, table: list[dict[str, Any]]) -> tuple[float | None, float | None]:
    """Answers an hour over the last minutes, and the minutes until what is open has what it waits for."""
    now, events = time.time(), schema.events.c
    where = (
        events.study == study,
        events.received.between(now - PACE_SECONDS, now),
        events.kind.in_(JUDGEMENTS),
    )
    times = [row.received for row in connection.execute(select(events.received).where(*where))]
    if len(times) < 5:
        return None, None
    pace = len(times) / max(now - min(times), 1.0) * 3600
    missing = sum(max(pool["wanted"] - pool["answers"], 0) for pool in table if pool["state"] == "open")
    return pace, missing / pace * 60 if missing else None


def _agreement(given: counted.Answers) -> tuple[float | None, float | None]:
    """Krippendorff's alpha, and how well one person predicts the others, both on what several people judged."""
    from pir_tf.statistics.agreement import krippendorff_alpha, one_predicts_the_others

    if not len(given.value):
        return None, None
    return krippendorff_alpha(given.rater, given.image, given.value), one_predicts_the_others(
        given.rater, given.image, given.value
    )


def _examples(given: counted.Answers, images: counted.Items, pool: str) -> list[dict[str, Any]]:
    """The images liked best and least, with the interval of their PIR."""
    from pir_tf.statistics.rates import answer_worth, image_rates

    impressions, positives = counted.totals(given, len(images.item))
    if not impressions.sum():
        return []
    rates = image_rates(impressions, positives, answer_worth(given.image, given.value))
    judged = np.flatnonzero(impressions > 0)
    order = judged[np.argsort(-rates.pir[judged], kind="stable")]
    chosen = list(dict.fromkeys([*order[:EXAMPLES], *order[-EXAMPLES:]]))
    return [
        {
            **{"id": images.image_id[row], "src": f"/api/owner/image/{images.item[row]}.png", "pool": pool},
            **{"impressions": float(impressions[row]), "positives": float(positives[row])},
            **{"pir": float(rates.pir[row]), "low": float(rates.low[row]), "high": float(rates.high[row])},
        }
        for row in chosen
    ]
