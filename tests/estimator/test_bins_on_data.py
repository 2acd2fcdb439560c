"""Bins on the observed PIRs, the binomial mixture as their loss, and a scalar that begins at the mean: not the paper's."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from estimator_helpers import answers, blueness, save_hub_module, smooth_images
from scipy import special, stats

from pir_tf import presets
from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import estimate, load_estimator, save_estimator
from pir_tf.estimator.quality import cross_validated_quality
from pir_tf.estimator.train import fit_estimator
from pir_tf.interactions.records import Interactions

SMALL = dataclasses.replace(presets.smoke().estimator, image_size=32, steps=12, batch_size=16, learning_rate=3e-3)
ON_DATA = dataclasses.replace(SMALL, bin_range="data", bin_loss="binomial", temperature=1.0)
FROM_MEAN = dataclasses.replace(SMALL, output="scalar", scalar_start="data")
STILL = {"steps": 1, "learning_rate": 1e-12}


pytestmark = pytest.mark.usefixtures("eager_module")


def log_p(logits):
    return logits - special.logsumexp(logits, axis=1, keepdims=True)


def mixture(logits, n, x, head=Bins(7, 0.1, 0.4, binomial=True)):  # noqa: B008, frozen
    return head.loss(logits, tf.constant([n] * len(logits)), tf.constant([x] * len(logits)))


def test_centres_and_edges_of_a_range_by_hand():
    head = Bins(4, 0.2, 0.6)
    assert head.centers() == pytest.approx([0.25, 0.35, 0.45, 0.55])
    shown, liked = np.array([(n, x) for n in range(1, 121) for x in range(n + 1)]).T
    found = head.index(tf.constant(shown), tf.constant(liked)).numpy()
    exact = [(Fraction(int(x), int(n)) - Fraction(1, 5)) * 10 // 1 for n, x in zip(shown, liked, strict=True)]
    assert found.tolist() == np.clip(exact, 0, 3).tolist()  # a PIR outside is in the bin next to it, 0.6 in the last
    assert head.index(tf.constant([0]), tf.constant([0])).numpy() == [0]


@pytest.mark.parametrize(("n", "x"), [(1, 0), (1, 1), (1000, 0), (1000, 210), (10**6, 333_333), (10**6, 10**6)])
def test_the_mixture_is_scipys(n, x):
    logits = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
    centers = 0.1 + 0.3 * (np.arange(7) + 0.5) / 7
    expected = -special.logsumexp(log_p(logits.astype(float)) + stats.binom.logpmf(x, n, centers), axis=1).mean()
    assert float(mixture(tf.constant(logits), n, x)) == pytest.approx(expected, rel=1e-6)
    if n == 1:  # the mean of the bins is all that one answer can be about
        mean = np.exp(log_p(logits.astype(float))) @ centers
        assert expected == pytest.approx(-np.log(mean if x else 1 - mean).mean())


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e-30), (1 - 2**-53, 1.0), (0.3, 0.4)])
@pytest.mark.parametrize("x", [0, 2**53])
def test_the_mixture_stays_finite_and_so_does_its_gradient(low, high, x):
    logits = tf.constant([[0.0, 1000.0, -1000.0]])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = mixture(logits, 2**53, x, Bins(3, low, high, binomial=True))
    assert np.isfinite([found.numpy(), *tape.gradient(found, logits).numpy()[0]]).all()


def test_the_mixture_takes_fractions_and_leaves_unseen_images_out():
    logits = tf.constant(np.random.default_rng(1).normal(size=(2, 7)).astype(np.float32))
    head = Bins(7, binomial=True)
    loss = lambda n, x: float(head.loss(logits, tf.constant(n), tf.constant(x)))  # noqa: E731
    whole, half = loss([4, 0], [1, 0]), loss([4.0, 0.0], [1.5, 0.0])
    assert whole == pytest.approx(float(mixture(logits[:1], 4, 1, head))) and loss([0, 0], [0, 0]) == 0
    assert np.isfinite(half) and half != pytest.approx(whole)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"bin_range": "data"}, "estimator.temperature is 0.01, expected 1 with --estimator.bin-range data"),
        (
            {"bin_range": "data", "output": "scalar"},
            "bin_range is 'data', expected unit without --estimator.output bins",
        ),
        (
            {"bin_loss": "binomial", "output": "linear"},
            "bin_loss is 'binomial', expected one_hot without .*output bins",
        ),
        ({"scalar_start": "data"}, "scalar_start is 'data', expected half without --estimator.output scalar"),
        ({"bin_range": "wide"}, "expected unit or data"),
        ({"bin_loss": "squared"}, "expected one_hot or binomial"),
        ({"scalar_start": "zero"}, "expected half or data"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_config(fields, said):
    with pytest.raises(InputError, match=said):
        EstimatorConfig(**fields)


@pytest.mark.slow
def test_a_fold_without_the_one_image_that_people_liked_estimates_what_the_others_got(few):
    shown = Interactions([f"{i}" for i in range(6)], np.zeros(6, int), np.full(6, 2), [0, 0, 2, 0, 0, 0])
    config = dataclasses.replace(ON_DATA, steps=1)
    assert cross_validated_quality(few[0][:6], shown, config, seed=0, folds=3)["at_temperature"]["n"] == 6


@pytest.mark.parametrize(("config", "liked"), [(ON_DATA, 3), (FROM_MEAN, 0), (FROM_MEAN, 10)])
def test_answers_that_are_all_alike_leave_no_range_and_no_start(few, config, liked):
    alike = Interactions([f"{i}" for i in range(48)], np.zeros(48, int), np.full(48, 10), np.full(48, liked))
    with pytest.raises(
        InputError, match=f"All 48 answered images have the .*PIR, {liked / 10:g}|the PIR {liked / 10:g};"
    ):
        fit_estimator(few[0], alike, config, seed=0)
    with pytest.raises(InputError, match="lower first"):
        Bins(3, 0.4, 0.4)


@pytest.mark.slow
def test_an_estimator_on_data_is_trained_saved_and_measured_in_its_range(few, tmp_path):
    images, shown = few
    estimator = fit_estimator(images, shown, ON_DATA, seed=0)
    low, high = shown.pir.min(), shown.pir.max()
    assert estimator.head == Bins(100, low, high, binomial=True)
    losses, found = estimator.history.history["loss"], estimate(estimator, images)
    assert losses[-1] < losses[0] and low < found.min() < found.max() < high
    assert np.array_equal(estimate(load_estimator(save_estimator(estimator, tmp_path)), images), found)
    measured = cross_validated_quality(images, shown, dataclasses.replace(ON_DATA, steps=3), seed=0, folds=2)
    assert measured["at_temperature"] == measured["at_temperature_1"] and measured["at_temperature"]["n"] == 48


@pytest.mark.slow
@pytest.mark.parametrize("first", [ON_DATA, SMALL], ids=["data", "unit"])
def test_a_second_round_goes_on_in_the_range_of_all_answers(few, first, tmp_path):
    first = dataclasses.replace(first, temperature=1.0, steps=30, learning_rate=presets.smoke().estimator.learning_rate)
    before = fit_estimator(*few, first, seed=0)
    new = smooth_images(8, seed=7)
    both = np.concatenate([few[0], new])
    liked = np.append(few[1].positives, [*[1000] * 4, *few[1].positives[:4]])  # beyond what was observed
    shown = Interactions([f"{i}" for i in range(56)], np.zeros(56, int), np.full(56, 1000), liked)
    after = fit_estimator(
        both, shown, dataclasses.replace(ON_DATA, **STILL), seed=5, initial=save_estimator(before, tmp_path)
    )
    assert (after.head.low, after.head.high) == (few[1].pir.min(), 1)
    expected, found = (estimate(one, both) for one in (before, after))
    if first.bin_range == "data":  # the untouched bins of [0, 1] below the range are gone, and their probability
        assert np.abs(found - expected).max() < 0.02
    assert stats.spearmanr(found, expected).statistic > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("config", [ON_DATA, FROM_MEAN], ids=["bins", "scalar"])
def test_heads_on_frozen_features_of_a_saved_model_too(few, config, tmp_path):
    folder = save_hub_module(tmp_path / "module", size=96)
    hub = {"backbone": "inception_v3", "weights": f"hub:{folder}", "image_size": 96, "trainable": "head"}
    start = fit_estimator(*few, dataclasses.replace(config, **hub, **STILL), seed=0)
    mean = few[1].pir.mean() if config is FROM_MEAN else (few[1].pir.min() + few[1].pir.max()) / 2
    assert estimate(start, few[0]) == pytest.approx(np.full(48, mean), rel=1e-5)
    trained = fit_estimator(*few, dataclasses.replace(config, **hub, learning_rate=0.01), seed=0)
    again = dataclasses.replace(config, **hub, **STILL)
    path = save_estimator(trained, tmp_path)
    found = estimate(fit_estimator(*few, again, seed=1, initial=path), few[0])
    assert found == pytest.approx(estimate(trained, few[0]), rel=1e-3) and np.ptp(found) > 0.001


def test_a_scalar_begins_at_the_mean_of_the_images_that_were_answered():
    images = smooth_images(20, seed=3)
    shown = answers(blueness(images))
    counts = np.where(np.arange(20) < 5, 0, shown.impressions)
    some = Interactions(shown.image_id, shown.class_index, counts, np.minimum(shown.positives, counts))
    start = fit_estimator(images, some, dataclasses.replace(FROM_MEAN, **STILL), seed=0)
    assert estimate(start, images) == pytest.approx(np.full(20, shown.pir[5:].mean()), rel=1e-5)
