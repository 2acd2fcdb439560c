"""Stage `report`: the page and the figures of this run."""

from __future__ import annotations

from typing import Any

from pir_tf.report.page import write_report
from pir_tf.runs.directory import RunDirectory


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `report/index.html` and `report/*.png`."""
    write_report(run.path)
    return {}
