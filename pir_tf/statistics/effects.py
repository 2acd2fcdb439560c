"""How far tuning moved the PIR, and how sure we may be: sections 4, A.2 and C.4.2.

Effect size, its interval, Welch's t-test, the summary of a set of PIRs, and the one word that sums them up. The linear models
of A.1 and A.2 are not here.

The unit of every test is the image: one PIR per image, from independent images. Rows that repeat an image (clicks, raters) are
reduced to one PIR per image first, or they would buy significance. Differences are after minus before: a gain is positive. What
does not exist (an effect size with no spread) is `None`, never NaN or infinity, as in JSON.

`before` and `after` are finite numbers of shape [n0] and [n1] everywhere; any others raise an `InputError`.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from pir_tf.errors import InputError

ALPHA = 0.001
COLLAPSE_RATIO = 0.5
ZERO_PIR = 0.01  # the width of one of the estimator's 100 bins

Maybe = float | None
Verdict = Literal[
    "gain",
    "gain with collapse",
    "gain, not told apart from the GAN's own training",
    "loss",
    "no significant change",
    "not measured yet",
    "undefined",
]


def _values(name: str, values: ArrayLike) -> np.ndarray:
    """One set of numbers as float64 of shape [n], checked; n may be 0."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise InputError(f"{name}: received shape {array.shape}, expected [n]: give one number per image.")
    bad = np.flatnonzero(~np.isfinite(array))
    if bad.size:
        raise InputError(f"{name}: received {array[bad[0]]} at {bad[0]}, expected finite numbers: leave out missing.")
    return array


def _variance(values: np.ndarray) -> float:
    """Variance, ddof 1; 0 where values differ by rounding alone (three times 0.1 would have 1e-34 and a d of 1e16)."""
    return 0.0 if is_constant(values) else float(np.var(values, ddof=1))


def is_constant(values: ArrayLike) -> bool:
    """Whether values are equal, or differ by rounding alone."""
    return bool(np.ptp(values) <= 4 * np.finfo(np.float64).eps * np.max(np.abs(values)))


def _weights(before: np.ndarray, after: np.ndarray, alike: bool) -> tuple[float, float]:
    """What each set's variance weighs in the pooled one: by its number of values, as D12 has it, or a half."""
    n0, n1 = before.size, after.size
    return (0.5, 0.5) if alike else ((n0 - 1) / (n0 + n1 - 2), (n1 - 1) / (n0 + n1 - 2))


def _pooled(before: np.ndarray, after: np.ndarray, alike: bool = False) -> float | None:
    """Pooled standard deviation of D12; `None` with fewer than two values in a set, or no spread in both."""
    if min(before.size, after.size) < 2:
        return None
    w0, w1 = _weights(before, after, alike)
    with np.errstate(over="ignore", invalid="ignore"):
        variance = w0 * _variance(before) + w1 * _variance(after)
    return math.sqrt(variance) if 0.0 < variance < math.inf else None


def cohens_d(before: ArrayLike, after: ArrayLike, *, alike: bool = False) -> float | None:
    """Cohen's d: the change in mean PIR in units of the pooled standard deviation.

    d = (mean after - mean before) / sqrt(((n0-1) s0^2 + (n1-1) s1^2) / (n0 + n1 - 2)), with ddof 1 in s0 and s1;
    with `alike` sqrt((s0^2 + s1^2) / 2) in its place, so that it compares with a d of other numbers of images.

    Returns:
        d, positive when `after` is higher. `None`, undefined: fewer than two values in a set, or no spread in both.

    Source: section 4.
    Deviation: D12.
    """
    x, y = _values("before", before), _values("after", after)
    pooled = _pooled(x, y, alike)
    return None if pooled is None else float((y.mean() - x.mean()) / pooled)


def cohens_d_interval(
    before: ArrayLike, after: ArrayLike, level: float = 0.95, *, alike: bool = False, paired: bool = False
) -> tuple[float, float] | None:
    """Large-sample interval of Cohen's d that assumes neither equal variances nor normal values.

    d +- z sqrt(V0 / (n0 - 1) + V1 / (n1 - 1)), where V0 and V1 are the variances (ddof 1) of d's influence values,

        before: -(x - m0) / s - d w0 (x - m0)^2 / (2 s^2),    w0 = (n0 - 1) / (n0 + n1 - 2)
        after:   (y - m1) / s - d w1 (y - m1)^2 / (2 s^2),    w1 = (n1 - 1) / (n0 + n1 - 2)

    with s the pooled standard deviation, and with `alike` w0 = w1 = 1/2: the delta method with measured third and fourth
    moments. With a normal distribution's and n0 = n1 it is Bonett's (2008). PIRs are bounded and skewed: there his 95 % covers
    90 to 98 % however many images there are, this one 94 to 96 %. It pays with few: 89 to 95 % for 10 + 10 normal values.
    `paired` values, of the same latents one by one, are no independent samples: there the variance is that of the sums of a
    pair's two influence values.

    Returns:
        (lower, upper), in order and with d between them, which cover the true d with probability `level`; `None` where d is.

    Raises:
        InputError: A level outside (0, 1), or pairs without one of their two.

    Deviation: D12.
    """
    x, y = _values("before", before), _values("after", after)
    if paired and x.size != y.size:
        raise InputError(
            f"before, after: received {x.size} and {y.size} paired values, expected as many: give both sides."
        )
    if not 0.0 < level < 1.0:
        raise InputError(f"level: received {level}, expected a number between 0 and 1, both excluded: take 0.95.")
    pooled = _pooled(x, y, alike)
    if pooled is None:
        return None
    d = float((y.mean() - x.mean()) / pooled)
    influence = []
    for values, sign, weight in zip((x, y), (-1.0, 1.0), _weights(x, y, alike), strict=True):
        centred = (values - values.mean()) / pooled
        influence.append(sign * centred - d * weight * centred**2 / 2)
    units = [influence[0] + influence[1]] if paired else influence
    variance = sum(float(np.var(unit, ddof=1)) / (unit.size - 1) for unit in units)
    half = float(stats.norm.ppf(0.5 + level / 2)) * math.sqrt(variance)
    return d - half, d + half


def welch_t(before: ArrayLike, after: ArrayLike) -> tuple[float, float, float] | None:
    """Welch's t-test of the mean PIR before and after, two-sided.

    Returns:
        (t, degrees of freedom, p): t is positive when `after` is higher; p is in [0, 1], and 0.0 when too small
        for a float: print "< 1e-300". `None` where Cohen's d is.

    Source: section 4.
    """
    result = _welch(before, after)
    return None if result is None else (float(result.statistic), float(result.df), float(result.pvalue))


def change_interval(before: ArrayLike, after: ArrayLike) -> tuple[float, float] | None:
    """Welch's 95% interval of the change in the mean; `None` where Cohen's d is."""
    result = _welch(before, after)
    if result is None:
        return None
    low, high = result.confidence_interval(0.95)
    return float(low), float(high)


def _welch(before: ArrayLike, after: ArrayLike) -> Any:
    """SciPy's result of the test."""
    x, y = _values("before", before), _values("after", after)
    if _pooled(x, y) is None:
        return None
    # The variance of a constant set is exactly 0 around its own value; elsewhere scipy warns of lost precision.
    origin = x[0] if _variance(x) == 0.0 else y[0]
    return stats.ttest_ind(y - origin, x - origin, equal_var=False)


@dataclasses.dataclass(frozen=True)
class PIRSummary:
    """PIR of the images before and after tuning, in numbers that go to JSON as they are.

    Attributes:
        before_mean, after_mean: Mean PIR, in [0, 1]; `None` for no images.
        change: Mean after minus mean before, in [-1, 1].
        before_sd, after_sd: Standard deviation with ddof 1; `None` for fewer than two images.
        percent_zero_before: Percent of PIRs before that are below 0.01, zero to within the bin width, in [0, 100].
        n_before, n_after: Numbers of images.
        clipped_before, clipped_after: Share of PIRs at exactly 0 or 1, in [0, 1].
        note: A warning beside the t-test when more than half of a set is clipped, else `None`.
    """

    before_mean: float | None
    after_mean: float | None
    change: float | None
    before_sd: float | None
    after_sd: float | None
    percent_zero_before: float | None
    n_before: int
    n_after: int
    clipped_before: float | None
    clipped_after: float | None
    note: str | None


def _summary(name: str, values: ArrayLike) -> tuple[np.ndarray, float | None, float | None, float | None]:
    """PIRs [n] with their mean, standard deviation and clipped share."""
    pir = _values(name, values)
    # A norm divided by a norm may pass 1 by float32 rounding; anything more is not a PIR.
    if pir.size and (pir.min() < -1e-6 or pir.max() > 1 + 1e-6):
        raise InputError(f"{name}: received {pir.min():.6g} to {pir.max():.6g}, expected PIRs in [0, 1]: rescale them.")
    pir = np.clip(pir, 0.0, 1.0)
    if not pir.size:
        return pir, None, None, None
    sd = math.sqrt(_variance(pir)) if pir.size > 1 else None
    return pir, float(pir.mean()), sd, float(np.mean((pir == 0.0) | (pir == 1.0)))


def pir_summary(before: ArrayLike, after: ArrayLike) -> PIRSummary:
    """Means, spreads, zeros and clipped values of the PIRs, in [0, 1], before and after tuning; either set may be empty.

    A.2 takes spread and zeros of the estimator's training images. What an empty set does not have is `None`.

    Source: section 4 (change), A.2 (initial variability), C.4.2 (zeros).
    Deviation: D14.
    """
    x, before_mean, before_sd, before_clipped = _summary("before", before)
    y, after_mean, after_sd, after_clipped = _summary("after", after)
    heaped = [name for name, share in (("before", before_clipped), ("after", after_clipped)) if (share or 0.0) > 0.5]
    note = f"More than half of the PIRs {' and '.join(heaped)} are exactly 0 or 1: read t and d with care."
    return PIRSummary(
        before_mean=before_mean,
        after_mean=after_mean,
        change=None if before_mean is None or after_mean is None else after_mean - before_mean,
        before_sd=before_sd,
        after_sd=after_sd,
        percent_zero_before=100.0 * float(np.mean(x < ZERO_PIR)) if x.size else None,
        n_before=x.size,
        n_after=y.size,
        clipped_before=before_clipped,
        clipped_after=after_clipped,
        note=note if heaped else None,
    )


def verdict(
    change: Maybe,
    d: Maybe,
    p: Maybe,
    *,
    distance_ratios: Sequence[Maybe] | None,
    alpha: float = ALPHA,
    over_control: tuple[Maybe, Maybe] | None = None,
) -> Verdict:
    """The one word for an experiment's outcome.

    Args:
        change: Change in mean PIR, after minus before, of the true PIR; `None` when no true PIR has been measured.
        d: Cohen's d, or `None` where undefined.
        p: p of Welch's t-test, or `None` where undefined.
        distance_ratios: Each class's within-class pairwise distance after tuning divided by that before; `None` for a
            class that was not measured, or for all. That does not count as collapse, so there is no default.
        alpha: Significance threshold, 0.001 in the paper; p has to be below it.
        over_control: Change and p of the tuned images against those of a control, which had no PIR term; `None` without one.

    Returns:
        "not measured yet" without a true change, "undefined" without d or p, "no significant change", "loss", "gain",
        "gain, not told apart from the GAN's own training" where it doesn't stand out from the control's,
        or "gain with collapse" when a class kept less than half of its distance: diversity sold for PIR is no success.

    Raises:
        InputError: A number that is not finite, out of its range, or a change and a d of opposite signs.

    Source: section 4 (alpha), 5.1 (diversity traded for PIR).
    """
    ratios = [ratio for ratio in distance_ratios or () if ratio is not None]
    known = [number for number in (change, d, p, *ratios) if number is not None]
    if not (all(map(math.isfinite, known)) and 0.0 <= (p or 0.0) <= 1.0 and 0.0 < alpha < 1.0):
        raise InputError(
            f"verdict: received {known}, alpha {alpha}, expected finite numbers, p and alpha in [0, 1]: check these."
        )
    if change is None:
        return "not measured yet"
    if d is None or p is None:
        return "undefined"
    if change * d < 0:
        raise InputError(f"change, d: received {change} and {d}, expected one sign: both are after minus before.")
    if p >= alpha or change == 0:
        return "no significant change"
    if change < 0:
        return "loss"
    if over_control is not None:
        over, chance = over_control
        if over is None or chance is None or over <= 0 or chance >= alpha:
            return "gain, not told apart from the GAN's own training"
    return "gain with collapse" if any(ratio < COLLAPSE_RATIO for ratio in ratios) else "gain"
