"""A PostgreSQL server of the tests' own, on a free port, under its own user; or the one that PIR_TF_TEST_POSTGRES names."""

import contextlib
import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg
from people_process import free_port


def binaries():
    """The folder of PostgreSQL's programs, empty where there is none. Debian keeps them out of PATH."""
    found = shutil.which("initdb")
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin")) + ([os.path.dirname(found)] if found else [])
    return folders[0] if folders else ""


class Postgres:
    """A running server, which may be killed and started again; `reason` says why there is none."""

    def __init__(self):
        self.folder = None
        self.given = os.environ.get("PIR_TF_TEST_POSTGRES", "")
        self.reason = ""
        if self.given:
            return
        self.bin = binaries()
        if not self.bin:
            self.reason = "needs PostgreSQL (Debian's package postgresql), or its URL in PIR_TF_TEST_POSTGRES"
            return
        self.as_user = {}
        if os.geteuid() == 0:  # it doesn't run as root
            names = {entry.pw_name for entry in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self.as_user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.folder = Path(tempfile.mkdtemp(prefix="pir-postgres-"))
        if self.as_user:
            os.chown(self.folder, self.as_user["user"], self.as_user["group"])
        self.port = free_port()
        self._do("initdb", "-D", self.folder / "data", "-U", "tester", "-A", "trust", "--no-sync", "-E", "UTF8")
        self.start()

    def _do(self, program, *words):
        done = subprocess.run(
            [f"{self.bin}/{program}", *map(str, words)], cwd=self.folder, capture_output=True, text=True, **self.as_user
        )
        assert done.returncode == 0, done.stderr

    def start(self):
        """Starts it, and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c shared_buffers=16MB"
        words = ["-D", self.folder / "data", "-l", self.folder / "log", "-w", "-t", "60", "-o", options]
        done = subprocess.run(
            [f"{self.bin}/pg_ctl", "start", *map(str, words)],
            **{"cwd": self.folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **self.as_user},
        )
        assert done.returncode == 0, (self.folder / "log").read_text()

    def kill(self):
        """kill -9 of the server and all that it started."""
        pid = int((self.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGSTOP)  # or it starts one that isn't listed
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in [pid, *map(int, children)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        while any(os.path.exists(f"/proc/{one}") and not _ended(one) for one in [pid, *map(int, children)]):
            time.sleep(0.01)
        (self.folder / "data/postmaster.pid").unlink(missing_ok=True)

    def new(self):
        """The URL of a new, empty database."""
        base = self.given or f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        name = f"pir_{uuid.uuid4().hex[:12]}"
        with self._connected(base) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        head, _, query = base.partition("?")
        return head.rpartition("/")[0] + "/" + name + ("?" + query if query else "")

    def _connected(self, url):
        """A connection; a server of our own that recovers is waited for, and one that doesn't is quoted."""
        until = time.monotonic() + 60
        while True:
            try:
                return psycopg.connect(url, autocommit=True)
            except psycopg.OperationalError as error:
                if self.given:
                    raise
                if time.monotonic() > until:
                    raise AssertionError(f"{error}\n{(self.folder / 'log').read_text()[-3000:]}") from error
                time.sleep(0.2)

    def close(self):
        """Ends it and removes its files."""
        if self.folder:
            with contextlib.suppress(Exception):
                self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)


def _ended(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
