"""Training the PIR estimator on the images that people reacted to (2.3, C.3, A.3).

Batch t is a function of the seed and t alone. Images are never flipped or cropped: the PIR may depend on where
something is. What is not here: the step itself (`model.PIREstimator`) and how good the result is (`quality`).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pir_tf.config import ComputeConfig, EstimatorConfig, decisive_fields
from pir_tf.errors import InputError
from pir_tf.estimator import hub
from pir_tf.estimator.bootstrap import REPLICATES, Readout, resampled, with_doubt
from pir_tf.estimator.features import frozen_features
from pir_tf.estimator.heads import Head, Scalar, first_bias, head_of
from pir_tf.estimator.linear import LinearEstimator
from pir_tf.estimator.model import (
    LOGITS,
    PIREstimator,
    backbone_of,
    build_network,
    is_stock,
    load_estimator,
    load_saved,
    network_of,
    outputs,
)
from pir_tf.estimator.ridge import LEAST_SPREAD
from pir_tf.images import require_images, tensor_to_float
from pir_tf.interactions.records import Interactions
from pir_tf.training import replicas, xla
from pir_tf.training.callbacks import track
from pir_tf.training.fit import Schedule, Stream, fit_resumable
from pir_tf.training.precision import mixed

FeatureMaker = Callable[[keras.Model, npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From a backbone and uint8 images [n, h, w, 3] to its features of them, float32 [n, f], in inference mode."""

FEATURES_AT_ONCE = 32


def backbone_features(backbone: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The backbone's features of all images, computed now: the `FeatureMaker` that remembers nothing."""
    return outputs(backbone, images, batch_size=FEATURES_AT_ONCE)


def fit_estimator(
    images: npt.NDArray[np.uint8],
    interactions: Interactions,
    config: EstimatorConfig,
    *,
    seed: int,
    initial: str | os.PathLike[str] | None = None,
    features: FeatureMaker = backbone_features,
    compute: ComputeConfig | None = None,
    directory: Path | None = None,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    discriminator: keras.Model | None = None,
) -> PIREstimator | LinearEstimator:
    """Trains an estimator on all images with impressions, on the devices of the strategy in whose scope this is called.

    Args:
        images: uint8 [n, h, w, 3].
        interactions: Their counts, row i for image i; rows without impressions are left out.
        config: The estimator's configuration.
        seed: Seed of the first weights and of the batches; one seed gives equal weights on one machine.
        initial: A saved estimator whose weights training starts from, with fresh optimizer state (A.3's second round); with
            `output linear` its features are kept, a discriminator's copy among them.
        features: With `trainable: head`, how the features are made; it may know those of some images already.
        compute: Of this section `jit_compile` and `precision`, the latter in training alone.
        directory: Where training saves `checkpoints/` and resumes from; None for neither.
        callbacks: Keras callbacks, of the chief alone in a job of several processes. An epoch is one pass over the images,
            rounded up to whole batches; the last one may be shorter, so that all of them have `config.steps` steps. With
            `trainable: head` their model is one of features alone.
        discriminator: The generator's, where the config's backbone has it as a part; it is copied.

    Returns:
        The trained estimator; its `history` is that of `fit`. With `output linear` a `LinearEstimator`, which is not trained but
        solved for.

    Raises:
        InputError: If images and interactions don't belong together, none has impressions, weights are missing, `initial` is
            another network, or the observed PIRs leave bins without a range or a scalar without a start.
        FloatingPointError: If training diverged.

    Source: 2.3, C.3, A.3.

    Deviation: D6, D21.
    """
    images, counts = _rated(images, interactions)
    if config.output == "linear":
        frozen = (
            backbone_of(load_saved(initial))
            if initial is not None
            else frozen_features(config, seed=seed, discriminator=discriminator)
        )
        groups = interactions.group[interactions.rated]
        return LinearEstimator.fit(frozen, features(frozen, images), counts, groups)
    compute = compute or ComputeConfig()
    pir = counts[:, 1] / counts[:, 0]
    head, bias = head_of(config, pir), first_bias(config, pir) if initial is None else 0.0
    network = build_network(config, seed=seed, pretrained=initial is None)
    if initial is not None:
        move_bins(network, restore(network, initial), head)
    elif bias:
        network.get_layer(LOGITS).bias.assign([bias])
    estimator = PIREstimator(network, head, temperature=config.temperature)
    data = hashlib.sha256(np.ascontiguousarray(images).data)
    data.update(counts.data)
    facts = {"seed": seed, "images and counts": data.hexdigest(), "first weights": initial is not None}

    pays = config.trainable == "all" and is_stock(network)
    compiled = xla.form(compute, config.steps, pays=pays) == "on"

    def fit(model: PIREstimator, inputs: npt.NDArray[Any], counts: npt.NDArray[Any] = counts, **more: Any) -> None:
        own = {"seed": seed, "directory": directory, "callbacks": callbacks, **more}
        model.compile(optimizer=keras.optimizers.Adam(config.learning_rate), jit_compile=compiled)
        model.optimizer.build(model.trainable_variables)
        epoch = min(config.steps, -(-len(inputs) // config.batch_size))
        fit_resumable(
            model,
            _stream(inputs, counts, config.steps, own["seed"]),
            Schedule(config.steps, config.batch_size, epoch, config.checkpoint_every, config.checkpoint_minutes),
            own["directory"],
            {**decisive_fields("estimator", config), **facts},
            chief_callbacks=own["callbacks"],
        )

    if config.trainable == "head":
        known = features(keras.Model(network.input, network.get_layer("features").output), images)
        layer = network.get_layer(LOGITS)
        start, temperature = layer.get_weights(), config.temperature
        readout, estimator.history = _fit_head(start, known, head, temperature, fit)
        layer.set_weights(readout)
        if config.pessimism:  # of which no checkpoint is kept: after a kill they begin again
            others = []
            for rows, own in track(resampled(len(known), seed=seed), "Readouts of other images", REPLICATES, "readout"):
                alone: Any = functools.partial(fit, counts=counts[rows], seed=own, directory=None, callbacks=())
                others.append(_fit_head(start, known[rows], head, temperature, alone)[0])
            estimator.doubtful = with_doubt(estimator.pir_model, head, temperature, others)
    else:
        with mixed(compute.precision, network):
            fit(estimator, images)
    return estimator


def _rated(
    images: npt.NDArray[np.uint8], interactions: Interactions
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The images with impressions, and impressions and positives of each [n, 2]; float64 where positives are fractions."""
    require_images(images, uint8=True)
    if len(images) != len(interactions):
        raise InputError(
            f"There are {len(images)} images and {len(interactions)} rows of interactions; expected one row for each "
            "image: choose those that belong together."
        )
    rated, devices = interactions.rated, tf.distribute.get_strategy().num_replicas_in_sync
    if not rated.any():
        raise InputError(
            f"None of the {len(images)} images has impressions; expected some, since the estimator learns from them: "
            "collect answers first."
        )
    if rated.sum() < devices:
        raise InputError(
            f"There are {rated.sum()} images with impressions for {devices} devices; expected one for each at least: use "
            "fewer devices."
        )
    return images[rated], np.stack([interactions.impressions[rated], interactions.positives[rated]], axis=1)


def restore(network: keras.Model, path: str | os.PathLike[str]) -> npt.NDArray[np.float32]:
    """Puts a saved estimator's weights into a network of the same config, all of them or none.

    Args:
        network: A model that `build_network` made.
        path: What `save_estimator` returned.

    Returns:
        The centres of the saved estimator's bins, [count]; none of a scalar's.

    Raises:
        InputError: If there is no estimator at that path, or its weights have other shapes.

    Source: A.3.
    """
    path = Path(path)
    if path.is_dir():  # with a TF-Hub backbone; the bin centres come last and are no part of the network
        variables, count = list(hub.load(path).variables), len(network.variables)
        found, centers = variables[:count], variables[count:]
    else:
        saved = load_estimator(path)
        found, centers = network_of(saved).variables, saved.layers[-1].weights
    for mine, theirs in itertools.zip_longest(network.variables, found):
        expected, received = ("nothing" if variable is None else tuple(variable.shape) for variable in (mine, theirs))
        if received != expected:
            raise InputError(
                f"The estimator {path} has {received} where the config's network has {expected}; expected the same network: "
                "use the backbone, layer, output and bins that it was trained with."
            )
    for variable, value in zip(network.variables, found, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))
    return np.concatenate(
        [keras.ops.convert_to_numpy(weight).ravel() for weight in centers] or [np.zeros(0, np.float32)]
    )


def move_bins(network: keras.Model, before: npt.NDArray[np.float32], head: Head) -> None:
    """Makes logits of bins with the centres `before` [count] those of the head's bins, where these lie elsewhere.

    As with `bin_range data` in a second round, whose answers span more. Each bin takes the logit of the bin that was nearest
    to its centre, and all that take one share its probability equally: so an image's estimate hardly changes. Not the paper's.
    """
    if isinstance(head, Scalar) or np.array_equal(before, head.centers()):
        return
    nearest = np.abs(head.centers()[:, None] - before).argmin(axis=1)
    layer, takers = network.get_layer(LOGITS), np.bincount(nearest)[nearest]
    kernel, bias = layer.get_weights()
    layer.set_weights([kernel[:, nearest], bias[nearest] - np.log(takers)])


def batch_order(count: int, batch_size: int, steps: int, *, seed: int) -> npt.NDArray[np.int32]:
    """Which images each step sees: one permutation after another, cut into batches, which may span two of them.

    Args:
        count: Number of images, 1 or more.
        batch_size: Images of a batch.
        steps: Number of batches.
        seed: Seed; row t depends on it and on t, not on the number of steps.

    Returns:
        int32 [steps, batch_size], each 0 to count - 1.
    """
    passes = -(-steps * batch_size // count)
    order = [np.random.default_rng([seed, epoch]).permutation(count) for epoch in range(passes)]
    return np.concatenate(order)[: steps * batch_size].reshape(steps, batch_size).astype(np.int32)


def _stream(inputs: npt.NDArray[Any], counts: npt.NDArray[np.int64], steps: int, seed: int) -> Stream:
    """Batches of uint8 images, made floats on the way, or of features."""
    with tf.device("CPU:0"):  # where tf.data runs
        all_inputs, all_counts = tf.constant(inputs), tf.constant(counts)

    @tf.autograph.experimental.do_not_convert  # nothing in it is to be converted
    def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        chosen = tf.gather(all_inputs, rows)
        return tensor_to_float(chosen) if chosen.dtype == tf.uint8 else chosen, tf.gather(all_counts, rows)

    def stream(part: replicas.Part, first_step: int) -> tf.data.Dataset:
        mine = np.arange(len(inputs), dtype=np.int32)[part.index :: part.count]
        order = mine[batch_order(len(mine), part.batch_size, steps, seed=seed + part.seed_offset)[first_step:]]
        return tf.data.Dataset.from_tensor_slices(order).map(batch).repeat().prefetch(tf.data.AUTOTUNE)

    return stream


def _fit_head(
    start: Readout,
    features: npt.NDArray[np.float32],
    head: Head,
    temperature: float,
    fit: Callable[[PIREstimator, npt.NDArray[Any]], None],
) -> tuple[Readout, Any]:
    """Trains logits alone, from a start, on standardized features, and folds the standardization into them; their history too.

    Features of an early layer differ in scale by orders of magnitude, and Adam's steps are alike for all weights. With
    m and s the features' means and spreads, logits = W' (x - m) / s + b' is the layer with W = W' / s and b = b' - W m.
    """
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, LEAST_SPREAD * spread.mean() or 1.0)
    kernel, bias = start
    inputs = keras.Input(features.shape[1:], name="standardized_features")
    layer = keras.layers.Dense(head.units, dtype="float32", name=LOGITS)
    model = PIREstimator(keras.Model(inputs, layer(inputs)), head, temperature=temperature)
    layer.set_weights([kernel * spread[:, None], bias + mean @ kernel])
    fit(model, (features - mean) / spread)
    kernel, bias = layer.get_weights()
    kernel = kernel / spread[:, None]
    return (kernel, bias - mean @ kernel), model.history
