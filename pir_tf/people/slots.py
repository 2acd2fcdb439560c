"""A slot: what one rater sees at one place, and what came back. The one rule of which answer counts.

An impression has one counted answer: the last one that wasn't undone, in the order of the server's numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

SEEN = "visible"
EXPOSURE = ("click", "dwell", "share")
"""Events of a team's own page, of which a rule makes a PIR (`pir_tf.interactions.engagement`)."""
ANSWERS = {
    "like": ("like", "skip"),
    "rating": ("rating", "skip"),
    "pair": ("choice", "skip"),
    "grid": ("choice", "skip"),
}
"""Kinds of answers of each mode."""
JUDGEMENTS = sorted({kind for kinds in ANSWERS.values() for kind in kinds} - {"skip"})
"""Kinds of answers that say what somebody thinks of an image."""
CHOICES = ("left", "right", "tie", "bad")


@dataclass
class Slot:
    """One place of one rater."""

    rater: int
    place: int
    round: int
    pool: str
    items: list[int] = field(default_factory=list)
    impressions: list[str] = field(default_factory=list)
    probability: float = 1.0
    shared: bool = False
    outside: bool = False
    """Whether a team's own page showed it."""
    repeat_of: int = 0
    block: int = 0
    """Number of the rater's pair of places that one coin put in order (one place, where two images are compared); 0 for none."""
    coin: int = 0
    """1 where the coin put the image after tuning second (on the right), -1 where first; 0 without a coin."""
    handed: float = 0.0
    visible: bool = False
    seen: dict[str, float] = field(default_factory=dict)
    """When it was last seen on each page load, by that page's clock in ms."""
    answers: list[Answer] = field(default_factory=list)
    exposure: dict[str, float] = field(default_factory=dict)
    """Clicks, seconds of dwelling and shares of a team's own page, the largest of each."""
    expired: bool = False
    """Whether it waited so long for an answer that its images may go to others; used by the desk alone."""
    held: bool = False
    """Whether its images count as handed out; used by the desk alone."""

    @property
    def seen_at(self) -> float | None:
        """When the slot was seen, by the clock of the page that answered last; other pages' clocks tell nothing of it."""
        return self.seen.get(self.answers[-1].page) if self.answers else None

    @property
    def done(self) -> bool:
        """Whether an answer stands, a skip too."""
        return bool(self.answers)

    @property
    def counted(self) -> Answer | None:
        """The answer that counts: seen, not skipped, not undone, no repeat."""
        if not self.visible or self.repeat_of or not self.answers or self.answers[-1].kind == "skip":
            return None
        return self.answers[-1]

    @property
    def judged(self) -> bool:
        """Whether it is one of the answers that a pool waits for: one that counts, or what a team's own page saw of an image.

        Such a page says how long an image was looked at when it is left; before that nothing is known of it.
        """
        seen = self.outside and self.visible and bool(self.exposure) and not self.answers
        return self.counted is not None or seen

    def take(self, seq: int, uuid: str, kind: str, value: Any, at: float | None, page: str = "") -> None:
        """Adds an event, in the order of the server's numbers."""
        if kind == SEEN:
            self.visible = True
            if at is not None:
                self.seen[page] = at
        elif kind == "undo":
            self.answers = [answer for answer in self.answers if answer.uuid != value]
        elif kind in EXPOSURE:
            self.exposure[kind] = max(self.exposure.get(kind, 0.0), 1.0 if value is None else float(value))
        else:
            self.answers.append(Answer(seq, uuid, kind, value, at, page))

    def refusal(self, mode: str, kind: Any, value: Any) -> str:
        """Why an event can't be one of this slot; empty where it can."""
        if kind == SEEN:
            return ""
        if kind == "undo":
            known = any(answer.uuid == value for answer in self.answers)
            return "" if known else "It takes back an answer that isn't there."
        if self.outside and kind in EXPOSURE:
            number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9
            if number or value is None and kind != "dwell":  # whose value are its seconds
                return ""
            return f"A {kind} has the value {json.dumps(value)[:40]}, expected a number of 0 or more."
        if kind not in ANSWERS[mode]:
            return f"The kind is {str(kind)[:20]!r}, expected {', '.join(ANSWERS[mode])}, visible or undo."
        return "" if kind == "skip" or _valid(mode, value) else f"The value {json.dumps(value)[:40]} is no answer here."

    def values(self) -> list[tuple[int, float]]:
        """(item, value in [0, 1]) of each image that the counted answer judges; empty without one.

        A like is 1 or 0, a rating r of 1 to 5 is (r - 1) / 4, the better of a pair 1 and the other 0, each of a tie half, of
        two bad ones 0, and what is tapped in a grid 1.
        """
        answer = self.counted
        if answer is None:
            return []
        if answer.kind == "like":
            return [(self.items[0], float(answer.value))]
        if answer.kind == "rating":
            return [(self.items[0], (answer.value - 1) / 4)]
        if isinstance(answer.value, list):
            return [(item, float(cell in answer.value)) for cell, item in enumerate(self.items)]
        left = {"left": 1.0, "right": 0.0, "tie": 0.5, "bad": 0.0}[answer.value]
        right = 0.0 if answer.value == "bad" else 1.0 - left
        return [(self.items[0], left), (self.items[1], right)]


@dataclass(frozen=True)
class Answer:
    """One answer as it came."""

    seq: int
    uuid: str
    kind: str
    value: Any
    at: float | None
    page: str = ""


def _valid(mode: str, value: Any) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if mode == "like":
        return value in (0, 1) and whole
    if mode == "rating":
        return whole and 1 <= value <= 5
    if mode == "pair":
        return value in CHOICES
    cells = isinstance(value, list) and all(isinstance(cell, int) and not isinstance(cell, bool) for cell in value)
    return cells and len(set(value)) == len(value) and all(0 <= cell < 9 for cell in value)
