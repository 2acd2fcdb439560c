"""The paper's models beside its numbers, and the page in words over the figures."""

import json

import pytest
from many_rows import experiment, whole
from scipy import stats

from pir_tf.paper.figures.list import draw_all, write_tables
from pir_tf.paper.figures.page import index
from pir_tf.paper.models import as_json, as_markdown, fit_models


def test_models_are_of_experiments_with_the_paper_s_method_alone():
    rows = whole()
    away = [experiment(name=f"x{i}", d=9.0 * i, seed=i, estimator__output="scalar") for i in range(9)]
    odd = [experiment(f"vgg:pool1:k=5:seed={i}", name=f"k5-{i}", d=9.0 * i) for i in range(9)]
    fitted = fit_models([*away, *rows, *odd])
    assert fitted == fit_models(rows)
    assert {name: model.n for name, model in fitted.items()} == {
        "layer_trend": 25,
        "change_on_estimated": 62,
        "change_on_spread": 62,
        "change_on_spread_alone": 62,
        "effect_on_nonzero": 37,
    }
    line = stats.linregress([row["initial_sd"] for row in rows], [row["change"] for row in rows])
    assert fitted["change_on_spread_alone"].r_squared == pytest.approx(line.rvalue**2)


def test_models_json_has_the_slope_at_the_top_and_the_paper_s_number_beside_it():
    found = json.loads(json.dumps(as_json(fit_models(whole())), allow_nan=False))
    trend = found["layer_trend"]
    assert trend["beta"] == trend["coefficients"]["layer index"]["beta"] < 0
    assert trend["interval"][0] < trend["beta"] < trend["interval"][1]
    assert trend["t"] == pytest.approx(trend["beta"] / trend["standard_error"])
    assert "-0.13" in trend["paper"] and "1.67" in found["change_on_estimated"]["paper"]
    assert found["change_on_estimated"]["beta"] == pytest.approx(1.6)


def test_the_table_says_what_is_undefined_and_why():
    text = as_markdown(fit_models([experiment()]))
    assert text.count("| undefined | undefined | ") == 5
    assert "change in mean PIR on estimated change: 1 rows, but 2 coefficients need 3 or more." in text
    found = as_json(fit_models([]))
    assert found["layer_trend"]["beta"] is None and found["layer_trend"]["coefficients"] == {}
    json.dumps(found, allow_nan=False)
    rows = [*whole(), experiment("color:blue", name="hole", seed=9, measured={"estimated_change": None})]
    assert "1 runs have one of the numbers undefined" in as_markdown(fit_models(rows))


def page(tmp_path, rows, notes=()):
    write_tables(tmp_path, rows, {}, seed=0)
    return index(rows, draw_all(tmp_path), fit_models(rows), command="pir-tf figures runs", notes=notes)


def test_the_page_counts_tasks_and_names_what_is_missing(tmp_path):
    text = page(tmp_path, whole(), notes=["x has no results yet."])
    assert text.startswith("# Figures and models over 62 experiments\n")
    assert "| Colours: single | 3 | 3 | 0 | 0 | +3.01 |" in text
    assert "| Colours: three | 3 | 0 | 0 | 3 | +0.13 |" in text
    assert "No runs of VGG16, single filters (fc6, fc7, fc8); VGG16, 20 filters at once (fc6, fc7, fc8)." in text
    assert "- x has no results yet." in text
    for name in ("figure-2", "figure-3", "figure-8", "trade-off", "ablations"):
        assert f"({name}.png)" in text and f"[{name}.csv]({name}.csv)" in text
    assert "nan" not in text.lower().split() and "None" not in text


def test_the_page_says_which_experiments_are_not_in_the_figures(tmp_path):
    rows = [
        experiment(),
        experiment(name="w", tuning__pir_weight=30.0),
        experiment(name="t", estimator__temperature=1.0),
        experiment(name="t2", seed=2, estimator__temperature=1.0),
        experiment("vgg:pool1:k=5"),
        experiment(name="again", preset="smoke"),
    ]
    text = page(tmp_path, rows)
    assert "1 experiment with another pir_weight than the paper's" in text
    assert "2 experiments with another temperature than the paper's" in text
    assert "1 experiment with objectives that the paper has not" in text
    assert "1 experiment with an objective and seed that another run stands for" in text
    assert "of several presets, so not all alike: laptop 5, smoke 1." in text


def test_the_page_of_one_run(tmp_path):
    text = page(tmp_path, [experiment()])
    assert "over 1 experiment\n" in text and "Not in these figures" not in text and "Preset: laptop." in text
