"""The Keras models' answers to a few requests: what the check compares, what warms a server up, what float16 changes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pir_tf.estimator.model import estimate
from pir_tf.gan.sampling import generate
from pir_tf.serving.from_run import Material
from pir_tf.serving.frozen_weights import round_weights
from pir_tf.serving.signatures import latents_of

SEEDS = (0, 1, 2, 3, -1, 2**31, 2**63 - 1, -(2**63))
"""Of the requests: small ones, and those at the ends of the types' ranges."""
WARM_UP_ROWS = (1, len(SEEDS))
COMPARED_IMAGES = 64
"""Images by which float16 is compared with float32."""


def answers_of(material: Material) -> dict[str, np.ndarray]:
    """Requests and answers.

    Returns:
        `seed`, `class_id`, `latent`, `class_name`, `image` (uint8), `class_count`, and `pir` where there is an estimator.
    """
    seed = np.array(SEEDS, np.int64)
    class_id = (np.arange(len(seed)) % len(material.class_names)).astype(np.int32)
    latent = latents_of(tf.constant(seed), _latent_size(material.generator)).numpy()
    image = generate(material.generator, latent, class_id)
    known = {"seed": seed, "class_id": class_id, "latent": latent, "image": image}
    known["class_name"] = np.array([material.class_names[index] for index in class_id])
    known["class_count"] = np.array(len(material.class_names))
    if material.estimator is not None:
        known["pir"] = estimate(material.estimator, image)
    return known


def save_answers(known: dict[str, np.ndarray], path: Path) -> None:
    """Writes them for `check.py`."""
    np.savez(path, allow_pickle=False, **known)


def requests_of(known: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One small and one larger request of every endpoint."""
    png = tf.io.encode_png(known["image"]).numpy()
    for rows in WARM_UP_ROWS:
        seed, latent, class_id = (known[name][:rows] for name in ("seed", "latent", "class_id"))
        yield "serving_default", {"seed": seed, "class_id": class_id}
        yield "generate", {"seed": seed, "class_id": class_id}
        yield "generate_from_latent", {"latent": latent, "class_id": class_id}
        if "pir" in known:
            yield "score", {"image_bytes": png[:rows]}


def halve(material: Material) -> dict[str, Any]:
    """Rounds the models' weights to float16 values.

    Returns:
        The greatest and the mean difference that this makes to pixels, in grey levels, and the number of images.
    """
    seeds = tf.range(COMPARED_IMAGES, dtype=tf.int64)
    latent = latents_of(seeds, _latent_size(material.generator)).numpy()
    class_id = (np.arange(COMPARED_IMAGES) % len(material.class_names)).astype(np.int32)
    before = generate(material.generator, latent, class_id).astype(int)
    round_weights([material.generator, *([material.estimator] if material.estimator is not None else [])])
    difference = np.abs(generate(material.generator, latent, class_id) - before)
    return {"greatest": int(difference.max()), "mean": float(difference.mean()), "images": COMPARED_IMAGES}


def _latent_size(generator: keras.Model) -> int:
    return int(generator.inputs[0].shape[-1])
