"""The paper's evaluation as suites of experiments, in three sizes (3, 4, A.3, C).

`paper` has the paper's numbers, `laptop` what two CPU cores can do in hours, `smoke` only shows that everything works. Every
number that a size decides beyond its preset is in `SIZES`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pir_tf.config import EstimatorConfig, ExperimentConfig, changed
from pir_tf.objective_names import COLORS, TOP_LAYERS, VGG_FILTERS
from pir_tf.presets import GRADIENT_RATIO, by_papers_method


@dataclass(frozen=True)
class Size:
    """The numbers of one size, and fields of the config that it changes for some experiments."""

    filters: int  # objectives of each VGG layer with one filter, and as many with 20 (C.4.2: 6, 4, 5 are "around half")
    iterated: int  # single filters of each layer that get a second round (A.3)
    three_colors: int  # tuning steps of the three-colour objectives (4.2)
    three_colors_other: int  # the other length that the ablation shows beside it (4.2: a tenth, or ten times)
    longer: int  # tuning steps that some VGG objectives get beside their own, to see whether more steps help (4.1)
    kid_images: int  # images of each kind in the distance from the real ones (5.1; the distance is ours)
    vgg: dict[str, dict[str, Any]] = field(default_factory=dict)  # sections of VGG objectives, instead of the preset's
    finetuned: dict[str, Any] = field(default_factory=dict)  # `estimator` with the whole backbone trained, not its head
    trained_gan: dict[str, Any] = field(default_factory=dict)  # `gan` of the comparisons of its losses and kinds (2.1)
    gan_seeds: int = 1  # pairs of GANs in each of them


SIZES = {
    "laptop": Size(
        filters=4,
        iterated=6,
        three_colors=150,
        three_colors_other=1500,
        longer=600,
        kid_images=300,  # a tenth of a second each on one core
        vgg={
            # A quarter of the time at 224, where VGG16 would take most of a run; the generated images have 64 pixels.
            "interactions": {"vgg_image_size": 112},
            "estimator": {
                "backbone": "inception_v3", "layer": "mixed2", "image_size": 96, "trainable": "head", "steps": 1000,
                "learning_rate": 1e-3,
            },
            "tuning": {"steps": 150, "batch_size": 16, "true_pir_every": 50},
        },
        finetuned={"trainable": "all", "steps": 200, "learning_rate": 5e-4},
        trained_gan={"generator": "train", "steps": 1000, "decay_steps": 300, "keep": "last"},
        gan_seeds=3,
    ),
    "paper": Size(10, 10, three_colors=500_000, three_colors_other=50_000, longer=500_000, kid_images=1000),
    "smoke": Size(
        1, 1, three_colors=6, three_colors_other=12, longer=12, kid_images=1000,
        vgg={"interactions": {"vgg_image_size": 64}}, trained_gan={"generator": "train"},
    ),
}  # fmt: skip
"""The one place for what measurement decides."""

VGG_RATIO, LONGER_RATIO = 4.0, 2.0
"""Gradient ratios of the linear estimator's VGG objectives, in as many steps as the paper's method has and in more, which would
lose too much of the distance at 4; colours have `GRADIENT_RATIO`. Chosen by curves in experiments/beyond."""
PESSIMISM = 2.0
"""Of the linear estimator, for its longer tunings: experiments/beyond has the curves by which it was chosen."""
LEAST_DISTANCE = 0.85
"""Share of the distance within a class below which a guarded tuning stops."""
BEST_OF = 16
"""Images of which the best is taken, for the six objectives that are looked at more closely."""
COLOR_GRID = 4
"""Places a side whose means tell colours' places apart: 2 for halves, 3 for thirds."""
KL_WEIGHTS = (3.0, 10.0, 30.0)
"""Weights of KL along the trade-off of moved latents."""
FEW_ANSWERS = ((1000, 1), (200, 5), (1000, 5), (200, 10), (1000, 10), (200, 100))
"""Images and impressions of each, of the tunings from few answers."""
PLUG_AND_PLAY = 100.0
"""Weight of Plug & Play sampling, in nats per unit of PIR."""
HEADS: dict[str, dict[str, Any]] = {
    "bins": {},
    "bins-on-data": {"bin_range": "data", "temperature": 1.0},
    "scalar-on-data": {"output": "scalar", "scalar_start": "data"},
    "ridge": {"output": "linear"},
}
"""What reads the estimator's features out."""
MULTI = 20
"""Filters of an objective of several. Source: 3.2, C.4.2."""
PIR_WEIGHTS = (0, 30, 100, 300, 1000, 3000, 10_000)
"""Values of w_PIR along the trade-off. Source: 5.1 (the values are ours)."""
ITERATED_LAYERS = ("pool2", "fc8")
"""Layers whose single filters get a second round. Source: A.3."""


@dataclass(frozen=True)
class Weights:
    """The pretrained weights of a sweep."""

    inception: str = "imagenet"  # of the estimator's InceptionV3: `imagenet`, `file:PATH`, `hub:HANDLE`, `none`
    vgg: str = ""  # of VGG16, in the objectives and in KID; empty means `imagenet`, at size `smoke` none: no download
    inception_range: tuple[float, float] = EstimatorConfig().input_range  # pixel values that InceptionV3 expects
    vgg_layers: tuple[str, ...] = ()  # those that VGG16's serve; empty means all with `imagenet`, else all but the top

    def vgg_at(self, size: str) -> str:
        """VGG16's weights at that size."""
        return self.vgg or ("none" if size == "smoke" else "imagenet")

    def why_not(self, size: str, layer: str) -> str:
        """Why objectives of a VGG layer are not run, in one sentence; empty for a layer that is."""
        vgg = self.vgg_at(size)
        lower = [name for name in VGG_FILTERS if name not in TOP_LAYERS]
        if layer in (self.vgg_layers or (VGG_FILTERS if vgg == "imagenet" else lower)):
            return ""
        if self.vgg_layers:
            return f"{layer} is not among --vgg-layers"
        lacking = (
            f"{layer} needs VGG16's fully connected layers, which weights '{vgg.partition(':')[0]}' are taken to lack"
        )
        return f"{lacking}: use imagenet, or name it in --vgg-layers"


@dataclass(frozen=True)
class Experiment:
    """One run of a suite."""

    name: str  # of its directory in a sweep
    config: ExperimentConfig  # whose `first_round` is the name of another experiment of the same sweep
    not_run: str = ""  # why it can't be run with these weights, in one sentence; empty when it can


def colors(size: str, weights: Weights) -> list[Experiment]:
    """Three single colours, six ordered pairs, three rotations of three. Source: 3.3, 4.2. Deviation: D11."""
    singles = [f"color:{color}" for color in COLORS]
    pairs = [f"color:{left}-{right}" for left, right in itertools.permutations(COLORS, 2)]
    rotations = [f"color:{'-'.join(COLORS[i:] + COLORS[:i])}" for i in range(3)]
    return [_color(size, weights, objective) for objective in singles + pairs + rotations]


def vgg_single(size: str, weights: Weights) -> list[Experiment]:
    """Single filters of each layer of VGG16. Source: 3.1, C.4.1. Deviation: D9."""
    return [_single(size, weights, layer, place) for layer in VGG_FILTERS for place in range(SIZES[size].filters)]


def vgg_multi(size: str, weights: Weights) -> list[Experiment]:
    """Sets of 20 filters of each layer. Source: 3.2, C.4.2."""
    return [_multi(size, weights, layer, seed) for layer in VGG_FILTERS for seed in range(SIZES[size].filters)]


def finetuned(size: str, weights: Weights) -> list[Experiment]:
    """Three VGG objectives with the whole backbone trained, each beside the same with its last layer alone.

    Source: 2.3 (the paper trains the whole).
    """
    found = []
    bases = (_single(size, weights, "pool1", 0), _single(size, weights, "pool3", 0), _multi(size, weights, "pool5", 0))
    for base in bases:
        if base.config.estimator.trainable == "head":
            found += [base, _variant(base, "finetuned", estimator=SIZES[size].finetuned)]
        elif base.config.estimator.backbone == "inception_v3":
            found += [_variant(base, "head-only", estimator={"trainable": "head"}), base]
        else:  # a compact estimator has no head alone
            found.append(base)
    return found


def iteration(size: str, weights: Weights) -> list[Experiment]:
    """First and second rounds of single filters of pool2 and fc8. Source: A.3."""
    found = []
    for layer in ITERATED_LAYERS:
        for place in range(SIZES[size].iterated):
            first = _single(size, weights, layer, place)
            second = dataclasses.replace(first.config, first_round=first.name)
            found += [first, Experiment(f"{first.name}-round-2", second, first.not_run)]
    return found


def trade_off(size: str, weights: Weights) -> list[Experiment]:
    """A colour and a VGG objective over w_PIR, and without the generator's own loss, with KID measured.

    Where the GAN is trained here, the extreme keeps the class term: its weight would change the pretraining too.

    Source: 5.1.
    """
    found = []
    for base in (_color(size, weights, "color:blue"), _single(size, weights, "pool3", 0)):
        base = dataclasses.replace(base, config=changed(base.config, evaluation=_distance(size, weights)))
        found += [_variant(base, f"weight-{weight}", tuning={"pir_weight": float(weight)}) for weight in PIR_WEIGHTS]
        alone: dict[str, dict[str, Any]] = {"tuning": {"fools_weight": 0.0}}
        if base.config.gan.generator == "bundled":
            alone["gan"] = {"fake_class_weight": 0.0}
        found.append(_variant(base, "no-generator-loss", **alone))
    return found


def ablations(size: str, weights: Weights) -> list[Experiment]:
    """What the paper compares in words, each beside its baseline.

    Scalar against bins and temperature 1 against 0.01 (C.3), scaled PIR (C.5), the length for three colours (4.2) and for
    two single filters, and in GANs trained from scratch the saturating loss (2.1) and no classes (footnote 1).
    """
    blue, pair = _color(size, weights, "color:blue"), _color(size, weights, "color:red-blue")
    filters = {layer: _single(size, weights, layer, 0) for layer in ("pool1", "pool3", "pool4")}
    found = []
    for base in (blue, pair, filters["pool3"]):
        found += [
            base,
            _variant(base, "scalar", estimator={"output": "scalar"}),
            _variant(base, "temperature-1", estimator={"temperature": 1.0}),
        ]
    for base in (blue, *filters.values()):
        found += [base, _variant(base, "normalized", interactions={"scaling": "normalized"})]
    other = SIZES[size].three_colors_other
    for base in colors(size, weights)[-3:]:
        found += [base, _variant(base, f"{other}-steps", tuning={"steps": other})]
    for base in (filters["pool3"], filters["pool4"]):
        found += [base, _longer(size, base)]
    return list(dict.fromkeys(found + _gan_ablations(size, weights)))


def beyond(size: str, weights: Weights) -> list[Experiment]:
    """The linear estimator on the objectives of figure 2 and two more filters, in as many steps. Not the paper's."""
    return _chosen_too(size, weights, [_linear(size, weights, base) for base in _served(size, weights)])


def beyond_longer(size: str, weights: Weights) -> list[Experiment]:
    """Those of `beyond` that are VGG's, in more steps. Not the paper's."""
    vgg = [base for base in _served(size, weights) if base.name.startswith("vgg")]
    return _chosen_too(size, weights, [_linear(size, weights, _longer(size, base)) for base in vgg])


def beyond_guarded(size: str, weights: Weights) -> list[Experiment]:
    """Single filters of `beyond-longer` whose classes keep their distance. Not the paper's."""
    return _stopped(size, weights, "guarded", {"keep_distance": LEAST_DISTANCE}, judge=False)


def beyond_judged(size: str, weights: Weights) -> list[Experiment]:
    """Single filters of `beyond-longer` whose tuning a judge may stop, which takes a third of the answers. Not the paper's."""
    return _stopped(size, weights, "judged", {"stop": "judge"}, judge=True)


def beyond_seeds(size: str, weights: Weights) -> list[Experiment]:
    """Three seeds of six objectives: the paper's method, the linear estimator, and for VGG's more steps. Not the paper's."""
    found = []
    for base in _six(size, weights):
        longer = [_linear(size, weights, _longer(size, base))] if base.name.startswith("vgg") else []
        for one in (base, _linear(size, weights, base), *longer):
            found += [one, *(_seeded(one, seed) for seed in (1, 2))]
    return _chosen_too(size, weights, found)


def beyond_offline(size: str, weights: Weights) -> list[Experiment]:
    """The linear estimator on the discriminator alone, without a download, for pool1 to pool3 and blue. Not the paper's."""
    layers = [one for one in vgg_single(size, weights) if one.name.split("-")[1] in ("pool1", "pool2", "pool3")]
    bases = (_color(size, weights, "color:blue"), *layers)
    return _chosen_too(size, weights, [_linear(size, weights, base, offline=True) for base in bases])


def factorial(size: str, weights: Weights) -> list[Experiment]:
    """Four heads on the same features at two weights, in equal steps: head, range or weight? Not the paper's."""
    found = []
    for base in _six(size, weights):
        if base.name.startswith("color") and "estimator" in SIZES[size].vgg:  # a compact one is trained whole
            base = _variant(base, "inception", estimator=_inception(size, weights, SIZES[size].vgg["estimator"]))
        for head, estimator in HEADS.items():
            for weight, tuning in (("weight-1000", {}), ("ratio-1", {"pir_gradient_ratio": 1.0})):
                whole = _variant(base, f"{head}-{weight}", estimator=estimator, tuning=tuning)
                found.append(base if whole.config == base.config else whole)
    return found


def heads_on_data(size: str, weights: Weights) -> list[Experiment]:
    """C.3's three comparisons once more, with bins and a scalar that begin where the data are. Not the paper's."""
    tones = [_color(size, weights, f"color:{colors}") for colors in ("blue", "red-blue")]
    bases = (*tones, _single(size, weights, "pool3", 0))
    heads = ("bins-on-data", "scalar-on-data")
    return [_variant(base, f"{head}-weight-1000", estimator=HEADS[head]) for base in bases for head in heads]


def best_of(size: str, weights: Weights) -> list[Experiment]:
    """The heads of `factorial` at the paper's weight, each with the best of some images by it. Not the paper's."""
    found = [one for one in factorial(size, weights) if not one.name.endswith("ratio-1")]
    return [_variant(one, f"best-of-{BEST_OF}", evaluation={"best_of": BEST_OF}) for one in found]


def tuned_by_few(size: str, weights: Weights) -> list[Experiment]:
    """Blue tuned by few answers, by the paper's method and by the linear estimator. Not the paper's."""
    base = _color(size, weights, "color:blue")
    found = []
    for images, impressions in FEW_ANSWERS:
        few = {"images": images, "impressions": impressions}
        pair = (base, _linear(size, weights, base))
        found += [_variant(one, f"{images}-by-{impressions}", interactions=few) for one in pair]
    return found


def moved_latents(size: str, weights: Weights) -> list[Experiment]:
    """A shift and a residual network in place of tuned weights, and Plug & Play sampling: five objectives. Not the paper's."""
    found = []
    for base in _chosen_too(size, weights, [_linear(size, weights, base) for base in _six(size, weights)[:5]]):
        found.append(_variant(base, "plug-and-play", evaluation={"plug_and_play": PLUG_AND_PLAY}))
        for kind, kl in itertools.product(("shift", "residual"), KL_WEIGHTS):
            moved = {"kind": kind, "kl_weight": kl, "pir_gradient_ratio": 0.0}
            found.append(_variant(base, f"{kind}-kl-{kl:g}", tuning=moved))
    return found


def paper(size: str, weights: Weights) -> list[Experiment]:
    """Everything that the paper did, in the order in which it is most useful early."""
    return list(experiments(["paper"], size, weights))


_PAPERS = (colors, vgg_single, vgg_multi, finetuned, iteration, trade_off, ablations)
_BEYOND = (
    beyond, beyond_longer, beyond_guarded, beyond_judged, beyond_seeds, beyond_offline, factorial, heads_on_data, best_of,
    tuned_by_few, moved_latents,
)  # fmt: skip
SUITES: dict[str, Callable[[str, Weights], list[Experiment]]] = {
    suite.__name__.replace("_", "-"): suite for suite in (*_PAPERS, paper, *_BEYOND)
}


def experiments(names: Sequence[str], size: str, weights: Weights) -> dict[Experiment, tuple[str, ...]]:
    """The experiments of several suites without repeats, in the suites' own order, with the suites that each is in."""
    found: dict[Experiment, tuple[str, ...]] = {}
    papers = {suite.__name__.replace("_", "-") for suite in _PAPERS} if "paper" in names else set()
    for suite in [name for name in SUITES if name != "paper" and name in papers | set(names)]:
        for experiment in SUITES[suite](size, weights):
            found[experiment] = (*found.get(experiment, ()), suite)
    return found


def _six(size: str, weights: Weights) -> list[Experiment]:
    """The objectives that are looked at more closely, from an easy to a hard one."""
    pool2 = next(one for one in iteration(size, weights) if one.name.startswith("vgg-pool2"))
    pool2 = next((one for one in iteration(size, weights) if one.name == "vgg-pool2-filter-30"), pool2)
    filters = [_single(size, weights, layer, 0) for layer in ("pool3", "pool4")]
    tones = [_color(size, weights, f"color:{colors}") for colors in ("blue", "red-blue")]
    return [pool2, *filters, _multi(size, weights, "pool5", 0), *tones]


def _served(size: str, weights: Weights) -> list[Experiment]:
    """The objectives of figure 2 without the fully connected layers, and two more filters of pool2."""
    more = [one for one in iteration(size, weights) if not one.config.first_round]
    bases = dict.fromkeys([*colors(size, weights), *vgg_single(size, weights), *more, *vgg_multi(size, weights)])
    return [base for base in bases if "-fc" not in base.name]


def _longer(size: str, base: Experiment) -> Experiment:
    longer = SIZES[size].longer
    return _variant(base, f"{longer}-steps", tuning={"steps": longer})


def _stopped(size: str, weights: Weights, name: str, stop: dict[str, Any], *, judge: bool) -> list[Experiment]:
    """Single filters of `beyond-longer` with something that may stop the tuning, without a control."""
    single = [base for base in _served(size, weights) if base.name.startswith("vgg") and "-filter-" in base.name]
    longer = [_linear(size, weights, _longer(size, base)) for base in single]
    return [_variant(base, name, tuning=stop, evaluation={"control": False, "judge": judge}) for base in longer]


def _linear(size: str, weights: Weights, base: Experiment, *, offline: bool = False) -> Experiment:
    """The experiment with the linear estimator, its control and KID; `offline` with the discriminator's features alone."""
    inception = base.config.estimator.backbone == "inception_v3"
    joined = inception and not offline
    estimator: dict[str, Any] = {"output": "linear", "layer": "", "pessimism": PESSIMISM}
    estimator["backbone"] = "inception_v3+discriminator" if joined else "discriminator"
    if not joined:
        estimator["weights"] = "none"
    if base.name.startswith("color"):
        estimator["grid"] = COLOR_GRID
    vgg, longer = base.name.startswith("vgg"), base.name.endswith("-steps")
    tuning = {"pir_gradient_ratio": (LONGER_RATIO if longer else VGG_RATIO) if vgg else GRADIENT_RATIO}
    name, evaluation = "linear-offline" if inception and offline else "linear", {"control": True, "judge": False}
    evaluation |= _distance(size, weights)
    return _variant(base, name, estimator=estimator, tuning=tuning, evaluation=evaluation)


def _chosen_too(size: str, weights: Weights, found: Sequence[Experiment]) -> list[Experiment]:
    """The experiments, the offline ones and those on six objectives with the best of some images beside what tuning gives."""
    six = {one.config.interactions.objective for one in _six(size, weights)}

    def chosen(one: Experiment) -> Experiment:
        looked_at = one.config.interactions.objective in six and one.config.estimator.output == "linear"
        if not (looked_at or one.name.endswith("-offline")):
            return one
        return dataclasses.replace(one, config=changed(one.config, evaluation={"best_of": BEST_OF}))

    return [chosen(one) for one in found]


def _seeded(base: Experiment, seed: int) -> Experiment:
    config = dataclasses.replace(base.config, seed=seed)
    return dataclasses.replace(base, name=f"{base.name}-seed-{seed}", config=config)


def _color(size: str, weights: Weights, objective: str) -> Experiment:
    sections = {"interactions": {"objective": objective}, "estimator": _inception(size, weights, {})}
    if objective.count("-") == 2:
        sections["tuning"] = {"steps": SIZES[size].three_colors}
    return Experiment(objective.replace(":", "-"), changed(by_papers_method(size), **sections))


def _single(size: str, weights: Weights, layer: str, place: int) -> Experiment:
    # Drawn at once, so that no two objectives of a layer are the same filter; the smaller sizes take the first of them.
    most = max(max(one.filters, one.iterated) for one in SIZES.values())
    number = random.Random(list(VGG_FILTERS).index(layer)).sample(range(VGG_FILTERS[layer]), most)[place]
    return _vgg(size, weights, layer, f"filters={number}", f"filter-{number}")


def _multi(size: str, weights: Weights, layer: str, seed: int) -> Experiment:
    return _vgg(size, weights, layer, f"k={MULTI}:seed={seed}", f"{MULTI}-filters-{seed}")


def _vgg(size: str, weights: Weights, layer: str, filters: str, name: str) -> Experiment:
    sections = SIZES[size].vgg
    named = {"objective": f"vgg:{layer}:{filters}", "vgg_weights": weights.vgg_at(size)}
    if layer not in TOP_LAYERS:  # whose image size can't be chosen
        named |= sections.get("interactions", {})
    estimator = _inception(size, weights, sections.get("estimator", {}))
    config = changed(by_papers_method(size), **{**sections, "interactions": named, "estimator": estimator})
    return Experiment(f"vgg-{layer}-{name}", config, weights.why_not(size, layer))


def _inception(size: str, weights: Weights, estimator: dict[str, Any]) -> dict[str, Any]:
    """These fields of `estimator` with InceptionV3's weights, which the compact backbone doesn't take."""
    if estimator.get("backbone", by_papers_method(size).estimator.backbone) != "inception_v3":
        return estimator
    return {**estimator, "weights": weights.inception, "input_range": weights.inception_range}


def _gan_ablations(size: str, weights: Weights) -> list[Experiment]:
    blue = _color(size, weights, "color:blue").config
    if trained := SIZES[size].trained_gan:
        base = Experiment("color-blue-trained-gan", changed(blue, evaluation=_distance(size, weights), gan=trained))
    else:
        base = next(one for one in trade_off(size, weights) if one.name == "color-blue-weight-1000")
    others = {"saturating": {"loss": "saturating"}, "plain-gan": {"kind": "gan"}}
    found = [base, *(_variant(base, suffix, gan=fields) for suffix, fields in others.items())]
    return found + [_seeded(one, seed) for seed in range(1, SIZES[size].gan_seeds) for one in found]


def _distance(size: str, weights: Weights) -> dict[str, Any]:
    """The fields of `evaluation` with which the distance from real images is measured."""
    return {"kid_weights": weights.vgg_at(size), "kid_images": SIZES[size].kid_images}


def _variant(base: Experiment, suffix: str, **sections: dict[str, Any]) -> Experiment:
    return dataclasses.replace(base, name=f"{base.name}-{suffix}", config=changed(base.config, **sections))
