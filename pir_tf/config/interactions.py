"""The section `interactions`: who reacts to the generated images (2.2, 3, C.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import (
    engagement,
    is_people,
    require,
    require_choices,
    require_count,
    require_no_password,
    require_positive,
    require_pretrained,
)
from pir_tf.objective_names import require_objective


@dataclass(frozen=True)
class InteractionsConfig:
    """Who reacts to the generated images, and to how many (sections 2.2, 3, C.4)."""

    source: str = "simulated"
    """`simulated` (users drawn from the objective), `people:DATABASE` (real people on the rating page, by a file or a
    postgresql:// URL, `#STUDY` behind it where it holds several: the run stops until their answers are there) or `csv:PATH` (real
    people elsewhere: while PATH is absent, the images and a template are written there and the run stops; filled in, the same
    command goes on). Source: 2.2."""
    objective: str = "color:blue"
    """The simulated truth: `color:` and one to three of red, green, blue joined by `-` (whole image, halves, thirds), or
    filters of a layer of VGG16 (pool1 to pool5, fc6, fc7, fc8): `vgg:LAYER:k=N`, N filters drawn by the seed 0,
    `vgg:LAYER:k=N:seed=S`, or `vgg:LAYER:filters=12,40`. Source: 3.1 to 3.3, C.4, deviations D9, D11, D13. Not used with
    `csv:PATH`."""
    vgg_weights: str = "imagenet"
    """VGG16's weights in the objective: `imagenet`, `file:PATH` (looked for in $PIR_TF_WEIGHTS too; a file without top
    serves pool1 to pool5) or `none` (random, only to try it out). Source: 3.1."""
    vgg_image_size: int = 224
    """Side in pixels that images are resized to for VGG16, bilinearly; fc6 to fc8 need 224. Source: not given in the paper,
    deviation D8."""
    scaling: Literal["none", "normalized"] = "none"
    """`normalized`: PIR is moved to mean 0.5 and standard deviation 0.25 on the shown images, then clipped to [0, 1].
    Source: C.5."""
    images: int = 1000
    """Generated images that are shown. Source: 2.2."""
    impressions: int = 1000
    """Times that each image is shown to simulated users. Source: 2.2."""
    answers: int = 0
    """Answers to learn from with `people:DATABASE`; 0 for as many as come until the owner closes the round."""
    explore: float = 0.0
    """Share of a later round's images that are drawn where the linear estimator of the round before is least sure, with
    `people:DATABASE`. They are learned from and never reported."""
    engagement: str = "click,share"
    """What makes an impression on a team's own page a positive one: `click`, `share`, `dwell:SECONDS`, with commas."""

    def __post_init__(self) -> None:
        simulated = self.source == "simulated"
        expected = "simulated, people:DATABASE or csv:PATH"
        require(simulated or is_people(self.source), "interactions.source", self.source, expected)
        require_no_password("interactions.source", self.source)
        require_count("interactions.answers", self.answers)
        require(0 <= self.explore < 1, "interactions.explore", self.explore, "a share from 0 to below 1")
        expected = "click, share and dwell:SECONDS, above 0, each once, with commas between them"
        require(engagement(self.engagement) is not None, "interactions.engagement", self.engagement, expected)
        require_positive("interactions", self, "images", "impressions")
        require_choices("interactions", self)
        require_pretrained("interactions.vgg_weights", self.vgg_weights)
        if simulated:
            require_objective(self.objective, self.vgg_image_size)
