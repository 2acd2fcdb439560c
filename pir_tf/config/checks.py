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


def require_positive(section: str, config: Any, *names: str) -> None:
    """Refuses anything but finite numbers above 0, and in fields that count, but whole ones."""
    for name in names:
        value = getattr(config, name)
        require(math.isfinite(value) and value > 0, f"{section}.{name}", value, "a finite number above 0")
        counts = type(config).__dataclass_fields__[name].type == "int"
        require(not counts or value == int(value), f"{section}.{name}", value, "a whole number")


def require_multiples(section: str, config: Any) -> None:
    """Log rows end where training and checkpoints do, so that a resumed run has the log of an unbroken one."""
    for name in ("steps", "checkpoint_every"):
        value = getattr(config, name)
        expected = f"a multiple of {section}.log_every, which is {config.log_every}"
        require(value % config.log_every == 0, f"{section}.{name}", value, expected)


def require_weights(section: str, config: Any, *names: str) -> None:
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
