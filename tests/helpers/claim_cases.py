"""Constructed experiments that decide each claim: for each key those for which it is reproduced, partly, and not."""

import itertools

from many_rows import PAIRS, ROTATIONS, experiment

from pir_tf.paper.rows import LAYERS

_NUMBERS = itertools.count()

SINGLES = [f"color:{name}" for name in ("red", "green", "blue")]
TWOS, THREES = ([f"color:{name}" for name in names] for names in (PAIRS, ROTATIONS))


def filters(layer, count, k=1):
    return [f"vgg:{layer}:{f'filters={i}' if k == 1 else f'k={k}:seed={i}'}" for i in range(count)]


VGG = [name for layer in LAYERS[:5] for k in (1, 20) for name in filters(layer, 4, k)]
EVERYTHING = [*SINGLES, *TWOS, *THREES, *VGG]
COUNT = len(EVERYTHING)


def rows(objectives, d=1.0, **columns):
    """Experiments of some objectives with effect sizes and other columns; a list has a value for each, another is everyone's."""
    found = []
    for i, objective in enumerate(objectives):
        own = {name: value[i] if isinstance(value, list) else value for name, value in columns.items()}
        found.append({**experiment(objective, d[i] if isinstance(d, list) else d, f"run-{next(_NUMBERS)}"), **own})
    return found


def parts(yes, no, shares=(3 / 4, 1 / 2, 1 / 3)):
    """All objectives of size `laptop`, a share of them with the columns `yes`, the others with `no`."""
    counts = [int(COUNT * share) for share in shares]
    return [rows(EVERYTHING[:count], **yes) + rows(EVERYTHING[count:], **no) for count in counts]


def raised(objectives, **columns):
    """Three quarters improved, half of them, and one less."""
    n = len(objectives)
    counts = (-(-3 * n // 4), -(-n // 2), -(-n // 2) - 1)
    return [rows(objectives, [1.0] * count + [-1.0] * (n - count), **columns) for count in counts]


def pairs(paper, other, count=4):
    return rows(filters("pool3", count), **paper) + rows(filters("pool3", count), **other)


def beside(paper, *others, field="d", **setting):
    """The same of one column, for each of the other side's values."""
    return [pairs({field: paper}, {field: other, **setting}, len(paper)) for other in others]


def channels(objectives, right):
    """Colours; the first so many move their channels as they should: those asked for up, the others down."""
    columns = {}
    for name in ("red", "green", "blue"):
        after = [0.4 if (name in objective) == (i < right) else 0.2 for i, objective in enumerate(objectives)]
        columns |= {f"{name}_before": 0.3, f"{name}_after": after}
    return rows(objectives, **columns)


def lengths(short, long):
    return rows(THREES, short, tuning_steps=150) + rows(THREES, long, tuning_steps=750)


def sparse(zeros, layer="pool5", k=1, d=1.0):
    nonzero = [100 - zero for zero in zeros]
    return rows(filters(layer, len(zeros), k), d, initial_percent_zero=zeros, initial_percent_nonzero=nonzero)


def at_layers(*zeros, k=1):
    """A percent of zeros for each of some layers, two objectives of each."""
    layers = ("pool5", "fc6", "fc7", "pool1")
    return [row for layer, zero in zip(layers, zeros, strict=False) for row in sparse([zero] * 2, layer, k)]


def line(slope, noise, column, over, y="change", objectives=EVERYTHING[12:28], **columns):
    """Experiments on a line over a column, with noise that no line explains."""
    x = [over[i % len(over)] for i in range(len(objectives))]
    off = [noise * (-1) ** (i // 8) * (1 if i % 2 else 0.5) for i in range(len(objectives))]
    return rows(objectives, **{column: x, y: [slope * at + away for at, away in zip(x, off, strict=True)], **columns})


def over_layers(slope, noise):
    objectives = [name for layer in LAYERS[:5] for name in filters(layer, 4, 20)]
    effects = [2 + slope * (i // 4) + noise * (-1) ** i * (1 + i % 3) for i in range(20)]
    spreads = [0.02 + 0.003 * ((7 * (i // 4) + 3 * i) % 5) for i in range(20)]
    zeros = [float((i // 4 + i) % 4) for i in range(20)]
    return rows(objectives, effects, initial_sd=spreads, initial_percent_zero=zeros)


def complex_ones(estimates, changes):
    objectives = [name for layer in ("pool1", "pool3", "pool5") for name in filters(layer, 2)]
    return rows(objectives, estimated_change=estimates, change=changes)


def again(layer, *seconds):
    return [rows(filters(layer, len(d)), round=2, first_round_d=1.0, d_from_start=d) for d in seconds]


def curve(objective="color:blue", **columns):
    return rows([objective] * 4, pir_weight=[0.0, 100.0, 1000.0, 10_000.0], **columns)


def alone(objective="color:blue", **columns):
    """The paper's weights, and the same without the generator's loss."""
    paper = {"distance_after": 0.2, "estimated_change": 0.03, "change": 0.05}
    return rows([objective], **paper) + rows([objective], **{**paper, "fools_weight": 0.0, **columns})


def gans(**settings):
    """GANs whose images are clearly closer to real ones than another's, hardly, and not."""
    both = {name: [value for value in values for _ in SINGLES] for name, values in settings.items()}
    kids = ([0.1] * 3 + [kid] * 3 for kid in (0.12, 0.101, 0.09))
    return [rows(SINGLES * 2, kid_before=kid, kid_before_se=0.003, **both) for kid in kids]


UP, DOWN = [0.1, 0.5, 1.0, 2.0], [0.2, 0.19, 0.15, 0.1]
LESS = [0.2, 0.1, 0.15, 0.3]  # rank correlation 0.4
SPREADS = [0.02 + 0.01 * i for i in range(8)]
OTHERS = {"initial_mean": [0.4 + 0.01 * (i % 5) for i in range(16)], "initial_percent_zero": [i % 3 for i in range(16)]}

CASES = {
    "raises all": raised(EVERYTHING),
    "raises single color": raised(SINGLES),
    "raises two colors": raised(TWOS),
    **{f"raises vgg single {name}": raised(filters(name, 4)) for name in LAYERS if name not in ("pool5", "fc6", "fc7")},
    **{f"raises vgg k=20 {name}": raised(filters(name, 4, 20)) for name in LAYERS},
    **{f"poor vgg single {name}": [rows(filters(name, 4), d) + rows(filters("pool1", 4)) for d in (
        [1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 0.9, 0.0], [1.0, 1.0, 3.0, 0.0])] for name in ("pool5", "fc6", "fc7")},
    "20 filters more consistent": [rows(filters("pool1", 8), one) + rows(filters("pool1", 8, 20), many) for one, many in (
        ([0.0] * 6 + [1.0, 3.0], [1.0, 0.9] * 4), ([0.0] * 2 + [1.0, 3.0] * 3, [1.0, 0.9] * 4),
        ([1.0, 0.9] * 4, [0.0] * 2 + [1.0, 3.0] * 3))],
    "1000 images": raised(EVERYTHING, images=1000, impressions=1000),
    "three colours harder": [rows(SINGLES, one) + rows(TWOS, two) + rows(THREES, three) for one, two, three in (
        (3.0, 2.0, 1.0), (3.0, 1.0, 2.0), (1.0, 1.0, 1.0))],
    "three colours at first": [lengths(short, 1.0) for short in ([0.1, 0.49, -0.2], [0.1, 0.5, 0.7], [0.5, 0.7, 0.8])],
    "three colours longer": [lengths(0.0, long) for long in ([1.0, 1.0, 0.0], [1.0, 0.0, -1.0], [0.1, 0.0, -1.0])],
    "single colour rises": [channels(SINGLES, count) for count in (3, 2, 1)],
    "third channel falls": [channels(TWOS, count) for count in (6, 3, 2)],
    "blue streak": [rows(THREES[1:2], middle_blue_before=0.25, middle_blue_after=blue) for blue in (0.2701, 0.2601, 0.25)],
    "zeros pool5": [sparse(zeros) for zeros in ([95.0, 70.1, 70.0, 70.0], [80.0] * 4, [10.0] * 4)],
    "zeros fc6": [sparse(zeros, "fc6") for zeros in ([95.0, 91.0, 60.0, 60.0], [75.0] * 4, [99.0] * 4)],
    "zeros fc7": [sparse(zeros, "fc7") for zeros in ([95.0, 91.0, 91.0, 60.0], [99.0, 99.0, 0.0, 0.0], [10.0] * 4)],
    "zeros fc8": [sparse(zeros, "fc8") for zeros in ([41.0] * 4, [42.0] * 4, [95.0] * 4)],
    "sparse layers": [at_layers(*zeros, 20.0) for zeros in ((80.0, 75.0, 75.0), (80.0, 1.0, 75.0), (4.0, 1.0, 20.0))],
    "all zero": [sparse(zeros) for zeros in ([100.0, 0.0], [99.0, 0.0], [98.9, 0.0])],
    "zeros make it poor": [sparse([95.0] * 4 + [90.0] * 3, d=d + [2.0] * 3) for d in (
        [0.0, 0.1, 0.2, 2.5], [0.0, 0.1, 2.5, 2.5], [3.0] * 4)],
    "20 filters less sparse": [at_layers(*zeros) + at_layers(10.0, 5.0, 5.0, k=20) for zeros in (
        (80.0, 70.0, 60.0), (80.0, 3.0, 3.0), (8.0, 3.0, 3.0))],
    "layer trend": [over_layers(-0.3, 0.02), over_layers(-0.05, 0.5), over_layers(0.1, 0.02)],
    "estimate to truth": [line(slope, noise, "estimated_change", SPREADS) for slope, noise in (
        (1.6, 0.001), (1.4, 0.001), (0.9, 0.001))],
    "initial spread": [line(slope, noise, "initial_sd", SPREADS, **OTHERS) for slope, noise in (
        (1.0, 0.002), (1.0, 0.2), (-1.0, 0.002))],
    "initial spread alone": [line(slope, noise, "initial_sd", SPREADS) for slope, noise in (
        (1.0, 0.03), (1.0, 0.002), (-1.0, 0.02))],
    "zeros and effect": [
        line(slope, noise, "initial_percent_nonzero", [100.0, 95.0, 90.0, 85.0], "cohens_d", filters("pool1", 16))
        for slope, noise in ((0.08, 0.05), (0.01, 1.0), (-0.04, 0.05))],
    "underestimates": parts({"estimated_change": 0.02}, {"estimated_change": 0.08}),
    "absolute bias": parts({"estimator_bias": -0.01}, {"estimator_bias": 0.01}),
    "bias by temperature": [parts({"bias": -0.02, "bias_at_1": 0.0}, {"bias": bias, "bias_at_1": 0.0}, [share])[0]
        for share, bias in ((3 / 4, 0.01), (1 / 2, 0.01), (1 / 2, 0.03))],
    "complex objectives": [complex_ones(estimates, [0.06, 0.06, 0.04, 0.04, 0.0, last]) for estimates, last in (
        ([0.05, 0.05, 0.03, 0.03, 0.01, 0.01], 0.0), ([0.05, 0.05, 0.03, 0.03, 0.01, 0.01], 0.02),
        ([0.01, 0.01, 0.03, 0.03, 0.05, 0.05], 0.06))],
    "second round improves": again("pool2", [1.2] * 4, [1.2, 1.2, 1.2, 0.9], [1.2, 1.2, 0.9, 0.9]),
    "second round less": again("pool2", [1.9] * 4, [1.9, 1.9, 1.9, 2.1], [1.9, 1.9, 2.1, 2.1]),
    "second round worse": again("fc8", [0.8] * 2 + [1.2] * 4, [0.8] + [1.2] * 5, [1.2] * 6),
    "limited generator": [rows(SINGLES, distance_before=before, distance_real=0.25) for before in (
        0.2, [0.2, 0.3, 0.3], [0.3, 0.31, 0.32])],
    "comparable terms": [rows(EVERYTHING, loss_ratio=loss, gradient_ratio=pull) for loss, pull in (
        (10.0, 0.1), (10.1, 1.0), (0.09, 11.0))],
    "generator loss rises": parts(*({"pir_rise": 0.1, "generator_loss_rise": rise} for rise in (0.2, -0.2))),
    "partial collapse": [
        parts(*({"distance_before": 0.2, "distance_after": after} for after in (less, 0.21)), shares=[share])[0]
        for less, share in ((0.17, 1 / 2), (0.19, 1 / 2), (0.17, 1 / 3))],
    "trade-off": [
        curve(pir_after_mean=UP, distance_after=DOWN),
        curve(pir_after_mean=UP, distance_after=DOWN) + curve("color:red", pir_after_mean=DOWN, distance_after=UP),
        curve(pir_after_mean=LESS, distance_after=UP)],
    "away from the data": [curve(kid_after=kid) for kid in (UP, LESS, DOWN)],
    "without the generator's loss": [alone(distance_after=after, collapsed=collapsed) for after, collapsed in (
        (0.02, True), (0.15, False), (0.25, False))],
    "generator's loss regularizes": [
        alone(estimated_change=0.2), alone(estimated_change=0.2) + alone("color:red", estimated_change=0.001),
        alone(estimated_change=0.001)],
    "non-saturating": gans(gan_loss=["non_saturating", "saturating"]),
    "acgan": gans(gan_kind=["acgan", "gan"]),
    "bins": beside([1.0] * 4, [0.5, 0.5, 0.5, 2.0], [0.5, 0.5, 2.0, 2.0], [0.5, 2.0, 2.0, 2.0], output="scalar"),
    "scalar fits worse": beside([0.01] * 4, [0.02, 0.02, 0.02, 0.005], [0.02, 0.02, 0.005, 0.005],
        [0.02, 0.005, 0.005, 0.005], field="error", output="scalar"),
    "temperature": [
        pairs({"d": paper, "distance_after": 0.2}, {"d": other, "distance_after": after, "temperature": 1.0}, 3)
        for paper, other, after in (
            ([2.0, 2.0, 1.0], [1.0, 1.0, 1.5], 0.1), (1.0, 2.0, [0.1, 0.1, 0.3]), (1.0, 2.0, [0.1, 0.3, 0.3]))],
    "normalised": beside([1.0] * 4, [0.5, 0.5, 1.5, 1.5], [1.1] * 4, [1.21] * 4, field="unscaled_cohens_d",
        scaling="normalized"),
    "clipped": [rows(filters("pool1", 4), scaling="normalized", percent_clipped=percents) for percents in (
        [4.7, 4.8, 4.8, 4.9], [4.7, 4.7, 4.7, 4.6], [4.7, 4.6, 4.6, 4.6])],
}  # fmt: skip
"""Keys of claims; what they are given for the three verdicts."""
