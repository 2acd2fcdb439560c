"""How fast a server process takes answers: `python tests/people/load.py [DATABASE] [--raters 20] [--seconds 10] [--images]`.

Raters answer as fast as they can, each by one POST of two events (visible, like) that asks for four slots ahead. Prints answers a
second, the time from POST to reply, how long the server took to start, and how long the disk itself takes to sync a page.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "helpers")]

import numpy as np  # noqa: E402
import people_process  # noqa: E402
import studies  # noqa: E402


async def ask(reader, writer, method, path, cookie, value=None):
    """(head, body) of a request on an open connection."""
    data = b"" if value is None else json.dumps(value).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
    return head, await reader.readexactly(length)


async def rate(port, link, until, times, images):
    """One rater, until the time is over."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head, _ = await ask(reader, writer, "GET", "/" + link.split("/", 3)[3], "")
    cookie = head.decode().lower().partition("set-cookie: ")[2].partition(";")[0]
    cookie = head.decode()[head.decode().lower().index(cookie) :][: len(cookie)]
    await ask(reader, writer, "POST", "/api/consent", cookie, {})
    waiting = json.loads((await ask(reader, writer, "POST", "/api/events", cookie, {"ahead": 4}))[1])["slots"]
    while time.perf_counter() < until and waiting:
        slot = waiting[0]
        for image in slot["images"] if images else []:
            await ask(reader, writer, "GET", image["src"], cookie)
        two = [
            {
                "uuid": str(uuid.uuid4()),
                "place": slot["place"],
                "kind": kind,
                "value": value,
                "at": 1.5,
                "page": "p" * 36,
            }
            for kind, value in (("visible", None), ("like", 1))
        ]
        begun = time.perf_counter()
        head, body = await ask(reader, writer, "POST", "/api/events", cookie, {"events": two, "ahead": 4})
        if b" 429 " in head:
            raise SystemExit("The limit of the server was met: lift it for the measurement.")
        times.append(time.perf_counter() - begun)
        found = json.loads(body)
        assert len(found["stored"]) == 2, found
        waiting = found["slots"]
    writer.close()


def sync_seconds(folder, count=50):
    """The middle of so many times to write and sync a page."""
    took = []
    with open(folder / "sync", "wb") as file:
        for _ in range(count):
            begun = time.perf_counter()
            file.write(os.urandom(4096))
            file.flush()
            os.fsync(file.fileno())
            took.append(time.perf_counter() - begun)
    return float(np.median(took))


def computed(pid):
    """Seconds that a process has computed."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


LIFTED = "from pir_tf.people import sessions; sessions.Limit.wait = lambda self, name, cost=1.0: 0.0"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("database", nargs="?", default="")
    parser.add_argument("--raters", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--images", action="store_true", help="fetch each picture too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        where = asked.database or folder / "study.db"
        studies.begin(where, images=2000, answers_per_rater=10**6)
        begun = time.perf_counter()
        with people_process.process(where, first=LIFTED) as server:
            started = time.perf_counter() - begun
            link = server.links()[0][1]
            times = []

            async def all_of_them():
                until = time.perf_counter() + asked.seconds
                await asyncio.gather(
                    *(rate(server.port, link, until, times, asked.images) for _ in range(asked.raters))
                )

            before, begun = computed(server.pid), time.perf_counter()
            asyncio.run(all_of_them())
            took = time.perf_counter() - begun
            cost = (computed(server.pid) - before) / len(times)
        p50, p95, p99 = np.percentile(times, [50, 95, 99]) * 1000
        print(f"{len(times) / took:.0f} answers/s of {asked.raters} raters")
        print(
            f"POST to reply: p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms; {1000 * cost:.2f} ms of the server's computing"
        )
        print(f"start {started:.2f} s; the disk syncs a page in {1000 * sync_seconds(folder):.2f} ms")


if __name__ == "__main__":
    main()
