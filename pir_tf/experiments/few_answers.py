"""`pir-tf few-answers FOLDER [PRESET OPTIONS]`: how well estimators predict with few images and few answers, without tuning.

For each number of images and of impressions the experiment's own estimator (the paper's, where that is linear) and the linear one
learn from the same simulated answers, and predict the noise-free PIR of new images. It is what a study with people is planned by.
The preset and its options are those of `pir-tf run`, which `pir-tf run --help` lists.
Not the paper's.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.commands import exit_code, user_path
from pir_tf.config import EstimatorConfig, ExperimentConfig, derived_seed
from pir_tf.errors import InputError
from pir_tf.estimator.model import estimate
from pir_tf.estimator.quality import quality
from pir_tf.estimator.train import fit_estimator
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.estimator_stage import feature_maker
from pir_tf.experiments.truth import unscaled_pir
from pir_tf.gan.bundled import bundled_networks
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks
from pir_tf.interactions.simulated import simulate
from pir_tf.presets import by_papers_method
from pir_tf.runs.directory import atomic
from pir_tf.training.callbacks import track

IMAGES, IMPRESSIONS = (200, 400, 1000), (1, 2, 5, 10, 100, 1000)
NEW = 1000
"""Images on which the estimators are measured."""
MEASURES = ("spearman", "mean_absolute_error", "bias")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0, or 2 for a user's mistake."""
    return exit_code(lambda: _run(sys.argv[1:] if arguments is None else arguments), "another folder")


def _run(words: list[str]) -> int:
    if {"-h", "--help"} & {*words}:
        print(f"usage: {__doc__}")
        raise SystemExit(0)
    if not words or words[0].startswith("-"):
        raise InputError(
            "few-answers received no folder, expected FOLDER and then the words of `pir-tf run`: name it first."
        )
    config, folder = parse(words[1:]).experiment, user_path(words[0])
    users = config.interactions
    if config.gan.generator != "bundled" or users.source != "simulated" or users.scaling != "none":
        raise InputError(
            "few-answers received another generator, real people or a scaled PIR, expected the bundled networks and simulated "
            "users: leave out --gan.generator, --interactions.source and --interactions.scaling."
        )
    folder.mkdir(parents=True, exist_ok=True)  # what can't be written is said first
    rows = list(measured(config, bundled_networks(), IMAGES, IMPRESSIONS, NEW))
    with atomic(folder / "few-answers.csv") as beside:
        pd.DataFrame(rows).to_csv(beside, index=False)
    print(table(rows))
    return 0


def methods(config: ExperimentConfig) -> dict[str, EstimatorConfig]:
    """The config's own estimator, and the paper's where that is linear, else the linear one on the discriminator's features."""
    own = dataclasses.replace(config.estimator, pessimism=0.0)  # whose doubt nobody asks for
    if own.output == "linear":
        papers = by_papers_method(config.preset).estimator
        return {papers.output: papers, "linear": own}
    usual = EstimatorConfig()  # of what is another output's alone
    fields: dict[str, Any] = {"backbone": "discriminator", "weights": "none", "layer": "", "trainable": "all"}
    fields |= {name: getattr(usual, name) for name in ("bin_range", "bin_loss", "scalar_start")}
    return {own.output: own, "linear": dataclasses.replace(own, output="linear", **fields)}


def measured(
    config: ExperimentConfig, networks: Networks, images: Sequence[int], impressions: Sequence[int], new: int
) -> Iterator[dict[str, Any]]:
    """A row for each method, number of images and of impressions: those three, and `MEASURES` on new images.

    Args:
        config: Objective, seed, and the estimator to compare.
        networks: What makes the images.
        images: Numbers of answered images; fewer are the first of more.
        impressions: Numbers of impressions of each.
        new: How many images the estimators are measured on.
    """
    sizes = {"latent_size": config.gan.latent_size, "class_count": len(networks.class_names)}
    truth = unscaled_pir(config, None)
    assert truth is not None
    shown, fresh = (
        draw_latents(count, seed=derived_seed(config.seed, f"few answers, {name}"), **sizes)
        for name, count in (("shown", max(images)), ("new", new))
    )
    pictures, labels, others = generate(networks.generator, *shown), shown[1], generate(networks.generator, *fresh)
    pir, true = truth(pictures), truth(others)
    cells = [*itertools.product(methods(config).items(), images, impressions)]
    for (method, settings), count, answers in track(cells, "Estimators of few answers", len(cells), "estimator"):
        seed = derived_seed(config.seed, f"few answers of {count} and {answers}")  # the same for both
        ids = [f"{place:04d}" for place in range(count)]
        counted = simulate(pir[:count], impressions=answers, seed=seed, image_ids=ids, class_index=labels[:count])
        said = np.full(new, counted.pir[0])  # where all answers are alike, there is nothing to learn but that
        if np.ptp(counted.pir) > 0:
            estimator = fit_estimator(
                pictures[:count],
                counted,
                settings,
                seed=seed,
                features=feature_maker(settings, None),
                discriminator=networks.discriminator,
            )
            said = estimate(estimator.pir_model, others)
        found = quality(said, true)
        yield {"method": method, "images": count, "impressions": answers, **{name: found[name] for name in MEASURES}}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rank correlations, a row for each method and number of images and a column for each number of impressions, in Markdown."""
    frame = pd.DataFrame(rows)
    wide = frame.pivot_table(index=["method", "images"], columns="impressions", values="spearman", dropna=False)
    head = ["estimator", "images", *(f"{count:,} each" for count in wide.columns)]
    lines = [head, ["---"] * len(head)]
    for (method, images), values in wide.iterrows():
        lines.append([str(method), f"{images:,}", *("none" if np.isnan(value) else f"{value:.2f}" for value in values)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
