"""What nobody may do: reach another's answers, forge, flood, or make a page run what isn't ours."""

import base64
import json
import socket
import string
import uuid

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")

import sqlalchemy
from doors import ORIGIN, bearer, check_headers, owner, path_of, rater, secret
from studies import Browser, begin, event, served

from pir_tf.errors import InputError
from pir_tf.people import pools, schema, sessions
from pir_tf.people.server import Server
from pir_tf.people.store import Store
from pir_tf.people.study import Study


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


def test_two_studies_of_one_browser_are_told_apart(server):
    """A page names its study; and a host's servers, whatever their port, get one cookie of a name."""
    both, keys = owner(server, "one"), {}
    both.ask("GET", "/" + path_of(server, "two", 2))
    with server.store.reading() as connection:
        keys = {name: pools.require(connection, name)["study"] for name in ("one", "two")}
    page = both.ask("GET", "/" + path_of(server, "one", 2))[1].decode()
    assert f'data-study="{keys["one"]}"' in page
    both.ask("GET", "/" + path_of(server, "two", 2))
    for name, key in keys.items():
        assert both.ask("GET", f"/api/owner/status?study={key}")[1]["study"] == name
    assert both.ask("POST", f"/api/owner/pause?study={keys['one']}", {})[1]["study"] == "one"
    assert both.ask("GET", "/api/owner/status")[1]["state"] == "open"  # the last link's, as before
    assert both.ask("POST", f"/api/owner/resume?study={keys['one']}", {})[1]["state"] == "open"
    assert both.ask("GET", "/api/owner/status?study=other")[0] == 401
    mine = owner(server, "one")
    assert mine.ask("GET", f"/api/owner/status?study={keys['two']}")[0] == 401
    stolen = {"Cookie": f"pir_owner_{keys['two']}={mine.cookies['pir_owner']}"}
    assert Browser(server).ask("GET", f"/api/owner/status?study={keys['two']}", None, stolen)[0] == 401
    person = rater(server, "one")
    before = person.ask("GET", "/api/study")[1]["rater"]
    person.cookies["pir_rater"] = "another.server.s"
    assert person.ask("GET", "/api/study")[1]["rater"] == before


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
    # A strict cookie wouldn't be sent along when a rater follows the link in a mail: they would be somebody new.
    for link, site, count in ((path_of(server, "one"), "lax", 2), (path_of(server, "one", 2), "strict", 2)):
        _, _, headers = Browser(server).ask("GET", "/" + link)
        assert len(headers.get_all("set-cookie")) == count
        for words in map(str.lower, headers.get_all("set-cookie")):
            assert "httponly" in words and f"samesite={site}" in words and "path=/" in words and "secure" not in words
        check_headers(headers)


def test_a_link_brings_its_rater_back_after_another_studys(server):
    browser = Browser(server)

    def visit(name, **query):
        rater = "".join(f"?rater={value}" for value in query.values())
        assert browser.ask("GET", f"/{path_of(server, name)}{rater}")[0] == 200
        assert browser.ask("POST", "/api/consent", {})[0] == 204
        return browser.ask("GET", "/api/study")[1]["rater"]

    one, two = visit("one"), visit("two")
    assert one != two and (visit("one"), visit("two"), visit("one")) == (one, two, one)
    other = visit("one", rater="ann")
    assert other != one and visit("two") == two and visit("one", rater="ann") == other == visit("one")


def test_cookies_behind_https_go_there_alone(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db", public_url="https://rate.example") as server:
        assert server.links()[0][1].startswith("https://rate.example/join/")
        browser = Browser(server)
        status, _, headers = browser.ask("GET", "/" + browser.link, None, {"Host": "rate.example"})
        assert status == 200 and "secure" in headers["set-cookie"].lower()
        for host in (
            "rate.example",
            "rate.example:443",
            f"127.0.0.1:{server.port}",
        ):  # as a proxy passes it on, or doesn't
            for origin, status in (("https://rate.example", 204), ("https://other.example", 403)):
                more = {"Host": host, "Origin": origin}
                assert browser.ask("POST", "/api/consent", {}, more)[0] == status, (host, origin)


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


def test_a_proxy_that_hides_the_name_is_told_so(tmp_path):
    begin(tmp_path / "a.db")
    with served(tmp_path / "a.db", public_url="https://rate.example") as server:
        status, reply, _ = Browser(server).ask("GET", "/api/study", None, {"Host": "page"})
        assert status == 421 and "proxy_set_header Host $host" in reply["error"]
        assert Browser(server).ask("GET", "/", None, {"Host": "rate.example"})[0] == 200


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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"port": 70000}, "can't be listened on"),
        ({"host": "8.8.8.8"}, "can't be listened on"),
        ({"host": "no.such.name.invalid"}, "can't be listened on"),
        ({"public_url": "rate.example"}, "expected one like"),
        ({"public_url": "https://rate.example/path"}, "expected one like"),
        ({"public_url": "https://rate.example/?x=1"}, "expected one like"),
        ({"public_url": "https://rate.example/#y"}, "expected one like"),
        ({"public_url": "https://rate.example:abc"}, "expected one like"),
        ({"public_url": "https://me@rate.example"}, "expected one like"),
        ({"host": "\udcff"}, "can't be listened on"),
        ({"public_url": "https://[::"}, "expected one like"),
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
