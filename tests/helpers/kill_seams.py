"""Moments inside a write at which a process can be killed: the system's file calls, wrapped in the child process alone.

The package knows nothing of it. Every call that opens a file of the run directory for writing, appends to one, synchronises,
renames or removes one is an event. The process counts its events and, at a chosen one, leaves what a kill would leave there
(a file that is opened and empty, half a file, half a row, a whole file under its temporary name) and dies by SIGKILL.
"""

import builtins
import io
import os
import signal


class Seams:
    """Counts the events of one process and kills it at one of them.

    Args:
        directory: files elsewhere are no events.
        victim: number of the event at which the process dies, the first being 1; 0 for none.
        log: where each event is written, a line each, so that the last line says where the process died.
    """

    def __init__(self, directory, *, victim, log):
        self._root, self._victim, self._log, self._count = f"{directory.resolve()}/", victim, log, 0

    def install(self):
        """Wraps the file calls of this process for good."""
        builtins.open = io.open = self._opening(io.open)
        os.fsync = self._synchronising(os.fsync)
        for name in ("replace", "rename", "link", "unlink", "remove", "rmdir"):
            setattr(os, name, self._changing(name, getattr(os, name)))

    def _event(self, what, path, leave=lambda: None):
        self._count += 1
        handle = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, f"{what} {path[len(self._root) :]}\n".encode())
        os.close(handle)
        if self._count == self._victim:
            leave()
            os.kill(os.getpid(), signal.SIGKILL)

    def _ours(self, path):
        """The absolute path of a file in the directory, None for any other."""
        path = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
        return path if path.startswith(self._root) else None

    def _opening(self, real):
        def opening(file, mode="r", *rest, **options):
            handle, path = real(file, mode, *rest, **options), self._ours(file)
            if path and set(mode) & set("wax+"):
                self._event("opened", path)
                if "a" in mode:
                    self._half_rows(handle, path)
            return handle

        return opening

    def _half_rows(self, handle, path):
        write = handle.write

        def half(text):
            self._event("half a row in", path, lambda: (write(text[: len(text) // 2]), handle.flush()))
            return write(text)

        handle.write = half

    def _synchronising(self, real):
        def synchronising(handle):
            path = self._ours(os.readlink(f"/proc/self/fd/{handle}"))
            if path and os.path.isfile(path):
                self._event("half of", path, lambda: os.truncate(path, os.path.getsize(path) // 2))
            real(handle)

        return synchronising

    def _changing(self, name, real):
        """Of two names the event is that of the second; a file that isn't there can't be removed."""

        def changing(*names, **options):
            path = self._ours(names[-1])
            path = path if len(names) == 2 or (path and os.path.lexists(path)) else None
            if path:
                self._event(f"before the {name} of", path)
            real(*names, **options)
            if path and len(names) == 2:
                self._event(f"after the {name} of", path)

        return changing
