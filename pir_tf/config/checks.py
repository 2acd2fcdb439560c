"""What a config refuses, in one sentence each: the checks that `pir_tf.config` makes of its fields."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pir_tf.errors import InputError


def require(condition: bool, name: str, received: object, expected: str) -> None:
    """Refuses a field's value with one sentence."""
    if not condition:
        option = name.replace("_", "-")
        raise InputError(f"{name} is {received!r}, expected {expected}: change it with --{option} VALUE.")


_hints = functools.cache(get_type_hints)  # which compiles each annotation: a sweep makes hundreds of configs


def require_choices(section: str, config: Any, **more: str) -> None:
    """Refuses other words than those of a field's `Literal`; `more` follows them in a field's sentence."""
    fields: Any = type(config)
    for name, kind in _hints(fields).items():
        if get_origin(kind) is Literal:
            *most, last = get_args(kind)
            expected = f"{', '.join(most)} or {last}{more.get(name, '')}"
            require(getattr(config, name) in get_args(kind), f"{section}.{name}", getattr(config, name), expected)


MOST = 2**31 - 1
"""The largest number of anything: what comes later counts in 32 bits here and there."""


def require_positive(section: str, config: Any, *names: str) -> None:
    """Refuses anything but finite numbers above 0, and in fields that count, but whole ones up to `MOST`."""
    for name in names:
        value = getattr(config, name)
        if type(config).__dataclass_fields__[name].type == "int":
            require_count(f"{section}.{name}", value, least=1)
        else:
            require(math.isfinite(value) and value > 0, f"{section}.{name}", value, "a finite number above 0")


def require_count(name: str, value: Any, *, least: int = 0) -> None:
    """Refuses anything but a whole number from `least` to `MOST`."""
    above = "above 0" if least else "0 or above"
    require(value >= least, name, value, f"a finite number {above}" if least else f"a whole number, {above}")
    require(value <= MOST, name, value if value < 10**20 else "a number of more than 20 digits", f"at most {MOST}")
    require(value == int(value), name, value, "a whole number")


def require_multiples(section: str, config: Any) -> None:
    """Log rows end where training and checkpoints do, so that a resumed run has the log of an unbroken one."""
    for name in ("steps", "checkpoint_every"):
        value = getattr(config, name)
        expected = f"a multiple of {section}.log_every, which is {config.log_every}"
        require(value % config.log_every == 0, f"{section}.{name}", value, expected)


def require_not_negative(section: str, config: Any, *names: str) -> None:
    """Refuses anything but finite numbers of 0 or above."""
    for name in names:
        value = getattr(config, name)
        require(math.isfinite(value) and value >= 0, f"{section}.{name}", value, "a finite number, 0 or above")


def require_range(name: str, received: tuple[float, float]) -> None:
    """Refuses anything but two finite numbers, the lower first."""
    low, high = received
    require(-math.inf < low < high < math.inf, name, received, "two numbers, the lower first")


def require_pretrained(name: str, weights: str) -> None:
    """Refuses anything but `imagenet`, `file:PATH` or `none`."""
    known = weights in ("imagenet", "none") or (weights.startswith("file:") and len(weights) > 5)
    require(known, name, weights, "imagenet, file:PATH or none")


def engagement(text: str) -> tuple[bool, bool, float] | None:
    """Whether a click, whether sharing and after how many seconds looking is liking, by a rule's words; None where it is none.

    The words are `click`, `share` and `dwell:SECONDS`, each at most once, with commas between; without `dwell` it is infinite.
    """
    kinds, dwell = [word.partition(":")[0] for word in text.split(",")], math.inf
    for word in text.split(","):
        match = re.fullmatch(r"click|share|dwell:([0-9]{1,9}(?:\.[0-9]{1,9})?)", word)
        if match is None:
            return None
        dwell = float(match[1]) if match[1] else dwell
    fits = len(set(kinds)) == len(kinds) and dwell > 0
    return ("click" in kinds, "share" in kinds, dwell) if fits else None


PEOPLE = ("csv:", "people:")
"""What a source of real people's answers begins with."""


def is_people(source: str) -> bool:
    """Whether a source is `csv:PATH` or `people:DATABASE`."""
    return any(source.startswith(kind) and len(source) > len(kind) for kind in PEOPLE)


def require_no_password(name: str, source: str) -> None:
    """Refuses a database's URL with a password in it, which would stand in every file and line that names the source."""
    if re.search(r"://[^/@]*:[^/@]*@|[?&](?:ssl)?password=", source):
        raise InputError(
            f"{name} has a password in its URL, expected one without, which belongs into the file that PGPASSFILE names: leave "
            "it out."
        )


def require_one_line(class_names: Sequence[str]) -> None:
    """Refuses names of classes that an exported model's file of names, a line each, couldn't hold."""
    if broken := [name for name in class_names if "\n" in name]:
        raise InputError(f"The classes {broken} have line breaks in them, expected names of one line: rename them.")
