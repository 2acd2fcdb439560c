"""The rating page's server: FastAPI in front of the writer. It serves every study of one database and nothing else.

An answer is acknowledged after its commit, inside the endpoint. Nothing that a rater gets (names, addresses, headers, order, sizes)
says which pool or side an image is of.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import socket
import threading
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib import resources
from typing import Any, TypeVar

from sqlalchemy import Connection, select

from pir_tf.errors import InputError
from pir_tf.people import schema, sessions
from pir_tf.people.desk import Desk, Rater
from pir_tf.people.store import Store, Unavailable

try:
    import uvicorn
    from fastapi import FastAPI, Request
    from fastapi.responses import JSONResponse, Response
except ImportError as missing:
    raise InputError(f"The rating page needs {missing.name}, which isn't installed: pip install '.[people]'.") from None

Result = TypeVar("Result")

LARGEST_BODY = 256 * 1024
MOST_EVENTS = 200
MOST_AHEAD = 8
REFRESH_SECONDS = 0.5
"""How often the server looks whether a stage or a command opened, closed or paused something."""
KINDS = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
"""Files of the pages that are served by their names."""
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
LINK_NEEDED = "Open the link that you were given."
LATER = "It can't be stored now, nothing is lost: it is tried again."


class Refused(Exception):
    """What a request gets instead of an answer: a status and a sentence."""

    def __init__(self, status: int, why: str, **headers: str) -> None:
        super().__init__(why)
        self.status, self.why, self.headers = status, why, headers


class Desks:
    """The studies of a database, by their keys, and the ways in."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.by_key: dict[str, Desk] = {}
        self.reload()

    def reload(self) -> None:
        """Remembers everything anew from the rows."""
        with self.store.reading() as connection:
            rows = connection.execute(select(schema.studies)).mappings().all()
            desks = {row["study"]: Desk(row) for row in rows}
            for desk in desks.values():
                desk.load(connection)
        self.by_key = desks

    def refresh(self, connection: Connection) -> None:
        """Takes in what others did since."""
        rows = connection.execute(select(schema.studies)).mappings().all()
        for row in rows:
            if row["study"] not in self.by_key:
                self.by_key[row["study"]] = desk = Desk(row)
                desk.load(connection)
        for desk in self.by_key.values():
            desk.refresh(connection)

    def with_token(self, column: str, token: str) -> Desk | None:
        """The study whose link or secret it is."""
        return next((desk for desk in self.by_key.values() if desk.row[column] == token), None)

    def of_cookie(self, cookie: str) -> Desk | None:
        """The study that a cookie names."""
        return self.by_key.get(cookie.partition(".")[0])


def application(store: Store, *, hosts: set[str], secure: bool = False) -> FastAPI:
    """The server's application.

    Args:
        store: The database, whose writer isn't running yet.
        hosts: Names under which it may be asked, in lower case, without ports.
        secure: Whether its public address is https, so that cookies are sent there alone.
    """
    desks = Desks(store)

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        refreshing = asyncio.create_task(_refresh(store, desks))
        yield
        refreshing.cancel()

    app = FastAPI(openapi_url=None, lifespan=life)
    app.state.desks, app.state.store = desks, store
    app.state.cookie = functools.partial(_set_cookie, secure=secure)
    app.state.limits = sessions.Limit(50, 200)
    app.state.joins = sessions.Limit(50, 200)

    @app.middleware("http")
    async def guard(request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        try:
            _require_host(request, hosts)
            response = await call(request)
        except Refused as refused:
            response = JSONResponse({"error": refused.why}, refused.status, refused.headers)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.exception_handler(Refused)
    async def say(request: Request, refused: Refused) -> Response:
        return JSONResponse({"error": refused.why}, refused.status, refused.headers)

    @app.exception_handler(Unavailable)
    async def later(request: Request, error: Unavailable) -> Response:
        return JSONResponse({"error": LATER}, 503, {"Retry-After": "1"})

    @app.exception_handler(InputError)
    async def mistake(request: Request, error: InputError) -> Response:
        return JSONResponse({"error": str(error)}, 400)

    from pir_tf.people import routes

    routes.add(app)
    return app


async def _refresh(store: Store, desks: Desks) -> None:
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        with contextlib.suppress(Unavailable):
            await asyncio.wrap_future(store.write(desks.refresh))


def _require_host(request: Request, hosts: set[str]) -> None:
    """Refuses names that aren't this server's, and posts from other pages, but for a team's own that are listed."""
    host = request.headers.get("host", "")
    if _name(host) not in hosts and "*" not in hosts:
        raise Refused(421, f"This server isn't {host[:80]}: its owner names it with --public-url.")
    origin = request.headers.get("origin")
    if origin and request.method not in ("GET", "HEAD") and request.url.path not in ("/events", "/impressions"):
        if urllib.parse.urlsplit(origin).netloc.lower() != host.lower():
            raise Refused(403, "Posts from another page aren't taken.")


def _name(host: str) -> str:
    return (urllib.parse.urlsplit(f"//{host}").hostname or "").lower()


def _set_cookie(response: Response, name: str, value: str, *, secure: bool) -> None:
    response.set_cookie(name, value, max_age=90 * 86400, httponly=True, samesite="strict", secure=secure, path="/")


async def job(request: Request, do: Callable[[Connection], Result]) -> Result:
    """Runs `do` in the writer, and comes back after its commit."""
    return await asyncio.wrap_future(request.app.state.store.write(do))


async def body(request: Request) -> dict[str, Any]:
    """A request's JSON object.

    Raises:
        Refused: It is too large, or no object.
    """
    data = b""
    async for piece in request.stream():
        data += piece
        if len(data) > LARGEST_BODY:
            raise Refused(
                413, f"The request has more than {LARGEST_BODY // 1024} KB, expected less: send it in pieces."
            )
    try:
        found = json.loads(data or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Refused(400, "The request is no JSON, expected an object: send one.") from None
    if not isinstance(found, dict):
        raise Refused(400, f"The request is a {type(found).__name__}, expected an object: send one.")
    return found


def _no_number(word: str) -> None:
    raise ValueError(word)


def rater_of(request: Request) -> tuple[Desk, str]:
    """The study and the rater's key in the request's cookie."""
    cookie = request.cookies.get(sessions.RATER_COOKIE, "")
    desk = request.app.state.desks.of_cookie(cookie)
    key = desk and sessions.rater_key(cookie, desk.key, desk.row["secret"])
    if not desk or not key:
        raise Refused(401, LINK_NEEDED)
    return desk, key


def owner_of(request: Request) -> Desk:
    """The study whose owner's cookie the request has."""
    cookie = request.cookies.get(sessions.OWNER_COOKIE, "")
    desk = request.app.state.desks.of_cookie(cookie)
    if not desk or not sessions.is_owner(cookie, desk.key, desk.row["secret"]):
        raise Refused(401, "Open the owner's link, which pir-tf prints.")
    return desk


def enrolled(desk: Desk, key: str) -> Rater:
    """The rater of this key, who has agreed."""
    rater = desk.raters.get(key)
    if rater is None:
        raise Refused(403, "Agree to the study first.")
    return rater


def slow_down(limit: sessions.Limit, name: str, cost: float = 1.0) -> None:
    """Refuses for a moment what comes too fast."""
    if wait := limit.wait(name, cost):
        raise Refused(429, "Too many at once: wait a moment.", **{"Retry-After": str(int(wait) + 1)})


@functools.cache
def page_files() -> dict[str, bytes]:
    """The files of the pages by their names."""
    folder = resources.files("pir_tf.people").joinpath("page")
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


class Server:
    """A running server.

    Args:
        where: The database.
        host: Address to listen on.
        port: Port, 0 for a free one.
        public_url: Its address for raters, where a proxy stands before it.

    Raises:
        InputError: The port is in use, or another server serves the database.
    """

    def __init__(
        self, where: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 0, public_url: str = ""
    ) -> None:
        public = urllib.parse.urlsplit(public_url)
        if public_url and (public.scheme not in ("http", "https") or not public.hostname or public.path.strip("/")):
            raise InputError(
                f"--public-url is {public_url!r}, expected an address like https://rate.example: correct it."
            )
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen(512)
        except (OSError, OverflowError) as error:
            self._socket.close()
            raise InputError(
                f"{host}:{port} can't be listened on ({getattr(error, 'strerror', None) or error}), expected a free port of this "
                "machine: choose another with --port, or leave it out for a free one."
            ) from None
        self.port = self._socket.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        anywhere = host in ("0.0.0.0", "::", "")
        self.url = public_url.rstrip("/") or f"http://{socket.gethostname() if anywhere else shown}:{self.port}"
        self.open_to_others = host not in ("127.0.0.1", "localhost", "::1")
        hosts = {
            "127.0.0.1",
            "localhost",
            "::1",
            host.lower(),
            (public.hostname or "").lower(),
            socket.gethostname().lower(),
        }
        if anywhere:
            hosts.add("*" if not public_url else "localhost")
        try:
            self.store = Store(where)
        except BaseException:
            self._socket.close()
            raise
        try:
            app = application(self.store, hosts=hosts - {""}, secure=public.scheme == "https")
            self.store.serve(app.state.desks.reload)
        except BaseException:
            self._socket.close()
            self.store.close()
            raise
        app.state.url = self.url
        settings = uvicorn.Config(
            app,
            access_log=False,
            log_level="warning",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=5,
        )
        self._server = uvicorn.Server(settings)

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM."""
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self._server.run(sockets=[self._socket])
        finally:
            self.store.close()
            self._socket.close()

    def start(self) -> threading.Thread:
        """Serves in a thread, until `stop`."""
        thread = threading.Thread(target=self.run, name="server", daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        """Ends serving; what was taken in is written."""
        self._server.should_exit = True

    def links(self) -> list[tuple[str, str, str]]:
        """(study, raters' link, owner's link) of each study."""
        with self.store.reading() as connection:
            rows = connection.execute(select(schema.studies).order_by(schema.studies.c.created)).mappings().all()
        return [
            (row["name"], f"{self.url}/join/{row['join_token']}", f"{self.url}/owner/{row['owner_token']}")
            for row in rows
        ]


def free_port(host: str) -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as found:
        found.bind((host, 0))
        return int(found.getsockname()[1])
