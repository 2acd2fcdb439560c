"""Databases for the tests of the rating server: SQLite in the suite, PostgreSQL at night."""

import pytest


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server of the tests' own."""
    pytest.importorskip("psycopg")
    from postgres import Postgres

    server = Postgres()
    if server.reason:
        pytest.skip(server.reason)
    yield server
    server.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.nightly)])
def database(request, tmp_path):
    """A file's path, or the URL of an empty PostgreSQL database."""
    if request.param == "sqlite":
        return str(tmp_path / "study.db")
    return request.getfixturevalue("postgres").new()
