"""Stage `evaluation`: 1000 new images before and 1000 after tuning, judged, and the statistics of it (section 4)."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras
import numpy as np

from pir_tf.config import derived_seed
from pir_tf.data.sources import ImageSet
from pir_tf.estimator.model import estimate, load_estimator, saved_estimator
from pir_tf.evaluation.channels import channel_means
from pir_tf.evaluation.diversity import Diversity, DiversityReport
from pir_tf.evaluation.measure import compare, results
from pir_tf.experiments.compared import Compared, compared_images
from pir_tf.experiments.estimator_stage import train, training_pir
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.imported import imported_in
from pir_tf.experiments.interactions_stage import Shown
from pir_tf.experiments.measured_kid import measured_kid
from pir_tf.experiments.parts import part
from pir_tf.experiments.people import Waiting, answers, answers_digest, answers_path, image_ids
from pir_tf.experiments.rounds import FirstRound, round_results, seed_of
from pir_tf.experiments.truth import scaling_of, target_filters, true_pir, unscaled_pir
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import load_generator
from pir_tf.images import to_float
from pir_tf.interactions.records import Interactions
from pir_tf.interactions.simulated import simulate
from pir_tf.runs.directory import RunDirectory, atomic, read_json, write_json

PAIRS = 32
"""Latents that both generators draw from, for looking only (D15)."""

WHEN = ("before", "after")
"""The two sides of every comparison."""

Sides = tuple[np.ndarray, np.ndarray]
"""A quantity before and after tuning."""


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `evaluation/samples.npz` and `evaluation/results.json`, and `evaluation/images.npz` where people judge.

    Raises:
        Waiting: people have to judge the images first; everything else is in `results.json` already, the truth null.
    """
    with part(run, "images"):
        compared = compared_images(run)
        before, after, labels = compared.before, compared.after, compared.labels
    with part(run, "estimates"):
        estimator = load_estimator(saved_estimator(run.path / "estimator"))
        arrays = {"estimated": (estimate(estimator, before), estimate(estimator, after))}
    if run.config.evaluation.judge:
        with part(run, "second judge"):
            arrays["judged"] = _judged(run, before, after)
    waiting: Waiting | None = None
    of_people = answers_path(run, "evaluation")
    noted: dict[str, str] = {}
    scaled: dict[str, Any] = {"unscaled": None, "scaling": None}
    try:
        with part(run, "truth"):
            true, observed = _truth(run, compared)
            if of_people:
                noted["answers_sha256"] = answers_digest(of_people)
            scaled = _unscaled(run, before, after)
    except Waiting as message:
        true, observed, waiting = None, None, message
    if true is not None:
        arrays["true"] = true
    class_names = read_json(run.file("gan", "generator.json"))["class_names"]
    image_set = None if imported_in(run) else load_data(run.config, run.cache, run.path / "data.json")
    with part(run, "diversity"):
        real, real_labels = _real_images(run, image_set, before)
        diversity = _diversity(run, (before, after), labels, (real, real_labels), len(class_names))
    with part(run, "samples"):
        _write_samples(run, {"before": before, "after": after}, labels, arrays, (real, real_labels))
    facts = results(
        true=_rated(true),
        observed=_rated(observed),
        estimated=arrays["estimated"],
        judged=arrays.get("judged"),
        training=training_pir(run),
        diversity=diversity,
        alpha=run.config.evaluation.alpha,
    )
    facts["source"] = "csv" if of_people else "simulated"
    facts["objective"] = run.config.interactions.objective if run.config.interactions.source == "simulated" else None
    facts["target_filters"] = target_filters(run)
    facts["images_before"], facts["images_after"] = len(before), len(after)
    facts.update(scaled)
    facts["channel_means"] = {when: channel_means(images) for when, images in zip(WHEN, (before, after), strict=True)}
    with part(run, "distance from real images"):
        facts["kid"] = measured_kid(run, before, after, image_set)
    facts.update(round_results(run.config, _rated(true), facts))
    facts["class_names"] = class_names
    write_json(run.file("evaluation", "results.json"), facts)
    if waiting:
        raise waiting
    return noted


def _judged(run: RunDirectory, before: np.ndarray, after: np.ndarray) -> Sides:
    """PIR by an estimator that learned the same answers from another seed and that the tuning never saw."""
    interactions = Interactions.load(run.file("interactions", "interactions.csv"))
    longer = dataclasses.replace(run.config.estimator, steps=run.config.estimator.steps * run.round)
    judge = train(
        dataclasses.replace(run.config, estimator=longer),
        Shown.load(run).images,
        interactions,
        seed=run.seed_of("judge"),
        title="Training a second judge",
        directory=run.path / "evaluation",
        cache=run.cache,
        alone=True,
    )
    model = judge.saved_model()
    return estimate(model, before), estimate(model, after)


def _truth(run: RunDirectory, compared: Compared) -> tuple[Sides, Sides | None]:
    """True PIR, and beside it the PIR that a finite number of simulated impressions shows.

    People's answers are both at once: the second is then None. Images without an answer are NaN.
    """
    config = run.config
    objective, of_new = true_pir(run), true_pir(run, reuse=False)
    if objective is not None and of_new is not None and config.evaluation.source == "same":
        true = objective(compared.before), of_new(compared.after)
        both = zip(true, compared.labels, WHEN, strict=True)
        noisy = [_observed(run, pir, classes, when) for pir, classes, when in both]
        return true, (noisy[0], noisy[1])
    return _people(run, compared), None


def _unscaled(run: RunDirectory, before: np.ndarray, after: np.ndarray) -> dict[str, Any]:
    """The same comparison of PIR without C.5's scaling, and how much the scaling clips; None where there is none."""
    objective, scaling = unscaled_pir(run, reuse=False), scaling_of(run)
    if objective is None or scaling is None or run.config.evaluation.source != "same":
        return {"unscaled": None, "scaling": None}
    pir = objective(before), objective(after)  # VGG16's part of it is remembered
    clipped = {f"percent_clipped_{when}": scaling.percent_clipped(p) for when, p in zip(WHEN, pir, strict=True)}
    shown = (run.facts("interactions") or {}).get("percent_clipped")
    fit = {"mean": scaling.mean, "sd": scaling.sd, "percent_clipped_shown": shown, **clipped}
    return {"unscaled": compare(*pir), "scaling": fit}


def _observed(run: RunDirectory, pir: np.ndarray, labels: np.ndarray, when: str) -> np.ndarray:
    seed = seed_of(run.config, f"evaluation users {when}")
    ids = [f"{when}-{i:04d}" for i in range(len(pir))]
    shown = run.config.interactions.impressions
    return simulate(pir, impressions=shown, seed=seed, image_ids=ids, class_index=labels).pir


def _people(run: RunDirectory, compared: Compared) -> Sides:
    """People's PIR of both sets, which they see shuffled and unlabelled."""
    before, after, order = compared.before, compared.after, compared.order
    mixed = np.concatenate([before, after])[order]
    path = answers_path(run, "evaluation")
    assert path is not None
    option = f" with --evaluation.source csv:{path}" if run.config.evaluation.source == "same" else ""
    todo = f"Both generators' images are mixed: don't sort them. Then give the same command again{option}."
    rated = answers(path, mixed, image_ids(mixed, "e"), run_directory=run.path, todo=todo)
    pir = np.full(len(order), np.nan)
    shown = rated.impressions > 0
    pir[order[shown]] = rated.positives[shown] / rated.impressions[shown]
    return pir[: len(before)], pir[len(before) :]


def _rated(sides: Sides | None) -> Sides | None:
    """Only the images that somebody rated."""
    return None if sides is None else (sides[0][np.isfinite(sides[0])], sides[1][np.isfinite(sides[1])])


def _real_images(run: RunDirectory, image_set: ImageSet | None, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """As many real images as there are before tuning, and their classes; none for an imported generator."""
    if image_set is None:
        return before[:0], np.zeros(0, np.int32)
    rng = np.random.default_rng(derived_seed(run.config.seed, "real images in evaluation"))
    rows = rng.permutation(len(image_set.images))[: len(before)]
    return image_set.images[rows], image_set.labels[rows]


def _diversity(
    run: RunDirectory, made: Sides, labels: Sides, real: tuple[np.ndarray, np.ndarray], class_count: int
) -> DiversityReport:
    """Within-class diversity of both sets and of the real images, where there are any (5.1)."""
    seed, pairs = derived_seed(run.config.seed, "diversity"), run.config.evaluation.diversity_pairs
    measured = [
        Diversity.measure(to_float(images), classes, class_count, seed=seed, pairs=pairs) if len(images) else None
        for images, classes in (*zip(made, labels, strict=True), real)
    ]
    before, after, of_real = measured
    assert before is not None and after is not None
    return DiversityReport.compare(before, after, of_real)


def _write_samples(
    run: RunDirectory,
    images: dict[str, np.ndarray],
    labels: Sides,
    arrays: dict[str, Sides],
    real: tuple[np.ndarray, np.ndarray],
) -> None:
    """Everything that the report draws, NaN where it was not measured."""
    nothing = tuple(np.full(len(classes), np.nan) for classes in labels)
    values = {
        f"{name}_{when}": arrays.get(name, nothing)[side]
        for name in ("true", "estimated", "judged")
        for side, when in enumerate(WHEN)
    }
    first = FirstRound.of(run.config)
    if first:
        values["true_start"] = first.start_pir()
    pair_before, pair_after, pair_labels = _pairs(run)
    arrays_by_name: dict[str, Any] = {
        **images,
        **values,
        "labels_before": labels[0],
        "labels_after": labels[1],
        "pair_before": pair_before,
        "pair_after": pair_after,
        "pair_labels": pair_labels,
        "real": real[0][:64],
        "real_labels": real[1][:64],
    }
    with atomic(run.file("evaluation", "samples.npz")) as beside:
        np.savez_compressed(beside, **arrays_by_name)


def _pairs(run: RunDirectory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Both generators' images of the same latents."""
    generators = [load_generator(run.file(stage, "generator.keras").parent) for stage in ("gan", "tuning")]
    z, labels = _pair_latents(generators[0], derived_seed(run.config.seed, "pairs"))
    return generate(generators[0], z, labels), generate(generators[1], z, labels), labels


def _pair_latents(generator: keras.Model, seed: int) -> Sides:
    """Latents with the classes in turn, so that every class is seen."""
    latent_size, class_count = (tensor.shape[-1] for tensor in generator.inputs)
    z, _ = draw_latents(PAIRS, latent_size=latent_size, class_count=class_count, seed=seed)
    return z, np.arange(PAIRS, dtype=np.int32) % class_count
