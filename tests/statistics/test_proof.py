"""Tests of the verdict with people: values worked by hand, the correction for noise, the sentence, and what doesn't exist."""

import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics import proof as proof_module
from pir_tf.statistics.closing import EARLY
from pir_tf.statistics.effects import cohens_d, welch_t
from pir_tf.statistics.pairs import d_of_win_rate, prove_pairs, win_rate_of_d
from pir_tf.statistics.proof import image_values, prove, prove_study, rater_centred

pytestmark = pytest.mark.filterwarnings("error")

# Two raters, images 0 and 1 before, 2 and 3 after; both answer all.
RATER, IMAGE, SIDE = [0, 0, 0, 0, 1, 1, 1, 1], [0, 1, 2, 3, 0, 1, 2, 3], [0, 0, 1, 1]
VALUE = [0, 0.25, 0.5, 0.75, 0.5, 0.5, 1, 1]


def simulated(seed, images=250, per_image=4, raters=20, d=1.0, sd=0.2, lenient=0.1):
    """Answers like or not, and the d of the noise-free PIRs."""
    generator = np.random.default_rng(seed)
    side = np.repeat([0, 1], images)
    pir = np.clip(0.5 + sd * generator.standard_normal(2 * images) + d * sd * (side - 0.5), 0, 1)
    image = np.tile(generator.permutation(2 * images), per_image)
    rater = np.concatenate([np.arange(2 * images) + k for k in range(per_image)]) % raters  # another one each time
    chance = np.clip(pir[image] + lenient * generator.standard_normal(raters)[rater], 0, 1)
    value = (generator.random(image.size) < chance).astype(float)
    return (rater, image, value, side), cohens_d(pir[side == 0], pir[side == 1])


def test_centred_by_hand():
    # Means of the raters 0.375 and 0.75, of all 0.5625.
    centred = [0.1875, 0.4375, 0.6875, 0.9375, 0.3125, 0.3125, 0.8125, 0.8125]
    sides = np.array(SIDE)[IMAGE]
    assert rater_centred(np.array(RATER), np.array(VALUE), sides) == pytest.approx(centred)
    # Image means 0.25, 0.375 | 0.75, 0.875; q = 1/4, k = 2: variance stretched by 1 / (3/4 (3/4 + 1/8)) = 32/21.
    before, after = image_values(RATER, IMAGE, VALUE, SIDE)
    half = 0.0625 * math.sqrt(32 / 21)
    assert before == pytest.approx([0.3125 - half, 0.3125 + half])
    assert after == pytest.approx([0.8125 - half, 0.8125 + half])


def test_levels_are_found_beside_the_gain():
    """Ratings 0.2 and 0.6 for one side or the other, 0.3 more from the second rater, however many of each they saw."""
    rater, side = np.array([0, 0, 0, 1, 1, 1, 1]), np.array([0, 1, 1, 0, 0, 0, 1])
    value = 0.2 + 0.4 * side + 0.3 * (rater == 1)
    centred = rater_centred(rater, value, side)
    level = (3 * 0.4 + 4 * 0.7) / 7
    assert centred == pytest.approx(level + 0.4 * (side - 0.5))
    flat = rater_centred(rater, value, 0 * side)  # of one side alone: each about the rater's own mean
    assert [flat[rater == one].mean() for one in (0, 1)] == pytest.approx([value.mean()] * 2)


@pytest.mark.parametrize("alone", [0, 400, 600])
def test_raters_who_saw_one_side_alone_do_not_shrink_the_change(alone):
    """As visitors of a team's own page, who see an image or two. Before, 600 of them left +0.10 of a change of +0.39."""
    generator = np.random.default_rng(alone)
    changes, covered = [], 0
    for _ in range(30):
        raters = np.concatenate([np.arange(alone), alone + np.repeat(np.arange((800 - alone) // 2), 2)])
        side = np.where(np.arange(800) < alone, generator.integers(0, 2, 800), np.arange(800) % 2)
        pir = np.clip(np.where(side, 0.7, 0.3) + 0.2 * generator.standard_normal(800), 0, 1)
        proof = prove(raters, np.arange(800), (generator.random(800) < pir).astype(float), side)
        changes.append(proof.change)
        covered += proof.change_interval[0] <= 0.39 <= proof.change_interval[1]
        assert (proof.answers, proof.raters) == (800, (800 - alone) // 2)
    assert np.mean(changes) == pytest.approx(0.39, abs=0.03) and covered >= 25
    assert (f"{alone} raters who saw one side alone left out" in proof.sentence) == (alone > 0)


def test_proof_by_hand():
    proof = prove(RATER, IMAGE, VALUE, SIDE)
    before, after = image_values(RATER, IMAGE, VALUE, SIDE)
    assert (proof.before, proof.after, proof.change) == pytest.approx((0.3125, 0.8125, 0.5))
    assert proof.p == welch_t(before, after)[2] and proof.d == cohens_d(before, after)
    # Raters gain 0.5 and 0.5; the second's answers changed to gain 0.25: mean 0.375, sd sqrt(2) / 8.
    assert proof.rater_change == pytest.approx(0.5)
    proof = prove(RATER, IMAGE, [*VALUE[:6], 0.75, 0.75], SIDE)
    half = stats.t.ppf(0.975, 1) * 0.125
    assert (proof.rater_change, *proof.rater_interval) == pytest.approx((0.375, 0.375 - half, 0.375 + half))
    assert (proof.answers, proof.raters, proof.images_before, proof.images_after) == (8, 2, 2, 2)


def test_a_lenient_rater_changes_nothing():
    (rater, image, value, side), _ = simulated(3, d=0.5)
    shifted = np.where(rater == 4, 0.5 * value, 0.5 * value + 0.5)
    one, two = prove(rater, image, 0.5 * value, side), prove(rater, image, shifted, side)
    assert two.d == pytest.approx(one.d) and two.reliability == pytest.approx(one.reliability)


def test_corrected_d_and_its_interval_find_the_noise_free_d():
    near, covered, observed = [], 0, []
    for seed in range(30):
        answers, truth = simulated(seed, images=150)
        proof = prove(*answers)
        near.append(proof.d_corrected / truth)
        observed.append(proof.d / truth)
        covered += proof.d_corrected_interval[0] <= truth <= proof.d_corrected_interval[1]
    assert np.mean(near) == pytest.approx(1, abs=0.08)
    assert np.mean(observed) == pytest.approx(math.sqrt(0.04 / (0.04 + 0.2 / 4)), abs=0.05)
    assert covered >= 0.9 * 30  # the truth moves with the images: it covers more than 95%


def test_with_few_answers_a_rater_the_corrected_d_is_no_larger(monkeypatch):
    """A rater's level is known by those few images alone, whose own differences would pass for noise: 1.13 of it at four each."""
    monkeypatch.setattr(proof_module, "REPLICATES", 1)
    rng, found = np.random.default_rng(0), []
    for _ in range(20):
        raters, count, images = 1000, 4000, 3200
        side = np.tile([0, 1], images // 2)
        pir = 0.5 + 0.03 * (rng.standard_normal(images) + side)
        image = np.concatenate([rng.permutation(images), rng.permutation(images)[: count - images]])
        rater = np.arange(count) % raters
        value = pir[image] + 0.015 * rng.standard_normal(raters)[rater] + 0.045 * rng.standard_normal(count)
        found.append(prove(rater, image, np.clip(value, 0, 1), side).d_corrected)
    assert np.mean(found) == pytest.approx(1, abs=0.08)


def test_what_holds_for_other_people_is_said_where_raters_agree_alone():
    """Twelve raters, of whom half like the change: their images' mean rises, their own gains don't stand out."""
    rng = np.random.default_rng(0)
    rater, image, side = np.repeat(np.arange(12), 100), np.arange(1200), np.arange(1200) % 2
    gain = np.where(np.arange(12) % 2, 0.5, -0.2)[rater]
    value = (rng.random(1200) < 0.5 + gain * (side - 0.5)).astype(float)
    two_minds, agreed = prove(rater, image, value, side), prove(rater, image, np.maximum(value, side), side)
    assert two_minds.verdict == agreed.verdict == "gain" and two_minds.rater_interval[0] < 0 < agreed.rater_interval[0]
    assert two_minds.sentence.startswith("For these raters, images") and agreed.sentence.startswith("Images after")


@pytest.mark.parametrize("mode", ["like", "pair"])
def test_a_study_that_its_evidence_ended_has_the_evidence_s_p(mode):
    (rater, image, value, side), _ = simulated(1)
    pairs = np.stack([np.arange(40) % 10, np.arange(40), np.arange(40) % 5 > 0], axis=1)
    about = (mode, np.stack([rater, image, value]), side, pairs)
    found = prove_study(*about, wanted=9999, closed=EARLY, evidence=4000.0)
    assert found.p == 1 / 4000 and found.verdict == "gain" and "p = 0.00025 by the evidence" in found.sentence
    assert prove_study(*about, wanted=9999, closed=EARLY, evidence=900.0).verdict == "no significant change"
    alike = mode, [*np.indices((4, 4)).reshape(2, 16), np.tile([0.0, 0, 1, 1], 4)], [0, 0, 1, 1], pairs
    if mode == "like":  # all before disliked, all after liked: no spread, no d, but evidence
        found = prove_study(*alike, wanted=9999, closed=EARLY, evidence=4000.0)
        assert (
            found.verdict == "gain"
            and found.d is None
            and "no d, as the images of a side are all alike" in found.sentence
        )
        assert prove_study(*alike).verdict == "undefined"
    against = mode, np.stack([rater, image, 1 - value]), side, np.stack([*pairs.T[:2], 1 - pairs[:, 2]], axis=1)
    assert prove_study(*against, closed=EARLY, evidence=4000.0).p == 1.0  # it was evidence for a gain
    assert "no size was set before" in prove_study(*about, closed="the owner").sentence
    by_hand = prove_study(
        *about, wanted=9999, closed="the owner", evidence=4000.0
    )  # before its size, with enough evidence
    assert by_hand.p == 1 / 4000 and by_hand.verdict == "gain" and by_hand.by_evidence
    short = prove_study(*about, wanted=9999, closed="the owner", evidence=1000.0)
    assert (short.verdict, short.p) == ("not measured yet", None) and "no p before that size" in short.sentence
    assert not short.by_evidence and "no size" not in prove_study(*about).sentence


def test_without_shared_images_nothing_is_corrected():
    (rater, image, value, side), _ = simulated(0, per_image=1)
    proof = prove(rater, image, value, side)
    assert proof.reliability is None and proof.d_corrected is None and "not corrected for noise" in proof.sentence
    # All noise: reliability near 0, and no d.
    generator = np.random.default_rng(0)
    proof = prove(rater.repeat(2), image.repeat(2), generator.integers(0, 2, 1000), side)
    assert proof.reliability < 0.2


def test_sentences_and_the_size_set_before():
    answers, _ = simulated(1)
    proof = prove(*answers, planned=2000)
    assert proof.verdict == "gain"
    assert proof.sentence.startswith("Images after tuning are liked more: PIR 0.") and "corrected" in proof.sentence
    assert proof.sentence.endswith("2000 answers of 20 raters to 250 + 250 images.")
    few = prove(*simulated(1, raters=9)[0])
    assert few.sentence.startswith("For these raters, images after tuning are liked more")
    early = prove(*answers, planned=2001)
    assert early.verdict == "not measured yet" and early.sentence.startswith("No verdict yet, 2000 of 2001 answers")
    # Answers beyond the plan don't count.
    rater, image, value, side = answers
    assert prove(rater, image, value, side, planned=1200) == prove(rater[:1200], image[:1200], value[:1200], side)
    less = prove(rater, image, value, 1 - side)
    assert less.verdict == "loss" and less.change == pytest.approx(-proof.change)
    assert "liked less" in less.sentence
    none = prove(*simulated(2, d=0.0)[0])
    assert none.verdict == "no significant change" and none.sentence.startswith("No difference was found")


@pytest.mark.parametrize(
    "answers",
    [
        ([], [], [], []),
        ([0], [0], [1], [0, 1]),
        ([0, 1], [0, 1], [1, 0], [0, 1]),  # one answer a rater
        ([0, 0, 0, 0], [0, 1, 2, 3], [1, 1, 1, 1], [0, 0, 1, 1]),
        ([0, 0, 0], [0, 1, 2], [1, 0, 1], [0, 0, 0]),
    ],
)
def test_what_does_not_exist_is_none(answers):
    proof = prove(*answers)
    json.dumps(dataclasses.asdict(proof), allow_nan=False)
    assert proof.d is None and proof.d_corrected is None and proof.verdict == "undefined"
    assert proof.sentence.startswith("No result")


def test_win_rate_of_d():
    assert win_rate_of_d(1) == pytest.approx(0.76025, abs=1e-5)
    assert d_of_win_rate(win_rate_of_d(-0.7)) == pytest.approx(-0.7)


def test_pairs_by_hand():
    # Six pairs, the last of them answered by both raters; wins 1 1 1/2 1 0 and (1 + 0) / 2.
    rater, pair, win = [0, 0, 0, 1, 1, 0, 1], [0, 1, 2, 3, 4, 5, 5], [1, 1, 0.5, 1, 0, 1, 0]
    proof = prove_pairs(rater, pair, win)
    rate = 4 / 6
    assert (proof.win_rate, proof.pairs, proof.answers) == (pytest.approx(rate), 6, 7)
    wilson = stats.binomtest(4, 6).proportion_ci(method="wilson")
    assert proof.interval == pytest.approx((wilson.low, wilson.high))
    assert proof.d == pytest.approx(math.sqrt(2) * stats.norm.ppf(rate))
    # Sums about the rate, the shared pair's answers at half: (1/3 + 1/3 - 1/6 + 1/6) / 3 = 2/9 and -2/9; t with 1 degree.
    half = stats.t.ppf(0.975, 1) * math.sqrt(2 * (2 / 9) ** 2 / 2)
    assert proof.rater_interval == pytest.approx((rate - half, rate + half))
    assert proof.sentence.startswith("For these raters, no difference")


def test_pairs_without_ties_are_a_sign_test_and_ties_are_nearly():
    proof = prove_pairs([0] * 40, range(40), [1] * 30 + [0] * 10)
    assert proof.p == stats.binomtest(30, 40).pvalue
    tied = prove_pairs([0] * 60, range(60), [1] * 30 + [0] * 10 + [0.5] * 20)
    assert tied.p == pytest.approx(proof.p, rel=0.3) and tied.win_rate == pytest.approx(40 / 60)
    won = prove_pairs([0, 1] * 10, range(20), [1] * 20)
    assert won.win_rate == 1 and won.d is None and won.p == 2**-19 and won.interval[1] == 1 > won.interval[0] > 0.8
    assert won.verdict == "gain"
    assert prove_pairs([0], [0], [0.5]).p == 1.0
    json.dumps(dataclasses.asdict(prove_pairs([], [], [])), allow_nan=False)
    assert prove_pairs([0] * 5, range(5), [1] * 5, planned=6).verdict == "not measured yet"


def test_signs_of_fractions_are_exact():
    rng = np.random.default_rng(0)
    for _ in range(50):
        counts = rng.integers(1, 5, rng.integers(1, 11))
        means = rng.integers(0, 2 * counts + 1) / (2 * counts)  # with ties
        pair = np.repeat(np.arange(counts.size), counts)
        size = np.abs(2 * means - 1)
        sums = np.array(list(itertools.product([-1, 1], repeat=counts.size))) @ size
        expected = np.mean(np.abs(sums) >= abs(np.sum(2 * means - 1)) - 1e-9)
        assert prove_pairs(np.zeros_like(pair), pair, means[pair]).p == pytest.approx(expected)


def test_pairs_of_very_many_answers_have_the_limit_s_p():
    """Three pairs of 135 answers each, and one of 301: rounded to hundredths they would have a p of 0, or none."""
    for counts, wins in (([135] * 3, [118, 103, 119]), ([301, 1, 1], [151, 1, 1])):
        pair = np.repeat(np.arange(3), counts)
        win = np.concatenate([np.arange(n) < w for n, w in zip(counts, wins, strict=True)]).astype(float)
        assert 0.1 < prove_pairs(np.arange(pair.size), pair, win).p < 0.6


def test_rater_interval_of_pairs_covers_people_of_many_minds():
    generator, pairs_cover, raters_cover = np.random.default_rng(0), 0, 0
    for _ in range(400):
        chance = np.clip(0.6 + 0.2 * generator.standard_normal(12), 0, 1)
        rater = np.repeat(np.arange(12), 40)
        proof = prove_pairs(rater, np.arange(480), (generator.random(480) < chance[rater]).astype(float))
        pairs_cover += proof.interval[0] <= 0.6 <= proof.interval[1]
        raters_cover += proof.rater_interval[0] <= 0.6 <= proof.rater_interval[1]
    assert raters_cover >= 0.91 * 400 > 0.8 * 400 > pairs_cover


def test_bad_input():
    with pytest.raises(InputError, match="side"):
        prove([0], [3], [1], [0, 1])
    with pytest.raises(InputError, match="side"):
        prove([0], [0], [1], [2])
    with pytest.raises(InputError, match="planned"):
        prove([0], [0], [1], [0], planned=0)
    with pytest.raises(InputError, match="value 2"):
        prove_pairs([0], [0], [2])
