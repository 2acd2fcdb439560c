"""Figures for tests that look at other things: drawn without layout and in few pixels, or not drawn at all.

`replace` is `setattr`, or that of pytest's monkeypatch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any


def coarsely(replace: Callable[[Any, str, Any], None]) -> None:
    """Figures of 30 pixels an inch, which show all that they would, less in its place."""
    from pir_tf.report import style
    from pir_tf.runs.directory import atomic

    def save_coarsely(figure: Any, path: Path) -> None:
        figure.set(layout_engine="none")
        with atomic(path) as beside:
            figure.savefig(beside, format="png", dpi=30, metadata={"Software": None})

    replace(style, "save", save_coarsely)


def emptily(replace: Callable[[Any, str, Any], None]) -> None:
    """Files of one pixel."""
    from PIL import Image

    from pir_tf.report import style
    from pir_tf.runs.directory import atomic

    def save_nothing(figure: Any, path: Path) -> None:
        with atomic(path) as beside:
            Image.new("L", (1, 1)).save(beside, format="PNG")

    replace(style, "save", save_nothing)
