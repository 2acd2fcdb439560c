"""What nobody may do: reach another's answers, forge, flood, break the parser, or make a page run what isn't ours."""

import base64
import http.client
import json
import random
import socket
import string
import uuid

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import sqlalchemy
from studies import Browser, begin, event, served

from pir_tf.errors import InputError
from pir_tf.people import pools, schema, sessions
from pir_tf.people.server import Server
from pir_tf.people.store import Store
from pir_tf.people.study import Study

HEADERS = {
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}
ORIGIN = "https://shop.example"


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)])
def server(request, tmp_path_factory):
    """A server of two studies, and of one with a name that would be a tag."""
    if request.param == "sqlite":
        where = tmp_path_factory.mktemp("safety") / "study.db"
    else:
        where = request.getfixturevalue("postgres").new()
    begin(where, name="one", images=60, answers_per_rater=5, completion_code="CODE-77", origins=(ORIGIN,))
    begin(where, name="two", images=60, round=2)
    begin(where, name='<script>alert("x")</script>', question="<img src=x onerror=alert(1)>", images=20, round=3)
    with served(where) as server:
        yield server


@pytest.fixture(autouse=True)
def fresh_limits(request):
    """Each test begins with full buckets."""
    if "server" not in request.fixturenames:
        return
    state = request.getfixturevalue("server")._server.config.app.state
    for limit in (state.limits, state.joins, state.looks):
        limit._left.clear()


def path_of(server, study, which=1):
    """The path of a study's link: 1 for raters, 2 for the owner."""
    return next(links[which] for links in server.links() if links[0] == study).split("/", 3)[3]


def rater(server, study="one"):
    return Browser(server, path_of(server, study)).join()


def owner(server, study="one"):
    browser = Browser(server, path_of(server, study, 2))
    assert browser.ask("GET", "/" + browser.link)[0] == 200
    return browser


def secret(server, study="one", column="server_secret"):
    with server.store.reading() as connection:
        return pools.require(connection, study)[column]


def bearer(server, study="one"):
    return {"Authorization": f"Bearer {secret(server, study)}"}


def check_headers(headers):
    for name, value in HEADERS.items():
        assert headers.get_all(name) == [value], name
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
    assert "server" not in {name.lower() for name in headers}


def test_a_rater_reaches_their_own_alone(server):
    one, two, other = rater(server), rater(server), rater(server, "two")
    image = one.slots(1)[0]["images"][0]["src"]
    status, png, headers = one.ask("GET", image)
    assert status == 200 and png.startswith(b"\x89PNG") and headers["content-type"] == "image/png"
    check_headers(headers)
    stranger = Browser(server)
    for browser, wanted in ((two, 404), (other, 404), (stranger, 401)):
        assert browser.ask("GET", image)[0] == wanted
    # Another's place, though both have a place 1: what comes in is one's own.
    sent = event({"place": 1}, "like", 1)
    two.slots(1)
    two.post([sent])
    assert one.post([])["progress"]["answered"] == 0
    assert one.post([event({"place": 1}, "undo", sent["uuid"])])["refused"]
    assert two.post([event({"place": 2}, "like", 1)])["refused"][0]["why"] == "Nothing was shown at this place."
    for path in ("/api/owner/status", "/api/owner/image/1.png"):
        assert one.ask("GET", path)[0] == 401
    for action in ("pause", "resume", "close"):
        assert one.ask("POST", f"/api/owner/{action}", {})[0] == 401
    for path in (
        "/owner/" + path_of(server, "one").split("/")[1],
        "/join/" + path_of(server, "one", 2).split("/")[1],
        "/join/",
        "/join/x",
    ):
        assert one.ask("GET", path)[0] == 404
    assert one.ask("GET", "/outside/" + image.split("/")[2])[0] == 404
    # Nothing that a rater gets speaks of pools, sides, other raters or secrets.
    everything = json.dumps([one.ask("GET", "/api/study")[1], one.post([], 4)])
    for word in (
        "random",
        "explore",
        "proof",
        "before",
        "after",
        "repeat",
        "shared",
        "round",
        secret(server),
        "item",
        "token",
    ):
        assert word not in everything.replace("consent", "").replace(Study().consent, ""), word


def test_an_owner_reaches_their_own_study_alone(server):
    mine, theirs = owner(server, "one"), owner(server, "two")
    status, found, headers = mine.ask("GET", "/api/owner/status")
    assert status == 200 and found["study"] == "one"
    check_headers(headers)
    with server.store.reading() as connection:
        items = connection.execute(
            sqlalchemy.select(schema.items.c.item, schema.studies.c.name).join_from(
                schema.items, schema.studies, schema.items.c.study == schema.studies.c.study
            )
        ).all()
    own, other = (next(row.item for row in items if row.name == name) for name in ("one", "two"))
    assert mine.ask("GET", f"/api/owner/image/{own}.png")[0] == 200
    assert mine.ask("GET", f"/api/owner/image/{other}.png")[0] == 404
    assert theirs.ask("GET", f"/api/owner/image/{other}.png")[0] == 200
    assert mine.ask("POST", "/api/owner/pause", {})[1]["state"] == "paused"
    assert theirs.ask("GET", "/api/owner/status")[1]["state"] == "open"
    assert rater(server, "one").post([], 1)["state"] == "paused"
    assert mine.ask("POST", "/api/owner/resume", {})[1]["state"] == "open"
    assert mine.ask("POST", "/api/owner/begin", {})[0] == 404
    assert mine.ask("GET", "/api/study")[0] == 401


def test_cookies_can_t_be_forged(server):
    browser = rater(server)
    good = browser.cookies["pir_rater"]
    study, key, signature = good.split(".")
    with server.store.reading() as connection:
        other = pools.require(connection, "two")["study"]
    mine = base64.urlsafe_b64encode(b"n:someone").rstrip(b"=").decode()
    forged = [
        f"{study}.{mine}.{signature}",
        f"{other}.{key}.{signature}",
        f"{study}.{key}.{signature[:-1]}",
        f"{study}.{key}.",
        f"{study}.{key}",
        f"{study}..{signature}",
        f"{study}.{key}.{sessions.sign(secret(server, 'two', 'secret'), 'rater', study, 'n:someone')}",
        f"{study}.\u00e9\u00e9.{signature}",
        f"{study}.{key}.\u00e9",
        f"{study}.!!!!.{signature}",
        f"{study}./w==.{signature}",
        "\u00e9",
        "",
        "." * 50,
        "a" * 3000,
    ]
    for cookie in forged:
        for name in ("pir_rater", "pir_owner"):
            raw = f"{name}={cookie}".encode("latin-1")
            for method, path in (("GET", "/api/study"), ("POST", "/api/events"), ("GET", "/api/owner/status")):
                status, reply, headers = Browser(server).ask(
                    method, path, {} if method == "POST" else None, {"Cookie": raw}
                )
                assert status == 401 and reply["error"], (cookie, path)
                check_headers(headers)
    # A rater's cookie is no owner's, nor the other way round.
    assert Browser(server).ask("GET", "/api/owner/status", None, {"Cookie": f"pir_owner={good}"})[0] == 401
    held = owner(server).cookies["pir_owner"]
    assert Browser(server).ask("GET", "/api/study", None, {"Cookie": f"pir_rater={held}"})[0] == 401


def test_cookies_are_closed_to_scripts_and_other_sites(server):
    for link in (path_of(server, "one"), path_of(server, "one", 2)):
        _, _, headers = Browser(server).ask("GET", "/" + link)
        words = headers["set-cookie"].lower()
        assert "httponly" in words and "samesite=strict" in words and "path=/" in words and "secure" not in words
        check_headers(headers)


def test_cookies_behind_https_go_there_alone(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db", public_url="https://rate.example") as server:
        assert server.links()[0][1].startswith("https://rate.example/join/")
        browser = Browser(server)
        status, _, headers = browser.ask("GET", "/" + browser.link, None, {"Host": "rate.example"})
        assert status == 200 and "secure" in headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *(("127.0.0.1", 200), ("localhost:99", 200), ("LOCALHOST", 200), ("[::1]:80", 200)),
        *(
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("", 421),
            ("[::", 421),
            ("a:b:c", 421),
            ("\u00e9", 421),
        ),
        *(
            ("8.8.8.8", 421),
            ("localhost@evil.example", 421),
            ("evil.example#localhost", 421),
            ("evil.example/localhost", 421),
        ),
    ],
)
def test_names_that_aren_t_the_server_s(server, host, status):
    found, _, headers = Browser(server).ask("GET", "/", None, {"Host": host.encode("latin-1")})
    assert found == status
    check_headers(headers)


def test_a_name_that_points_here_is_refused_also_where_all_may_come(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db", host="0.0.0.0") as server:
        assert server.open_to_others
        for host, status in (("192.168.1.7:80", 200), (socket.gethostname(), 200), ("evil.example", 421)):
            assert Browser(server, "x").ask("GET", "/", None, {"Host": host})[0] == status


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1", "http://[::", "x", "file://"]
)
def test_posts_from_other_pages_are_refused(server, origin):
    browser = rater(server)
    for path in ("/api/events", "/api/consent", "/api/owner/close"):
        status, reply, headers = browser.ask("POST", path, {}, {"Origin": origin})
        assert status == 403 and "another page" in reply["error"]
        check_headers(headers)
    assert browser.ask("POST", "/api/events", {}, {"Origin": f"http://127.0.0.1:{server.port}"})[0] == 200


def test_bodies_are_limited(server):
    browser = rater(server)
    for body in (b'{"events": [' + b" " * 300_000 + b"]}", b"[" * 300_000, b'{"a": "' + b"x" * 270_000 + b'"}'):
        status, reply, headers = browser.ask("POST", "/api/events", body)
        assert status == 413 and "KB" in reply["error"]
        check_headers(headers)
        browser.connection.close()
    many = [event({"place": 1}, "like", 1) for _ in range(201)]
    assert browser.ask("POST", "/api/events", {"events": many})[0] == 413


def test_200_at_once_pass_and_more_wait(server):
    browser = rater(server)
    place = {"place": browser.slots(1)[0]["place"]}
    limit = server._server.config.app.state.limits
    limit._left.clear()
    assert len(browser.post([event(place, "visible") for _ in range(200)])["stored"]) == 200
    status, reply, headers = browser.ask(
        "POST", "/api/events", {"events": [event(place, "visible") for _ in range(150)]}
    )
    assert status == 429 and 1 <= int(headers["Retry-After"]) <= 4 and "wait" in reply["error"]
    check_headers(headers)
    assert rater(server).post([], 1)["slots"]  # others aren't held up
    for name, (left, at) in limit._left.items():
        limit._left[name] = (left, at - 3.0)  # three seconds later
    assert browser.ask("POST", "/api/events", {"events": [event(place, "visible") for _ in range(150)]})[0] == 200


def test_links_and_pictures_are_limited_too(server):
    browser, state = rater(server), server._server.config.app.state
    path, image = "/" + path_of(server, "one"), browser.slots(1)[0]["images"][0]["src"]
    for limit, address in ((state.joins, path), (state.looks, image)):
        limit._left.clear()
        rate, limit.rate = limit.rate, 1e-3  # or a slow machine would never meet it
        try:
            limit.wait(f"{secret(server, 'one', 'study')}", limit.most - 20)
            limit._left = {name: (20.0, at) for name, (_, at) in limit._left.items()}
            statuses = [browser.ask("GET", address)[0] for _ in range(22)]
            if limit is state.looks:
                limit._left = {name: (20.0, at) for name, (_, at) in limit._left.items()}
                statuses = [browser.ask("GET", address)[0] for _ in range(22)]
        finally:
            limit.rate = rate
        assert statuses == [200] * 20 + [429] * 2


def test_many_names_don_t_fill_the_memory():
    limit = sessions.Limit(50, 200)
    for number in range(10_050):
        limit._left[f"old{number}"] = (0.0, -1000.0)
    assert limit.wait("new") == 0 and len(limit._left) == 1


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


def test_the_same_outside_id_is_the_same_rater_anywhere(server):
    one = Browser(server, path_of(server, "one"), "P-1").join()
    two = Browser(server, path_of(server, "one"), "P-1").join()
    three = Browser(server, path_of(server, "one"), "P-2").join()
    names = [browser.ask("GET", "/api/study")[1]["rater"] for browser in (one, two, three)]
    assert names[0] == names[1] != names[2] and all("P-" not in name for name in names)


def test_names_are_no_tags(server):
    """What an owner writes comes as JSON alone; no page has it in its HTML."""
    name = '<script>alert("x")</script>'
    browser = Browser(server, path_of(server, name))
    status, page, headers = browser.ask("GET", "/" + browser.link)
    assert status == 200 and b"alert" not in page and b"onerror" not in page
    assert headers["content-type"].startswith("text/html")
    _, found, headers = browser.ask("GET", "/api/study")
    assert found["study"] == name and headers["content-type"] == "application/json"
    page = owner(server, name).ask("GET", "/owner")[1]
    assert b"alert" not in page


def test_the_code_comes_when_done_and_not_before(server):
    browser = rater(server)
    code = "CODE-77"
    for number in range(5):
        assert code not in json.dumps(browser.ask("GET", "/api/study")[1])
        reply = browser.post([], 1)
        assert code not in json.dumps(reply)
        slot = reply["slots"][0]
        reply = browser.answer(slot, "like", 1)
        assert (code in json.dumps(reply)) == (number == 4)
    assert reply["state"] == "done" and browser.ask("GET", "/api/study")[1]["code"] == code
    assert browser.slots(8) == []
    assert code not in json.dumps(rater(server).ask("GET", "/api/study")[1])


def test_who_was_done_before_the_end_keeps_the_code(tmp_path):
    key = begin(tmp_path / "a.db", answers_per_rater=1, completion_code="C")
    with served(tmp_path / "a.db") as server:
        done, late = Browser(server).join(), Browser(server).join()
        done.answer(done.slots(1)[0], "like", 1)
        late.slots(1)
        store = Store(tmp_path / "a.db")
        with store.writing() as connection:
            pools.control(connection, key, "end")
        store.close()
        server.store.write(lambda connection: None).result(10)
        assert [one.ask("GET", "/api/study")[1]["code"] for one in (done, late)] == ["C", ""]
        assert late.ask("GET", "/api/study")[1]["state"] == "ended"
        new = Browser(server)
        assert new.ask("GET", "/" + new.link)[0] == 200
        assert new.ask("POST", "/api/consent", {})[0] == 410


def test_events_of_a_team_s_own_page(server):
    browser = Browser(server)
    for headers in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": b"Bearer \xe9"},
        {"Authorization": secret(server)},
    ):
        assert browser.ask("POST", "/impressions", {"user": "u"}, headers)[0] == 401
    _, reply, _ = browser.ask("POST", "/impressions", {"user": "u", "count": 2}, bearer(server))
    shown, second = reply["impressions"]
    assert shown["image"].startswith(server.url + "/outside/")
    status, png, headers = browser.ask("GET", "/outside/" + shown["impression"] + ".png")
    assert status == 200 and png.startswith(b"\x89PNG") and headers["cross-origin-resource-policy"] == "cross-origin"
    seen = {"uuid": str(uuid.uuid4()), "impression": shown["impression"], "kind": "visible"}
    click = {"uuid": str(uuid.uuid4()), "impression": shown["impression"], "kind": "click"}
    name, _, signature = shown["impression"].partition(".")
    forged = [
        name,
        f"{name}.",
        f"{name}.{signature[:-1]}",
        f"{name}.\u00e9",
        f"{name}.\ud800",
        second["impression"].split(".")[0] + "." + signature,
    ]
    forged += [None, 1, [], {}, "", "."]
    for impression in forged:
        status, reply, _ = browser.ask("POST", "/events", {**click, "impression": impression})
        assert status == 200 and reply["stored"] == [] and "signature" in reply["refused"][0]["why"]
    # Not from any page, and the refusal allows nothing; from a listed one, and again is no second time.
    for events in ({"events": [seen, click]}, {**click, "impression": "x.y"}):
        status, _, headers = browser.ask("POST", "/events", events, {"Origin": "https://evil.example"})
        assert status == 403 and headers["access-control-allow-origin"] is None
    status, _, headers = browser.ask("OPTIONS", "/events", None, {"Origin": "https://evil.example"})
    assert headers["access-control-allow-origin"] is None
    for _ in range(2):
        status, reply, headers = browser.ask("POST", "/events", {"events": [seen, click]}, {"Origin": ORIGIN})
        assert status == 200 and reply["stored"] == [seen["uuid"], click["uuid"]]
        assert headers["access-control-allow-origin"] == ORIGIN and headers["vary"] == "Origin"
        assert headers["access-control-allow-credentials"] is None
    status, _, headers = browser.ask("OPTIONS", "/events", None, {"Origin": ORIGIN})
    assert status == 204 and headers["access-control-allow-headers"] == "content-type"
    status, _, headers = browser.ask("POST", "/events", b"no json", {"Origin": ORIGIN})
    assert status == 400 and headers["access-control-allow-origin"] == ORIGIN  # the page may read why
    # A rater's own impressions aren't signed, so that they don't come this way.
    mine = rater(server).slots(1)[0]["images"][0]["src"].split("/")[2][:-4]
    assert browser.ask("POST", "/events", {**click, "impression": mine})[1]["refused"]
    for path in ("/api/study", "/", "/impressions"):
        assert browser.ask("GET", path, None, {"Origin": ORIGIN})[2]["access-control-allow-origin"] is None
    for user in ("", "a" * 129, "a\x00b", "\ud800", 7, None):
        assert browser.ask("POST", "/impressions", {"user": user}, bearer(server))[0] == 400


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
    assert owner(server).ask("GET", "/api/owner/status")[1] == {"alpha": None, "list": [None, 1.5]}
    server._server.config.app.state.statuses.clear()


def test_requests_that_end_in_the_middle(server):
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70000}, "can't be listened on"),
        ({"host": "8.8.8.8"}, "can't be listened on"),
        ({"host": "no.such.name.invalid"}, "can't be listened on"),
        ({"public_url": "rate.example"}, "expected an address like"),
        ({"public_url": "https://rate.example/path"}, "expected an address like"),
        ({"public_url": "https://[::"}, "expected an address like"),
    ],
)
def test_addresses_that_can_t_be(tmp_path, options, words):
    begin(tmp_path / "a.db")
    with pytest.raises(InputError, match=words) as caught:
        Server(tmp_path / "a.db", **options)
    assert "\n" not in str(caught.value)


def test_a_port_in_use(tmp_path, server):
    begin(tmp_path / "a.db")
    with pytest.raises(InputError, match=f"127.0.0.1:{server.port} can't be listened on .Address already in use"):
        Server(tmp_path / "a.db", port=server.port)
    with served(tmp_path / "a.db"):  # nothing of the refused one holds the database
        pass


def test_tokens_and_names_can_t_be_guessed(server):
    with server.store.reading() as connection:
        rows = connection.execute(sqlalchemy.select(schema.studies)).mappings().all()
    tokens = [row[name] for row in rows for name in ("join_token", "owner_token", "server_secret", "secret")]
    assert len(set(tokens)) == len(tokens) == 12 and all(len(token) >= 32 for token in tokens)
    browser = rater(server)
    names = [image["src"] for slot in browser.slots(8) for image in slot["images"]]
    assert len(set(names)) == len(names) and all(len(name) == len("/image/.png") + 24 for name in names)
    letters = set("".join(name[7:-4] for name in names))
    assert letters <= set(string.ascii_letters + string.digits + "-_") and len(letters) > 30
