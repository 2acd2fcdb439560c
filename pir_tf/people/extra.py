"""The packages that a study with people needs, which an installation without the extra `people` lacks."""

from __future__ import annotations

import importlib.util

from pir_tf.errors import InputError

PACKAGES = ("sqlalchemy", "fastapi", "uvicorn")


def require_extra() -> None:
    """Refuses to go on without them, before anything else of a study is begun.

    Raises:
        InputError: One isn't installed.
    """
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise InputError(
            f"Studies with people need {', '.join(missing)}, which this installation lacks: pip install '.[people]'."
        )
