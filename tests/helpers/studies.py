"""Small studies in a database, and a rater who answers over HTTP."""

import contextlib
import http.client
import json
import uuid

import numpy as np
import sqlalchemy

from pir_tf.people import pools, schema
from pir_tf.people.server import Server
from pir_tf.people.store import Store
from pir_tf.people.study import Study


def pictures(count, seed=0, size=8):
    """uint8 images of one colour each, all different."""
    rng = np.random.default_rng(seed)
    colour = rng.permutation(256**2)[:count]
    images = np.zeros((count, size, size, 3), np.uint8)
    images[..., 0], images[..., 1], images[..., 2] = (
        c[:, None, None] for c in (colour // 256, colour % 256, colour % 7)
    )
    return images


def begin(where, *, images=40, pool="random", wanted=0, round=1, classes=None, **settings):
    """A database with a study and an open pool; its key."""
    store = Store(where, create=True)
    study = Study(**settings)
    made, names = pictures(images, seed=round), [f"{pool}-{round}-{i}" for i in range(images)]
    sides = ["before", "after"] * (images // 2) if pool == "proof" else [""] * images
    with store.writing() as connection:
        key = pools.begin(connection, study)["study"]
        labels = np.arange(images) // 2 % 2 if classes is None else classes
        pools.fill(connection, key, round, pool, made, names, labels=labels, sides=sides)
        pools.open_pool(connection, key, round, pool, wanted)
    store.close()
    return key


@contextlib.contextmanager
def served(where, **options):
    """A running server on a free port of this machine."""
    server = Server(where, **options)
    thread = server.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(60)
        assert not thread.is_alive()


class Browser:
    """A rater's page: keeps cookies and one connection."""

    def __init__(self, server, link=None, rater=""):
        self.port, self.cookies, self.server = server.port, {}, server
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.link = link or server.links()[0][1].split("/", 3)[3]
        self.outside = rater

    def ask(self, method, path, value=None, headers=None):
        """(status, parsed body or bytes, headers) of a request."""
        sent = {"Content-Type": "application/json"} if value is not None else {}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        data = None if value is None else value if isinstance(value, bytes) else json.dumps(value)
        self.connection.request(method, path, data, {**sent, **(headers or {})})
        reply = self.connection.getresponse()
        content = reply.read()
        for line in reply.headers.get_all("Set-Cookie") or []:
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        if content and reply.headers.get("Content-Type", "").startswith("application/json"):
            content = json.loads(content, parse_constant=lambda word: 1 / 0)
        return reply.status, content, reply.headers

    def join(self):
        """Opens the link and agrees."""
        status, page, _ = self.ask("GET", f"/{self.link}" + (f"?rater={self.outside}" if self.outside else ""))
        assert status == 200, page
        assert self.ask("POST", "/api/consent", {})[0] == 204
        return self

    def post(self, events, ahead=0):
        """The reply to events, which must be taken."""
        status, reply, _ = self.ask("POST", "/api/events", {"events": events, "ahead": ahead})
        assert status == 200, reply
        return reply

    def slots(self, ahead=4):
        """The next slots."""
        return self.post([], ahead)["slots"]

    def answer(self, slot, kind, value, seconds=1.0, ahead=0):
        """Sees a slot and answers it; the reply."""
        seen = event(slot, "visible", at=1000.0 * slot["place"])
        return self.post([seen, event(slot, kind, value, at=seen["at"] + 1000 * seconds)], ahead)


def event(slot, kind, value=None, at=0.0):
    """An event of a page."""
    return {"uuid": str(uuid.uuid4()), "place": slot["place"], "kind": kind, "value": value, "at": at, "page": "page"}


def rated(server):
    """Places with an answer, by the rows."""
    with server.store.reading() as connection:
        rows = connection.execute(sqlalchemy.select(schema.events.c.place).where(schema.events.c.kind == "like"))
        return set(rows.scalars())


def uuids(server):
    """Of all events in the database."""
    with server.store.reading() as connection:
        return sorted(connection.execute(sqlalchemy.select(schema.events.c.uuid)).scalars())
