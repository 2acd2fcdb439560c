"""Quality numbers worked by hand, and never NaN."""

import dataclasses
import json
import math
import types

import numpy as np
import pytest

from pir_tf import presets
from pir_tf.errors import InputError
from pir_tf.estimator import quality as quality_module
from pir_tf.estimator.model import estimate, with_pir
from pir_tf.estimator.quality import cross_validated_quality, estimator_quality, quality
from pir_tf.estimator.train import fit_estimator
from pir_tf.interactions.records import Interactions

SMALL = dataclasses.replace(presets.smoke().estimator, image_size=32, steps=3)


pytestmark = pytest.mark.usefixtures("eager_module")


def test_by_hand():
    found = quality([0.1, 0.2, 0.4, 0.3], [0.2, 0.2, 0.3, 0.6])
    # Ranks 1 2 4 3 and 1.5 1.5 3 4: covariance 3.5 / 3, variances 5/3 and 4.5/3.
    assert found["spearman"] == pytest.approx(3.5 / np.sqrt(5 * 4.5))
    assert found["mean_absolute_error"] == pytest.approx((0.1 + 0 + 0.1 + 0.3) / 4)
    assert found["bias"] == pytest.approx(0.25 - 0.325)
    assert found["sd_predicted"] == pytest.approx(np.sqrt(0.05 / 3))
    assert found["n"] == 4 and found["undefined"] == {}
    assert [group["mean_predicted"] for group in found["calibration"]] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert [group["mean_true"] for group in found["calibration"]] == pytest.approx([0.2, 0.2, 0.6, 0.3])
    predicted = np.random.default_rng(0).permutation(1000)
    ten = quality(predicted, predicted / 2)["calibration"]  # groups of equal size
    expected = [{"count": 100, "mean_predicted": p, "mean_true": p / 2} for p in np.arange(49.5, 1000, 100)]
    assert ten == [pytest.approx(group) for group in expected]


@pytest.mark.parametrize(
    ("predicted", "true", "undefined"),
    [
        ([], [], {"bias", "mean_absolute_error", "sd_predicted", "sd_true", "spearman"}),
        ([0.5], [0.2], {"sd_predicted", "sd_true", "spearman"}),
        ([0.5, 0.5], [0.2, 0.3], {"spearman"}),
        ([0.5, 0.6], [0.2, 0.2], {"spearman"}),
        ([0.5, np.nan], [0.2, 0.3], {"bias", "mean_absolute_error", "sd_predicted", "spearman"}),
    ],
)
def test_undefined_is_none_with_a_reason(predicted, true, undefined):
    found = quality(predicted, true)
    assert set(found["undefined"]) == undefined and all(found[name] is None for name in undefined)
    json.dumps(found, allow_nan=False)
    assert quality([*predicted, 0.9], [*true, np.nan]) == found  # an image without a PIR is left out
    with pytest.raises(InputError, match="equal length"):
        quality([0.1], [0.1, 0.2])


def test_quality_of_an_estimator_at_both_temperatures(few):
    images, interactions = few
    estimator = fit_estimator(images, interactions, SMALL, seed=0)
    found = estimator_quality(estimator, images, interactions.pir, SMALL)
    assert found["temperature"] == 0.01 and found["saved_as"] == "keras"
    for name, temperature in (("at_temperature_1", 1.0), ("at_temperature", 0.01)):
        of_the_saved = estimate(with_pir(estimator.network, estimator.head, temperature=temperature), images)
        expected = quality(of_the_saved, interactions.pir)
        for measure in ("n", "bias", "mean_absolute_error", "sd_predicted", "spearman"):
            assert found[name][measure] == pytest.approx(expected[measure], rel=1e-4)
    assert found["at_temperature_1"] != found["at_temperature"]


def test_ranks_of_estimates_that_know_nothing_are_no_worse_than_chance(few, monkeypatch):
    """Each fold's estimate is the mean of the other answers, which is low where those left out are high."""
    rng, found = np.random.default_rng(0), []
    images = np.repeat(few[0], 2, axis=0)[:60]
    blind = types.SimpleNamespace(pir_model=None, saved_model=lambda: None)
    for seed in range(20):
        answers = Interactions([f"{i}" for i in range(60)], np.zeros(60, int), np.ones(60, int), rng.integers(0, 2, 60))
        said = {}
        monkeypatch.setattr(
            quality_module, "fit_estimator", lambda i, a, *_, said=said, **__: said.update(m=a.pir.mean()) or blind
        )
        guess = lambda _, i, c, said=said: np.tile(said["m"] + 0.01 * rng.standard_normal(len(i)), (2, 1))  # noqa: E731
        monkeypatch.setattr(quality_module, "_estimates", guess)
        monkeypatch.setattr(quality_module, "is_stock", lambda model: True)
        result = cross_validated_quality(images, answers, SMALL, seed=seed)["at_temperature"]
        found.append((result["spearman"], result["mean_absolute_error"]))
    ranks, errors = np.array(found).T
    assert abs(ranks.mean()) < 3 * ranks.std() / math.sqrt(20) and errors.mean() > 0.49


def test_ranks_are_within_the_last_round(few):
    answers = few[1]
    rounds = np.arange(len(answers)) % 2 + 1
    both = dataclasses.replace(answers, round=rounds)
    found = cross_validated_quality(few[0], both, dataclasses.replace(SMALL, steps=2), seed=0, folds=2)[
        "at_temperature"
    ]
    assert found["n"] == len(answers) and found["spearman"] is not None
    one = dataclasses.replace(answers, round=np.where(np.arange(len(answers)), 1, 2))
    last = cross_validated_quality(few[0], one, dataclasses.replace(SMALL, steps=2), seed=0, folds=2)["at_temperature"]
    assert last["undefined"]["spearman"] == "there is one image only" and last["n"] == len(answers)


@pytest.mark.slow
def test_cross_validation_uses_each_rated_image_once(few):
    images, interactions = few
    found = cross_validated_quality(images, interactions, SMALL, seed=0, folds=2)
    assert found["folds"] == 2 and found["at_temperature"]["n"] == len(images)
    with pytest.raises(InputError, match="folds"):
        cross_validated_quality(images, interactions, SMALL, seed=0, folds=len(images) + 1)
