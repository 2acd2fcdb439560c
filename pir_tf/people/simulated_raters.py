"""Raters who aren't people: they open the link, look at the pictures, and answer over HTTP by a taste that is passed in.

For trials and the demonstration. A taste is a function of an image; what a rater answers is a coin with it, moved by their own
leniency, and some answer without looking.
"""

from __future__ import annotations

import dataclasses
import http.client
import io
import json
import math
import time
import urllib.parse
import uuid
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

Taste = Callable[[np.ndarray], float]
"""A uint8 image `[h, w, 3]` to the probability, in (0, 1), that a person likes it."""


@dataclasses.dataclass
class SimulatedRater:
    """One rater.

    Attributes:
        link: The raters' link.
        taste: What people like, on the average.
        seed: Of this rater's answers.
        leniency: Added to the log odds of liking.
        laziness: Share of answers given without looking: the first button.
        seconds: What the page's clock says passed between seeing and answering.
    """

    link: str
    taste: Taste
    seed: int
    leniency: float = 0.0
    laziness: float = 0.0
    seconds: float = 1.2

    def __post_init__(self) -> None:
        where = urllib.parse.urlsplit(self.link)
        self._connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=30)
        self._path, self._cookie = where.path, ""
        self._rng = np.random.default_rng(self.seed)
        self._clock = 0.0

    def rate(self, most: int = 10**9, *, patience: float = 0.0, until: Callable[[], bool] = lambda: False) -> int:
        """Answers until nothing is handed out for `patience` seconds, `most` are given, or `until` says so; how many were."""
        if not self._cookie:
            self._ask("GET", f"{self._path}?rater=simulated-{self.seed}")
            self._ask("POST", "/api/consent", {})
        mode = self._ask("GET", "/api/study")["mode"]
        events: list[dict[str, Any]] = []
        given, waited = 0, time.monotonic()
        while given < most and not until():
            reply = self._ask("POST", "/api/events", {"events": events, "ahead": min(4, most - given)})
            given += len(events) // 2
            events = [event for slot in reply["slots"] for event in self._answer(mode, slot)]
            if events:
                waited = time.monotonic()
            elif reply["state"] in ("ended", "done") or time.monotonic() - waited >= patience:
                break
            else:
                time.sleep(1.0)
        return given

    def _answer(self, mode: str, slot: dict[str, Any]) -> list[dict[str, Any]]:
        liked = [self._likes(image["src"]) for image in slot["images"]]
        lazy = self._rng.random() < self.laziness
        kind = {"like": "like", "rating": "rating"}.get(mode, "choice")
        value: Any
        if mode == "like":
            value = 1 if lazy else int(self._rng.random() < liked[0])
        elif mode == "rating":
            value = 5 if lazy else 1 + int(self._rng.binomial(4, liked[0]))
        elif mode == "grid":
            value = [] if lazy else [cell for cell, chance in enumerate(liked) if self._rng.random() < chance]
        else:  # each image is liked as much as its log odds and a mood of the moment say
            moods = [math.log(chance / (1 - chance)) + self._rng.logistic() for chance in liked]
            value = "left" if lazy or moods[0] > moods[1] else "right"
        seen = self._clock + 50.0
        self._clock = seen + 1000 * self.seconds * float(self._rng.lognormal(0, 0.3))
        shared = {"place": slot["place"], "page": f"simulated-{self.seed}"}
        return [
            {**shared, "uuid": str(uuid.uuid4()), "kind": "visible", "value": None, "at": seen},
            {**shared, "uuid": str(uuid.uuid4()), "kind": kind, "value": value, "at": self._clock},
        ]

    def _likes(self, address: str) -> float:
        picture = np.asarray(Image.open(io.BytesIO(self._ask("GET", address))).convert("RGB"))
        chance = min(max(float(self.taste(picture)), 0.001), 0.999)
        return 1 / (1 + math.exp(-(math.log(chance / (1 - chance)) + self.leniency)))

    def _ask(self, method: str, path: str, value: Any = None) -> Any:
        """The reply, tried again while the server can't take it now."""
        for pause in (0.1, 0.3, 1.0, 3.0, 5.0, 10.0):
            try:
                headers = {"Content-Type": "application/json", "Cookie": self._cookie}
                self._connection.request(method, path, None if value is None else json.dumps(value), headers)
                reply = self._connection.getresponse()
                content = reply.read()
            except (OSError, http.client.HTTPException):
                self._connection.close()
                time.sleep(pause)
                continue
            if cookie := reply.headers.get("Set-Cookie"):
                self._cookie = cookie.partition(";")[0]
            if reply.status in (429, 503):
                time.sleep(pause)
                continue
            if reply.status >= 400:
                raise RuntimeError(f"{path} was answered with {reply.status}: {content[:200]!r}")
            return json.loads(content) if reply.headers.get("Content-Type") == "application/json" else content
        raise RuntimeError(f"{path} wasn't answered")
