"""The simulated truth of an experiment: the only place that turns an objective's name into a function of images."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pir_tf.config import ExperimentConfig, InteractionsConfig, derived_seed
from pir_tf.experiments.cache import Rows, cached, digest
from pir_tf.images import to_float
from pir_tf.objective_names import TOP_LAYERS, VGG, VGG_FILTERS, Color, parse
from pir_tf.objectives import colors, vgg
from pir_tf.objectives.scaling import Scaling
from pir_tf.pretrained import sha256
from pir_tf.runs.directory import RunDirectory
from pir_tf.training.callbacks import track

PIECE = 40
"""Images between two moves of the progress bar, a multiple of `vgg.IMAGES_AT_ONCE`."""

Truth = Callable[[np.ndarray], np.ndarray]
"""uint8 images `[n, h, w, 3]` to their noise-free PIR, float64 `[n]` in [0, 1]."""


def true_pir(run: RunDirectory, *, reuse: bool = True) -> Truth | None:
    """The experiment's objective, scaled as its finished interactions were, or None with real people.

    What is computed is left in the cache, but for `reuse` False: for images that no other run has.

    Source: 3.1 to 3.3, C.4, C.5.
    """
    unscaled = unscaled_pir(run.config, run.cache if reuse else None)
    scaling = scaling_of(run)
    if unscaled is None or scaling is None:
        return unscaled
    return lambda images: scaling(unscaled(images))


def unscaled_pir(config: ExperimentConfig, cache: Path | None) -> Truth | None:
    """The objective as the paper's formulas have it, without C.5's scaling, or None with real people.

    Source: 3.1 to 3.3, C.4.
    """
    users = config.interactions
    if users.source != "simulated":
        return None
    objective = parse(users.objective)
    if isinstance(objective, Color):
        return lambda images: colors.pir(to_float(images), objective.colors)
    filters = vgg.target_filters(objective).tolist()
    energies = _energies(users, derived_seed(config.seed, "vgg weights"))
    return lambda images: vgg.pir_of_energies(energies(images, cache), filters)


def target_filters(users: InteractionsConfig) -> list[int] | None:
    """The filters of VGG16 that the objective targets, the drawn ones too; None for other objectives.

    Source: 3.2.
    """
    objective = parse(users.objective) if users.source == "simulated" else None
    return vgg.target_filters(objective).tolist() if isinstance(objective, VGG) else None


def scaling_of(run: RunDirectory) -> Scaling | None:
    """The map of C.5 that this run's interactions fitted, or None where PIR is not scaled."""
    users = run.config.interactions
    if users.source != "simulated" or users.scaling == "none":
        return None
    return Scaling.load(run.file("interactions", "scaling.json"))


@functools.lru_cache(maxsize=1)
def _energies(users: InteractionsConfig, seed: int) -> _Energies:
    """One for all stages of a process."""
    return _Energies(users, seed)


class _Energies:
    """Filter energies of one layer of VGG16, float32 `[n, filters]`, each image's computed once in a process.

    Those of whole sets are kept in the cache, by the images and not by the target filters: all objectives of a layer share
    them. Computing a layer computes those below it, whose energies go into the cache too.
    """

    def __init__(self, users: InteractionsConfig, seed: int) -> None:
        self._users, self._seed = users, seed
        self._layer = parse(users.objective).layer
        path = vgg.weights_file((self._layer,), users.vgg_weights)
        self._weights = sha256(path) if path else f"random {seed} {'top' if self._layer in TOP_LAYERS else 'no top'}"
        self._rows = Rows()

    def __call__(self, images: np.ndarray, cache: Path | None) -> np.ndarray:
        return self._rows.of(images, lambda new: self._cached(new, cache))

    def _cached(self, images: np.ndarray, cache: Path | None) -> np.ndarray:
        key = {"images": digest(images), "weights": self._weights, "size": self._users.vgg_image_size}

        def make() -> dict[str, np.ndarray]:
            found = self._compute(images)
            for layer in found.keys() - {self._layer}:
                below = {"energies": found[layer]}
                cached(cache, "vgg", {**key, "layer": layer}, lambda below=below: below)  # type: ignore[misc]
            return {"energies": found[self._layer]}

        return cached(cache, "vgg", {**key, "layer": self._layer}, make)["energies"]

    def _compute(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Energies of all layers up to the objective's, with a progress bar where it takes a while."""
        if len(images) <= PIECE:
            return self._network(images)
        pieces = (self._network(images[start : start + PIECE]) for start in range(0, len(images), PIECE))
        found = list(track(pieces, f"VGG16 up to {self._layer}", len(images), size=PIECE))
        return {layer: np.concatenate([piece[layer] for piece in found]) for layer in found[0]}

    @functools.cached_property
    def _network(self) -> vgg.VGGFeatures:
        """Built when something has to be computed."""
        names = list(VGG_FILTERS)[: list(VGG_FILTERS).index(self._layer) + 1]
        size = self._users.vgg_image_size
        return vgg.VGGFeatures(names, weights=self._users.vgg_weights, image_size=size, seed=self._seed)
