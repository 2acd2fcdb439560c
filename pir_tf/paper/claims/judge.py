"""Every claim of the paper, judged by what was run: a row for each, with how it was made. No TensorFlow.

The rules are in the modules beside this one, each next to the claim that it judges. A verdict is never written by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from pir_tf.paper.claims import colors, diversity, estimator, models, rounds, settings, success, tradeoff, zeros
from pir_tf.paper.claims.evidence import Facts, channels_of, read_facts
from pir_tf.paper.claims.rules import LEFT_OUT, VERDICTS, Claim, Evidence, Finding
from pir_tf.paper.collect import Collected
from pir_tf.paper.rows import Row

_PARTS = (
    *(success, colors, zeros, models, estimator, rounds, diversity),
    *(tradeoff, settings),
)

CLAIMS: tuple[Claim, ...] = tuple(
    sorted((claim for part in _PARTS for claim in part.CLAIMS), key=lambda claim: claim.section.partition(",")[0])
)
"""All of them, in the order of the paper's sections."""

COLUMNS: dict[str, type] = {
    **dict.fromkeys(("key", "section", "claim", "paper", "ours"), str),
    **dict.fromkeys(("value", "low", "high"), float),
    "n": int,
    **dict.fromkeys(("verdict", "remark", "reproduced_if", "partly_if", "command", "commit", "hardware"), str),
    "seconds": float,
    "runs": int,
}
"""The columns of a row, in their order, with the type of their values."""

SIZES = ("laptop", "paper", "smoke")
"""Sizes that `pir-tf sweep` knows; they have the presets' names."""

DEFAULTS = ("", "none", "imagenet")
"""Weights that a command need not name."""


def evidence_of(found: Collected, suites: Mapping[str, Sequence[str]] | None = None) -> Evidence:
    """Collected experiments with the facts of their directories.

    Args:
        found: What was collected.
        suites: The suites that have an experiment of a name, for the commands beside the claims.

    Raises:
        InputError: A file in a directory is damaged.
    """
    rows, missing = [], list(found.missing)
    for row in found.rows:
        reason = _proves_nothing(row)
        if reason:
            missing.append({**row, "status": LEFT_OUT, "reason": reason})
            continue
        samples = found.samples.get(row["experiment"])
        measured = row["red_before"] is not None or samples is None or not row["objective"].startswith("color:")
        rows.append(row if measured or samples is None else {**row, **channels_of(samples)})
    facts = {row["experiment"]: read_facts(found.places[row["experiment"]]) for row in rows}
    return Evidence(rows, missing, facts, suites or {})


def judge(evidence: Evidence) -> list[Row]:
    """A row for each claim.

    Returns:
        A value for each of `COLUMNS`; what is unknown is empty or None.
    """
    return [_row(claim, claim.judge(evidence), evidence) for claim in CLAIMS]


def counted(rows: Sequence[Row]) -> dict[str, int]:
    """How many claims have each verdict, in the verdicts' order."""
    return {verdict: sum(row["verdict"] == verdict for row in rows) for verdict in VERDICTS}


def _proves_nothing(row: Row) -> str:
    """Why an experiment speaks for no claim; empty for one that does."""
    if row["preset"] == "smoke":
        return "runs of size smoke prove nothing"
    return "random VGG16 weights prove nothing" if row["vgg_weights"] == "none" else ""


def _row(claim: Claim, finding: Finding, evidence: Evidence) -> Row:
    behind = set(finding.experiments)
    rows = [row for row in evidence.rows if row["experiment"] in behind]
    facts = [evidence.of(row) for row in rows]
    return {
        "key": claim.key,
        "section": claim.section,
        "claim": claim.text,
        "paper": claim.paper,
        "ours": finding.ours,
        "value": finding.value,
        "low": finding.interval[0] if finding.interval else None,
        "high": finding.interval[1] if finding.interval else None,
        "n": finding.n,
        "verdict": finding.verdict,
        "remark": finding.remark,
        "reproduced_if": claim.reproduced,
        "partly_if": claim.partly,
        "command": _command(_suites(claim, rows, evidence), rows or evidence.rows, facts),
        "commit": _several(fact.commit for fact in facts),
        "hardware": _several(fact.hardware for fact in facts),
        "seconds": _seconds(facts),
        "runs": len(rows),
    }


def _suites(claim: Claim, rows: Sequence[Row], evidence: Evidence) -> str:
    """The claim's suites, and others that have those of its experiments which are in none of these."""
    found = claim.suite.split()
    for row in rows:
        own = evidence.suites.get(row["experiment"].rpartition("/")[2], ())
        if own and not set(own) & set(found):
            found.append(own[0])
    return " ".join(found)


def _command(suites: str, rows: Sequence[Row], facts: Sequence[Facts]) -> str:
    """The sweep that makes these experiments, with the weights that they used."""
    sizes = Counter(row["preset"] for row in rows if row["preset"] in SIZES)
    words = ["pir-tf sweep", suites, *([f"--size {sizes.most_common(1)[0][0]}"] if sizes else [])]
    configs = [fact.config for fact in facts]
    vgg = [
        str(config.get(name) or "")
        for config in configs
        for name in ("interactions.vgg_weights", "evaluation.kid_weights")
    ]
    vgg += [row["vgg_weights"] for row in rows if facts]
    # A colour's config has the default of what it doesn't use.
    vgg = [weights for weights in vgg if weights not in DEFAULTS]
    real = [config for config in configs if config.get("estimator.backbone") == "inception_v3"]
    inception = [weights for config in real if (weights := str(config.get("estimator.weights") or "")) not in DEFAULTS]
    ranges = [tuple(config.get("estimator.input_range") or (-1, 1)) for config in real]
    words += [f"--inception-weights {inception[0]}"] if inception else []
    words += [f"--inception-range {ranges[0][0]:g} {ranges[0][1]:g}"] if inception and ranges[0] != (-1, 1) else []
    words += [f"--vgg-weights {vgg[0]}"] if vgg else []
    return " ".join(words)


def _several(values: Any) -> str:
    """Different values in words; many are counted."""
    known = list(dict.fromkeys(value for value in values if value))
    return ", ".join(known) if len(known) <= 3 else f"{len(known)} of them, {known[0]} to {known[-1]}"


def _seconds(facts: Sequence[Facts]) -> float | None:
    """Seconds of these experiments, a GAN that several of them share once; None where none is known."""
    known = [fact.seconds for fact in facts if fact.seconds is not None]
    shared = {fact.gan[0]: fact.gan[1] for fact in facts if fact.gan}
    return round(sum(known) + sum(shared.values()), 1) if known else None
