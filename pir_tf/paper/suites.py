"""How long and how many: the sizes in which the suites exist, and the config that an objective has at each size (3, 4, C).

`paper` has the paper's numbers, `laptop` what two CPU cores can do in hours, `smoke` only shows that everything works. Every
number that a size decides beyond its preset is in `SIZES`. Which objectives and comparisons there are is in `suites`.
"""

from __future__ import annotations

import dataclasses
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pir_tf.config import EstimatorConfig, ExperimentConfig
from pir_tf.objective_names import COLORS, TOP_LAYERS, VGG_FILTERS, parse_vgg
from pir_tf.presets import preset


@dataclass(frozen=True)
class Size:
    """The numbers of one size.

    Attributes:
        filters: Objectives of each VGG layer with one filter, and as many with 20. Source: C.4.2 (6, 4 and 5 are "around half").
        iterated: Single filters of each layer that get a second round. Source: A.3.
        three_colors: Tuning steps of the three-colour objectives. Source: 4.2.
        three_colors_other: The other length that the ablation shows beside it. Source: 4.2 (a tenth, or ten times).
        longer: Tuning steps that two single filters get beside their own, to see whether more steps help. Source: 4.1.
        kid_images: Images of each kind in the distance from the real ones. Source: 5.1 (the distance is ours).
        vgg: Fields of the config, by section, that VGG objectives have instead of the preset's.
        finetuned: Fields of `estimator` where the whole backbone is trained while the size's own VGG config trains its head.
        trained_gan: Fields of `gan` of the comparisons of its losses and kinds. Source: 2.1.
    """

    filters: int
    iterated: int
    three_colors: int
    three_colors_other: int
    longer: int
    kid_images: int
    vgg: dict[str, dict[str, Any]]
    finetuned: dict[str, Any]
    trained_gan: dict[str, Any]


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
                "backbone": "inception_v3",
                "layer": "mixed2",
                "image_size": 96,
                "trainable": "head",
                "steps": 1000,
                "learning_rate": 1e-3,
            },
            "tuning": {"steps": 150, "batch_size": 16, "true_pir_every": 50},
        },
        finetuned={"trainable": "all", "steps": 200, "learning_rate": 5e-4},
        trained_gan={"generator": "train", "steps": 1000, "decay_steps": 300, "keep": "last"},
    ),
    "paper": Size(
        filters=10,
        iterated=10,
        three_colors=500_000,
        three_colors_other=50_000,
        longer=500_000,
        kid_images=1000,
        vgg={},
        finetuned={},
        trained_gan={},
    ),
    "smoke": Size(
        filters=1,
        iterated=1,
        three_colors=6,
        three_colors_other=12,
        longer=12,
        kid_images=1000,
        vgg={"interactions": {"vgg_image_size": 64}},
        finetuned={},
        trained_gan={"generator": "train"},
    ),
}
"""The one place for what measurement decides."""


@dataclass(frozen=True)
class Weights:
    """The pretrained weights of a sweep.

    Attributes:
        inception: Of the estimator's InceptionV3: `imagenet`, `file:PATH`, `hub:HANDLE`, `none`.
        vgg: Of VGG16, in the objectives and in KID: `imagenet`, `file:PATH`, `none`. Empty means `imagenet`, but `none` at size
            `smoke`, which downloads nothing.
        inception_range: Pixel values that InceptionV3's weights expect.
        vgg_layers: Layers that VGG16's weights serve; empty means all with `imagenet`, else those of a file without top.
    """

    inception: str = "imagenet"
    vgg: str = ""
    inception_range: tuple[float, float] = EstimatorConfig().input_range
    vgg_layers: tuple[str, ...] = ()

    def vgg_at(self, size: str) -> str:
        """VGG16's weights at that size."""
        return self.vgg or ("none" if size == "smoke" else "imagenet")

    def why_not(self, size: str, layer: str) -> str:
        """Why objectives of a VGG layer are not run, in one sentence; empty for a layer that is."""
        vgg = self.vgg_at(size)
        lower = tuple(name for name in VGG_FILTERS if name not in TOP_LAYERS)
        served = self.vgg_layers or (tuple(VGG_FILTERS) if vgg == "imagenet" else lower)
        if layer in served:
            return ""
        if layer in TOP_LAYERS and not self.vgg_layers:
            return (
                f"{layer} needs VGG16's fully connected layers, which weights '{vgg.partition(':')[0]}' are taken to lack: use "
                "imagenet, or name it in --vgg-layers"
            )
        return f"{layer} is not among --vgg-layers"


def color_config(size: str, weights: Weights, objective: str) -> ExperimentConfig:
    """The config of a colour objective such as `color:red-blue`; three colours have their own length (4.2)."""
    config = changed(_with_inception(preset(size), weights), interactions={"objective": objective})
    if objective.count("-") == 2:
        config = changed(config, tuning={"steps": SIZES[size].three_colors})
    return config


def vgg_config(size: str, weights: Weights, objective: str) -> ExperimentConfig:
    """The config of a VGG objective such as `vgg:pool3:k=20:seed=1`."""
    sections = SIZES[size].vgg
    top = parse_vgg(objective).layer in TOP_LAYERS  # whose image size can't be chosen
    named = {"objective": objective, "vgg_weights": weights.vgg_at(size)}
    named |= {} if top else sections.get("interactions", {})
    others = {name: fields for name, fields in sections.items() if name not in ("interactions", "estimator")}
    config = changed(preset(size), interactions=named, **others)
    estimator = sections.get("estimator", {})
    if estimator.get("backbone") == "inception_v3":
        # In one step with the backbone, since the compact one takes no weights.
        estimator = {**estimator, "weights": weights.inception, "input_range": weights.inception_range}
        return changed(config, estimator=estimator)
    return _with_inception(changed(config, estimator=estimator), weights)


def changed(config: ExperimentConfig, **sections: dict[str, Any]) -> ExperimentConfig:
    """The config with other values in some fields of its sections: `changed(config, tuning={"steps": 300})`."""
    parts = {name: dataclasses.replace(getattr(config, name), **fields) for name, fields in sections.items()}
    return dataclasses.replace(config, **parts)


def _with_inception(config: ExperimentConfig, weights: Weights) -> ExperimentConfig:
    if config.estimator.backbone != "inception_v3":
        return config
    return changed(config, estimator={"weights": weights.inception, "input_range": weights.inception_range})


MULTI = 20
"""Filters of an objective of several. Source: 3.2, C.4.2."""
PIR_WEIGHTS = (0, 30, 100, 300, 1000, 3000, 10_000)
"""Values of w_PIR along the trade-off. Source: 5.1 (the values are ours)."""
ITERATED_LAYERS = ("pool2", "fc8")
"""Source: A.3."""


@dataclass(frozen=True)
class Experiment:
    """One run of a suite.

    Attributes:
        name: The name of its directory in a sweep.
        config: What is run. Its `first_round` is the name of another experiment of the same sweep.
        not_run: Why it can't be run with these weights, in one sentence; empty when it can.
    """

    name: str
    config: ExperimentConfig
    not_run: str = ""


def colors(size: str, weights: Weights) -> list[Experiment]:
    """Three single colours, six ordered pairs, three rotations of three.

    Source: 3.3, 4.2. Deviation: D11.
    """
    singles = [f"color:{color}" for color in COLORS]
    pairs = [f"color:{left}-{right}" for left, right in itertools.permutations(COLORS, 2)]
    rotations = [f"color:{'-'.join(COLORS[i:] + COLORS[:i])}" for i in range(3)]
    return [_color(size, weights, objective) for objective in singles + pairs + rotations]


def vgg_single(size: str, weights: Weights) -> list[Experiment]:
    """Single filters of each layer of VGG16.

    Source: 3.1, C.4.1. Deviation: D9.
    """
    count = SIZES[size].filters
    return [_single(size, weights, layer, i) for layer in VGG_FILTERS for i in range(count)]


def vgg_multi(size: str, weights: Weights) -> list[Experiment]:
    """Sets of 20 filters of each layer.

    Source: 3.2, C.4.2.
    """
    count = SIZES[size].filters
    return [_multi(size, weights, layer, seed) for layer in VGG_FILTERS for seed in range(count)]


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
    """First and second rounds of single filters of pool2 and fc8.

    Source: A.3.
    """
    found = []
    for layer in ITERATED_LAYERS:
        for i in range(SIZES[size].iterated):
            first = _single(size, weights, layer, i)
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
        measured = changed(base.config, evaluation=_distance(size, weights))
        base = dataclasses.replace(base, config=measured)
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
    longer = SIZES[size].longer
    for base in (filters["pool3"], filters["pool4"]):
        found += [base, _variant(base, f"{longer}-steps", tuning={"steps": longer})]
    return _without_repeats(found + _gan_ablations(size, weights))


def paper(size: str, weights: Weights) -> list[Experiment]:
    """Everything, in the order in which it is most useful early."""
    return _without_repeats([one for name, suite in SUITES.items() if name != "paper" for one in suite(size, weights)])


SUITES: dict[str, Callable[[str, Weights], list[Experiment]]] = {
    "colors": colors,
    "vgg-single": vgg_single,
    "vgg-multi": vgg_multi,
    "finetuned": finetuned,
    "iteration": iteration,
    "trade-off": trade_off,
    "ablations": ablations,
    "paper": paper,
}


def experiments(names: Sequence[str], size: str, weights: Weights) -> dict[Experiment, tuple[str, ...]]:
    """The experiments of several suites without repeats, in the suites' own order, with the suites that each is in."""
    asked = [name for name in SUITES if name != "paper" and (name in names or "paper" in names)]
    found: dict[Experiment, tuple[str, ...]] = {}
    for suite in asked:
        for experiment in SUITES[suite](size, weights):
            found[experiment] = (*found.get(experiment, ()), suite)
    return found


def _color(size: str, weights: Weights, objective: str) -> Experiment:
    return Experiment(objective.replace(":", "-"), color_config(size, weights, objective))


def _single(size: str, weights: Weights, layer: str, place: int) -> Experiment:
    # Drawn at once, so that no two objectives of a layer are the same filter; the smaller sizes take the first of them.
    most = max(max(one.filters, one.iterated) for one in SIZES.values())
    index = list(VGG_FILTERS).index(layer)
    filters = random.Random(index).sample(range(VGG_FILTERS[layer]), most)
    config = vgg_config(size, weights, f"vgg:{layer}:filters={filters[place]}")
    return Experiment(f"vgg-{layer}-filter-{filters[place]}", config, weights.why_not(size, layer))


def _multi(size: str, weights: Weights, layer: str, seed: int) -> Experiment:
    config = vgg_config(size, weights, f"vgg:{layer}:k={MULTI}:seed={seed}")
    return Experiment(f"vgg-{layer}-{MULTI}-filters-{seed}", config, weights.why_not(size, layer))


def _gan_ablations(size: str, weights: Weights) -> list[Experiment]:
    blue = _color(size, weights, "color:blue").config
    trained = SIZES[size].trained_gan
    if trained:
        measured = changed(blue, evaluation=_distance(size, weights), gan=trained)
        base = Experiment("color-blue-trained-gan", measured)
    else:
        base = next(one for one in trade_off(size, weights) if one.name == "color-blue-weight-1000")
    return [
        base,
        _variant(base, "saturating", gan={"loss": "saturating"}),
        _variant(base, "plain-gan", gan={"kind": "gan"}),
    ]


def _distance(size: str, weights: Weights) -> dict[str, Any]:
    """The fields of `evaluation` with which the distance from real images is measured."""
    return {"kid_weights": weights.vgg_at(size), "kid_images": SIZES[size].kid_images}


def _variant(base: Experiment, suffix: str, **sections: dict[str, Any]) -> Experiment:
    return dataclasses.replace(base, name=f"{base.name}-{suffix}", config=changed(base.config, **sections))


def _without_repeats(found: list[Experiment]) -> list[Experiment]:
    return list(dict.fromkeys(found))
