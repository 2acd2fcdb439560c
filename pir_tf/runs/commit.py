"""Which commit the running code is: found by its content, so that it is never wrong, only unknown."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
from pathlib import Path
from urllib.parse import unquote, urlparse


def package_commit() -> str | None:
    """The commit whose `pir_tf/` tree holds exactly the running package's source files, or None.

    Looked for in the work tree around the package and in the one that it was installed from; a changed, missing or added
    file makes it None.
    """
    package = Path(__file__).resolve().parents[1]
    running = {path.relative_to(package.parent).as_posix(): _blob(path) for path in package.rglob("*.py")}
    for tree in (package.parent, _installed_from()):
        if tree is None:
            continue
        if _committed_blobs(tree) == running:
            return _git(tree, "rev-parse", "HEAD")
    return None


def _committed_blobs(tree: Path) -> dict[str, str]:
    """Git's object name of each committed source file under `pir_tf/`."""
    listing = _git(tree, "ls-tree", "-r", "HEAD", "--full-tree", "pir_tf/") or ""
    rows = [line.split(maxsplit=3) for line in listing.splitlines()]
    return {name: blob for _, _, blob, name in rows if name.endswith(".py")}


def _blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _installed_from() -> Path | None:
    try:
        text = importlib.metadata.distribution("pir_tf").read_text("direct_url.json")
    except importlib.metadata.PackageNotFoundError:
        return None
    url = urlparse(json.loads(text).get("url", "")) if text else None
    return Path(unquote(url.path)) if url and url.scheme == "file" else None


def _git(tree: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(tree), *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
