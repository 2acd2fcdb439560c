"""What every request and reply goes through: names and origins checked, bodies limited, strict JSON, and the same headers."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import math
import urllib.parse
from collections.abc import Callable, Mapping
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pir_tf.people.files import refused_page

LARGEST_BODY = 256 * 1024
FOR_PROGRAMS = ("/api/", "/events", "/impressions", "/image/", "/outside/", "/page/")
"""How the paths begin that no person opens: their refusals are JSON, whatever a request accepts."""
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Refused(Exception):
    """What a request gets instead of an answer: a status and a sentence, and `words` to say on a page that a link is wrong."""

    def __init__(
        self,
        status: int,
        why: str,
        *,
        words: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(why)
        self.status, self.why, self.words, self.headers = status, why, words, headers


def reply(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Strict JSON: what is no number is null. Characters of all kinds are escaped, also halves that UTF-8 can't write."""
    try:
        text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_strict(value), allow_nan=False, separators=(",", ":"))
    return Response(text, status, dict(headers or {}), "application/json")


def refuse(
    scope: Scope,
    why: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    words: Mapping[str, str] | None = None,
) -> Response:
    """A refusal as JSON, or as a page where a person follows a link. What passes by itself is tried again by that page."""
    accepted = dict(scope["headers"]).get(b"accept", b"")
    opens = scope["method"] == "GET" and not scope["path"].startswith(FOR_PROGRAMS) and b"text/html" in accepted
    if not opens:
        return reply({"error": why}, status, headers)
    page = refused_page(why, again=status in (429, 503), words=words)
    return Response(page, status, dict(headers or {}), "text/html")


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _strict(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Guard:
    """Refuses names that aren't this server's and posts from other pages, and puts `HEADERS` on every reply.

    A team's own pages may post events from their origins and read the reply, errors too.

    Args:
        app: What answers.
        hosts: Names under which it may be asked, in lower case, without ports; `*` is any address.
        listed: Whether an origin is of a team's own page.
        own: The server's public address, as an origin in lower case; empty without one.
    """

    def __init__(self, app: ASGIApp, hosts: set[str], listed: Callable[[str], bool], own: str = "") -> None:
        self._app, self._hosts, self._listed, self._own = app, hosts, listed, own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = {name: value.decode("latin-1") for name, value in scope["headers"]}
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        host, origin = sent.get(b"host", ""), sent.get(b"origin", "")
        more = dict(HEADERS)
        if scope["path"] == "/events":
            more["Vary"] = "Origin"
            if origin and self._listed(origin):
                more |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Headers": "content-type"}
        extra = [(name.lower().encode(), value.encode()) for name, value in more.items()]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in there)]
            await send(message)

        refused: Refused | None = None
        if len(hosts) != 1 or not _is_ours(_name(host), self._hosts):
            named = "its owner names it with --public-url"
            if self._own:
                named = "what stands before it is to pass on the name that was asked for (nginx: proxy_set_header Host $host)"
            refused = Refused(421, f"This server isn't {host[:80]}: {named}.")
        elif origin and scope["method"] not in ("GET", "HEAD") and scope["path"] not in ("/events", "/impressions"):
            if origin.lower() != self._own and origin.lower().partition("://")[2] != host.lower():
                refused = Refused(403, "Posts from another page aren't taken.")
        answer = self._app if refused is None else refuse(scope, refused.why, refused.status)
        with contextlib.suppress(ClientDisconnect):  # a request that ended in the middle has nobody to reply to
            await answer(scope, receive, sending)


def _is_ours(name: str, hosts: set[str]) -> bool:
    """Whether a request may name the server so. `*` is any address, but no other name: a name can be made to point here."""
    if name in hosts:
        return True
    try:
        return "*" in hosts and bool(ipaddress.ip_address(name))
    except ValueError:
        return False


def _name(host: str) -> str:
    try:
        return (urllib.parse.urlsplit(f"//{host}").hostname or "").lower().rstrip(".")
    except ValueError:
        return ""


async def body(request: Request) -> dict[str, Any]:
    """A request's JSON object.

    Raises:
        Refused: It is too large, or no object.
    """
    data, size = bytearray(), 0
    async for piece in request.stream():
        size += len(piece)
        if size <= LARGEST_BODY:
            data += piece
        elif size > 16 * LARGEST_BODY:  # some more is dropped, so that the reply isn't lost with the line
            break
    if size > LARGEST_BODY:
        raise Refused(413, f"The request has more than {LARGEST_BODY // 1024} KB, expected less: send it in pieces.")
    try:
        found = json.loads(data or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(400, "The request is no JSON, expected an object: send one.") from None
    if not isinstance(found, dict):
        raise Refused(400, f"The request is a {type(found).__name__}, expected an object: send one.")
    return found


def _no_number(word: str) -> None:
    raise ValueError(word)
