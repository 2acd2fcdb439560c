"""What the client and both of its transports share: the endpoints, what a failed attempt is, and when it is repeated.

The served endpoints are pure functions: the same inputs give the same images and change nothing. So a request whose fate is
unknown (no connection, no answer in time, a server that is loading or full) may be sent again. A refusal (a wrong name, a class
out of range, a message too large) would be the same again and is raised at once.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import numpy as np

from pir_tf.errors import InputError

MAX_BATCH = 256
"""Images that one request may ask for."""
REPEATED = ("UNAVAILABLE", "DEADLINE_EXCEEDED")
"""Statuses (gRPC's names) after which a request is sent again; every other status is final."""

Answer = TypeVar("Answer")
Values = np.ndarray | list[bytes]
"""An input: numbers of the signature's type, or encoded images; the images lie along the first axis."""


@dataclass(frozen=True)
class Endpoint:
    """A signature of the served model: names of its inputs, and what each output is: `bytes`, `str` or an array's type."""

    signature: str
    inputs: tuple[str, ...]
    outputs: dict[str, Any]


GENERATE = Endpoint("generate", ("seed", "class_id"), {"image_bytes": bytes, "class_name": str})
GENERATE_FROM_LATENT = Endpoint("generate_from_latent", ("latent", "class_id"), {"image": np.uint8})
SCORE = Endpoint("score", ("image_bytes",), {"pir": np.float32})


def parts_of(address: str, schemes: tuple[str, ...], example: str) -> SplitResult:
    """The parts of a server's address.

    Raises:
        InputError: One of another scheme, or with a host or port that can't be.
    """
    try:
        parts = urlsplit(address)
        host, _ = (parts.hostname or "").encode("idna"), parts.port
        usable = parts.scheme in schemes and host and not re.search(rb"[\x00-\x20]", host)
    except ValueError:
        usable = False
    if not usable:
        raise no_server(address, example)
    return parts


def no_server(address: str, example: str) -> InputError:
    """The refusal of an address, without the password that may stand in it."""
    shown = re.sub(r"(?<=//)[^/@]*@", "...@", address)
    return InputError(f"Address {shown!r} is no server, expected for example {example}: correct it.")


class AttemptFailed(Exception):
    """One attempt at a request got no answer, or a refusal: gRPC's name of the status, or `HTTP <code>`, and what was said."""

    def __init__(self, status: str, details: str) -> None:
        super().__init__(status, details)
        self.status, self.details = status, details


class ServingError(Exception):
    """A request was refused by the server, or got no answer within the deadline. The text is one sentence.

    Attributes:
        status: gRPC's name of the status, whichever way was taken: INVALID_ARGUMENT, NOT_FOUND, UNAVAILABLE, ...
        field: the input that the server's message names, or None.
        details: the server's own message.
        attempts: how often the request was sent.
    """

    def __init__(self, request: str, failed: AttemptFailed, *, field: str | None = None, attempts: int = 1) -> None:
        said = " ".join(failed.details.partition("[[{{")[0].split()).rstrip(".") or "no message"
        # TensorFlow's own words around what the model says are of no use to the caller.
        if asserted := re.search(r"assertion failed: \[(.*)\]", said):
            said = asserted[1]
        named = f" ({field})" if field else ""
        tried = f", after {attempts} attempts" if attempts > 1 else ""
        super().__init__(f"{request} failed with {failed.status}{named}{tried}: {said}.")
        self.status, self.details = failed.status, failed.details
        self.field, self.attempts = field, attempts


@dataclass(frozen=True)
class Patience:
    """How long to try, and how to wait in between.

    The wait doubles with every attempt, and its second half is random: clients that failed together don't come back together.

    Args:
        attempt_seconds: the longest that one attempt may take. A server that is merely slow goes on computing what was given
            up, so let it be longer than the slowest answer.
        first_wait: seconds before the second attempt.
        longest_wait: seconds that a wait never exceeds.
        clock, sleep, chance: the time in seconds, what waits for some, and where the random half comes from.
    """

    attempt_seconds: float = 30.0
    first_wait: float = 0.2
    longest_wait: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: random.Random = field(default_factory=random.Random)

    def wait_after(self, attempts: int) -> float:
        """Seconds to wait after that many attempts."""
        whole = min(self.longest_wait, self.first_wait * 2.0 ** min(attempts - 1, 30))
        return whole * (0.5 + 0.5 * self.chance.random())


def repeated(
    attempt: Callable[[float], Answer],
    *,
    until: float,
    patience: Patience,
    error: Callable[[AttemptFailed, int], ServingError],
) -> Answer:
    """The answer to a request, sent again while that is safe and the time lasts.

    Args:
        attempt: sends the request with a timeout in seconds; raises `AttemptFailed`.
        until: the deadline, on the clock of `patience`.
        patience: how to wait.
        error: what is raised, of the last failure and the number of attempts.
    """
    attempts = 0
    last = AttemptFailed("DEADLINE_EXCEEDED", "the deadline passed before the request was sent")
    while (remaining := until - patience.clock()) > 0:
        attempts += 1
        try:
            return attempt(min(remaining, patience.attempt_seconds))
        except AttemptFailed as failed:
            last = failed
        wait = patience.wait_after(attempts)
        # A wait that ends after the deadline would only delay the news.
        if last.status not in REPEATED or patience.clock() + wait >= until:
            break
        patience.sleep(wait)
    raise error(last, attempts)
