"""The linear estimator: its features, what its file holds, and that nothing of it moves while a generator is tuned."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from estimator_helpers import answers, blueness, smooth_images
from keras import layers
from scipy import stats
from small_networks import images_of, least_discriminator, least_generator, small_discriminator, small_generator

from pir_tf.config import EstimatorConfig, changed
from pir_tf.errors import InputError
from pir_tf.estimator.features import frozen_features, statistics
from pir_tf.estimator.frozen import fast_frozen, open_network
from pir_tf.estimator.linear import objective, readout
from pir_tf.estimator.model import estimate, load_estimator, load_saved, save_estimator
from pir_tf.estimator.quality import cross_validated_quality, estimator_quality
from pir_tf.estimator.ridge import fit_ridge
from pir_tf.estimator.train import backbone_features, fit_estimator
from pir_tf.experiments.estimator_stage import _of_folds
from pir_tf.experiments.interactions_stage import few
from pir_tf.gan.train import optimizers
from pir_tf.images import to_float
from pir_tf.interactions.records import Interactions
from pir_tf.presets import laptop
from pir_tf.tuning.anchored import AnchoredTuner, blanks
from pir_tf.tuning.tuner import Tuner

COMPACT = EstimatorConfig(backbone="compact", weights="none", output="linear", image_size=32)
DISCRIMINATOR = dataclasses.replace(COMPACT, backbone="discriminator")


pytestmark = pytest.mark.usefixtures("eager_module")


@pytest.fixture(scope="module")
def shown():
    images = smooth_images(120, seed=0)
    return images, answers(blueness(images), impressions=50)


@pytest.fixture(scope="module")
def estimator(shown):
    return fit_estimator(*shown, COMPACT, seed=0)


@pytest.mark.parametrize("rated", [10, 12, 13])
def test_quality_is_measured_from_as_many_images_as_its_folds_can_learn_from(shown, rated):
    assert few(COMPACT) == 13 and few(EstimatorConfig()) == 10
    images, found = shown[0][:20], answers(blueness(shown[0][:20]), impressions=50)
    counts = np.where(np.arange(20) < rated, found.impressions, 0)
    some = dataclasses.replace(found, impressions=counts, positives=np.minimum(found.positives, counts))
    fit_estimator(images, some, COMPACT, seed=0)  # which ten are enough for
    config = changed(laptop(), estimator={"backbone": "compact", "image_size": 32})
    quality = _of_folds(images, some, config, None, seed=0, initial=None, discriminator=None)
    if rated < 13:
        assert quality == {"measured_on": "nothing: fewer than 13 images have answers"}
    else:
        assert quality["folds"] == 5 and quality["at_temperature"]["n"] == 13


@pytest.mark.slow
def test_shares_of_wins_in_two_pools_are_not_taken_for_one_scale():
    """The second pool is bluer by more than its images differ, and wins half of its comparisons, too."""
    dark, images = smooth_images(80, seed=3), smooth_images(80, seed=4)
    images[..., 2] = np.minimum(images[..., 2].astype(int) + 90, 255)
    both = np.concatenate([dark, images])
    better = np.concatenate([blueness(pool) > np.median(blueness(pool)) for pool in (dark, images)]).astype(int)
    wins = Interactions([f"{i}" for i in range(160)], np.zeros(160, int), np.full(160, 2), 2 * better)
    gains, found = [], []
    for group in (np.zeros(160, int), np.repeat([1, 2], 80)):
        grouped = dataclasses.replace(wins, group=group)
        said = estimate(fit_estimator(both, grouped, COMPACT, seed=0).pir_model, both)
        gains.append(said[80:].mean() - said[:80].mean())
        found.append(cross_validated_quality(both, grouped, COMPACT, seed=0)["at_temperature"])
    assert gains[1] > 0.25 > 1.4 * gains[0]
    assert found[1]["spearman"] > 0.75 and found[1]["bias"] == pytest.approx(0, abs=1e-6)


def test_features_are_means_and_roots_of_mean_squares_and_means_of_places():
    maps = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    given = keras.Input((4, 6, 3))
    found = keras.Model(given, statistics({"a": given}, grid=2))(maps)
    halves = maps.reshape(2, 2, 2, 2, 3, 3).mean((2, 4)).reshape(2, 12)
    expected = [maps.mean((1, 2)), halves, np.sqrt(np.square(maps).mean((1, 2)) + 1e-6)]
    np.testing.assert_allclose(found, np.concatenate(expected, -1), atol=1e-6)


def test_a_channel_of_zeros_has_a_finite_gradient():
    given = keras.Input((4, 4, 2))
    model = keras.Model(given, statistics({"a": given}))
    x = tf.zeros((1, 4, 4, 2))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(model(x))
    assert np.isfinite(tape.gradient(total, x)).all()


@pytest.mark.slow
def test_the_file_holds_the_readout_and_its_doubt_in_stock_layers(estimator, shown, tmp_path):
    new = smooth_images(40, seed=1)
    path = save_estimator(estimator, tmp_path)
    saved = keras.models.load_model(path)  # nothing of ours is needed
    pir, sd = (np.asarray(value)[:, 0] for value in saved(to_float(new)))
    features = frozen_features(COMPACT, seed=0)(to_float(new))
    np.testing.assert_allclose(pir, np.clip(estimator.ridge.pir(features), 0, 1), atol=2e-4)
    np.testing.assert_allclose(sd, estimator.ridge.sd(features), rtol=0.02, atol=1e-4)
    np.testing.assert_array_equal(estimate(load_estimator(path), new), pir)
    assert stats.spearmanr(pir, blueness(new)).statistic > 0.95


def test_what_tuning_climbs_is_the_mean_less_the_doubt_and_not_clipped(estimator, tmp_path):
    extreme = np.zeros((2, 64, 64, 3), np.uint8)
    extreme[0, ..., 2] = 255
    saved = load_saved(save_estimator(estimator, tmp_path))
    pir, sd = (np.asarray(value)[:, 0] for value in saved(to_float(extreme)))
    mean, bound = (np.asarray(objective(saved, weight)(to_float(extreme)))[:, 0] for weight in (0.0, 2.0))
    np.testing.assert_allclose(pir, np.clip(mean, 0, 1))
    assert mean.max() > 1 and sd.min() > 0
    np.testing.assert_allclose(bound, mean - 2 * sd, rtol=1e-5)


@pytest.mark.parametrize("pessimism", [0.0, 2.0])
def test_the_fast_frozen_form_knows_all_of_it(pessimism, shown):
    made = fit_estimator(
        *shown, dataclasses.replace(DISCRIMINATOR, grid=2), seed=0, discriminator=small_discriminator()
    )
    model = objective(made.saved_model(), pessimism)
    open_network(model)
    x = tf.constant(to_float(shown[0][:3]))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(x)
        plain, fast = model(x, training=False), fast_frozen(model)(x)
    np.testing.assert_allclose(fast, plain, atol=2e-5)
    a, b = tape.gradient(plain, x), tape.gradient(fast, x)
    np.testing.assert_allclose(b, a, atol=1e-3 * np.abs(a).max())


def test_a_step_moves_the_generator_and_its_discriminator_and_nothing_of_the_estimator(shown):
    generator, discriminator = small_generator(), small_discriminator()
    made = fit_estimator(*shown, DISCRIMINATOR, seed=0, discriminator=discriminator)
    before = [np.array(weight) for weight in made.saved_model().weights]
    copied, own, first = made(shown[0][:2] / 255.0), discriminator.get_weights(), generator.get_weights()
    tuner = Tuner(generator, discriminator, made, pir_weight=1000.0, seed=1)
    tuner.compile(*optimizers(1e-2, 1e-2), run_eagerly=True)
    real = tf.data.Dataset.from_tensors(images_of(4)).repeat()
    tuner.fit(real, steps_per_epoch=2, verbose=0, shuffle=False)
    for weight, value in zip(made.saved_model().weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    np.testing.assert_array_equal(made(shown[0][:2] / 255.0), copied)
    for network, values in ((discriminator, own), (generator, first)):
        assert not all(np.array_equal(a, b) for a, b in zip(network.get_weights(), values, strict=True))
    estimators = {id(variable.value) for variable in made.saved_model().variables}
    assert not estimators & {id(variable.value) for variable in tuner.state().values()}


@pytest.mark.slow
def test_a_second_round_keeps_the_features_of_the_first(shown, tmp_path):
    discriminator = small_discriminator()
    path = save_estimator(fit_estimator(*shown, DISCRIMINATOR, seed=0, discriminator=discriminator), tmp_path)
    discriminator.set_weights([2 * weight for weight in discriminator.get_weights()])
    keras.utils.clear_session()  # the names of operations are counted anew, as in another process
    again = fit_estimator(*shown, DISCRIMINATOR, seed=5, initial=path)
    np.testing.assert_allclose(estimate(again, shown[0]), estimate(load_estimator(path), shown[0]), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("config", [COMPACT, DISCRIMINATOR])
def test_folds_read_the_features_of_the_estimator_that_they_stand_for(shown, tmp_path, config):
    """Also in a second round, whose discriminator was tuned, and of a compact network, which is drawn."""
    seen, discriminator = [], small_discriminator()

    def features(network, images):
        seen.append(sum(float(np.abs(weight).sum()) for weight in network.get_weights()))
        return backbone_features(network, images)

    path = save_estimator(
        fit_estimator(*shown, config, seed=0, features=features, discriminator=discriminator), tmp_path
    )
    discriminator.set_weights([2 * weight for weight in discriminator.get_weights()])
    more = {"features": features, "initial": path, "discriminator": discriminator}
    cross_validated_quality(*shown, config, seed=1, folds=2, **more)
    assert len(seen) >= 3 and seen == pytest.approx([seen[0]] * len(seen))


def test_a_readout_that_learned_nothing_is_a_constant():
    ridge = fit_ridge(np.zeros((12, 3)), np.arange(12) / 12, np.ones(12))
    features = keras.Input((3,))
    model = keras.Model(features, list(readout(features, ridge)))
    mean, sd = model(np.ones((2, 3), np.float32))
    np.testing.assert_allclose(mean, 5.5 / 12, atol=1e-6)
    assert np.isfinite(sd).all()


def test_quality_is_of_the_clipped_estimate(estimator):
    new = smooth_images(50, seed=2)
    quality = estimator_quality(estimator, new, blueness(new), COMPACT)
    assert quality["at_temperature"] == quality["at_temperature_1"] and quality["saved_as"] == "keras"
    assert quality["at_temperature"]["spearman"] > 0.95


def test_a_layer_can_be_named_and_another_is_refused():
    features = frozen_features(dataclasses.replace(COMPACT, layer="conv_2,conv_4"), seed=0)
    assert features.output_shape == (None, 2 * (32 + 96))
    config = dataclasses.replace(DISCRIMINATOR, layer="batch_norm_1,leaky_6")
    with pytest.raises(InputError, match="estimator.layer names leaky_6, which discriminator doesn't have"):
        frozen_features(config, seed=0, discriminator=small_discriminator())
    with pytest.raises(InputError, match="this generator came without a discriminator; expected one to copy"):
        frozen_features(DISCRIMINATOR, seed=0)


# The weight by a ratio of gradients


def climbing(**settings):
    images = keras.Input((8, 8, 3))
    judge = keras.Model(images, layers.Dense(1)(layers.GlobalAveragePooling2D()(images)))
    made = Tuner(least_generator(), least_discriminator(), judge, pir_weight=1000.0, seed=3, **settings)
    made.compile(*optimizers(1e-3, 1e-3), run_eagerly=True)
    return made


def test_the_weight_by_a_ratio_makes_the_median_ratio_of_gradients_that():
    tuner = climbing()
    assert "pir_weight" not in tuner.state()
    weight = tuner.weigh(0.5, batch_size=4)
    ratios = []
    for batch in range(1, 9):
        tuner.step.assign(-batch)
        norms = tuner.gradient_norms(4)
        ratios.append(float(norms["gradient_pir"] / norms["gradient_fools"]))
    assert 1 / np.median(1 / np.array(ratios)) == pytest.approx(0.5, rel=1e-4)
    assert float(tuner.state()["pir_weight"]) == pytest.approx(weight) and weight != 1000.0


def test_without_a_gradient_to_compare_the_weight_stays():
    tuner = climbing(fools_weight=0.0)
    assert tuner.weigh(1.0, batch_size=4) is None
    assert tuner.pir_weight == 1000.0 and int(tuner.step.numpy()) == 0
    anchored = AnchoredTuner(
        least_generator(),
        keras.Sequential([layers.GlobalAveragePooling2D(), layers.Dense(1)]),
        seed=0,
        pir_weight=5.0,
        anchor_weight=1.0,
    )
    assert anchored.weigh(1.0, batch_size=4) is None  # an image that is where it began pulls at nothing
    anchored.compile(optimizers(1e-3, 1e-3)[0], run_eagerly=True)
    anchored.fit(blanks(4), steps_per_epoch=1, verbose=0, shuffle=False)
    assert anchored.pir_weight == 5.0
