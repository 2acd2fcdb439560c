"""The database of a study: SQLite in a file, or PostgreSQL by its URL, written by one thread with group commits.

Whoever waits for a job's result waits until the transaction that holds it is on the disk: an answer is acknowledged after its
commit. Jobs that are waiting share one commit, so many raters cost one sync.

SQLite runs with synchronous FULL, which makes a commit last through a power cut, and with the journal TRUNCATE: WAL only from the
version on that has the fault mended by which its log could be reset under a reader (3.51.3).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from pathlib import Path
from typing import IO, Any, TypeVar

from pir_tf.errors import InputError, one_line

try:
    import sqlalchemy
    from sqlalchemy import Connection, create_engine, event, inspect, select
    from sqlalchemy.engine import URL, make_url
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

    from pir_tf.people import schema
except ImportError as missing:
    raise InputError(
        f"Studies with people need {missing.name or 'a package'}, which isn't installed: pip install '.[people]'."
    ) from None

Result = TypeVar("Result")

TOGETHER = 256
"""Jobs in one commit, at most."""
WAIT_SECONDS = 10.0
"""How long a writer waits for another process's commit."""
NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs")
"""File systems whose locks SQLite can't rely on."""


class Unavailable(Exception):
    """The database can't take rows now (full disk, no connection); nothing of the job is stored, and it may be tried again."""


class Store:
    """A study's database.

    Args:
        where: A file's path, or `postgresql://...`; its password belongs into PGPASSFILE.
        create: Whether an absent database is made.

    Raises:
        InputError: It is no database of ours, of another schema, on a network file system, or can't be reached.
    """

    def __init__(self, where: str | os.PathLike[str], *, create: bool = False) -> None:
        self.url = _url(where)
        self.name = str(where) if self.sqlite else self.url.render_as_string(hide_password=True)
        if self.sqlite:
            _require_file(Path(str(self.url.database)), create=create)
        options: dict[str, Any] = {"pool_pre_ping": not self.sqlite}
        if self.sqlite:
            options["connect_args"] = {"timeout": WAIT_SECONDS, "check_same_thread": False}
        else:
            options["connect_args"] = {"connect_timeout": 5}
        try:
            self._engine = create_engine(self.url, **options)
        except (NoSuchModuleError, ImportError, ArgumentError) as error:
            raise InputError(
                f"The database {self.name} can't be used ({one_line(error)}), expected a file or a PostgreSQL URL with "
                "pip install '.[people]' done: mend that."
            ) from None
        if self.sqlite:
            event.listen(self._engine, "connect", _set_up_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        self._jobs: queue.SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._reload: Callable[[], None] = lambda: None
        self._server_lock: IO[str] | None = None
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
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction of this thread's own, committed at the end: for commands and stages, not for the server.

        Raises:
            Unavailable: The database can't take the rows; none is stored.
        """
        with _explained(), self._engine.connect().execution_options(writes=True) as connection, connection.begin():
            yield connection

    def serve(self, reload: Callable[[], None]) -> None:
        """Starts the writer of a server, of which an SQLite database has one at a time.

        Args:
            reload: Called in the writer after a transaction was rolled back, for what is remembered of the rows.

        Raises:
            InputError: Another server serves this database.
        """
        if self.sqlite:
            self._server_lock = _lock(Path(f"{self.url.database}.server.lock"), self.name)
        self._reload = reload
        self._thread = threading.Thread(target=self._write_all, name="writer", daemon=True)
        self._thread.start()

    def write(self, job: Callable[[Connection], Result]) -> Future[Result]:
        """Runs `job` in the writer's next transaction; its result comes after the commit.

        A job may run again, in a transaction of its own, where one beside it failed. The future raises `Unavailable` where the
        database can't take the rows.
        """
        future: Future[Result] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Writes what waits, and lets the database go."""
        if self._thread:
            self._jobs.put(None)
            self._thread.join()
            self._thread = None
        self._engine.dispose()
        if self._server_lock:
            self._server_lock.close()
            self._server_lock = None

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
            with contextlib.closing(sqlite3.connect(str(self.url.database), timeout=WAIT_SECONDS)) as source:
                with contextlib.closing(sqlite3.connect(beside)) as copy:
                    source.backup(copy)
            os.link(beside, target)
        finally:
            beside.unlink(missing_ok=True)

    def _adopt(self, create: bool) -> None:
        """Finds our tables of this schema, or makes them in an empty database."""
        with _explained():
            tables = set(inspect(self._engine).get_table_names())
        ours = set(schema.metadata.tables)
        if not tables and create:
            with self.writing() as connection:
                schema.metadata.create_all(connection)
                connection.execute(schema.about.insert().values(schema_version=schema.VERSION))
            return
        if "about" not in tables or not ours <= tables:
            found = ", ".join(sorted(tables)[:5]) or "no tables"
            raise InputError(
                f"The database {self.name} holds {found}, expected a study's tables: name the database of a study, or a new one."
            )
        with self.reading() as connection:
            version = connection.execute(select(schema.about.c.schema_version)).scalar()
        if version != schema.VERSION:
            raise InputError(
                f"The database {self.name} has schema {version}, expected {schema.VERSION}: use the version of pir_tf that wrote "
                "it, or export its rows with that one."
            )

    def _write_all(self) -> None:
        """The writer: takes what waits, up to `TOGETHER`, and commits it at once."""
        while True:
            first = self._jobs.get()
            batch = [] if first is None else [first]
            while first is not None and len(batch) < TOGETHER:
                try:
                    more = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    first = None
                else:
                    batch.append(more)
            if batch and not self._commit(batch) and len(batch) > 1:
                for job in batch:
                    self._commit([job])
            if first is None:
                return

    def _commit(self, batch: list[tuple[Callable[[Connection], Any], Future[Any]]]) -> bool:
        """One transaction of these jobs; their results are given out after it. A job that fails alone gets its error."""
        try:
            with self.writing() as connection:
                results = [job(connection) for job, _ in batch]
        except Exception as error:
            self._reload_after(error)
            if len(batch) == 1:
                with contextlib.suppress(InvalidStateError):
                    batch[0][1].set_exception(error)
            return False
        for (_, future), result in zip(batch, results, strict=True):
            with contextlib.suppress(InvalidStateError):  # nobody waits for it any more, but it is stored
                future.set_result(result)
        return True

    def _reload_after(self, error: Exception) -> None:
        with contextlib.suppress(Unavailable):
            self._reload()


def masked(where: str | os.PathLike[str]) -> str:
    """A database's name without a password in it, for whatever is printed or kept."""
    url = _url(where)
    return str(where) if url.get_backend_name() == "sqlite" else url.render_as_string(hide_password=True)


def _url(where: str | os.PathLike[str]) -> URL:
    text = os.fspath(where)
    if "://" not in text:
        if not text:
            raise InputError("The name of a database is empty: name a file or a postgresql:// URL.")
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(text)))
    try:
        url = make_url(text)
    except ArgumentError:
        raise InputError(
            "The database's URL can't be read, expected postgresql://USER@HOST/NAME: correct it."
        ) from None
    kind = url.get_backend_name()
    if kind not in ("postgresql", "postgres", "sqlite"):
        raise InputError(f"The database's URL begins with {kind}://, expected a file or postgresql://: change it.")
    if kind == "sqlite":
        return URL.create("sqlite", database=os.path.abspath(url.database or ""))
    return url.set(drivername="postgresql+psycopg")


def _require_file(path: Path, *, create: bool) -> None:
    """Refuses a file that SQLite can't keep safe, or that isn't there."""
    if not create and not path.exists():
        raise InputError(
            f"{path} is not there, expected a study's database: name the one that the study was begun with."
        )
    if path.is_dir():
        raise InputError(f"{path} is a folder, expected a study's database: name a file in it.")
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise InputError(f"{path} is another kind of file, expected a study's database: name another.")
    if create:
        path.parent.mkdir(parents=True, exist_ok=True)
    kind = file_system(path)
    if kind in NETWORK:
        raise InputError(
            f"{path} lies on a network file system ({kind}), where SQLite can lose answers, expected a disk of this machine: "
            "move it, or use PostgreSQL by postgresql://..."
        )


def file_system(path: Path, mounts: Path = Path("/proc/mounts")) -> str:
    """The kind of file system that `path` would lie on, empty where the machine doesn't tell."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    place, best, kind = os.path.realpath(path), "", ""
    for line in lines:
        words = line.split(" ")
        if len(words) < 3:
            continue
        at = words[1].replace("\\040", " ")
        if (place == at or place.startswith(at.rstrip("/") + "/")) and len(at) >= len(best):
            best, kind = at, words[2]
    return kind


def _lock(path: Path, name: str) -> IO[str]:
    """The lock that a server holds while it serves."""
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise InputError(
            f"Another server serves {name} already, expected one for an SQLite database: use its links, or stop it."
        ) from None
    return lock


def _set_up_sqlite(connection: Any, record: Any) -> None:
    """Transactions begin where we say, and a commit lasts. Source: SQLite's documentation of synchronous and WAL."""
    connection.isolation_level = None
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")
    version = sqlite3.sqlite_version_info
    mended = version >= (3, 51, 3) and version[:2] != (3, 52)
    connection.execute(f"PRAGMA journal_mode={'WAL' if mended else 'TRUNCATE'}")


def _begin_sqlite(connection: Connection) -> None:
    """A writer takes its lock at once: a reader that turned into one could only fail."""
    writes = connection.get_execution_options().get("writes")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """What the database refuses as `Unavailable`; our own mistakes in a statement keep their traceback."""
    try:
        yield
    except DBAPIError as error:
        if isinstance(error, sqlalchemy.exc.IntegrityError | sqlalchemy.exc.ProgrammingError):
            raise
        raise Unavailable(one_line(error.orig or error)) from error
    except SQLAlchemyError:
        raise
