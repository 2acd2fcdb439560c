"""`python -m pir_tf.paper.publish RUN FOLDER`: what of a finished run goes into `experiments/`, with how it was made."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np

from pir_tf.commands import exit_code
from pir_tf.errors import InputError
from pir_tf.images import grid, save_png
from pir_tf.report.numbers import gpus
from pir_tf.report.tables import result_table
from pir_tf.runs import provenance
from pir_tf.runs.directory import atomic, read_json

COPIED = (
    "config.json",
    "data.json",
    "estimator/quality.json",
    "tuning/history.csv",
    "evaluation/results.json",
    "report/pir-true.png",
    "report/pir-estimates.png",
    "report/tuning-pir.png",
    "report/calibration.png",
)


def main(arguments: list[str] | None = None) -> int:
    """Publishes a run.

    Returns:
        0, or 2 for a user's mistake.
    """
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: publish(*_places(words)), "another folder")


def _places(words: list[str]) -> tuple[Path, Path]:
    if len(words) != 2:
        raise InputError(
            f"{len(words)} words were given, expected two: a finished run and the folder to publish it in."
        )
    return Path(words[0]), Path(words[1])


def publish(run: Path, folder: Path) -> None:
    """Copies config, results and figures, and writes `README.md` and `pairs.png`.

    Raises:
        InputError: the run isn't finished.
        OSError: the folder can't be written.
    """
    about = run / "gan" / "generator.json"
    imported = about.exists() and read_json(about).get("imported")
    copied = [name for name in COPIED if not (imported and name == "data.json")]  # which has no real images
    missing = [name for name in (*copied, "report/done.json") if not (run / name).exists()]
    if missing:
        raise InputError(
            f"{run} has no {', '.join(missing)}, expected a finished run with its report: finish it first."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in copied:
        shutil.copyfile(run / name, folder / Path(name).name)
    save_png(folder / "pairs.png", _pairs(run))
    with atomic(folder / "README.md") as beside:
        beside.write_text(_text(run), encoding="utf-8")


def _pairs(run: Path, count: int = 8) -> np.ndarray:
    """For each class a row of images before tuning and below it the same latents after it, at twice their size."""
    with np.load(run / "evaluation" / "samples.npz") as samples:
        labels = samples["pair_labels"]
        rows = [samples[name][labels == c][:count] for c in np.unique(labels) for name in ("pair_before", "pair_after")]
    return grid(np.concatenate(rows).repeat(2, axis=1).repeat(2, axis=2), columns=count)


def facts_table(run: Path) -> str:
    """Command, commit, seed, hardware, time, memory and versions of a run, as a table in Markdown."""
    config = read_json(run / "config.json")
    stages = ("gan", "interactions", "estimator", "tuning", "evaluation", "report")
    facts = {stage: read_json(run / stage / "done.json") for stage in stages if (run / stage / "done.json").is_file()}
    times = ", ".join(f"{stage} {fact['seconds']:.0f} s" for stage, fact in facts.items())
    hardware = config["hardware"]
    rows = {
        "command": f"`{config['command']}`",
        "commit": provenance.commits(config) or "unknown",
        "seed": config["config"]["seed"],
        "hardware": f"{hardware['cores']} CPU cores ({hardware['machine']}), {gpus(hardware) or 'no GPU used'}",
        "time": f"{sum(fact['seconds'] for fact in facts.values()):.0f} s in its stages: {times}",
        "peak memory": f"{max(fact['peak_memory_mb'] for fact in facts.values()):,} MB",
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.versions(config).items() if version),
        "started": config["started"],
    }
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def _text(run: Path) -> str:
    config, results = read_json(run / "config.json"), read_json(run / "evaluation" / "results.json")
    return f"""# {results["objective"] or "real people"}, preset {config["config"]["preset"]}

{facts_table(run)}

```text
{result_table(results)}
```

`results.json` has all of it, `config.json` every field, `quality.json` the estimator's held-out quality and `history.csv` the
tuning.

Images from the same latents before and after tuning, a row each in turn, randomly drawn:

![Images before and after tuning](pairs.png)

![True PIR before and after](pir-true.png)

![True and estimated PIR while tuning](tuning-pir.png)
"""


if __name__ == "__main__":
    sys.exit(main())
