"""All that a study's database says, as plain numbers and pictures: what the report of a study is drawn from."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from sqlalchemy import Connection, select

from pir_tf.interactions.engagement import Rule
from pir_tf.people import counted, own_page, owner, pools, schema
from pir_tf.people.slots import Slot
from pir_tf.people.store import Store
from pir_tf.people.study import Study
from pir_tf.runs.directory import has_simulated_raters
from pir_tf.statistics.agreement import krippendorff_alpha, one_predicts_the_others, rank_correlation
from pir_tf.statistics.betting import e_values, needed
from pir_tf.statistics.effects import ALPHA
from pir_tf.statistics.flags import kept
from pir_tf.statistics.proof import prove_study
from pir_tf.statistics.rates import answer_worth, image_rates

SHOWN = 12
"""Images of a kind in the report."""


def read_summary(store: Store, name: str = "", *, alpha: float = ALPHA) -> dict[str, Any]:
    """A study's settings, rounds, raters and proof; what can't be known is None. No rater waits while it is made.

    Args:
        store: The database, which may be served.
        name: The study's name, empty for the only one.
        alpha: Significance threshold of the proof.

    Returns:
        `study` (its settings), `rounds` (a dictionary for each round's random pool, `foreseen` how the estimator of the round
        before ranked its images), `raters` (reports), `own_page` (see `own_page.own_page`), `proof` of the last
        proof pool, or None, with `without_doubtful` and `e_values`, `pictures` (PNG bytes by item), and `simulated`: the file
        of the database lies in a demonstration's folder.
    """
    with store.snapshot() as connection:
        found, pictures = _numbers(connection, name, alpha)
    with store.reading() as connection:
        found |= {"pictures": _pictures(connection, pictures)}
    return {**found, "simulated": store.sqlite and has_simulated_raters(Path(str(store.url.database)).parent)}


def _numbers(connection: Connection, name: str, alpha: float) -> tuple[dict[str, Any], list[int]]:
    """All but the pictures, and of which items there are to be some."""
    row = pools.require(connection, name)
    key, study = row["study"], Study.from_json(row["settings"])
    state, slots = pools.state(connection, key), counted.slots(connection, key)
    rules = own_page.rules(connection, key)
    rounds, pictures = [], []
    for pool in state.pools:
        if pool.pool == "random":
            found, shown = _round(connection, key, pool, slots, rules.get(pool.key))
            rounds.append(found)
            pictures += shown
    proofs = [pool for pool in state.pools if pool.pool == "proof"]
    rule = rules.get(proofs[-1].key) if proofs else None
    proof = _proof(connection, key, study, proofs[-1], slots, alpha, rule) if proofs else None
    for shown in (proof or {}).get("examples", {}).values():
        pictures += [example["item"] for example in shown]
    found = {
        "study": dataclasses.asdict(study),
        "rounds": rounds,
        "raters": owner.raters(connection, key, study.mode, slots),
        "answers": sum(slot.judged for slot in slots),
        "people": len({slot.rater for slot in slots if slot.judged}),
        "proof": proof,
        "own_page": own_page.own_page(connection, key, slots),
    }
    return found, pictures


def _round(
    connection: Connection, key: str, pool: pools.Pool, slots: list[Slot], rule: Rule | None
) -> tuple[dict[str, Any], list[int]]:
    """The random pool of a round: mean PIR with an interval over images, reliability, agreement, its best and worst images."""
    images = counted.items(connection, key, pool.round, [pool.pool])
    own = [slot for slot in slots if (slot.round, slot.pool) == pool.key]
    given = counted.answers(own, images, rule)
    found: dict[str, Any] = {
        "round": pool.round,
        "images": len(images.item),
        "answers": sum(s.judged for s in own),
    }
    found |= dict.fromkeys(
        ("mean", "low", "high", "sd", "reliability", "alpha", "one_predicts_the_others", "estimator", "foreseen")
    )
    found |= {"open": pool.open, "best": [], "worst": []}
    if not len(given.value):
        return found, []
    impressions, positives = counted.totals(given, len(images.item))
    rates = image_rates(impressions, positives, answer_worth(given.image, given.value))
    judged = impressions > 0
    observed = positives[judged] / impressions[judged]
    mean, half = float(observed.mean()), None
    if len(observed) > 1 and np.ptp(observed):  # where all are alike their spread tells nothing
        half = float(stats.t.ppf(0.975, len(observed) - 1) * stats.sem(observed))
    found |= {"mean": mean, "sd": rates.sd, "reliability": rates.reliability}
    if half is not None:
        found |= {"low": max(mean - half, 0.0), "high": min(mean + half, 1.0)}
    found["alpha"] = krippendorff_alpha(given.rater, given.image, given.value)
    found["one_predicts_the_others"] = one_predicts_the_others(given.rater, given.image, given.value)
    found["foreseen"] = rank_correlation(counted.predicted(connection, images)[judged], observed)
    rows = np.flatnonzero(judged)[np.argsort(-rates.pir[judged], kind="stable")]
    for name, chosen in (("best", rows[:SHOWN]), ("worst", rows[::-1][:SHOWN])):
        found[name] = [_example(images, row, rates, impressions) for row in chosen]
    return found, [example["item"] for example in (*found["best"], *found["worst"])]


def _example(images: counted.Items, row: int, rates: Any, impressions: np.ndarray) -> dict[str, Any]:
    return {
        **{"item": int(images.item[row]), "pir": float(rates.pir[row]), "low": float(rates.low[row])},
        **{"high": float(rates.high[row]), "answers": float(impressions[row])},
    }


def _proof(
    connection: Connection,
    key: str,
    study: Study,
    pool: pools.Pool,
    slots: list[Slot],
    alpha: float,
    rule: Rule | None,
) -> dict[str, Any]:
    """The proof at the size set before, with and without doubtful raters, the evidence answer by answer, and examples."""
    images = counted.items(connection, key, pool.round, [pool.pool])
    own = [slot for slot in slots if (slot.round, slot.pool) == pool.key]
    given, side = counted.answers(own, images, rule), (images.side == "after").astype(int)
    reports = owner.reports(study.mode, slots)
    present = {slot.rater for slot in own if slot.judged}
    doubtful = sum(bool(report.flags) and report.rater in present for report in reports)
    judged, pairs = np.array([given.rater, given.image, given.value]), counted.pairs(own, images)
    there = sum(slot.judged for slot in own)
    # With all that were wanted nobody has withdrawn, also where no rule says what to make of answers yet.
    closed = pool.why if there < pool.wanted or len(given.value) else ""
    bets = counted.bets(own, images)
    evidence = e_values(bets) if bets.size else np.ones(1)
    about: dict[str, Any] = {"wanted": pool.wanted, "alpha": alpha, "evidence": float(evidence.max())}
    whole = prove_study(study.mode, judged, side, pairs, closed=closed, **about)
    counts = judged[:, : whole.answers], pairs[: whole.answers]  # those beyond the size set before don't
    honest, others = counts[0][:, kept(counts[0][0], reports)], counts[1][kept(counts[1][:, 0], reports)]
    if pool.open:  # p is of the end alone: looked at again and again it finds a gain in nothing
        said = f"The proof is open: {there} of {pool.wanted or 'any number of'} answers are there."
        whole = dataclasses.replace(whole, verdict="not measured yet", sentence=said, p=None)
    return {
        "round": pool.round,
        "open": pool.open,
        "wanted": pool.wanted,
        "closed": pool.why,
        **dataclasses.asdict(whole),
        "given": there,
        "doubtful": doubtful,
        "without_doubtful": (
            dataclasses.asdict(prove_study(study.mode, honest, side, others, alpha=alpha))
            if doubtful
            and (others if study.mode == "pair" else honest).size
            and whole.verdict != "not measured yet"
            and not whole.by_evidence
            else None
        ),
        "e_values": [float(value) for value in evidence],
        # A study of an earlier version was ended by less.
        "e_needed": min(needed(alpha), float(evidence.max())) if whole.by_evidence else needed(alpha),
        "examples": {name: _examples(images, name) for name in ("before", "after")},
    }


def _examples(images: counted.Items, side: str) -> list[dict[str, Any]]:
    """The first images of a side: a sample without a choice."""
    return [{"item": int(item)} for item in images.item[images.side == side][:SHOWN]]


def _pictures(connection: Connection, items: list[int]) -> dict[int, bytes]:
    columns = schema.items.c
    if not items:
        return {}
    chosen = select(columns.item, columns.png).where(columns.item.in_(items))
    return {row.item: bytes(row.png) for row in connection.execute(chosen)}
