"""The PIR estimator R: image -> [0, 1], a backbone and one dense layer of logits (2.3, C.3).

Two functional models share one set of weights. The network maps images to logits and is what is trained. With a
temperature, softmax and bin centres after it, as stock layers, it maps images to PIR: that is what is saved, loaded and
frozen in tuning. `PIREstimator` holds both and has the training step. What is not here: the training run (`train`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError, one_line
from pir_tf.estimator import backbones
from pir_tf.estimator.bins import bin_centers, check_temperature, pir_loss
from pir_tf.estimator.hub import SavedModelLayer
from pir_tf.images import require_images, to_float
from pir_tf.runs.directory import atomic, atomic_folder
from pir_tf.training import replicas
from pir_tf.training.checkpoints import state_of
from pir_tf.training.devices import require_channels_last

LOGITS = "logits"
KERAS_NAME = "estimator.keras"
SAVED_MODEL_NAME = "estimator"


class PIREstimator(replicas.BuiltModel):
    """The PIR estimator while it is trained.

    `compile` it with one optimizer and `fit` it to (images, counts): images float32 [b, h, w, 3] in [-1, 1], counts
    whole numbers [b, 2], impressions and positives of each image. The step turns counts into bins and takes the
    cross-entropy from the logits, at temperature 1. Called, it returns the PIR at the temperature of use, always in
    inference mode.

    Args:
        network: Functional model from images to its layer `logits`, [b, bins], or [b, 1] for the scalar output.
        temperature: Temperature of the softmax in use, above 0.

    Attributes:
        network: As given.
        pir_model: `with_pir(network)`: images to PIR [b, 1], stock layers only unless the backbone is a TF-Hub module.

    Source: 2.3, C.3.
    """

    def __init__(self, network: keras.Model, *, temperature: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.pir_model = with_pir(network, temperature=temperature)
        self.loss_mean = keras.metrics.Mean(name="loss")
        replicas.synchronize(network)
        self.jit_compile = False  # Keras's own choice differs between one GPU and all else
        self.built = True

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The mean loss alone, so that Keras resets it each epoch."""
        return [self.loss_mean]

    def call(self, images: tf.Tensor, training: bool = False) -> tf.Tensor:
        """R(images), float32 [b] in [0, 1]; `training` changes nothing."""
        del training
        return self.pir_model(images, training=False)[:, 0]

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """One step of the optimizer on a batch's mean cross-entropy."""
        images, counts = replicas.never_empty(data)
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss = pir_loss(self.network(images, training=True), counts[:, 0], counts[:, 1])
            share = replicas.share(tf.math.count_nonzero(counts[:, 0], dtype=tf.int32))  # what the loss is a mean over
            part = share.scaled(loss)
        self.optimizer.apply(tape.gradient(part, [weight.value for weight in weights]), weights)
        return self._mean_loss(share, loss)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The mean cross-entropy of a batch, in inference mode."""
        images, counts = replicas.never_empty(data)
        loss = pir_loss(self.network(images, training=False), counts[:, 0], counts[:, 1])
        return self._mean_loss(replicas.share(tf.math.count_nonzero(counts[:, 0], dtype=tf.int32)), loss)

    def _mean_loss(self, share: replicas.Share, loss: tf.Tensor) -> dict[str, tf.Tensor]:
        self.loss_mean.update_state(share.mean({"loss": loss})["loss"])
        return replicas.logs({"loss": self.loss_mean.result()})

    @property
    def step(self) -> keras.Variable:
        """How many steps are done."""
        return self.optimizer.iterations

    def state(self) -> dict[str, keras.Variable]:
        """Every variable that the next step depends on, by name: what a checkpoint holds."""
        return state_of({"network": self.network}, [self.optimizer])

    def saved_model(self) -> keras.Model:
        """The functional model from images to PIR [b, 1], as it is saved."""
        return self.pir_model


def build_network(config: EstimatorConfig, *, seed: int, pretrained: bool = True) -> keras.Model:
    """The backbone and a dense layer of logits, which begins at 0: every bin is as likely as any other.

    Args:
        config: The estimator's configuration.
        seed: Seed of the first weights.
        pretrained: False if all weights will be replaced anyway.

    Returns:
        A functional model from images, float32 [b, h, w, 3] in [-1, 1], to its layer `logits`, float32 [b, bins] or
        [b, 1].

    Raises:
        InputError: If the backbone can't be built.

    Source: 2.3, C.3.
    """
    require_channels_last()
    backbone = backbones.build_backbone(config, seed=seed, pretrained=pretrained)
    units = 1 if config.output == "scalar" else config.bins
    logits = layers.Dense(units, kernel_initializer="zeros", dtype="float32", name=LOGITS)(backbone.output)
    return keras.Model(backbone.input, logits, name="pir_network")


def with_pir(network: keras.Model, *, temperature: float) -> keras.Model:
    """The network with stock layers after it that turn logits into PIR; the weights are shared.

    Args:
        network: Functional model from images to logits, [b, bins] or [b, 1].
        temperature: T, above 0; it has no part in the scalar output, which is a sigmoid.

    Returns:
        A functional model from images to its layer `pir`, float32 [b, 1] in [0, 1]: `bins.expected_pir` in layers.

    Raises:
        InputError: If the temperature is not a finite number above 0.

    Source: C.3.

    Deviation: D7.
    """
    check_temperature(temperature)
    (logits,) = network.outputs
    bins = logits.shape[-1]
    if bins == 1:
        pir = layers.Activation("sigmoid", dtype="float32", name="pir")(logits)
    else:
        x = layers.Rescaling(1.0 / temperature, dtype="float32", name="temperature")(logits)
        x = layers.Softmax(dtype="float32", name="probabilities")(x)
        centers = layers.Dense(1, use_bias=False, trainable=False, dtype="float32", name="pir")
        pir = centers(x)
        centers.set_weights([bin_centers(bins)[:, None]])
    model = keras.Model(network.input, pir, name="pir_estimator")
    model.jit_compile = False
    return model


def network_of(saved: keras.Model) -> keras.Model:
    """The inverse of `with_pir`, for a loaded estimator: images to logits. Shares the weights.

    Raises:
        InputError: If the model has no layer `logits`.
    """
    names = [layer.name for layer in saved.layers]
    if LOGITS not in names:
        raise InputError(
            f"The estimator has the layers {', '.join(names)}; expected {LOGITS} among them: name an {KERAS_NAME} "
            "that pir_tf saved."
        )
    return keras.Model(saved.input, saved.get_layer(LOGITS).output, name="pir_network")


def frozen(model: keras.Model) -> keras.Model:
    """The same model with every layer, nested ones too, set not to train.

    Call it with `training=False` all the same: dropout heeds that alone.

    Source: 2.3, C.3.
    """
    model.trainable = False
    for layer in model.layers:
        layer.trainable = False
        if isinstance(layer, keras.Model):
            frozen(layer)
    return model


def estimate(model: keras.Model, images: npt.NDArray[np.uint8], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
    """Estimated PIR of images, in inference mode.

    Args:
        model: A `PIREstimator`, or a saved and loaded estimator.
        images: uint8 [n, h, w, 3].
        batch_size: Images at once; it changes nothing but rounding.

    Returns:
        float32 [n] in [0, 1].

    Raises:
        InputError: If the images are not uint8 [n, h, w, 3].
    """
    require_images(images, uint8=True)
    if len(images) == 0:
        return np.zeros(0, np.float32)
    return outputs(model, images, batch_size=batch_size).reshape(len(images))


def outputs(model: keras.Model, images: npt.NDArray[np.uint8], *, batch_size: int) -> npt.NDArray[np.float32]:
    """What a model gives for images, in inference mode, by plain calls: `predict` traces a graph for every new model.

    All calls have one size, the last one filled up with its last image, so that where an image stands doesn't choose
    the kernels that compute it.

    Args:
        model: A model of images, float32 [b, h, w, 3] in [-1, 1].
        images: uint8 [n, h, w, 3], one or more.
        batch_size: Images at once.

    Returns:
        float32 [n, ...].
    """
    size = min(batch_size, len(images))
    parts = []
    for start in range(0, len(images), size):
        rows = np.minimum(np.arange(start, start + size), len(images) - 1)
        parts.append(keras.ops.convert_to_numpy(model(tf.constant(to_float(images[rows])), training=False)))
    return np.concatenate(parts)[: len(images)].astype(np.float32, copy=False)


def is_stock(model: keras.Model) -> bool:
    """Whether the model holds stock layers only, so that it can be saved as `.keras`."""
    return not any(isinstance(layer, SavedModelLayer) for layer in model.layers)


def save_estimator(estimator: PIREstimator, folder: str | os.PathLike[str]) -> Path:
    """Saves images -> PIR into the folder, under its final name only when whole.

    Args:
        estimator: A trained estimator.
        folder: Created if need be.

    Returns:
        The file `estimator.keras`; or, with a TF-Hub backbone, the SavedModel folder `estimator`, which carries the
        module's weights.
    """
    model = estimator.saved_model()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    if is_stock(model):
        path = folder / KERAS_NAME
        with atomic(path) as beside:
            model.save(beside)
        return path
    path = folder / SAVED_MODEL_NAME
    with atomic_folder(path) as beside:
        model.export(beside, format="tf_saved_model", verbose=False)
    return path


def saved_estimator(folder: Path) -> Path:
    """Where `save_estimator` left an estimator in a folder: a `.keras` file, or with a TF-Hub backbone a SavedModel."""
    stock, other = folder / KERAS_NAME, folder / SAVED_MODEL_NAME
    return other if other.is_dir() and not stock.exists() else stock


def load_estimator(path: str | os.PathLike[str]) -> keras.Model:
    """A saved estimator: images, float32 [b, h, w, 3] in [-1, 1], to PIR [b, 1], not compiled and frozen.

    Args:
        path: What `save_estimator` returned.

    Raises:
        InputError: If there is no whole estimator at that path.
    """
    path = Path(path)
    if path.is_dir():
        images = keras.Input((None, None, 3), name="images")
        pir = SavedModelLayer(path, image_size=64, trainable=False, name="pir")(images)
        model = keras.Model(images, pir, name="pir_estimator")
    else:
        try:
            model = keras.models.load_model(path, compile=False)
        except (OSError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise InputError(
                f"The estimator {path} can't be loaded ({one_line(error)}); expected an {KERAS_NAME} that pir_tf "
                "saved: correct the path, or train the estimator again."
            ) from error
    model.jit_compile = False
    return frozen(model)
