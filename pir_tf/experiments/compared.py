"""The new images that the stage `evaluation` compares: made once and kept where people judge them, for days perhaps.

What people were shown is what their answers are about. Made anew by another processor or TensorFlow, an image may differ in a
grey level, and no answer would be about it. Simulated users answer at once, so nothing is kept for them.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from pir_tf.experiments.interactions_stage import sample
from pir_tf.experiments.people import answers_path
from pir_tf.experiments.rounds import seed_of
from pir_tf.gan.saved import load_generator
from pir_tf.runs.directory import RunDirectory, atomic


@dataclasses.dataclass(frozen=True)
class Compared:
    """Images before and after tuning, uint8 `[n, 64, 64, 3]` each.

    Attributes:
        before: Images before tuning.
        after: Images after it.
        labels: Both sets' classes, int32 `[n]`.
        order: The order in which people see both sets as one.
    """

    before: np.ndarray
    after: np.ndarray
    labels: tuple[np.ndarray, np.ndarray]
    order: np.ndarray

    @classmethod
    def make(cls, run: RunDirectory) -> Compared:
        """New images from independent new latents, none used in training. Deviation: D15."""
        made, labels = [], []
        for stage, when in (("gan", "before"), ("tuning", "after")):
            generator, count = load_generator(run.file(stage, "generator.keras").parent), run.config.evaluation.images
            seed = seed_of(run.config, f"evaluation {when}")
            title, reuse = f"Images {when} tuning", when == "before"
            images, _, classes = sample(run, generator, count, seed=seed, title=title, reuse=reuse)
            made.append(images)
            labels.append(classes)
        return cls(made[0], made[1], (labels[0], labels[1]), _order(run, len(made[0]) + len(made[1])))

    @classmethod
    def read(cls, path: Path, run: RunDirectory) -> Compared:
        """Reads what `save` wrote, or a `samples.npz`, which has no order."""
        with np.load(path, allow_pickle=False) as stored:
            before, after = stored["before"], stored["after"]
            order = stored["order"] if "order" in stored.files else _order(run, len(before) + len(after))
            return cls(before, after, (stored["labels_before"], stored["labels_after"]), order)

    def save(self, path: Path) -> None:
        """Writes all of it."""
        images = {"before": self.before, "after": self.after, "order": self.order}
        with atomic(path) as beside:
            np.savez_compressed(beside, labels_before=self.labels[0], labels_after=self.labels[1], **images)  # type: ignore[arg-type]


def compared_images(run: RunDirectory) -> Compared:
    """The images that the run compares; where people judge, those of `evaluation/images.npz`, which is made if it isn't there.

    A run that began to wait before there was such a file has its images in `evaluation/samples.npz`.
    """
    if answers_path(run, "evaluation") is None:
        return Compared.make(run)
    path, samples = (run.file("evaluation", name) for name in ("images.npz", "samples.npz"))
    if not path.exists():
        (Compared.read(samples, run) if samples.exists() else Compared.make(run)).save(path)
    return Compared.read(path, run)


def _order(run: RunDirectory, count: int) -> np.ndarray:
    return np.random.default_rng(seed_of(run.config, "shuffle")).permutation(count)
