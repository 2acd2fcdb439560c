"""`pir-tf tuning-curves FOLDER [--pessimisms N ...] [--ratios N ...] [--at STEPS ...] [PRESET OPTIONS]`: how far tuning goes.

The experiment's linear estimator learns once from all simulated answers. Then the generator is tuned with each pessimism at the
first ratio of gradients, and with each other ratio at the first pessimism; ratio 0 is the control, without the PIR term. After
the steps of --at the same new latents are drawn; their true and their estimated PIR, the distance within a class and, with
--evaluation.kid-weights, that from real images make a row of `FOLDER/tuning-curves.csv`, and figures show them, with images of
the same latents at each ratio. What is done isn't done again; a row's `settings` stand for all options that no other column has.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.config import ExperimentConfig, decisive_fields, derived_seed, flatten
from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.estimator.linear import LinearEstimator, objective
from pir_tf.estimator.model import estimate
from pir_tf.estimator.train import fit_estimator
from pir_tf.evaluation.diversity import within_class_pairwise_distance
from pir_tf.experiments.cache import digest
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.estimator_stage import feature_maker
from pir_tf.experiments.gan_stage import load_data
from pir_tf.experiments.measured_kid import measured_kid
from pir_tf.experiments.truth import Truth, unscaled_pir
from pir_tf.experiments.tuning_stage import compile_tuner, gan_tuner, weigh
from pir_tf.gan.bundled import bundled_networks
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.gan.saved import Networks
from pir_tf.gan.train import stream_of
from pir_tf.images import grid, save_png, to_float
from pir_tf.interactions.simulated import simulate
from pir_tf.report import curves, style
from pir_tf.runs.directory import atomic
from pir_tf.statistics.effects import cohens_d, cohens_d_interval
from pir_tf.training.callbacks import ProgressBar
from pir_tf.training.fit import Schedule, fit_resumable

PESSIMISMS, RATIOS, STEPS = (0.0, 1.0, 2.0, 5.0), (1.0, 0.1, 0.3), (150, 300, 600, 1200)
NEW = 500
"""Images on which each generator is measured."""
NAME = "tuning-curves"


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0, or 2 for a user's mistake."""
    return exit_code(lambda: _run(sys.argv[1:] if arguments is None else arguments), "another folder")


def _run(words: list[str]) -> int:
    parser = Parser(prog=f"pir-tf {NAME}", usage=__doc__, allow_abbrev=False, add_help=False)
    parser.add_argument("folder", type=user_path)
    parser.add_argument("-h", "--help", action="help")
    for name, kind, values, text in (
        ("--pessimisms", float, PESSIMISMS, "SDs that are taken off the estimate, one tuning each"),
        ("--ratios", float, RATIOS, "gradient ratios, the first for each pessimism"),
        ("--at", int, STEPS, "numbers of steps after which images are measured"),
    ):
        usual = " ".join(f"{value:g}" for value in values)
        parser.add_argument(name, type=kind, nargs="+", default=values, metavar="N", help=f"{text} (default: {usual})")
    given, others = parser.parse_known_args(words)
    config = parse(others).experiment
    _require(config, given.at)
    given.folder.mkdir(parents=True, exist_ok=True)
    rows = CurveRows(given.folder)
    study = Curves(config, bundled_networks, given.folder, NEW)
    for pessimism, ratio in _settings(given.pessimisms, given.ratios):
        if left := rows.lacking(study.facts, pessimism, ratio, given.at):
            for row in study.curve(pessimism, ratio, left):
                rows.add(row)
            rows.draw()
    print(rows.table())
    return 0


def _require(config: ExperimentConfig, at: Sequence[int]) -> None:
    users, tuning = config.interactions, config.tuning
    plain = config.gan.generator == "bundled" and users.source == "simulated" and users.scaling == "none"
    whole = tuning.kind == "weights" and tuning.stop == "none" and not tuning.keep_distance
    if not plain or config.estimator.output != "linear" or not whole or min(at) < 1:
        raise InputError(
            f"{NAME} received steps below 1, another generator, real people, a scaled PIR, moved latents, a stop, a distance to "
            "keep or another estimator than the linear one, expected the bundled networks, simulated users and "
            "--estimator.output linear: change the options."
        )


def _settings(pessimisms: Sequence[float], ratios: Sequence[float]) -> list[tuple[float, float]]:
    """Each pessimism at the first ratio, each other ratio at the first pessimism."""
    return [(one, ratios[0]) for one in pessimisms] + [(pessimisms[0], one) for one in ratios[1:]]


OWN_COLUMN = {
    *("seed", "interactions.objective", "interactions.images", "interactions.impressions", "estimator.backbone"),
    *("estimator.layer", "estimator.grid", "estimator.pessimism", "tuning.pir_gradient_ratio", "tuning.pir_weight"),
}
NO_PART = ("tuning.steps", "compute.", "tuning.checkpoint", "tuning.log_every", "tuning.tensorboard")
"""What no row depends on."""


def _settings_of(config: ExperimentConfig) -> str:
    """A short name of all that has no column of its own: two rows with other learning rates or weights differ in it."""
    named = {
        name: value
        for name, value in flatten(config).items()
        if name not in OWN_COLUMN and not name.startswith(NO_PART)
    }
    return _name_of(named)[:8]


def _name_of(fields: dict[str, Any]) -> str:
    return digest(np.frombuffer(repr(sorted(fields.items())).encode(), np.uint8))


class Curves:
    """One objective: its estimator, and generators that are tuned with it.

    Args:
        config: Objective, seed, estimator and the steps' settings.
        networks: Makes the pretrained networks, afresh at each call.
        folder: Keeps checkpoints of tuning.
        new: Images on which each generator is measured.
    """

    def __init__(self, config: ExperimentConfig, networks: Callable[[], Networks], folder: Path, new: int) -> None:
        self._config, self._networks, self._folder, self._new = config, networks, folder, new
        users, estimator = config.interactions, config.estimator
        self.facts: dict[str, Any] = {
            "objective": users.objective,
            "seed": config.seed,
            "features": f"{estimator.backbone} {estimator.layer}".strip(),
            "grid": estimator.grid,
            "images": users.images,
            "impressions": users.impressions,
            "settings": _settings_of(config),
        }

    def curve(self, pessimism: float, ratio: float, at: Sequence[int]) -> Iterator[dict[str, Any]]:
        """A row after none of the steps and after each of these numbers of steps, in rising order."""
        config, networks = self._config, self._networks()
        tuning = dataclasses.replace(config.tuning, pir_gradient_ratio=ratio, pir_weight=1000.0 if ratio else 0.0)
        config = dataclasses.replace(config, tuning=tuning)
        tuner = gan_tuner(
            config, networks, objective(self._estimator.saved_model(), pessimism), self._seed("tuning steps")
        )
        compile_tuner(config, tuner, jit_compile=False)
        weight = weigh(config, tuner)
        fixed = {**self.facts, "pessimism": pessimism, "ratio": ratio, "weight": weight}
        fields = {**decisive_fields("tuning", tuning), **decisive_fields("gan", config.gan)}
        made_by = {**fixed, **fields, "estimator": digest(*self._estimator.saved_model().get_weights())}
        del made_by["settings"]  # which also name what is measured alone; the fields are those of the steps
        directory = self._folder / "steps" / _name_of(made_by)[:16]
        yield self._row({**fixed, "steps": 0}, self._before, 0.0)
        start = time.monotonic()
        for steps in at:
            fit_resumable(
                tuner,
                stream_of(self._images, self._seed("real images in tuning")),
                dataclasses.replace(Schedule.of(tuning, ()), steps=steps),
                directory,
                made_by,
                chief_callbacks=[ProgressBar(f"Pessimism {pessimism:g}, ratio {ratio:g}", steps)],
            )
            seconds = time.monotonic() - start
            yield self._row({**fixed, "steps": steps}, generate(networks.generator, *self._latents), seconds)

    def _seed(self, use: str) -> int:
        return derived_seed(self._config.seed, f"{NAME}, {use}")

    def _draw(self, count: int, use: str) -> tuple[np.ndarray, np.ndarray]:
        sizes = {"latent_size": self._config.gan.latent_size, "class_count": len(self._start.class_names)}
        return draw_latents(count, seed=self._seed(use), **sizes)

    def _row(self, about: dict[str, Any], images: np.ndarray, seconds: float) -> dict[str, Any]:
        """A row, whose first images are kept to be looked at, by their classes."""
        order = np.argsort(self._latents[1][: curves.SHOWN], kind="stable")
        picture = self._folder / curves.PICTURES / curves.picture_of(about)
        picture.parent.mkdir(exist_ok=True)
        save_png(picture, grid(images[: curves.SHOWN][order], columns=curves.SHOWN))
        return {**about, **self._measured(images, seconds)}

    def _measured(self, images: np.ndarray, seconds: float) -> dict[str, Any]:
        true, estimated = self._truth(images), estimate(self._estimator.pir_model, images)
        before = self._views
        settings, kid = self._config.evaluation, {}
        if settings.kid_weights != "none":
            sides = {"before": self._before, "after": images}
            found = measured_kid(sides, self._images, settings, seed=self._config.seed, cache=self._cache)
            kid = {"kid": found["after"], "kid_se": found["after_se"], "kid_images": found["images"]}
        low, high = cohens_d_interval(before[0], true, paired=True) or (None, None)
        return {
            "pir": float(true.mean()),
            "change": float(true.mean() - before[0].mean()),
            "cohens_d": cohens_d(before[0], true),
            "d_low": low,
            "d_high": high,
            "estimated_change": float(estimated.mean() - before[1].mean()),
            "estimated_d": cohens_d(before[1], estimated),
            "distance_kept": self._kept(images),
            **kid,
            "seconds": round(seconds, 1),
        }

    def _kept(self, images: np.ndarray) -> float:
        """The least share of the distance within a class that is left."""
        classes, seed = len(self._start.class_names), self._seed("pairs")
        after, before = (
            within_class_pairwise_distance(to_float(some), self._latents[1], classes, seed=seed)
            for some in (images, self._before)
        )
        return min(a / b for a, b in zip(after, before, strict=True) if a is not None and b)

    @property
    def _cache(self) -> Path:
        return self._folder / "cache"

    @functools.cached_property
    def _start(self) -> Networks:
        return self._networks()

    @functools.cached_property
    def _truth(self) -> Truth:
        found = unscaled_pir(self._config, self._cache)
        assert found is not None
        return found

    @functools.cached_property
    def _images(self) -> ImageSet:
        return load_data(self._config, self._cache, self._folder / "data.json")

    @functools.cached_property
    def _latents(self) -> tuple[np.ndarray, np.ndarray]:
        return self._draw(self._new, "new")

    @functools.cached_property
    def _before(self) -> np.ndarray:
        return generate(self._start.generator, *self._latents)

    @functools.cached_property
    def _views(self) -> tuple[np.ndarray, np.ndarray]:
        """True and estimated PIR of the images before tuning."""
        return self._truth(self._before), estimate(self._estimator.pir_model, self._before)

    @functools.cached_property
    def _estimator(self) -> LinearEstimator:
        config, users = self._config, self._config.interactions
        z, labels = self._draw(users.images, "shown")
        shown, seed = generate(self._start.generator, z, labels), self._seed("answers")
        ids = [f"{place:05d}" for place in range(users.images)]
        answers = simulate(
            self._truth(shown), impressions=users.impressions, seed=seed, image_ids=ids, class_index=labels
        )
        features, copied = feature_maker(config.estimator, self._cache), self._start.discriminator
        found = fit_estimator(shown, answers, config.estimator, seed=seed, features=features, discriminator=copied)
        assert isinstance(found, LinearEstimator)
        return found


class CurveRows:
    """The rows of a folder, and their figure."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._path = folder, folder / f"{NAME}.csv"
        self._frame = pd.read_csv(self._path, dtype={"settings": str}) if self._path.exists() else pd.DataFrame()
        if not self._frame.empty and "settings" not in self._frame:
            raise InputError(f"{self._path} has no column settings, expected this version's rows: give another folder.")

    def lacking(self, facts: dict[str, Any], pessimism: float, ratio: float, at: Sequence[int]) -> list[int]:
        """Numbers of steps, in rising order, after which these facts and settings have no row."""
        if self._frame.empty:
            return sorted({*at})
        found = self._of({**facts, "pessimism": pessimism, "ratio": ratio})
        return sorted({*at} - set(self._frame.loc[found, "steps"]))

    def add(self, row: dict[str, Any]) -> None:
        """Writes a row, in the place of one of the same settings and steps, if there is one."""
        if not self._frame.empty:
            names = [*list(row)[: list(row).index("weight")], "steps"]
            self._frame = self._frame[~self._of({name: row[name] for name in names})]
        self._frame = pd.concat([self._frame, pd.DataFrame([row])], ignore_index=True)
        with atomic(self._path) as beside:
            self._frame.to_csv(beside, index=False)

    def add_all(self, others: CurveRows) -> None:
        """Writes the rows of another folder, in the place of those of the same settings and steps."""
        for row in others._frame.to_dict("records"):
            self.add({str(name): value for name, value in row.items()})

    def draw(self) -> None:
        """Draws the figures."""
        for name, drawn in ((NAME, curves.tuning_curves), ("kid", curves.kid_of_ratios)):
            if (self._frame.ratio > 0).any() and (figure := drawn(self._frame)):
                style.save(figure, self._folder / f"{name}.png")
        self.draw_pictures(self._folder / "pictures.png")

    def draw_pictures(self, path: Path) -> None:
        """Draws images of the tunings, where the folder has them."""
        if figure := curves.pictures_of_tunings(self._frame, self._folder):
            style.save(figure, path)

    def table(self) -> str:
        """The rows in Markdown."""
        return table(self._frame)

    def _of(self, fields: dict[str, Any]) -> Any:
        return np.logical_and.reduce([self._frame[name] == value for name, value in fields.items()])


def table(frame: pd.DataFrame) -> str:
    """A line of Markdown for each row with steps."""
    head = [
        "objective",
        "pessimism",
        "ratio",
        "w_PIR",
        "steps",
        "d (95% interval)",
        "estimated d",
        "change",
        "estimated",
    ]
    lines = [[*head, "distance kept", "KID"], ["---"] * (len(head) + 2)]
    for row in frame[frame.steps > 0].to_dict("records"):
        kid = row.get("kid")
        lines.append([
            row["objective"], f"{row['pessimism']:g}", f"{row['ratio']:g}" if row["ratio"] else "control",
            f"{row['weight']:,.0f}", f"{row['steps']:,}", f"{row['cohens_d']:.2f} ({row['d_low']:.2f} to {row['d_high']:.2f})",
            f"{row['estimated_d']:.2f}", f"{row['change']:+.3f}", f"{row['estimated_change']:+.3f}",
            f"{row['distance_kept']:.2f}", "" if kid is None or pd.isna(kid) else f"{kid:.0f}",
        ])  # fmt: skip
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
