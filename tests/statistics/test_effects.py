"""Tests of the statistics: values worked by hand, coverage of the intervals, and what is undefined."""

import dataclasses
import functools
import json
import math

import numpy as np
import pytest
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics.effects import change_interval, cohens_d, cohens_d_interval, pir_summary, verdict, welch_t

pytestmark = pytest.mark.filterwarnings("error")

BEFORE, AFTER = [1, 2, 3, 4], [2, 3, 4, 5, 6]
UNDEFINED = [
    ([], []),
    ([1], [2]),
    ([1], [2, 3, 4]),
    ([1, 2, 3], [2]),
    ([1, 1, 1], [2, 2, 2]),
    ([0.1, 0.1, 0.1], [0.7, 0.7]),  # a variance of 1e-34 by rounding is none
    ([0.1 + 0.2, 0.3, 0.3], [0.5, 0.5]),
    ([-1e200, 1e200], [0, 1]),  # a variance beyond a float
]


def test_d_and_its_interval_by_hand():
    # Variances 5/3 and 5/2: pooled (3 * 5/3 + 4 * 5/2) / 7 = 15/7; means 2.5 and 4.
    assert cohens_d(BEFORE, AFTER) == pytest.approx(1.5 / math.sqrt(15 / 7), rel=1e-12)
    assert round(cohens_d(BEFORE, AFTER), 4) == 1.0247
    # m0 = 0, m1 = 2, s0^2 = s1^2 = 4/3, so d = sqrt(3). Every (x - m)^2 / s^2 is 3/4: the second terms are constant,
    # and the variance of (x - m) / s is 1 in both sets.
    for level, z in ((0.95, 1.959963984540054), (0.8, 1.2815515655446004)):
        half = z * math.sqrt(1 / 3 + 1 / 3)
        interval = cohens_d_interval([-1, -1, 1, 1], [1, 1, 3, 3], level)
        assert interval == pytest.approx((math.sqrt(3) - half, math.sqrt(3) + half), rel=1e-12)


COVERAGE = [
    ("equal", stats.norm(0, 1), stats.norm(0, 1), 60, 60),
    ("d 2", stats.norm(0, 1), stats.norm(2, 1), 60, 60),
    ("unequal variances", stats.norm(0, 1), stats.norm(0.1, 3), 60, 60),
    ("unequal variances and counts, d near 2", stats.norm(0, 1), stats.norm(3.5, 3), 120, 60),
    ("the same, the wide set larger", stats.norm(0, 1), stats.norm(5, 3), 60, 120),
    ("skewed PIRs, d 2", stats.beta(1, 9), stats.beta(2, 3), 200, 200),
    ("PIRs of opposite skew, d 3.6", stats.beta(2, 8), stats.beta(5, 2), 200, 200),
]


@pytest.mark.parametrize(("name", "before", "after", "n0", "n1"), COVERAGE, ids=[case[0] for case in COVERAGE])
def test_interval_covers_the_true_d(name, before, after, n0, n1):
    pooled = ((n0 - 1) * before.var() + (n1 - 1) * after.var()) / (n0 + n1 - 2)
    truth = (after.mean() - before.mean()) / math.sqrt(pooled)
    generator, repeats, covered = np.random.default_rng(0), 1500, 0
    x = before.rvs((repeats, n0), random_state=generator)
    y = after.rvs((repeats, n1), random_state=generator)
    for i in range(repeats):
        low, high = cohens_d_interval(x[i], y[i])
        covered += low <= truth <= high
    # 0.95 with a standard error of 0.006 from 1500 repeats, and up to 0.01 for what few images cost.
    assert 0.925 <= covered / repeats <= 0.97


def test_the_interval_of_pairs_covers_the_effect_and_is_narrower_where_they_go_together():
    rng, covered, widths = np.random.default_rng(0), {True: 0, False: 0}, {True: 0.0, False: 0.0}
    for _ in range(600):
        x = rng.normal(0, 1, 200)
        y = 0.8 + 0.95 * x + rng.normal(0, math.sqrt(1 - 0.95**2), 200)
        for paired in covered:
            low, high = cohens_d_interval(x, y, paired=paired)
            covered[paired] += low < 0.8 < high
            widths[paired] += high - low
    assert 0.93 < covered[True] / 600 < 0.97 and covered[False] == 600 and widths[True] < 0.5 * widths[False]
    with pytest.raises(InputError, match="received 4 and 3 paired values"):
        cohens_d_interval([1, 2, 3, 4], [1, 2, 4], paired=True)


def test_both_sides_alike_is_what_as_many_of_each_would_have():
    """Each value of the smaller set four times: the same variances but for ddof, and equal numbers."""
    few, many = np.array([0.2, 0.5, 0.6, 0.9, 0.4] * 40), np.random.default_rng(0).uniform(size=800)
    assert cohens_d(BEFORE, AFTER, alike=True) == pytest.approx(1.5 / math.sqrt((5 / 3 + 5 / 2) / 2), rel=1e-12)
    repeated = np.repeat(few, 4)
    assert cohens_d(many, few, alike=True) == pytest.approx(cohens_d(many, repeated), rel=2e-3)
    assert cohens_d(many, few) != pytest.approx(cohens_d(many, repeated), rel=5e-3)
    low, high = cohens_d_interval(many, few, alike=True)
    assert low < cohens_d(many, few, alike=True) < high
    assert cohens_d_interval(many, repeated, alike=True) == cohens_d_interval(many, repeated)


def test_t_and_the_interval_of_the_change_by_hand():
    t, degrees, p = welch_t(BEFORE, AFTER)
    a, b = 5 / 3 / 4, 5 / 2 / 5
    assert t == pytest.approx(1.5 / math.sqrt(a + b), rel=1e-12)
    assert degrees == pytest.approx((a + b) ** 2 / (a**2 / 3 + b**2 / 4), rel=1e-12)
    assert p == pytest.approx(2 * stats.t.sf(t, degrees), rel=1e-10)
    assert welch_t(AFTER, BEFORE) == pytest.approx((-t, degrees, p), rel=1e-12)
    half = stats.t.ppf(0.975, degrees) * 1.5 / t
    assert change_interval(BEFORE, AFTER) == pytest.approx((1.5 - half, 1.5 + half), rel=1e-10)
    assert change_interval([0.1] * 3, [0.2, 0.3, 0.5])[0] < 1 / 3 - 0.1 < change_interval([0.1] * 3, [0.2, 0.3, 0.5])[1]
    t, degrees, p = welch_t([0.1, 0.1, 0.1], [0.2, 0.3, 0.5])
    variance = np.var([0.2, 0.3, 0.5], ddof=1) / 3
    assert (t, degrees) == pytest.approx(((1 / 3 - 0.1) / math.sqrt(variance), 2.0), rel=1e-10)
    assert welch_t([0.2, 0.3, 0.5], [0.1, 0.1, 0.1]) == pytest.approx((-t, degrees, p), rel=1e-12)
    x = np.random.default_rng(0).normal(0, 0.01, 1000)
    t, degrees, p = welch_t(x, x + 0.9)
    assert p == 0.0 and t > 0 and math.isfinite(degrees)


@pytest.mark.parametrize(("before", "after"), UNDEFINED)
def test_undefined_is_none_never_a_number(before, after):
    assert cohens_d(before, after) is None
    assert cohens_d_interval(before, after) is None
    assert welch_t(before, after) is None and change_interval(before, after) is None
    assert verdict(0.1, cohens_d(before, after), None, distance_ratios=None) == "undefined"


def test_bad_values_and_levels_are_refused():
    for bad in ([0.1, math.nan], [0.1, math.inf], [0.1, None], [[0.1, 0.2]], 0.3):
        for function in (cohens_d, cohens_d_interval, welch_t, change_interval, pir_summary):
            for name, both in (("before", (bad, [0.1, 0.2])), ("after", ([0.1, 0.2], bad))):
                with pytest.raises(InputError, match=f"{name}: received"):
                    function(*both)
    for level in (0, 1, 95, math.nan):
        with pytest.raises(InputError, match="level"):
            cohens_d_interval(BEFORE, AFTER, level)


def test_summary_by_hand():
    x, y = [0.0, 0.005, 0.01, 0.985], [1.0, 1.0, 0.5, 0.9, 0.6]
    found = pir_summary(x, y)
    assert (found.before_mean, found.after_mean, found.change) == pytest.approx((0.25, 0.8, 0.55))
    assert (found.before_sd, found.after_sd) == pytest.approx((np.std(x, ddof=1), np.std(y, ddof=1)))
    assert found.percent_zero_before == 50.0  # 0.01 itself is one bin width away from zero
    assert (found.n_before, found.n_after, found.clipped_before, found.clipped_after) == (4, 5, 0.25, 0.4)
    assert found.note is None
    assert "PIRs before are" in pir_summary([0.0, 0.0, 0.3], [0.1, 0.2, 0.3]).note
    assert "before and after" in pir_summary([0, 0, 0.3], [1, 0, 0.3]).note
    assert pir_summary([0.0, 0.3], [0.1, 1.0]).note is None  # half is not most


def test_summary_goes_to_strict_json_forgives_rounding_and_refuses_percent():
    for before, after in (([], []), ([0.5], []), ([0.5], [0.25, 0.75]), (np.float32([0.5, 1]), np.float32([0, 0.1]))):
        values = dataclasses.asdict(pir_summary(before, after))
        assert json.loads(json.dumps(values, allow_nan=False)) == values
        assert all(value is None or type(value) in (float, int, str) for value in values.values())
    empty = pir_summary([], [])
    assert (empty.before_mean, empty.change, empty.before_sd, empty.clipped_after, empty.n_after) == (*[None] * 4, 0)
    rounded = pir_summary([1.0000001, 0.5], [-1e-8, 0.5])
    assert (rounded.before_mean, rounded.after_mean) == (0.75, 0.25)
    assert (rounded.clipped_before, rounded.clipped_after) == (0.5, 0.5)
    with pytest.raises(InputError, match=r"after: received 3 to 40, expected PIRs in \[0, 1\]"):
        pir_summary([0.1], [3, 40])


@pytest.mark.parametrize(
    ("change", "d", "p", "ratios", "word"),
    [
        (0.2, 1.5, 1e-9, [0.9, 0.8], "gain"),
        (0.2, 1.5, 0.0, None, "gain"),
        (0.2, 1.5, 1e-9, [None, 0.5], "gain"),
        (0.2, 1.5, 1e-9, [0.9, 0.4999], "gain with collapse"),
        (0.2, 1.5, 1e-9, [None, 0.0], "gain with collapse"),
        (-0.2, -1.5, 1e-9, [0.9, 0.1], "loss"),
        (0.2, 1.5, 0.001, [0.9], "no significant change"),
        (-0.2, -0.1, 0.3, [0.1], "no significant change"),
        (0.0, 0.0, 1.0, [], "no significant change"),
        (None, None, None, None, "not measured yet"),
        (None, None, None, [0.1], "not measured yet"),
        (1.0, None, None, [0.9], "undefined"),
        (1.0, 2.0, None, [0.9], "undefined"),
        (1.0, None, 0.0, [0.9], "undefined"),
    ],
)
def test_verdict(change, d, p, ratios, word):
    assert verdict(change, d, p, distance_ratios=ratios) == word


NOT_TOLD_APART = "gain, not told apart from the GAN's own training"


@pytest.mark.parametrize(
    ("over_control", "ratios", "word"),
    [
        ((0.1, 1e-9), [0.9], "gain"),
        ((0.1, 1e-9), [0.4], "gain with collapse"),
        ((0.1, 0.0099), [0.9], "gain"),
        ((0.1, 0.01), [0.9], NOT_TOLD_APART),  # p has to be below alpha
        ((0.1, 0.3), [0.9], NOT_TOLD_APART),
        ((-0.1, 1e-9), [0.9], NOT_TOLD_APART),  # the control is higher, and surely
        ((0.0, 1e-9), [0.9], NOT_TOLD_APART),
        ((-0.1, 1e-9), [0.4], NOT_TOLD_APART),
        ((0.1, None), [0.9], NOT_TOLD_APART),
        ((None, None), [0.9], NOT_TOLD_APART),
    ],
)
def test_a_gain_has_to_stand_out_from_the_control(over_control, ratios, word):
    said = functools.partial(verdict, distance_ratios=ratios, alpha=0.01, over_control=over_control)
    assert said(0.2, 1.5, 1e-9) == word
    assert said(-0.2, -1.5, 1e-9) == "loss" and said(0.2, 0.1, 0.3) == "no significant change"
    assert said(None, None, None) == "not measured yet"


@pytest.mark.parametrize(
    "wrong",
    [
        *({"change": math.nan}, {"d": math.inf}, {"p": math.nan}, {"p": 1.5}, {"p": -0.1}, {"alpha": 0.0}),
        {"d": -1.0},  # against the sign of the change
        {"distance_ratios": [math.nan]},
    ],
)
def test_verdict_refuses_what_cannot_be(wrong):
    valid = {"change": 0.1, "d": 1.0, "p": 1e-9, "distance_ratios": None}
    assert verdict(**valid) == verdict(**{**valid, "p": 0.01}, alpha=0.05) == "gain"
    with pytest.raises(InputError, match="received"):
        verdict(**{**valid, **wrong})
