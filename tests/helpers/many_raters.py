"""Many raters in one process who answer over HTTP and send again what wasn't acknowledged, and a line that is cut at times."""

import asyncio
import json
import uuid


class Line:
    """One rater's connection: opened again when it was cut."""

    def __init__(self, port, cookie=""):
        self.port, self.cookie, self.writer = port, cookie, None

    async def ask(self, method, path, value=None):
        """(status, body) of a request; ConnectionError where the line was cut."""
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        data = b"" if value is None else json.dumps(value).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {self.cookie}\r\nContent-Length: {len(data)}\r\n\r\n"
        try:
            self.writer.write(head.encode() + data)
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            body = await self.reader.readexactly(int(fields.get("content-length", 0)))
        except (OSError, EOFError) as error:
            self.close()
            raise ConnectionError from error
        for line in head.split("\r\n"):
            if line.lower().startswith("set-cookie: "):
                self.cookie = "; ".join(filter(None, (self.cookie, line.partition(": ")[2].partition(";")[0])))
        return int(head.split(" ", 2)[1]), body

    async def insist(self, method, path, value=None):
        """The body of a reply with status 2xx, however often it takes."""
        while True:
            try:
                status, body = await self.ask(method, path, value)
            except (ConnectionError, OSError):
                await asyncio.sleep(0.02)
                continue
            if status in (429, 503):
                await asyncio.sleep(0.05)
                continue
            assert 200 <= status < 300, (status, body)
            return body

    def close(self):
        if self.writer is not None:
            self.writer.close()
            self.writer = None


async def join(port, path):
    """A rater's line, who has agreed."""
    line = Line(port)
    await line.insist("GET", path)
    await line.insist("POST", "/api/consent", {})
    return line


def two(slot, value, page="p" * 36):
    """What a page sends for one answer: seen, and liked or not."""
    shared = {"place": slot["place"], "page": page}
    return [
        {**shared, "uuid": str(uuid.uuid4()), "kind": "visible", "value": None, "at": 1.5},
        {**shared, "uuid": str(uuid.uuid4()), "kind": "like", "value": value, "at": 1001.5},
    ]


class Cutter:
    """A way to a port on which connections are cut: after the request went on and before its reply comes back, or sooner."""

    def __init__(self, to, rng, after=0.03, before=0.01):
        self.to, self.rng, self.after, self.before, self.cuts = to, rng, after, before, 0

    async def __aenter__(self):
        self.server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()

    async def _pass(self, reader, writer):
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.close()
            return
        ways = [
            asyncio.ensure_future(self._pump(reader, back, self.before)),
            asyncio.ensure_future(self._pump(there, writer, self.after)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for one in ways:
            one.cancel()
        for one in (back, writer):
            one.close()

    async def _pump(self, reader, writer, chance):
        try:
            while data := await reader.read(65536):
                if self.rng.random() < chance:
                    self.cuts += 1
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            return
