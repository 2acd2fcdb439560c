"""Which real images KID is measured against, and that features are computed once."""

import numpy as np
import pytest

from pir_tf.data.sources import ImageSet
from pir_tf.evaluation import kid
from pir_tf.experiments import measured_kid
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


def image_set(*counts):
    """As many images of each class; the first pixel of an image is its number."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), 8, 8, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(len(labels))
    return ImageSet(images, labels, tuple(f"class {i}" for i in range(len(counts))))


def with_weights(weights):
    import dataclasses

    return dataclasses.replace(smoke(), evaluation=dataclasses.replace(smoke().evaluation, kid_weights=weights))


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


def generated(seed, low, high, count=40):
    return np.random.default_rng(seed).integers(low, high, (count, 8, 8, 3), np.uint8)


def test_classes_are_as_balanced_as_those_of_generated_images():
    rows = measured_kid.balanced_rows(image_set(90, 10, 20), 31, seed=0)
    labels = image_set(90, 10, 20).labels[rows]
    assert np.bincount(labels).tolist() == [11, 10, 10]
    assert len(set(rows)) == len(rows)


def test_a_small_class_gives_all_it_has_and_no_image_twice():
    rows = measured_kid.balanced_rows(image_set(90, 3), 40, seed=0)
    assert np.bincount(image_set(90, 3).labels[rows]).tolist() == [20, 3]
    assert len(set(rows)) == len(rows)


def test_one_seed_chooses_the_same_images():
    real = image_set(50, 50)
    first, again, other = (measured_kid.balanced_rows(real, 20, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_without_weights_it_is_not_measured_and_says_how_it_would_be(tmp_path):
    run = RunDirectory(tmp_path / "run", with_weights("none"))
    found = measured_kid.measured_kid(run, generated(0, 0, 255), generated(1, 0, 255), image_set(40, 40))
    run.close()
    assert found == kid.not_measured(found["reason"])
    assert "--evaluation.kid-weights" in found["reason"]


def test_both_sides_are_measured_against_as_many_real_images(tmp_path, counted):
    real = ImageSet(generated(5, 0, 100, 120), np.arange(120) % 2, ("a", "b"))
    run = RunDirectory(tmp_path / "run", with_weights("imagenet"))
    found = measured_kid.measured_kid(run, generated(0, 0, 100), generated(1, 100, 255), real)
    run.close()
    assert (found["images"], found["real_images"]) == (40, 40)
    assert found["after"] > 10 * abs(found["before"])
    assert counted == [40, 40, 40]


def test_runs_with_a_cache_compute_features_of_before_and_real_once(tmp_path, counted):
    real = ImageSet(generated(5, 0, 100, 120), np.arange(120) % 2, ("a", "b"))
    found = []
    for name in ("first", "second"):
        run = RunDirectory(tmp_path / name, with_weights("imagenet"), cache=tmp_path / "cache")
        found.append(measured_kid.measured_kid(run, generated(0, 0, 100), generated(1, 100, 255), real))
        run.close()
    assert found[0] == found[1]
    assert counted == [40, 40, 40, 40]  # the tuned generator's images are each run's own


def test_the_records_name_the_file_alone(tmp_path, counted):
    real = ImageSet(generated(5, 0, 100), np.arange(40) % 2, ("a", "b"))
    run = RunDirectory(tmp_path / "run", with_weights("file:/some/where/vgg16.weights.h5"))
    found = measured_kid.measured_kid(run, generated(0, 0, 100), generated(1, 0, 100), real)
    run.close()
    assert found["network"].endswith("weights file:vgg16.weights.h5")
