"""The page of a run: one HTML file that holds its pictures and needs neither network nor JavaScript.

`write_report` reads the run's files, draws the figures as PNG files beside the page, and sets them into the template.
"""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pir_tf.report import figures, numbers, sentences, style, tables
from pir_tf.report.reading import RunFiles, read_run
from pir_tf.runs.directory import atomic, has_simulated_raters
from pir_tf.runs.provenance import commits, versions


@dataclasses.dataclass(frozen=True)
class Picture:
    """A PNG inside the page: its `data:` address, and the CSS pixels at which its text has its nominal size."""

    source: str
    width: int
    height: int


def write_report(run_directory: Path) -> Path:
    """Writes `report/index.html`, whose path it returns, and the figures of a run; what is not measured yet is said so.

    Raises:
        InputError: The directory holds no run, or one of its files is damaged.
    """
    run = read_run(run_directory)
    directory = run.path / "report"
    directory.mkdir(exist_ok=True)
    shown: dict[str, Picture] = {}
    for name, figure in _figures(run):
        path = directory / f"{name}.png"
        if figure is None:
            path.unlink(missing_ok=True)  # of an earlier report, and no longer true
            continue
        style.save(figure, path)
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        shown[name] = Picture(f"data:image/png;base64,{data}", width, height)
    page = directory / "index.html"
    with atomic(page) as beside:
        # A class's name may come from a folder's that is no UTF-8.
        beside.write_text(_render(run, shown), encoding="utf-8", errors="replace")
    return page


def _figures(run: RunFiles) -> Iterator[tuple[str, Any]]:
    """Every figure by the name of its file, one at a time; `None` for what the run does not have."""
    measured, *estimates = _pir_panels(run)
    limits = figures.pir_limits([values for _, *both in (measured, *estimates) for values in both])
    yield "pir-true", figures.before_after([measured], limits)
    yield "pir-estimates", figures.before_after(estimates, limits)
    yield "training-pir", figures.training_spread(_training_pir(run))
    yield "calibration", figures.calibration(_calibration_panels(run), truth="true" if run.simulated else "observed")
    tuning, gan = run.tuning_history, run.gan_history
    yield "tuning-pir", None if tuning is None else figures.pir_along(tuning)
    yield "tuning-losses", None if tuning is None else figures.loss_terms(tuning, figures.TUNING_TERMS)
    yield "tuning-gradients", None if tuning is None else figures.gradient_norms(tuning)
    yield "gan-losses", None if gan is None else figures.loss_terms(gan, figures.PRETRAINING_TERMS)
    yield "gan-distance", None if gan is None else figures.distance_along(gan)
    for index in range(min(len(run.class_names), figures.MOST_CLASSES)):
        yield f"pairs-{index}", figures.pairs(*_pairs_of(run, index))
    for name, labels in (("before", "labels_before"), ("after", "labels_after"), ("real", "real_labels")):
        known = name in run.samples and labels in run.samples
        drawn = figures.samples(run.samples[name], run.samples[labels], run.class_names) if known else None
        yield f"samples-{name}", drawn


def _pir_panels(run: RunFiles) -> list[tuple[str, np.ndarray, np.ndarray]]:
    measured = (
        "true PIR (of the simulated users)" if run.results.get("source") == "simulated" else "PIR from people's answers"
    )
    judge = (
        "PIR by the judge that chose the step" if sentences.chosen_by_judge(run.results) else "PIR by a second judge"
    )
    if (run.results.get("people") or {}).get("mode") == "pair":
        measured = "share of wins of an image, which within a pair sum to 1"
    titles = (("true", measured), ("estimated", "PIR by the estimator (no proof)"), ("judged", judge))
    return [(title, run.values(f"{key}_before"), run.values(f"{key}_after")) for key, title in titles]


def _training_pir(run: RunFiles) -> np.ndarray:
    table = run.interactions
    if table is None or not {"impressions", "positives"} <= set(table):
        return np.empty(0)
    rated = table[table["impressions"] > 0]
    return (rated["positives"] / rated["impressions"]).to_numpy(np.float64)


def _calibration_panels(run: RunFiles) -> list[tuple[str, Any]]:
    quality = run.quality
    if not run.temperature:
        return [("the estimator in use", (quality.get("at_temperature") or {}).get("calibration") or [])]
    used = numbers.number(quality.get("temperature"), 2, missing="of use")
    sides = (("at_temperature_1", "temperature 1"), ("at_temperature", f"temperature {used}"))
    return [(title, (quality.get(key) or {}).get("calibration") or []) for key, title in sides]


def _pairs_of(run: RunFiles, index: int) -> tuple[np.ndarray, np.ndarray]:
    if not {"pair_before", "pair_after", "pair_labels"} <= set(run.samples):
        return np.empty(0), np.empty(0)
    own = run.samples["pair_labels"] == index
    return run.samples["pair_before"][own], run.samples["pair_after"][own]


def template(name: str, **filters: Callable[..., str]) -> Any:
    """A page's template, with filters by their names: text is escaped, and what isn't defined is a fault."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pir_tf.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    return environment.get_template(name)


def _render(run: RunFiles, shown: dict[str, Picture]) -> str:
    headings = [(figures.class_heading(index, name), name) for index, name in enumerate(run.class_names)]
    return template("report.html.j2", typeset=_typeset).render(
        **{"run": run, "results": run.results, "figures": shown, "commits": commits, "versions": versions},
        **{"tables": tables, "sentences": sentences, "number": numbers.number, "percent": numbers.percent},
        plain=numbers.plain,
        audience=sentences.audience(
            run.results or _from_config(run.config), demonstration=has_simulated_raters(run.path)
        ),
        headings=[(heading, name) for heading, name in headings if heading != name],
        has_pairs=any(name.startswith("pairs-") for name in shown),
        hidden_classes=max(0, len(run.class_names) - figures.MOST_CLASSES),
    )


def _from_config(config: dict[str, Any]) -> dict[str, Any]:
    """Who the audience is when no results say so."""
    source = config.get("interactions.source")
    return {"source": source, "objective": config.get("interactions.objective") if source == "simulated" else None}


def _typeset(text: str) -> str:
    """A number's hyphen as a minus sign."""
    return f"−{text[1:]}" if text[:1] == "-" and text[1:2].isdigit() else text
