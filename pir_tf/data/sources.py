"""Class-labelled images from one of three sources, and the seeded stream of training batches.

Section C.1 of the paper: a class c ~ C, then an image i ~ I_c. Deviation: D10 (the paper's images are not released: a
source is the embedded landscapes, a folder or a TFDS set). Deviation: D16 (classes uniform, real images
class-balanced).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pir_tf.data.reading import select_classes
from pir_tf.errors import InputError
from pir_tf.images import require_images, tensor_to_float

if TYPE_CHECKING:
    import tensorflow as tf


@dataclasses.dataclass(frozen=True, eq=False)
class ImageSet:
    """A whole data set in memory. Its arrays are read-only."""

    images: np.ndarray  # uint8 [n, s, s, 3], in [0, 255]
    labels: np.ndarray  # int32 [n]; label k is the class `class_names[k]`
    class_names: tuple[str, ...]  # in label order; each has at least one image

    def __post_init__(self) -> None:
        images, labels = require_images(self.images, uint8=True), np.asarray(self.labels)
        names = tuple(self.class_names)
        if images.shape[1] != images.shape[2]:
            raise InputError(f"received images of shape {list(images.shape)}, expected square ones [n, s, s, 3]")
        if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
            given = f"{labels.dtype} labels of shape {list(labels.shape)} for {len(images)} images"
            raise InputError(f"received {given}, expected one integer per image")
        if not names or len(set(names)) != len(names) or any(name.splitlines() != [name] for name in names):
            raise InputError(
                f"received the class names {list(names)}, expected at least one, all different, each of one line"
            )
        if labels.size and (labels.min() < 0 or labels.max() >= len(names)):
            given = f"labels from {labels.min()} to {labels.max()}"
            raise InputError(f"received {given}, expected 0 to {len(names) - 1} for the {len(names)} classes")
        if empty := [name for k, name in enumerate(names) if k not in labels]:
            raise InputError(
                f"class {', '.join(map(repr, empty))} has no images, expected at least one in each of the {len(names)} classes; "
                "add images or leave it out with --data.classes"
            )
        for field, array in (("images", images.view()), ("labels", labels.astype(np.int32))):
            array.setflags(write=False)
            object.__setattr__(self, field, array)
        object.__setattr__(self, "class_names", names)

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of class names, sizes, labels and pixels: a resumed run notices other ones by it."""
        head = json.dumps({"class_names": self.class_names, "shape": self.images.shape}).encode()
        total = hashlib.sha256(len(head).to_bytes(8, "little") + head)
        total.update(self.labels.astype("<i4").tobytes())
        total.update(self.images.tobytes())
        return total.hexdigest()

    def require_at_least(self, batch_size: int) -> None:
        """Raises `InputError` when the set has fewer images than one batch."""
        if len(self.images) < batch_size:
            raise InputError(
                f"the data set has {len(self.images)} images, expected at least one batch of {batch_size}; "
                "add images or lower the batch size"
            )

    def part(self, index: int, count: int) -> ImageSet:
        """The images index, index + count, index + 2 count, ... of every class: disjoint parts that make up the set."""
        if count == 1:
            return self
        of_class = [np.flatnonzero(self.labels == k) for k in range(len(self.class_names))]
        if few := [name for name, rows in zip(self.class_names, of_class, strict=True) if len(rows) < count]:
            raise InputError(
                f"class {', '.join(map(repr, few))} has fewer images than the {count} devices of the job, expected one for "
                "each at least: add images or use fewer devices."
            )
        rows = np.sort(np.concatenate([rows[index::count] for rows in of_class]))
        return ImageSet(self.images[rows], self.labels[rows], self.class_names)


def load(
    source: str,
    *,
    image_size: int,
    classes: Sequence[str] = (),
    count: int,
    seed: int,
    split: str = "train",
    on_bad_file: str = "stop",
    data_dir: str | None = None,
) -> ImageSet:
    """Loads a data set. The class order is the source's own, whatever the order of `classes`.

    Args:
        source: `landscapes` (rendered), `folder:PATH` (see `folder`) or `tfds:NAME` (see `tfds_source`).
        image_size: side of the square images, in pixels.
        classes: names of the classes to keep; empty keeps all.
        count: landscapes to render, over all classes, before the filter; the other sources give all that they have.
        seed: of the landscapes; the other sources have no randomness.
        split: for `tfds:NAME`; the other sources have only "train".
        on_bad_file: "stop" raises with the list of all bad files, "skip" warns with it and leaves them out.
        data_dir: where prepared TFDS sets lie, for `tfds:NAME` alone.

    Raises:
        InputError: another form of source, or anything in it that can't be used.
    """
    form, _, rest = source.partition(":")
    options: dict[str, Any] = {"image_size": image_size, "classes": classes, "split": split}
    if source == "landscapes":
        return _landscapes(count=count, seed=seed, **options)
    if form == "folder" and rest:
        from pir_tf.data import folder

        return ImageSet(*folder.load(rest, on_bad_file=on_bad_file, **options))
    if form == "tfds" and rest:
        from pir_tf.data import tfds_source

        return ImageSet(*tfds_source.load(rest, on_bad_file=on_bad_file, data_dir=data_dir, **options))
    raise InputError(
        f"data source {source!r} received, expected landscapes, folder:PATH (one subfolder per class) or "
        "tfds:NAME (a prepared TensorFlow Datasets set)"
    )


def _landscapes(*, image_size: int, classes: Sequence[str], count: int, seed: int, split: str) -> ImageSet:
    from pir_tf.data import landscapes

    if split != "train":
        raise InputError(f"split {split!r} received for landscapes, which have none: other seeds give other images")
    kept = select_classes(landscapes.CLASS_NAMES, classes, "landscapes")
    images, labels = landscapes.render(count, seed=seed, size=image_size)
    chosen = [i for i, name in enumerate(landscapes.CLASS_NAMES) if name in kept]
    rows = np.isin(labels, chosen)
    return ImageSet(images[rows], np.searchsorted(chosen, labels[rows]).astype(np.int32), kept)


def batches(image_set: ImageSet, *, batch_size: int, seed: int, first_step: int = 0) -> tf.data.Dataset:
    """An endless stream of class-balanced batches in which batch t is a function of (seed, t) alone.

    Each row draws a class uniformly, then one of its images uniformly, with replacement. So a run that resumes at
    `first_step=t` goes on exactly, and no shuffle buffer or iterator has to be saved.

    Returns:
        Batches of (images float32 [batch_size, s, s, 3] in [-1, 1], labels int32 [batch_size]), over all replicas.

    Source: section C.1, c ~ C and i ~ I_c. Deviation: D16.
    """
    import tensorflow as tf

    image_set.require_at_least(batch_size)
    counts = np.bincount(image_set.labels)
    # The rows of class k are order[starts[k] : starts[k] + counts[k]].
    order, starts = np.argsort(image_set.labels, kind="stable"), np.cumsum(counts) - counts
    with tf.device("CPU:0"):  # tf.data runs there; a GPU would otherwise hold a copy of the data set
        pixels = tf.constant(image_set.images)
        rows, first, size = tf.constant(order), tf.constant(starts), tf.constant(counts)

    @tf.autograph.experimental.do_not_convert  # nothing in it is to be converted
    def batch(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # Philox by name: "auto" may choose another generator on another device. float64 reaches every row of any set.
        draws = tf.random.stateless_uniform(
            [2, batch_size], seed=tf.stack([tf.constant(seed, tf.int64), step]), dtype=tf.float64, alg="philox"
        )
        labels = tf.cast(draws[0] * len(counts), tf.int32)
        inside = tf.cast(draws[1] * tf.cast(tf.gather(size, labels), tf.float64), tf.int64)
        chosen = tf.gather(pixels, tf.gather(rows, tf.gather(first, labels) + inside))
        return tensor_to_float(chosen), labels

    options = tf.data.Options()
    options.deterministic = True
    steps = tf.data.Dataset.counter(first_step)
    return steps.map(batch, num_parallel_calls=tf.data.AUTOTUNE).with_options(options).prefetch(tf.data.AUTOTUNE)
