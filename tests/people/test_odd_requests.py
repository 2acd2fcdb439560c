"""Requests of any kind: odd bodies, values, paths and ids, and those that end in the middle, are answered in strict JSON."""

import http.client
import json
import random
import socket
import uuid

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import sqlalchemy
from doors import ORIGIN, bearer, check_headers, owner, path_of, rater
from studies import Browser, begin, event, served

from pir_tf.people import schema

BAD = [
    *(
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{",
        b"NaN",
        b'{"events": NaN}',
        b'{"events": [Infinity]}',
        b'{"ahead": -Infinity}',
    ),
    *(
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"events": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
        b"\xff\xfe",
        b"\x00" * 100,
    ),
    *(b'{"events": 1e999, "ahead": 1e999}', b'{"ahead": 1' + b"0" * 5000 + b"}", b'{"ahead": 1.5}', b'{"ahead": true}'),
    *(b'{"ahead": 99}', b'{"ahead": -1}', b'{"events": {}}', b'{"events": "x"}', b'{"events": null}'),
]


POSTS = [
    "/api/events",
    "/api/consent",
    "/events",
    "/impressions",
    "/api/owner/pause",
    "/api/owner/resume",
    "/api/owner/x",
]


@pytest.mark.parametrize("path", POSTS)
def test_bodies_that_are_no_json_objects(server, path):
    browser = rater(server)
    browser.cookies |= owner(server).cookies
    for body in BAD:
        status, reply, headers = browser.ask("POST", path, body, bearer(server) | {"Content-Type": "text/plain"})
        assert status in (200, 204, 400, 404, 413), (status, body[:40])
        assert status in (200, 204) or set(reply) == {"error"}
        check_headers(headers)


def oddities(rng):
    """Any value that JSON can hold, and some that it shouldn't."""
    return rng.choice(
        [
            *(None, True, False, 0, 1, -1, 2**31, 2**63, 2**64, -(2**63), 10**300, 0.5, -0.0, 1e308, 1e-320),
            *(
                "",
                "x",
                "\x00",
                "\ud800",
                "a\udfffb",
                "é" * 300,
                "<script>",
                "like",
                "undo",
                "visible",
                "'; DROP TABLE events; --",
            ),
            *(
                [],
                [1],
                [[]],
                [None],
                {},
                {"a": 1},
                [0, 0],
                [0, 9],
                ["0"],
                [True],
                [1.0],
                list(range(100)),
                {"x": [{}] * 50},
            ),
            *("left", "tie", str(uuid.uuid4()), "-" * 8, "-" * 65, "1" * 64),
        ]
    )


def odd_event(rng, good):
    """An event with some of its parts replaced, left out, or more of them."""
    made = dict(good)
    for name in rng.sample(["uuid", "place", "kind", "value", "at", "page", "impression", "extra"], rng.randint(1, 4)):
        if rng.random() < 0.2:
            made.pop(name, None)
        else:
            made[name] = oddities(rng)
    return made if rng.random() < 0.95 else oddities(rng)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_any_value_anywhere_is_answered_in_strict_json(tmp_path, seed):
    """Each endpoint, each field, any type: never a 500, and the database stays one that loads."""
    fuzz(tmp_path / "study.db", seed, 60)


@pytest.mark.nightly
def test_any_value_anywhere_for_long(database):
    fuzz(database, 99, 400)


def fuzz(database, seed, count):
    rng = random.Random(seed)
    mode = ["like", "rating", "pair", "grid"][seed % 4]
    begin(database, images=60, mode=mode, origins=(ORIGIN,), answers_per_rater=10**5)
    with served(database) as server:
        state = server._server.config.app.state
        browser = Browser(server).join()
        browser.cookies |= owner(server, "study").cookies
        slots = browser.slots(8)
        signed = []
        if mode in ("like", "rating"):
            _, reply, _ = browser.ask("POST", "/impressions", {"user": "u", "count": 5}, bearer(server, "study"))
            signed = [shown["impression"] for shown in reply["impressions"]]
        kinds = {"like": ("like", 1), "rating": ("rating", 3), "pair": ("choice", "tie"), "grid": ("choice", [1])}
        for _ in range(count):
            for limit in (state.limits, state.joins, state.looks):
                limit._left.clear()
            good = event(rng.choice(slots), *kinds[mode]) | {"impression": rng.choice(signed or ["x.y"])}
            events = [odd_event(rng, good) for _ in range(rng.randint(1, 5))]
            path = rng.choice(["/api/events", "/events", "/impressions"])
            if path == "/impressions":
                body = {"user": oddities(rng), "count": oddities(rng)}
            elif rng.random() < 0.2:
                body = {rng.choice(["events", "ahead", "x"]): oddities(rng)}
            else:
                body = {"events": events, "ahead": rng.choice([0, 1, 4])}
            status, reply, headers = browser.ask("POST", path, json.dumps(body).encode(), bearer(server, "study"))
            assert status in (200, 400, 413), (status, path, body, reply)
            check_headers(headers)
            if status == 200 and path == "/api/events" and isinstance(body.get("events"), list):
                assert len(reply["stored"]) + len(reply["refused"]) == len(body["events"])
        before = browser.post([], 8)
        with server.store.reading() as connection:
            rows = connection.execute(sqlalchemy.select(schema.events)).all()
        assert all(
            isinstance(row.place, int) and row.place > 0 and json.dumps(json.loads(row.value), allow_nan=False)
            for row in rows
        )
        assert browser.ask("GET", "/api/owner/status")[0] == 200
    with served(database) as server:  # it loads
        browser.server, browser.port = server, server.port
        browser.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        assert browser.post([], 8) == before


ODD_PATHS = [
    *("/page/../server.py", "/page/..%2fserver.py", "/page/%2e%2e/server.py", "/page/rate.html", "/page/__init__.py"),
    *(
        "/page/rate.js%00.css",
        "/page//etc/passwd",
        "/page/.css",
        "/page/",
        "/page",
        "//etc/passwd",
        "/../../etc/passwd",
    ),
    *(
        "/image/x.png",
        "/image/.png",
        "/image/..%2f..%2fx.png",
        "/image/%00.png",
        "/image/" + "a" * 2000 + ".png",
        "/image/%ff.png",
    ),
    *(
        "/outside/x.png",
        "/outside/a.b.png",
        "/outside/%ED%A0%80.x.png",
        "/api/owner/image/x.png",
        "/api/owner/image/1e5.png",
    ),
    *(
        "/api/owner/image/99999999999999999999999999.png",
        "/api/owner/image/-1.png",
        "/api/owner/image/%31.png",
        "/docs",
        "/openapi.json",
    ),
    *(
        "/redoc",
        "/favicon.ico",
        "/owner/%00",
        "/join/%ff%fe",
        "/join/" + "a" * 3000,
        "/%",
        "/?x=%",
        "/api/study/",
        "/API/STUDY",
    ),
    *("/join/x?rater=" + "a" * 3000, "/api", "/study.db", "/study.db.server.lock"),
]


@pytest.mark.parametrize("path", ODD_PATHS)
def test_odd_paths(server, path):
    browser = rater(server)
    browser.cookies |= owner(server).cookies
    for method in ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"):
        status, reply, headers = browser.ask(method, path, {} if method not in ("GET", "HEAD") else None)
        assert status < 500 and (
            status not in (200, 204) or path in ("/?x=%", "/api/owner/image/%31.png", "/api/study/")
        ), (method, status)
        if status >= 400 and method != "HEAD":
            assert isinstance(reply, dict) and set(reply) == {"error"} and "\n" not in reply["error"]
        check_headers(headers)
        browser.connection.close()


@pytest.mark.parametrize("rater_id", ["a" * 129, "%00", "a%0Ab", "%ED%A0%80", "%F0%9F%98%80" * 40])
def test_odd_ids_of_raters(server, rater_id):
    browser = Browser(server, path_of(server, "one"), rater_id)
    status = browser.ask("GET", f"/{browser.link}?rater={rater_id}")[0]
    assert status in (200, 400)
    if status == 200:
        assert browser.ask("POST", "/api/consent", {})[0] == 204


def test_a_fault_of_ours_is_said_without_its_inside(server, monkeypatch, caplog):
    def broken(*_):
        raise KeyError("geheim")

    monkeypatch.setattr("pir_tf.people.routes.owner.status", broken)
    server._server.config.app.state.statuses.clear()
    browser = owner(server)
    status, reply, headers = browser.ask("GET", "/api/owner/status")
    assert status == 500 and "geheim" not in json.dumps(reply)
    check_headers(headers)


def test_replies_are_strict_json_whatever_was_computed(server, monkeypatch):
    monkeypatch.setattr(
        "pir_tf.people.routes.owner.status", lambda *_: {"alpha": float("nan"), "list": [float("inf"), 1.5]}
    )
    server._server.config.app.state.statuses.clear()
    found = owner(server).ask("GET", "/api/owner/status")[1]
    assert found == {"alpha": None, "list": [None, 1.5], "refusing": None}
    server._server.config.app.state.statuses.clear()


def test_requests_that_end_in_the_middle(server, caplog):
    browser = rater(server)
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    for text in (
        f"POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Length: 500\r\n\r\n{{",
        "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "NONSENSE\r\n\r\n",
        "POST /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as line:
            line.sendall(text.encode())
            line.shutdown(socket.SHUT_WR)
            found = line.recv(10_000)
        assert b" 200 " not in found.split(b"\r\n")[0] and b" 500 " not in found.split(b"\r\n")[0]
    assert browser.post([], 1)["slots"]
    assert "NameError" not in caplog.text
