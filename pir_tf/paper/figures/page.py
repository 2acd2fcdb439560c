"""All figures over many experiments: their tables, their drawings, the linear models, and a page in words beside them.

Everything comes from files that runs have written; no network is loaded, and no TensorFlow. Each figure lies beside the CSV that
it was drawn from, so that it can be drawn again, or differently, without the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.errors import InputError
from pir_tf.paper.collect import collect
from pir_tf.paper.figures import points, samples, settings
from pir_tf.paper.models import as_json, as_markdown, fit_models
from pir_tf.paper.rows import read_rows, write_rows
from pir_tf.paper.select import TASKS, by_the_paper, departures
from pir_tf.report import style
from pir_tf.report.numbers import number
from pir_tf.runs.directory import atomic, read_json, write_json
from pir_tf.runs.provenance import package_commit
from pir_tf.statistics.effects import ALPHA

ROWS, COLLECTED, PAGE = "experiments.csv", "collected.json", "README.md"
MODELS, MODELS_PAGE = "models.json", "models.md"
SAMPLES, SAMPLES_TITLE = "figure-3", "Figure 3: samples of colour objectives"
"""The one figure that needs pictures besides its table."""

FIGURES: tuple[points.Strips | points.Scatter | points.Rounds | settings.TradeOff | settings.Pairs, ...] = (
    *(points.EFFECT, points.ESTIMATED, points.SPREAD, points.Rounds(), points.CHANGE, points.NONZERO),
    *(settings.TradeOff(), settings.Pairs()),
)
"""All others, in the order in which they are shown: each has a table, from all experiments, and a drawing and a caption of it."""

ORDER = ("figure-2", SAMPLES, *(figure.name for figure in FIGURES[1:]))


def make(runs: Sequence[Path], directory: Path, *, seed: int = 0, keep_samples: bool = False) -> int:
    """Collects experiments, and writes their table, the figures with theirs, the models and the page.

    Args:
        runs: Run directories, sweeps or published folders.
        directory: Where to; made when absent. What this function wrote there before is replaced.
        seed: Seed of the draw of Fig. 3.
        keep_samples: Whether the images of Fig. 3 that are there stay where the runs have none, as published ones.

    Returns:
        How many figures there are.

    Raises:
        InputError: A path holds no experiment, or the directory has a file of these names that isn't from here.
        OSError: The directory can't be written.
    """
    found = collect(runs)
    directory.mkdir(parents=True, exist_ok=True)
    ours = [ROWS, MODELS, MODELS_PAGE, PAGE, *(f"{name}.{kind}" for name in ORDER for kind in ("csv", "png", "npz"))]
    foreign = [name for name in ours if (directory / name).exists()]
    if foreign and not (directory / COLLECTED).is_file():
        raise InputError(
            f"{directory} has a {foreign[0]} that pir-tf figures did not write, expected a new directory or one of its own: "
            "choose another with --to."
        )
    names = [run.resolve().name for run in runs]
    about = {"runs": names, "seed": seed, "commit": package_commit(), "notes": found.notes}
    write_json(directory / COLLECTED, about)
    write_tables(directory, found.rows, found.samples, seed=seed, keep_samples=keep_samples)
    return redraw(directory)


def write_tables(
    directory: Path, rows: pd.DataFrame, archives: Mapping[str, Path], *, seed: int, keep_samples: bool = False
) -> None:
    """Writes the experiments, the CSV of each figure, and the pictures of Fig. 3 from archives by the experiment's name."""
    write_rows(directory / ROWS, rows)
    for figure in FIGURES:
        write_rows(directory / f"{figure.name}.csv", figure.table(rows), figure.columns)
    drawn, images = samples.draw_samples(rows, archives, seed=seed)
    table, pictures = directory / f"{SAMPLES}.csv", directory / f"{SAMPLES}.npz"
    if len(images) or not (keep_samples and table.is_file() and pictures.is_file()):
        with atomic(pictures) as beside:
            np.savez_compressed(beside, images=images)
        write_rows(table, drawn, samples.COLUMNS)


def redraw(directory: Path) -> int:
    """Draws the figures again from the CSVs in a directory, and fits the models again from `experiments.csv`.

    Args:
        directory: What `make` has written; its CSVs may have been changed since, those of figures may be absent.

    Returns:
        How many figures there are.

    Raises:
        InputError: The directory isn't one, or a file in it is damaged.
    """
    if not (directory / ROWS).is_file():
        raise InputError(
            f"{directory} has no {ROWS}, expected a directory that pir-tf figures has written: name that, or give RUNS."
        )
    rows = read_rows(directory / ROWS)
    about = read_json(directory / COLLECTED) if (directory / COLLECTED).is_file() else {}
    drawn = {}
    for figure in FIGURES:
        path = directory / f"{figure.name}.csv"
        if path.is_file():
            table = read_rows(path, figure.columns)
            style.save(figure.draw(table), path.with_suffix(".png"))
            drawn[figure.name] = figure.title, figure.caption(table)
    path = directory / f"{SAMPLES}.csv"
    if path.is_file():
        table = read_rows(path, samples.COLUMNS)
        again = "make the figures again from the runs"
        figure_3 = samples.draw(table, *samples.read(path.with_suffix(".npz"), "images", otherwise=again))
        style.save(figure_3, path.with_suffix(".png"))
        drawn[SAMPLES] = SAMPLES_TITLE, samples.caption(table)
    fitted = fit_models(rows)
    write_json(directory / MODELS, as_json(fitted))
    models = as_markdown(fitted)
    page = _page(rows, {name: drawn[name] for name in ORDER if name in drawn}, models, about)
    for name, text in ((MODELS_PAGE, models), (PAGE, page)):
        with atomic(directory / name) as beside:
            beside.write_text(text, encoding="utf-8")
    return len(drawn)


def _page(rows: pd.DataFrame, drawn: Mapping[str, tuple[str, str]], models: str, about: Mapping[str, Any]) -> str:
    """The page as Markdown; `drawn` has title and caption of each figure."""
    shown = by_the_paper(rows)
    # Without the directories, which are no part of a published result.
    command = " ".join(["pir-tf figures", *(about.get("runs") or ["RUNS"])])
    command += f" --seed {about['seed']}" if about.get("seed") else ""
    parts = [
        f"# Figures and models over {_counted(len(rows), 'experiment')}",
        f"Made by `{command}`. `experiments.csv` has a row for each experiment; every figure is drawn from the CSV of its name "
        "and can be drawn again from it, without the runs, by `pir-tf figures --redraw DIR`.",
        _mix(rows),
        "## By task",
        _by_task(shown),
        "## Linear models",
        f"Over the {_counted(len(shown), 'experiment')} with the paper's method; `models.json` has every number.",
        models.rstrip(),
    ]
    for name, (title, caption) in drawn.items():
        parts += [f"## {title}", f"![{title}]({name}.png)", f"{caption} Data: [{name}.csv]({name}.csv)."]
    left = [*_not_shown(rows, shown), *(about.get("notes") or [])]
    if left:
        parts += ["## Not in these figures", "\n".join(f"- {sentence}" for sentence in left)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _mix(rows: pd.DataFrame) -> str:
    """Of which sizes the experiments are, where they are of several."""
    presets = rows["preset"].replace("", "unknown").value_counts(sort=False)
    if len(presets) < 2:
        return "".join(f"Preset: {name}." for name in presets.index)
    said = ", ".join(f"{name} {count}" for name, count in presets.items())
    return f"The experiments are of several presets, so not all alike: {said}."


def _by_task(shown: pd.DataFrame) -> str:
    lines = [
        "| task | objectives | improved | worse | no significant change | mean d | mean change | estimated change | SD before | "
        "non-zero PIRs before |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    tasks = TASKS.merge(shown, on=list(TASKS), how="left")
    run = tasks[tasks["experiment"].notna()]
    lines += [_line(f"{panel}: {name}", own) for (panel, name), own in run.groupby(["panel", "column"], sort=False)]
    missing = tasks[tasks["experiment"].isna()].groupby("panel", sort=False)["column"].agg(", ".join)
    none = "; ".join(f"{panel} ({names})" for panel, names in missing.items())
    said = f" No runs of {none}." if none else ""
    below = (
        f"Improved and worse: significant by Welch's t-test at {ALPHA:g}. d: Cohen's. A bin of the estimator is 0.01 wide: "
        "an SD below that leaves it one or two bins to tell apart, and a change that it estimated but that isn't there is its "
        f"own.{said}"
    )
    return "\n".join(lines if len(run) else []) + f"\n\n{below}"


def _line(name: str, own: pd.DataFrame) -> str:
    certain = own["p_value"] < ALPHA
    up, down = (certain & (own["change"] > 0)).sum(), (certain & ~(own["change"] > 0)).sum()
    fields = ("cohens_d", "change", "estimated_change", "initial_sd", "initial_percent_nonzero")
    d, change, estimated, spread, nonzero = (own[field].mean() for field in fields)
    numbers = (
        number(d, 2, signed=True, missing="undefined"),
        number(change, 3, signed=True, missing="not measured"),
        number(estimated, 3, signed=True, missing="not measured"),
        number(spread, 3, missing="unknown"),
        "unknown" if pd.isna(nonzero) else f"{nonzero:.0f}%",
    )
    return f"| {' | '.join(map(str, (name, len(own), up, down, (~certain).sum(), *numbers)))} |"


def _not_shown(rows: pd.DataFrame, shown: pd.DataFrame) -> list[str]:
    """Why experiments are not among those of figures 2, 4, 5, 7, 8 and the models."""
    left = rows[~rows["experiment"].isin(shown["experiment"])]
    away = departures(left)
    ours = pd.Series("an objective that another run stands for", left.index)
    known = left.set_index(["kind", "layer"]).index.isin(TASKS.set_index(["kind", "layer"]).index)
    ours = ours.where(known, "objectives that the paper has not").where(left["change"].notna(), "no true PIR")
    reasons = ours.where(away == "", "another " + away + " than the paper's").value_counts(sort=False)
    return [
        f"{_counted(count, 'experiment')} with {reason}: not in figures 2, 3, 4, 5, 7, 8 and the models."
        for reason, count in reasons.items()
    ]


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
