"""The ridge readout against brute force in float64: weights, images left out one by one, the posterior, and refusals."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.estimator.ridge import PENALTIES, fit_ridge

RNG = np.random.default_rng(0)
SHOWN = RNG.integers(1, 9, 30)


def data(features, images=30):
    rng = np.random.default_rng(features)
    x = rng.normal(3, 2, (images, features)) * rng.uniform(1, 50, features)
    return x, rng.uniform(0, 1, images)


def solved(x, y, shown, penalty):
    """(b, w) of the penalised least squares, from the normal equations with the intercept as one more unknown."""
    design = np.column_stack([np.ones(len(x)), x])
    penalties = penalty * np.diag([0, *np.ones(x.shape[1])])
    b, *w = np.linalg.solve(design.T * shown @ design + penalties, design.T * shown @ y)
    return b, np.array(w)


@pytest.mark.parametrize("features", [5, 80])  # fewer than images, and more
def test_weights_left_out_images_and_doubt_by_brute_force(features):
    x, y = data(features)
    ridge = fit_ridge(x, y, SHOWN, penalty=7.0)
    z = ridge.standardised(x)
    np.testing.assert_allclose(SHOWN @ z / SHOWN.sum(), 0, atol=1e-9)
    np.testing.assert_allclose(SHOWN @ z**2 / SHOWN.sum(), 1, rtol=1e-9)
    b, w = solved(z, y, SHOWN, 7.0)
    np.testing.assert_allclose(ridge.weights, w, atol=1e-8)
    np.testing.assert_allclose(ridge.pir(x), b + z @ w, atol=1e-8)
    left_out = []
    for i in range(len(y)):
        rest = np.arange(len(y)) != i
        b, w = solved(z[rest], y[rest], SHOWN[rest], 7.0)
        left_out.append(b + z[i] @ w)
    np.testing.assert_allclose(ridge.left_out, left_out, atol=1e-8)
    assert ridge.error == pytest.approx(SHOWN @ (y - left_out) ** 2 / SHOWN.sum())
    assert ridge.noise == pytest.approx(SHOWN @ (y - left_out) ** 2 / len(y))
    new = ridge.standardised(RNG.normal(3, 2, (4, features)))
    inverse = np.linalg.inv(z.T * SHOWN @ z + 7.0 * np.eye(features))
    by_hand = np.sqrt(ridge.noise * np.einsum("if,fg,ig->i", new, inverse, new))
    np.testing.assert_allclose(ridge.sd(new * ridge.spread + ridge.mean), by_hand, rtol=1e-7)


def test_an_image_shown_three_times_is_three_images_shown_once():
    x, y = data(6)
    once = fit_ridge(np.repeat(x, SHOWN, 0), np.repeat(y, SHOWN), np.ones(SHOWN.sum()), penalty=3.0)
    weighted = fit_ridge(x, y, SHOWN, penalty=3.0)
    np.testing.assert_allclose(weighted.weights, once.weights, rtol=1e-9)
    np.testing.assert_allclose([weighted.intercept, *weighted.spread], [once.intercept, *once.spread])


def test_the_penalty_is_the_one_whose_left_out_errors_are_least():
    x, _ = data(10)
    y = 0.5 + 0.1 * x[:, 0] / x[:, 0].std() + RNG.normal(0, 0.2, 30)
    errors = [fit_ridge(x, y, SHOWN, penalty=a * SHOWN.sum()).error for a in PENALTIES]
    chosen = fit_ridge(x, y, SHOWN)
    assert chosen.penalty == pytest.approx(PENALTIES[np.argmin(errors)] * SHOWN.sum())
    assert chosen.error == pytest.approx(min(errors))
    assert PENALTIES[0] * SHOWN.sum() < chosen.penalty < PENALTIES[-1] * SHOWN.sum()


def test_groups_have_intercepts_of_their_own_by_brute_force():
    x, y = data(8)
    group = np.arange(30) % 3 + 5  # of any numbers
    group[29] = 40  # alone: it says nothing
    ridge = fit_ridge(x, y, SHOWN, groups=group, penalty=4.0)
    z, own = ridge.standardised(x), (group[:, None] == np.unique(group)).astype(float)

    def by_hand(rows):
        design = np.column_stack([z, own])[rows]
        normal = design.T * SHOWN[rows] @ design + np.diag([4.0] * 8 + [0] * 4)
        return np.linalg.pinv(normal) @ (design.T * SHOWN[rows] @ y[rows])

    np.testing.assert_allclose(ridge.weights, by_hand(np.arange(30))[:8], atol=1e-8)
    for row in range(29):
        found = by_hand(np.arange(30) != row)
        assert ridge.left_out[row] == pytest.approx(np.concatenate([z[row], own[row]]) @ found, abs=1e-8)
    assert ridge.noise == pytest.approx(SHOWN @ (y - ridge.left_out) ** 2 / 29)
    means = np.array([np.average(z[group == g], axis=0, weights=SHOWN[group == g]) for g in group])
    inverse = np.linalg.inv((z - means).T * SHOWN @ (z - means) + 4.0 * np.eye(8))
    np.testing.assert_allclose(ridge.sd(x), np.sqrt(ridge.noise * np.einsum("if,fg,ig->i", z, inverse, z)), rtol=1e-7)


def test_a_better_second_pool_does_not_hide_what_is_liked():
    """Wins are shares within a pool: half of them in each, though the second pool's images are far better."""
    rng, wins = np.random.default_rng(0), []
    x = rng.normal(size=(400, 3)) + np.repeat([[0, 0, 0], [6, 0, 0]], 200, axis=0)
    for pool in (x[:200], x[200:]):
        rivals = pool[rng.permutation(200)]
        wins.append(rng.random(200) < 1 / (1 + np.exp(-(pool - rivals)[:, 0])))
    y, shown, group = np.concatenate(wins).astype(float), np.ones(400), np.repeat([1, 2], 200)
    slopes = [fit_ridge(x, y, shown, groups=one, penalty=1.0) for one in (None, group)]
    joined, apart = (ridge.weights[0] / ridge.spread[0] for ridge in slopes)
    within = [fit_ridge(x[rows], y[rows], shown[rows], penalty=1.0) for rows in (slice(200), slice(200, 400))]
    alone = np.mean([ridge.weights[0] / ridge.spread[0] for ridge in within])
    assert apart == pytest.approx(alone, rel=0.1) and joined < 0.3 * apart


def test_a_feature_that_never_varies_has_no_say():
    x, y = data(5)
    with_constant = fit_ridge(np.column_stack([x, np.full(30, 4.0)]), y, SHOWN, penalty=1.0)
    np.testing.assert_allclose(with_constant.weights, [*fit_ridge(x, y, SHOWN, penalty=1.0).weights, 0], atol=1e-9)


@pytest.mark.parametrize(
    "count, pir, said",
    [
        (9, np.linspace(0, 1, 9), "9 images have impressions; expected 10 or more"),
        (1, np.ones(1), "1 image has impressions; expected 10 or more"),
        (12, np.full(12, 0.25), "All 12 answered images have the same PIR, 0.25; expected some difference"),
    ],
)
def test_answers_that_nothing_can_be_learnt_from_are_refused(count, pir, said):
    with pytest.raises(InputError, match=said):
        fit_ridge(np.random.default_rng(0).normal(size=(count, 3)), pir, np.ones(count))


@pytest.mark.parametrize("groups", [np.arange(12), np.arange(12) // 6])
def test_answers_that_differ_between_groups_alone_say_nothing(groups):
    x = np.random.default_rng(0).normal(size=(12, 3))
    with pytest.raises(InputError, match="All 12 answered images have the PIR of the others of their group"):
        fit_ridge(x, groups / 20, np.ones(12), groups=groups)
