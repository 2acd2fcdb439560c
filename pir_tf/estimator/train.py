"""Training the PIR estimator on the images that people reacted to (2.3, C.3, A.3).

Batch t is a function of the seed and t alone. Images are never flipped or cropped: the PIR may depend on where
something is. What is not here: the step itself (`model.PIREstimator`) and how good the result is (`quality`).
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pir_tf.config import EstimatorConfig, decisive_fields
from pir_tf.errors import InputError
from pir_tf.estimator import hub
from pir_tf.estimator.heads import head_of
from pir_tf.estimator.model import (
    LOGITS,
    PIREstimator,
    build_network,
    check_images,
    load_estimator,
    network_of,
    outputs,
    to_float,
)
from pir_tf.interactions.records import Interactions
from pir_tf.training import checkpoints, replicas
from pir_tf.training.precision import mixed

FeatureMaker = Callable[[keras.Model, npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""From a backbone and uint8 images [n, h, w, 3] to its features of them, float32 [n, f], in inference mode."""

FEATURES_AT_ONCE = 32
LEAST_SPREAD = 0.01  # of the mean spread: a feature that hardly varies in training must not explode on other images


def backbone_features(backbone: keras.Model, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """The backbone's features of all images, computed now: the `FeatureMaker` that remembers nothing."""
    return outputs(backbone, images, batch_size=FEATURES_AT_ONCE)


def fit_estimator(
    images: npt.NDArray[np.uint8],
    interactions: Interactions,
    config: EstimatorConfig,
    *,
    seed: int,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    initial: str | os.PathLike[str] | None = None,
    jit_compile: bool = False,
    precision: str = "float32",
    strategy: tf.distribute.Strategy | None = None,
    checkpoint_directory: Path | None = None,
    features: FeatureMaker = backbone_features,
) -> PIREstimator:
    """Trains an estimator on all images with impressions.

    Args:
        images: uint8 [n, h, w, 3].
        interactions: Their counts, row i for image i; rows without impressions are left out.
        config: The estimator's configuration.
        seed: Seed of the first weights and of the batches; one seed gives equal weights on one machine.
        callbacks: Keras callbacks. An epoch is one pass over the images, rounded up to whole batches; the last one may
            be shorter, so that all of them have `config.steps` steps. With `trainable: head` their model is one of
            features alone.
        initial: A saved estimator whose weights training starts from, with fresh optimizer state (A.3's second round).
        jit_compile: Whether the training step is compiled with XLA.
        precision: `float32` or `mixed_bfloat16`, in training alone.
        strategy: On which devices it is made and trained; default one.
        checkpoint_directory: Where training saves every `config.checkpoint_every` steps and resumes from; None for
            neither.
        features: With `trainable: head`, how the features are made; it may know those of some images already.

    Returns:
        The trained estimator; its `history` is that of `fit`.

    Raises:
        InputError: If images and interactions don't belong together, none has impressions, weights are missing, or
            `initial` is another network.

    Source: 2.3, C.3, A.3.

    Deviation: D6, D21.
    """
    check_images(images)
    if len(images) != len(interactions):
        raise InputError(
            f"There are {len(images)} images and {len(interactions)} rows of interactions; expected one row for each "
            "image: choose those that belong together."
        )
    rated = interactions.rated
    if not rated.any():
        raise InputError(
            f"None of the {len(images)} images has impressions; expected some, since the estimator learns from them: "
            "collect answers first."
        )
    images = images[rated]
    counts = np.stack([interactions.impressions[rated], interactions.positives[rated]], axis=1)
    with (strategy or tf.distribute.get_strategy()).scope():
        network = build_network(config, seed=seed, pretrained=initial is None)
        if initial is not None:
            restore(network, initial)
        estimator = PIREstimator(network, head_of(config), temperature=config.temperature)
    data = hashlib.sha256(np.ascontiguousarray(images).data)
    data.update(counts.data)
    facts = {"seed": seed, "images and counts": data.hexdigest(), "first weights": initial is not None}
    made_by = {**decisive_fields("estimator", config), **facts}
    run = _Fit(config, seed, callbacks, jit_compile, checkpoint_directory, made_by)
    if config.trainable == "head":
        backbone = keras.Model(network.input, network.get_layer("features").output)
        _fit_head(estimator, features(backbone, images), counts, run)
    else:
        with mixed(precision, network):
            run(estimator, images, counts)
    return estimator


def restore(network: keras.Model, path: str | os.PathLike[str]) -> None:
    """Puts a saved estimator's weights into a network of the same config, all of them or none.

    Args:
        network: A model that `build_network` made.
        path: What `save_estimator` returned.

    Raises:
        InputError: If there is no estimator at that path, or its weights have other shapes.

    Source: A.3.
    """
    path = Path(path)
    if path.is_dir():  # with a TF-Hub backbone; the bin centres come last and are no part of the network
        found = list(hub.load(path).variables)[: len(network.variables)]
    else:
        found = network_of(load_estimator(path)).variables
    shapes = [tuple(variable.shape) for variable in found]
    for index, variable in enumerate(network.variables):
        shape = shapes[index] if index < len(shapes) else "nothing"
        if shape != tuple(variable.shape):
            raise InputError(
                f"The estimator {path} has {shape} where the config's network has {variable.path} "
                f"{tuple(variable.shape)}; expected the same network: use the backbone, layer, output and bins that "
                "it was trained with."
            )
    if len(found) != len(network.variables):
        raise InputError(
            f"The estimator {path} has {len(found)} arrays; expected the {len(network.variables)} of the config's "
            "network: use the backbone, layer, output and bins that it was trained with."
        )
    for variable, value in zip(network.variables, found, strict=True):
        variable.assign(keras.ops.convert_to_numpy(value))


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


class _StopAfter(keras.callbacks.Callback):
    """Ends training after exactly so many steps, also within an epoch."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.left = steps

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        self.left -= 1
        if self.left <= 0:
            self.model.stop_training = True


@dataclasses.dataclass(frozen=True)
class _Fit:
    """`fit` for exactly `config.steps` steps, on uint8 images or on features, going on from a checkpoint."""

    config: EstimatorConfig
    seed: int
    callbacks: Sequence[keras.callbacks.Callback]
    jit_compile: bool
    checkpoint_directory: Path | None
    made_by: checkpoints.Facts

    def __call__(self, estimator: PIREstimator, inputs: npt.NDArray[Any], counts: npt.NDArray[np.int64]) -> None:
        config = self.config
        strategy = estimator.distribute_strategy
        with strategy.scope():
            estimator.compile(optimizer=keras.optimizers.Adam(config.learning_rate), jit_compile=self.jit_compile)
            estimator.optimizer.build(estimator.trainable_variables)
        first, saving = self._resume(estimator)
        if first >= config.steps:  # `fit` would begin another pass
            done = keras.callbacks.CallbackList([*self.callbacks, *saving], model=estimator)
            done.on_train_begin()
            done.on_train_end()
            return
        with tf.device("CPU:0"):  # where tf.data runs
            all_inputs, all_counts = tf.constant(inputs), tf.constant(counts)

        def batch(rows: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            chosen = tf.gather(all_inputs, rows)
            return to_float(chosen) if chosen.dtype == tf.uint8 else chosen, tf.gather(all_counts, rows)

        def stream(part: replicas.Part) -> tf.data.Dataset:
            mine = np.arange(len(inputs), dtype=np.int32)[part.index :: part.count]
            seed = self.seed + part.seed_offset
            order = mine[batch_order(len(mine), part.batch_size, config.steps, seed=seed)[first:]]
            return tf.data.Dataset.from_tensor_slices(order).map(batch).repeat().prefetch(tf.data.AUTOTUNE)

        devices = strategy.num_replicas_in_sync
        if len(inputs) < devices:
            raise InputError(
                f"There are {len(inputs)} images with impressions for {devices} devices; expected one for each at least: use "
                "fewer devices."
            )
        data = replicas.distributed(strategy, stream, batch_size=config.batch_size)
        steps_per_epoch = min(config.steps, -(-len(inputs) // config.batch_size))
        estimator.fit(
            data,
            epochs=-(-config.steps // steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            initial_epoch=first // steps_per_epoch,
            callbacks=[*self.callbacks, *saving, _StopAfter(config.steps - first)],
            shuffle=False,  # the batches come in their order
            verbose=0,
        )

    def _resume(self, estimator: PIREstimator) -> tuple[int, list[keras.callbacks.Callback]]:
        """The step that the newest checkpoint holds, restored, and the callback that saves; (0, []) without a place."""
        if self.checkpoint_directory is None:
            return 0, []
        first = checkpoints.restore_latest(self.checkpoint_directory, _state(estimator), self.made_by)
        replicas.require_one_step(estimator.distribute_strategy, first, self.checkpoint_directory)
        step = lambda: int(estimator.optimizer.iterations.numpy())  # noqa: E731
        saving = checkpoints.SaveCheckpoints(
            self.checkpoint_directory,
            every=self.config.checkpoint_every,
            minutes=self.config.checkpoint_minutes,
            state=lambda: _state(estimator),
            step=step,
            made_by=self.made_by,
        )
        return first, [saving] if replicas.is_chief(estimator.distribute_strategy) else []


def _state(estimator: PIREstimator) -> dict[str, Any]:
    """Weights, optimizer state and random states, by their place: InceptionV3's layers are named by what was made before."""
    groups = {"network": estimator.network.weights, "optimizer": estimator.optimizer.variables}
    named = {f"{group}/{i:03d}": variable for group, some in groups.items() for i, variable in enumerate(some)}
    return {**named, **checkpoints.random_states([estimator.network])}


def _fit_head(
    estimator: PIREstimator, features: npt.NDArray[np.float32], counts: npt.NDArray[np.int64], run: _Fit
) -> None:
    """Trains the layer `logits` alone, on standardized features, and folds the standardization into it.

    Features of an early layer differ in scale by orders of magnitude, and Adam's steps are alike for all weights. With
    m and s the features' means and spreads, logits = W' (x - m) / s + b' is the layer with W = W' / s and b = b' - W m.
    """
    layer = estimator.network.get_layer(LOGITS)
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.maximum(spread, LEAST_SPREAD * spread.mean() or 1.0)
    kernel, bias = layer.get_weights()
    with estimator.distribute_strategy.scope():
        inputs = keras.Input(features.shape[1:], name="standardized_features")
        head_layer = keras.layers.Dense(layer.units, dtype="float32", name=LOGITS)
        network = keras.Model(inputs, head_layer(inputs))
        head = PIREstimator(network, estimator.head, temperature=run.config.temperature)
    head_layer.set_weights([kernel * spread[:, None], bias + mean @ kernel])
    standardized = (features - mean) / spread
    run(head, standardized, counts)
    kernel, bias = head_layer.get_weights()
    kernel = kernel / spread[:, None]
    layer.set_weights([kernel, bias - mean @ kernel])
    estimator.history = getattr(head, "history", None)
