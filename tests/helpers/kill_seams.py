"""Moments inside a write at which a process can be killed: the system's file calls, wrapped in the child process alone.

The package knows nothing of it. Every call that opens a file of the run directory for writing, appends to one, synchronises,
renames or removes one is an event. The process counts its events and, at a chosen one, leaves what a kill would leave there
(a file that is opened and empty, half a file, half a row, a whole file under its temporary name) and dies by SIGKILL.
"""

from __future__ import annotations

import builtins
import io
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any


class Seams:
    """Counts the events of one process and kills it at one of them.

    Args:
        directory: files elsewhere are no events.
        victim: number of the event at which the process dies, the first being 1; 0 for none.
        log: where each event is written, a line each, so that the last line says where the process died.
    """

    def __init__(self, directory: Path, *, victim: int, log: Path) -> None:
        self._root, self._victim, self._log = f"{directory.resolve()}/", victim, log
        self._count = 0

    def install(self) -> None:
        """Wraps the file calls of this process for good."""
        builtins.open = io.open = self._opening(io.open)  # type: ignore[assignment]
        os.fsync = self._synchronising(os.fsync)  # type: ignore[assignment]
        for name in ("replace", "rename", "link"):
            setattr(os, name, self._renaming(name, getattr(os, name)))
        for name in ("unlink", "remove", "rmdir"):
            setattr(os, name, self._removing(name, getattr(os, name)))

    def _event(self, what: str, path: object, leave: Callable[[], object] = lambda: None) -> None:
        self._count += 1
        line = f"{what} {os.fsdecode(path)[len(self._root) :]}\n"  # type: ignore[arg-type]
        handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, line.encode())
        os.close(handle)
        if self._count == self._victim:
            leave()
            os.kill(os.getpid(), signal.SIGKILL)

    def _ours(self, path: object) -> bool:
        return isinstance(path, str | bytes | os.PathLike) and os.path.abspath(os.fsdecode(path)).startswith(self._root)

    def _opening(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def opening(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            handle = real(file, mode, *rest, **options)
            if self._ours(file) and set(mode) & set("wax+"):
                path = os.path.abspath(os.fsdecode(file))
                self._event("opened", path)
                if "a" in mode:
                    self._half_rows(handle, path)
            return handle

        return opening

    def _half_rows(self, handle: Any, path: str) -> None:
        write = handle.write

        def half(text: str) -> int:
            self._event("half a row in", path, lambda: (write(text[: len(text) // 2]), handle.flush()))
            return write(text)

        handle.write = half

    def _synchronising(self, real: Callable[[int], None]) -> Callable[[int], None]:
        def synchronising(handle: int) -> None:
            path = os.readlink(f"/proc/self/fd/{handle}")
            if self._ours(path) and os.path.isfile(path):
                self._event("half of", path, lambda: os.truncate(path, os.path.getsize(path) // 2))
            real(handle)

        return synchronising

    def _renaming(self, name: str, real: Callable[..., None]) -> Callable[..., None]:
        def renaming(source: Any, target: Any, **options: Any) -> None:
            ours = self._ours(target)
            if ours:
                self._event(f"before the {name} to", os.path.abspath(os.fsdecode(target)))
            real(source, target, **options)
            if ours:
                self._event(f"after the {name} to", os.path.abspath(os.fsdecode(target)))

        return renaming

    def _removing(self, name: str, real: Callable[..., None]) -> Callable[..., None]:
        def removing(path: Any, **options: Any) -> None:
            if self._ours(path) and os.path.lexists(path):
                self._event(f"before the {name} of", os.path.abspath(os.fsdecode(path)))
            real(path, **options)

        return removing
