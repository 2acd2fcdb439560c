"""Estimators of few answers: each cell is learnt from its own images and answers, and both methods from the same."""

import dataclasses

import numpy as np
import pytest
from eager import eagerly
from small_networks import small_discriminator, small_generator

from pir_tf.config import changed
from pir_tf.experiments import few_answers
from pir_tf.gan.saved import Networks
from pir_tf.presets import by_papers_method, laptop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def rows():
    config = by_papers_method("laptop")
    config = dataclasses.replace(
        config,
        gan=dataclasses.replace(config.gan, generator="train", latent_size=5),
        estimator=dataclasses.replace(config.estimator, steps=4, image_size=32),
    )
    networks = Networks(small_generator(), small_discriminator(), ("one", "two"))
    with eagerly():  # tracing takes longer than four steps
        yield list(few_answers.measured(config, networks, (20, 40), (1, 50), 30))


def test_each_method_has_a_row_for_each_number_of_images_and_impressions(rows):
    cells = [(row["method"], row["images"], row["impressions"]) for row in rows]
    assert cells == [(m, n, k) for m in ("bins", "linear") for n in (20, 40) for k in (1, 50)]
    linear = {
        (row["images"], row["impressions"]): row["mean_absolute_error"] for row in rows if row["method"] == "linear"
    }
    assert linear[40, 50] < linear[20, 1] and all(np.isfinite(list(linear.values())))


def test_the_table_has_the_rank_correlations(rows):
    lines = few_answers.table(rows).splitlines()
    assert lines[0] == "| estimator | images | 1 each | 50 each |" and len(lines) == 6
    assert lines[-1] == f"| linear | 40 | {rows[-2]['spearman']:.2f} | {rows[-1]['spearman']:.2f} |"


@pytest.mark.parametrize("words", [[], ["--seed", "1"], ["folder", "--gan.generator", "train"]])
def test_what_it_cannot_do_is_refused_in_a_sentence(words, capsys):
    assert few_answers.main(words) == 2
    assert "few-answers received" in capsys.readouterr().err


def test_where_the_configs_own_estimator_is_linear_the_papers_is_compared():
    found = few_answers.methods(laptop())
    assert found["bins"] == by_papers_method("laptop").estimator
    assert found["linear"] == laptop().estimator and len(found) == 2
    both = changed(laptop(), estimator={"grid": 2})
    assert few_answers.methods(both)["linear"] == both.estimator


@pytest.mark.parametrize(
    "fields",
    [{"bin_range": "data", "temperature": 1.0}, {"bin_loss": "binomial"}, {"output": "scalar", "scalar_start": "data"}],
)
def test_settings_of_another_output_are_not_the_linear_ones(fields):
    config = changed(by_papers_method("laptop"), estimator=fields)
    own, linear = few_answers.methods(config).values()
    assert own == config.estimator and (linear.output, linear.backbone) == ("linear", "discriminator")
    dataclasses.replace(config, estimator=linear)  # a config that can be


def test_answers_that_are_all_alike_are_a_cell_without_a_rank(monkeypatch):
    monkeypatch.setattr(few_answers, "unscaled_pir", lambda config, cache: lambda images: np.full(len(images), 1e-9))
    config = changed(by_papers_method("laptop"), gan={"generator": "train", "latent_size": 5})
    networks = Networks(small_generator(), small_discriminator(), ("one", "two"))
    found = list(few_answers.measured(config, networks, (20,), (1,), 30))
    assert [(row["spearman"], row["bias"]) for row in found] == [(None, pytest.approx(-1e-9))] * 2
    assert few_answers.table(found).splitlines()[-1] == "| linear | 20 | none |"
