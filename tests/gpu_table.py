"""The table that ends `tests/gpu.sh`: every case in every form, and how long the paper's settings would take by the short run."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PAPER_STEPS = {"estimator": 25_000, "tuning": 50_000}


def bench_lines(out: Path) -> list[str]:
    """A line for each form of each case that was timed."""
    lines = []
    for path in sorted(out.glob("*.json")):
        facts = json.loads(path.read_text(encoding="utf-8"))
        about = facts["machine"]
        devices = ", ".join(about["gpus"]) or about["processor"]
        lines += [
            "",
            f"{path.stem}: {devices}, TensorFlow {about['tensorflow']}, deterministic {about['deterministic']}",
        ]
        for row in facts["rows"]:
            bare, fit = 1e3 * row["median_s"], 1e3 * row["in_fit_s"]
            speed = f"{bare:8.2f} ms bare {fit:8.2f} ms in fit {1e3 / fit:7.1f} steps/s {row['share_of_limit']:6.0%} of the limit"
            lines.append(f"  {row['case']:<42}{row['form']:>9}{speed}")
        for peer in facts.get("peers", []):
            ours, theirs = (1e3 * sorted(peer[name])[len(peer[name]) // 2] for name in ("ours_s", "peer_s"))
            ratio = peer["times_as_fast_as_peer"]
            lines.append(f"  {peer['case']:<42}  xla {ours:.2f} ms, peer {theirs:.2f} ms: {ratio:.2f} times as fast")
    return lines


def run_lines(out: Path) -> list[str]:
    """What the short run took, and what as many steps as the paper's would."""
    lines = []
    for stage, steps in PAPER_STEPS.items():
        done, config = out / "short-blue" / stage / "done.json", out / "short-blue" / "config.json"
        if done.exists():
            facts, fields = json.loads(done.read_text()), json.loads(config.read_text())["config"]
            parts = facts["parts"]
            # The estimator's stage doesn't time its first step alone.
            first = parts.get("tracing and first step", 0.0)
            rest = parts.get("training", facts["seconds"]) - first
            each = rest / fields[f"{stage}.steps"]
            said = f"{1e3 * each:.1f} ms a step with all around it, so {steps:,} in {each * steps / 60:.0f} minutes"
            lines.append(f"  {stage:<12}{facts['seconds']:>8.0f} s for {fields[f'{stage}.steps']:,} steps: {said}")
    results = out / "short-blue" / "evaluation" / "results.json"
    if results.exists():
        lines.append(f"  Cohen's d after the short run: {json.loads(results.read_text())['cohens_d']:.2f}")
    return ["", "color:blue, a short run at the paper's settings", *lines] if lines else []


if __name__ == "__main__":
    print("\n".join([*bench_lines(Path(sys.argv[1])), *run_lines(Path(sys.argv[1]))]))
