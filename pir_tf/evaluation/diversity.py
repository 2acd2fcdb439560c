"""How much diversity tuning cost: section 5.1, and the check for a generator that makes one picture per class.

Two measures over random pairs of images of one class: MS-SSIM (higher is less diverse), as for the ACGAN, and the
root-mean-square pixel distance (higher is more diverse). Collapse is judged by the distance: it is 0 for equal images,
so that it has a ratio. Neither sees whether the images are any good.

Images are floats [n, h, w, 3] in [-1, 1] everywhere, labels integers [n] below the number of classes; others raise an
`InputError`. A seed chooses the pairs, so many of each class; a class that has no more is measured on all of its own.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pir_tf.errors import InputError
from pir_tf.images import require_images
from pir_tf.statistics.effects import COLLAPSE_RATIO

POWER_FACTORS = (0.0448, 0.2856, 0.3001)  # the first three of the five scales of MS-SSIM: 64 pixels hold no more
FILTER_SIZE = 11
PAIRS_AT_ONCE = 64  # bounds the memory

PerClass = tuple[float | None, ...]


def _by_class(images: npt.ArrayLike, labels: npt.ArrayLike, class_count: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Checks images and labels; returns the images and, for each class, the indices of its own."""
    array, classes = require_images(images, floats=True), np.asarray(labels)
    if classes.shape != array.shape[:1] or (classes.size and not np.issubdtype(classes.dtype, np.integer)):
        raise InputError(
            f"labels: received {classes.dtype} of shape {classes.shape}, expected integers of shape {array.shape[:1]}: "
            "give one class index per image."
        )
    if class_count < 1 or (classes.size and not (classes.min() >= 0 and classes.max() < class_count)):
        raise InputError(
            f"labels: received {sorted(set(classes.tolist()))[:5]} with class_count {class_count}, expected 0 to "
            "class_count - 1: check the number of classes."
        )
    return array, [np.flatnonzero(classes == index) for index in range(class_count)]


def _pairs(count: int, pairs: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Indices [m] and [m] of pairs of different images: every pair once if there are up to `pairs`, else random."""
    if count * (count - 1) // 2 <= pairs:
        first, second = np.triu_indices(count, k=1)
        return first, second
    first = generator.integers(count, size=pairs)
    second = generator.integers(count - 1, size=pairs)
    return first, second + (second >= first)


def _class_means(
    images: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_count: int,
    seed: int,
    pairs: int,
    measure: Callable[[np.ndarray, np.ndarray], npt.ArrayLike],
) -> PerClass:
    """Mean of `measure` over pairs of images of a class, given as [m, h, w, 3] in [0, 1]; `None` below two images."""
    if pairs < 1:
        raise InputError(f"pairs: received {pairs}, expected 1 or more: 100 is usual.")
    array, members = _by_class(images, labels, class_count)
    means: list[float | None] = []
    for index, own in enumerate(members):
        if own.size < 2:
            means.append(None)
            continue
        # A stream for each class, so that a class's number does not depend on the others.
        first, second = _pairs(own.size, pairs, np.random.default_rng([seed, index]))
        values = []
        for start in range(0, first.size, PAIRS_AT_ONCE):
            chosen = [own[side[start : start + PAIRS_AT_ONCE]] for side in (first, second)]
            values.append(np.asarray(measure(*(_unit(array[rows]) for rows in chosen)), np.float64))
        means.append(float(np.mean(np.concatenate(values))))
    return tuple(means)


def _unit(images: np.ndarray) -> np.ndarray:
    """[-1, 1] to float32 in [0, 1]."""
    return np.clip((images.astype(np.float32) + 1.0) / 2.0, 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class MSSSIM:
    """Within-class MS-SSIM.

    Attributes:
        mean: For each class the mean over its pairs, in [0, 1]; higher is less diverse. `None` below two images.
        scales: Scales used: 3 from 44 pixels on the smaller side, 2 from 22, 1 from 11, 0 (no value) below. Numbers of
            different scales can't be compared.
    """

    mean: PerClass
    scales: int


def within_class_ms_ssim(
    images: npt.ArrayLike, labels: npt.ArrayLike, class_count: int, *, seed: int, pairs: int = 100
) -> MSSSIM:
    """Mean MS-SSIM of random pairs of different images of one class.

    The product over scales j of (contrast and structure)_j^a_j, times the luminance of the last scale, with the first
    three of the standard power factors a renormalised to sum 1. Terms below 0 (opposite structure) count as 0: a power
    of a negative number would be NaN.

    Source: 5.1.
    """
    smaller_side = min(_by_class(images, labels, class_count)[0].shape[1:3])
    # The filter needs 11 pixels on the last scale, and each halves the side.
    scales = sum(smaller_side >= FILTER_SIZE * 2**scale for scale in range(len(POWER_FACTORS)))
    if scales == 0:
        return MSSSIM((None,) * class_count, 0)
    powers = np.array(POWER_FACTORS[:scales]) / sum(POWER_FACTORS[:scales])

    def measure(first: np.ndarray, second: np.ndarray) -> npt.ArrayLike:
        values = tf.image.ssim_multiscale(first, second, 1.0, power_factors=powers, filter_size=FILTER_SIZE)
        return np.minimum(values, 1.0)  # equal images may pass 1 by rounding

    return MSSSIM(_class_means(images, labels, class_count, seed, pairs, measure), scales)


def within_class_pairwise_distance(
    images: npt.ArrayLike, labels: npt.ArrayLike, class_count: int, *, seed: int, pairs: int = 1000
) -> PerClass:
    """Mean root-mean-square pixel distance of random pairs of different images of one class.

    Returns:
        For each class the mean distance of values in [0, 1], itself in [0, 1]; higher is more diverse. `None` for fewer
        than two images.

    Source: 5.1.
    """

    def measure(first: np.ndarray, second: np.ndarray) -> npt.ArrayLike:
        return np.sqrt(np.mean(np.square(first - second), axis=(1, 2, 3), dtype=np.float64))

    return _class_means(images, labels, class_count, seed, pairs, measure)


@dataclasses.dataclass(frozen=True)
class Diversity:
    """Diversity of one set of images, class by class.

    Attributes:
        distance: Within-class pairwise distance, in [0, 1]; higher is more diverse.
        ms_ssim: Within-class MS-SSIM, in [0, 1]; higher is less diverse.
        scales: Scales of the MS-SSIM, see `MSSSIM`.
        size: Height and width of the images, in pixels.
    """

    distance: PerClass
    ms_ssim: PerClass
    scales: int
    size: tuple[int, int]

    @classmethod
    def measure(
        cls, images: npt.ArrayLike, labels: npt.ArrayLike, class_count: int, *, seed: int, pairs: int = 100
    ) -> "Diversity":
        """Both measures of one set of images; `pairs` is for MS-SSIM alone."""
        distance = within_class_pairwise_distance(images, labels, class_count, seed=seed)
        ms_ssim = within_class_ms_ssim(images, labels, class_count, seed=seed, pairs=pairs)
        height, width = np.shape(images)[1:3]
        return cls(distance, ms_ssim.mean, ms_ssim.scales, (height, width))


def distance_ratios(part: Diversity, whole: Diversity) -> PerClass:
    """For each class the distance of `part` over that of `whole`; `None` where one is missing or `whole` is 0.

    Raises:
        InputError: Images of different sizes or numbers of classes.
    """
    if part.size != whole.size or len(part.distance) != len(whole.distance):
        raise InputError(
            f"diversity: received images of {part.size} and {whole.size} pixels with {len(part.distance)} and "
            f"{len(whole.distance)} classes, expected the same: measure both sets at one size."
        )
    pairs = zip(part.distance, whole.distance, strict=True)
    return tuple(None if a is None or b is None or b == 0.0 else a / b for a, b in pairs)


def collapsed_classes(part: Diversity, whole: Diversity) -> tuple[bool | None, ...]:
    """For each class whether `part` has less than half of the distance of `whole`; `None` where it is not known.

    With generated and real images this inspects a generator before it is tuned: one that ignores z, or that adds a
    little noise to a single picture, is flagged in every class.
    """
    return tuple(None if ratio is None else ratio < COLLAPSE_RATIO for ratio in distance_ratios(part, whole))


@dataclasses.dataclass(frozen=True)
class DiversityReport:
    """Diversity before and after tuning and of real images, as it goes to JSON.

    Attributes:
        before, after, real: The three sets of images; the last is `None` where there are no real images.
        after_over_before, after_over_real: Ratios of the distance, for each class; below 1 tuning cost diversity.
        collapsed: Whether a class kept less than half of its distance in tuning; `None` where it is not known.
        collapsed_against_real: Whether a class has less than half of the distance of real images after tuning.
    """

    before: Diversity
    after: Diversity
    real: Diversity | None
    after_over_before: PerClass
    after_over_real: PerClass
    collapsed: tuple[bool | None, ...]
    collapsed_against_real: tuple[bool | None, ...]

    @classmethod
    def compare(cls, before: Diversity, after: Diversity, real: Diversity | None) -> "DiversityReport":
        """Compares sets of images of one size and one number of classes; without real ones what needs them is `None`.

        Source: 5.1.
        """
        unknown = (None,) * len(after.distance)
        return cls(
            before=before,
            after=after,
            real=real,
            after_over_before=distance_ratios(after, before),
            after_over_real=distance_ratios(after, real) if real else unknown,
            collapsed=collapsed_classes(after, before),
            collapsed_against_real=collapsed_classes(after, real) if real else unknown,
        )
