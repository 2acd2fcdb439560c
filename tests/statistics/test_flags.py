"""Tests of the reports on raters: each planted defect raises its own flag alone, and honest raters hardly any."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.statistics.flags import PAIR_ANSWERS, kept, rater_reports
from pir_tf.statistics.modes import MODES

pytestmark = pytest.mark.filterwarnings("error")


def honest(generator, mode, n, liking=0.5):
    """Answers and seconds of one who looks."""
    seconds = 0.4 + generator.lognormal(0, 0.5, n)
    if mode == "like":
        return (generator.random(n) < liking).astype(int), seconds
    if mode == "rating":
        return np.clip(np.round(generator.normal(1 + 4 * liking, 1.1, n)), 1, 5).astype(int), seconds
    if mode == "pair":
        return generator.choice(4, n, p=[0.44, 0.44, 0.08, 0.04]), seconds
    return (generator.random((n, 9)) < 0.3) @ 2 ** np.arange(9), seconds


def study(defect, mode, n=60, raters=8, seed=0):
    """A study in which rater 3 has the defect; `None`: nobody."""
    generator = np.random.default_rng(seed)
    rater, answer, seconds = [], [], []
    for number in range(raters):
        many = 4 * (raters - 1) * n if number == 3 and defect == "most of all answers" else n
        given, times = honest(generator, mode, many, generator.uniform(0.3, 0.85))
        if number == 3:
            if defect == "always left":
                given[:] = PAIR_ANSWERS["left"]
            elif defect == "always right":
                given = np.where(generator.random(many) < 0.96, 1, given)
            elif defect == "always the same answer":
                given[:] = {"like": 1, "rating": 5, "pair": 2, "grid": 0}[mode]
            elif defect == "faster than 0.3 s":
                times = generator.normal(0.2, 0.02, many)
            elif defect == "cycles":
                given = np.tile(
                    {"like": [0, 1], "rating": [1, 2, 3, 4, 5], "pair": [0, 1], "grid": [1, 2, 4]}[mode], many
                )[:many]
        rater.append(np.full(many, number))
        answer.append(given)
        seconds.append(times)
    order = np.argsort(np.concatenate([np.linspace(0, 1, a.size) for a in answer]), kind="stable")
    return [np.concatenate(part)[order] for part in (rater, answer, seconds)]


DEFECTS = [
    *(
        (defect, mode)
        for defect in ("always the same answer", "most of all answers", "faster than 0.3 s", "cycles")
        for mode in MODES
    ),
    ("always left", "pair"),
    ("always right", "pair"),
]


@pytest.mark.parametrize(("defect", "mode"), DEFECTS)
def test_a_planted_defect_raises_its_own_flag_and_no_other(defect, mode):
    rater, answer, seconds = study(defect, mode)
    reports = rater_reports(rater, answer, seconds, mode)
    assert [report.flags for report in reports] == [(defect,) if number == 3 else () for number in range(8)]
    mask = kept(rater, reports)
    assert np.array_equal(mask, rater != 3)


@pytest.mark.parametrize("mode", MODES)
def test_under_one_false_flag_in_a_hundred_honest_raters(mode):
    generator, raised = np.random.default_rng(1), {}
    for n in (20, 50, 200):
        for _ in range(10):
            rater, answers, seconds = np.repeat(np.arange(25), n), [], []
            for number in range(25):
                given, times = honest(generator, mode, n, 0.85 if number % 2 else generator.uniform(0.1, 0.85))
                answers.append(given)
                seconds.append(times)
            for report in rater_reports(rater, np.concatenate(answers), np.concatenate(seconds), mode):
                for flag in report.flags:
                    raised[n, flag] = raised.get((n, flag), 0) + 1
    assert max(raised.values(), default=0) <= 2, raised  # of 250


def test_report_by_hand():
    rater = [0, 0, 1, 0, 0, 1, 0]
    answer = [1, 1, 0, 1, 0, 1, 0]
    seconds = [1.0, np.nan, 2.0, 3.0, 2.5, np.nan, 9.0]
    first, second = rater_reports(rater, answer, seconds, "like", [-1, -1, -1, 0, 1, -1, -1])
    assert (first.answers, first.share_of_all, first.median_seconds, first.share) == (5, 5 / 7, 2.75, 0.6)
    assert (first.same_share, first.longest_run, first.repeats, first.repeats_same) == (0.6, 3, 2, 1)
    assert first.share_p == 1.0  # 3 of 5 against the other's half
    assert (second.repeats, second.period, second.flags, second.median_seconds) == (0, None, (), 2.0)
    pair = rater_reports([0] * 6, [0, 0, 0, 1, 2, 3], [1] * 6, "pair")[0]
    assert (pair.share, pair.share_p, pair.same_share) == (0.75, 0.625, 0.5)
    assert rater_reports([], [], [], "like") == []
    assert rater_reports([0] * 5, [5] * 5, [np.nan] * 5, "rating")[0].median_seconds is None


def test_most_of_all_answers_of_two_and_of_one():
    def flags(counts):
        generator = np.random.default_rng(0)
        rater = np.repeat(np.arange(len(counts)), counts)
        reports = rater_reports(rater, *honest(generator, "like", rater.size), "like")
        return [report.flags for report in reports]

    assert flags([100]) == [()]
    assert flags([60, 40]) == [(), ()]
    assert flags([160, 40]) == [("most of all answers",), ()]
    assert flags([60, 20, 20]) == [("most of all answers",), (), ()]


def test_bad_input():
    with pytest.raises(InputError, match="shapes"):
        rater_reports([0], [1, 1], [1], "like")
    with pytest.raises(InputError, match="out of range"):
        rater_reports([0], [-1], [1], "like")
    with pytest.raises(InputError, match="out of range"):
        rater_reports([0], [1], [1], "like", [5])
