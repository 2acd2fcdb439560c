"""Which real images KID is measured against, and that features are computed once."""

import numpy as np
import pytest

from pir_tf.config import EvaluationConfig
from pir_tf.data.sources import ImageSet
from pir_tf.evaluation import kid
from pir_tf.experiments import measured_kid
from pir_tf.experiments.measured_kid import balanced_rows


def image_set(*counts):
    """As many images of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    return ImageSet(generated(5, 0, 100, len(labels)), labels, tuple(f"class {i}" for i in range(len(counts))))


def generated(seed, low, high, count=40):
    return np.random.default_rng(seed).integers(low, high, (count, 8, 8, 3), np.uint8)


def measure(weights="imagenet", *, real=None, cache=None, after=(100, 255), **more):
    images = {"before": generated(0, 0, 100), "after": generated(1, *after), **more}
    settings = EvaluationConfig(kid_weights=weights)
    return measured_kid.measured_kid(images, real or image_set(60, 60), settings, seed=0, cache=cache)


@pytest.fixture
def counted(monkeypatch):
    """Stands in for VGG16: the mean colour as features; the list holds the sizes of what it was asked for."""
    asked = []

    def network(images):
        asked.append(len(images))
        return {kid.LAYER: images.mean(axis=(1, 2), dtype=np.float32) / 255}

    monkeypatch.setattr(measured_kid, "weights_file", lambda *words, **options: None)
    monkeypatch.setattr(measured_kid.kid, "feature_network", lambda weights: network)
    return asked


@pytest.mark.parametrize(("there", "count", "taken"), [((90, 10, 20), 31, [11, 10, 10]), ((90, 3), 40, [20, 3])])
def test_classes_are_as_balanced_as_those_of_generated_images_and_no_image_comes_twice(there, count, taken):
    real = image_set(*there)
    rows, again, other = (balanced_rows(real, count, seed=seed) for seed in (0, 0, 1))
    assert np.bincount(real.labels[rows]).tolist() == taken and len(set(rows)) == len(rows)
    assert np.array_equal(rows, again) and not np.array_equal(rows, other)


def test_without_weights_it_is_not_measured_and_says_how_it_would_be():
    found = measure("none")
    assert found == kid.not_measured(found["reason"])
    assert "--evaluation.kid-weights" in found["reason"]


def test_both_sides_are_measured_against_as_many_real_images_whose_features_the_cache_keeps(counted, tmp_path):
    found = measure("file:/some/where/vgg16.weights.h5", cache=tmp_path)
    assert (found["images"], found["real_images"]) == (40, 40)
    assert found["after"] > 10 * abs(found["before"])
    assert found["network"].endswith("weights file:vgg16.weights.h5")  # the records name the file alone
    assert measure("file:/some/where/vgg16.weights.h5", cache=tmp_path) == found
    assert counted == [40, 40, 40, 40]  # the tuned generator's images are each run's own
    beside = [measure("file:vgg16.weights.h5", cache=tmp_path, control=generated(1, 100, 255)) for _ in range(2)]
    assert beside[0] == beside[1] == {**found, "control": found["after"], "control_se": found["after_se"]}
    assert counted[4:] == [40, 40, 40]  # all runs' control is one
