"""The data set as a value, the three forms of a source, and batches that are a function of (seed, step)."""

import functools
import subprocess
import sys

import numpy as np
import pytest

from pir_tf import images
from pir_tf.data import sources
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError

PIXELS = np.zeros((2, 4, 4, 3), np.uint8)


def image_set(counts=(3, 9), size=4):
    """Every image is constant, and its value is its index."""
    labels = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    pixels = np.broadcast_to(np.arange(len(labels), dtype=np.uint8)[:, None, None, None], (len(labels), size, size, 3))
    return ImageSet(pixels, labels, tuple("abcdefgh"[: len(counts)]))


def test_an_image_set_is_read_only_and_leaves_the_callers_arrays_alone():
    pixels, labels = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1])
    made = ImageSet(pixels, labels, ["a", "b"])
    assert made.labels.dtype == np.int32 and made.class_names == ("a", "b")
    with pytest.raises(ValueError):
        made.images[0] = 1
    pixels[0] = 1
    labels[0] = 1


@pytest.mark.parametrize(
    "pixels, labels, names, message",
    [
        (np.zeros((2, 4, 5, 3), np.uint8), [0, 1], ("a", "b"), r"shape \[2, 4, 5, 3\], expected square ones"),
        (np.zeros((2, 4, 4, 3), np.float32), [0, 1], ("a", "b"), "float32 images"),
        (PIXELS, [0, 1, 1], ("a", "b"), r"labels of shape \[3\] for 2 images"),
        (PIXELS, [0.0, 1.0], ("a", "b"), "float64 labels"),
        (PIXELS, [0, 2], ("a", "b"), "labels from 0 to 2, expected 0 to 1"),
        (PIXELS, [-1, 0], ("a", "b"), "labels from -1 to 0"),
        (PIXELS, [0, 1], ("a", "a"), "all different"),
        (PIXELS, [0, 1], ("a", "b\nc"), "each of one line"),
        (PIXELS, [0, 1], ("a", ""), "each of one line"),
        (PIXELS, [0, 0], (), "at least one"),
        (PIXELS, [0, 0], ("a", "b", "c"), "class 'b', 'c' has no images"),
        (np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, int), ("a",), "class 'a' has no images"),
    ],
)
def test_what_is_no_data_set_is_refused(pixels, labels, names, message):
    with pytest.raises(InputError, match=message):
        ImageSet(pixels, np.asarray(labels), names)


def test_the_digest_sees_every_part_and_nothing_else():
    base = image_set()
    assert len(base.digest) == 64 and base.digest == image_set().digest
    strided = ImageSet(base.images.transpose(0, 2, 1, 3), base.labels.astype(np.int64), base.class_names)
    assert strided.digest == base.digest
    pixels = base.images.copy()
    pixels[-1, -1, -1, -1] ^= 1
    others = [
        ImageSet(pixels, base.labels, base.class_names),
        ImageSet(base.images, base.labels[::-1], base.class_names),
        ImageSet(base.images, base.labels, ("b", "a")),
        image_set(size=5),
    ]
    assert len({base.digest, *(other.digest for other in others)}) == 5


def test_fewer_images_than_a_batch_are_refused():
    image_set((2, 3)).require_at_least(5)
    with pytest.raises(InputError, match="has 5 images, expected at least one batch of 6"):
        image_set((2, 3)).require_at_least(6)
    with pytest.raises(InputError, match="has 12 images, expected at least one batch of 13"):
        sources.batches(image_set(), batch_size=13, seed=0)


def test_landscapes_with_and_without_filter():
    some = functools.partial(sources.load, "landscapes", image_size=16, count=6, seed=5)
    both = some()
    assert both.class_names == ("coast", "mountain") and both.images.shape == (6, 16, 16, 3)
    np.testing.assert_array_equal(both.labels, [0, 1, 0, 1, 0, 1])
    assert some(classes=("mountain", "coast")).digest == both.digest
    one = some(classes=("mountain",))
    assert one.class_names == ("mountain",)
    np.testing.assert_array_equal(one.images, both.images[1::2])
    np.testing.assert_array_equal(one.labels, [0, 0, 0])
    for options, words in (
        ({"classes": ("desert",)}, "no class 'desert'; its 2 classes are coast, mountain"),
        ({"split": "test"}, "split 'test' received for landscapes, which have none"),
        ({"count": 1}, "class 'mountain' has no images"),
    ):
        with pytest.raises(InputError, match=words):
            some(**options)


@pytest.mark.parametrize("source", ["", "landscape", "folder", "folder:", "tfds:", "landscapes:x", "https://x", "/a/b"])
def test_any_other_source_is_refused_naming_the_three_forms(source):
    with pytest.raises(InputError, match=r"expected landscapes, folder:PATH .* or tfds:NAME"):
        sources.load(source, image_size=8, count=2, seed=0)


def test_importing_the_module_is_light():
    code = "import sys, pir_tf.data.sources, pir_tf.data.folder, pir_tf.data.tfds_source; "
    code += "print([m for m in ('tensorflow', 'tensorflow_datasets', 'PIL') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def take(dataset, count):
    return [(x.numpy(), y.numpy()) for x, y in dataset.take(count)]


@pytest.mark.parametrize("seed", [-1, 2**62])
def test_batches_have_a_fixed_shape_and_the_values_of_the_image_convention(seed):
    ramp = np.arange(2 * 3 * 256).reshape(2, 16, 16, 3) % 256  # every byte
    data = ImageSet(ramp.astype(np.uint8) ^ np.array([0, 1], np.uint8)[:, None, None, None], [0, 1], ("a", "b"))
    stream = sources.batches(data, batch_size=2, seed=seed, first_step=2**40)
    pictures, labels = stream.element_spec
    assert pictures.shape == (2, 16, 16, 3) and pictures.dtype == "float32"
    assert labels.shape == (2,) and labels.dtype == "int32"
    assert stream.cardinality() == -1  # infinite
    for x, y in take(stream, 5):
        np.testing.assert_array_equal(x, images.to_float(data.images)[y])


def test_the_batch_of_a_step_depends_on_seed_and_step_alone():
    data = image_set((4, 4), size=2)
    whole = take(sources.batches(data, batch_size=8, seed=3), 12)
    again = take(sources.batches(data, batch_size=8, seed=3), 12)
    resumed = take(sources.batches(data, batch_size=8, seed=3, first_step=7), 5)
    for (a, b), (c, d) in zip(whole + whole[7:], again + resumed, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    assert len({x.tobytes() for x, _ in whole}) == 12
    other = take(sources.batches(data, batch_size=8, seed=4), 12)
    assert not any(np.array_equal(a[0], b[0]) for a, b in zip(whole, other, strict=True))


def test_the_batches_of_a_seed_are_fixed_for_good():
    """Frozen values, so equal in every process: a change here changes every published run."""
    found = take(sources.batches(image_set(), batch_size=6, seed=0), 2)
    assert [images.to_uint8(x)[:, 0, 0, 0].tolist() for x, _ in found] == [[11, 2, 1, 2, 5, 0], [4, 2, 4, 5, 1, 2]]


def test_classes_are_uniform_and_images_uniform_within_their_class():
    data = image_set((2, 30, 8), size=1)
    drawn = take(sources.batches(data, batch_size=40, seed=0), 600)
    rows = np.concatenate([images.to_uint8(x)[:, 0, 0, 0] for x, _ in drawn])
    np.testing.assert_array_equal(np.concatenate([y for _, y in drawn]), data.labels[rows])
    counts = np.bincount(rows, minlength=40)
    assert (counts > 0).all()
    total = len(rows)  # 24,000 draws: bounds of five standard deviations
    for label, size in enumerate((2, 30, 8)):
        mine = counts[data.labels == label]
        assert abs(mine.sum() - total / 3) < 5 * np.sqrt(total * 2 / 9)
        assert np.abs(mine - total / 3 / size).max() < 5 * np.sqrt(total / 3 / size)
