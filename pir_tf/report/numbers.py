"""Numbers as people read them: what is missing is said in words, never as NaN.

Everything here returns plain text, for the terminal and for the page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

MISSING = "not measured yet"
UNDEFINED = "undefined"
SMALLEST_P = 1e-300


def finite(value: Any) -> float | None:
    """The value as a float, or `None` for what is missing, not a number, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def number(value: Any, digits: int = 3, *, signed: bool = False, missing: str = MISSING) -> str:
    """A number with so many decimals: `0.612`, `+0.072` if signed; `4e-05` where it would round to zero.

    `missing` is said for `None` and for numbers that are not finite.
    """
    known = finite(value)
    if known is None:
        return missing
    plus = "+" if signed else ""
    text = f"{known:{plus}.{digits}f}"
    if float(text) == 0.0:
        return f"{known:{plus}.1g}" if known else f"{0.0:.{digits}f}"
    return text


def whole(value: Any, *, missing: str = MISSING) -> str:
    """A count with a comma between thousands."""
    known = finite(value)
    return missing if known is None else f"{known:,.0f}"


def percent(value: Any, digits: int = 0, *, missing: str = MISSING) -> str:
    """A number that is a percentage already."""
    text = number(value, digits, missing="")
    return f"{text}%" if text else missing


def p_value(value: Any, *, missing: str = MISSING) -> str:
    """p with its relation: `p = 0.034`, `p = 3.2e-45`, or `p < 1e-300` for what a float can't hold."""
    known = finite(value)
    if known is None:
        return missing
    if known < SMALLEST_P:
        return f"p < {SMALLEST_P:.0e}"
    return f"p = {known:.3f}" if known >= 0.001 else f"p = {known:.1e}"


def two_means(before: float, after: float) -> tuple[str, str]:
    """Two means with as few decimals, from two to five, as show that they differ."""
    for digits in range(2, 6):
        texts = f"{before:.{digits}f}", f"{after:.{digits}f}"
        if texts[0] != texts[1]:
            return texts
    return f"{before:.3f}", f"{after:.3f}"


def interval(bounds: Any, digits: int = 2, *, missing: str = UNDEFINED) -> str:
    """An interval as `2.30 to 2.52`."""
    if not isinstance(bounds, list | tuple) or len(bounds) != 2 or None in map(finite, bounds):
        return missing
    return f"{number(bounds[0], digits)} to {number(bounds[1], digits)}"


def duration(seconds: Any, *, missing: str = "unknown") -> str:
    """A time as `41 s`, `3 min 12 s` or `2 h 05 min`."""
    known = finite(seconds)
    if known is None:
        return missing
    if known < 9.95:
        return f"{known:.1f} s"
    total = round(known)
    if total < 60:
        return f"{total} s"
    if total < 3600:
        return f"{total // 60} min {total % 60:02d} s"
    minutes = round(known / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def plain(value: Any) -> str:
    """A config value as text: lists joined, yes and no, and a word for what is empty."""
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:g}" if math.isfinite(value) else "not a number"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value) or "(empty)"
    return str(value) or "(empty)"


def about_as_long(seconds: float) -> str:
    """An estimate of time in words, of the largest unit that fits twice: `41 seconds`, `3 minutes`."""
    for size, unit in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def gpus(hardware: Mapping[str, Any]) -> str:
    """`2 GPUs (NVIDIA H100)`, from what a run recorded of its machine; empty for none.

    Runs that recorded nothing are of a time when all were on CPUs.
    """
    names = hardware.get("gpus") or []
    kinds = ", ".join(dict.fromkeys(names))
    return f"{len(names)} {'GPU' if len(names) == 1 else 'GPUs'} ({kinds})" if names else ""
