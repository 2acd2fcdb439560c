"""The claims about colour objectives: how hard three colours are, and what the images show (3.3, 4.2, Fig. 3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pir_tf.paper.claims.rules import (
    HALF,
    KINDS,
    Claim,
    Evidence,
    Finding,
    Verdict,
    decide,
    few,
    improved,
    joined,
    known,
    mean,
    mean_d,
    mean_interval,
    names,
    said,
    share_finding,
)
from pir_tf.paper.rows import CHANNELS, COLOR_KINDS, Row

SINGLE, TWO, THREE = COLOR_KINDS
SMALL = 0.5
"""Effect sizes below it are small (Cohen: 0.2 small, 0.5 medium)."""
LONGER = 5.0
"""How many times longer a longer tuning is at least; the paper's is ten times."""
STREAK = "color:green-blue-red"
"""The objective whose images get a blue streak in the middle. Source: 4.2."""

_PARTLY = "in at least half of them, or fewer than {} objectives run"


def _lengths(evidence: Evidence) -> list[tuple[Row, Row]]:
    """Three-colour experiments after the usual and after a much longer tuning, all else equal."""
    pairs = [pair for pair in evidence.compared("tuning_steps") if pair[0]["kind"] == THREE]
    return [(usual, longer) for usual, longer in pairs if longer["tuning_steps"] >= LONGER * usual["tuning_steps"]]


def _no_lengths(evidence: Evidence) -> Finding:
    return evidence.not_run("of three colours at two lengths", lambda row: row["kind"] == THREE)


def _steps(rows: Sequence[Row]) -> str:
    return f"{' or '.join(f'{steps:,}' for steps in sorted({row['tuning_steps'] for row in rows}))} steps"


def _small_at_first(evidence: Evidence) -> Finding:
    """Every three-colour effect is small after the usual tuning."""
    rows = known([usual for usual, _ in _lengths(evidence)], "cohens_d")
    if not rows:
        return _no_lengths(evidence)
    count = sum(row["cohens_d"] < SMALL for row in rows)
    verdict = decide(count == len(rows), count > 0, enough=len(rows) >= 3)
    more = f"{mean_d(rows)} after {_steps(rows)}"
    return share_finding(verdict, count, rows, f"with d below {SMALL}", more=more, remark=few(len(rows), 3))


def _longer(evidence: Evidence) -> Finding:
    """Two of three improve significantly after the longer tuning."""
    pairs = _lengths(evidence)
    rows = [longer for _, longer in pairs]
    if not rows:
        return _no_lengths(evidence)
    up, usual = improved(rows), [row for row, _ in pairs]
    verdict = decide(3 * up >= 2 * len(rows), up > 0, enough=len(rows) >= 3)
    more = f"{mean_d(rows)} after {_steps(rows)}, {mean_d(usual)} after {_steps(usual)}"
    return share_finding(verdict, up, rows, "improved", more=more, remark=few(len(rows), 3))


def _harder(evidence: Evidence) -> Finding:
    """Three colours have a smaller mean effect than one, and than two."""
    rows = {kind: known(evidence.kind(kind), "cohens_d") for kind in COLOR_KINDS}
    if not all(rows.values()):
        lacking = next(kind for kind in COLOR_KINDS if not rows[kind])
        return evidence.not_run(f"of {KINDS[lacking]}", lambda row: row["kind"] == lacking)
    effects = {kind: [row["cohens_d"] for row in own] for kind, own in rows.items()}
    bounds = mean_interval(effects[THREE])
    single, two, three = (mean(effects[kind]) or 0.0 for kind in COLOR_KINDS)
    return Finding(
        decide(three < single and three < two, three < single or three < two),
        f"mean d {single:+.2f} with one colour, {two:+.2f} with two, {three:+.2f}{said(bounds)} with three",
        three,
        bounds,
        len(effects[THREE]),
        f"three colours after {_steps(rows[THREE])}",
        names([row for own in rows.values() for row in own]),
    )


def _third_channel(evidence: Evidence) -> Finding:
    """In two-colour tasks the mean of the colour that isn't asked for falls."""
    return _moved(evidence, TWO, 6, lambda asked: [name for name in CHANNELS[:3] if name not in asked], falls=True)


def _target_channel(evidence: Evidence) -> Finding:
    """With one colour the mean of that colour rises."""
    return _moved(evidence, SINGLE, 3, list, falls=False)


def _moved(
    evidence: Evidence, kind: str, wanted: int, which: Callable[[list[str]], list[str]], *, falls: bool
) -> Finding:
    rows = known(evidence.kind(kind), *(f"{name}_{when}" for name in CHANNELS[:3] for when in ("before", "after")))
    if not rows:
        return evidence.not_run(f"of {KINDS[kind]} with channel means", lambda row: row["kind"] == kind)
    moves = []
    for row in rows:
        (channel,) = which(row["objective"].partition(":")[2].split("-"))
        moves.append(row[f"{channel}_after"] - row[f"{channel}_before"])
    count = sum(move < 0 if falls else move > 0 for move in moves)
    verdict = decide(count == len(rows), count >= HALF * len(rows), enough=len(rows) >= wanted)
    more = f"mean change of the channel {mean(moves):+.3f} of 1"
    did = "with less of the third colour" if falls else "with more of the colour"
    return share_finding(verdict, count, rows, did, more=more, remark=few(len(rows), wanted))


def _streak(evidence: Evidence) -> Finding:
    """The middle third becomes bluer against the outer ones."""
    rows = [row for row in evidence.kind(THREE) if row["objective"] == STREAK]
    rows = known(rows, "middle_blue_before", "middle_blue_after")
    if not rows:
        return evidence.not_run(f"of {STREAK} with channel means", lambda row: row["objective"] == STREAK)
    moves = [row["middle_blue_after"] - row["middle_blue_before"] for row in rows]
    value, bounds = mean(moves) or 0.0, mean_interval(moves)
    verdict: Verdict = decide(value >= 0.02, value > 0)
    ours = f"blue of the middle third less that of the outer ones {value:+.3f}{said(bounds, 3)} of 1"
    remark = joined(f"after {_steps(rows)}", "means of 1000 images: a streak in some of them moves it little")
    return Finding(verdict, ours, value, bounds, len(rows), remark, names(rows))


CLAIMS = (
    Claim(
        key="three colours harder",
        section="4.2",
        text="Three colours are more difficult than one or two",
        paper="more difficult, no number",
        reproduced="the mean d with three colours is below that with one and that with two",
        partly="below one of them",
        suite="colors",
        judge=_harder,
    ),
    Claim(
        key="three colours at first",
        section="4.2",
        text="Three colours: only very small improvements after the usual tuning",
        paper="very small after 50,000 steps",
        reproduced=f"every d is below {SMALL}",
        partly="one is, or fewer than 3 objectives run",
        suite="ablations",
        judge=_small_at_first,
    ),
    Claim(
        key="three colours longer",
        section="4.2",
        text="Three colours: significant improvements after ten times as many steps",
        paper="2 of 3 after 500,000 steps",
        reproduced=f"at least 2 of 3 improved significantly (p < 0.001) after {LONGER:g} or more times the usual steps",
        partly="one did, or fewer than 3 objectives run",
        suite="ablations",
        judge=_longer,
    ),
    Claim(
        key="single colour rises",
        section="4.2, Fig. 3",
        text="Single colours: the images have visibly more of the colour",
        paper="much more blue, no number",
        reproduced="the mean of the colour's own channel rises in every objective",
        partly=_PARTLY.format(3),
        suite="colors",
        judge=_target_channel,
    ),
    Claim(
        key="third channel falls",
        section="4.2, Fig. 3",
        text="Two colours: the system finds the trick of reducing the third",
        paper="much less blue for red-green, no number",
        reproduced="the mean of the channel that isn't asked for falls in every objective",
        partly=_PARTLY.format(6),
        suite="colors",
        judge=_third_channel,
    ),
    Claim(
        key="blue streak",
        section="4.2, Fig. 3",
        text="Green-blue-red: some images get a blue streak in the middle",
        paper="visible, no number",
        reproduced="the mean blue of the middle third, less that of the outer ones, rises by 0.02 or more (of 1)",
        partly="it rises",
        suite="colors",
        judge=_streak,
    ),
)
"""In the order of the table."""
