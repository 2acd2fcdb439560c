"""`tfds:NAME`: any prepared TensorFlow Datasets set with an image and a class label (Deviation: D10).

For example `tfds:places365_small` with the classes `coast` and `mountain`. The pictures go through our own `decode`,
not that of TFDS, so they are the same as from a folder.

Nothing is downloaded here. Such sets are tens of gigabytes, a machine that trains often has no network (and TFDS
retries for minutes before it says so), and workers that start together would download into each other: preparing is a
step of its own, and the message about an unprepared set gives its command.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from pir_tf.data.reading import Picture, read_images, select_classes
from pir_tf.errors import InputError, one_line


def load(
    name: str,
    *,
    image_size: int,
    classes: Sequence[str] = (),
    split: str = "train",
    on_bad_file: str = "stop",
    data_dir: str | None = None,
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Reads every picture of the chosen classes of a split: images, labels and class names as of `ImageSet`.

    The arguments are those of `sources.load`; a name may have a configuration and a version (`NAME/CONFIG:VERSION`), a split
    may be a part (`train[:80%]`), and the default data folder is that of TFDS (`TFDS_DATA_DIR` or `~/tensorflow_datasets`).
    """
    source = f"tfds:{name}"
    tfds = _import_tfds(source)
    builder = _prepared_builder(tfds, name, data_dir, source)
    available = _class_names(tfds, builder, source)
    kept = select_classes(available, classes, source)
    try:
        dataset = builder.as_dataset(
            split=split,
            shuffle_files=False,
            decoders={"image": tfds.decode.SkipDecoding()},
            # File after file, so the order is fixed, and each example with its place in them, so messages can name it.
            read_config=tfds.ReadConfig(interleave_cycle_length=1, add_tfds_id=True),
        )
    except Exception as error:  # the split grammar raises ValueError, AssertionError or KeyError by the kind of mistake
        raise InputError(
            f"split {split!r} of {source} can't be read ({one_line(error)}); "
            f"its splits are {', '.join(builder.info.splits)}, and parts of them such as train[:80%]"
        ) from error
    pictures = _pictures(dataset, [available.index(class_name) for class_name in kept], source)
    return *read_images(pictures, image_size=image_size, on_bad_file=on_bad_file, source=source), kept


def _import_tfds(source: str) -> Any:
    try:
        import tensorflow_datasets as tfds
    except Exception as error:  # a broken protobuf below it raises TypeError or AttributeError, not only ImportError
        raise InputError(
            f"{source} needs the package tensorflow-datasets, which can't be imported "
            f"({type(error).__name__}: {one_line(error)}); install it with: pip install tensorflow-datasets"
        ) from error
    return tfds


def _prepared_builder(tfds: Any, name: str, data_dir: str | None, source: str) -> Any:
    place = f"the data folder {data_dir}" if data_dir else "the default data folder of TFDS"
    try:
        builder = tfds.builder(name, data_dir=data_dir)
        prepared = builder.is_prepared()
    except tfds.core.DatasetNotFoundError as error:
        raise InputError(
            f"{source} is no data set that TFDS knows, and {place} has no prepared one of that name; "
            "check the name, or the data folder"
        ) from error
    except Exception as error:  # a damaged folder or an unknown configuration or version, each with its own type
        raise InputError(f"{source} can't be opened from {place} ({one_line(error)})") from error
    if not prepared:
        # `tfds build` would be shorter, but needs apache-beam even for sets that don't use it.
        inside = f", data_dir={str(data_dir)!r}" if data_dir else ""
        command = f'python -c "import tensorflow_datasets as t; t.builder({name!r}{inside}).download_and_prepare()"'
        raise InputError(
            f"{source} is not prepared: {builder.data_path} holds no data, and training downloads nothing; "
            f"copy a prepared folder there, or prepare it on a machine with a network by: {command}"
        )
    return builder


def _class_names(tfds: Any, builder: Any, source: str) -> list[str]:
    features = builder.info.features
    found = dict(features.items()) if hasattr(features, "items") else {}
    labelled = isinstance(found.get("label"), tfds.features.ClassLabel)
    if not (labelled and isinstance(found.get("image"), tfds.features.Image)):
        listed = ", ".join(f"{key} ({type(found[key]).__name__})" for key in sorted(found)) or "none"
        raise InputError(
            f"{source} has the features {listed}, expected an Image called image and a ClassLabel called label; "
            "choose a set for image classification"
        )
    return list(features["label"].names)


def _pictures(dataset: Any, wanted: list[int], source: str) -> Iterator[Picture]:
    """Streams the encoded pictures of the wanted classes, labels renumbered to their place in `wanted`."""
    import tensorflow as tf

    # TFDS marks an example without a label (places365's test split) by -1: that is no class, so it is never kept.
    kept = dataset.filter(lambda example: tf.reduce_any(example["label"] == tf.constant(wanted, tf.int64)))
    place = {label: i for i, label in enumerate(wanted)}
    try:
        for example in kept.as_numpy_iterator():
            name = f"{source} {example['tfds_id'].decode()}"
            yield Picture(name, bytes(example["image"]), place[int(example["label"])])
    except tf.errors.ResourceExhaustedError:
        raise
    except tf.errors.OpError as error:
        raise InputError(
            f"{source} is damaged ({one_line(error)}), expected whole record files: prepare it or copy it again."
        ) from error
