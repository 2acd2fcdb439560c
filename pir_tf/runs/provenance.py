"""What makes a run: versions, commit, machine and time, and with what others it went on later.

`config.json` holds it for the first process of a run, and in its list `continued` for each later one of another commit or
other versions.
"""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from pir_tf.errors import differences

_PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pandas", "tensorflow-hub", "tensorflow-datasets")


def provenance() -> dict[str, Any]:
    """Versions, commit (None when unknown), machine and time of a run; GPUs by name where TensorFlow is loaded anyway."""
    found = {"python": platform.python_version(), "pir_tf": _version("pir_tf")}
    found.update({name: _version(name) for name in _PACKAGES})
    machine: dict[str, Any] = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
    if tf := sys.modules.get("tensorflow"):
        about = map(tf.config.experimental.get_device_details, tf.config.list_physical_devices("GPU"))
        machine["gpus"] = [details.get("device_name", "unknown") for details in about]
    return {"versions": found, "commit": package_commit(), "hardware": machine, "started": now()}


def changes(about: dict[str, Any], made_by: dict[str, Any]) -> str:
    """In what commit and versions differ from those that a run's `config.json` noted last; empty where they are equal."""
    there, here = (_compared(facts) for facts in (_openings(about)[-1], made_by))
    return differences(there, here, [name for name in {**there, **here} if there.get(name) != here.get(name)])


def commits(about: dict[str, Any], length: int | None = None) -> str:
    """The commits that made a run, in their order, cut to so many characters each; empty where none is known."""
    return _in_order([(opening.get("commit") or "")[:length] for opening in _openings(about)], "unknown")


def versions(about: dict[str, Any]) -> dict[str, str]:
    """The versions that made a run, by package, in their order; empty where a package wasn't installed."""
    held = [opening.get("versions") or {} for opening in _openings(about)]
    names = dict.fromkeys(name for some in held for name in some)
    return {name: _in_order([some.get(name) or "" for some in held], "none") for name in names}


def now() -> str:
    """The time, to the second, with its zone."""
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _openings(about: dict[str, Any]) -> list[dict[str, Any]]:
    """What `config.json` says of the first process of a run and of those that went on with other versions."""
    return [about, *about.get("continued", [])]


def _in_order(values: list[str], unknown: str) -> str:
    changed = [value for i, value in enumerate(values) if i == 0 or value != values[i - 1]]
    return " then ".join(value or unknown for value in changed) if any(values) else ""


def _compared(facts: dict[str, Any]) -> dict[str, Any]:
    return {"commit": facts.get("commit"), **(facts.get("versions") or {})}


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def package_commit() -> str | None:
    """The commit whose `pir_tf/` tree holds exactly the running package's source files, or None.

    Looked for in the work tree around the package, in the one that it was installed from, and in what pip noted where it
    installed the package from a repository; a changed, missing or added file makes it None.
    """
    package = Path(__file__).resolve().parents[1]
    running = {path.relative_to(package.parent).as_posix(): _blob(path) for path in package.rglob("*.py")}
    installed = _installation()
    origin = _origin(installed)
    url = urlparse(origin.get("url", ""))
    for tree in (package.parent, Path(unquote(url.path)) if url.scheme == "file" else None):
        if tree is not None and _committed_blobs(tree) == running:
            return _git(tree, "rev-parse", "HEAD")
    noted = origin.get("vcs_info", {}).get("commit_id")
    return noted if noted and _as_installed(installed, package) else None


def _committed_blobs(tree: Path) -> dict[str, str]:
    """Git's object name of each committed source file under `pir_tf/`."""
    listing = _git(tree, "ls-tree", "-r", "HEAD", "--full-tree", "pir_tf/") or ""
    rows = [line.split(maxsplit=3) for line in listing.splitlines()]
    return {name: blob for _, _, blob, name in rows if name.endswith(".py")}


def _blob(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _installation() -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution("pir_tf")
    except importlib.metadata.PackageNotFoundError:
        return None


def _origin(installed: importlib.metadata.Distribution | None) -> dict[str, Any]:
    """What pip noted of the folder or repository that it installed from; nothing where it was a package index."""
    text = installed.read_text("direct_url.json") if installed else None
    return json.loads(text) if text else {}


def _as_installed(installed: importlib.metadata.Distribution | None, package: Path) -> bool:
    """Whether the source files are those that pip wrote."""
    files = (installed and installed.files) or []
    written = {
        Path(str(file.locate())).resolve(): file.hash and file.hash.value for file in files if file.suffix == ".py"
    }
    return {path: _recorded(path) for path in package.rglob("*.py")} == {
        path: value for path, value in written.items() if package in path.parents
    }


def _recorded(path: Path) -> str:
    """A file's digest as pip writes it."""
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def _git(tree: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(tree), *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
