"""Who follows a link that opens nothing gets a page that says so and what to do; programs get JSON."""

import http.client
import re

import pytest
from studies import Browser, begin, served

from pir_tf.errors import Unavailable
from pir_tf.people import routes, web

PERSON = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    where = tmp_path_factory.mktemp("study") / "study.db"
    begin(where)
    with served(where) as running:
        yield running


@pytest.mark.parametrize(
    ("path", "status", "what", "todo"),
    [
        ("/join/expired", 404, "This link opens no study here", "Ask whoever gave it to you."),
        ("/owner/wrong", 404, "This link opens no study here", "Open the one for you that pir-tf people serve prints."),
        ("/jion/x", 404, "There is nothing here", "Open the link that you were given, or ask whoever gave it to you."),
        ("/join/%ff%fe", 404, "This link opens no study here", "Ask whoever gave it to you."),
    ],
)
def test_a_link_that_opens_nothing(server, path, status, what, todo):
    found, page, headers = Browser(server).ask("GET", path, None, PERSON)
    text = page.decode()
    assert (found, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert re.findall(r"<h1>(.*)</h1>", text) == re.findall(r"<title>(.*)</title>", text) == [what]
    assert re.findall(r"<p>(.*)</p>", text) == [todo] and "refresh" not in text
    assert "/page/rate.css" in text and "default-src 'none'" in headers["Content-Security-Policy"]
    assert set(Browser(server).ask("GET", path)[1]) == {"error"}  # who doesn't ask for a page


def test_a_wrong_link_is_refused_in_the_words_of_the_only_study(tmp_path):
    words = {"lang": "ar", "dir": "rtl", "wrong_link_title": "<Falscher> Link", "wrong_link": "Fragen Sie nach."}
    begin(tmp_path / "study.db", words=words)
    with served(tmp_path / "study.db") as running:
        status, page, _ = Browser(running).ask("GET", "/join/expired", None, PERSON)
        assert status == 404 and b'<html lang="ar" dir="rtl">' in page and b"<p>Fragen Sie nach.</p>" in page
        assert page.count(b"&lt;Falscher&gt; Link") == 2
        assert b'lang="en"' in Browser(running).ask("GET", "/owner/wrong", None, PERSON)[1]
    begin(tmp_path / "study.db", name="another")
    with served(tmp_path / "study.db") as running:  # whose words would they be?
        page = Browser(running).ask("GET", "/join/expired", None, PERSON)[1]
        assert b"<h1>This link opens no study here</h1>" in page and b'<html lang="en" dir="ltr">' in page


def test_programs_get_json_whatever_they_accept(server):
    browser = Browser(server)
    for path in ("/api/study", "/api/nothing", "/image/x.png", "/outside/x.png", "/page/x", "/events"):
        status, found, _ = browser.ask("GET", path, None, PERSON)
        assert status >= 400 and set(found) == {"error"}, path
    assert set(browser.ask("POST", "/api/events", {}, PERSON)[1]) == {"error"}


def test_what_passes_by_itself_is_tried_again(server, monkeypatch):
    def away(words):
        raise Unavailable("the disk is full")

    monkeypatch.setattr(routes, "_page", away)
    status, page, headers = Browser(server).ask("GET", "/" + Browser(server).link, None, PERSON)
    assert status == 503 and headers["Retry-After"] == "1" and b'http-equiv="refresh"' in page
    assert b"<h1>One moment</h1>" in page


def test_another_name_of_the_server_and_names_that_are_tags(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/", headers={**PERSON, "Host": "rate.example"})
    reply = connection.getresponse()
    assert reply.status == 421 and b"<h1>This server isn&#x27;t rate.example</h1>" in reply.read()
    scope = {"method": "GET", "path": "/", "headers": [(b"accept", b"text/html")]}
    assert b"<b>" not in web.refuse(scope, "<b>no</b>: $what <b>", 404).body
