"""Latents are a function of their seed, and each image of its own latent."""

import numpy as np
import pytest

from pir_tf.gan import sampling
from pir_tf.gan.networks import build_generator
from pir_tf.gan.sampling import draw_latents, generate, generate_batches
from pir_tf.images import to_uint8


@pytest.fixture(scope="module")
def generator():
    return build_generator(3, latent_size=8, seed=1)


@pytest.fixture(scope="module")
def latents():
    return draw_latents(7, latent_size=8, class_count=3, seed=2)


@pytest.fixture(scope="module")
def images(generator, latents):
    return generate(generator, *latents)


def test_draws_are_standard_normal_with_uniform_classes_and_a_larger_begins_with_a_smaller():
    z, labels = draw_latents(9000, latent_size=4, class_count=3, seed=0)
    assert z.dtype == np.float32 and labels.dtype == np.int32 and z.shape == (9000, 4)
    np.testing.assert_allclose(np.cov(z.T), np.eye(4), atol=0.06)
    np.testing.assert_allclose(np.bincount(labels) / 9000, [1 / 3] * 3, atol=0.02)
    assert all(abs(np.corrcoef(column, labels)[0, 1]) < 0.04 for column in z.T)
    other, _ = draw_latents(9000, latent_size=4, class_count=3, seed=1)
    assert not np.intersect1d(z[:, 0], other[:, 0]).size > 5
    for count in (0, 1, 7, 999):
        less, fewer = draw_latents(count, latent_size=4, class_count=3, seed=0)
        assert np.array_equal(less, z[:count]) and np.array_equal(fewer, labels[:count])


def test_images_are_what_the_stock_generator_makes(generator, latents, images):
    z, labels = latents
    floats = np.asarray(generator([z, np.eye(3, dtype=np.float32)[labels]]))
    assert images.dtype == np.uint8 and images.shape == (7, 64, 64, 3)
    # A value on the border between two bytes may round to either side of it.
    assert np.abs(images.astype(int) - to_uint8(floats)).max() <= 1
    assert (images == to_uint8(floats)).mean() > 0.999
    assert not np.array_equal(generate(generator, z, (labels + 1) % 3), images)  # the class matters


def test_an_image_does_not_depend_on_its_batch(generator, latents, images, monkeypatch):
    z, labels = latents
    np.testing.assert_array_equal(generate(generator, z[::-1], labels[::-1]), images[::-1])
    np.testing.assert_array_equal(generate(generator, z[3:4], labels[3:4])[0], images[3])
    monkeypatch.setattr(sampling, "BATCH", 2)
    batches = list(generate_batches(generator, z, labels))
    assert [len(batch) for batch in batches] == [2, 2, 2, 1]
    np.testing.assert_array_equal(np.concatenate(batches), images)
    empty = generate(generator, z[:0], labels[:0])
    assert empty.shape == (0, 64, 64, 3) and empty.dtype == np.uint8
