"""A rating server as a process of its own, which may be killed and started again."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MAIN = """
import os, sys
from pir_tf.people.server import Server
server = Server(sys.argv[1], port=int(sys.argv[2]))
print(server.url, os.getpid(), flush=True)
server.run()
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
        before: Words of a command that runs it, such as strace's.
        first: Lines of Python run before it serves.
    """

    def __init__(self, where, *, before=(), first=""):
        self.where, self.before, self.first, self.port = str(where), list(before), first, free_port()
        self.start()

    def start(self):
        words = [*self.before, sys.executable, "-c", f"{self.first}\n{MAIN}", self.where, str(self.port)]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("http"), line
        self.pid = int(line.split()[1])  # of the server itself, not of what runs it

    def kill(self):
        """kill -9."""
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def end(self):
        """Asks it to end, and says how it did."""
        os.kill(self.pid, signal.SIGTERM)
        code = self.process.wait(20)
        self.process.stdout.close()
        return code

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
        if one.process.poll() is None:
            one.end()
