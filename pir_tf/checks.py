"""What a config refuses, in one sentence each: the checks that `pir_tf.config` makes of its fields."""

from __future__ import annotations

from typing import Any

from pir_tf.errors import InputError


def require(condition: bool, name: str, received: object, expected: str) -> None:
    """Refuses a field's value with one sentence."""
    if not condition:
        option = name.replace("_", "-")
        raise InputError(f"{name} is {received!r}, expected {expected}: change it with --{option} VALUE.")


def require_positive(section: str, config: Any, *names: str) -> None:
    """Refuses anything but finite numbers above 0, and in fields that count, but whole ones."""
    for name in names:
        value = getattr(config, name)
        finite = value == value and abs(value) != float("inf")
        require(finite and value > 0, f"{section}.{name}", value, "a finite number above 0")
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
        finite = value == value and abs(value) != float("inf")
        require(finite and value >= 0, f"{section}.{name}", value, "a finite number, 0 or above")


def require_color_objective(objective: str) -> None:
    """Refuses an unknown objective before anything is computed; `interactions.colors` has the formulas."""
    kind, _, rest = objective.partition(":")
    parts = rest.split("-")
    colors = ("red", "green", "blue")
    known = kind == "color" and 1 <= len(parts) <= 3 and set(parts) <= set(colors) and len(set(parts)) == len(parts)
    expected = "color: and one to three different ones of red, green, blue joined by '-' (color:blue, color:red-green)"
    require(known, "interactions.objective", objective, expected)
