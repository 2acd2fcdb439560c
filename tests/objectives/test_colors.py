"""The colour objectives: values worked by hand from C.4.3, and bounds."""

import itertools

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.objectives import colors
from pir_tf.objectives.colors import COLORS

ROTATIONS = ("red-green-blue", "green-blue-red", "blue-red-green")
NAMES = (*COLORS, *map("-".join, itertools.permutations(COLORS, 2)), *ROTATIONS)


def pir(name, v):
    """PIR of images whose values in [0, 1] are `v`: one image [h, w, 3], or several [n, h, w, 3]."""
    v = np.asarray(v, dtype=np.float32)
    return colors.pir(2.0 * (v if v.ndim == 4 else v[None]) - 1.0, name.split("-"))


def random_values(n=20, size=16):
    return np.random.default_rng(0).random((n, size, size, 3), dtype=np.float32)


def test_one_row_two_columns_by_hand():
    v = [[[1.0, 0.5, 0.0], [0.5, 0.0, 1.0]]]  # squares 1, .25, 0 and .25, 0, 1: 2.5 in all
    targets = {"red": 1.25, "green": 0.25, "blue": 1.0, "red-blue": 2.0, "blue-red": 0.25, "green-blue": 1.25}
    for name, target in (targets | {"red-green": 1.0}).items():
        np.testing.assert_allclose(pir(name, v), [np.sqrt(target / 2.5)], rtol=1e-10, err_msg=name)


def test_two_rows_three_columns_by_hand():
    row = [[1.0, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.5, 1.0]]
    v = [row, np.zeros((3, 3))]  # squares 1, .25, 0 | 0, .25, .25 | .25, .25, 1: 3.25 in all
    targets = {"red-green-blue": 2.25, "green-blue-red": 0.75, "blue-red-green": 0.25}
    for name, target in (targets | {"red-green": 1.5}).items():  # halves of 1 and 2 px
        np.testing.assert_allclose(pir(name, v), [np.sqrt(target / 3.25)], rtol=1e-10, err_msg=name)


@pytest.mark.parametrize(("name", "widths"), [("green-red", [32, 32]), ("blue-red-green", [21, 21, 22])])
def test_bands_of_64_pixels(name, widths):
    # One lit column at a time, in all colours: only the target of its band counts.
    targets = np.repeat([COLORS.index(color) for color in name.split("-")], widths)
    v = np.zeros((64, 2, 64, 3))
    v[np.arange(64), :, np.arange(64), :] = [0.25, 0.5, 1.0]
    expected = np.array([0.25, 0.5, 1.0])[targets] / np.sqrt(0.0625 + 0.25 + 1.0)
    np.testing.assert_allclose(pir(name, v), expected, rtol=1e-10)


def test_pure_colours_have_pir_one_and_zero():
    for i, color in enumerate(COLORS):
        v = np.zeros((7, 5, 3))
        v[..., i] = random_values(1)[0, :7, :5, 0]
        for other in COLORS:
            np.testing.assert_allclose(pir(other, v), [float(other == color)], rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_each_objective(name, recwarn):
    v = random_values(n=130, size=6)  # more than one chunk
    found = pir(name, v)
    assert found.shape == (130,) and found.dtype == np.float64 and ((found >= 0.0) & (found <= 1.0)).all()
    np.testing.assert_array_equal(found, np.concatenate([pir(name, image) for image in v]))  # each is scored alone
    np.testing.assert_allclose(pir(name, v / 4), found, rtol=1e-5)  # contrast alone changes nothing
    np.testing.assert_allclose(pir(name, np.full((8, 9, 3), 0.5)), [np.sqrt(1 / 3)], rtol=1e-10)
    dark = np.full((2, 6, 6, 3), -1.0, np.float32)
    dark[1] -= 5e-4  # below the range by rounding
    np.testing.assert_array_equal(colors.pir(dark, name.split("-")), [0.0, 0.0])
    assert colors.pir(-dark[1:], name.split("-")) == pytest.approx(np.sqrt(1 / 3))  # and above it
    assert not recwarn.list


def test_no_images_have_no_pir_and_given_ones_stay_as_they_are():
    assert colors.pir(np.zeros((0, 4, 4, 3), np.float32), ["blue"]).shape == (0,)
    images = 2 * random_values(2) - 1
    images.flags.writeable = False
    colors.pir(images, ["red", "blue"])


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((2, 4, 4, 3), np.uint8), "uint8"),
        (np.zeros((2, 4, 1, 3), np.float32), "2 columns"),
        (np.full((2, 4, 4, 3), 255.0, np.float32), "255"),
    ],
)
def test_other_images_are_refused(images, words):
    with pytest.raises(InputError, match=words):
        colors.pir(images, ["red", "blue"])
