"""The PIR estimator R: image -> [0, 1], a backbone and one dense layer of logits (2.3, C.3).

Two functional models share one set of weights. The network maps images to logits and is what is trained. With the head's stock
layers after it, it maps images to PIR at the temperature of use: that is what is saved, loaded and frozen in tuning.
`PIREstimator` holds both and has the training step. What is not here: the training run (`train`).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import backbones
from pir_tf.estimator.heads import Head, head_of
from pir_tf.estimator.hub import SavedModelLayer
from pir_tf.estimator.linear import LinearEstimator
from pir_tf.images import require_images, to_float
from pir_tf.runs.directory import atomic, atomic_folder
from pir_tf.runs.models import load_model, unusable
from pir_tf.training import replicas
from pir_tf.training.checkpoints import state_of
from pir_tf.training.devices import require_channels_last
from pir_tf.training.steps import SteppedModel

LOGITS = "logits"
KERAS_NAME = "estimator.keras"
SAVED_MODEL_NAME = "estimator"


class PIREstimator(SteppedModel):
    """The PIR estimator while it is trained.

    `compile` it with one optimizer and `fit` it to (images, counts): images float32 [b, h, w, 3] in [-1, 1], counts
    whole numbers [b, 2], impressions and positives of each image. Called, it returns the PIR at the temperature of use,
    always in inference mode.

    Args:
        network: Functional model from images to its layer `logits`, [b, head.units].
        head: What the logits mean.
        temperature: Temperature of the softmax in use, above 0.

    Attributes:
        pir_model: `with_pir(network, head)`: images to PIR [b, 1], stock layers only unless the backbone is a TF-Hub module.
        doubtful: Images to PIR and its standard deviation, where `bootstrap.with_doubt` made one.

    Source: 2.3, C.3.
    """

    def __init__(self, network: keras.Model, head: Head, *, temperature: float = 0.01, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.network = network
        self.head = head
        self.pir_model = with_pir(network, head, temperature=temperature)
        self.doubtful: keras.Model | None = None
        self.loss_mean = keras.metrics.Mean(name="loss")
        replicas.synchronize(network)
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
        """One step of the optimizer on a batch's mean loss."""
        return self.compiled_update(data) if self.by_xla else self.update(data)

    def update(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The step itself."""
        weights = self.trainable_variables
        with tf.GradientTape() as tape:
            loss, share = self._loss(data, training=True)
            part = share.scaled(loss)
        self.optimizer.apply(tape.gradient(part, [weight.value for weight in weights]), weights)
        return self._mean_loss(share, loss)

    def test_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The mean loss of a batch, in inference mode."""
        loss, share = self._loss(data, training=False)
        return self._mean_loss(share, loss)

    def _loss(self, data: tuple[tf.Tensor, tf.Tensor], *, training: bool) -> tuple[tf.Tensor, replicas.Share]:
        images, counts = replicas.never_empty(data)
        loss = self.head.loss(self.network(images, training=training), counts[:, 0], counts[:, 1])
        return loss, replicas.share(tf.math.count_nonzero(counts[:, 0], dtype=tf.int32))  # what the loss is a mean over

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
        """The functional model from images to PIR [b, 1], and to its standard deviation where it has one, as it is saved."""
        return self.doubtful or self.pir_model


def build_network(config: EstimatorConfig, *, seed: int, pretrained: bool = True) -> keras.Model:
    """The backbone and a dense layer of logits, which begins at 0: every bin is as likely as any other.

    Args:
        config: The estimator's configuration.
        seed: Seed of the first weights.
        pretrained: False if all weights will be replaced anyway.

    Returns:
        A functional model from images, float32 [b, h, w, 3] in [-1, 1], to its layer `logits`, float32 [b, units].

    Source: 2.3, C.3.
    """
    require_channels_last()
    backbone = backbones.build_backbone(config, seed=seed, pretrained=pretrained)
    units = head_of(config).units
    logits = layers.Dense(units, kernel_initializer="zeros", dtype="float32", name=LOGITS)(backbone.output)
    return keras.Model(backbone.input, logits, name="pir_network")


def with_pir(network: keras.Model, head: Head, *, temperature: float) -> keras.Model:
    """The network with the head's layers after it: images to PIR, float32 [b, 1] in [0, 1]. Shares the weights."""
    (logits,) = network.outputs
    model = keras.Model(network.input, head.pir(logits, temperature), name="pir_estimator")
    model.jit_compile = False
    return model


def network_of(saved: keras.Model) -> keras.Model:
    """The inverse of `with_pir`, for a loaded estimator: images to logits. An `InputError` if it has no layer `logits`."""
    return _up_to(saved, LOGITS)


def backbone_of(saved: keras.Model) -> keras.Model:
    """A loaded estimator's backbone: images to features."""
    return _up_to(saved, "features")


def _up_to(saved: keras.Model, layer: str) -> keras.Model:
    names = [layer.name for layer in saved.layers]
    if layer not in names:
        raise InputError(
            f"The estimator has the layers {', '.join(names)}; expected {layer} among them: name an {KERAS_NAME} "
            "that pir_tf saved."
        )
    return keras.Model(saved.input, saved.get_layer(layer).output, name="pir_network")


def estimate(model: keras.Model, images: npt.NDArray[np.uint8], *, batch_size: int = 64) -> npt.NDArray[np.float32]:
    """Estimated PIR of images, float32 [n] in [0, 1], in inference mode.

    Args:
        model: A `PIREstimator`, or a saved and loaded estimator.
        images: uint8 [n, h, w, 3].
        batch_size: Images at once; it changes nothing but rounding.
    """
    require_images(images, uint8=True)
    if len(images) == 0:
        return np.zeros(0, np.float32)
    return outputs(model, images, batch_size=batch_size).reshape(len(images))


def outputs(model: keras.Model, images: npt.NDArray[np.uint8], *, batch_size: int) -> npt.NDArray[np.float32]:
    """What a model gives for uint8 images [n, h, w, 3], one or more: float32 [n, ...], in inference mode.

    By plain calls: `predict` traces a graph for every new model. All calls have one size, the last one filled up with its
    last image, so that where an image stands doesn't choose the kernels that compute it.
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


def save_estimator(estimator: PIREstimator | LinearEstimator, folder: str | os.PathLike[str]) -> Path:
    """Saves images -> PIR into the folder, made if need be, under its final name only when whole.

    Returns:
        The file `estimator.keras`; or, with a TF-Hub backbone, the SavedModel folder `estimator`, which carries the
        module's weights.
    """
    model, folder = estimator.saved_model(), Path(folder)
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
    """A saved estimator: images, float32 [b, h, w, 3] in [-1, 1], to PIR [b, 1], not compiled.

    Every layer is set not to train. Call it with `training=False` all the same: dropout heeds that alone. Source: 2.3, C.3.

    Args:
        path: What `save_estimator` returned.

    Raises:
        InputError: If there is no whole estimator at that path.
    """
    model = load_saved(path)
    if len(model.outputs) > 1:  # the standard deviation comes second
        model = keras.Model(model.input, model.outputs[0], name="pir_estimator")
    model.jit_compile = model.trainable = False
    return model


def load_saved(path: str | os.PathLike[str]) -> keras.Model:
    """A saved estimator with everything that its file holds; see `load_estimator`."""
    path = Path(path)
    if path.is_dir():
        images = keras.Input((None, None, 3), name="images")
        try:
            pir = SavedModelLayer(path, image_size=64, trainable=False, name="pir")(images)
        except InputError as error:
            raise unusable(path, "no whole SavedModel") from error
        model = keras.Model(images, pir, name="pir_estimator")
    else:
        model = load_model(path)
    model.jit_compile = model.trainable = False
    return model
