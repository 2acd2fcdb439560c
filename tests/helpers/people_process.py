"""A rating server as a process of its own: `python people_process.py DATABASE PORT`. Says where it listens, and serves."""

import contextlib
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parents[2]


def free_port():
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Process:
    """A server process on one port, which may be killed and started again.

    Args:
        where: The database.
        before: Words of a command that runs it, such as strace's.
        first: Lines of Python run before it serves.
    """

    def __init__(self, where, *, before=(), first="", port=0):
        self.where, self.before, self.first = str(where), list(before), first
        self.port = port or free_port()
        self.process = None
        self.start()

    def start(self):
        code = f"{self.first}\nimport sys; sys.argv[1:] = [{self.where!r}, {str(self.port)!r}]\n{MAIN}"
        words = [*self.before, sys.executable, "-c", code]
        self.process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line.startswith("http"), line

    def kill(self):
        """kill -9."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def end(self):
        """Asks it to end."""
        self.process.terminate()
        self.process.wait(20)
        self.process.stdout.close()

    def links(self):
        from pir_tf.people.server import links

        return links(self.where, f"http://127.0.0.1:{self.port}")


MAIN = """
from pir_tf.people.server import Server
server = Server(sys.argv[1], port=int(sys.argv[2]))
print(server.url, flush=True)
server.run()
"""


@contextlib.contextmanager
def process(where, **options):
    """A server process, ended at the end."""
    one = Process(where, **options)
    try:
        yield one
    finally:
        if one.process.poll() is None:
            one.end()


if __name__ == "__main__":
    exec(MAIN)
