"""The database of a study: SQLite in a file, or PostgreSQL by its URL, written by one thread with group commits.

Whoever waits for a job's result waits until the transaction that holds it is on the disk: an answer is acknowledged after its
commit. Jobs that are waiting share one commit, so many raters cost one sync.
"""

from __future__ import annotations

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, TypeVar

from sqlalchemy import URL, Connection, create_engine, func, inspect, select
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import StaticPool

from pir_tf.errors import InputError, Unavailable, one_line
from pir_tf.people import schema
from pir_tf.people.connections import POSTGRES, SERVER_KEY, SQLITE, WAIT_SECONDS, set_up
from pir_tf.people.places import SERVED, Taken, file_lock, make_private, masked, require_file, url_of

Result = TypeVar("Result")
Job = tuple[Callable[[Connection], Any], "Future[Any]"]

TOGETHER = 256
"""Jobs in one commit, at most."""
FORBIDDEN = "42501"
"""PostgreSQL's code of what a role has no privilege for."""


class Store:
    """A study's database.

    Args:
        where: A file's path, or `postgresql://...`; its password belongs into PGPASSFILE.
        create: Whether an absent database is made.

    Raises:
        InputError: It is no database of ours, of another schema, on a network file system, or can't be reached.
    """

    def __init__(self, where: str | os.PathLike[str], *, create: bool = False) -> None:
        self.url = url_of(where)
        self.name = masked(where)
        if self.sqlite:
            require_file(Path(str(self.url.database)), create=create)
            if create:
                make_private(Path(str(self.url.database)))
        arguments = SQLITE if self.sqlite else POSTGRES
        try:
            more: dict[str, Any] = {"pool_pre_ping": not self.sqlite, "connect_args": arguments}
            url = _there(self.url) if self.sqlite else self.url
            self._engine = create_engine(url, hide_parameters=True, **more)  # a study's secrets are among them
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise InputError(
                f"The database {self.name} can't be used ({one_line(error)}), expected a file or a PostgreSQL URL with "
                "pip install '.[people]' done: mend that."
            ) from None
        set_up(self._engine)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._reload: Callable[[], None] = lambda: None
        self._before: Callable[[Connection], None] = lambda connection: None
        self._stale = False
        self._writer: Connection | None = None
        self._server_lock: IO[str] | None = None
        self._file: tuple[int, int] | None = None  # device and number of the file that is served
        self.refusing: tuple[float, str] | None = None
        """Since when the writer's database takes nothing, in seconds of Unix time, and why."""
        try:
            self._adopt(create)
        except Unavailable as error:
            self._engine.dispose()
            raise InputError(f"The database {self.name} can't be used ({error}): mend that, or name another.") from None
        except BaseException:
            self._engine.dispose()
            raise

    @property
    def sqlite(self) -> bool:
        """Whether it is a file."""
        return self.url.get_backend_name() == "sqlite"

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of the database. Read and let go: a reader keeps an SQLite writer waiting.

        Raises:
            Unavailable: The database can't be reached.
        """
        with _explained(), self._engine.connect() as connection:
            yield connection if self.sqlite else connection.execution_options(isolation_level="REPEATABLE READ")

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """As `reading`, without the pictures, for as long as one likes: no writer waits while numbers are made of it.

        Raises:
            Unavailable: The database can't be reached.
        """
        if not self.sqlite:
            with self.reading() as connection:
                yield connection
            return
        self._require_same_file()
        memory = sqlite3.connect("file::memory:", uri=True, isolation_level=None, check_same_thread=False)
        with contextlib.closing(memory) as copy:
            try:
                copy.execute(f"PRAGMA busy_timeout={int(1000 * WAIT_SECONDS)}")
                copy.execute("ATTACH ? AS there", (_there_uri(self.url),))
                copy.execute("BEGIN")
                there = {name for (name,) in copy.execute("SELECT name FROM there.sqlite_master WHERE type = 'table'")}
                for table in schema.metadata.sorted_tables:
                    if table.name not in there:
                        continue
                    columns = ", ".join(
                        "NULL AS png" if name == "png" else f'"{name}"' for name in table.columns.keys()
                    )
                    copy.execute(f'CREATE TABLE main."{table.name}" AS SELECT {columns} FROM there."{table.name}"')
                copy.execute("COMMIT")
                copy.execute("DETACH there")
            except sqlite3.Error as error:
                raise Unavailable(one_line(error)) from error
            engine = create_engine("sqlite://", creator=lambda: copy, poolclass=StaticPool)
            with engine.connect() as connection:
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of this thread's own, committed at the end: for commands and stages, not for the server.

        Raises:
            Unavailable: The database can't take the rows; none is stored.
        """
        with _explained(), self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def serve(self, reload: Callable[[], None], before: Callable[[Connection], None] | None = None) -> None:
        """Starts the writer of a server, of which a database has one at a time.

        Args:
            reload: Called once the database is this server's alone, and in the writer after a transaction was rolled back, for
                what is remembered of the rows.
            before: Called at the start of each transaction, to take in what other processes did.

        Raises:
            InputError: Another server serves this database, or it can't be written to.
        """
        self._reload = reload
        self._before = before or self._before
        if self.sqlite:
            path = Path(os.path.realpath(str(self.url.database)))
            self._server_lock = file_lock(path.with_name(f"{path.name}.server.lock"), self.name)
            self._file = _number_of(path)
        try:
            # SQLite says "read-only" at the first change alone.
            with _explained(), self._connected().begin() as transaction:
                transaction.connection.execute(schema.about.update().values(schema_version=schema.VERSION))
            self._reload()  # not before: the last server's answers come until it has let go
        except Unavailable as error:
            self._let_go()
            raise InputError(
                f"The database {self.name} can't be written to ({error}): mend that, or name another."
            ) from None
        except BaseException:
            self._let_go()
            raise
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._thread.start()

    def write(self, job: Callable[[Connection], Result]) -> Future[Result]:
        """Runs `job` in the writer's next transaction; its result comes after the commit.

        A job may run again, in a transaction of its own, where one beside it failed. The future raises `Unavailable` where the
        database can't take the rows; a future that is cancelled in time isn't run.
        """
        future: Future[Result] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Writes what waits, and lets the database go; one that hangs is left to its connection's end."""
        if self._thread:
            self._jobs.put(None)
            self._thread.join(2 * WAIT_SECONDS)
            if self._thread.is_alive():
                return
            self._thread = None
        self._let_go()
        self._engine.dispose()

    def backup(self, path: str | os.PathLike[str]) -> None:
        """Copies an SQLite database as of now, whole, while it is served.

        Raises:
            InputError: The place is taken, or it is PostgreSQL, which has tools of its own.
        """
        if not self.sqlite:
            raise InputError(f"{self.name} is a PostgreSQL database, expected an SQLite file: use pg_dump.")
        target = Path(path)
        if os.path.lexists(target):
            raise InputError(f"{target} exists already, expected a name that is free: choose another.")
        beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            make_private(beside)
            with contextlib.closing(sqlite3.connect(_there_uri(self.url), uri=True, timeout=WAIT_SECONDS)) as source:
                with contextlib.closing(sqlite3.connect(beside)) as copy:
                    source.backup(copy)
            os.link(beside, target)
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"{target} can't be written ({error}), expected room for a copy: choose another place."
            ) from None
        finally:
            beside.unlink(missing_ok=True)

    def clear_log(self) -> None:
        """Moves SQLite's write-ahead log into the database: deleted rows are in it until then. Where it is in use, later."""
        if self.sqlite:
            with contextlib.suppress(Unavailable), self.reading() as connection:
                connection.rollback()
                connection.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _adopt(self, create: bool) -> None:
        """Finds our tables of this schema, or makes them in an empty database."""
        with self.writing() if create else self.reading() as connection:
            seen = inspect(connection)
            tables = set(seen.get_table_names())
            if not tables and create:
                schema.metadata.create_all(connection)
                connection.execute(schema.about.insert().values(schema_version=schema.VERSION))
                return
            ours = set(schema.metadata.tables)
            version = None
            if "about" in tables and [column["name"] for column in seen.get_columns("about")] == ["schema_version"]:
                version = connection.execute(select(schema.about.c.schema_version)).scalar()
        if version is None or (version == schema.VERSION and not ours <= tables | set(schema.LATER)):
            found = ", ".join(sorted(tables)[:5]) or "no tables"
            raise InputError(
                f"The database {self.name} holds {found}, expected a study's tables: name the database of a study, or a new one."
            )
        if version != schema.VERSION:
            raise InputError(
                f"The database {self.name} has schema {version}, expected {schema.VERSION}: use the version of pir_tf that wrote "
                "it, or export its rows with that one."
            )
        if not ours <= tables:
            with contextlib.suppress(Unavailable), self.writing() as connection:  # or it is read-only, and does without
                schema.metadata.create_all(connection)

    def _connected(self) -> Connection:
        """The writer's own connection. In PostgreSQL it holds the lock of the one server, which ends with the connection."""
        if self._writer is None:
            self._require_same_file()
            writer = self._engine.connect().execution_options(writes=True)
            try:
                if not self.sqlite:
                    got = writer.execute(select(func.pg_try_advisory_lock(SERVER_KEY))).scalar()
                    writer.commit()
                    if not got:
                        raise Taken(
                            f"{SERVED} {self.name} already, expected one for a database: use its links, or stop it."
                        )
            except BaseException:
                writer.invalidate()
                writer.close()
                raise
            self._writer = writer
        return self._writer

    def _require_same_file(self) -> None:
        """Refuses once the file that is served isn't there: with a write-ahead log SQLite goes on writing to it all the same."""
        if self._file and _number_of(self.url.database) != self._file:
            raise Unavailable(f"{self.url.database} was moved or replaced: put it back, or serve the other one anew")

    def _begin_anew(self) -> None:
        """After a transaction that failed, its connection and what was remembered are in doubt: both are made anew."""
        self._disconnect()
        try:
            self._connected()
        except InputError as error:
            raise Unavailable(str(error)) from None
        self._reload()
        self._stale = False

    def _disconnect(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):
                self._writer.invalidate()
            with contextlib.suppress(Exception):
                self._writer.close()
            self._writer = None

    def _let_go(self) -> None:
        self._disconnect()
        if self._server_lock:
            self._server_lock.close()
            self._server_lock = None

    def _write_all(self) -> None:
        """The writer: takes what waits, up to `TOGETHER`, and commits it at once."""
        going = True
        while going:
            batch = [self._jobs.get()]
            while batch[-1] is not None and len(batch) < TOGETHER:
                try:
                    batch.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            going = batch[-1] is not None
            # A future that runs can't be cancelled any more: a result always finds its place.
            jobs = [one for one in batch if one is not None and one[1].set_running_or_notify_cancel()]
            if jobs and not self._commit(jobs):
                for one in jobs:
                    self._commit([one])

    def _commit(self, batch: list[Job]) -> bool:
        """One transaction of these jobs, whose results are given out after it. False where they are to be tried one by one.

        A job that fails alone gets its error. A database that takes nothing refuses all of them at once.
        """
        try:
            with _explained():
                if self._stale:
                    self._begin_anew()
                self._require_same_file()
                with self._connected().begin() as transaction:
                    self._before(transaction.connection)
                    results = [job(transaction.connection) for job, _ in batch]
        except Exception as error:
            self._stale = True
            if isinstance(error, Unavailable):
                self.refusing = self.refusing or (time.time(), str(error))
            if len(batch) > 1 and not isinstance(error, Unavailable):
                return False
            for _, future in batch:
                future.set_exception(Unavailable(str(error)) if isinstance(error, Unavailable) else error)
            return True
        self.refusing = None
        for (_, future), result in zip(batch, results, strict=True):
            future.set_result(result)
        return True


def _there(url: URL) -> URL:
    """A file's URL by which SQLite opens what is there and makes nothing."""
    return url.set(database=Path(str(url.database)).absolute().as_uri(), query={"mode": "rw", "uri": "true"})


def _there_uri(url: URL) -> str:
    """The same for `sqlite3` itself."""
    return f"{_there(url).database}?mode=rw"


def _number_of(path: Any) -> tuple[int, int] | None:
    """Device and number of a file; None where there is none."""
    with contextlib.suppress(OSError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What the database refuses, to a role too, as `Unavailable`; our own mistakes in a statement keep their traceback."""
    try:
        yield
    except DBAPIError as error:
        code = getattr(error.orig, "sqlstate", "")  # None where psycopg says it without a server
        theirs = isinstance(error, ProgrammingError) and code in (FORBIDDEN, None)
        if isinstance(error, IntegrityError | ProgrammingError | DataError) and not theirs:
            raise
        raise Unavailable(one_line(error.orig or error)) from error
    except PoolTimeout as error:
        raise Unavailable("all connections are in use") from error
