"""The paper's linear models over experiments, beside the paper's numbers (4.1, A.1, A.2, C.4.2, Fig. 8).

Ordinary least squares with an intercept, one row per experiment, the intervals of 95% and p two-sided from Student's t, as in
the paper's numbers. What does not exist (a slope with too few rows, t of points that lie on the line) is `None` with the
reason in words, as in JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.objective_names import COLOR_KINDS
from pir_tf.paper.rows import VGG_MULTI, VGG_SINGLE
from pir_tf.paper.select import by_the_paper
from pir_tf.report.numbers import UNDEFINED, interval, number, p_value
from pir_tf.statistics.effects import is_constant

EXACT = 1e-10  # residuals below this share of the outcome's spread are rounding: the points lie on the line

WORDS = {
    "cohens_d": "effect size",
    "change": "change in mean PIR",
    "estimated_change": "estimated change",
    "layer_index": "layer index",
    "initial_mean": "initial mean",
    "initial_sd": "initial SD",
    "initial_percent_zero": "percent zeros",
    "initial_percent_nonzero": "percent non-zero PIRs",
    "Intercept": "intercept",
}


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """Change of the outcome per unit of a regressor, the others held; t and p are `None` where the points lie on the line."""

    beta: float
    standard_error: float
    interval: tuple[float, float]
    t: float | None
    p_value: float | None


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """A fitted linear model, plain enough for JSON."""

    formula: str  # in words
    regressor: str  # that the model is about
    coefficients: dict[str, Coefficient]  # by the regressor's name, the intercept included; empty where undefined
    n: int  # rows that were used
    left_out: int  # rows without one of the numbers
    r_squared: float | None  # share of the outcome's variance that the model explains, in [0, 1]
    correlation: float | None  # Pearson's r, in [-1, 1], for a model with one regressor
    reason: str | None  # why a number is None, or what was left out of the model

    @property
    def slope(self) -> Coefficient | None:
        """The coefficient that the model is about; `None` where undefined."""
        return self.coefficients.get(self.regressor)


@dataclasses.dataclass(frozen=True)
class PaperModel:
    """One model of the paper."""

    claim: str  # what the paper says with it
    source: str  # section
    paper: str  # its numbers, in words
    outcome: str  # column that is explained
    about: str  # column whose slope the model is about
    controls: tuple[str, ...] = ()  # columns that are held
    kinds: tuple[str, ...] = ()  # kinds of objectives that it is of; all where none are named

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The experiments of its kinds."""
        return rows[rows["kind"].isin(self.kinds)] if self.kinds else rows

    def fit(self, rows: pd.DataFrame) -> LinearModel:
        """Least squares over the experiments of its kinds.

        A control that is the same in every row explains nothing: it is left out, which changes no other slope, and said.

        Returns:
            The model; undefined, with the reason, for fewer rows than coefficients + 1, an outcome or a regressor that is the
            same in every row, or regressors that follow from each other.

        Source: 4.1, A.1, A.2, C.4.2. Deviation: D14.
        """
        own = self.of(rows)
        data = own[[self.outcome, self.about, *self.controls]].astype("float64").dropna()
        constant = [name for name in self.controls if len(data) and is_constant(data[name])]
        used = [self.about, *(name for name in self.controls if name not in constant)]
        said = [WORDS[name] for name in used]
        held = f", controlling for {' and '.join(said[1:])}" if said[1:] else ""
        formula = f"{WORDS[self.outcome]} on {said[0]}{held}"
        model = LinearModel(formula, said[0], {}, len(data), len(own) - len(data), None, None, None)
        wrong = _undefined(data[self.outcome], data[used], said)
        if wrong:
            return dataclasses.replace(model, reason=wrong)
        dropped = " and ".join(WORDS[name] for name in constant)
        verb = "is" if len(constant) == 1 else "are"
        note = [f"{dropped} {verb} the same in every row, so not in the model"] if constant else []
        return _fitted(model, data, self.outcome, used, note)


MODELS = {
    "layer_trend": PaperModel(
        "With 20 filters the effect gets smaller at higher layers of VGG16",
        "4.1",
        "beta -0.13 per layer, t = -7.8, p < 1e-10",
        "cohens_d",
        "layer_index",
        ("initial_sd", "initial_percent_zero"),
        (VGG_MULTI,),
    ),
    "change_on_estimated": PaperModel(
        "The estimator underestimates what it achieves", "A.1, Fig. 4", "beta 1.67", "change", "estimated_change"
    ),
    "change_on_spread": PaperModel(
        "The change grows with the initial spread",
        "A.2, Fig. 5",
        "beta 0.99, t = 10.6, p < 1e-10",
        "change",
        "initial_sd",
        ("initial_mean", "initial_percent_zero"),
    ),
    "change_on_spread_alone": PaperModel(
        "The initial spread alone explains half of the variance of the change",
        "A.2",
        "R² about 0.50",
        "change",
        "initial_sd",
    ),
    "effect_on_nonzero": PaperModel(
        "The more PIRs are not zero, the larger the effect",
        "C.4.2, Fig. 8",
        "a strong relation, no number",
        "cohens_d",
        "initial_percent_nonzero",
        kinds=(VGG_SINGLE, *COLOR_KINDS),
    ),
}
"""By their keys in `models.json`."""


def fit_models(rows: pd.DataFrame) -> dict[str, LinearModel]:
    """Every model, fitted to the experiments with the paper's method and objectives.

    Source: 4.1, A.1, A.2, C.4.2.
    """
    shown = by_the_paper(rows)
    return {name: model.fit(shown) for name, model in MODELS.items()}


def as_json(fitted: dict[str, LinearModel]) -> dict[str, Any]:
    """What `models.json` holds: for each model the slope that it is about at the top, all of it below, and the paper's."""
    found: dict[str, Any] = {}
    for name, model in fitted.items():
        slope = dataclasses.asdict(model.slope) if model.slope else {}
        found[name] = {
            **{key: getattr(MODELS[name], key) for key in ("claim", "source", "paper")},
            **{key: slope.get(key) for key in ("beta", "standard_error", "interval", "t", "p_value")},
            **dataclasses.asdict(model),
        }
    return found


def as_markdown(fitted: dict[str, LinearModel]) -> str:
    """The models as a table of text, each beside the paper's."""
    lines, notes = ["| claim | model | paper | here | R² | n |", "|---|---|---|---|---|---|"], []
    for name, model in fitted.items():
        paper, r_squared = MODELS[name], number(model.r_squared, 2, missing=UNDEFINED)
        cells = (f"{paper.claim} ({paper.source})", model.formula, paper.paper, _here(model), r_squared, model.n)
        lines.append(f"| {' | '.join(map(str, cells))} |")
        left_out = f"{model.left_out} runs have one of the numbers undefined" if model.left_out else ""
        said = "; ".join(part for part in (model.reason, left_out) if part)
        notes += [f"- {model.formula}: {said}."] if said else []
    below = "\n\n" + "\n".join(notes) if notes else ""
    table = "\n".join(lines)
    return f"{table}\n\nOrdinary least squares, one row per experiment; intervals of 95%, p two-sided.{below}\n"


def _undefined(outcome: pd.Series, regressors: pd.DataFrame, names: Sequence[str]) -> str | None:
    """Why the model has no slopes, or None; the first regressor is the one that it is about."""
    count = len(names) + 1
    if len(outcome) <= count:
        return f"{len(outcome)} rows, but {count} coefficients need {count + 1} or more"
    if is_constant(regressors.iloc[:, 0]):
        return f"{names[0]} is the same in every row"
    if is_constant(outcome):
        return "the outcome is the same in every row"
    scaled = (regressors - regressors.mean()) / regressors.std(ddof=0)
    if np.linalg.matrix_rank(scaled, tol=1e-8 * np.sqrt(len(outcome))) < len(names):
        return f"{', '.join(names)} follow from each other, so their slopes can't be told apart"
    return None


def _fitted(model: LinearModel, data: pd.DataFrame, outcome: str, used: Sequence[str], notes: list[str]) -> LinearModel:
    import statsmodels.formula.api as smf

    fitted = smf.ols(f"{outcome} ~ {' + '.join(used)}", data).fit()
    exact = bool(fitted.resid.abs().max() <= EXACT * np.ptp(data[outcome]))
    bounds = fitted.conf_int()
    coefficients = {}
    for name, beta in fitted.params.items():
        low, high = (beta, beta) if exact else bounds.loc[name]
        error, t, p = (fitted.bse[name], fitted.tvalues[name], fitted.pvalues[name])
        coefficients[WORDS[name]] = Coefficient(
            beta=float(beta),
            standard_error=0.0 if exact else float(error),
            interval=(float(low), float(high)),
            t=None if exact else float(t),
            p_value=None if exact else float(p),
        )
    on_the_line = ["all points lie on the line, so t and p are undefined"] if exact else []
    return dataclasses.replace(
        model,
        coefficients=coefficients,
        r_squared=float(np.clip(fitted.rsquared, 0.0, 1.0)),
        correlation=float(data[outcome].corr(data[used[0]])) if len(used) == 1 else None,
        reason="; ".join([*notes, *on_the_line]) or None,
    )


def _here(model: LinearModel) -> str:
    if model.slope is None:
        return UNDEFINED
    slope = model.slope
    t = f"t = {number(slope.t, 1)}" if slope.t is not None else "t undefined"
    chance = p_value(slope.p_value, missing="p undefined")
    r = f", r = {number(model.correlation, 2)}" if model.correlation is not None else ""
    return f"beta {number(slope.beta, 3)} ({interval(slope.interval, 3)}), {t}, {chance}{r}"
