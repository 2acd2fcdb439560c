"""An e-process: evidence that the tuned generator is liked more, which may be read after every answer.

It bets, answer by answer, on a coin of the server's own. Single images come in blocks of two places of one rater, one image from
before tuning and one from after, whose order was a coin; a finished block gives x = coin (y_first - y_second), the answer to the
image after less that to the image before, in [-1, 1]. A pair, whose sides were a coin, gives +1 when the image after wins, -1
when it loses, 0 for a tie. If tuning changed nothing, the two images of a block are exchangeable: x has mean zero given all
that came before, whatever the rater's taste, mood or speed, and so the wealth

    e = mean over lambda of prod (1 + lambda x_t),   lambda in LAMBDAS

is a martingale that begins at 1: the chance that it ever reaches 1 / alpha is at most alpha (Ville). A mixture over fixed
lambdas has nothing to adapt and nothing to go wrong, and costs at most log 7 in log e. All are positive, so the test is
one-sided: a loss by tuning shrinks e. Where asking stops at it, p is 1 / e of the largest e: a test of images' PIR made at a time
that luck has chosen would find a gain too often. A study that isn't stopped by it is tested at the size set before, whose
two-sided test finds a gain in nothing with a chance of alpha / 2; so e has to reach 2 / alpha (`needed`), and a false gain, by
one or by the other, has a chance of at most alpha.

Blocks of two images are of one class, or no bets (`people.counted.bets`): a fixed set of images has more of a class on one side,
and what is left of it at the end is known before it is seen.

Only an image's first answer may be bet on. Shown again, an image is no longer a fresh draw: past answers tell that this image of
this set is liked, so x has no mean of zero given the past, and the wealth would grow on the luck of a finite set of images
with two equal generators. That holds for pairs as well: fresh images in each.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from pir_tf.errors import InputError
from pir_tf.statistics.rates import check_answers

LAMBDAS = (0.025, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7)
"""Stakes. For x of mean u and variance v the best is about u / (u^2 + v): 0.5 for pairs with a win rate of 0.76, 0.2 to 0.4 for
single images with d of 1, 0.05 for a gain that 1000 answers just show."""

LARGEST_LOG = 690.0
"""e is given out as at most exp(690) = 1e299, a number that floats and JSON hold."""


def needed(alpha: float) -> float:
    """The e-value that ends a study before its size: alpha / 2 for it, as much for the gain that a test at its size may find."""
    return 2 / alpha


def _check(x: np.ndarray) -> None:
    bad = x[~(np.abs(x) <= 1)]
    if bad.size:
        raise InputError(f"bets: received {bad[0]}, expected -1 to 1: give the answer after less the answer before.")


def e_values(x: ArrayLike) -> np.ndarray:
    """e after each bet: float64 of the shape of x, [..., m], finite and at least 0; x in [-1, 1] in order of time.

    Raises:
        InputError: An x outside [-1, 1], or NaN.
    """
    bets = np.asarray(x, dtype=np.float64)
    _check(bets)
    logs = np.stack([np.cumsum(np.log1p(stake * bets), axis=-1) for stake in LAMBDAS])
    return np.exp(np.minimum(special.logsumexp(logs, axis=0) - math.log(len(LAMBDAS)), LARGEST_LOG))


def block_bets(
    rater: ArrayLike,
    image: ArrayLike,
    value: ArrayLike,
    side: ArrayLike,
    block: ArrayLike,
    fair: ArrayLike | None = None,
) -> np.ndarray:
    """The bets of judgements of single images, in the order in which their blocks were finished.

    A block is two places of one image each, or one place with a pair or a grid. It counts when it has images of both sides, each
    at the first judgement that anyone gave to it: x is the mean after less the mean before.

    Args:
        rater, image, value: Judgements in server order, [m].
        side: 0 before, 1 after, of each image, [n].
        block: Number of the judgement's block within its rater, int [m] at least 0.
        fair: Whether the judgement's block may be bet on, bool [m]; None: all. What was seen in another is no longer fresh.

    Returns:
        x, float64 [blocks], in [-1, 1].
    """
    raters, images, values = check_answers(rater, image, value)
    sides, blocks = np.asarray(side), np.asarray(block)
    if blocks.shape != raters.shape or sides.ndim != 1 or (images.size and images.max() >= sides.size):
        raise InputError(
            f"bets: received sides of shape {sides.shape} and blocks of shape {blocks.shape}, expected a side for each "
            "image and a block for each answer: give both."
        )
    if not values.size:
        return np.empty(0)
    _, group = np.unique(raters * (int(blocks.max()) + 1) + blocks, return_inverse=True)
    shown, first = np.unique(images, return_index=True)
    owner = np.empty(sides.size, dtype=np.int64)
    owner[shown] = group[first]
    stale = np.bincount(group, owner[images] != group) > 0
    after = sides[images] == 1
    size = int(group.max()) + 1
    means = []
    for which in (~after, after):
        counts = np.bincount(group[which], minlength=size)
        means.append(np.bincount(group[which], values[which], size) / np.where(counts, counts, np.nan))
    last = np.zeros(size, dtype=np.int64)
    np.maximum.at(last, group, np.arange(values.size))
    x = means[1] - means[0]
    unfair = np.zeros(size) if fair is None else np.bincount(group, ~np.asarray(fair, dtype=bool), minlength=size)
    good = np.flatnonzero(np.isfinite(x) & ~stale & (unfair == 0))
    return x[good[np.argsort(last[good])]]
