"""For the tests of the rating server: SQLite in the suite and PostgreSQL at night, a desk, a server of three studies."""

import os

import pytest

ENGINES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)]


def own_server():
    pytest.importorskip("psycopg")
    from postgres import Postgres

    server = Postgres()
    if server.reason:
        pytest.skip(server.reason)
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own."""
    yield from own_server()


@pytest.fixture
def mortal_postgres():
    """The same for one test alone, which may kill it."""
    if os.environ.get("PIR_TF_TEST_POSTGRES"):
        pytest.skip("the server that PIR_TF_TEST_POSTGRES names isn't ours to kill")
    yield from own_server()


@pytest.fixture(params=ENGINES)
def database(request, tmp_path):
    """A file's path, or the URL of an empty PostgreSQL database."""
    if request.param == "sqlite":
        return str(tmp_path / "study.db")
    return request.getfixturevalue("postgres").new()


@pytest.fixture
def clock(monkeypatch):
    """A clock that is set by hand, in a list of one."""
    now = [1.8e9]
    monkeypatch.setattr("time.time", lambda: now[0])
    return now


@pytest.fixture
def office(database):
    """Makes an office."""
    from office import Office

    made = []

    def make(**settings):
        made.append(Office(database, **settings))
        return made[-1]

    yield make
    for one in made:
        one.store.close()


@pytest.fixture(scope="module", params=ENGINES)
def open_house(request, tmp_path_factory):
    """A server of two studies, and of one with a name that would be a tag."""
    from doors import ORIGIN
    from studies import begin, served

    if request.param == "sqlite":
        where = tmp_path_factory.mktemp("safety") / "study.db"
    else:
        where = request.getfixturevalue("postgres").new()
    begin(where, name="one", images=60, answers_per_rater=5, completion_code="CODE-77", origins=(ORIGIN,))
    begin(where, name="two", images=60, round=2)
    begin(where, name='<script>alert("x")</script>', question="<img src=x onerror=alert(1)>", images=20, round=3)
    with served(where) as server:
        yield server


@pytest.fixture
def server(open_house):
    """The same with full buckets for each test."""
    state = open_house._server.config.app.state
    for limit in (state.limits, state.joins, state.looks):
        limit._left.clear()
    return open_house
