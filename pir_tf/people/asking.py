"""Who asks, and what a request needs before it is answered: a cookie, consent, patience, the writer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from sqlalchemy import Connection

from pir_tf.people import sessions
from pir_tf.people.desk import Desk, Rater
from pir_tf.people.web import Refused

Result = TypeVar("Result")

MOST_EVENTS = 200
MOST_AHEAD = 8
LINK_NEEDED = "Open the link that you were given."
AGREE = "Agree to the study first."


async def job(request: Request, do: Callable[[Connection], Result]) -> Result:
    """Runs `do` in the writer, and comes back after its commit."""
    return await asyncio.wrap_future(request.app.state.store.write(do))


def rater_of(request: Request) -> tuple[Desk, str]:
    """The study and the rater's key in the request's cookie.

    Browsers send one cookie of a name to all servers of a host, whatever their port: where it is of another server's study,
    this one's own tells.
    """
    desks = request.app.state.desks
    for name in (sessions.RATER_COOKIE, *(f"{sessions.RATER_COOKIE}_{key}" for key in desks.by_key)):
        cookie = request.cookies.get(name, "")
        desk = desks.of_cookie(cookie)
        key = desk and sessions.rater_key(cookie, desk.key, desk.row["secret"])
        if desk and key:
            return desk, key
    raise Refused(401, LINK_NEEDED)


def owner_of(request: Request) -> Desk:
    """The study that an owner's page names, or without a name the one whose link was opened last, by its cookie."""
    study = request.query_params.get("study", "")
    cookie = request.cookies.get(f"{sessions.OWNER_COOKIE}_{study}" if study else sessions.OWNER_COOKIE, "")
    desk = request.app.state.desks.of_cookie(cookie)
    if not desk or study not in ("", desk.key) or not sessions.is_owner(cookie, desk.key, desk.row["secret"]):
        raise Refused(401, "Open the owner's link, which pir-tf prints.")
    return desk


def enrolled(desk: Desk, key: str) -> Rater:
    """The rater of this key, who has agreed."""
    rater = desk.raters.get(key)
    if rater is None:
        raise Refused(403, AGREE)
    return rater


def slow_down(limit: sessions.Limit, name: str, cost: float = 1.0) -> None:
    """Refuses for a moment what comes too fast."""
    if wait := limit.wait(name, cost):
        raise Refused(429, "Too many at once: wait a moment.", headers={"Retry-After": str(int(wait) + 1)})
