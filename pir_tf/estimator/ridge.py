"""Ridge regression of answers on frozen features, with everything in closed form: penalty, left-out errors, posterior.

With z_i image i's features, standardised over the images, n_i its impressions and y_i its observed PIR,

    minimise  sum_i n_i (y_i - b - z_i' w)^2 + a |w|^2,

so an image counts as often as it was shown. Of all penalties a the one is taken whose estimates of images that are left out
in turn are best; a left-out residual is r_i / (1 - h_i) with h_i the image's leverage. As a Gaussian prior on w, the same a
gives the estimate's own doubt about an image:

    SD(x)^2 = s^2 x' (Z' N Z + a I)^-1 x,    s^2 = sum_i n_i e_i^2 / n  of the left-out residuals e_i.

Where PIRs compare within groups of images alone, as shares of wins do, each group g has an intercept b_g of its own: only
differences within groups count. Otherwise tuning itself would hide what it did: the images after it win half of their pairs, as
those before did, and the readout would learn that the way it went leads nowhere.

There is no seed and no step: one answer file gives one readout. What is not here: features, and layers (`readout`).
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg

from pir_tf.errors import InputError

PENALTIES = np.logspace(-5, 3, 65)
"""Penalties that are tried, for each impression."""
LEAST_SPREAD = 0.01
"""Of the mean spread: a feature that hardly varies over the images must not explode on others."""
FEWEST = 10
"""Answered images below which nothing can be left out in turn and still say much."""

Floats = npt.NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Ridge:
    """A fitted readout: estimated PIR = intercept + weights'(features - mean) / spread.

    Attributes:
        mean: Means [f] of the features, each image counted as often as it was shown.
        spread: Their standard deviations [f] within groups, at least `LEAST_SPREAD` of the mean one.
        weights: w, [f].
        intercept: b, the answers' mean; with groups for all of them, since only differences are known.
        penalty: a.
        noise: s^2, what an answer varies by from one impression to the next, as left-out images see it.
        left_out: Estimates [n] of each image by the readout of all others, its group's intercept included.
        error: sum_i n_i e_i^2 / sum_i n_i of the left-out residuals.
        directions: Orthonormal directions [f, r] in which the images vary.
        known: How far each direction is known, sqrt(a / (variation + a)) below 1 [r]; without answers it would be 1.
    """

    mean: Floats
    spread: Floats
    weights: Floats
    intercept: float
    penalty: float
    noise: float
    left_out: Floats
    error: float
    directions: Floats
    known: Floats

    def standardised(self, features: npt.ArrayLike) -> Floats:
        """Features [m, f] as the weights take them."""
        return (np.asarray(features, np.float64) - self.mean) / self.spread

    def pir(self, features: npt.ArrayLike) -> Floats:
        """Estimated PIR [m] of features [m, f], not clipped."""
        return self.intercept + self.standardised(features) @ self.weights

    def sd(self, features: npt.ArrayLike) -> Floats:
        """Posterior standard deviation [m] of that estimate."""
        x = self.standardised(features)
        # (Z'NZ + aI)^-1/2 = (I - V diag(1 - known) V') / sqrt(a) with V the directions.
        rest = x - (x @ self.directions * (1 - self.known)) @ self.directions.T
        return np.sqrt(self.noise / self.penalty * np.square(rest).sum(axis=1))


def fit_ridge(
    features: npt.ArrayLike,
    pir: npt.ArrayLike,
    impressions: npt.ArrayLike,
    *,
    groups: npt.ArrayLike | None = None,
    penalty: float | None = None,
) -> Ridge:
    """The readout of answers by features.

    Args:
        features: [n, f].
        pir: Observed PIR [n] in [0, 1].
        impressions: How often each image was shown [n], above 0.
        groups: Numbers [n] of the groups within which PIRs compare; None for one of all. A group of one image says nothing.
        penalty: a; None takes the best of `PENALTIES` times the mean number of impressions and of images.

    Raises:
        InputError: There are fewer than `FEWEST` images, or all have the same PIR as their group: nothing can be learnt.
    """
    x, y, shown = (np.asarray(values, np.float64) for values in (features, pir, impressions))
    if len(y) < FEWEST:
        raise InputError(
            f"{len(y)} image{' has' if len(y) == 1 else 's have'} impressions; expected {FEWEST} or more for "
            "estimator.output linear, which leaves each of them out in turn: collect more answers."
        )
    if np.ptp(y) == 0:
        raise InputError(
            f"All {len(y)} answered images have the same PIR, {y[0]:g}; expected some difference, since the estimator learns "
            "what people prefer: collect more answers, or ask another question."
        )
    total = shown.sum()
    group = np.zeros(len(y), np.int64) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    share = shown / np.bincount(group, weights=shown)[group]  # of its group's impressions
    if says_nothing(y, group):
        raise InputError(
            f"All {len(y)} answered images have the PIR of the others of their group; expected some difference within groups, "
            "since nothing compares images of two: collect more answers."
        )
    inside = x - _means(share[:, None] * x, group)
    spread = np.sqrt(shown @ np.square(inside) / total)
    spread = np.maximum(spread, LEAST_SPREAD * spread.mean() or 1.0)
    root = np.sqrt(shown)
    left, values, right = _svd(root[:, None] * inside / spread)
    target = root * (y - _means(share * y, group))
    parts, squares = left.T @ target, np.square(left)
    residuals = functools.partial(_left_out, target, left, parts, squares, values, share)
    if penalty is None:
        penalty = min(PENALTIES * total, key=lambda a: np.square(residuals(a)).sum())
    weights = right @ (np.sqrt(values) / (values + penalty) * parts)
    left_out = residuals(penalty)  # times the root of the impressions
    squared = float(np.square(left_out).sum())
    return Ridge(
        mean=shown @ x / total,
        spread=spread,
        weights=weights,
        intercept=float(shown @ y / total),
        penalty=float(penalty),
        noise=squared / max(int((share < 1).sum()), 1),
        left_out=y - left_out / root,
        error=squared / total,
        directions=right,
        known=np.sqrt(penalty / (values + penalty)),
    )


def says_nothing(pir: npt.NDArray[Any], groups: npt.NDArray[Any]) -> bool:
    """Whether PIRs [n] differ between groups [n] alone, if at all: a readout learns from what differs within them."""
    return all(np.ptp(pir[groups == one]) == 0 for one in np.unique(groups))


def _means(shares: Floats, group: npt.NDArray[np.int64]) -> Floats:
    """The sum over each row's group, [n] or [n, f], of rows times their share of it."""
    return ((np.arange(group.max() + 1)[:, None] == group).astype(np.float64) @ shares)[group]


def _left_out(
    target: Floats, left: Floats, parts: Floats, squares: Floats, values: Floats, share: Floats, penalty: float
) -> Floats:
    """Residuals of the images left out in turn, times the root of their impressions: r_i / (1 - h_i)."""
    kept = values / (values + penalty)
    leverage = share + squares @ kept
    return (target - left @ (kept * parts)) / np.maximum(1 - leverage, 1e-9)


def _svd(z: Floats) -> tuple[Floats, Floats, Floats]:
    """Left vectors [n, r], squared singular values [r] and right vectors [f, r], without directions of no variation.

    By the smaller of the two Gram matrices, which a ridge needs no better.
    """
    n, f = z.shape
    values, vectors = linalg.eigh(z @ z.T if n <= f else z.T @ z)
    kept = values > max(values[-1], 0.0) * 1e-10
    values, vectors = values[kept][::-1], vectors[:, kept][:, ::-1]
    if n <= f:
        return vectors, values, z.T @ vectors / np.sqrt(values)
    return z @ vectors / np.sqrt(values), values, vectors
