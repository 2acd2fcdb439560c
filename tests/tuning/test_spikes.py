"""Spikes of the PIR term's gradient: the running median and the scale, against NumPy, in both tuners."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import (
    KillAfter,
    arrays,
    assert_same,
    images_of,
    least_discriminator,
    least_estimator,
    least_generator,
)

from pir_tf.gan.train import optimizers
from pir_tf.training import fit
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.spikes import GradientLimit
from pir_tf.tuning.tuner import LIMITED, Tuner

SETTINGS = {"seed": 3, "pir_weight": 10.0}


def make(kind, limit=1.0, rate=1e-2):
    if kind == "tuner":
        networks = least_generator(), least_discriminator(), least_estimator()
        model = Tuner(*networks, pir_gradient_limit=limit, **SETTINGS)
        model.compile(*optimizers(rate, rate), run_eagerly=True)
    else:
        model = AnchoredTuner(
            least_generator(), least_estimator(), anchor_weight=5.0, pir_gradient_limit=limit, **SETTINGS
        )
        model.compile(optimizers(rate, rate)[0], run_eagerly=True)
    return model


def train(model, directory=None, steps=4, callbacks=()):
    data = images_of(4) if isinstance(model, Tuner) else np.zeros(4, np.float32)
    schedule = fit.Schedule(steps, 4, 1, 1, float("inf"), model.columns())
    fit.fit_resumable(
        model, lambda *_: tf.data.Dataset.from_tensors(data).repeat(), schedule, directory, {}, callbacks=callbacks
    )
    return arrays(model.state())


def by_hand(norms, factor):
    """Scales of gradients with these norms, and the median after them."""
    median, seen, scales = 0.0, 0, []
    for norm in norms:
        scales.append(factor * median / norm if median and norm > factor * median else 1.0)
        if norm > 0:
            seen += 1
            median = median * np.exp(max(0.05, 1 / seen) * np.sign(norm - median)) if median else norm
    return scales, median


@pytest.mark.parametrize("compiled", [False, True])
def test_the_scale_and_the_median_worked_by_hand(compiled):
    limit, rng = GradientLimit(2.0), np.random.default_rng(0)
    norms = np.exp(rng.normal(1, 2, 60))
    norms[[0, 7, 8, 30]] = 0.0

    def gradient(x, pull):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(limit(x) * pull)
        return tape.gradient(y, x)

    gradient, found = tf.function(gradient) if compiled else gradient, []
    for norm in norms:
        pull = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
        pull *= np.float32(norm / np.linalg.norm(pull))
        got = np.array(gradient(tf.zeros(pull.shape), tf.constant(pull)))
        found.append(float(limit.scale.numpy()))
        np.testing.assert_allclose(got, found[-1] * pull, rtol=1e-5, atol=1e-12)
    scales, median = by_hand(norms, 2.0)
    np.testing.assert_allclose(found, scales, rtol=1e-4)
    assert 0 < sum(scale < 1 for scale in scales) < 30
    assert float(limit.state()["pir_gradient_median"].numpy()) == pytest.approx(median, rel=1e-4)
    assert float(limit.state()["pir_gradient_seen"].numpy()) == 56


def test_the_tracker_finds_the_median():
    norms = np.exp(np.random.default_rng(1).standard_cauchy(4000).clip(-20, 20) + 3)
    medians = [by_hand(norms[:count], 3.0)[1] for count in range(3000, 4000, 50)]
    assert np.median(np.log(medians)) == pytest.approx(3, abs=0.2)


@pytest.mark.parametrize("kind", ["tuner", "anchored"])
def test_a_limited_step_worked_by_hand(kind):
    """With all but the PIR term off, the generator's update by plain gradient descent shrinks with the gradient at the images."""
    moved = {}
    for name, limit, median in (("free", 0.0, None), ("held", 1.5, 1e-4), ("high", 1.5, 1e4)):
        model = make(kind, limit)
        for weight in ("fools_weight", "fake_class_weight", "anchor_weight"):
            setattr(model, weight, 0.0)
        rates = [keras.optimizers.SGD(1.0) for _ in model.networks()]
        model.compile(*rates, run_eagerly=True)
        if median:
            model.state()["pir_gradient_median"].assign(median)
        z, labels = model.draw(4)
        before = [np.array(w) for w in model.generator.trainable_variables]
        images = model.generator([z, tf.one_hot(labels, 2)])
        with tf.GradientTape() as tape:
            tape.watch(images)
            pir = 10 * tf.reduce_mean(model.estimated_pir(images))
        norm = np.linalg.norm(tape.gradient(pir, images))
        data = images_of(4) if kind == "tuner" else (np.zeros(4),)
        logs = model.fit(*data, batch_size=4, verbose=0, shuffle=False).history
        moved[name] = [np.array(w) - b for w, b in zip(model.generator.trainable_variables, before, strict=True)]
        assert (LIMITED in logs) == bool(limit)
        if name == "held":
            assert logs[LIMITED] == pytest.approx([1.5e-4 / norm], rel=1e-4)
    for free, held, high in zip(*moved.values(), strict=True):
        np.testing.assert_allclose(held, free * 1.5e-4 / norm, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(high, free, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("kind", ["tuner", "anchored"])
def test_measures_of_the_gradient_are_not_limited_and_move_no_median(kind):
    limited, free = make(kind, 1.0), make(kind, 0.0)
    limited.state()["pir_gradient_median"].assign(1e-6)
    norms, same = (model.gradient_norms(4) for model in (limited, free))
    assert {name: float(norm) for name, norm in norms.items()} == {name: float(norm) for name, norm in same.items()}
    assert float(limited.state()["pir_gradient_seen"].numpy()) == 0
    assert not {"pir_gradient_median", "pir_gradient_seen"} & free.state().keys() and LIMITED not in free.columns()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tuner", "anchored"])
def test_a_killed_run_goes_on_with_its_median(kind, tmp_path):
    whole = train(make(kind), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(make(kind), tmp_path / "killed", callbacks=[KillAfter(2)])
    assert_same(whole, train(make(kind), tmp_path / "killed"))
    assert whole["pir_gradient_seen"] == 4
    logs = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1] and LIMITED in logs[0]
