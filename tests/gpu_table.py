"""gpu_table.py OUT: the table that ends `gpu.sh`: every case in every form, and what peers said."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def lines(out: Path) -> list[str]:
    """A line for each form of each case, file by file, of `pir-tf bench` too; then the peers'. A cut file is named as such."""
    found = []
    for path in sorted(out.glob("*.json")):
        try:
            found += _of_file(path.stem, json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            found.append(f"{path.stem}: can't be read ({type(error).__name__}: {error})")
    for path in sorted(out.glob("peer-*.txt")):
        found.append(f"{path.stem}: {['nothing', *path.read_text(encoding='utf-8').splitlines()][-1]}")
    return found


def _of_file(name: str, facts: dict[str, Any]) -> list[str]:
    about, rates = facts["machine"], ", ".join(f"{name} {rate / 1e12:.0f}" for name, rate in facts["rates"].items())
    device = ", ".join(about["gpus"]) or about["processor"]
    versions = f"TensorFlow {about['tensorflow']}, Keras {about['keras']}, Python {about['python']}"
    found = [f"{name}: {device}, {versions}, {about.get('flags', '')}", f"  TFLOP/s: {rates}"]
    found += [f"  {row['case']:<46}{row['form']:<18}{_said(row)}" for row in facts["rows"]]
    for peer in facts.get("peers", []):
        ours, theirs = (1e3 * min(peer[which]) for which in ("ours_s", "peer_s"))
        found.append(f"  {peer['case']:<46}{'peer':<18}{theirs:8.2f} ms beside our {ours:.2f}: {peer['command']}")
    return found


def _said(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"failed: {row['failed'][:100]}"
    said = f"{1e3 * row['median_s']:8.2f} ms, least {1e3 * row['min_s']:.2f}"
    if "in_fit_s" in row:
        said += f", in fit {1e3 * row['in_fit_s']:.2f}"
    said += f", {row['share_of_limit']:.0%} of the limit"
    if "first_s" in row:
        said += f", first after {row['first_s']:.0f} s"
    return said + "".join(
        f", {name} {row['logs'][name]:.5f}" for name in ("L_PIR", "loss") if name in row.get("logs", {})
    )


if __name__ == "__main__":
    print("\n".join(lines(Path(sys.argv[1]))))
