"""Linear models over experiments: against a sample worked by hand, NumPy's least squares and SciPy's distributions."""

import dataclasses
import json
import math

import numpy as np
import pytest
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.paper import linear_models
from pir_tf.paper.linear_models import fit


def by_hand(y, columns):
    """Slopes, standard errors, t, p and R² from the normal equations."""
    X = np.column_stack([np.ones(len(y)), *columns])
    beta, *_ = np.linalg.lstsq(X, y, rcond=None)
    residuals = y - X @ beta
    df = len(y) - X.shape[1]
    se = np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * (residuals @ residuals) / df)
    r2 = 1 - residuals @ residuals / np.sum((y - y.mean()) ** 2)
    return beta, se, beta / se, 2 * stats.t.sf(np.abs(beta / se), df), r2


def row(**values):
    base = {"kind": "vgg k=20", "layer_index": 1, "cohens_d": 1.0, "change": 0.1, "estimated_change": 0.05}
    base |= {"initial_sd": 0.02, "initial_mean": 0.3, "percent_zero": 0.0, "percent_nonzero": 100.0}
    return {**base, **values}


def many_rows(n=40, seed=0):
    """Rows whose effect falls by 0.13 a layer, and whose change is 1.6 times the estimated one, with noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        sd, zero, layer = rng.uniform(0.01, 0.05), rng.uniform(0, 60), i % 8 + 1
        estimated = rng.uniform(0, 0.1)
        rows.append(
            row(
                layer_index=layer,
                initial_sd=sd,
                percent_zero=zero,
                percent_nonzero=100 - zero,
                initial_mean=rng.uniform(0.1, 0.5),
                cohens_d=2 - 0.13 * layer - 0.01 * zero + rng.normal(0, 0.1),
                estimated_change=estimated,
                change=1.6 * estimated + rng.normal(0, 0.01),
            )
        )
    return rows


def column(rows, name):
    return np.array([r[name] for r in rows], float)


def test_a_sample_worked_by_hand():
    """Sxy = 7, Sxx = 5, so the slope is 1.4 and the intercept 0.5; residuals 0.1, -0.3, 0.3, -0.1, so s² = 0.2 / 2."""
    model = fit("y", [2, 3, 5, 6], {"x": [1, 2, 3, 4]}, about="x")
    slope = model.slope
    assert slope.beta == pytest.approx(1.4)
    assert model.coefficients["intercept"].beta == pytest.approx(0.5)
    assert slope.standard_error == pytest.approx(math.sqrt(0.1 / 5))
    assert slope.t == pytest.approx(1.4 / math.sqrt(0.02))
    assert slope.interval == pytest.approx(
        (1.4 - 4.302653 * math.sqrt(0.02), 1.4 + 4.302653 * math.sqrt(0.02)), rel=1e-6
    )
    assert slope.p_value == pytest.approx(0.0100505, rel=1e-4)
    assert model.r_squared == pytest.approx(0.98)
    assert model.correlation == pytest.approx(7 / math.sqrt(50))
    assert (model.n, model.left_out, model.reason) == (4, 0, None)
    assert model.formula == "y on x"


def test_several_regressors_against_the_normal_equations():
    rng = np.random.default_rng(3)
    columns = rng.normal(size=(3, 25)) * [[1], [0.01], [50]] + [[0], [0.3], [40]]
    y = 0.5 - 0.13 * columns[0] + 8 * columns[1] + rng.normal(0, 0.2, 25)
    model = fit("d", y, dict(zip("abc", columns, strict=True)), about="b")
    beta, se, t, p, r2 = by_hand(y, columns)
    for i, name in enumerate(("intercept", "b", "a", "c")):
        j = {"intercept": 0, "a": 1, "b": 2, "c": 3}[name]
        found = model.coefficients[name]
        assert list(model.coefficients)[i] == name
        assert found.beta == pytest.approx(beta[j], rel=1e-8)
        assert found.standard_error == pytest.approx(se[j], rel=1e-8)
        assert (found.t, found.p_value) == (pytest.approx(t[j], rel=1e-8), pytest.approx(p[j], rel=1e-6))
        half = stats.t.ppf(0.975, 21) * se[j]
        assert found.interval == pytest.approx((beta[j] - half, beta[j] + half), rel=1e-8)
    assert model.r_squared == pytest.approx(r2)
    assert model.correlation is None  # it would not be that of the slope
    assert model.formula == "d on b, controlling for a and c"


def test_one_regressor_is_scipys_line():
    rng = np.random.default_rng(1)
    x = rng.normal(size=12)
    y = 2 * x + rng.normal(size=12)
    model, line = fit("y", y, {"x": x}, about="x"), stats.linregress(x, y)
    assert model.slope.beta == pytest.approx(line.slope)
    assert model.slope.standard_error == pytest.approx(line.stderr)
    assert model.slope.p_value == pytest.approx(line.pvalue)
    assert model.correlation == pytest.approx(line.rvalue)


# The paper's models


def test_the_trend_over_layers_is_that_of_twenty_filters_alone():
    rows = many_rows()
    single = [row(kind="vgg single", layer_index=i % 8 + 1, cohens_d=float(i)) for i in range(20)]
    model = linear_models.layer_trend(rows + single)
    columns = [column(rows, name) for name in ("layer_index", "initial_sd", "percent_zero")]
    beta, se, t, p, _ = by_hand(column(rows, "cohens_d"), columns)
    assert model.n == 40
    assert model.slope.beta == pytest.approx(beta[1]) and model.slope.beta == pytest.approx(-0.13, abs=0.03)
    assert model.slope.t == pytest.approx(t[1]) and model.slope.p_value == pytest.approx(p[1], rel=1e-6)
    assert set(model.coefficients) == {"intercept", "layer index", "initial SD", "percent zeros"}
    assert model.formula == "effect size on layer index, controlling for initial SD and percent zeros"


def test_the_change_on_the_estimated_one():
    rows = many_rows(seed=1)
    model = linear_models.change_on_estimated(rows)
    line = stats.linregress(column(rows, "estimated_change"), column(rows, "change"))
    assert model.slope.beta == pytest.approx(line.slope) and 1.4 < model.slope.beta < 1.8
    assert model.r_squared == pytest.approx(line.rvalue**2)


def test_the_change_on_the_initial_spread_with_controls_and_alone():
    rows = many_rows(seed=2)
    for r in rows:
        r["change"] = r["initial_sd"] - 0.2 * r["initial_mean"] + r["change"] / 50
    y = column(rows, "change")
    columns = [column(rows, name) for name in ("initial_sd", "initial_mean", "percent_zero")]
    beta, _, t, _, r2 = by_hand(y, columns)
    model = linear_models.change_on_spread(rows)
    assert model.slope.beta == pytest.approx(beta[1]) and model.slope.t == pytest.approx(t[1])
    assert model.r_squared == pytest.approx(r2)
    alone = linear_models.change_on_spread_alone(rows)
    assert alone.r_squared == pytest.approx(stats.pearsonr(columns[0], y)[0] ** 2)
    assert alone.regressor == "initial SD" and set(alone.coefficients) == {"intercept", "initial SD"}


def test_nonzero_pirs_against_the_effect_are_of_single_filters_and_colours():
    rows = [{**r, "kind": kind} for r, kind in zip(many_rows(), ["vgg single", "two colors"] * 20, strict=True)]
    model = linear_models.effect_on_nonzero(rows + many_rows(10, seed=5))
    r, p = stats.pearsonr(column(rows, "percent_nonzero"), column(rows, "cohens_d"))
    assert model.n == 40
    assert model.correlation == pytest.approx(r) and r > 0
    assert model.slope.p_value == pytest.approx(p, rel=1e-6)


# What does not exist


def test_rows_without_a_number_are_left_out_and_counted():
    rows = many_rows(12)
    holes = [row(cohens_d=None), row(percent_zero=None)]
    model = linear_models.layer_trend(rows + holes)
    assert (model.n, model.left_out) == (12, 2)
    assert model.slope == linear_models.layer_trend(rows).slope


@pytest.mark.parametrize(
    ("y", "columns", "reason"),
    [
        ([], {"x": []}, "0 rows, but 2 coefficients need 3 or more"),
        ([1, 2], {"x": [1, 2]}, "2 rows, but 2 coefficients need 3 or more"),
        ([1, 2, 3, 5], {"x": [1, 2, 3, 4], "z": [0, 1, 0, 1], "w": [1, 0, 0, 0]}, "4 rows, but 4 coefficients need 5"),
        ([1, 2, 4], {"x": [7, 7, 7]}, "x is the same in every row"),
        ([1, 2, 4], {"x": [0.1 * 3, 0.3, 0.3]}, "x is the same in every row"),
        ([2, 2, 2], {"x": [1, 2, 3]}, "the outcome is the same in every row"),
        ([1, 2, float("nan")], {"x": [1, 2, 3]}, "of the values 1 is not finite"),
        ([1, 2, 4], {"x": [1, float("inf"), 3]}, "of the values 1 is not finite"),
        ([1, 2, 4, 3, 7], {"x": [1, 2, 3, 4, 5], "z": [2, 4, 6, 8, 10]}, "x, z follow from each other"),
        ([1, 2, 4, 3, 7], {"x": [1, 2, 3, 4, 5], "z": [0.98, 0.96, 0.94, 0.92, 0.9]}, "x, z follow from each other"),
    ],
)
def test_an_undefined_model_says_why(y, columns, reason):
    model = fit("y", y, columns, about="x")
    assert model.slope is None and model.coefficients == {} and model.r_squared is None and model.correlation is None
    assert reason in model.reason
    assert model.n == len(y)


def test_a_control_that_never_varies_changes_no_slope_and_is_named():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 9))
    with_it = fit("y", y, {"x": x, "percent zeros": np.zeros(9)}, about="x")
    assert with_it.slope == fit("y", y, {"x": x}, about="x").slope
    assert with_it.formula == "y on x" and "percent zeros is the same in every row" in with_it.reason


def test_points_on_a_line_have_no_t():
    """Their residuals are rounding, and rounding is no standard error."""
    x = np.linspace(0, 1, 7) / 3
    model = fit("y", 0.1 + 0.7 * x, {"x": x}, about="x")
    assert model.slope.beta == pytest.approx(0.7) and model.r_squared == pytest.approx(1.0)
    assert model.slope.t is None and model.slope.p_value is None and model.slope.standard_error == 0.0
    assert "t and p are undefined" in model.reason


@pytest.mark.parametrize("y", [[1, 2, 3, 5], [1.0, 1.0, 1.0, 1.0], []])
def test_every_model_is_strict_json(y):
    model = fit("y", y, {"x": list(range(len(y)))}, about="x")
    json.dumps(dataclasses.asdict(model), allow_nan=False)


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="expected one number per row"):
        fit("y", [1, 2, 3], {"x": [1, 2]}, about="x")
    with pytest.raises(InputError, match="z among them"):
        fit("y", [1, 2, 3], {"x": [1, 2, 3]}, about="z")


def test_the_caller_s_rows_stay_as_they_are():
    rows = many_rows(10)
    before = [dict(r) for r in rows]
    linear_models.layer_trend(rows)
    assert rows == before
