"""Constructed experiments that decide each claim one way or the other: for each key a case for each verdict."""

import dataclasses

from many_rows import PAIRS, ROTATIONS, experiment

from pir_tf.paper.claims.evidence import Facts
from pir_tf.paper.claims.rules import Evidence
from pir_tf.paper.rows import LAYERS

SINGLES = ("red", "green", "blue")
EVERYTHING = tuple(f"color:{name}" for name in (*SINGLES, *PAIRS, *ROTATIONS)) + tuple(
    f"vgg:{layer}:{rest}" for layer in LAYERS[:5] for i in range(4) for rest in (f"filters={i}", f"k=20:seed={i}")
)


def colors(names, effects, **measured):
    return [experiment(f"color:{name}", d, measured=measured) for name, d in zip(names, effects, strict=True)]


def layer(name, effects, k=1, zeros=None):
    """Objectives of a layer with these effects."""
    zeros = zeros or [0.0] * len(effects)
    form = "filters={}" if k == 1 else f"k={k}:seed={{}}"
    return [
        experiment(f"vgg:{name}:{form.format(i)}", d, measured={"zero": zero})
        for i, (d, zero) in enumerate(zip(effects, zeros, strict=True))
    ]


def verdicts(reproduced, partly, no):
    return {"reproduced": _evidence(reproduced), "partly": _evidence(partly), "not": _evidence(no)}


def _evidence(found):
    return found if isinstance(found, Evidence) else Evidence(found)


def raised(rows_of, wanted):
    """Cases of the rule about most objectives; `rows_of` takes a list of effects."""
    most, half = -(-3 * wanted // 4), -(-wanted // 2)
    cases = verdicts(
        rows_of([1.0] * most + [0.0] * (wanted - most)),
        rows_of([1.0] * half + [0.0] * (wanted - half)),
        rows_of([1.0] * (half - 1) + [-1.0] * (wanted - half + 1)),
    )
    return {**cases, "partly, too few": _evidence(rows_of([1.0] * (wanted - 1)))}


def means(objective, before, after, streak=(0.0, 0.0)):
    """Channel means of an experiment as `results.json` has them."""
    side = lambda image, blue: {"image": list(image), "thirds": [[0, 0, 0.3], [0, 0, 0.3 + blue], [0, 0, 0.3]]}  # noqa: E731
    found = {"before": side(before, streak[0]), "after": side(after, streak[1])}
    return experiment(objective, 1.0, measured={"channel_means": found})


def pairs_of_colors(falls):
    """Two-colour experiments; in the first `falls` of them the third channel falls, in the others it rises."""
    rows = []
    for i, name in enumerate(PAIRS):
        moved = [0.4 if channel in name.split("-") or i >= falls else 0.2 for channel in SINGLES]
        rows.append(means(f"color:{name}", (0.3, 0.3, 0.3), moved))
    return rows


def single_colors(rises):
    rows = []
    for i, name in enumerate(SINGLES):
        moved = [0.4 if (channel == name) == (i < rises) else 0.2 for channel in SINGLES]
        rows.append(means(f"color:{name}", (0.3, 0.3, 0.3), moved))
    return rows


def lengths(short, long):
    """Three-colour experiments after 150 and after 1500 steps."""
    rows = []
    for steps, effects in ((150, short), (1500, long)):
        for name, d in zip(ROTATIONS, effects, strict=False):
            rows.append(experiment(f"color:{name}", d, name=f"{name}-{steps}", tuning__steps=steps))
    return rows


def pairs(count, paper, other, **setting):
    """Pairs of single filters that differ in a setting: results of the paper's side, and of the other."""
    rows = []
    for i in range(count):
        one = paper[i] if isinstance(paper, list) else paper
        two = other[i] if isinstance(other, list) else other
        objective = f"vgg:pool3:filters={i}"
        rows.append(experiment(objective, name=f"{i}-paper", **one))
        rows.append(experiment(objective, name=f"{i}-other", **two, **setting))
    return rows


def d_pairs(first, second, **setting):
    return pairs(len(first), [{"d": d} for d in first], [{"d": d} for d in second], **setting)


def with_facts(rows, facts):
    """Evidence whose i-th experiment has the i-th facts."""
    return Evidence(rows, facts={row["experiment"]: fact for row, fact in zip(rows, facts, strict=True)})


def everything(d=1.0, facts=None, **measured):
    """An experiment of each objective that is run at size `laptop`, all with the same outcome."""
    rows = [experiment(objective, d, measured=measured) for objective in EVERYTHING]
    return with_facts(rows, [facts] * len(rows)) if facts else rows


def mixed(count, yes, no):
    """As `everything` with the outcome `yes` in the first `count` and `no` in the others."""
    return [experiment(objective, **(yes if i < count else no)) for i, objective in enumerate(EVERYTHING)]


def mixed_facts(count, yes, no):
    rows = everything()
    return with_facts(rows, [yes if i < count else no for i in range(len(rows))])


def estimated(change):
    return {"d": 1.0, "measured": {"estimated": change}}


def over_spread(slope, noise, count=16):
    """Experiments whose change is a line over the initial SD, with noise that no line explains."""
    rows = []
    for i in range(count):
        sd = 0.02 + 0.01 * (i % 8)
        change = slope * sd + noise * (-1) ** (i // 8) * (1 if i % 2 else 0.5)
        rows.append(experiment(EVERYTHING[12 + i], change / sd, measured={"sd": sd, "before": 0.4 + 0.01 * (i % 5)}))
    return rows


def over_estimate(slope, noise):
    rows = []
    for i in range(16):
        guess = 0.02 + 0.01 * (i % 8)
        change = slope * guess + noise * (-1) ** (i // 8) * (1 if i % 2 else 0.5)
        rows.append(experiment(EVERYTHING[12 + i], change / 0.05, measured={"estimated": guess}))
    return rows


def over_layers(slope, noise):
    return [
        experiment(
            f"vgg:{name}:k=20:seed={i}",
            2.0 + slope * place + noise * (-1) ** i * (1 + i % 3),
            measured={"sd": 0.02 + 0.003 * ((7 * place + 3 * i) % 5), "zero": float((5 * place + i) % 4)},
        )
        for place, name in enumerate(LAYERS[:5])
        for i in range(4)
    ]


def over_zeros(slope, noise):
    return [
        experiment(
            f"vgg:pool{1 + i % 5}:filters={i}",
            slope * (100 - zero) / 100 + noise * (-1) ** (i // 4),
            measured={"zero": zero},
        )
        for i, zero in ((i, 5.0 * (i % 4)) for i in range(16))
    ]


def second_rounds(name, effects):
    """Second rounds of a layer: effect sizes after the first and after the second round."""
    return [
        experiment(
            f"vgg:{name}:filters={i}",
            second - first,
            name=f"{name}-{i}-round-2",
            first_round="one",
            measured={"round": 2, "first_round": {"cohens_d": first}, "cohens_d_from_start": second},
        )
        for i, (first, second) in enumerate(effects)
    ]


def diverse(before, after, real=0.25, collapsed=False):
    side = lambda value: {"distance": [value, value], "ms_ssim": [0.4, 0.4]}  # noqa: E731
    return {"before": side(before), "after": side(after), "real": side(real), "collapsed": [collapsed, False]}


def curve(pir, distance, kid=None, objective="color:blue", extreme=None):
    """Experiments over the weight of PIR, and one without the generator's loss."""
    rows = []
    for i, (weight, d) in enumerate(zip((0.0, 100.0, 1000.0, 10_000.0), pir, strict=True)):
        measured = {"diversity": diverse(0.2, distance[i])}
        measured |= {"kid": {"before": 0.1, "after": kid[i]}} if kid else {}
        rows.append(
            experiment(objective, d, name=f"{objective}-{weight}", measured=measured, tuning__pir_weight=weight)
        )
    if extreme:
        rows.append(experiment(objective, name=f"{objective}-alone", tuning__fools_weight=0.0, **extreme))
    return rows


def alone(distance, collapsed, estimated=0.1, d=1.0):
    return {"d": d, "measured": {"estimated": estimated, "diversity": diverse(0.2, distance, collapsed=collapsed)}}


def gans(paper, other, error=0.001, **setting):
    kid = lambda value: {"kid": {"before": value, "before_se": error, "after": 0.2}}  # noqa: E731
    return pairs(1, {"measured": kid(paper)}, {"measured": kid(other)}, **setting)


def normalized(first, second, clipped=6.0):
    other = [
        {"measured": {"unscaled": {"cohens_d": d}, "scaling": {"percent_clipped_shown": clipped}}, "d": 9.0}
        for d in second
    ]
    return pairs(len(first), [{"d": d} for d in first], other, interactions__scaling="normalized")


def clipped(percents):
    return [
        experiment(
            f"vgg:pool1:filters={i}",
            measured={"scaling": {"percent_clipped_shown": p}},
            interactions__scaling="normalized",
        )
        for i, p in enumerate(percents)
    ]


def temperatures(first, second, kept=(0.2, 0.1)):
    with_d = lambda effects, left: [{"d": d, "measured": {"diversity": diverse(0.2, left)}} for d in effects]  # noqa: E731
    return pairs(len(first), with_d(first, kept[0]), with_d(second, kept[1]), estimator__temperature=1.0)


def errors(bins, scalar):
    rows = d_pairs([1.0] * len(bins), [1.0] * len(bins), estimator__output="scalar")
    return with_facts(rows, [Facts(error=error) for pair in zip(bins, scalar, strict=True) for error in pair])


def sparse(percents, others=5.0):
    """Single filters of pool5 with these percents of zeros, and of pool1."""
    return [*layer("pool5", [1.0] * len(percents), zeros=percents), *layer("pool1", [1.0] * 4, zeros=[others] * 4)]


def two_sets(single, multi):
    """Single filters and sets of 20 of pool5, fc6 and fc7, with these percents of zeros."""
    return [
        row
        for name, one, many in zip(("pool5", "fc6", "fc7"), single, multi, strict=True)
        for row in (*layer(name, [1.0] * 2, zeros=[one] * 2), *layer(name, [1.0] * 2, k=20, zeros=[many] * 2))
    ]


def complexity(falling, below):
    """VGG objectives whose estimates fall with the layer or rise, and at pool5 exceed the truth or don't."""
    rows = []
    for place, name in enumerate(LAYERS[:5]):
        for i in range(3):
            guess = 0.01 * (6 - place if falling else place + 2) + 0.0001 * i
            factor = 0.5 if below and name == "pool5" else 1.5
            rows.append(experiment(f"vgg:{name}:filters={i}", factor * guess / 0.05, measured={"estimated": guess}))
    return rows


TERMS = Facts(gradient_ratio=0.5, loss_ratio=2.0)
TUNED = Facts(pir_rise=0.1, generator_loss_rise=0.2)
COUNT = len(EVERYTHING)

CASES = {
    "raises all": raised(lambda effects: [experiment(o, d) for o, d in zip(EVERYTHING, effects, strict=False)], 30),
    "raises single color": raised(lambda effects: colors(SINGLES[: len(effects)], effects), 3),
    "raises two colors": raised(lambda effects: colors(PAIRS[: len(effects)], effects), 6),
    **{
        f"raises vgg single {name}": raised(lambda effects, name=name: layer(name, effects), 4)
        for name in LAYERS
        if name not in ("pool5", "fc6", "fc7")
    },
    **{f"raises vgg k=20 {name}": raised(lambda effects, name=name: layer(name, effects, k=20), 4) for name in LAYERS},
    **{
        f"poor vgg single {name}": verdicts(
            [*layer(name, [1.0, 1.0, 0.0, -1.0]), *layer("pool1", [1.0] * 4)],
            [*layer(name, [0.5, 0.5, 0.5, 0.0]), *layer("pool1", [1.0] * 4)],
            [*layer(name, [2.0, 2.0, 2.0, 0.0]), *layer("pool1", [1.0] * 4)],
        )
        for name in ("pool5", "fc6", "fc7")
    },
    "20 filters more consistent": verdicts(
        [*layer("pool1", [1.0, 0.0, 2.0]), *layer("pool1", [1.0, 1.1, 1.2], k=20)],
        [*layer("pool1", [1.0, 0.9, 1.1]), *layer("pool1", [1.0, 0.5, 2.5], k=20)],
        [*layer("pool1", [1.0, 0.9, 1.1]), *layer("pool1", [1.0, 0.0, 2.5], k=20)],
    ),
    "1000 images": {
        **raised(lambda effects: [experiment(o, d) for o, d in zip(EVERYTHING, effects, strict=False)], 30),
        "not run, more images": Evidence(
            [experiment(interactions__images=2000), experiment(interactions__impressions=9999)]
        ),
    },
    "three colours harder": verdicts(
        [*colors(SINGLES, [3.0] * 3), *colors(PAIRS, [2.0] * 6), *colors(ROTATIONS, [1.0] * 3)],
        [*colors(SINGLES, [3.0] * 3), *colors(PAIRS, [1.0] * 6), *colors(ROTATIONS, [2.0] * 3)],
        [*colors(SINGLES, [1.0] * 3), *colors(PAIRS, [1.0] * 6), *colors(ROTATIONS, [1.0] * 3)],
    ),
    "three colours at first": {
        **verdicts(
            lengths([0.1, 0.3, -0.2], [1.0] * 3),
            lengths([0.1, 0.6, 0.7], [1.0] * 3),
            lengths([0.6, 0.7, 0.8], [1.0] * 3),
        ),
        "partly, too few": Evidence(lengths([0.1, 0.2], [1.0] * 2)),
        "not run, one length": Evidence(lengths([0.1] * 3, [])),
    },
    "three colours longer": verdicts(
        lengths([0.0] * 3, [1.0, 1.0, 0.0]), lengths([0.0] * 3, [1.0, 0.0, -1.0]), lengths([0.0] * 3, [0.1, 0.0, -1.0])
    ),
    "single colour rises": verdicts(single_colors(3), single_colors(2), single_colors(1)),
    "third channel falls": {
        **verdicts(pairs_of_colors(6), pairs_of_colors(3), pairs_of_colors(2)),
        "partly, too few": Evidence(pairs_of_colors(6)[:2]),
        "not run, no means": Evidence(colors(PAIRS, [1.0] * 6)),
    },
    "blue streak": verdicts(
        *([means("color:green-blue-red", (0.3,) * 3, (0.3,) * 3, streak=(0.01, after))] for after in (0.04, 0.02, 0.0))
    ),
    "zeros pool5": {
        **verdicts(
            layer("pool5", [1.0] * 4, zeros=[95.0, 95.0, 70.0, 70.0]),
            layer("pool5", [1.0] * 4, zeros=[80.0] * 4),
            layer("pool5", [1.0] * 4, zeros=[10.0] * 4),
        ),
        "partly, too few": Evidence(layer("pool5", [1.0] * 2, zeros=[95.0, 65.0])),
    },
    "zeros fc6": verdicts(
        layer("fc6", [1.0] * 4, zeros=[95.0, 91.0, 60.0, 60.0]),
        layer("fc6", [1.0] * 4, zeros=[75.0] * 4),
        layer("fc6", [1.0] * 4, zeros=[99.0] * 4),
    ),
    "zeros fc7": verdicts(
        layer("fc7", [1.0] * 4, zeros=[95.0, 91.0, 60.0, 60.0]),
        layer("fc7", [1.0] * 4, zeros=[99.0, 99.0, 0.0, 0.0]),
        layer("fc7", [1.0] * 4, zeros=[10.0] * 4),
    ),
    "zeros fc8": verdicts(
        layer("fc8", [1.0] * 4, zeros=[31.0] * 4),
        layer("fc8", [1.0] * 4, zeros=[0.0] * 4),
        layer("fc8", [1.0] * 4, zeros=[95.0] * 4),
    ),
    "sparse layers": verdicts(
        [*sparse([80.0] * 2), *layer("fc6", [1.0], zeros=[75.0]), *layer("fc7", [1.0], zeros=[75.0])],
        [*sparse([80.0] * 2), *layer("fc6", [1.0], zeros=[1.0]), *layer("fc7", [1.0], zeros=[75.0])],
        sparse([4.0] * 2),
    ),
    "all zero": verdicts(sparse([100.0, 0.0]), sparse([99.5, 0.0]), sparse([98.0, 0.0])),
    "zeros make it poor": verdicts(
        layer("pool5", [0.0, 0.1, 2.0, 2.0], zeros=[95.0, 95.0, 50.0, 50.0]),
        layer("pool5", [1.0, 1.0, 0.5, 2.9, 0.6], zeros=[95.0, 95.0, 50.0, 50.0, 50.0]),
        layer("pool5", [3.0, 3.0, 2.0, 2.0], zeros=[95.0, 95.0, 50.0, 50.0]),
    ),
    "20 filters less sparse": verdicts(
        two_sets((80.0, 70.0, 60.0), (10.0, 5.0, 5.0)),
        two_sets((80.0, 3.0, 3.0), (10.0, 5.0, 5.0)),
        two_sets((8.0, 3.0, 3.0), (10.0, 5.0, 5.0)),
    ),
    "layer trend": {
        **verdicts(over_layers(-0.3, 0.02), over_layers(-0.05, 0.5), over_layers(0.1, 0.02)),
        "not run, too few": Evidence(over_layers(-0.3, 0.02)[:10]),
    },
    "estimate to truth": verdicts(over_estimate(1.7, 0.001), over_estimate(1.7, 0.2), over_estimate(0.9, 0.001)),
    "initial spread": verdicts(over_spread(1.0, 0.002), over_spread(1.0, 0.2), over_spread(-1.0, 0.002)),
    "initial spread alone": verdicts(over_spread(1.0, 0.03), over_spread(1.0, 0.002), over_spread(-1.0, 0.02)),
    "zeros and effect": verdicts(over_zeros(8.0, 0.05), over_zeros(1.0, 1.0), over_zeros(-4.0, 0.05)),
    "underestimates": verdicts(
        mixed(COUNT, estimated(0.02), estimated(0.08)),
        mixed(COUNT // 2, estimated(0.02), estimated(0.08)),
        mixed(COUNT // 3, estimated(0.02), estimated(0.08)),
    ),
    "absolute bias": {
        verdict: Evidence(
            [{**row, "estimator_bias": -0.01 if i < count else 0.01} for i, row in enumerate(everything())]
        )
        for verdict, count in (("reproduced", COUNT), ("partly", COUNT // 2), ("not", COUNT // 3))
    },
    "bias by temperature": {
        **verdicts(
            mixed_facts(COUNT, Facts(bias=-0.02, bias_at_1=0.0), Facts()),
            mixed_facts(COUNT // 2, Facts(bias=-0.04, bias_at_1=0.0), Facts(bias=0.02, bias_at_1=0.0)),
            mixed_facts(COUNT, Facts(bias=0.02, bias_at_1=0.0), Facts()),
        ),
    },
    "complex objectives": verdicts(complexity(True, True), complexity(True, False), complexity(False, False)),
    "second round improves": {
        **verdicts(
            second_rounds("pool2", [(1.0, 1.2)] * 4),
            second_rounds("pool2", [(1.0, 1.2)] * 3 + [(1.0, 0.9)]),
            second_rounds("pool2", [(1.0, 0.9)] * 4),
        ),
        "partly, too few": Evidence(second_rounds("pool2", [(1.0, 1.2)] * 3)),
        "not run, another layer": Evidence(second_rounds("fc8", [(1.0, 1.2)] * 4)),
    },
    "second round less": verdicts(
        second_rounds("pool2", [(1.0, 1.9)] * 4),
        second_rounds("pool2", [(1.0, 1.9)] * 3 + [(1.0, 2.1)]),
        second_rounds("pool2", [(1.0, 2.1)] * 3 + [(1.0, 1.9)]),
    ),
    "second round worse": verdicts(
        second_rounds("fc8", [(1.0, 0.8)] * 2 + [(1.0, 1.2)] * 4),
        second_rounds("fc8", [(1.0, 0.8)] + [(1.0, 1.2)] * 4),
        second_rounds("fc8", [(1.0, 1.2)] * 4),
    ),
    "limited generator": verdicts(
        [experiment(measured={"diversity": diverse(0.2, 0.1)})],
        [experiment(seed=i, measured={"diversity": diverse(d, 0.1)}) for i, d in enumerate((0.2, 0.3))],
        [experiment(measured={"diversity": diverse(0.3, 0.1)})],
    ),
    "comparable terms": verdicts(
        everything(facts=TERMS),
        everything(facts=dataclasses.replace(TERMS, loss_ratio=80.0)),
        everything(facts=Facts(gradient_ratio=0.01, loss_ratio=80.0)),
    ),
    "generator loss rises": verdicts(
        mixed_facts(COUNT, TUNED, Facts()),
        mixed_facts(COUNT // 2, TUNED, dataclasses.replace(TUNED, generator_loss_rise=-0.2)),
        mixed_facts(COUNT // 3, TUNED, dataclasses.replace(TUNED, generator_loss_rise=-0.2)),
    ),
    "partial collapse": verdicts(
        *(
            mixed(
                count, {"measured": {"diversity": diverse(0.2, 0.1)}}, {"measured": {"diversity": diverse(0.2, 0.21)}}
            )
            for count in (COUNT // 2, COUNT // 4, COUNT // 5)
        )
    ),
    "trade-off": {
        **verdicts(
            curve((0.1, 0.5, 1.0, 2.0), (0.2, 0.19, 0.15, 0.1)),
            [
                *curve((0.1, 0.5, 1.0, 2.0), (0.2, 0.19, 0.15, 0.1)),
                *curve((2.0, 1.0, 0.5, 0.1), (0.1, 0.15, 0.19, 0.2), objective="color:red"),
            ],
            curve((2.0, 1.0, 0.5, 0.1), (0.1, 0.15, 0.19, 0.2)),
        ),
        "not run, two weights": Evidence(curve((0.1, 0.5, 1.0, 2.0), (0.2, 0.19, 0.15, 0.1))[:2]),
    },
    "away from the data": verdicts(
        curve((1.0,) * 4, (0.2,) * 4, kid=(0.1, 0.2, 0.3, 0.4)),
        curve((1.0,) * 4, (0.2,) * 4, kid=(0.2, 0.1, 0.15, 0.3)),
        curve((1.0,) * 4, (0.2,) * 4, kid=(0.4, 0.3, 0.2, 0.1)),
    ),
    "without the generator's loss": verdicts(
        curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.02, True)),
        curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.15, False)),
        curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.25, False)),
    ),
    "generator's loss regularizes": verdicts(
        curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.1, False, estimated=0.2)),
        [
            *curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.1, False, estimated=0.2)),
            *curve((1.0,) * 4, (0.2,) * 4, objective="color:red", extreme=alone(0.1, False, estimated=0.001)),
        ],
        curve((1.0,) * 4, (0.2,) * 4, extreme=alone(0.1, False, estimated=0.001)),
    ),
    "non-saturating": {
        **verdicts(
            gans(0.10, 0.12, gan__loss="saturating"),
            gans(0.10, 0.101, gan__loss="saturating"),
            gans(0.12, 0.10, gan__loss="saturating"),
        ),
        "not run, no KID": Evidence(d_pairs([1.0], [1.0], gan__loss="saturating")),
    },
    "acgan": verdicts(
        gans(0.10, 0.12, gan__kind="gan"), gans(0.10, 0.101, gan__kind="gan"), gans(0.12, 0.10, gan__kind="gan")
    ),
    "bins": {
        **verdicts(
            d_pairs([1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 0.5, 2.0], estimator__output="scalar"),
            d_pairs([1.0, 1.0, 1.0, 1.0], [0.5, 0.5, 2.0, 2.0], estimator__output="scalar"),
            d_pairs([1.0, 1.0, 1.0, 1.0], [0.5, 2.0, 2.0, 2.0], estimator__output="scalar"),
        ),
        "partly, too few": Evidence(d_pairs([1.0], [0.5], estimator__output="scalar")),
    },
    "scalar fits worse": verdicts(
        errors([0.01] * 4, [0.02] * 3 + [0.005]),
        errors([0.01] * 4, [0.02, 0.02, 0.005, 0.005]),
        errors([0.01] * 4, [0.005] * 4),
    ),
    "temperature": verdicts(
        temperatures([2.0, 2.0, 1.0], [1.0, 1.0, 1.5]),
        temperatures([1.0] * 3, [2.0] * 3),
        temperatures([1.0] * 3, [2.0] * 3, kept=(0.1, 0.2)),
    ),
    "normalised": verdicts(
        normalized([1.0] * 4, [0.5, 0.5, 1.5, 1.5]), normalized([1.0] * 3, [1.1] * 3), normalized([1.0] * 3, [2.0] * 3)
    ),
    "clipped": verdicts(clipped([6.0] * 3 + [1.0]), clipped([6.0] + [1.0] * 3), clipped([1.0] * 4)),
}
"""Keys of claims, and under each verdict what it is given for; a word after it tells cases apart."""
