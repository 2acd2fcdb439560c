"""The kernel distance against a case worked by hand and a double loop, and what it must say of equal and shifted sets."""

import subprocess
import sys

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.evaluation.kid import kid, unbiased_mmd2


def double_loop(x, y):
    """The unbiased estimate, a pair at a time."""
    k = lambda a, b: (sum(p * q for p, q in zip(a, b, strict=True)) / len(a) + 1) ** 3  # noqa: E731
    within = lambda s: np.mean([k(s[i], s[j]) for i in range(len(s)) for j in range(len(s)) if i != j])  # noqa: E731
    return within(x) + within(y) - 2 * np.mean([k(a, b) for a in x for b in y])


def test_a_case_worked_by_hand():
    # d = 1, x = {0, 1}, y = {1, 2}. Within x: k(0, 1) = 1. Within y: k(1, 2) = 27.
    # Between: k(0, 1) = 1, k(0, 2) = 1, k(1, 1) = 8, k(1, 2) = 27, mean 9.25. 1 + 27 - 18.5 = 9.5.
    assert unbiased_mmd2(np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])) == pytest.approx(9.5, abs=1e-12)


def test_features_are_divided_by_their_number():
    # d = 2, all entries 2 in x and 0 in y: k within x is (8 / 2 + 1)^3 = 125, else 1. 125 + 1 - 2 = 124.
    assert unbiased_mmd2(np.full((2, 2), 2.0), np.zeros((3, 2))) == pytest.approx(124.0, abs=1e-12)


def test_it_equals_a_double_loop():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 5)), rng.normal(0.3, 2, size=(9, 5))
    assert unbiased_mmd2(x, y) == pytest.approx(double_loop(x, y), rel=1e-10)


def test_blocks_are_disjoint_and_give_the_standard_error():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(7, 3)), rng.normal(size=(8, 3))
    found = kid(x, y, seed=4, block_size=3)
    assert (found.block_size, found.blocks) == (3, 2)
    order = np.random.default_rng(4)
    rows_x, rows_y = order.permutation(7)[:6].reshape(2, 3), order.permutation(8)[:6].reshape(2, 3)
    values = [double_loop(x[a], y[b]) for a, b in zip(rows_x, rows_y, strict=True)]
    assert found.value == pytest.approx(np.mean(values), rel=1e-10)
    assert found.standard_error == pytest.approx(abs(values[0] - values[1]) / 2, rel=1e-10)


def test_equal_distributions_give_about_0_of_either_sign_and_the_error_is_honest():
    rng = np.random.default_rng(2)
    estimates = [kid(*rng.normal(size=(2, 200, 8)), seed=seed, block_size=20) for seed in range(60)]
    values = np.array([estimate.value for estimate in estimates])
    assert (values < 0).any() and (values > 0).any()
    assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values))
    stated = np.mean([estimate.standard_error for estimate in estimates])
    assert stated == pytest.approx(values.std(ddof=1), rel=0.3)


@pytest.mark.parametrize("shift", [0.5, 2.0])
def test_a_shift_gives_more_than_0_by_many_standard_errors(shift):
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 300, 8))
    found = kid(x, y + shift, seed=0)
    assert (found.block_size, found.blocks) == (100, 3)
    assert found.value > 5 * found.standard_error > 0


def test_a_larger_shift_is_farther_and_the_order_of_the_sets_does_not_matter():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 100, 4))
    near, far = (unbiased_mmd2(x, y + shift) for shift in (1, 2))
    assert far > near > 0
    assert unbiased_mmd2(y + 1, x) == pytest.approx(near, rel=1e-10)


def test_small_sets_are_cut_into_two_blocks():
    rng = np.random.default_rng(6)
    found = kid(rng.normal(size=(64, 4)), rng.normal(size=(50, 4)), seed=0)
    assert (found.block_size, found.blocks) == (25, 2)


def test_one_seed_gives_one_estimate():
    x, y = np.random.default_rng(7).normal(size=(2, 300, 4))
    assert kid(x, y, seed=1) == kid(x, y, seed=1) != kid(x, y, seed=2)


@pytest.mark.parametrize(
    ("x", "y", "said"),
    [
        (np.ones((3, 2)), np.ones((9, 2)), "features of 3 images, expected 4 or more"),
        (np.ones((9, 2)), np.ones((9, 3)), "2 and 3 entries"),
        (np.ones(9), np.ones((9, 1)), r"x has shape \(9,\)"),
        (np.full((9, 2), np.nan), np.ones((9, 2)), "not finite"),
    ],
)
def test_what_has_no_distance_is_refused(x, y, said):
    with pytest.raises(InputError, match=said):
        kid(x, y, seed=0)


def test_it_needs_no_tensorflow():
    program = "import sys, pir_tf.evaluation.kid; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
