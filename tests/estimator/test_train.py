"""Training: seeds, batches, images without answers, the head on features, first weights from a saved estimator."""

import dataclasses
import os
import warnings

import keras
import numpy as np
import pytest
from estimator_helpers import answers, blueness, call, left_red_right_blue, smooth_images
from scipy import stats
from small_networks import KillAfter

from pir_tf import presets
from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import backbones, train
from pir_tf.estimator.heads import head_of
from pir_tf.estimator.model import LOGITS, PIREstimator, build_network, estimate, save_estimator
from pir_tf.images import to_float
from pir_tf.interactions.records import Interactions

CONFIG = dataclasses.replace(presets.smoke().estimator, image_size=32, steps=5, batch_size=16)
ON_DATA = dataclasses.replace(CONFIG, bin_range="data", bin_loss="binomial", temperature=1.0)
HEAD = EstimatorConfig(
    weights="none", layer="mixed0", image_size=75, trainable="head", steps=30, batch_size=16, learning_rate=1e-2
)


def weights_of(estimator):
    return estimator.network.get_weights()


def equal(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


class Steps(keras.callbacks.Callback):
    """Counts steps, and notes how many were done at the start."""

    def __init__(self):
        super().__init__()
        self.seen, self.first = 0, None

    def on_train_begin(self, logs=None):
        self.first = int(self.model.step)

    def on_train_batch_end(self, batch, logs=None):
        self.seen += 1


def test_loss_falls_and_begins_where_nothing_is_known(few):
    config = dataclasses.replace(CONFIG, steps=60)
    losses = train.fit_estimator(*few, config, seed=0).history.history["loss"]
    assert len(losses) == 20 and np.isfinite(losses).all()
    assert 4.0 < losses[0] < 4.7 and losses[-1] < 0.8 * losses[0]  # log 100 is 4.6


@pytest.mark.parametrize("temperature", [0.01, 0.5])
@pytest.mark.usefixtures("eager")
def test_the_temperature_of_use_is_the_configs_and_training_has_none(few, temperature):
    """C.3: a softmax at T = 1 is trained, and used at 0.01."""
    fitted = train.fit_estimator(*few, dataclasses.replace(CONFIG, temperature=temperature), seed=0)
    trained_at_1 = train.fit_estimator(*few, dataclasses.replace(CONFIG, temperature=1.0), seed=0)
    assert equal(weights_of(fitted), weights_of(trained_at_1))
    images = to_float(few[0][:6])
    logits = call(fitted.network, images)
    logits = logits[LOGITS] if isinstance(logits, dict) else logits
    expected = np.asarray(fitted.head.pir(logits, temperature))[:, 0]
    assert np.allclose(call(fitted, images), expected, atol=1e-6)
    assert not np.allclose(call(fitted, images), call(trained_at_1, images), atol=1e-4)


@pytest.fixture(params=["all", pytest.param("head", marks=pytest.mark.slow)])
def config(request, large_hub):
    head = {"backbone": "inception_v3", "weights": f"hub:{large_hub}", "image_size": 96, "trainable": "head"}
    return dataclasses.replace(CONFIG, **head) if request.param == "head" else ON_DATA


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_a_killed_and_resumed_run_equals_an_unbroken_one(few, tmp_path, config):
    config = dataclasses.replace(config, steps=8, checkpoint_every=2)
    counters, options = [Steps() for _ in range(3)], {"seed": 1, "directory": tmp_path}
    straight = train.fit_estimator(*few, config, seed=1, callbacks=counters[:1])
    with pytest.raises(KeyboardInterrupt):
        train.fit_estimator(*few, config, callbacks=[KillAfter(7)], **options)
    kept = sorted(path.name for path in (tmp_path / "checkpoints").glob("step-*"))
    assert kept == ["step-000000003.npz", "step-000000006.npz"]  # 48 images in batches of 16: 3 an epoch
    for counter in counters[1:]:
        resumed = train.fit_estimator(*few, config, callbacks=[counter], **options)
        assert equal(weights_of(straight), weights_of(resumed))
    assert [(counter.first, counter.seen) for counter in counters] == [(0, 8), (6, 2), (8, 0)]
    field, value = ("bin_range", "unit") if config.bin_range == "data" else ("learning_rate", 2 * config.learning_rate)
    with pytest.raises(InputError, match=rf"differs in estimator.{field} \("):
        train.fit_estimator(*few, dataclasses.replace(config, **{field: value}), **options)
    with pytest.raises(InputError, match="differs in images and counts"):
        train.fit_estimator(few[0][::-1], few[1], config, **options)


def test_what_does_not_belong_together_is_refused(few):
    images, interactions = few
    with pytest.raises(InputError, match="47 images and 48 rows of interactions"):
        train.fit_estimator(images[1:], interactions, CONFIG, seed=0)
    nothing = dataclasses.replace(interactions, impressions=np.zeros(48, np.int64), positives=np.zeros(48, np.int64))
    with pytest.raises(InputError, match="None of the 48 images has impressions"):
        train.fit_estimator(images, nothing, CONFIG, seed=0)
    with pytest.raises(InputError, match="expected uint8"):
        train.fit_estimator(to_float(images), interactions, CONFIG, seed=0)


def test_batches_are_one_permutation_after_another():
    order = train.batch_order(10, 4, 10, seed=3)
    assert order.shape == (10, 4) and order.dtype == np.int32
    for epoch in order.reshape(4, 10):
        assert sorted(epoch) == list(range(10))
    assert np.array_equal(train.batch_order(10, 4, 3, seed=3), order[:3])
    assert not np.array_equal(train.batch_order(10, 4, 10, seed=4), order)
    assert train.batch_order(3, 8, 2, seed=0).shape == (2, 8)  # more images in a batch than there are


def test_images_with_impressions_reach_the_network_as_they_are(few, monkeypatch):
    """No flip, crop or noise: each row of a batch is one of the images, and the one of its counts."""
    images, interactions = few
    rows = np.sort(np.random.default_rng(1).permutation(68)[:48])  # 20 other images were never shown
    more, shown, liked = smooth_images(68, seed=9), np.zeros(68, int), np.zeros(68, int)
    more[rows], shown[rows], liked[rows] = images, interactions.impressions, interactions.positives
    seen = []

    def fit(estimator, data, **options):
        seen.extend((x.numpy(), y.numpy()) for x, y in data.take(6))

    monkeypatch.setattr(PIREstimator, "fit", fit)
    with_others = Interactions([f"{index:04}" for index in range(68)], np.zeros(68, int), shown, liked)
    train.fit_estimator(more, with_others, CONFIG, seed=0)
    known = {image.tobytes(): row for row, image in enumerate(to_float(images))}
    rows = np.array([[known[image.tobytes()] for image in batch] for batch, _ in seen])
    assert np.array_equal(rows[:5], train.batch_order(48, 16, 5, seed=0))
    counts = np.stack([interactions.impressions, interactions.positives], axis=1)
    assert all(np.array_equal(counts[batch], given) for batch, (_, given) in zip(rows, seen, strict=True))


@pytest.mark.nightly
def test_many_estimators_give_no_warning(few, caplog, monkeypatch):
    """Neither Keras on the order of batches nor TensorFlow on graphs traced anew, of whatever network."""
    monkeypatch.setattr(backbones, "COMPACT_FILTERS", (4,))
    with warnings.catch_warnings(action="error"):
        for seed in range(6):
            estimate(train.fit_estimator(*few, CONFIG, seed=seed), few[0])
    assert "retracing" not in caplog.text


@pytest.mark.usefixtures("narrow_inception")
def test_head_leaves_the_backbone_and_is_the_network_on_images(few):
    images = to_float(few[0])
    first, head = build_network(HEAD, seed=2), train.fit_estimator(*few, HEAD, seed=2)
    before, after = (model.get_layer("inception_v3").get_weights() for model in (first, head.network))
    assert equal(before, after)
    kernel, bias = head.network.get_layer(LOGITS).get_weights()
    assert np.abs(kernel).max() > 0
    features = call(keras.Model(first.input, first.get_layer("features").output), images)
    np.testing.assert_allclose(features @ kernel + bias, call(head.network, images), atol=2e-3)
    losses = head.history.history["loss"]
    assert losses[-1] < losses[0]
    # The loss that training saw on features is the network's own on images.
    counts = np.stack([few[1].impressions, few[1].positives], axis=1)
    head.compile()
    assert head.evaluate(images, counts, verbose=0, batch_size=48) < losses[0]


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_training_goes_on_from_first_weights(few, tmp_path, config):
    trained = train.fit_estimator(*few, config, seed=1)
    path = save_estimator(trained, tmp_path)
    network = build_network(config, seed=2)
    train.restore(network, path)
    assert equal(network.get_weights(), weights_of(trained))
    tiny = dataclasses.replace(config, learning_rate=1e-12, steps=1)
    again = train.fit_estimator(*few, tiny, seed=2, initial=path)
    found, expected = (call(each.network, to_float(few[0])) for each in (again, trained))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("other", [{"bins": 10}, {"output": "scalar"}, {"image_size": 64}])
def test_initial_of_another_network_is_refused_and_changes_nothing(tmp_path, other):
    path = save_estimator(PIREstimator(build_network(CONFIG, seed=1), head_of(CONFIG)), tmp_path)
    network = build_network(dataclasses.replace(CONFIG, **other), seed=2)
    before = network.get_weights()
    with pytest.raises(InputError, match="expected the same network"):
        train.restore(network, path)
    assert equal(before, network.get_weights())


def held_out(config, rate, *, count, new=100, size=64):
    """Rank correlation of the estimates with the true PIR on images that the estimator never saw."""
    images, new = smooth_images(count, seed=100, size=size), smooth_images(new, seed=200, size=size)
    estimator = train.fit_estimator(images, answers(rate(images)), config, seed=0)
    return stats.spearmanr(estimate(estimator, new), rate(new)).statistic


@pytest.mark.slow
@pytest.mark.parametrize(("output", "step"), [("bins", 1), ("scalar", -1)])
def test_compact_learns_which_colour_is_on_which_side_and_mirrored(output, step):
    config = dataclasses.replace(presets.by_papers_method("laptop").estimator, output=output, image_size=32, steps=100)
    assert held_out(config, lambda images: left_red_right_blue(images[:, :, ::step]), count=300, size=32) > 0.8


@pytest.mark.slow
def test_real_features_predict_blue():
    shared = os.environ.get("PIR_TF_SHARED")
    if not shared:
        pytest.skip("PIR_TF_SHARED names no folder with weights/inception_v3_notop.weights.h5")
    weights = f"file:{shared}/weights/inception_v3_notop.weights.h5"
    real = dataclasses.replace(HEAD, weights=weights, layer="mixed2", image_size=96, input_range=(0.0, 1.0))
    assert held_out(dataclasses.replace(real, steps=150), blueness, count=60, new=40) > 0.7
