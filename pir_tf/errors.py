"""The one exception that stands for a user's mistake.

Everything that a user can get wrong (a field, a file, a count) raises `InputError` with one sentence that names what was
received, what was expected and what to do. The command line prints that sentence and exits with code 2. What isn't a user's
mistake and has a sentence too (training that diverged, a process or a server that is gone, a full disk) is said by its command;
any other exception is a fault of ours and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


class InputError(ValueError):
    """A user's mistake, said in one sentence: what was received, what was expected, what to do."""


def differences(there: Mapping[str, Any], now: Mapping[str, Any], names: Iterable[str]) -> str:
    """The part of a sentence that names what differs, with both values; what a side lacks is None."""
    return ", ".join(f"{name} ({there.get(name)!r} there, {now.get(name)!r} now)" for name in names)
