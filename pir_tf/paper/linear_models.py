"""Linear models over experiments: sections 4.1, A.1, A.2 and C.4.2 (Fig. 8).

Ordinary least squares with an intercept, one row per experiment, the intervals of 95% and p two-sided from Student's t,
as in the paper's numbers. Nothing is chosen here: which experiments stand beside each other is the caller's business.
What does not exist (a slope with too few rows, t of points that lie on the line) is `None` with the reason in words, as
in JSON.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from pir_tf.errors import InputError

LEVEL = 0.95
EXACT = 1e-10
"""Residuals below this share of the outcome's spread are rounding: the points lie on the line."""

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Coefficient:
    """One coefficient of a linear model.

    Attributes:
        beta: Change of the outcome per unit of the regressor, the others held.
        standard_error: Of beta.
        interval: 95% interval of beta.
        t: beta / standard_error; `None` where the points lie exactly on the line.
        p_value: Two-sided, of beta = 0; `None` with t.
    """

    beta: float
    standard_error: float
    interval: tuple[float, float]
    t: float | None
    p_value: float | None


@dataclasses.dataclass(frozen=True)
class LinearModel:
    """A fitted linear model, plain enough for JSON.

    Attributes:
        formula: The model in words.
        regressor: The regressor that the model is about.
        coefficients: By the regressor's name, the intercept included; empty where undefined.
        n: Rows that were used.
        left_out: Rows without one of the numbers.
        r_squared: Share of the outcome's variance that the model explains, in [0, 1]; `None` where undefined.
        correlation: Pearson's r, in [-1, 1], for a model with one regressor; else `None`.
        reason: Why a number is `None`, or what was left out of the model; else `None`.
    """

    formula: str
    regressor: str
    coefficients: dict[str, Coefficient]
    n: int
    left_out: int
    r_squared: float | None
    correlation: float | None
    reason: str | None

    @property
    def slope(self) -> Coefficient | None:
        """The coefficient that the model is about; `None` where undefined."""
        return self.coefficients.get(self.regressor)


def fit(
    outcome: str, y: ArrayLike, regressors: Mapping[str, ArrayLike], *, about: str, left_out: int = 0
) -> LinearModel:
    """Least squares of an outcome on regressors and an intercept.

    A regressor that is the same in every row explains nothing: as a control it is left out, which changes no other
    slope, and said; the one that the model is about makes it undefined.

    Args:
        outcome: Name of the outcome, for the formula.
        y: Shape [n]; NaN makes the model undefined.
        regressors: For each name its values [n].
        about: Name of the regressor that the model is about.
        left_out: Rows that were left out before, for the record.

    Returns:
        The model; undefined, with the reason, for fewer rows than coefficients + 1, a constant outcome, regressors that
        follow from each other, or values that are not finite.

    Raises:
        InputError: Shapes that don't fit, or `about` is no regressor.

    Source: 4.1, A.1, A.2.
    """
    target = np.asarray(y, np.float64)
    columns = {name: np.asarray(values, np.float64) for name, values in regressors.items()}
    if about not in columns or any(values.shape != target.shape or target.ndim != 1 for values in columns.values()):
        shapes = {name: values.shape for name, values in columns.items()}
        raise InputError(
            f"Regressors {shapes} and an outcome of shape {target.shape} were given, expected one number per row for "
            f"each and {about} among them: give as many values as rows."
        )
    controls = [name for name in columns if name != about]
    constant = [name for name, values in columns.items() if values.size and _is_constant(values)]
    used = [about, *(name for name in controls if name not in constant)]
    model = LinearModel(_formula(outcome, about, used[1:]), about, {}, target.size, left_out, None, None, None)
    note = None
    if len(used) < len(columns):
        dropped = " and ".join(name for name in controls if name in constant)
        note = (
            f"{dropped} {'is' if len(columns) - len(used) == 1 else 'are'} the same in every row, so not in the model"
        )
    wrong = _undefined(target, [columns[name] for name in used], used, about in constant)
    if wrong:
        return dataclasses.replace(model, reason=wrong)
    return _fitted(model, target, {name: columns[name] for name in used}, note)


def layer_trend(rows: Sequence[Row]) -> LinearModel:
    """Effect size on the layer's index, controlling for initial standard deviation and percent zeros; k = 20 alone.

    Args:
        rows: Rows with `kind`, `cohens_d`, `layer_index` (pool1 = 1 to fc8 = 8), `initial_sd`, `percent_zero`; those of
            another kind than `vgg k=20` are passed over.

    Returns:
        The model; its slope is the change in effect size per layer (the paper: -0.13, t = -7.8).

    Source: 4.1.
    """
    multi = [row for row in rows if row["kind"] == "vgg k=20"]
    names = {"layer index": "layer_index", "initial SD": "initial_sd", "percent zeros": "percent_zero"}
    return _of_rows(multi, ("effect size", "cohens_d"), names, about="layer index")


def change_on_estimated(rows: Sequence[Row]) -> LinearModel:
    """Change in mean PIR on the change that the estimator sees (the paper: beta 1.67, an underestimate).

    Source: A.1, Fig. 4.
    """
    return _of_rows(rows, ("change in mean PIR", "change"), {"estimated change": "estimated_change"})


def change_on_spread(rows: Sequence[Row]) -> LinearModel:
    """Change in mean PIR on initial standard deviation, controlling for initial mean and percent zeros.

    The paper: beta 0.99, t = 10.6.

    Source: A.2. Deviation: D14.
    """
    names = {"initial SD": "initial_sd", "initial mean": "initial_mean", "percent zeros": "percent_zero"}
    return _of_rows(rows, ("change in mean PIR", "change"), names, about="initial SD")


def change_on_spread_alone(rows: Sequence[Row]) -> LinearModel:
    """Change in mean PIR on initial standard deviation alone, whose R² the paper gives as about 50%.

    Source: A.2, Fig. 5. Deviation: D14.
    """
    return _of_rows(rows, ("change in mean PIR", "change"), {"initial SD": "initial_sd"})


def effect_on_nonzero(rows: Sequence[Row]) -> LinearModel:
    """Effect size on percent non-zero PIRs, with their correlation: single VGG filters and colours, as in Fig. 8.

    Rows of other kinds are passed over.

    Source: C.4.2, Fig. 8. Deviation: D14.
    """
    kinds = ("vgg single", "single color", "two colors", "three colors")
    shown = [row for row in rows if row["kind"] in kinds]
    return _of_rows(shown, ("effect size", "cohens_d"), {"percent non-zero PIRs": "percent_nonzero"})


def _of_rows(
    rows: Sequence[Row], outcome: tuple[str, str], names: Mapping[str, str], *, about: str | None = None
) -> LinearModel:
    """Fits a model to the rows that have all of its numbers."""
    fields = (outcome[1], *names.values())
    whole = [row for row in rows if all(row[field] is not None for field in fields)]
    columns = {name: np.array([row[field] for row in whole], np.float64) for name, field in names.items()}
    y = np.array([row[outcome[1]] for row in whole], np.float64)
    return fit(outcome[0], y, columns, about=about or next(iter(names)), left_out=len(rows) - len(whole))


def _is_constant(values: np.ndarray) -> bool:
    return bool(np.ptp(values) <= 4 * np.finfo(np.float64).eps * np.max(np.abs(values)))


def _undefined(y: np.ndarray, columns: list[np.ndarray], names: list[str], about_is_constant: bool) -> str | None:
    """Why the model has no slopes, or None."""
    needed = len(columns) + 2
    if y.size < needed:
        return f"{y.size} rows, but {len(columns) + 1} coefficients need {needed} or more"
    missing = sum(int(np.sum(~np.isfinite(values))) for values in (y, *columns))
    if missing:
        return f"of the values {missing} {'is' if missing == 1 else 'are'} not finite"
    if about_is_constant:
        return f"{names[0]} is the same in every row"
    if _is_constant(y):
        return "the outcome is the same in every row"
    scaled = np.stack([(values - values.mean()) / values.std() for values in columns], axis=1)
    if np.linalg.matrix_rank(scaled, tol=1e-8 * np.sqrt(y.size)) < len(columns):
        return f"{', '.join(names)} follow from each other, so their slopes can't be told apart"
    return None


def _fitted(model: LinearModel, y: np.ndarray, columns: dict[str, np.ndarray], note: str | None) -> LinearModel:
    import statsmodels.api as sm

    names = ("intercept", *columns)
    fitted = sm.OLS(y, np.column_stack([np.ones_like(y), *columns.values()])).fit()
    exact = float(np.max(np.abs(fitted.resid))) <= EXACT * float(np.ptp(y))
    bounds = fitted.conf_int(1 - LEVEL)
    coefficients = {
        name: Coefficient(
            beta=float(fitted.params[i]),
            standard_error=0.0 if exact else float(fitted.bse[i]),
            interval=(float(fitted.params[i]),) * 2 if exact else (float(bounds[i][0]), float(bounds[i][1])),
            t=None if exact else float(fitted.tvalues[i]),
            p_value=None if exact else float(fitted.pvalues[i]),
        )
        for i, name in enumerate(names)
    }
    on_the_line = "all points lie on the line, so t and p are undefined" if exact else None
    alone = len(columns) == 1
    return dataclasses.replace(
        model,
        coefficients=coefficients,
        r_squared=float(np.clip(fitted.rsquared, 0.0, 1.0)),
        correlation=float(np.corrcoef(y, columns[model.regressor])[0, 1].clip(-1.0, 1.0)) if alone else None,
        reason="; ".join(part for part in (note, on_the_line) if part) or None,
    )


def _formula(outcome: str, about: str, controls: Sequence[str]) -> str:
    held = f", controlling for {' and '.join(controls)}" if controls else ""
    return f"{outcome} on {about}{held}"
