"""Where a study's database may lie: a file on a disk of this machine, or PostgreSQL by its URL."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import IO

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from pir_tf.errors import InputError

NETWORK = (
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p", "afs", "ceph", "fuse.ceph"),
    *("glusterfs", "fuse.glusterfs", "lustre", "beegfs", "fuse.s3fs", "fuse.rclone", "fuse.gcsfuse"),
)
"""File systems whose locks SQLite can't rely on."""


def masked(where: str | os.PathLike[str]) -> str:
    """A database's name without a password in it, for whatever is printed or kept."""
    url = url_of(where)
    return os.fspath(where) if url.get_backend_name() == "sqlite" else without_password(url)


def without_password(url: URL) -> str:
    """The URL with its password as stars, and without one among its options."""
    named = [name for name in url.query if "pass" in name.lower()]
    return url.difference_update_query(named).render_as_string(hide_password=True)


def url_of(where: str | os.PathLike[str]) -> URL:
    """The URL of a file's path, or of a PostgreSQL database.

    Raises:
        InputError: It is neither.
    """
    text = os.fspath(where)
    if "://" not in text:
        if not text or "\0" in text:
            raise InputError("The name of a database is empty or has a zero byte: name a file or a postgresql:// URL.")
        return URL.create("sqlite", database=os.path.abspath(os.path.expanduser(text)))
    try:
        url = make_url(text)
        kind = url.drivername.partition("+")[0]
    except (ArgumentError, ValueError):
        raise InputError(
            "The database's URL can't be read, expected postgresql://USER@HOST/NAME: correct it."
        ) from None
    if kind not in ("postgresql", "postgres", "sqlite"):
        raise InputError(f"The database's URL begins with {kind}://, expected a file or postgresql://: change it.")
    if kind == "sqlite":
        if not url.database or url.database == ":memory:":
            raise InputError("The database's URL names no file, expected sqlite:///PATH or a path: name one.")
        return URL.create("sqlite", database=os.path.abspath(url.database))
    return url.set(drivername="postgresql+psycopg")


def make_private(path: Path) -> None:
    """Makes a file that its owner alone may read, as tokens and people's ids are in it; one that is there stays as it is."""
    with contextlib.suppress(OSError):  # there already, or nowhere to be made, as who opens it will say
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def require_file(path: Path, *, create: bool) -> None:
    """Refuses a place that SQLite can't keep safe, or where no study is.

    The file itself isn't opened here: closing it would drop the locks that SQLite holds on it elsewhere in this process.
    Source: sqlite.org/howtocorrupt.html, section 2.2.
    """
    try:
        if create:
            path.parent.mkdir(parents=True, exist_ok=True)
        there = os.path.exists(path)
        if not there and not create:
            raise InputError(
                f"{path} is not there, expected a study's database: name the one that the study was begun with."
            )
        if path.is_dir():
            raise InputError(f"{path} is a folder, expected a study's database: name a file in it.")
        if there and not path.is_file():
            raise InputError(f"{path} is no ordinary file, expected a study's database: name another.")
        if there and not os.access(path, os.R_OK):
            raise InputError(f"{path} can't be read, expected a study's database: change who may, or name another.")
    except OSError as error:
        raise InputError(
            f"{path} can't be used ({error.strerror}), expected a place for a study's database: name another."
        ) from None
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


SERVED = "Another server serves"
"""How a refusal begins where a database has its one server."""


class Taken(InputError):
    """Another server has what this one needs: its port, or the database."""


def file_lock(path: Path, name: str) -> IO[str]:
    """The lock that a server holds while it serves."""
    try:
        lock = path.open("a")
    except OSError as error:
        raise InputError(
            f"{path} can't be written ({error.strerror}), expected a folder that a server may write to: change who may."
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Taken(f"{SERVED} {name} already, expected one for a database: use its links, or stop it.") from None
    return lock
