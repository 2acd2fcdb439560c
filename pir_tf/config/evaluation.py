"""The section `evaluation`: the proof (4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pir_tf.config.checks import (
    is_people,
    require,
    require_choices,
    require_count,
    require_no_password,
    require_not_negative,
    require_positive,
    require_pretrained,
)


@dataclass(frozen=True)
class EvaluationConfig:
    """The proof: PIR of new images before and after tuning (section 4)."""

    source: str = "same"
    """Who judges the new images: `same` as in `interactions.source` (with real people the run waits for their answers),
    `people:DATABASE`, `csv:PATH` with people's answers to the shuffled images that this stage wrote, or `none`: not measured, as
    in all rounds of a loop but the last, whose images the next round's people see anyway."""
    answers: int = 0
    """Answers to judge by with `people:DATABASE`, the size that the test is made at; 0 for as many as come until the owner
    closes the round."""
    against: Literal["round", "start"] = "round"
    """Whose images are the ones before: those of the generator that this `round` began with, or, in a later round, of the one
    that the first of all rounds began with (`start`)."""
    images: int = 1000
    """New images before tuning, and as many after. Source: 4, deviation D15."""
    alpha: float = 0.001
    """Significance threshold of Welch's t-test. Source: 4."""
    diversity_pairs: int = 100
    """Random pairs of images a class whose likeness is measured. Source: 5.1."""
    judge: bool = True
    """Train a second estimator from another seed that the tuning never saw, and let it judge too."""
    control: bool = False
    """Measure the same steps with w_PIR 0 too: a gain then also has to stand out from what the GAN's own training does."""
    best_of: int = 0
    """Measure the choice of the best of so many images of the same class by the estimator, too, before tuning and after; 0 for
    not."""
    plug_and_play: float = 0.0
    """Measure Plug & Play sampling, too: latents of the untuned generator that walk uphill, this weight in nats per unit of PIR
    (100 is what `tuning.kl_weight` has beside the paper's w_PIR); 0 for not. Source: C.5."""
    kid_weights: str = "none"
    """Weights of VGG16 without top, on whose pool5 features the distance from the real images (KID) is measured:
    `imagenet`, `file:PATH` or `none` (not measured). The tuning never uses that network. Source: 5.1."""
    kid_images: int = 1000
    """Images of each kind (before tuning, after, real) of which that distance is taken, at most those that there are."""

    def __post_init__(self) -> None:
        known = self.source in ("same", "none") or is_people(self.source)
        require(known, "evaluation.source", self.source, "same, none, people:DATABASE or csv:PATH")
        require_no_password("evaluation.source", self.source)
        require_choices("evaluation", self)
        require_count("evaluation.answers", self.answers)
        require(self.images >= 2, "evaluation.images", self.images, "2 or more")
        require(0 < self.alpha < 1, "evaluation.alpha", self.alpha, "a probability between 0 and 1")
        require(self.best_of == 0 or self.best_of >= 2, "evaluation.best_of", self.best_of, "0 for not, or 2 or more")
        require_not_negative("evaluation", self, "plug_and_play")
        require_positive("evaluation", self, "diversity_pairs", "kid_images")
        require_pretrained("evaluation.kid_weights", self.kid_weights)
