"""The rating page's server: FastAPI in front of the writer. It serves every study of one database and nothing else.

An answer is acknowledged after its commit, inside the endpoint. Nothing that a rater gets (names, addresses, headers, order,
sizes) says which pool or side an image is of.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import functools
import logging
import os
import resource
import socket
import threading
import urllib.parse
from collections.abc import AsyncIterator
from typing import Literal

import idna
import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from sqlalchemy import Connection, select
from starlette.exceptions import HTTPException

from pir_tf.errors import InputError, Unavailable
from pir_tf.people import routes, schema, sessions
from pir_tf.people.desk import Desk
from pir_tf.people.pictures import Pictures
from pir_tf.people.places import Taken
from pir_tf.people.store import Store
from pir_tf.people.web import HEADERS, Guard, Refused, refuse

REFRESH_SECONDS = 0.5
"""How often the server looks whether a stage or a command opened, closed or paused something."""
ANYWHERE = ("0.0.0.0", "::", "")
"""What a server listens on that any address of the machine reaches."""
USUAL_PORTS = {"http": 80, "https": 443}
"""Ports that no browser names."""
MOST_LINES = 65_536
"""Open files that the server asks for."""
KEPT_SECONDS = 30
"""How long a line that nobody uses is kept: each is an open file, of which a process may have about a thousand by itself."""
LATER = "It can't be stored now, nothing is lost: it is tried again."


class Desks:
    """The studies of a database, by their keys, and the ways in; none before `reload`, which `Store.serve` calls."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.by_key: dict[str, Desk] = {}

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
                desk = Desk(row)
                desk.load(connection)
                self.by_key = {**self.by_key, row["study"]: desk}  # others may be reading the old one
        for desk in self.by_key.values():
            desk.refresh(connection)

    def with_token(self, column: str, token: str) -> Desk | None:
        """The study whose link or secret it is."""
        return next((desk for desk in self.by_key.values() if sessions.same(token, desk.row[column])), None)

    def only_words(self) -> dict[str, str] | None:
        """The words of the one study that is served; None where there are several, or none."""
        words = [desk.study.page_words for desk in self.by_key.values()]
        return words[0] if len(words) == 1 else None

    def listed(self, origin: str) -> bool:
        """Whether a study lists this origin as one of its team's own pages."""
        return any(origin in desk.study.origins for desk in self.by_key.values())

    def of_cookie(self, cookie: str) -> Desk | None:
        """The study that a cookie names."""
        return self.by_key.get(cookie.partition(".")[0])


def application(store: Store, *, hosts: set[str], origin: str = "", secure: bool = False) -> FastAPI:
    """The server's application.

    Args:
        store: The database, whose writer isn't running yet.
        hosts: Names under which it may be asked, in lower case, without ports.
        origin: Its public address, which its pages post from whatever name a proxy asks it by; empty without one.
        secure: Whether that is https, so that cookies are sent there alone.
    """
    desks = Desks(store)

    @contextlib.asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        refreshing = asyncio.create_task(_refresh(store))
        yield
        refreshing.cancel()

    app = FastAPI(openapi_url=None, lifespan=life)
    app.state.desks, app.state.store = desks, store
    app.state.cookie = functools.partial(_set_cookie, secure=secure)
    app.state.limits = sessions.Limit(50, 200)
    app.state.joins = sessions.Limit(50, 200)
    app.state.looks = sessions.Limit(500, 2000)
    app.state.pictures = Pictures(store)
    app.add_middleware(Guard, hosts=hosts, listed=desks.listed, own=origin)

    @app.exception_handler(Refused)
    async def say(request: Request, refused: Refused) -> Response:
        return refuse(request.scope, refused.why, refused.status, refused.headers, refused.words)

    @app.exception_handler(HTTPException)
    async def unknown(request: Request, error: HTTPException) -> Response:
        why = "There is nothing here." if error.status_code == 404 else f"{error.detail}."
        return refuse(request.scope, why, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def odd(request: Request, error: RequestValidationError) -> Response:
        return refuse(request.scope, "The address can't be read, expected one of this page's own.", 404)

    @app.exception_handler(Unavailable)
    async def later(request: Request, error: Unavailable) -> Response:
        logging.getLogger("uvicorn.error").warning("The database takes nothing: %s", error)
        return refuse(request.scope, LATER, 503, {"Retry-After": "1"})

    @app.exception_handler(InputError)
    async def mistake(request: Request, error: InputError) -> Response:
        return refuse(request.scope, str(error), 400)

    @app.exception_handler(Exception)
    async def fault(request: Request, error: Exception) -> Response:
        return refuse(request.scope, "The server made a mistake: its log says which.", 500, HEADERS)

    routes.add(app)
    return app


async def _refresh(store: Store) -> None:
    """Lets the writer look at what others did, also where nobody answers."""
    while True:
        await asyncio.sleep(REFRESH_SECONDS)
        try:
            await asyncio.wrap_future(store.write(lambda connection: None))
        except Unavailable:
            continue
        except Exception:
            logging.getLogger("uvicorn.error").exception("The studies can't be looked at")


def _set_cookie(response: Response, name: str, value: str, *, secure: bool) -> None:
    # A strict one isn't sent when somebody follows the link in a mail or a panel's page, and they would be somebody new.
    site: Literal["lax", "strict"] = "lax" if name.startswith(sessions.RATER_COOKIE) else "strict"
    response.set_cookie(name, value, max_age=90 * 86400, httponly=True, samesite=site, secure=secure, path="/")


class Server:
    """A running server.

    Args:
        where: The database.
        host: Address to listen on.
        port: Port, 0 for a free one.
        public_url: Its address for raters, where a proxy stands before it.

    Raises:
        Taken: The port is in use, or another server serves the database.
        InputError: The address can't be listened on for another reason, or the database is none.
    """

    def __init__(
        self, where: str | os.PathLike[str], *, host: str = "127.0.0.1", port: int = 0, public_url: str = ""
    ) -> None:
        origin = public_origin(public_url)
        public = urllib.parse.urlsplit(origin)
        self._socket = _listening(host, port)
        self.port = self._socket.getsockname()[1]
        self.url = raters_url(host, self.port, public_url)
        self.open_to_others = is_open_to_others(host)
        machine = socket.gethostname().lower()
        hosts = {
            "127.0.0.1",
            "localhost",
            "::1",
            host.lower(),
            public.hostname or "",
            machine,
            f"{machine}.local",
        }
        if host in ANYWHERE and not public_url:
            hosts.add("*")
        try:
            self.store = Store(where)
        except BaseException:
            self._socket.close()
            raise
        try:
            app = application(self.store, hosts=hosts - {""}, origin=origin, secure=public.scheme == "https")
            self.store.serve(app.state.desks.reload, app.state.desks.refresh)
        except BaseException:
            self._socket.close()
            self.store.close()
            raise
        app.state.url = self.url
        settings = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,  # uvicorn's own would close the handlers that other libraries have made
            log_level="warning",
            server_header=False,
            date_header=True,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=KEPT_SECONDS,
        )
        self._server = uvicorn.Server(settings)

    def run(self) -> None:
        """Serves until SIGINT or SIGTERM."""
        _allow_many_lines()
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


def _allow_many_lines() -> None:
    """As many open files as the system allows a process that asks: each rater's browser has up to six lines open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_LINES if hard == resource.RLIM_INFINITY else min(hard, MOST_LINES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def public_origin(address: str) -> str:
    """An address for raters as browsers write it: in small ASCII letters, without a final dot, slash or usual port.

    Raises:
        InputError: It is not that of a site.
    """
    if not address:
        return ""
    try:
        parts = urllib.parse.urlsplit(address)
        name, port = (parts.hostname or "").rstrip("."), parts.port
        name = name if name.isascii() else idna.encode(name, uts46=True).decode()
    except ValueError:  # no port, or no name
        parts, name, port = urllib.parse.urlsplit("?"), "", None
    rest = parts.path.strip("/") or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in USUAL_PORTS or not name or port == 0 or rest:
        raise InputError(
            f"--public-url is {address!r}, expected one like https://rate.example, without a path: correct it."
        )
    shown = f"[{name}]" if ":" in name else name
    return f"{parts.scheme}://{shown}" + (f":{port}" if port not in (None, USUAL_PORTS[parts.scheme]) else "")


def raters_url(host: str, port: int, public_url: str = "") -> str:
    """Where raters reach a server that listens there.

    Raises:
        InputError: The public address is not that of a site.
    """
    name = socket.gethostname() if host in ANYWHERE else host
    return public_origin(public_url) or f"http://{f'[{name}]' if ':' in name else name}:{port}"


def is_open_to_others(host: str) -> bool:
    """Whether other machines may reach what listens on this address."""
    return host not in ("127.0.0.1", "localhost", "::1")


def _listening(host: str, port: int) -> socket.socket:
    found = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(512)
    except (OSError, OverflowError, TypeError, ValueError) as error:  # a port, or a name, that none can be
        found.close()
        mistake = Taken if getattr(error, "errno", None) == errno.EADDRINUSE else InputError
        raise mistake(
            f"{host}:{port} can't be listened on ({getattr(error, 'strerror', None) or error}), expected a free port of this "
            "machine: choose another with --port, or leave it out for a free one."
        ) from None
    return found


def free_port(host: str) -> int:
    """A port that nobody listens on.

    Raises:
        InputError: It is no address of this machine.
    """
    with _listening(host, 0) as found:
        return int(found.getsockname()[1])
