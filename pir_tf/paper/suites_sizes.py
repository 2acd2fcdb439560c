"""How long and how many: the sizes in which the suites exist, and the config that an objective has at each size (3, 4, C).

`paper` has the paper's numbers, `laptop` what two CPU cores can do in hours, `smoke` only shows that everything works. Every
number that a size decides beyond its preset is in `SIZES`. Which objectives and comparisons there are is in `suites`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from pir_tf.config import EstimatorConfig, ExperimentConfig
from pir_tf.objective_names import TOP_LAYERS, VGG_FILTERS, parse_vgg
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
