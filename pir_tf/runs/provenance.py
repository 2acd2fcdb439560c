"""What makes a run: versions, commit, machine and time, and with what others it went on later.

`config.json` holds it for the first process of a run, and in its list `continued` for each later one of another commit or
other versions.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
import time
from typing import Any

from pir_tf.errors import differences
from pir_tf.runs.commit import package_commit

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
