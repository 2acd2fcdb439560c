"""Procedural landscapes: shapes, reproducibility, difference of the classes, variety, refused arguments."""

import numpy as np
import pytest

from pir_tf.data import landscapes, terrain
from pir_tf.errors import InputError


@pytest.fixture(scope="module")
def pictures() -> tuple[np.ndarray, np.ndarray]:
    """256 small pictures as floats in 0..1 and their labels."""
    images, labels = landscapes.render(256, seed=5, size=32)
    return images / np.float32(255), labels


@pytest.mark.parametrize(("count", "size"), [(5, 16), (2, 33), (0, 64)])
def test_shapes_types_and_alternating_classes(count, size):
    images, labels = landscapes.render(count, seed=0, size=size)
    assert images.shape == (count, size, size, 3) and images.dtype == np.uint8
    assert labels.dtype == np.int32 and labels.tolist() == [0, 1, 0, 1, 0][:count]
    assert landscapes.CLASS_NAMES == ("coast", "mountain")


@pytest.mark.parametrize("count", [1, landscapes.CHUNK, landscapes.CHUNK + 3])
def test_a_longer_run_begins_with_the_shorter_one(count):
    long, labels = landscapes.render(3 * landscapes.CHUNK, seed=3, size=32)
    short, short_labels = landscapes.render(count, seed=3, size=32)
    np.testing.assert_array_equal(long[:count], short)
    np.testing.assert_array_equal(labels[:count], short_labels)


def test_the_number_of_threads_changes_nothing(monkeypatch):
    several = landscapes.render(5 * landscapes.CHUNK + 3, seed=3, size=16)
    monkeypatch.setattr(landscapes, "MOST_THREADS", 1)
    for found, alone in zip(several, landscapes.render(5 * landscapes.CHUNK + 3, seed=3, size=16), strict=True):
        np.testing.assert_array_equal(found, alone)


def test_seeds_give_different_pictures_and_leave_the_global_generator_alone():
    before = np.random.get_state()[1].copy()
    first, second = (landscapes.render(4, seed=seed, size=32)[0].astype(int) for seed in (0, 1))
    assert (np.abs(first - second).mean(axis=(1, 2, 3)) > 5).all()
    np.testing.assert_array_equal(before, np.random.get_state()[1])


def test_a_linear_read_out_of_coarse_colours_tells_the_classes_apart(pictures):
    images, labels = pictures
    coarse = images.reshape(256, 4, 8, 4, 8, 3).mean(axis=(2, 4)).reshape(256, -1)
    features = np.concatenate([coarse, np.ones((256, 1))], axis=1)
    target = 2.0 * labels - 1
    train = features[:128]
    weights = np.linalg.solve(train.T @ train + 0.1 * np.eye(49), train.T @ target[:128])
    assert ((features[128:] @ weights > 0) == labels[128:]).mean() > 0.85
    lower = images[:, 16:].mean(axis=(1, 2))
    blueness = lower[:, 2] - lower[:, :2].mean(axis=1)
    assert blueness[labels == 0].mean() > blueness[labels == 1].mean() + 0.08  # the sea


@pytest.mark.parametrize("label", [0, 1])
def test_pictures_of_a_class_vary(pictures, label):
    images = pictures[0][pictures[1] == label]
    colour = images.mean(axis=(1, 2))
    assert (colour.std(axis=0) > 0.08).all()
    flat = images[:64].reshape(64, -1)
    distance = np.sqrt(np.square(flat[:, None] - flat[None]).mean(axis=-1))
    assert distance[~np.eye(64, dtype=bool)].min() > 0.04
    assert distance.mean() > 0.18
    warm, cold = colour[:, 0] > colour[:, 2] + 0.1, colour[:, 2] > colour[:, 0] + 0.05
    assert warm.mean() > 0.1 and cold.mean() > 0.1


def test_light_falls_on_the_slope_that_faces_it():
    uphill, flat = np.float32(1), np.float32(0)  # A slope that rises to the right faces left.
    assert terrain.lambert(uphill, flat, -1) > terrain.lambert(flat, flat, -1) > terrain.lambert(uphill, flat, 1)


def test_spline_weights_sum_to_one_and_reproduce_a_line():
    position = np.linspace(0, 1, 11, dtype=np.float32)
    weights = terrain.spline_weights(position, 4)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(weights @ (np.arange(7) - 1) / 4, position, atol=1e-5)


@pytest.mark.parametrize(("name", "value"), [("count", -1), ("seed", -2), ("size", 15)])
def test_arguments_below_their_bounds_are_refused(name, value):
    with pytest.raises(InputError, match=f"{name} {value}"):
        landscapes.render(**{"count": 1, "seed": 0, name: value})
