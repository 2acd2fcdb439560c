"""The paper's linear models over experiments, beside the paper's numbers (4.1, A.1, A.2, C.4.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from pir_tf.paper import linear_models
from pir_tf.paper.linear_models import LinearModel
from pir_tf.paper.rows import Row
from pir_tf.paper.select import by_the_paper
from pir_tf.paper.tasks import group_of
from pir_tf.report.numbers import UNDEFINED, interval, number, p_value


@dataclasses.dataclass(frozen=True)
class PaperModel:
    """One model of the paper.

    Attributes:
        name: Its key in `models.json`.
        claim: What the paper says with it.
        source: Section.
        paper: The paper's numbers, in words.
        model: Fits it to experiments.
    """

    name: str
    claim: str
    source: str
    paper: str
    model: Callable[[Sequence[Row]], LinearModel]


MODELS = (
    PaperModel(
        "layer_trend",
        "With 20 filters the effect gets smaller at higher layers of VGG16",
        "4.1",
        "beta -0.13 per layer, t = -7.8, p < 1e-10",
        linear_models.layer_trend,
    ),
    PaperModel(
        "change_on_estimated",
        "The estimator underestimates what it achieves",
        "A.1, Fig. 4",
        "beta 1.67",
        linear_models.change_on_estimated,
    ),
    PaperModel(
        "change_on_spread",
        "The change grows with the initial spread",
        "A.2, Fig. 5",
        "beta 0.99, t = 10.6, p < 1e-10",
        linear_models.change_on_spread,
    ),
    PaperModel(
        "change_on_spread_alone",
        "The initial spread alone explains half of the variance of the change",
        "A.2",
        "R² about 0.50",
        linear_models.change_on_spread_alone,
    ),
    PaperModel(
        "effect_on_nonzero",
        "The more PIRs are not zero, the larger the effect",
        "C.4.2, Fig. 8",
        "a strong relation, no number",
        linear_models.effect_on_nonzero,
    ),
)


def fit_models(rows: Sequence[Row]) -> dict[str, LinearModel]:
    """Every model, fitted to the experiments with the paper's method and objectives.

    Source: 4.1, A.1, A.2, C.4.2.
    """
    shown = [row for row in by_the_paper(rows) if group_of(row)]
    return {item.name: item.model(shown) for item in MODELS}


def as_json(fitted: dict[str, LinearModel]) -> dict[str, Any]:
    """What `models.json` holds: for each model the slope that it is about at the top, all of it below, and the paper's."""
    found: dict[str, Any] = {}
    for item in MODELS:
        model = fitted[item.name]
        slope = dataclasses.asdict(model.slope) if model.slope else {}
        found[item.name] = {
            "claim": item.claim,
            "source": item.source,
            "paper": item.paper,
            **{name: slope.get(name) for name in ("beta", "standard_error", "interval", "t", "p_value")},
            **dataclasses.asdict(model),
        }
    return found


def as_markdown(fitted: dict[str, LinearModel]) -> str:
    """The models as a table of text, each beside the paper's."""
    lines = [
        "| claim | model | paper | here | R² | n |",
        "|---|---|---|---|---|---|",
    ]
    notes = []
    for item in MODELS:
        model = fitted[item.name]
        lines.append(
            f"| {item.claim} ({item.source}) | {model.formula} | {item.paper} | {_here(model)} | "
            f"{number(model.r_squared, 2, missing=UNDEFINED)} | {model.n} |"
        )
        left_out = f"{model.left_out} runs have one of the numbers undefined" if model.left_out else ""
        said = "; ".join(part for part in (model.reason or "", left_out) if part)
        notes += [f"- {model.formula}: {said}."] if said else []
    table = "\n".join(lines)
    below = "\n\n" + "\n".join(notes) if notes else ""
    return f"{table}\n\nOrdinary least squares, one row per experiment; intervals of 95%, p two-sided.{below}\n"


def _here(model: LinearModel) -> str:
    if model.slope is None:
        return UNDEFINED
    slope = model.slope
    t = f"t = {number(slope.t, 1)}" if slope.t is not None else "t undefined"
    chance = p_value(slope.p_value, missing="p undefined")
    r = f", r = {number(model.correlation, 2)}" if model.correlation is not None else ""
    return f"beta {number(slope.beta, 3)} ({interval(slope.interval, 3)}), {t}, {chance}{r}"
