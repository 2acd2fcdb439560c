"""Tests of the colour objectives: values worked by hand from C.4.3, bounds, and which way is left."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.objectives.colors import COLORS, ColorObjective, all_objectives, parse


def to_images(v):
    """Images in [-1, 1] whose values in [0, 1] are `v`: one image [h, w, 3], or several [n, h, w, 3]."""
    v = np.asarray(v, dtype=np.float32)
    return 2.0 * (v if v.ndim == 4 else v[None]) - 1.0


def random_values(n=20, size=16, seed=0):
    return np.random.default_rng(seed).random((n, size, size, 3), dtype=np.float32)


# Value


def test_one_row_two_columns_by_hand():
    images = to_images([[[1.0, 0.5, 0.0], [0.5, 0.0, 1.0]]])  # squares 1, .25, 0 and .25, 0, 1: 2.5 in all
    expected = {
        "red": 1.25 / 2.5,
        "green": 0.25 / 2.5,
        "blue": 1.0 / 2.5,
        "red-blue": 2.0 / 2.5,
        "blue-red": 0.25 / 2.5,
        "green-blue": 1.25 / 2.5,
        "red-green": 1.0 / 2.5,
    }
    for name, ratio in expected.items():
        np.testing.assert_allclose(parse(name)(images), [np.sqrt(ratio)], rtol=1e-10, err_msg=name)


def test_two_rows_three_columns_by_hand():
    row = [[1.0, 0.5, 0.0], [0.0, 0.5, 0.5], [0.5, 0.5, 1.0]]
    black = [[0.0, 0.0, 0.0]] * 3
    images = to_images([row, black])  # squares 1, .25, 0 | 0, .25, .25 | .25, .25, 1: 3.25 in all
    np.testing.assert_allclose(parse("red-green-blue")(images), [np.sqrt(2.25 / 3.25)], rtol=1e-10)
    np.testing.assert_allclose(parse("green-blue-red")(images), [np.sqrt(0.75 / 3.25)], rtol=1e-10)
    np.testing.assert_allclose(parse("blue-red-green")(images), [np.sqrt(0.25 / 3.25)], rtol=1e-10)
    np.testing.assert_allclose(parse("red-green")(images), [np.sqrt(1.5 / 3.25)], rtol=1e-10)  # halves of 1 and 2 px


def test_uniform_grey_is_a_third_of_the_energy():
    images = to_images(np.full((8, 9, 3), 0.5))
    for name in all_objectives():
        np.testing.assert_allclose(parse(name)(images), [np.sqrt(1 / 3)], rtol=1e-10)


@pytest.mark.parametrize(("name", "widths"), [("green-red", [32, 32]), ("blue-red-green", [21, 21, 22])])
def test_bands_of_64_pixels(name, widths):
    # One lit column at a time, in all colours: only the target of its band counts.
    assert sum(widths) == 64
    targets = np.repeat([COLORS.index(color) for color in name.split("-")], widths)
    v = np.zeros((64, 2, 64, 3))
    v[np.arange(64), :, np.arange(64), :] = [0.25, 0.5, 1.0]
    expected = np.array([0.25, 0.5, 1.0])[targets] / np.sqrt(0.0625 + 0.25 + 1.0)
    np.testing.assert_allclose(parse(name)(to_images(v)), expected, rtol=1e-10)


def test_black_has_pir_zero(recwarn):
    images = np.full((2, 6, 6, 3), -1.0, np.float32)
    images[1] -= 5e-4  # below the range by rounding
    for name in all_objectives():
        np.testing.assert_array_equal(parse(name)(images), [0.0, 0.0])
    assert not recwarn.list


def test_pure_colours_have_pir_one_and_zero():
    for i, color in enumerate(COLORS):
        v = np.zeros((7, 5, 3))
        v[..., i] = random_values(1)[0, :7, :5, 0]
        for other in COLORS:
            pir = parse(other)(to_images(v))
            np.testing.assert_allclose(pir, [float(other == color)], rtol=1e-10, atol=0)
            assert pir[0] <= 1.0


def test_the_names():
    assert all_objectives() == (
        *("red", "green", "blue"),
        *("red-green", "red-blue", "green-red", "green-blue", "blue-red", "blue-green"),
        *("red-green-blue", "green-blue-red", "blue-red-green"),
    )
    for name in all_objectives():
        assert parse(name).name == name
    assert parse("red-blue") == ColorObjective(("red", "blue"))
    assert parse("red-blue-green").colors == ("red", "blue", "green")


# Property


@pytest.mark.parametrize("name", all_objectives())
def test_bounds_shape_and_type(name):
    pir = parse(name)(to_images(random_values(n=130)))  # more than one chunk
    assert pir.shape == (130,)
    assert pir.dtype == np.float64
    assert ((pir >= 0.0) & (pir <= 1.0)).all()


@pytest.mark.parametrize("name", all_objectives())
def test_each_image_is_scored_alone(name):
    images = to_images(random_values(n=70, size=6))
    alone = np.concatenate([parse(name)(images[i : i + 1]) for i in range(70)])
    np.testing.assert_array_equal(parse(name)(images), alone)


@pytest.mark.parametrize("name", all_objectives())
def test_contrast_alone_changes_nothing(name):
    v = random_values()
    np.testing.assert_allclose(parse(name)(to_images(v / 4)), parse(name)(to_images(v)), rtol=1e-5)


def test_squares_of_single_colours_sum_to_one():
    images = to_images(random_values())
    total = sum(parse(color)(images) ** 2 for color in COLORS)
    np.testing.assert_allclose(total, 1.0, rtol=1e-10)


def test_squares_of_the_rotations_sum_to_one():
    images = to_images(random_values())
    total = sum(parse(name)(images) ** 2 for name in all_objectives()[-3:])
    np.testing.assert_allclose(total, 1.0, rtol=1e-10)


def test_no_images_have_no_pir():
    assert parse("blue")(np.zeros((0, 4, 4, 3), np.float32)).shape == (0,)


def test_the_images_stay_as_they_were():
    images = to_images(random_values(2))
    before = images.copy()
    parse("red-blue")(images)
    np.testing.assert_array_equal(images, before)


# Convention


def test_a_redder_image_has_a_higher_red_pir():
    v = random_values()
    redder = v.copy()
    redder[..., 0] = np.minimum(v[..., 0] * 1.2 + 0.1, 1.0)
    assert (parse("red")(to_images(redder)) > parse("red")(to_images(v))).all()
    assert (parse("blue")(to_images(redder)) < parse("blue")(to_images(v))).all()


def test_the_first_colour_is_on_the_left():
    v = np.full((8, 8, 3), 0.2)
    v[:, :4, 0] = 0.9  # left red
    v[:, 4:, 2] = 0.9  # right blue
    images = to_images(v)
    assert parse("red-blue")(images) > 0.9
    assert parse("blue-red")(images) < 0.3


def test_bands_lie_along_the_width():
    v = np.full((8, 8, 3), 0.2)
    v[:4, :, 0] = 0.9  # upper half red, lower half blue
    v[4:, :, 2] = 0.9
    np.testing.assert_allclose(parse("red-blue")(to_images(v)), parse("blue-red")(to_images(v)), rtol=1e-10)


# What is refused


@pytest.mark.parametrize(
    "text", ["", "purple", "Red", "red-", "red-red", "red-green-red", "red-green-blue-red", "red blue", "red,blue"]
)
def test_wrong_names_are_refused_with_what_is_valid(text):
    with pytest.raises(InputError) as error:
        parse(text)
    assert repr(text) in str(error.value)
    assert "red, green, blue" in str(error.value)
    assert "green-blue-red" in str(error.value)


def test_no_colours_are_refused():
    with pytest.raises(InputError, match="one to three"):
        ColorObjective(())


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "shape (4, 4, 3)"),
        (np.zeros((2, 3, 4, 4), np.float32), "shape (2, 3, 4, 4)"),
        (np.zeros((2, 4, 4, 1), np.float32), "shape (2, 4, 4, 1)"),
        (np.zeros((2, 4, 4, 3), np.uint8), "type uint8"),
        (np.zeros((2, 4, 1, 3), np.float32), "1 columns"),
        (np.zeros((2, 0, 4, 3), np.float32), "0 rows"),
        (np.full((2, 4, 4, 3), 1.002, np.float32), "1.002"),
        (np.full((2, 4, 4, 3), -1.002, np.float32), "-1.002"),
        (np.full((2, 4, 4, 3), 255.0, np.float32), "255"),
        (np.full((2, 4, 4, 3), np.nan, np.float32), "nan"),
        (np.full((2, 4, 4, 3), np.inf, np.float32), "inf"),
        (np.full((2, 4, 4, 3), -np.inf, np.float32), "-inf"),
    ],
)
def test_wrong_images_are_refused(images, words):
    with pytest.raises(InputError) as error:
        parse("red-blue")(images)
    assert words in str(error.value)


def test_one_bad_value_among_many_is_refused():
    images = to_images(random_values(3))
    images[1, 2, 3, 1] = np.nan
    with pytest.raises(InputError, match="nan"):
        parse("green")(images)


def test_rounding_beyond_the_range_is_taken():
    assert parse("red")(np.full((1, 2, 2, 3), 1.0005, np.float32)) == pytest.approx(np.sqrt(1 / 3))
