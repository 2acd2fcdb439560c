"""Features for `trainable: head`: no image goes through one backbone twice."""

import numpy as np
import pytest

from pir_tf.config import EstimatorConfig
from pir_tf.estimator.quality import cross_validated_quality
from pir_tf.estimator.train import backbone_features, fit_estimator
from pir_tf.experiments import estimator_stage as features
from pir_tf.interactions.simulated import simulate

HEAD = EstimatorConfig(
    weights="none", layer="mixed0", image_size=75, trainable="head", steps=2, batch_size=8, bins=4, checkpoint_every=1
)


def images(count=20, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 16, 16, 3)).astype(np.uint8)


def answers(count=20):
    pir = np.random.default_rng(5).uniform(size=count)
    ids = [f"{i:03}" for i in range(count)]
    return simulate(pir, impressions=50, seed=0, image_ids=ids, class_index=np.zeros(count, int))


@pytest.fixture
def computed(monkeypatch, narrow_inception, eager):
    """Forgets what other tests made, and notes how many images each computation had."""
    features._remembered.cache_clear()
    calls = []

    def counting(backbone, some):
        calls.append(len(some))
        return backbone_features(backbone, some)

    monkeypatch.setattr(features, "backbone_features", counting)
    yield calls
    features._remembered.cache_clear()


def fitted(some=None, rows=None, *, seed=0, cache=None):
    """The weights of an estimator that takes its features from the maker of runs."""
    some = images() if some is None else some
    known = answers(len(some)) if rows is None else answers().select(rows)
    maker = features.feature_maker(HEAD, cache)
    return fit_estimator(some, known, HEAD, seed=seed, features=maker).network.get_weights()


def same(first, second):
    return all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.slow
def test_no_image_goes_twice_through_one_backbone_and_training_equals_that_without(computed):
    plain = fit_estimator(images(), answers(), HEAD, seed=0).network.get_weights()
    assert same(fitted(), plain) and same(fitted(), plain) and computed == [20]
    rows = np.flatnonzero(np.arange(20) % 5)
    fitted(images()[rows], rows)  # as a fold of a cross-validation
    assert computed == [20]
    fitted(np.concatenate([images(), images(3, seed=1)]))
    assert computed == [20, 3]
    fitted(seed=1)  # random weights come from the seed: another backbone
    assert computed == [20, 3, 20]


@pytest.mark.slow
def test_folds_get_the_maker(computed):
    asked = []

    def maker(backbone, some):
        asked.append(len(some))
        return backbone_features(backbone, some)

    cross_validated_quality(images(), answers(), HEAD, seed=0, folds=2, features=maker)
    assert asked == [10, 10]


def test_runs_share_them_through_the_cache(computed, tmp_path):
    made = []
    for _ in range(2):
        features._remembered.cache_clear()  # as in a process of its own
        made.append(fitted(cache=tmp_path))
    assert computed == [20] and same(*made)
