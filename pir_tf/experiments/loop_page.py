"""The rating page of a loop, in a process of its own that ends with the loop and is opened again where it has died."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from pir_tf.commands import end_with_parent
from pir_tf.errors import InputError
from pir_tf.experiments.study_command import OPEN_TO_OTHERS, UP

UP_SECONDS = 120.0
"""How long a page may take to come up, on a machine that has much else to do."""


def private(path: str, flags: int) -> int:
    """Opens a file, which its owner alone may read where it is new."""
    return os.open(path, flags, 0o600)


@contextlib.contextmanager
def served(loop: Any, given: argparse.Namespace, store: Any) -> Iterator[tuple[Callable[[], None], str]]:
    """The rating page in a process of its own, with the links printed.

    Yields:
        What opens the page again where it has ended, and the links in words.
    """
    from pir_tf.people import pools
    from pir_tf.people.server import free_port, is_open_to_others, raters_url

    given.port = given.port or loop.port or free_port(given.host)
    if loop.port != given.port:
        loop.port = given.port
        loop.save()
    words = [
        sys.executable,
        "-m",
        "pir_tf.experiments.study_command",
        "serve",
        loop.database,
        "--host",
        given.host,
        "--port",
        str(given.port),
    ]
    words += ["--with-parent", *(["--public-url", given.public_url] if given.public_url else [])]
    url = raters_url(given.host, given.port, given.public_url)
    pages: list[subprocess.Popen[bytes]] = []

    def open_page() -> None:
        with open(loop.path / "page.log", "a", opener=private) as log:  # your link is in it
            begin = log.tell()
            own: dict[str, Any] = {"preexec_fn": end_with_parent(), "start_new_session": True}
            pages.append(subprocess.Popen(words, stdout=log, stderr=log, **own))
        _wait_until_up(pages[-1], loop, begin)

    def look() -> None:
        if pages[-1].poll() is not None:
            print(f"The rating page has ended, as {loop.path / 'page.log'} may say; it is opened again.", flush=True)
            open_page()

    try:
        open_page()
        with store.reading() as connection:
            row = pools.require(connection, loop.study)
        links = f"For raters: {url}/join/{row['join_token']}\nFor you:    {url}/owner/{row['owner_token']}"
        print(links, flush=True)
        if is_open_to_others(given.host):
            print(OPEN_TO_OTHERS, flush=True)
        yield look, links
    finally:
        for server in pages[-1:]:
            server.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(10)


def _wait_until_up(server: subprocess.Popen[bytes], loop: Any, begin: int) -> None:
    """Until the page says so in its log after `begin`: one that is still ending would answer at the same address."""
    from pir_tf.people.places import SERVED

    until = time.monotonic() + UP_SECONDS
    while time.monotonic() < until:
        ended = server.poll() is not None
        lines = (loop.path / "page.log").read_bytes()[begin:].decode(errors="replace").strip().splitlines()
        if UP in lines:
            return
        if ended:
            said = lines[-1].removeprefix("Error: ") if lines else "it said nothing."
            if SERVED in said:
                said = f"{SERVED} {loop.database}, and a loop opens its own: stop that one, and give the same command again."
            raise InputError(f"The rating page could not be opened: {said}")
        time.sleep(0.1)
    raise InputError(f"The rating page is not up after {UP_SECONDS:g} seconds: see {loop.path / 'page.log'}.")
