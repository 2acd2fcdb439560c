"""Tests of the diversity measures: against an independent NumPy version, by hand, and on collapsed generators."""

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.evaluation.diversity import (
    Diversity,
    DiversityReport,
    collapsed_classes,
    distance_ratios,
    within_class_ms_ssim,
    within_class_pairwise_distance,
)

BLACK = np.zeros((2, 8, 8, 3))


def flat(*values, size=4):
    """Images [n, size, size, 3] of one grey each, from values in [0, 1] to [-1, 1]."""
    return np.stack([np.full((size, size, 3), 2 * value - 1, np.float32) for value in values])


def smooth(n, size=48, seed=0):
    """Images [n, size, size, 3] in [-1, 1] of waves of random direction and colour: structure at all scales."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] / size
    fx, fy, phase = generator.uniform(-4, 4, (3, n, 1, 1, 3))
    waves = np.sin(2 * np.pi * (fx * x[None, ..., None] + fy * y[None, ..., None] + phase))
    return (0.8 * waves + generator.normal(0, 0.05, waves.shape)).clip(-1, 1).astype(np.float32)


def ms_ssim_in_numpy(a, b, powers):
    """MS-SSIM of two images [h, w, 3] in [0, 1] in float64: window by window, sides that halve without a remainder."""
    offsets = np.arange(11) - 5.0
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None, :] ** 2) / (2 * 1.5**2))[..., None]
    window /= window.sum()
    c1, c2 = 0.01**2, 0.03**2
    result = np.ones(3)
    for scale, power in enumerate(powers):
        if scale:
            a, b = (v.reshape(v.shape[0] // 2, 2, v.shape[1] // 2, 2, 3).mean(axis=(1, 3)) for v in (a, b))
        luminance, contrast = [], []
        for i in range(a.shape[0] - 10):
            for j in range(a.shape[1] - 10):
                p, q = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
                mp, mq = (window * p).sum((0, 1)), (window * q).sum((0, 1))
                vp, vq = (window * (p - mp) ** 2).sum((0, 1)), (window * (q - mq) ** 2).sum((0, 1))
                covariance = (window * (p - mp) * (q - mq)).sum((0, 1))
                luminance.append((2 * mp * mq + c1) / (mp**2 + mq**2 + c1))
                contrast.append((2 * covariance + c2) / (vp + vq + c2))
        last = scale == len(powers) - 1
        term = np.mean(np.array(luminance) * np.array(contrast), 0) if last else np.mean(contrast, 0)
        result *= np.maximum(term, 0.0) ** power
    return result.mean()


# MS-SSIM


@pytest.mark.parametrize(("size", "scales"), [(44, 3), (24, 2), (12, 1)])
def test_ms_ssim_against_numpy(size, scales):
    first = smooth(1, size)
    images = np.concatenate([first, (0.7 * first + 0.3 * smooth(1, size, seed=1) + 0.05).clip(-1, 1)])
    powers = np.array([0.0448, 0.2856, 0.3001])[:scales]
    expected = ms_ssim_in_numpy(*((images.astype(np.float64) + 1) / 2), powers / powers.sum())
    result = within_class_ms_ssim(images, np.zeros(2, int), 1, seed=0)
    assert result.scales == scales
    assert 0.05 < expected < 0.95
    assert result.mean[0] == pytest.approx(expected, abs=1e-4)


def test_ms_ssim_is_one_for_equal_images_and_falls_with_variety():
    image = smooth(1)
    alike = np.concatenate([image, (image + np.random.default_rng(0).normal(0, 0.1, image.shape)).clip(-1, 1)])
    labels = np.zeros(2, int)
    equal, near, far = (
        within_class_ms_ssim(images, labels, 1, seed=0).mean[0]
        for images in (np.repeat(image, 2, 0), alike.astype(np.float32), smooth(2))
    )
    assert equal == pytest.approx(1.0, abs=1e-5) and equal <= 1.0
    assert equal > near > far >= 0.0
    black = within_class_ms_ssim(flat(0, 0, size=44), labels, 1, seed=0)
    assert black.mean[0] == pytest.approx(1.0, abs=1e-5)
    # Opposite structure gives 0, not NaN.
    assert within_class_ms_ssim(np.concatenate([image, -image]), labels, 1, seed=0).mean == (0.0,)


@pytest.mark.parametrize(("size", "scales"), [(64, 3), (44, 3), (43, 2), (22, 2), (21, 1), (11, 1), (10, 0)])
def test_ms_ssim_says_how_many_scales_fit(size, scales):
    result = within_class_ms_ssim(flat(0.4, 0.5, size=size), np.zeros(2, int), 1, seed=0)
    assert result.scales == scales
    assert (result.mean == (None,)) == (scales == 0)
    wide = within_class_ms_ssim(np.tile(flat(0.4, 0.5, size=size), (1, 1, 2, 1)), np.zeros(2, int), 1, seed=0)
    assert wide.scales == scales


# Pairwise distance


def test_distance_by_hand():
    # Class 0: greys 0, 0.25 and 1, distances 0.25, 0.75 and 1. Class 1: one image. Class 2: none. Class 3: 0.5 in one
    # channel of three.
    coloured = flat(0.5, 0.5)
    coloured[1, ..., 2] = 1.0
    images = np.concatenate([flat(0.0, 0.25, 1.0), flat(0.3), coloured])
    distance = within_class_pairwise_distance(images, np.array([0, 0, 0, 1, 3, 3]), 4, seed=0)
    assert distance == (pytest.approx(2 / 3), None, None, pytest.approx(0.5 / np.sqrt(3)))


def test_random_pairs_are_never_of_one_image():
    # Different images are at least 0.1 apart; an image paired with itself would give 0.
    values = np.arange(10) / 10
    images, labels = flat(*values), np.zeros(10, int)
    every = within_class_pairwise_distance(images, labels, 1, seed=0, pairs=45)[0]
    assert every == pytest.approx(np.abs(values[:, None] - values)[np.triu_indices(10, 1)].mean(), rel=1e-6)
    for seed in range(100):
        assert within_class_pairwise_distance(images, labels, 1, seed=seed, pairs=1)[0] > 0.09
    # Every pair can be drawn: of greys 0, 0.25 and 1 there are three.
    drawn = {within_class_pairwise_distance(flat(0, 0.25, 1), labels[:3], 1, seed=i, pairs=1)[0] for i in range(40)}
    assert {round(value, 4) for value in drawn} == {0.25, 0.75, 1.0}


def test_same_seed_same_result_and_classes_do_not_touch():
    images, labels = smooth(60, 12), np.arange(60) % 2
    changed = np.where((labels == 1)[:, None, None, None], 0.5 * images, images)
    first, again, other, halved = (
        within_class_pairwise_distance(given, labels, 2, seed=seed, pairs=50)
        for given, seed in ((images, 3), (images, 3), (images, 4), (changed, 3))
    )
    assert first == again != other and halved == (first[0], pytest.approx(first[1] / 2))


# Collapse


def measured(distance, size=(4, 4)):
    return Diversity(tuple(distance), (None,) * len(distance), 0, size)


def test_report_by_hand():
    before, after = measured([0.4, 0.4, 0.0, None]), measured([0.2, 0.1999, 0.0, 0.3])
    report = DiversityReport.compare(before, after, real=measured([0.8, 0.25, 0.2, 0.0]))
    assert report.after_over_before == (pytest.approx(0.5), pytest.approx(0.49975), None, None)
    assert report.collapsed == (False, True, None, None)
    assert report.after_over_real == (pytest.approx(0.25), pytest.approx(0.7996), 0.0, None)
    assert report.collapsed_against_real == (True, False, True, None)
    alone = DiversityReport.compare(before, after, None)
    assert (alone.real, alone.after_over_real, alone.collapsed_against_real) == (None, (None,) * 4, (None,) * 4)
    assert alone.after_over_before == report.after_over_before


@pytest.mark.slow
def test_collapsed_generators_are_flagged_against_real_images():
    real_labels, labels = np.arange(24) % 2, np.arange(20) % 2
    real = Diversity.measure(smooth(24), real_labels, 2, seed=0, pairs=20)
    pictures, noise = smooth(2, seed=5), np.random.default_rng(0).normal(0, 1e-3, (20, 48, 48, 3))
    ignores_z = Diversity.measure(pictures[labels], labels, 2, seed=0, pairs=20)
    one_with_noise = Diversity.measure((pictures[:1] + noise).clip(-1, 1), labels, 2, seed=0, pairs=20)
    healthy = Diversity.measure(smooth(20, seed=9), labels, 2, seed=0, pairs=20)
    assert ignores_z.distance == (0.0, 0.0)
    assert collapsed_classes(ignores_z, real) == (True, True)
    assert collapsed_classes(one_with_noise, real) == (True, True)
    assert collapsed_classes(healthy, real) == (False, False)
    for fake in (ignores_z, one_with_noise):
        assert min(fake.ms_ssim) > 0.99 > max(*real.ms_ssim, *healthy.ms_ssim)


# What is refused


def test_sets_that_cannot_be_compared_are_refused():
    for other in (measured([0.1, 0.2], size=(8, 8)), measured([0.1])):
        with pytest.raises(InputError, match="diversity: received"):
            distance_ratios(measured([0.1, 0.2]), other)


@pytest.mark.parametrize(
    ("images", "labels", "classes", "message"),
    [
        (BLACK.astype(np.uint8), [0, 0], 1, "received uint8 images"),
        (BLACK[0].astype(np.float32), [0, 0], 1, "received float32 images of shape"),
        (np.full((2, 8, 8, 3), 255.0), [0, 0], 1, r"values from 255 to 255, expected finite ones in \[-1, 1\]"),
        (np.full((2, 8, 8, 3), np.nan), [0, 0], 1, "values from nan"),
        (BLACK, [[1, 0], [1, 0]], 2, "labels: received int64 of shape"),
        (BLACK, [0, 0, 0], 1, "labels: received int64 of shape"),
        (BLACK, [0.0, 0.5], 1, "labels: received float64"),
        (BLACK, [0, 2], 2, r"labels: received \[0, 2\] with class_count 2"),
        (BLACK, [-1, 0], 2, "labels: received"),
    ],
)
def test_bad_images_and_labels_are_refused(images, labels, classes, message):
    for measure in (within_class_pairwise_distance, within_class_ms_ssim):
        with pytest.raises(InputError, match=message):
            measure(images, np.array(labels), classes, seed=0)


def test_no_pairs_are_refused_and_no_images_are_none():
    with pytest.raises(InputError, match="pairs: received 0"):
        within_class_pairwise_distance(flat(0.1, 0.2), np.zeros(2, int), 1, seed=0, pairs=0)
    empty = np.zeros((0, 48, 48, 3), np.float32)
    assert within_class_pairwise_distance(empty, np.zeros(0, int), 2, seed=0) == (None, None)
    assert within_class_ms_ssim(empty, np.zeros(0, int), 2, seed=0).mean == (None, None)
