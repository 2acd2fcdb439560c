"""Stage `evaluation`: 1000 new images before and 1000 after tuning, judged, and the statistics of it (section 4).

Its images go through it as arrays by the names that `evaluation/samples.npz` gives them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.config import derived_seed
from pir_tf.data.sources import ImageSet
from pir_tf.estimator.linear import objective
from pir_tf.estimator.model import estimate, load_estimator, load_saved, saved_estimator
from pir_tf.evaluation.best_of import best_of
from pir_tf.evaluation.channels import channel_means
from pir_tf.evaluation.measure import Sides, compare, diversity_report, rated, results, scaling_facts
from pir_tf.evaluation.plug_and_play import plug_and_play
from pir_tf.experiments.control import control_generator, has_control, no_control
from pir_tf.experiments.csv_answers import Waiting, answers, answers_digest, answers_path, image_ids, who_judges
from pir_tf.experiments.estimator_stage import JUDGE_NEEDS, has_judge, second_judge, training_pir
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.imported import imported_in
from pir_tf.experiments.interactions_stage import sample
from pir_tf.experiments.measured_kid import measured_kid
from pir_tf.experiments.origins import of_proof
from pir_tf.experiments.rounds import START, RoundBefore, round_results
from pir_tf.experiments.stopwatch import Stopwatch
from pir_tf.experiments.study_answers import Answered, source_of
from pir_tf.experiments.study_proof import of_study, people_facts
from pir_tf.experiments.truth import scaling_of, target_filters, true_pir, unscaled_pir
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import load_generator
from pir_tf.interactions.simulated import simulate
from pir_tf.runs.arrays import require_arrays
from pir_tf.runs.directory import RunDirectory, atomic, read_json, write_json

PAIRS = 32
"""Latents that both generators draw from, for looking only (D15)."""
REAL = 64
"""Real images that are kept to be looked at."""
WHEN = ("before", "after")
PICKS = 250
"""Choices of the best of n, and images of Plug & Play sampling."""

Arrays = dict[str, np.ndarray]


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `evaluation/samples.npz` and `evaluation/results.json`, and `evaluation/images.npz` where people judge.

    Raises:
        Waiting: people have to judge the images first; everything else is in `results.json` already, the truth null.
    """
    watch, image_set = (
        Stopwatch(),
        None if imported_in(run) else load_data(run.config, run.cache, run.path / "data.json"),
    )
    with watch.part("images"):
        images = draw(run, image_set)
    pir, answered, waiting = judge(run, images, watch)
    asked = answers_path(run, "evaluation")
    noted = {"answers_sha256": answers_digest(asked)} if asked and not waiting else {}
    facts = measure(run, images, pir, image_set, watch, answered)
    facts |= baselines(run, images, pir, watch) | chosen(run)
    with watch.part("samples"):
        write(run, images, pir, facts)
    if waiting:
        raise waiting
    return {"parts": watch.parts, **noted}


def draw(run: RunDirectory, image_set: ImageSet | None) -> Arrays:
    """Images of both generators: of new latents, to compare, and of common ones, to look at; and as many real images."""
    before, after = generators = tuple(load_generator(path) for path in (_before(run), run.path / "tuning"))
    images, seed = _compared(run, generators), run.config.seed
    if why := no_control(run):
        print(f"evaluation: no control was made, since {why}", flush=True)
    if image_set is not None and has_control(run):
        seeds = run.seed_of("evaluation control")
        images["control"], _, images["labels_control"] = sample(
            run, control_generator(run, image_set), len(images["before"]), seed=seeds, title="Images of the control"
        )
    z, labels = _pair_latents(before, derived_seed(seed, "pairs"))
    images |= {
        "pair_before": generate(before, z, labels),
        "pair_after": generate(after, z, labels),
        "pair_labels": labels,
    }
    if image_set is None:
        return {**images, "real": images["before"][:0], "real_labels": np.zeros(0, np.int32)}
    rng = np.random.default_rng(derived_seed(seed, "real images in evaluation"))
    rows = rng.permutation(len(image_set.images))[: len(images["before"])]
    return {**images, "real": image_set.images[rows], "real_labels": image_set.labels[rows]}


def _before(run: RunDirectory) -> Path:
    """Where the generator lies whose images are the ones before."""
    start = run.path / START
    return start if run.config.evaluation.against == "start" and start.is_dir() else run.path / "gan"


def judge(
    run: RunDirectory, images: Arrays, watch: Stopwatch
) -> tuple[dict[str, Sides], Answered | None, Waiting | None]:
    """PIR before and after tuning by everyone who can say it, people's answers, and the wait for them where they can't yet."""
    with watch.part("estimates"):
        pir = {"estimated": _estimates(load_estimator(saved_estimator(run.path / "estimator")), images)}
    if has_judge(run):
        with watch.part("second judge"):
            pir["judged"] = _estimates(second_judge(run).pir_model, images)
    elif run.config.evaluation.judge:
        print(f"evaluation: there is no second judge, who needs {JUDGE_NEEDS}", flush=True)
    asked, study = answers_path(run, "evaluation"), source_of(run, "evaluation")
    with watch.part("truth"):
        if who_judges(run.config) == "none":
            return pir, None, None
        try:
            if study:
                pir["true"], answered = of_study(run, study, images, of_proof(run, _before(run), pir["estimated"]))
                return pir, answered, None
            if asked:
                return {**pir, "true": _people(asked, images, run.path)}, None, None
        except Waiting as waiting:
            return pir, None, waiting
        return {**pir, **_simulated(run, images)}, None, None


def measure(
    run: RunDirectory,
    images: Arrays,
    pir: dict[str, Sides],
    image_set: ImageSet | None,
    watch: Stopwatch,
    answered: Answered | None = None,
) -> dict[str, Any]:
    """What `results.json` says."""
    config, settings, first = run.config, run.config.evaluation, RoundBefore.of(run.config)
    class_names, users = read_json(run.file("gan", "generator.json"))["class_names"], config.interactions
    seed, true = derived_seed(config.seed, "diversity"), rated(pir["true"]) if "true" in pir else None
    with watch.part("diversity"):
        diversity = diversity_report(images, len(class_names), seed=seed, pairs=settings.diversity_pairs)
    with watch.part("distance from real images"):
        kid = measured_kid(images, image_set, settings, seed=config.seed, cache=run.cache)
    facts = results(
        {**pir, **({"true": true} if true else {})},
        training=training_pir(run),
        diversity=diversity,
        alpha=settings.alpha,
        control=pir["control"][0] if "control" in pir else None,
    )
    said = people_facts(answered, len(images["before"]), settings, diversity) if answered else {}
    rates = (
        None if answered and answered.mode == "pair" else true
    )  # shares of wins against other images are on no one scale
    return {
        **facts,
        "source": who_judges(run.config),
        "objective": users.objective if users.source == "simulated" else None,
        "target_filters": target_filters(users),
        "images_before": len(images["before"]),
        "images_after": len(images["after"]),
        **scaling_facts(pir.get("unscaled"), scaling_of(run), (run.facts("interactions") or {}).get("percent_clipped")),
        "channel_means": {when: channel_means(images[when]) for when in WHEN},
        "kid": kid,
        "kl": (run.facts("tuning") or {}).get("kl"),
        **round_results(run.round, first, rates, {**facts, **said}, against=settings.against),
        **said,
        "class_names": class_names,
    }


def baselines(run: RunDirectory, images: Arrays, pir: dict[str, Sides], watch: Stopwatch) -> dict[str, Any]:
    """What choosing among images, and Plug & Play sampling, give in place of tuning; choosing also on top of it."""
    settings, truth = run.config.evaluation, true_pir(run, reuse=False)
    found: dict[str, Any] = {"best_of": None, "plug_and_play": None}
    if truth is None or "true" not in pir:
        return found
    true, classes = pir["true"][0], len(read_json(run.file("gan", "generator.json"))["class_names"])

    def beside(picked: np.ndarray, labels: np.ndarray, name: str) -> dict[str, Any]:
        kept = diversity_report(
            {**images, "after": picked, "labels_after": labels},
            classes,
            seed=run.seed_of(f"diversity of {name}"),
            pairs=settings.diversity_pairs,
        ).after_over_before
        return {**compare(true, truth(picked), alike=True), "after_over_before": kept}

    if settings.best_of:
        with watch.part("best of n"):
            found["best_of"] = _best_of(run, lambda picked, labels: beside(picked, labels, "best of n"))
    if settings.plug_and_play:
        with watch.part("plug and play"):
            saved = load_saved(saved_estimator(run.path / "estimator"))
            walked, labels = plug_and_play(
                load_generator(run.path / "gan"),
                objective(saved, run.config.estimator.pessimism),
                settings.plug_and_play,
                PICKS,
                seed=run.seed_of("plug and play"),
                title="Plug & Play sampling",
            )
            measured = beside(walked, labels, "plug and play")
            found["plug_and_play"] = {"weight": settings.plug_and_play, "images": PICKS, **measured}
    return found


def _best_of(run: RunDirectory, compared: Callable[[np.ndarray, np.ndarray], dict[str, Any]]) -> dict[str, Any]:
    """The choice among n images, of the generator before tuning and of the tuned one, each `compared` with the images before."""
    n, estimator = run.config.evaluation.best_of, load_estimator(saved_estimator(run.path / "estimator"))
    found: dict[str, Any] = {"n": n, "picks": PICKS}
    for when, stage in zip(WHEN, ("gan", "tuning"), strict=True):
        generator = load_generator(run.path / stage)
        latent_size, classes = (tensor.shape[-1] for tensor in generator.inputs)
        picked, labels = best_of(
            functools.partial(generate, generator),
            functools.partial(estimate, estimator),
            n,
            PICKS,
            latent_size=latent_size,
            classes=classes,
            seed=run.seed_of(f"best of n {when}"),
            title=f"Best of {n} {when} tuning",
        )
        found[when] = compared(picked, labels)
    return found


def chosen(run: RunDirectory) -> dict[str, Any]:
    """Which of tuning's steps was kept, and by what; where the second judge chose it, its view of the result is no outsider's."""
    tuned = run.facts("tuning") or {}
    if "kept_step" not in tuned:
        return {}
    step, end = tuned["kept_step"], tuned["stopped_at"]
    chosen_by = "distance" if run.config.tuning.keep_distance else "judge"
    return {"kept": {"step": step, "of": run.config.tuning.steps, "stopped_at": end, "chosen_by": chosen_by}}


def write(run: RunDirectory, images: Arrays, pir: dict[str, Sides], facts: dict[str, Any]) -> None:
    """Everything that the report draws, NaN where it was not measured, and the results."""
    kept = {**images, "real": images["real"][:REAL], "real_labels": images["real_labels"][:REAL]}
    for name in ("order", "control", "labels_control"):
        kept.pop(name, None)
    for side, when in enumerate(WHEN):
        nothing = np.full(len(images[when]), np.nan)
        for name in ("true", "estimated", "judged"):
            kept[f"{name}_{when}"] = pir[name][side] if name in pir else nothing
    if first := RoundBefore.of(run.config):
        kept["true_start"] = first.start_pir()
    with atomic(run.file("evaluation", "samples.npz")) as beside:
        np.savez_compressed(beside, **kept)  # type: ignore[arg-type]
    write_json(run.file("evaluation", "results.json"), facts)


def _compared(run: RunDirectory, generators: tuple[keras.Model, ...]) -> Arrays:
    """The new images; where people judge, for days perhaps, made once and kept in `evaluation/images.npz`.

    Made anew by another processor or TensorFlow, an image may differ in a grey level, and no answer would be about it.
    """
    if who_judges(run.config) not in ("csv", "people"):
        return _new_images(run, generators)
    path = run.file("evaluation", "images.npz")
    if not path.exists():
        with atomic(path) as beside:
            np.savez_compressed(beside, **_new_images(run, generators))  # type: ignore[arg-type]
    return require_arrays(path, "put a copy of it back; if nobody has judged these images yet, delete it and go on")


def _new_images(run: RunDirectory, generators: tuple[keras.Model, ...]) -> Arrays:
    """Images from independent new latents, none used in training, and the order in which people see them. Deviation: D15.

    On the rating page an image is compared with one of its own class, so both sides have the same classes there.
    """
    made: Arrays = {}
    count, paired = run.config.evaluation.images, who_judges(run.config) == "people"
    for generator, when in zip(generators, WHEN, strict=True):
        seed, title, reuse = run.seed_of(f"evaluation {when}"), f"Images {when} tuning", when == "before"
        same = made.get("labels_before") if paired else None
        images, _, labels = sample(run, generator, count, seed=seed, title=title, labels=same, reuse=reuse)
        made |= {when: images, f"labels_{when}": labels}
    order = np.random.default_rng(run.seed_of("shuffle")).permutation(len(made["before"]) + len(made["after"]))
    return {**made, "order": order}


def _pair_latents(generator: keras.Model, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Latents with the classes in turn, so that every class is seen."""
    latent_size, class_count = (tensor.shape[-1] for tensor in generator.inputs)
    z, _ = draw_latents(PAIRS, latent_size=latent_size, class_count=class_count, seed=seed)
    return z, np.arange(PAIRS, dtype=np.int32) % class_count


def _estimates(estimator: keras.Model, images: Arrays) -> Sides:
    return estimate(estimator, images["before"]), estimate(estimator, images["after"])


def _simulated(run: RunDirectory, images: Arrays) -> dict[str, Sides]:
    """True PIR, what a finite number of simulated impressions shows of it, and with C.5's scaling PIR without it."""
    of_old, of_new = true_pir(run), true_pir(run, reuse=False)
    assert of_old is not None and of_new is not None
    true = of_old(images["before"]), of_new(images["after"])
    observed = []
    for pir, when in zip(true, WHEN, strict=True):
        ids, seed = [f"{when}-{i:04d}" for i in range(len(pir))], run.seed_of(f"evaluation users {when}")
        shown, labels = run.config.interactions.impressions, images[f"labels_{when}"]
        observed.append(simulate(pir, impressions=shown, seed=seed, image_ids=ids, class_index=labels).pir)
    found = {"true": true, "observed": (observed[0], observed[1])}
    if "control" in images:
        found["control"] = (of_old(images["control"]),) * 2
    unscaled = unscaled_pir(run.config, None) if scaling_of(run) else None
    if unscaled is not None:  # VGG16's part of it is remembered
        found["unscaled"] = unscaled(images["before"]), unscaled(images["after"])
    return found


def _people(path: Path, images: Arrays, run_directory: Path) -> Sides:
    """People's PIR of both sets, which they see shuffled and unlabelled; NaN where nobody rated an image."""
    order, count = images["order"], len(images["before"])
    mixed = np.concatenate([images["before"], images["after"]])[order]
    also = "Both generators' images are mixed: don't sort them."
    counted = answers(path, mixed, image_ids(mixed, "e"), run_directory=run_directory, also=also)
    pir, shown = np.full(len(order), np.nan), counted.impressions > 0
    pir[order[shown]] = counted.positives[shown] / counted.impressions[shown]
    return pir[:count], pir[count:]
