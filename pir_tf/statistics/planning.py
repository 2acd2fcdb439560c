"""Before a study: what so many answers can see, how many raters they need, and how many of them are to learn from.

What the proof sees is an effect shrunk by noise: d of noise-free PIRs times sqrt(reliability), on as many images as there are.
With w the variance of one answer to a given image, over raters and their moods, and s^2 that of PIRs between images,

    reliability = s^2 / (s^2 + w mean(1 / k))   for k answers to an image;   w = m (1 - m) - s^2 for likes with mean m.

Tastes are in that w. The nine answers of a grid share their rater's mood, but four or five of them are of each side, so that mood
leaves after less before alone: they count as nine likes. A pair is compared once, with taste^2 as w.

One answer an image sees most for the money, but leaves the noise unknown and d uncorrected. Two for a quarter of the images
cost 6% of the smallest d that is seen, two for all cost 8%. The second corrects d more surely (at d 1 always, the first in 87 of
100 simulated studies of 1000 answers), but halves the bets of the e-process, which takes first answers alone: at alpha 0.001
it then sees d 1 in 50 of them, with the first in 85. So the first is the default.

The numbers assumed are on the plan, to be changed where a first round has shown better ones.
"""

from __future__ import annotations

import dataclasses
import math

from scipy import stats

from pir_tf.errors import InputError
from pir_tf.statistics.claim import TEN_RATERS
from pir_tf.statistics.effects import ALPHA
from pir_tf.statistics.modes import Mode
from pir_tf.statistics.pairs import d_of_win_rate, win_rate_of_d
from pir_tf.statistics.proof import COUNTED

PROOF_SHARE = 5 / 9
"""1000 of 1800: 800 answers to learn from were enough for d above 1, and from there learning pays little. The smallest d that is
seen falls with the root of the proof's answers, so a third of the proof given to learning would cost a fifth of its sight."""

LEARNT = {200: (0.63, 0.48, -0.14), 400: (0.45, 0.33, 0.34), 1_000: (0.83, 0.30, 0.19), 2_000: (0.87, 0.49, 0.26)}
LEARNT |= {5_000: (0.89, 0.64, 0.39), 10_000: (0.95, 0.67, 0.48), 100_000: (0.98, 0.86, 0.64)}
"""How well the linear estimator ranked new images after so many likes, evenly given to at most 1000 images, of blue, of
red and blue, and of a filter of pool3: one draw each (`pir-tf few-answers`)."""

ANSWERS_PER_IMAGE: dict[Mode, int] = {"like": 3, "rating": 3, "pair": 1, "grid": 2}
"""What `pir-tf loop` asks of an image of its proof: several tell how noisy one is, so that d can be corrected. A grid has nine
times as many. Where a proof may end early, by bets on first answers, it is 1.25."""

REPEATS = 0.05
"""Share of a study's places that are repeats, unless its settings say otherwise."""

RATING_NOISE = 0.2
"""Standard deviation of one person's ratings of one image, on [0, 1]: somewhat under one step of five (0.25)."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a budget can see.

    Attributes:
        mode, budget, alpha, power: As asked for.
        learn, proof: Answers to learn from and for the proof; their sum is the budget.
        raters, answers_per_rater: How many people, and how many answers at most each gives, in learning and proof together;
            some are repeats, which don't count.
        images: Images in the proof, both sides together.
        answers_per_image: Their mean, by different raters; images differ by one answer at most.
        smallest_d: The smallest d of noise-free PIRs that the proof finds with this power.
        smallest_observed_d: The same as observed, shrunk by noise.
        smallest_win_rate: The smallest share of pairs won as observed; for the other modes, what random pairs of noise-free PIRs
            at `smallest_d` would give.
        reliability: Expected, of the images' values.
        mean, pir_sd, taste_sd: Assumed: mean PIR before, standard deviation of PIRs between images, and that of raters' tastes
            about one image.
    """

    mode: Mode
    budget: int
    alpha: float
    power: float
    learn: int
    proof: int
    raters: int
    answers_per_rater: int
    images: int
    answers_per_image: float
    smallest_d: float
    smallest_observed_d: float
    smallest_win_rate: float
    reliability: float
    mean: float
    pir_sd: float
    taste_sd: float

    def sentences(self) -> list[str]:
        """The plan in words."""
        rate = f"{100 * self.smallest_win_rate:.1f}%"
        what = f"a win rate of {rate} of pairs, " if self.mode == "pair" else ""
        beside = "" if self.mode == "pair" else f"; of random pairs of such images the one after would win {rate}"
        least = math.ceil(self.answers_per_image)
        fewest = "" if least == 1 else f" At least {least} raters: each answers an image of the proof once."
        times = "once" if self.answers_per_image == 1 else f"{self.answers_per_image:g} times on average"
        return [
            f"{self.budget} answers: {self.learn} to learn from and {self.proof} for the proof, on {self.images} new images, "
            f"each answered {times}.",
            f"In {100 * self.power:.0f} of 100 studies at alpha {self.alpha:g} the proof finds {what}d "
            f"{self.smallest_observed_d:.2f} as observed and {self.smallest_d:.2f} of noise-free PIRs, or more{beside}.",
            f"{self.raters} rater{'s' if self.raters > 1 else ''} with up to {self.answers_per_rater} answers each; under "
            f"{TEN_RATERS} the result holds for these raters only.{fewest}",
            f"Assumed: mean PIR {self.mean:g}, standard deviation {self.pir_sd:g} between images and {self.taste_sd:g} between "
            f"raters; reliability is then {self.reliability:.2f}.",
            *self._learnt(),
        ]

    def _learnt(self) -> list[str]:
        """What as many answers, or fewer, gave simulated users' estimator."""
        known = [count for count in LEARNT if count <= self.learn]
        if self.mode != "like" or not known:
            return []
        plain, *hard = LEARNT[known[-1]]
        return [
            f"From {known[-1]:,} likes of simulated users the estimator ranked new images at a correlation of {plain:.2f} where "
            f"tastes were plain (blue), {hard[0]:.2f} and {hard[1]:.2f} where images hardly differed (two colours, a filter)."
        ]


def plan(
    budget: int,
    mode: Mode,
    *,
    answers_per_rater: int = 200,
    repeats: float = REPEATS,
    answers_per_image: float = 1.25,
    alpha: float = ALPHA,
    power: float = 0.8,
    proof_share: float = PROOF_SHARE,
    mean: float = 0.5,
    pir_sd: float = 0.2,
    taste_sd: float = 0.2,
) -> Plan:
    """Plans a study.

    Args:
        budget: All answers, to learn from and for the proof.
        mode: Mode of the study.
        answers_per_rater: At most, repeats among them; fewer where ten raters are needed for the budget.
        repeats: Share of a rater's answers that show an earlier image again, and don't count; in [0, 1).
        answers_per_image: In the proof, at least 1; 1.25 is two for a quarter of the images. Not used for pairs, shown once each.
        alpha, power: Of the proof, each in (0, 1).
        proof_share: Share of the budget that the proof gets; 1 where nothing is to be learned.
        mean, pir_sd, taste_sd: See `Plan`; `taste_sd` counts in ratings and pairs, a like has it in its own variance.

    Raises:
        InputError: A setting out of range, or a budget that could see only a d that can't be: PIR would pass 1.
    """
    if mode not in COUNTED:
        raise InputError(f"mode: received {mode!r}, expected one of {', '.join(COUNTED)}: choose one.")
    for name, number in (
        ("budget", budget),
        ("answers_per_rater", answers_per_rater),
        ("answers_per_image", answers_per_image),
    ):
        if not 1 <= number < math.inf:
            raise InputError(f"{name}: received {number}, expected a number of at least 1: give one.")
    if not 0 <= repeats < 1:
        raise InputError(f"repeats: received {repeats}, expected a share from 0 to below 1: give one.")
    shares = {"alpha": alpha, "power": power, "mean": mean, "proof_share": proof_share}
    for name, share in shares.items():
        if not (0 < share < 1 or name == "proof_share" and share == 1):
            raise InputError(f"{name}: received {share}, expected a number between 0 and 1, both excluded: give one.")
    if power <= alpha:
        raise InputError(
            f"power: received {power}, expected more than alpha, {alpha}: a proof without effect has as much."
        )
    if not (0 < pir_sd and pir_sd**2 < mean * (1 - mean) and 0 <= taste_sd <= 0.5):
        raise InputError(
            f"pir_sd, taste_sd: received {pir_sd} and {taste_sd}, expected pir_sd between 0 and sqrt(mean (1 - mean)) = "
            f"{math.sqrt(mean * (1 - mean)):.2f} and taste_sd from 0 to 0.5: try 0.2 for both."
        )
    largest = (1 - mean) / pir_sd

    def see(answers: int) -> tuple[int, float, float, float]:
        """Images, observed d, noise-free d and reliability for a proof of so many answers."""
        if mode == "pair":
            reliability = pir_sd**2 / (pir_sd**2 + taste_sd**2)
            observed = d_of_win_rate(_smallest_win_rate(answers, alpha, power)) if answers else math.inf
            return 2 * answers, observed, observed / math.sqrt(reliability), reliability
        toss = mean * (1 - mean) - pir_sd**2
        noise = {"like": toss, "rating": RATING_NOISE**2 + taste_sd**2, "grid": toss}[mode]
        whole, more = divmod(answers_per_image, 1)
        reliability = pir_sd**2 / (pir_sd**2 + noise * ((1 - more) / whole + more / (whole + 1)))
        side = math.ceil(answers * COUNTED[mode] / answers_per_image / 2)  # so that this many raters can fill it
        observed = _smallest_d(side, alpha, power)
        return 2 * side, observed, observed / math.sqrt(reliability), reliability

    def proof_of(total: int) -> int:
        return min(total, 2 * round(total * proof_share / 2)) if proof_share < 1 else total

    images, observed, d, reliability = see(proof_of(budget))
    if d > largest:
        enough = budget + 1
        while see(proof_of(enough))[2] > largest:
            enough += max(1, enough // 20)
        could = f"only d of {d:.1f} or more" if math.isfinite(d) else "nothing"
        raise InputError(
            f"budget: received {budget} answers, whose proof of {proof_of(budget)} could see {could}, expected enough for "
            f"d of {largest:.1f}, the largest there is from a mean PIR of {mean:g}: plan for {enough} answers or more."
        )
    each = min(answers_per_rater * (1 - repeats), max(1, budget // TEN_RATERS))
    to_an_image = 1.0 if mode == "pair" else answers_per_image
    return Plan(
        mode=mode,
        budget=budget,
        alpha=alpha,
        power=power,
        learn=budget - proof_of(budget),
        proof=proof_of(budget),
        raters=max(math.ceil(round(budget / each, 6)), math.ceil(to_an_image)),
        answers_per_rater=min(answers_per_rater, math.ceil(each / (1 - repeats))),
        images=images,
        answers_per_image=to_an_image,
        smallest_d=d,
        smallest_observed_d=observed,
        smallest_win_rate=win_rate_of_d(observed if mode == "pair" else d),
        reliability=reliability,
        mean=mean,
        pir_sd=pir_sd,
        taste_sd=taste_sd,
    )


def _smallest_d(side: float, alpha: float, power: float) -> float:
    """The smallest d that a two-sided t-test of so many images a side finds, to 1% from 20 a side; infinite below two.

    (t + z) sqrt(2 / side), with t the test's threshold and z the normal quantile of the power.
    """
    if side < 2:
        return math.inf
    return float((stats.t.isf(alpha / 2, 2 * side - 2) + stats.norm.ppf(power)) * math.sqrt(2 / side))


def _smallest_win_rate(pairs: int, alpha: float, power: float) -> float:
    """The smallest win rate that a two-sided sign test of so many pairs finds, by the normal limit of both distributions."""
    za, zp = stats.norm.isf(alpha / 2), stats.norm.isf(1 - power)
    # gain = 2 w - 1 solves gain sqrt(n) = za + zp sqrt(1 - gain^2), za >= zp
    # so with gain = sin(a): a = atan(zp / sqrt(n)) + asin(za / hypot(sqrt(n), zp)), where there is one
    root = math.sqrt(pairs)
    gain = math.sin(min(math.atan2(zp, root) + math.asin(min(za / math.hypot(root, zp), 1.0)), math.pi / 2))
    return min((1 + gain) / 2, 1 - 1e-12)
