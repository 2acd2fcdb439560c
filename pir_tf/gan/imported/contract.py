"""What a generator must do to be tuned here, tried on a few of its images before anything long begins.

Each breach is one sentence that says what was seen and what to do. Shapes are looked at before, in `description`.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pir_tf.errors import InputError, one_line
from pir_tf.gan.imported.description import Description
from pir_tf.gan.sampling import draw_latents

IMAGES = 16  # looked at
LATENTS, MOST_CLASSES = 4, 10  # whose images of different classes are compared
GREY_LEVEL = 2 / 255  # of a picture, for values in [-1, 1]: what differs by less is one picture
OVERSHOOT = 0.1  # share of the range by which single values may leave it; they are clipped
SHARE_OUTSIDE = 0.01  # of all values that may
LEAST_SHARE = 0.05  # of the range that the images must take up together
SAY_RANGE = "say its range with --gan.import-range LOW HIGH (-1 1, 0 1 or 0 255)"


def check_contract(generator: keras.Model, description: Description, name: str, *, seed: int) -> dict[str, Any]:
    """Tries a wrapped generator, which messages call by the name, on latents of the seed.

    Returns:
        What was measured: `values` (lowest and highest, in the generator's own range), `share_outside`, `latent_change` and
        `class_change` (mean difference between images of other latents, and of other classes, in grey levels; the latter
        None without classes), `trainable_weights` and `weights_without_gradient`.
    """
    classes = len(description.class_names)
    z, _ = draw_latents(IMAGES, latent_size=description.latent_size, class_count=classes, seed=seed)
    labels = np.arange(IMAGES) % classes
    if classes > 1:
        with tf.device("CPU:0"):  # there a class beyond an Embedding's rows is an error, on a GPU it would be zeros
            _images(generator, z[:1], np.array([classes - 1]), name)
    images = _images(generator, z, labels, name)
    _check_repeats(generator, z, labels, images, name)
    facts = _check_range(images, description, name)
    facts["latent_change"], facts["class_change"] = _change(_images(generator, z, np.zeros(IMAGES, int), name)), None
    if facts["latent_change"] is None:
        raise InputError(
            f"{name} gives one picture whatever its latent vector is, expected others: it has collapsed, or its latent vector "
            "is not what gan.import_class_input leaves over."
        )
    if classes > 1:
        facts["class_change"] = _class_change(generator, z, np.arange(min(classes, MOST_CLASSES)), name)
        if facts["class_change"] is None:
            raise InputError(
                f"{name} gives one picture whatever its class is, expected others: leave the classes out with "
                "--gan.import-class none, or see whether --gan.import-class and --gan.import-class-input are right."
            )
    return {**facts, **_check_gradient(generator, z, labels, name)}


def _images(generator: keras.Model, z: np.ndarray, labels: np.ndarray, name: str) -> np.ndarray:
    """Images float32 `[n, h, w, 3]` as the generator gives them."""
    count = generator.inputs[1].shape[-1]
    try:
        one_hot = np.eye(count, dtype=np.float32)[labels]
        images = np.asarray(generator([tf.constant(z), tf.constant(one_hot)], training=False))
    except Exception as error:  # whatever a foreign graph raises
        rows = [layer.input_dim for layer in all_layers(generator) if isinstance(layer, keras.layers.Embedding)]
        known = f", while its Embedding has {min(rows)} rows" if rows else ""
        raise InputError(
            f"{name} fails on latents of {z.shape[1]} entries and {count} classes{known} ({one_line(error)}): correct "
            "--gan.import-class, --gan.import-class-count (or --data.classes) or --gan.import-latent-size."
        ) from error
    wrong = np.mean(~np.isfinite(images))
    if wrong:
        raise InputError(
            f"{name} gives {wrong:.0%} NaN or infinite values: take weights from before training diverged."
        )
    return images


def all_layers(model: keras.Model) -> list[keras.Layer]:
    """Those of the models inside too."""
    return [x for layer in model.layers for x in (all_layers(layer) if isinstance(layer, keras.Model) else [layer])]


def _check_repeats(generator: keras.Model, z: np.ndarray, labels: np.ndarray, images: np.ndarray, name: str) -> None:
    """An image is a function of its latent and class: not of chance, nor of the images made with it."""
    again = np.abs(_images(generator, z, labels, name) - images).max() / GREY_LEVEL
    if again > 1:
        raise InputError(
            f"{name} gives other images for the same latents, by up to {again:.0f} grey levels: it draws noise when it is "
            "called, so save it without, or with the noise as part of its latent vector."
        )
    alone = np.abs(_images(generator, z[:1], labels[:1], name) - images[:1]).max() / GREY_LEVEL
    if alone > 1:
        raise InputError(
            f"{name} gives another image alone than among others, by up to {alone:.0f} grey levels: its batch normalization "
            "runs in training mode, so save it without training=True."
        )


def _check_range(images: np.ndarray, description: Description, name: str) -> dict[str, Any]:
    """The images' values against the stated range, both in the generator's own."""
    low, high = description.value_range
    values = low + (images.astype(np.float64) + 1) * (high - low) / 2
    least, most = float(values.min()), float(values.max())
    seen = f"{name} gives values from {least:.3g} to {most:.3g}, while gan.import_range says {low:g} to {high:g}"
    outside = float(np.mean((values < low - 1e-6 * (high - low)) | (values > high + 1e-6 * (high - low))))
    beyond = max(low - least, most - high) / (high - low)
    if beyond > OVERSHOOT or outside > SHARE_OUTSIDE:
        raise InputError(f"{seen}: {outside:.0%} of them lie outside; {SAY_RANGE}.")
    if (most - least) / (high - low) < LEAST_SHARE:
        raise InputError(f"{seen}: a small part of what it could; {SAY_RANGE}, or train it further.")
    if (low, high) == (-1.0, 1.0) and least >= 0:
        raise InputError(f"{seen}: none is below 0; if it ends in a sigmoid, say so with --gan.import-range 0 1.")
    return {"values": [least, most], "share_outside": outside}


def _class_change(generator: keras.Model, z: np.ndarray, classes: np.ndarray, name: str) -> float | None:
    """Mean difference of images of other classes, over a few latents; None where the class changes none of them."""
    repeated = (np.repeat(z[i : i + 1], len(classes), axis=0) for i in range(LATENTS))
    changes = [_change(_images(generator, latents, classes, name)) for latents in repeated]
    return float(np.mean([change or 0.0 for change in changes])) if any(changes) else None


def _change(images: np.ndarray) -> float | None:
    """Mean difference of images from the first, in grey levels; None where all are one picture."""
    difference = np.abs(images[1:] - images[:1]) / GREY_LEVEL
    return float(difference.mean()) if difference.max() >= 1 else None


def _check_gradient(generator: keras.Model, z: np.ndarray, labels: np.ndarray, name: str) -> dict[str, int]:
    """Whether tuning can move the weights."""
    variables = generator.trainable_variables
    if half := [variable for variable in variables if variable.dtype == "float16"]:
        raise InputError(
            f"{name} has {len(half)} trainable weights of float16, in which an optimizer's moments are 0 or infinite: save it "
            "with float32 weights, of the policy float32 or mixed_float16."
        )
    if not variables:
        raise InputError(
            f"{name} has {len(generator.weights)} weights and none that can be trained (frozen): set its layers' trainable to "
            "True before saving it; constants in place of weights can't be tuned."
        )
    one_hot = tf.one_hot(labels, generator.inputs[1].shape[-1])
    with tf.GradientTape() as tape:
        images = generator([tf.constant(z), one_hot], training=False)
        # Weighted at random: of a plain mean, what has a mean of 0 by construction knows no gradient.
        weights = np.random.default_rng(0).standard_normal(images.shape).astype(np.float32)
        loss = tf.reduce_mean(images * weights)
    gradients = [None if g is None else tf.convert_to_tensor(g).numpy() for g in tape.gradient(loss, variables)]
    without = sum(gradient is None or not np.any(gradient) for gradient in gradients)
    if without == len(variables):
        raise InputError(
            f"{name} has {len(variables)} trainable weights, but no gradient from its images reaches any of them: save it "
            "without rounding, whole numbers or stop_gradient after its layers."
        )
    if not all(gradient is None or np.isfinite(gradient).all() for gradient in gradients):
        raise InputError(
            f"{name} has a gradient that is NaN or infinite: look for a root, logarithm or division at 0 in it."
        )
    return {"trainable_weights": len(variables), "weights_without_gradient": without}
