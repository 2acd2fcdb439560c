"""The paper's linear models: against NumPy's least squares and SciPy's distributions."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from many_rows import experiment, whole
from scipy import stats

from pir_tf.paper.models import MODELS, PaperModel, as_json, as_markdown, fit_models
from pir_tf.paper.rows import table

ALONE = PaperModel("", "", "", "change", "initial_sd")
HELD = PaperModel("", "", "", "change", "initial_sd", ("initial_mean", "initial_percent_zero"))


def of(y, x, mean=None, zero=None):
    """Rows of an outcome and up to three regressors."""
    columns = {"change": y, "initial_sd": x, "initial_mean": mean, "initial_percent_zero": zero}
    return pd.DataFrame({"kind": "any", **columns}, index=range(len(y)))


def by_hand(rows, outcome, *regressors):
    """Slopes, standard errors, t, p and R² from the normal equations."""
    y, columns = rows[outcome].to_numpy(float), [rows[name].to_numpy(float) for name in regressors]
    X = np.column_stack([np.ones(len(y)), *columns])
    beta, *_ = np.linalg.lstsq(X, y, rcond=None)
    residuals = y - X @ beta
    df = len(y) - X.shape[1]
    se = np.sqrt(np.diag(np.linalg.inv(X.T @ X)) * (residuals @ residuals) / df)
    r2 = 1 - residuals @ residuals / np.sum((y - y.mean()) ** 2)
    return beta, se, beta / se, 2 * stats.t.sf(np.abs(beta / se), df), r2


def many(n=40, seed=0, kind="vgg k=20"):
    """Rows whose effect falls by 0.13 a layer, and whose change is 1.6 times the estimated one, with noise."""
    rng = np.random.default_rng(seed)
    rows = of(np.zeros(n), rng.uniform(0.01, 0.05, n), rng.uniform(0.1, 0.5, n), rng.uniform(0, 60, n))
    rows = rows.assign(kind=kind, layer_index=pd.array(np.arange(n) % 8 + 1, "Int64"))
    zero, estimated = rows["initial_percent_zero"], rng.uniform(0, 0.1, n)
    effect = 2 - 0.13 * rows["layer_index"].astype(float) - 0.01 * zero + rng.normal(0, 0.1, n)
    change = 1.6 * estimated + rows["initial_sd"] + rng.normal(0, 0.01, n)
    return rows.assign(cohens_d=effect, change=change, estimated_change=estimated, initial_percent_nonzero=100 - zero)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_against_the_normal_equations(name):
    model, rows = MODELS[name], many()
    if "vgg single" in model.kinds:
        rows = pd.concat([many(kind="vgg single"), many(10, seed=5)])  # sets of 20 filters are passed over
    elif model.kinds:
        rows = pd.concat([rows, many(20, seed=5, kind="vgg single")])
    own, found = rows[rows["kind"].isin(model.kinds or ["vgg k=20"])], model.fit(rows)
    beta, se, t, p, r2 = by_hand(own, model.outcome, model.about, *model.controls)
    assert (found.n, found.left_out, found.reason) == (40, 0, None) and list(found.coefficients)[0] == "intercept"
    for i, one in enumerate(found.coefficients.values()):
        half = stats.t.ppf(0.975, 40 - len(beta)) * se[i]
        assert (one.beta, one.standard_error, one.t) == pytest.approx((beta[i], se[i], t[i]), rel=1e-7)
        assert one.p_value == pytest.approx(p[i], rel=1e-5)
        assert one.interval == pytest.approx((beta[i] - half, beta[i] + half), rel=1e-7)
    assert found.slope == list(found.coefficients.values())[1] and found.r_squared == pytest.approx(r2)
    r = stats.pearsonr(own[model.about].astype(float), own[model.outcome]).statistic
    assert found.correlation == (None if model.controls else pytest.approx(r))
    if name == "layer_trend":
        assert found.slope.beta == pytest.approx(-0.13, abs=0.03)
        assert found.formula == "effect size on layer index, controlling for initial SD and percent zeros"
        assert list(found.coefficients) == ["intercept", "layer index", "initial SD", "percent zeros"]


def test_holes_are_counted_constant_controls_named_and_points_on_a_line_have_no_t():
    rows = many(12)
    holes = rows.iloc[:2].assign(cohens_d=[None, 1.0], initial_percent_zero=[1.0, None])
    model = MODELS["layer_trend"].fit(pd.concat([rows, holes]))
    assert (model.n, model.left_out) == (12, 2)
    assert model.slope == MODELS["layer_trend"].fit(rows).slope
    rows = many().assign(initial_percent_zero=0.0)
    model = HELD.fit(rows)
    without = dataclasses.replace(HELD, controls=("initial_mean",)).fit(rows)
    assert model.slope == without.slope and model.formula == without.formula
    assert "percent zeros is the same in every row" in model.reason
    # Their residuals are rounding, and rounding is no standard error.
    x = np.linspace(0, 1, 7) / 3
    model = ALONE.fit(of(0.1 + 0.7 * x, x))
    assert model.slope.beta == pytest.approx(0.7) and model.r_squared == pytest.approx(1.0)
    assert model.slope.t is None and model.slope.p_value is None and model.slope.standard_error == 0.0
    assert "t and p are undefined" in model.reason
    json.dumps(dataclasses.asdict(model), allow_nan=False)


REASONS = [
    (of([1, 2], [1, 2]), "2 rows, but 2 coefficients need 3 or more"),
    (of([1, 2, 3, 5], [1, 2, 3, 4], [0, 1, 0, 1], [1, 0, 0, 0]), "4 rows, but 4 coefficients need 5"),
    (of([1, 2, 4], [0.1 * 3, 0.3, 0.3]), "initial SD is the same in every row"),
    (of([2, 2, 2], [1, 2, 3]), "the outcome is the same in every row"),
    (of([1, 2, 4, 3], [1, 2, 3, 4], [0.98, 0.96, 0.94, 0.92], [0] * 4), "initial SD, initial mean follow from each"),
]


@pytest.mark.parametrize(("rows", "reason"), REASONS)
def test_an_undefined_model_says_why(rows, reason):
    model = (ALONE if rows["initial_mean"].isna().all() else HELD).fit(rows)
    assert model.slope is None and model.coefficients == {} and model.r_squared is None and model.correlation is None
    assert reason in model.reason and model.n == len(rows)
    json.dumps(dataclasses.asdict(model), allow_nan=False)


@pytest.mark.slow
def test_models_are_of_experiments_with_the_paper_s_method_alone_and_say_what_is_undefined():
    rows = whole()
    away = [experiment(name=f"x{i}", d=9.0 * i, seed=i, estimator__output="scalar") for i in range(9)]
    odd = [experiment(f"vgg:pool1:k=5:seed={i}", name=f"k5-{i}", d=9.0 * i) for i in range(9)]
    fitted = fit_models(table([*away, *rows, *odd]))
    assert fitted == fit_models(table(rows))
    assert [model.n for model in fitted.values()] == [25, 62, 62, 62, 37]
    found = json.loads(json.dumps(as_json(fitted), allow_nan=False))
    trend = found["layer_trend"]
    assert trend["beta"] == trend["coefficients"]["layer index"]["beta"] < 0
    assert "-0.13" in trend["paper"] and "1.67" in found["change_on_estimated"]["paper"]
    assert found["change_on_estimated"]["beta"] == pytest.approx(1.6)
    text = as_markdown(fit_models(table([experiment()])))
    assert text.count("| undefined | undefined | ") == 5
    assert "change in mean PIR on estimated change: 1 rows, but 2 coefficients need 3 or more." in text
    empty = as_json(fit_models(table([])))["layer_trend"]
    assert empty["beta"] is None and empty["coefficients"] == {}
    rows = [*whole(), experiment("vgg:pool1:filters=63", name="hole", measured={"estimated_change": None})]
    assert "1 runs have one of the numbers undefined" in as_markdown(fit_models(table(rows)))
