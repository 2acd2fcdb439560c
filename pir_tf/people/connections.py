"""How both kinds of database are connected to: commits that last, and one writer at a time.

SQLite runs with synchronous FULL, which makes a commit last through a power cut, and with the journal TRUNCATE: WAL only from the
version on that has the fault mended by which its log could be reset under a reader (3.51.3).

What a server remembers is right only if others' changes become visible in the order of their numbers, and none in the middle of
its own transaction: a person who withdraws then would leave the rows that are being written. SQLite has one writer anyway; in
PostgreSQL every transaction that writes takes one lock at its start, and lets it go with its commit.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Connection, Engine, event

WAIT_SECONDS = 10.0
"""How long a writer waits for another process's commit."""
SERVER_KEY = 0x70697274
"""PostgreSQL's advisory lock that a server holds while it serves."""
WRITER_KEY = SERVER_KEY + 1
"""That of a transaction that writes."""
SQLITE = {"timeout": WAIT_SECONDS, "check_same_thread": False}
POSTGRES = {
    **{"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3},
    **{"tcp_user_timeout": 10_000, "application_name": "pir_tf"},
}
"""Options of PostgreSQL's connections: each end notices within seconds that the other is gone."""


def set_up(engine: Engine) -> None:
    """Makes an engine's connections and transactions so."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        event.listen(engine, "connect", _set_up_postgres)
        event.listen(engine, "begin", _begin_postgres)


def _set_up_sqlite(connection: Any, record: Any) -> None:
    """Transactions begin where we say, and a commit lasts. Source: SQLite's documentation of synchronous and WAL."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA secure_delete=ON")  # who has withdrawn isn't left in free pages
    version = sqlite3.sqlite_version_info
    mended = version >= (3, 51, 3) and version[:2] != (3, 52)
    connection.execute(f"PRAGMA journal_mode={'WAL' if mended else 'TRUNCATE'}")


def _set_up_postgres(connection: Any, record: Any) -> None:
    """A commit lasts, and a wait for another ends, whatever the server's own settings are."""
    connection.execute("SET synchronous_commit = on")
    connection.execute(f"SET lock_timeout = '{WAIT_SECONDS:g}s'")
    # The database's end of a line that is gone holds its locks for as long as it believes in it: two hours by its own settings.
    for name in ("keepalives_idle", "keepalives_interval", "keepalives_count"):
        connection.execute(f"SET tcp_{name} = {POSTGRES[name]}")
    connection.execute(f"SET tcp_user_timeout = {POSTGRES['tcp_user_timeout']}")
    connection.commit()


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: a reader that turned into one could only fail."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _begin_postgres(connection: Connection) -> None:
    """One writer at a time, which waits as long for another as with SQLite."""
    if connection.get_execution_options().get("writes"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITER_KEY})")
