"""Stage `interactions`: generated images and how people, or simulated users, react to them (2.2)."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator.model import estimate, load_estimator, saved_estimator
from pir_tf.estimator.ridge import FEWEST
from pir_tf.experiments.cache import cached, digest
from pir_tf.experiments.csv_answers import answers, answers_digest, answers_path, image_ids
from pir_tf.experiments.exploring import CANDIDATES, doubts, draw_unsure
from pir_tf.experiments.imported import imported_in
from pir_tf.experiments.origins import Origin, estimator_version, generator_version
from pir_tf.experiments.rounds import RoundBefore
from pir_tf.experiments.study_answers import Asked, ask_pools, is_study, keep, source_of
from pir_tf.experiments.truth import unscaled_pir
from pir_tf.gan.imported.generator import architecture_digest
from pir_tf.gan.sampling import BATCH, draw_latents, generate_batches
from pir_tf.gan.saved import load_generator
from pir_tf.interactions.records import Interactions
from pir_tf.interactions.simulated import simulate
from pir_tf.objectives.scaling import Scaling
from pir_tf.runs.arrays import require_arrays
from pir_tf.runs.directory import RunDirectory, atomic, read_json, write_json
from pir_tf.training.callbacks import track

CHANCES = "explored.json"
"""File with the probability of each image that was drawn because the estimator was unsure of it."""
PREDICTED = "predicted.json"
"""File of what the estimator of the round before says of each image, before anybody has answered."""
FOLDS = 5
"""Estimators of people's answers by which their quality is measured, each without a part of them."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """The images that people saw: uint8 `[n, h, w, 3]`, their classes int32 `[n]`, ids, and latents float32 `[n, latent]`.

    In a second round those of the first come first (A.3).
    """

    images: np.ndarray
    labels: np.ndarray
    ids: list[str]
    z: np.ndarray

    @classmethod
    def load(cls, run: RunDirectory | RoundBefore) -> Shown:
        """Reads a run's `interactions/images.npz`."""
        stored = require_arrays(run.file("interactions", "images.npz"), "put a copy of it back, or begin a new run")
        return cls(stored["images"], stored["labels"], stored["ids"].tolist(), stored["z"])

    def save(self, path: Path) -> None:
        """Writes all of it."""
        with atomic(path) as beside:
            np.savez(beside, images=self.images, z=self.z, labels=self.labels, ids=np.array(self.ids))

    def after(self, first: Shown) -> Shown:
        """The images of the rounds before, then these. Source: A.3."""
        images, labels, z = (
            np.concatenate([getattr(first, name), getattr(self, name)]) for name in ("images", "labels", "z")
        )
        return Shown(images, labels, [*first.ids, *self.ids], z)

    def last(self, count: int) -> Shown:
        """The last `count` images: those of this round."""
        return Shown(self.images[-count:], self.labels[-count:], self.ids[-count:], self.z[-count:])


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `interactions/images.npz` and, once people have answered, `interactions/interactions.csv`.

    With C.5's scaling, `interactions/scaling.json` too. In a second round both files hold the first round's rows as well
    (A.3), and the scaling is the first round's, since its answers are on that scale.
    """
    first = RoundBefore.of(run.config)
    classes = len(read_json(run.file("gan", "generator.json"))["class_names"])
    require_classes(run.config.interactions.images, "images are to be shown", classes)
    shown = _shown(run, first).last(run.config.interactions.images)
    objective = unscaled_pir(run.config, run.cache)
    if asked := source_of(run, "interactions"):
        interactions, facts = _of_study(run, shown, asked)
    elif objective is None:
        interactions, facts = _of_people(run, shown)
        require_classes(int(interactions.rated.sum()), "images have answers", classes)
    else:
        interactions, facts = _simulated(run, shown, objective(shown.images), first)
    if first:
        before = Interactions.load(first.file("interactions", "interactions.csv"))
        interactions = Interactions.concatenate(before, interactions)
    interactions.save(run.file("interactions", "interactions.csv"))
    rated = int(interactions.rated.sum())
    if objective is None:
        print(few_or_many(rated, len(interactions.rated), few(run.config.estimator)), flush=True)
    return {"rated_images": rated, **facts}


def require_classes(images: int, what: str, classes: int) -> None:
    """Refuses fewer images than the generator has classes: nothing would be known of some."""
    if images < classes:
        raise InputError(
            f"{images} {what}, fewer than the generator's {classes} classes, expected one for each at least: ask for more, or "
            "take fewer classes."
        )


def few(config: EstimatorConfig) -> int:
    """Rated images below which the estimator's quality isn't measured: so many are there that each fold can be learned."""
    return math.ceil(FEWEST * FOLDS / (FOLDS - 1)) if config.output == "linear" else 10


def few_or_many(rated: int, shown: int, fewest: int) -> str:
    """How many images people rated, and what that means for the estimator, which needs `fewest`."""
    said = f"People rated {rated} of the {shown} images shown."
    if rated < shown:
        said += " The estimator learns from those alone."
    if rated < fewest:
        said += (
            f" With fewer than {fewest} its quality can't be measured, so tuning may follow chance: to add answers, fill in more "
            "rows and give the command a new --run-dir."
        )
    return said


def _simulated(
    run: RunDirectory, shown: Shown, pir: np.ndarray, first: RoundBefore | None
) -> tuple[Interactions, dict[str, Any]]:
    """Simulated users' reactions to images of this unscaled PIR, and how much C.5's scaling clips."""
    users, seed, facts = run.config.interactions, run.seed_of("simulated users"), {}
    if users.scaling == "normalized":
        scaling = Scaling.load(first.file("interactions", "scaling.json")) if first else Scaling.fit(pir)
        facts["percent_clipped"] = scaling.percent_clipped(pir)
        scaling.save(run.file("interactions", "scaling.json"), **facts)
        pir = scaling(pir)
    interactions = simulate(
        pir,
        impressions=users.impressions,
        seed=seed,
        image_ids=shown.ids,
        class_index=shown.labels,
        round=run.round,
    )
    return interactions, facts


def _of_people(run: RunDirectory, shown: Shown) -> tuple[Interactions, dict[str, Any]]:
    """People's answers from their file, and its hash."""
    path = answers_path(run, "interactions")
    assert path is not None
    rated = answers(path, shown.images, shown.ids, run_directory=run.path)
    columns = (np.array(shown.ids), shown.labels, rated.impressions, rated.positives)
    interactions = Interactions(*columns, round=np.full(len(shown.ids), run.round))
    return interactions, {"answers_sha256": answers_digest(path)}


def _of_study(run: RunDirectory, shown: Shown, asked: Asked) -> tuple[Interactions, dict[str, Any]]:
    """People's answers on the rating page, once the round is closed, and which study they are of."""
    chance = read_json(run.file("interactions", CHANCES)) if run.file("interactions", CHANCES).exists() else {}
    found = ask_pools(
        run,
        asked,
        shown.images,
        shown.ids,
        shown.labels,
        chance,
        _origin(run, shown.ids),
    )
    keep(run, "interactions", found, shown.ids)
    columns = (np.array(shown.ids), shown.labels, found.impressions.astype(np.int64), found.positives)
    group = _met_in_pairs(shown, chance) if found.mode == "pair" else np.zeros(len(shown.ids), np.int64)
    interactions = Interactions(*columns, round=np.full(len(shown.ids), run.round), group=group)
    raters = len(set(found.rater.tolist()))
    return interactions, {"study": found.study, "mode": found.mode, "answers": len(found.value), "raters": raters}


def _met_in_pairs(shown: Shown, chance: dict[str, float]) -> np.ndarray:
    """Which images meet in pairs, numbers from 1 on: those of a pool and a class (`people.choosing`)."""
    drawn = np.array([name in chance for name in shown.ids], np.int64)
    return 1 + 2 * shown.labels.astype(np.int64) + drawn


def _origin(run: RunDirectory, ids: list[str]) -> Origin:
    """What made these images, and from the second round on the estimator of the round before, which the last tuning followed."""
    first, path = RoundBefore.of(run.config), run.file("interactions", PREDICTED)
    said = read_json(path) if path.exists() else {}
    predicted = np.array([said[name] for name in ids]) if said else None
    estimator = estimator_version(first.path / "estimator") if first else ""
    return Origin(generator_version(run.path / "gan"), estimator, None, predicted)


def sample(
    run: RunDirectory,
    generator: keras.Model,
    count: int,
    *,
    seed: int,
    title: str,
    labels: np.ndarray | None = None,
    reuse: bool = True,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 `[count, h, w, 3]`, latents and classes of one seed, with a progress bar of that title.

    They are kept in the run's cache, but for `reuse` False: no other run has a generator that isn't the stage `gan`'s.
    `labels`, `[count]`, are classes in place of the seed's; such images aren't kept.
    """
    latent_size, class_count = (tensor.shape[-1] for tensor in generator.inputs)

    def make() -> dict[str, np.ndarray]:
        z, drawn = draw_latents(count, latent_size=latent_size, class_count=class_count, seed=seed)
        classes = drawn if labels is None else labels
        batches = track(generate_batches(generator, z, classes), title, count, size=BATCH)
        return {"images": np.concatenate(list(batches)), "z": z, "labels": classes}

    key: dict[str, Any] = {"generator": digest(*generator.get_weights()), "seed": seed, "count": count}
    if imported := imported_in(run):  # whose weights alone don't say what its images are
        key.update(imported=imported, architecture=architecture_digest(run.path / "gan"))
    made = cached(run.cache if reuse and labels is None else None, "images", key, make)
    return made["images"], made["z"], made["labels"]


def _with_unsure(run: RunDirectory, first: RoundBefore, generator: keras.Model, shown: Shown, count: int) -> Shown:
    """The first of the random images, and in place of the last `count` those that the round before is least sure of."""
    seed, title = run.seed_of("candidates"), "Candidates of unsure images"
    images, z, labels = sample(run, generator, CANDIDATES * count, seed=seed, title=title)
    rows, chance = draw_unsure(doubts(first, images), count, run.seed_of("unsure images"))
    ids = image_ids(images[rows], f"x{run.round}")
    write_json(run.file("interactions", CHANCES), dict(zip(ids, chance.tolist(), strict=True)))
    kept = Shown(*(getattr(shown, name)[:-count] for name in ("images", "labels", "ids", "z")))
    return Shown(images[rows], labels[rows], ids, z[rows]).after(kept)


def _shown(run: RunDirectory, first: RoundBefore | None) -> Shown:
    """The images of all rounds so far, made and saved if they are not there."""
    path = run.file("interactions", "images.npz")
    if not path.exists():
        generator, count = load_generator(run.path / "gan"), run.config.interactions.images
        images, z, labels = sample(run, generator, count, seed=run.seed_of("shown images"), title="Images for people")
        shown = Shown(images, labels, image_ids(images, f"r{run.round}"), z)
        if first and (unsure := round(count * run.config.interactions.explore)):
            shown = _with_unsure(run, first, generator, shown, unsure)
        if first and is_study(run.config.interactions.source):
            estimator = load_estimator(saved_estimator(first.path / "estimator"))
            said = estimate(estimator, shown.images).astype(float).tolist()
            write_json(run.file("interactions", PREDICTED), dict(zip(shown.ids, said, strict=True)))
        (shown.after(Shown.load(first)) if first else shown).save(path)
    return Shown.load(run)
