"""One step on one replica and on two, with the same global batch: equal weight changes and equal logs."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import images_of, init, small_discriminator, small_estimator, small_generator

from pir_tf.estimator.heads import Bins, Scalar
from pir_tf.estimator.model import PIREstimator
from pir_tf.gan.acgan import ACGAN
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.latents import LatentTuner
from pir_tf.tuning.tuner import Tuner

pytestmark = pytest.mark.slow
BATCH = 6


@pytest.fixture(autouse=True)
def untraced(request):
    """Replicas meet in the same places, and tracing a step takes longer; but for one kind of step that is traced."""
    traced = request.node.callspec.id == "all, traced" if hasattr(request.node, "callspec") else False
    tf.config.run_functions_eagerly(not traced)
    yield
    tf.config.run_functions_eagerly(False)


def acgan(rate, *, batch_norm=True):
    """A function that makes one, without dropout, whose masks differ between replicas."""

    def make():
        made = ACGAN(small_generator(), small_discriminator(dropout=0.0, batch_norm=batch_norm), seed=3)
        made.compile(keras.optimizers.SGD(rate), keras.optimizers.SGD(rate))
        return made

    return make


def dataset(batch, count=BATCH):
    return tf.data.Dataset.from_tensor_slices(images_of(count)).batch(batch)


def step(strategy, make, data):
    """Weights before and after one pass of `fit` over the data, and the logs."""
    with strategy.scope():
        model = make()
        before = [np.array(w) for w in model.trainable_variables]
        history = model.fit(data, verbose=0, shuffle=False).history
    return before, [np.array(w) for w in model.trainable_variables], history, model


def assert_equal(one, two):
    for before, after, other in zip(one[0], one[1], two[1], strict=True):
        change, same = after - before, other - before
        assert np.abs(change - same).max() <= 1e-5 * max(np.abs(change).max(), 1e-3)
    assert one[2].keys() == two[2].keys()
    for name, values in one[2].items():
        assert np.isfinite(values).all() and np.allclose(values, two[2][name], rtol=1e-5, atol=1e-6), name


def both(two_replicas, make, data):
    return step(tf.distribute.get_strategy(), make, data), step(two_replicas, make, data)


@pytest.mark.parametrize(
    "fools, fake_class, real_class, pir",
    [(1.0, 0.0, 2.0, 0.0), (1.0, 1.5, 1.0, 10.0)],
    ids=["two of the ACGAN's", "all, traced"],
)
def test_the_tuner_by_its_terms(two_replicas, fools, fake_class, real_class, pir):
    """Each has a column in the logs, which are compared too. With a weight of 0 for the PIR the step is the ACGAN's."""
    weights = {"fools_weight": fools, "fake_class_weight": fake_class, "real_class_weight": real_class}

    def make():
        networks = small_generator(), small_discriminator(dropout=0.0, batch_norm=False), small_estimator()
        tuner = Tuner(*networks, pir_weight=pir, seed=3, **weights)
        tuner.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))
        return tuner

    one, two = both(two_replicas, make, dataset(BATCH))
    assert_equal(one, two)
    assert max(np.abs(a - b).max() for a, b in zip(one[0], one[1], strict=True)) > 1e-3


def anchored(pir_weight=10.0, **settings):
    networks = small_generator(), small_estimator()
    return AnchoredTuner(*networks, seed=3, pir_weight=pir_weight, anchor_weight=5.0, **settings)


def residual():
    tuner = LatentTuner(small_generator(), small_estimator(), kind="residual", seed=3, pir_weight=10.0, kl_weight=1.0)
    rng = np.random.default_rng(0)
    tuner.move.set_weights([0.1 * rng.standard_normal(w.shape) for w in tuner.move.get_weights()])
    return tuner


@pytest.mark.parametrize("tuner, batch", [(anchored, 5), (anchored, 4), (residual, 5)])
def test_the_tuners_without_a_discriminator(two_replicas, tuner, batch):
    def make():
        made = tuner()
        made.compile(keras.optimizers.SGD(1.0))
        return made

    data = tf.data.Dataset.from_tensor_slices(np.zeros(5, np.float32)).batch(batch)
    assert_equal(*both(two_replicas, make, data))


def test_a_spike_is_measured_over_all_replicas(two_replicas):
    def make():
        tuner = anchored(1e4, pir_gradient_limit=2.0)
        tuner.compile(keras.optimizers.SGD(1.0))
        tuner.state()["pir_gradient_median"].assign(0.05)
        return tuner

    one, two = both(two_replicas, make, tf.data.Dataset.from_tensor_slices(np.zeros(5, np.float32)).batch(5))
    assert_equal(one, two)
    assert 0 < one[2]["pir_gradient_scale"][0] < 1
    medians = [float(model.state()["pir_gradient_median"].numpy()) for *_, model in (one, two)]
    assert medians[0] == pytest.approx(medians[1]) and medians[0] > 0.05


@pytest.mark.parametrize(
    "head, batch, impressions",
    [
        (Scalar(), 6, [0, 10, 0, 10, 10, 10]),  # one rated image in the first half, three in the second
        (Bins(10), 6, [0, 10, 0, 10, 10, 10]),
        (Bins(10, 0.2, 0.7, binomial=True), 6, [0, 10, 0, 10, 10, 10]),
        (Bins(10), 4, [10, 10, 10, 10, 10]),  # the last batch leaves a replica without rows
    ],
    ids=str,
)
def test_the_estimator_also_where_replicas_have_unequally_many_answers(two_replicas, head, batch, impressions):
    impressions = np.array(impressions)
    counts = np.stack([impressions, [3, 5, 2, 9, 1, 4][: len(impressions)] * (impressions > 0)], axis=1)
    data = tf.data.Dataset.from_tensor_slices((images_of(len(counts))[0], counts)).batch(batch)

    def make():
        image = keras.Input((8, 8, 3))
        convolved = layers.Conv2D(2, 3, strides=2, kernel_initializer=init(7))(image)
        logits = layers.Dense(head.units, kernel_initializer=init(6), name="logits")(layers.Flatten()(convolved))
        estimator = PIREstimator(keras.Model(image, logits), head)
        estimator.compile(keras.optimizers.SGD(1.0))
        return estimator

    assert_equal(*both(two_replicas, make, data))


@pytest.mark.parametrize(
    ("batch", "count", "batch_norm"),
    [pytest.param(4, 7, True, marks=pytest.mark.nightly), (4, 5, False)],
    ids=["2 + 2, then 2 + 1", "2 + 2, then 1 + 0"],
)
def test_batches_that_do_not_divide_over_the_replicas(two_replicas, batch, count, batch_norm):
    one, two = both(two_replicas, acgan(0.1, batch_norm=batch_norm), dataset(batch, count))
    assert_equal(one, two)
    evaluated = [model.evaluate(dataset(batch, count), verbose=0, return_dict=True) for model in (one[3], two[3])]
    for name, value in evaluated[0].items():
        assert value == pytest.approx(evaluated[1][name], rel=1e-4) and np.isfinite(value), name
    if batch_norm:  # and a second fit with other optimizers goes on
        trained = two[3]
        with two_replicas.scope():
            trained.compile(keras.optimizers.Adam(1e-4), keras.optimizers.RMSprop(1e-4))
        trained.fit(
            dataset(batch),
            verbose=0,
            callbacks=[keras.callbacks.LearningRateScheduler(lambda _: 1e-6)],
            steps_per_epoch=1,
        )
        optimizers = trained.generator_optimizer, trained.discriminator_optimizer
        assert [float(np.array(one.learning_rate)) for one in optimizers] == pytest.approx([1e-6, 1e-6])
        assert int(trained.step.numpy()) == 3


def test_a_replica_without_rows_and_batch_normalization(two_replicas):
    """Training counts the row that stands for none in the step's statistics, and stays finite; evaluation is equal."""
    _, after, history, _ = step(two_replicas, acgan(0.01), dataset(4, 5))
    assert all(np.isfinite(values).all() for values in [*after, *history.values()])
    with two_replicas.scope():
        fresh = acgan(0.01)()
    evaluated = [model.evaluate(dataset(4, 5), verbose=0, return_dict=True) for model in (acgan(0.01)(), fresh)]
    assert evaluated[0] == pytest.approx(evaluated[1], rel=1e-4)


def test_statistics_of_batch_normalization_are_those_of_the_whole_batch(two_replicas):
    """The first half of each batch is dark, the second bright: a replica sees one kind alone."""
    images = np.concatenate([np.full((3, 8, 8, 3), -0.9, np.float32), np.full((3, 8, 8, 3), 0.9, np.float32)])
    data = tf.data.Dataset.from_tensor_slices((images, np.zeros(6, np.int32))).batch(6).repeat(3)
    one, two = both(two_replicas, acgan(0.01), data)
    assert_equal(one, two)
    mean = two[3].discriminator.get_layer("batch_norm_1").moving_mean.value
    copies = [np.array(copy) for copy in two_replicas.experimental_local_results(mean)]
    assert len(copies) == 2 and np.array_equal(*copies) and np.abs(copies[0]).max() > 0.01
    assert np.allclose(copies[0], one[3].discriminator.get_layer("batch_norm_1").moving_mean, rtol=1e-4, atol=1e-6)


def test_the_weight_by_a_ratio_of_gradients(two_replicas):
    def weight(strategy):
        with strategy.scope():
            networks = small_generator(), small_discriminator(dropout=0.0, batch_norm=False), small_estimator()
            tuner = Tuner(*networks, pir_weight=1000.0, seed=3)
            tuner.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(1.0))
            return tuner.weigh(1.0, batch_size=BATCH)

    assert weight(two_replicas) == pytest.approx(weight(tf.distribute.get_strategy()), rel=1e-4)
