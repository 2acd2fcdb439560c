"""Stage `interactions`: generated images and how people, or simulated users, react to them (2.2)."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pir_tf.config import derived_seed
from pir_tf.experiments.objective import true_pir
from pir_tf.experiments.people import answers, answers_digest, image_ids
from pir_tf.experiments.progress import track
from pir_tf.gan.sampling import BATCH, draw_latents, generate_batches
from pir_tf.gan.saved import load_generator
from pir_tf.interactions.records import Interactions
from pir_tf.interactions.simulated import simulate
from pir_tf.runs import RunDirectory, atomic


@dataclasses.dataclass(frozen=True)
class Shown:
    """The images that people saw: uint8 `[n, 64, 64, 3]`, their classes int32 `[n]` and their ids."""

    images: np.ndarray
    labels: np.ndarray
    ids: list[str]

    @classmethod
    def load(cls, run: RunDirectory) -> Shown:
        """Reads `interactions/images.npz`."""
        with np.load(run.file("interactions", "images.npz"), allow_pickle=False) as stored:
            return cls(stored["images"], stored["labels"], stored["ids"].tolist())


def run(run: RunDirectory) -> dict[str, Any]:
    """Writes `interactions/images.npz` and, once people have answered, `interactions/interactions.csv`."""
    config = run.config
    shown = _shown(run)
    objective = true_pir(config)
    facts: dict[str, Any] = {}
    if objective is not None:
        interactions = simulate(
            objective(shown.images),
            impressions=config.interactions.impressions,
            seed=derived_seed(config.seed, "simulated users"),
            image_ids=shown.ids,
            class_index=shown.labels,
        )
    else:
        path = Path(config.interactions.source.removeprefix("csv:"))
        todo = "Then give the same command again."
        rated = answers(path, shown.images, shown.ids, run_directory=run.path, todo=todo)
        facts["answers_sha256"] = answers_digest(path)
        interactions = Interactions(np.array(shown.ids), shown.labels, rated.impressions, rated.positives)
    interactions.save(run.file("interactions", "interactions.csv"))
    return {"rated_images": int(interactions.rated.sum()), **facts}


def sample(generator: keras.Model, count: int, *, seed: int, title: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 `[count, 64, 64, 3]`, latents and classes of one seed, with a progress bar."""
    latent_size, class_count = (tensor.shape[-1] for tensor in generator.inputs)
    z, labels = draw_latents(count, latent_size=latent_size, class_count=class_count, seed=seed)
    batches = track(generate_batches(generator, z, labels), title, count, size=BATCH)
    return np.concatenate(list(batches)), z, labels


def _shown(run: RunDirectory) -> Shown:
    path = run.file("interactions", "images.npz")
    if not path.exists():
        config = run.config
        generator = load_generator(run.file("gan", "generator.keras").parent)
        seed = derived_seed(config.seed, "shown images")
        images, z, labels = sample(generator, config.interactions.images, seed=seed, title="Images for people")
        with atomic(path) as beside:
            np.savez(beside, images=images, z=z, labels=labels, ids=np.array(image_ids(images, "r1")))
    return Shown.load(run)
