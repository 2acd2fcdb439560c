"""Features for `trainable: head`: no image goes through one backbone twice."""

import dataclasses

import numpy as np
import pytest

from pir_tf.config import EstimatorConfig
from pir_tf.estimator.quality import cross_validated_quality
from pir_tf.estimator.train import backbone_features, fit_estimator
from pir_tf.experiments import estimator_stage as features
from pir_tf.interactions.simulated import simulate
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory

HEAD = EstimatorConfig(
    weights="none", layer="mixed0", image_size=75, trainable="head", steps=2, batch_size=8, bins=4, checkpoint_every=1
)

pytestmark = pytest.mark.slow


def images(count=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def answers(count=20):
    pir = np.random.default_rng(5).uniform(size=count)
    ids = [f"{i:03}" for i in range(count)]
    return simulate(pir, impressions=50, seed=0, image_ids=ids, class_index=np.zeros(count, int))


def maker_of(run):
    return features.feature_maker(run.config.estimator, run.cache)


@pytest.fixture
def run(tmp_path):
    directory = RunDirectory(tmp_path / "run", dataclasses.replace(smoke(), estimator=HEAD))
    yield directory
    directory.close()


@pytest.fixture
def computed(monkeypatch):
    """Forgets what other tests made, and notes how many images each computation had."""
    features._remembered.cache_clear()
    calls = []

    def counting(backbone, some):
        calls.append(len(some))
        return backbone_features(backbone, some)

    monkeypatch.setattr(features, "backbone_features", counting)
    yield calls
    features._remembered.cache_clear()


def test_training_with_remembered_features_equals_training_without(run, computed):
    plain = fit_estimator(images(), answers(), HEAD, seed=0)
    first, second = (fit_estimator(images(), answers(), HEAD, seed=0, features=maker_of(run)) for _ in range(2))
    assert computed == [20]
    for a, b, c in zip(*(e.network.get_weights() for e in (plain, first, second)), strict=True):
        assert np.array_equal(a, b) and np.array_equal(b, c)


def test_a_cross_validation_computes_no_image_twice(run, computed):
    maker = maker_of(run)
    config = dataclasses.replace(HEAD, weights="none")
    fit_estimator(images(), answers(), config, seed=3, features=maker)
    assert computed == [20]
    rows = np.arange(20) % 5 != 0
    fit_estimator(images()[rows], answers().select(np.flatnonzero(rows)), config, seed=3, features=maker)
    assert computed == [20]
    both = np.concatenate([images(), images(3, seed=1)])
    fit_estimator(both, answers(23), config, seed=3, features=maker)
    assert computed == [20, 3]


def test_folds_get_the_maker(computed):
    asked = []

    def maker(backbone, some):
        asked.append(len(some))
        return backbone_features(backbone, some)

    cross_validated_quality(images(), answers(), HEAD, seed=0, folds=2, features=maker)
    assert asked == [10, 10]


def test_another_backbone_is_another_entry(run, computed):
    for seed in (0, 1):  # random weights come from the seed
        fit_estimator(images(), answers(), HEAD, seed=seed, features=maker_of(run))
    assert computed == [20, 20]


def test_runs_share_them_through_the_cache(computed, tmp_path):
    made = []
    for name in ("a", "b"):
        features._remembered.cache_clear()  # as in a process of its own
        config = dataclasses.replace(smoke(), estimator=HEAD)
        run = RunDirectory(tmp_path / name, config, cache=tmp_path / "cache")
        made.append(fit_estimator(images(), answers(), HEAD, seed=0, features=maker_of(run)))
        run.close()
    assert computed == [20]
    assert all(np.array_equal(a, b) for a, b in zip(*(e.network.get_weights() for e in made), strict=True))
