"""What the owner of a study decides: what raters are asked, in which words, how much of it, and until when."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pir_tf.errors import InputError
from pir_tf.people.words import LABELS, WORDS, is_utf8, require_words
from pir_tf.statistics.modes import MODES, Mode

SHOWN = {"like": 1, "rating": 1, "pair": 2, "grid": 9}
"""Images on the page at one place."""

QUESTIONS = {
    "like": "Do you like this image?",
    "rating": "How much do you like this image?",
    "pair": "Which image do you like better?",
    "grid": "Tap every image that you like.",
}
LONGEST = 4000
"""Characters of a text."""


@dataclass(frozen=True)
class Study:
    """A study's settings, checked when made; it is kept as JSON in the database.

    Raises:
        InputError: A value that no study can have.
    """

    name: str = "study"
    """The name that raters see, and by which a database with several studies knows it."""
    mode: Mode = "like"
    """`like` (one image, yes or no), `rating` (one image, 1 to 5), `pair` (two, which is better) or `grid` (nine, tap
    those you like)."""
    question: str = ""
    """What is asked of each image; empty for the mode's own words."""
    instructions: str = ""
    """What raters read before they begin."""
    consent: str = "Your answers are kept under a pseudonym and used to improve and to judge an image generator."
    """What raters agree to before they begin."""
    labels: dict[str, str] = dataclasses.field(default_factory=dict)
    """Words on the buttons, by their names in `LABELS`; those left out keep the usual ones."""
    words: dict[str, str] = dataclasses.field(default_factory=dict)
    """Everything else that the page says, by the names of `people.words.WORDS`, labels too; those left out are English."""
    answers_per_rater: int = 200
    """After so many answers a rater is done."""
    pause_every: int = 50
    """Answers between two natural ends."""
    shared: float = 0.1
    """Share of each rater's places with images that all raters see: they measure agreement."""
    repeats: float = 0.05
    """Share of each rater's places that show an earlier place's images again: they measure attention, and never count."""
    repeat_after: int = 20
    """Places between an image and its repeat."""
    ends: str = ""
    """Last day, `YYYY-MM-DD`, in UTC; empty for none."""
    completion_code: str = ""
    """Shown to a rater who is done, where a panel asks for one."""
    origins: tuple[str, ...] = ()
    """Origins of the team's own pages (`https://shop.example`), from which events with signed impressions may come."""

    def __post_init__(self) -> None:
        _require(self.mode in MODES, "mode", self.mode, ", ".join(MODES[:-1]) + f" or {MODES[-1]}")
        named = self.name == self.name.strip() and self.name.isprintable() and 0 < len(self.name) <= 80
        _require(named, "name", self.name, "1 to 80 printable characters without space around them")
        for name in ("question", "instructions", "consent", "completion_code"):
            text = getattr(self, name)
            _require(
                isinstance(text, str) and len(text) <= LONGEST, name, text, f"a text of at most {LONGEST} characters"
            )
            _require(is_utf8(text), name, text, "text that UTF-8 can write")
        _require(isinstance(self.labels, dict), "labels", self.labels, "words by the names of the buttons")
        unknown = sorted(set(self.labels) - set(LABELS))
        _require(not unknown, "labels", ", ".join(unknown), f"the names {', '.join(LABELS)}")
        for name, word in self.labels.items():
            fits = isinstance(word, str) and 0 < len(word) <= 60
            _require(fits, f"labels.{name}", word, "a word or two, of at most 60 characters")
            _require(is_utf8(word), f"labels.{name}", word, "text that UTF-8 can write")
        require_words(self.words, "The study's words")
        for name in ("answers_per_rater", "pause_every", "repeat_after"):
            value = getattr(self, name)
            _require(_whole(value) and 1 <= value <= 10**6, name, value, "a whole number of 1 to 1,000,000")
        for name in ("shared", "repeats"):
            value = getattr(self, name)
            share = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 0.5
            _require(share, name, value, "a share from 0 to 0.5")
        if self.ends:
            try:
                datetime.date.fromisoformat(self.ends)
            except (ValueError, TypeError):
                _require(False, "ends", self.ends, "a day as YYYY-MM-DD")
        _require(isinstance(self.origins, list | tuple), "origins", self.origins, "a list of origins")
        for origin in self.origins:
            good = isinstance(origin, str) and origin.startswith(("http://", "https://")) and origin.count("/") == 2
            _require(good and is_utf8(origin), "origins", origin, "an origin like https://shop.example, without a path")
        object.__setattr__(self, "origins", tuple(self.origins))
        object.__setattr__(self, "question", self.question or QUESTIONS[self.mode])

    @property
    def cells(self) -> int:
        """Images at one place."""
        return SHOWN[self.mode]

    @property
    def page_words(self) -> dict[str, str]:
        """All that the page says, the owner's over the usual words."""
        return {**WORDS, **self.words, **self.labels}

    def over(self, now: float) -> bool:
        """Whether the last day has passed at this time, in seconds since 1970."""
        if not self.ends:
            return False
        return datetime.datetime.fromtimestamp(now, datetime.UTC).date() > datetime.date.fromisoformat(self.ends)

    def to_json(self) -> str:
        """The settings as one line."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Study:
        """What `to_json` wrote; fields that a later version added keep their defaults."""
        stored = json.loads(text)
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in stored.items() if name in known})


def read_settings(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a TOML file states of a study, by the settings' names.

    Raises:
        InputError: It is no such file, or has a name that no study has.
    """
    try:
        found: dict[str, Any] = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} can't be read ({error}), expected a study's settings in TOML: correct it.") from None
    fields = dataclasses.fields(Study)
    known = [field.name for field in fields]
    if unknown := sorted(set(found) - set(known)):
        raise InputError(f"{path} sets {', '.join(unknown)}, expected names among {', '.join(known)}: correct it.")
    for field in fields:
        kinds: dict[str, Any] = {"str": str, "int": int, "float": (int, float), "Mode": str}
        value, kind = found.get(field.name), kinds.get(str(field.type))
        if field.name in found and kind and (not isinstance(value, kind) or isinstance(value, bool)):
            raise InputError(f"{path} has {field.name} = {value!r}, expected a {field.type}: correct it.")
    return found


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _require(condition: bool, name: str, received: object, expected: str) -> None:
    if not condition:
        raise InputError(f"The study's {name} is {received!r}, expected {expected}: change it.")
