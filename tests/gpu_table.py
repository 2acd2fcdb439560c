"""gpu_table.py OUT RUNS: the table that ends `gpu.sh`: every case in every form, and how long the paper's settings would take by
the short run. A file that was cut off has the rows that it has."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

PAPER_STEPS = {"estimator": 25_000, "tuning": 50_000}


def bench_lines(out: Path) -> list[str]:
    """A line for each form of each case that was timed."""
    lines = []
    for path in sorted(out.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        about = facts["machine"]
        devices = ", ".join(about["gpus"]) or about["processor"]
        cut_off = ", not all of it" if path.stem.endswith(".part") else ""
        title = f"{path.stem.removesuffix('.part')}{cut_off}: {devices}, TensorFlow {about['tensorflow']}"
        lines += ["", f"{title}, deterministic {about['deterministic']}"]
        if facts.get("host"):
            said = ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in facts["host"].items())
            lines.append(f"  the smallest step, on the host: {said}")
        lines += [f"  {row['case']:<44}{row['form']:<28}{_said(row)}" for row in facts["rows"]]
        for peer in facts.get("peers", []):
            ours, theirs = (1e3 * sorted(peer[name])[len(peer[name]) // 2] for name in ("ours_s", "peer_s"))
            form = "eager" if not peer["command"].endswith("compile") else "compiled"
            ratio = f"{peer['times_as_fast_as_peer']:.2f} times as fast"
            lines.append(f"  {peer['case']:<44}{'peer, ' + form:<28}xla {ours:.2f} ms, peer {theirs:.2f} ms: {ratio}")
    return lines


def _said(row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"failed: {row['failed'][:80]}"
    said = f"{1e3 * row['median_s']:8.2f} ms bare"
    if "in_fit_s" in row:
        said += f" {1e3 * row['in_fit_s']:8.2f} ms in fit {1 / row['in_fit_s']:7.1f} steps/s"
    if "share_of_limit" in row:
        said += f" {row['share_of_limit']:6.0%} of the limit"
    if "first_s" in row:
        said += f", first after {row['first_s']:.0f} s"
    if "difference" in row:
        said += f", gradient off by {row['difference']['gradient']:.0e}"
    return said


def run_lines(runs: Path) -> list[str]:
    """What the short run took, and what as many steps as the paper's would."""
    lines = []
    for stage, steps in PAPER_STEPS.items():
        done, config = runs / "short-blue" / stage / "done.json", runs / "short-blue" / "config.json"
        if done.exists():
            facts, fields = json.loads(done.read_text()), json.loads(config.read_text())["config"]
            parts = facts["parts"]
            # The estimator's stage doesn't time its first step alone, and the tuning's has other functions to trace.
            first = parts.get("tracing and first step", 0.0)
            rest = parts.get("training", facts["seconds"]) - first
            each = rest / fields[f"{stage}.steps"]
            said = f"{1e3 * each:.1f} ms a step with all around it, so {steps:,} in {each * steps / 60:.0f} minutes at the most"
            lines.append(f"  {stage:<12}{facts['seconds']:>8.0f} s for {fields[f'{stage}.steps']:,} steps: {said}")
    results = runs / "short-blue" / "evaluation" / "results.json"
    if results.exists():
        lines.append(f"  Cohen's d after the short run: {json.loads(results.read_text())['cohens_d']:.2f}")
    return ["", "color:blue, a short run at the paper's settings", *lines] if lines else []


if __name__ == "__main__":
    print("\n".join([*bench_lines(Path(sys.argv[1])), *run_lines(Path(sys.argv[2]))]))
