"""One step on one replica and on two, with the same global batch: equal weight changes and equal logs."""

import keras
import numpy as np
import pytest
import small_networks
import tensorflow as tf
from keras import layers
from small_networks import images_of, small_estimator, small_generator

from pir_tf.estimator.heads import Bins, Scalar
from pir_tf.estimator.model import PIREstimator
from pir_tf.gan.acgan import ACGAN
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.tuner import Tuner

pytestmark = pytest.mark.slow
BATCH = 6
TERMS = {
    "fools": {"fools_weight": 1.0, "fake_class_weight": 0.0},
    "fake class": {"fools_weight": 0.0, "fake_class_weight": 1.5},
    "real class": {"fools_weight": 0.0, "fake_class_weight": 0.0, "real_class_weight": 2.0},
    "all": {},
}


def small_discriminator(*, batch_norm=False):
    """Without dropout, whose masks differ between replicas."""
    return small_networks.small_discriminator(dropout=0.0, batch_norm=batch_norm)


def sgd(model):
    model.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))


def dataset(batch, count=BATCH, repeats=1):
    return tf.data.Dataset.from_tensor_slices(images_of(count)).batch(batch).repeat(repeats)


def step(strategy, make, data):
    """Weights before and after one pass of `fit` over the data, and the logs."""
    with strategy.scope():
        model = make()
        before = [np.array(w) for w in model.trainable_variables]
        history = model.fit(data, verbose=0, shuffle=False).history
    return before, [np.array(w) for w in model.trainable_variables], history, model


def assert_equal(one, two):
    for (before, after), (_, other) in zip(
        zip(one[0], one[1], strict=True), zip(two[0], two[1], strict=True), strict=True
    ):
        change, same = after - before, other - before
        assert np.abs(change - same).max() <= 1e-5 * max(np.abs(change).max(), 1e-3)
    assert one[2].keys() == two[2].keys()
    for name, values in one[2].items():
        assert np.isfinite(values).all() and np.allclose(values, two[2][name], rtol=1e-5, atol=1e-6), name


def both(two_replicas, make, data):
    return step(tf.distribute.get_strategy(), make, data), step(two_replicas, make, data)


@pytest.mark.parametrize("weights", TERMS.values(), ids=TERMS)
def test_the_acgan_for_each_term(two_replicas, weights):
    def make():
        acgan = ACGAN(small_generator(), small_discriminator(), seed=3, **weights)
        sgd(acgan)
        return acgan

    one, two = both(two_replicas, make, dataset(BATCH))
    assert_equal(one, two)
    assert max(np.abs(a - b).max() for a, b in zip(one[0], one[1], strict=True)) > 1e-3


@pytest.mark.parametrize("fools_weight", [0.0, 1.0])
def test_the_tuner_with_the_pir_term_alone_and_with_the_others(two_replicas, fools_weight):
    def make():
        tuner = Tuner(
            small_generator(),
            small_discriminator(),
            small_estimator(),
            pir_weight=10.0,
            seed=3,
            fools_weight=fools_weight,
            fake_class_weight=1.5 * fools_weight,
        )
        sgd(tuner)
        return tuner

    assert_equal(*both(two_replicas, make, dataset(BATCH)))


def anchored(pir_weight=10.0, **settings):
    tuner = AnchoredTuner(
        small_generator(), small_estimator(), seed=3, pir_weight=pir_weight, anchor_weight=5.0, **settings
    )
    tuner.compile(keras.optimizers.SGD(1.0))
    return tuner


def test_the_anchored_tuner(two_replicas):
    assert_equal(*both(two_replicas, anchored, tf.data.Dataset.from_tensor_slices(np.zeros(5, np.float32)).batch(5)))


def test_a_spike_is_measured_over_all_replicas(two_replicas):
    def make():
        tuner = anchored(1e4, pir_gradient_limit=2.0)
        tuner.state()["pir_gradient_median"].assign(0.05)
        return tuner

    one, two = both(two_replicas, make, tf.data.Dataset.from_tensor_slices(np.zeros(5, np.float32)).batch(5))
    assert_equal(one, two)
    assert 0 < one[2]["pir_gradient_scale"][0] < 1
    medians = [float(model.state()["pir_gradient_median"].numpy()) for *_, model in (one, two)]
    assert medians[0] == pytest.approx(medians[1]) and medians[0] > 0.05


@pytest.mark.parametrize("bins", [1, 10])
def test_the_estimator_also_where_replicas_have_unequally_many_answers(two_replicas, bins):
    impressions = np.array([0, 10, 0, 10, 10, 10])  # one rated image in the first half, three in the second
    counts = np.stack([impressions, impressions // 2], axis=1)
    data = tf.data.Dataset.from_tensor_slices((images_of(BATCH)[0], counts)).batch(BATCH)

    def make():
        image = keras.Input((8, 8, 3))
        logits = layers.Dense(bins, kernel_initializer=keras.initializers.GlorotUniform(6), name="logits")
        network = keras.Model(image, logits(layers.Flatten()(image)))
        estimator = PIREstimator(network, Scalar() if bins == 1 else Bins(bins))
        estimator.compile(keras.optimizers.SGD(1.0))
        return estimator

    assert_equal(*both(two_replicas, make, data))


@pytest.mark.parametrize(
    ("batch", "count", "batch_norm"),
    [(5, 5, True), (4, 7, True), (4, 5, False)],
    ids=["3 + 2", "2 + 2, then 2 + 1", "2 + 2, then 1 + 0"],
)
def test_batches_that_do_not_divide_over_the_replicas(two_replicas, batch, count, batch_norm):
    def make():
        acgan = ACGAN(small_generator(), small_discriminator(batch_norm=batch_norm), seed=3)
        acgan.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1))
        return acgan

    one, two = both(two_replicas, make, dataset(batch, count))
    assert_equal(one, two)
    evaluated = [model.evaluate(dataset(batch, count), verbose=0, return_dict=True) for model in (one[3], two[3])]
    for name, value in evaluated[0].items():
        assert value == pytest.approx(evaluated[1][name], rel=1e-4) and np.isfinite(value), name


def test_a_replica_without_rows_and_batch_normalization(two_replicas):
    """Training counts the row that stands for none in the step's statistics, and stays finite; evaluation is equal."""

    def make():
        acgan = ACGAN(small_generator(), small_discriminator(batch_norm=True), seed=3)
        acgan.compile(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01))
        return acgan

    _, after, history, _ = step(two_replicas, make, dataset(4, 5))
    assert all(np.isfinite(values).all() for values in [*after, *history.values()])
    with two_replicas.scope():
        fresh = make()
    evaluated = [model.evaluate(dataset(4, 5), verbose=0, return_dict=True) for model in (make(), fresh)]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-4)


def test_the_anchored_tuner_and_the_estimator_where_a_replica_has_no_rows(two_replicas):
    def estimator():
        image = keras.Input((8, 8, 3))
        convolved = layers.Conv2D(2, 3, strides=2, kernel_initializer=keras.initializers.GlorotUniform(7))(image)
        logits = layers.Dense(10, kernel_initializer=keras.initializers.GlorotUniform(6), name="logits")
        made = PIREstimator(keras.Model(image, logits(layers.Flatten()(convolved))), Bins(10))
        made.compile(keras.optimizers.SGD(1.0))
        return made

    assert_equal(*both(two_replicas, anchored, tf.data.Dataset.from_tensor_slices(np.zeros(5, np.float32)).batch(4)))
    counts = np.array([[10, 3], [10, 5], [10, 2], [10, 9], [10, 1]])
    assert_equal(*both(two_replicas, estimator, tf.data.Dataset.from_tensor_slices((images_of(5)[0], counts)).batch(4)))


def test_statistics_of_batch_normalization_are_those_of_the_whole_batch(two_replicas):
    """The first half of each batch is dark, the second bright: a replica sees one kind alone."""
    images = np.concatenate([np.full((3, 8, 8, 3), -0.9, np.float32), np.full((3, 8, 8, 3), 0.9, np.float32)])
    data = tf.data.Dataset.from_tensor_slices((images, np.zeros(6, np.int32))).batch(6).repeat(5)

    def make():
        acgan = ACGAN(small_generator(), small_discriminator(batch_norm=True), seed=3)
        acgan.compile(keras.optimizers.SGD(0.01), keras.optimizers.SGD(0.01))
        return acgan

    one, two = both(two_replicas, make, data)
    assert_equal(one, two)
    mean = two[3].discriminator.get_layer("batch_norm_1").moving_mean.value
    copies = [np.array(copy) for copy in two_replicas.experimental_local_results(mean)]
    assert len(copies) == 2 and np.array_equal(*copies) and np.abs(copies[0]).max() > 0.01
    assert np.allclose(copies[0], one[3].discriminator.get_layer("batch_norm_1").moving_mean, rtol=1e-4, atol=1e-6)
