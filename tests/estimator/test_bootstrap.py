"""The doubt of bins and of a scalar: eight readouts of resampled images, in the file, in tuning and nowhere else."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_helpers import call

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import bootstrap, train
from pir_tf.estimator.frozen import fast_frozen
from pir_tf.estimator.linear import objective
from pir_tf.estimator.model import LOGITS, estimate, load_estimator, load_saved, save_estimator
from pir_tf.images import to_float
from pir_tf.interactions.records import Interactions

HEAD = EstimatorConfig(
    weights="none", layer="mixed0", image_size=75, trainable="head", steps=6, batch_size=16, learning_rate=1e-2
)
OUTPUTS = {
    "bins": dataclasses.replace(HEAD, bin_range="data", temperature=1.0, pessimism=2.0),
    "scalar": dataclasses.replace(HEAD, output="scalar", pessimism=2.0),
}


@pytest.fixture(scope="module", params=["bins", pytest.param("scalar", marks=pytest.mark.nightly)])
def fitted(request, few):
    """The estimator, its config, and the features of its images."""
    remembered = []

    def features(backbone, images):
        remembered.append(train.backbone_features(backbone, images))
        return remembered[-1]

    config = OUTPUTS[request.param]
    return train.fit_estimator(*few, config, seed=3, features=features), config, remembered[0]


def by_hand(number, config, features, images, answers):
    """A readout that is trained alone, as the head of its own images."""
    rows, seed = list(bootstrap.resampled(len(images), seed=3))[number]
    columns = {field.name: getattr(answers, field.name)[rows] for field in dataclasses.fields(answers)}
    own = Interactions(**{**columns, "image_id": [f"{place:04d}" for place in range(len(rows))]})
    plain = dataclasses.replace(config, pessimism=0.0)
    one = train.fit_estimator(images[rows], own, plain, seed=seed, features=lambda *_: features[rows])
    return one.network.get_layer(LOGITS).get_weights()


def test_readouts_are_of_other_images_each():
    rows = [rows for rows, _ in bootstrap.resampled(200, seed=0)]
    assert len(rows) == 8 and all(len(one) == 200 for one in rows)
    assert [0.55 < len(set(one)) / 200 < 0.72 for one in rows] == [True] * 8  # 1 - 1/e
    assert len({tuple(one) for one in rows}) == 8
    seeds = [seed for _, seed in bootstrap.resampled(200, seed=0)]
    assert len(set(seeds)) == 8 and seeds != [seed for _, seed in bootstrap.resampled(200, seed=1)]


@pytest.mark.slow
def test_the_doubt_is_the_spread_of_the_readouts_and_the_mean_the_first_ones(fitted, few):
    estimator, config, features = fitted
    rated = np.flatnonzero(few[1].rated)
    images, answers = few[0][rated], few[1].select(rated)
    pir, sd = (np.asarray(part)[:, 0] for part in estimator.saved_model()(to_float(images), training=False))
    alone = train.fit_estimator(*few, dataclasses.replace(config, pessimism=0.0), seed=3)
    np.testing.assert_array_equal(estimate(estimator, images), estimate(alone, images))
    np.testing.assert_allclose(pir, estimate(alone, images), atol=1e-6)
    assert len(alone.saved_model().outputs) == 1
    kernel, bias = estimator.saved_model().get_layer("replicate_logits").get_weights()
    logits = (features @ kernel + bias).reshape(len(images), 8, -1)
    each = np.asarray(estimator.head.pir(logits, config.temperature)).reshape(len(images), 8)
    np.testing.assert_allclose(sd, np.sqrt(np.var(each, axis=1, ddof=1) + 1e-8), rtol=1e-3)
    if config.output == "scalar":  # whose readouts need no bins of all images
        own, start = by_hand(5, config, features, images, answers)
        np.testing.assert_allclose(kernel[:, 5:6], own, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(bias[5:6], start, rtol=1e-4)
    assert (sd > 1e-3).all()


@pytest.mark.slow
def test_tuning_climbs_the_estimate_less_its_doubt_in_both_forms(fitted, few):
    estimator, config, _ = fitted
    images = tf.constant(to_float(few[0][:5]))
    pir, sd = estimator.saved_model()(images, training=False)
    climbed = objective(estimator.saved_model(), config.pessimism)
    np.testing.assert_allclose(climbed(images, training=False), pir - 2 * sd, atol=1e-6)
    fast = fast_frozen(keras.Model(climbed.input, climbed.output))
    grads = []
    for form in (lambda x: climbed(x, training=False), fast):
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = tf.reduce_sum(form(images))
        grads.append((value.numpy(), tape.gradient(value, images).numpy()))
    np.testing.assert_allclose(grads[1][0], grads[0][0], rtol=1e-4)
    np.testing.assert_allclose(grads[1][1], grads[0][1], atol=1e-3 * np.abs(grads[0][1]).max())
    assert np.abs(grads[0][1]).max() > 0


@pytest.mark.slow
def test_the_file_has_both_and_serves_the_estimate_and_a_second_round_goes_on_from_it(fitted, few, tmp_path):
    estimator, config, _ = fitted
    path = save_estimator(estimator, tmp_path)
    saved, served, images = load_saved(path), load_estimator(path), to_float(few[0][:5])
    for there, here in zip(saved(images, training=False), estimator.saved_model()(images, training=False), strict=True):
        np.testing.assert_array_equal(there, here)
    np.testing.assert_array_equal(call(served, images)[:, 0], estimate(estimator, few[0][:5]))
    again = train.fit_estimator(*few, dataclasses.replace(config, steps=1, learning_rate=1e-9), seed=5, initial=path)
    np.testing.assert_allclose(estimate(again, few[0]), estimate(estimator, few[0]), atol=1e-4)
    spread = again.saved_model()(images, training=False)[1]  # all go on from one readout
    assert (np.asarray(spread) < 2e-3).all()


def test_features_that_are_trained_have_no_such_doubt():
    with pytest.raises(InputError, match="estimator.pessimism .* or --estimator.trainable head"):
        EstimatorConfig(pessimism=1.0)
    with pytest.raises(InputError, match="estimator.pessimism"):
        dataclasses.replace(HEAD, layer="", weights="hub:somewhere", pessimism=1.0)
    with pytest.raises(InputError, match="estimator.pessimism"):
        dataclasses.replace(HEAD, pessimism=-1.0)
