"""A rating server as a process of its own, a fork of one that has imported everything, which may be killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORKING = """
import os, sys, traceback
import sqlalchemy.dialects.sqlite, uvicorn
from pir_tf.people import routes, server
while os.read(0, 1):  # for each byte a server; after it how it ended
    child = os.fork()
    if not child:
        code = 1
        try:
            one = server.Server(sys.argv[1], port=int(sys.argv[2]))
            print(one.url, os.getpid(), flush=True)
            one.run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """A server process on one port.

    Args:
        where: The database.
        before: Words of a command that runs all of it, such as strace's.
        first: Lines of Python run before it serves.
    """

    def __init__(self, where, *, before=(), first=""):
        self.where, self.port = str(where), free_port()
        words = [*before, sys.executable, "-c", f"{first}\n{FORKING}", self.where, str(self.port)]
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout")}
        self.forking = subprocess.Popen(words, cwd=ROOT, text=True, **pipes)
        self.start()

    def start(self):
        self._tell(".")
        line = self.forking.stdout.readline()
        assert line.startswith("http"), line
        self.pid = int(line.split()[1])

    def _tell(self, text):
        self.forking.stdin.write(text)
        self.forking.stdin.flush()

    def kill(self):
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)
        return self._ended()

    def end(self):
        """Asks it to end, and says how it did; it starts no more."""
        try:
            os.kill(self.pid, signal.SIGTERM)
            return self._ended()
        finally:
            self.forking.communicate(timeout=120)

    def _ended(self):
        return int(self.forking.stdout.readline())

    def links(self):
        """As a server's own."""
        from sqlalchemy import select

        from pir_tf.people import schema
        from pir_tf.people.store import Store

        store = Store(self.where)
        with store.reading() as connection:
            rows = connection.execute(select(schema.studies)).mappings().all()
        store.close()
        url = f"http://127.0.0.1:{self.port}"
        return [(row["name"], f"{url}/join/{row['join_token']}", f"{url}/owner/{row['owner_token']}") for row in rows]


@contextlib.contextmanager
def process(where, **options):
    """A server process, ended at the end."""
    one = Process(where, **options)
    try:
        yield one
    finally:
        one.end()
