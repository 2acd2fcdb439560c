"""What the server answers: to raters, to the owner, and to a team's own server and page."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response
from sqlalchemy import Connection
from starlette.routing import Route

from pir_tf.errors import Unavailable
from pir_tf.people import counted, owner, pools, sessions
from pir_tf.people.asking import (
    AGREE,
    LINK_NEEDED,
    MOST_AHEAD,
    MOST_EVENTS,
    enrolled,
    job,
    owner_of,
    rater_of,
    slow_down,
)
from pir_tf.people.desk import OUTSIDE, Desk
from pir_tf.people.files import KINDS, owner_page_of, page_files, rating_page
from pir_tf.people.slots import Slot
from pir_tf.people.web import Refused, body, reply
from pir_tf.people.words import WORDS

KEPT = 20.0
"""How much longer than it took to find it the owner's status is kept."""
LONGEST = 8.0
"""Seconds for which it is kept at most: the first look also loads the statistics, which takes seconds."""


def add(app: FastAPI) -> None:
    """Adds all of them to the application."""
    app.state.statuses, app.state.looking = {}, asyncio.Lock()
    for path, method, endpoint in (
        ("/", "GET", rate_page),
        ("/join/{token}", "GET", join),
        ("/owner/{token}", "GET", owner_page),
        ("/owner", "GET", owner_page),
        ("/page/{name}", "GET", file),
        ("/api/study", "GET", study),
        ("/api/consent", "POST", consent),
        ("/image/{impression}.png", "GET", image),
        ("/api/owner/status", "GET", owner_status),
        ("/api/owner/image/{item}.png", "GET", owner_image),
        ("/api/owner/{action}", "POST", owner_action),
        ("/impressions", "POST", outside_impressions),
        ("/events", "POST", outside_events),
        ("/events", "OPTIONS", outside_allowed),
        ("/outside/{signed}.png", "GET", outside_image),
    ):
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    # Answers are most of what comes: straight to the endpoint, past FastAPI's looking for parameters.
    app.router.routes.insert(0, Route("/api/events", events, methods=["POST"]))


async def rate_page(request: Request) -> Response:
    """The rating page, which needs a cookie to show anything."""
    try:
        words = rater_of(request)[0].study.page_words
    except Refused:
        words = WORDS
    return _page(words)


def _page(words: dict[str, str]) -> Response:
    return Response(rating_page(words), media_type="text/html")


async def join(token: str, request: Request, rater: str = "") -> Response:
    """The rating page at a rater's link, with a cookie in trade: the page itself takes the token from the address bar.

    Beside the cookie of who rates in this browser now there is one for each study, so that its link brings its rater back.
    """
    desk = request.app.state.desks.with_token("join_token", token)
    if desk is None:
        words = request.app.state.desks.only_words()
        raise Refused(404, "This link opens no study here: ask whoever gave it to you.", words=words)
    slow_down(request.app.state.joins, desk.key)
    if len(rater) > sessions.LONGEST_ID or not rater.isprintable():
        raise Refused(
            400, f"The rater's id has {len(rater)} characters, expected at most {sessions.LONGEST_ID} printable ones."
        )
    response = _page(desk.study.page_words)
    names = (sessions.RATER_COOKIE, f"{sessions.RATER_COOKIE}_{desk.key}")
    held = [request.cookies.get(name, "") for name in names]
    known = {value: sessions.rater_key(value, desk.key, desk.row["secret"]) for value in held}
    fitting = [value for value in held if known[value] and (not rater or known[value] == f"o:{rater}")]
    value = fitting[0] if fitting else sessions.rater_cookie(desk.key, desk.row["secret"], rater)
    for name, there in zip(names, held, strict=True):
        if there != value:
            request.app.state.cookie(response, name, value)
    return response


async def owner_page(request: Request, token: str = "") -> Response:
    """The owner's page, which names its study in all that it asks: other studies may be open in the same browser."""
    if not token:
        return Response(owner_page_of(""), media_type="text/html")
    desk = request.app.state.desks.with_token("owner_token", token)
    if desk is None:
        raise Refused(404, "This link opens no study here: open the one for you that pir-tf people serve prints.")
    response = Response(owner_page_of(desk.key), media_type="text/html")
    value = sessions.owner_cookie(desk.key, desk.row["secret"])
    for name in (sessions.OWNER_COOKIE, f"{sessions.OWNER_COOKIE}_{desk.key}"):
        request.app.state.cookie(response, name, value)
    return response


async def file(name: str) -> Response:
    """A script or style sheet of the pages."""
    kind = KINDS.get(os.path.splitext(name)[1])
    if kind is None or name not in page_files():
        raise Refused(404, "There is no such file.")
    return Response(page_files()[name], media_type=kind)


async def study(request: Request) -> Response:
    """What the rating page shows before the first image."""
    desk, key = rater_of(request)
    rater = desk.raters.get(key)
    settings = desk.study
    stage = desk.stage(rater)
    return reply(
        {
            "study": settings.name,
            "rater": rater.pseudonym if rater else "",
            **{
                name: getattr(settings, name) for name in ("mode", "question", "instructions", "consent", "pause_every")
            },
            "consented": rater is not None,
            "words": settings.page_words,
            "progress": desk.progress(rater),
            "state": stage,
            "code": settings.completion_code if stage == "done" else "",
        }
    )


async def consent(request: Request) -> Response:
    """Makes a rater of whoever agrees."""
    desk, key = rater_of(request)
    slow_down(request.app.state.joins, desk.key)
    if desk.stage(None) == "ended":
        raise Refused(410, "The study has ended.")
    desks = request.app.state.desks  # made anew where a transaction was rolled back before it is this one's turn
    await job(request, lambda connection: desks.by_key[desk.key].enroll(connection, key))
    return Response(status_code=204)


async def events(request: Request) -> Response:
    """Takes events and hands out the next slots, in one transaction."""
    desk, key = rater_of(request)
    rater = enrolled(desk, key)
    if request.query_params.get("rater", rater.pseudonym) != rater.pseudonym:
        # What a page sends as it is left comes with the cookie of a link that was opened in the same browser just before.
        raise Refused(401, LINK_NEEDED)
    asked = await body(request)
    sent, ahead = asked.get("events", []), asked.get("ahead", 0)
    if not isinstance(sent, list) or len(sent) > MOST_EVENTS:
        raise Refused(413, f"A request takes a list of at most {MOST_EVENTS} events: send them in pieces.")
    if not isinstance(ahead, int) or isinstance(ahead, bool) or not 0 <= ahead <= MOST_AHEAD:
        raise Refused(400, f"ahead is {str(ahead)[:20]}, expected 0 to {MOST_AHEAD}.")
    slow_down(request.app.state.limits, f"{desk.key}/{rater.number}", max(1, len(sent)))

    def take(connection: Connection) -> dict[str, Any]:
        at: Desk = request.app.state.desks.by_key[desk.key]  # remembered anew after a rollback
        now = at.raters.get(key)
        if now is None:
            return {}
        stored, refused = at.record(connection, now, sent)
        slots = at.hand_out(connection, now, ahead) if ahead else []
        stage = at.stage(now)
        return {
            "stored": stored,
            "refused": refused,
            "slots": [_shown(at, slot) for slot in slots],
            "progress": at.progress(now),
            "state": stage,
            "code": at.study.completion_code if stage == "done" else "",
        }

    taken = await job(request, take)
    if not taken:
        raise Refused(403, AGREE)
    return reply(taken)


def _shown(desk: Desk, slot: Slot) -> dict[str, Any]:
    width, height = desk.size(slot)
    images = [{"src": f"/image/{name}.png", "width": width, "height": height} for name in slot.impressions]
    return {"place": slot.place, "images": images}


async def image(impression: str, request: Request) -> Response:
    """The picture of an impression, for its rater alone."""
    desk, key = rater_of(request)
    rater = enrolled(desk, key)
    slow_down(request.app.state.looks, f"{desk.key}/{rater.number}")
    number, item, _ = desk.impression.get(impression, (0, 0, 0))
    if number != rater.number:
        raise Refused(404, "Nothing was shown under this name.")
    return await _picture(request, item)


async def _picture(request: Request, item: int) -> Response:
    pictures = request.app.state.pictures
    png = pictures.held(item) or await asyncio.to_thread(pictures.read, item)
    if png is None:
        raise Refused(404, "There is no such image.")
    return Response(png, media_type="image/png")


async def owner_status(request: Request) -> Response:
    """What the owner's page shows. What took long to find is kept for longer, so that many looks never hold up the raters."""
    desk = owner_of(request)
    state = request.app.state

    def read() -> dict[str, Any]:
        with state.store.snapshot() as connection:
            return owner.status(connection, desk.row, state.url)

    async with state.looking:
        until, found = state.statuses.get(desk.key, (0.0, {}))
        begun = time.monotonic()
        if begun >= until:
            try:
                found = await asyncio.to_thread(read)
            except Unavailable as error:
                said = f"The database can't be used now: {str(error).rstrip('.')}. Raters' pages keep their answers."
                raise Refused(503, said) from None
            now = time.monotonic()
            state.statuses[desk.key] = (now + min(KEPT * (now - begun), LONGEST), found)
    refusing = state.store.refusing
    return reply({**found, "refusing": refusing and {"since": refusing[0], "why": refusing[1]}})


async def owner_image(item: int, request: Request) -> Response:
    """An image of the owner's own study."""
    desk = owner_of(request)
    if not any(item in images.row for images in desk.images.values()):
        raise Refused(404, "There is no such image.")
    return await _picture(request, item)


async def owner_action(action: str, request: Request) -> Response:
    """Pauses, resumes, or closes what is open."""
    desk = owner_of(request)
    if action not in ("pause", "resume", "close"):
        raise Refused(404, "There is no such action.")

    def do(connection: Connection) -> None:
        if action == "close":
            counted.require_enough(connection, desk.row)
            pools.close_pools(connection, desk.key, "closed by the owner")
        else:
            pools.control(connection, desk.key, action)
        desks.by_key[desk.key].refresh(connection)

    desks = request.app.state.desks
    await job(request, do)
    request.app.state.statuses.pop(desk.key, None)
    return await owner_status(request)


async def outside_impressions(request: Request) -> Response:
    """Images for a team's own server to show, with signed names for its page's events.

    The request names the secret as `Authorization: Bearer SECRET`, and holds `{"user": "any id", "count": 1}`.
    """
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    desks = request.app.state.desks.by_key.values()
    desk = next((desk for desk in desks if sessions.same(token, desk.row["server_secret"])), None)
    if kind.lower() != "bearer" or desk is None:
        raise Refused(401, "The secret is missing or wrong: send Authorization: Bearer SECRET.")
    if desk.study.cells != 1:
        raise Refused(400, f"The study's mode is {desk.study.mode}, expected like or rating for a page of your own.")
    asked = await body(request)
    user, count = asked.get("user"), asked.get("count", 1)
    if not isinstance(user, str) or not 0 < len(user) <= sessions.LONGEST_ID or not user.isprintable():
        raise Refused(
            400, f"user is {str(user)[:40]!r}, expected an id of 1 to {sessions.LONGEST_ID} printable characters."
        )
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= 50:
        raise Refused(400, f"count is {str(count)[:20]}, expected 1 to 50.")
    slow_down(request.app.state.limits, f"{desk.key}/{OUTSIDE}{user}", count)

    def hand(connection: Connection) -> list[Slot]:
        at = request.app.state.desks.by_key[desk.key]
        rater = at.enroll(connection, OUTSIDE + user)
        return at.hand_out(connection, rater, count, outside=True)

    slots = await job(request, hand)
    names = [sessions.signed_impression(slot.impressions[0], desk.row["secret"]) for slot in slots]
    url = request.app.state.url
    return reply({"impressions": [{"impression": name, "image": f"{url}/outside/{name}.png"} for name in names]})


def _signed(request: Request, signed: object) -> tuple[Desk, int, int, int] | None:
    """Study, rater, item and place of a signed impression."""
    name = str(signed).partition(".")[0]
    for desk in request.app.state.desks.by_key.values():
        shown = desk.impression.get(name)
        if shown and sessions.impression_of(signed, desk.row["secret"]):
            return desk, *shown
    return None


async def outside_image(signed: str, request: Request) -> Response:
    """The picture of a signed impression, wherever it is shown."""
    found = _signed(request, signed)
    if found is None:
        raise Refused(404, "Nothing was shown under this name.")
    response = await _picture(request, found[2])
    response.headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    return response


async def outside_events(request: Request) -> Response:
    """Events of a team's own page: one, or a list under `events`, each with its signed impression; again is no second time."""
    asked = await body(request)
    sent = asked.get("events", [asked] if "impression" in asked else None)
    if not isinstance(sent, list) or not 0 < len(sent) <= MOST_EVENTS:
        raise Refused(400, f"The request has no events, expected one, or a list of 1 to {MOST_EVENTS} under events.")
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    refused: list[dict[str, str]] = []
    for event in sent:
        given = event if isinstance(event, dict) else {}
        found = _signed(request, given.get("impression"))
        if found is None:
            why = "Its impression is unknown, or its signature is wrong."
            refused.append({"uuid": str(given.get("uuid"))[:64], "why": why})
            continue
        desk, number, _, place = found
        groups.setdefault((desk.key, number), []).append({**given, "place": place})
    origin, desks = request.headers.get("origin"), request.app.state.desks
    if origin and not (groups and all(origin in desks.by_key[key].study.origins for key, _ in groups)):
        raise Refused(
            403, "Events from this page's origin aren't taken: the study's settings list the origins that may."
        )
    for key, number in groups:
        slow_down(request.app.state.limits, f"{key}/{number}", len(groups[key, number]))

    def take(connection: Connection) -> dict[str, Any]:
        stored: list[str] = []
        not_stored = list(refused)
        for (key, number), group in groups.items():
            rater = desks.by_key[key].by_number(number)
            if rater:
                kept, not_kept = desks.by_key[key].record(connection, rater, group)
                stored += kept
                not_stored += not_kept
        return {"stored": stored, "refused": not_stored}

    return reply(await job(request, take))


async def outside_allowed() -> Response:
    """What a browser asks before it posts from another origin; the headers that allow it are put on every reply."""
    return Response(status_code=204)
