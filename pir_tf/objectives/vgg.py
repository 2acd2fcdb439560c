"""VGG16 objectives: the simulated truth that scores an image by how much of a layer's activity some filters have (3.1, 3.2, C.4).

Everything is computed from one table for each layer, the energies: the sum of squares of each filter's activations over all
positions. Whatever filters an objective targets, its PIR is a ratio of such sums. Noise-free: the binomial noise of section
2.2 is added in `simulated.py`. What is not here: reading an objective's name (`objective_names`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf
from keras import layers as keras_layers

from pir_tf import pretrained
from pir_tf.config import derived_seed
from pir_tf.errors import InputError
from pir_tf.images import require_images, to_float
from pir_tf.objective_names import TOP_IMAGE_SIZE, TOP_LAYERS, VGG, VGG_FILTERS

KERAS_NAMES = {f"pool{block}": f"block{block}_pool" for block in range(1, 6)}
KERAS_NAMES |= {"fc6": "fc1", "fc7": "fc2", "fc8": "predictions"}
"""Layers by the names that Keras has for them. Deviation: D9."""
MEANS = (103.939, 116.779, 123.68)  # of blue, green and red, which `vgg16.preprocess_input` takes away
IMAGES_AT_ONCE = 8  # 224 pixels and 64 channels are 13 MB an image
ARRAYS = {False: 26, True: 32}  # of weights in a file without and with top
CALLED = {False: "VGG16 without its top", True: "VGG16 with its top"}


def pir_of_energies(energies: npt.NDArray[np.floating], filters: Sequence[int]) -> npt.NDArray[np.float64]:
    """PIR of images whose target is a set of filters of one layer.

    With VGG_f(i) the vector of filter f's activations on image i, and a_1 to a_k the target filters:

        PIR(i) = sqrt( sum_j |VGG_{a_j}(i)|_2^2 / sum_f |VGG_f(i)|_2^2 )

    Args:
        energies: |VGG_f(i)|_2^2 of all filters of the layer, [n, filters].
        filters: a_1 to a_k, in any order, each once.

    Returns:
        PIR, float64 [n] in [0, 1]; exactly 1 if all filters are targets, 0 where the whole layer is silent.

    Source: C.4.1, C.4.2. Deviation: D13 (an all-zero layer has PIR 0).
    """
    energies = energies.astype(np.float64)
    targets = np.zeros(energies.shape[1], dtype=bool)
    targets[list(filters)] = True
    # Zeros in place of the other filters: both sums then round alike, and their ratio is never above 1.
    target, total = np.where(targets, energies, 0.0).sum(axis=1), energies.sum(axis=1)
    return np.sqrt(np.divide(target, total, out=np.zeros(len(energies)), where=total > 0))


def target_filters(objective: VGG) -> npt.NDArray[np.int64]:
    """The target filters: the named ones, or k drawn without replacement by the name's seed, in rising order.

    Source: 3.2, C.4.2.
    """
    if objective.filters is not None:
        return np.array(objective.filters)
    count = VGG_FILTERS[objective.layer]
    return np.sort(np.random.default_rng(objective.seed).choice(count, objective.k, replace=False))


def filter_energies(activations: keras.KerasTensor) -> keras.KerasTensor:
    """The sum of squares over all positions, [b, filters], of a layer's activations [b, h, w, filters] or [b, filters]."""
    return keras.ops.sum(keras.ops.square(activations), axis=tuple(range(1, len(activations.shape) - 1)))


def position_means(activations: keras.KerasTensor) -> keras.KerasTensor:
    """The mean over all positions, [b, filters], of a layer's activations [b, h, w, filters]."""
    return keras.ops.mean(activations, axis=(1, 2))


class VGGFeatures:
    """Some layers of VGG16, measured on images: pool1 to pool5 after pooling, fc6 and fc7 after ReLU, fc8's logits.

    The network ends at the highest of the layers. Images are stretched to its size bilinearly, with half-pixel centres and
    without antialiasing, and go in as `vgg16.preprocess_input` has them: blue, green, red of 0 to 255 minus their means.

    Args:
        names: Keys of `VGG_FILTERS`.
        measure: What is kept of a layer's activations: `filter_energies` or `position_means`.
        weights: `imagenet`, `file:PATH` or `none` (random weights from the seed).
        image_size: Side in pixels that images are resized to: 32 or more, with fc6 to fc8 224.
        seed: Seed of random weights.
        option: The config's field that names the weights, for messages.

    Source: 3.1, C.4.1. Deviation: D8 (the size), D9 (which layers).
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        measure: Callable[[keras.KerasTensor], keras.KerasTensor] = filter_energies,
        weights: str = "imagenet",
        image_size: int = TOP_IMAGE_SIZE,
        seed: int = 0,
        option: str = "interactions.vgg_weights",
    ) -> None:
        whole = _whole(names, weights, image_size, seed, option)
        outputs = {name: whole.get_layer(KERAS_NAMES[name]).output for name in names}
        body = keras.Model(whole.input, outputs, name="vgg16_cut")
        images = keras.Input((None, None, 3), name="images")
        found = body(_preprocessed(images, image_size))
        self.network = keras.Model(images, {name: measure(x) for name, x in found.items()}, name="vgg16_features")
        self._names = tuple(names)
        self._call = tf.function(lambda batch: self.network(batch, training=False))

    def __call__(self, images: npt.NDArray[Any]) -> dict[str, npt.NDArray[np.float32]]:
        """The measure of each layer by its name, float32 [n, filters].

        Args:
            images: uint8 [n, h, w, 3], or floats of the same shape in [-1, 1]; channels red, green, blue. Left as they are.
        """
        images = require_images(images, uint8=True, floats=True)
        parts = {name: [np.zeros((0, VGG_FILTERS[name]), np.float32)] for name in self._names}
        for start in range(0, len(images), IMAGES_AT_ONCE):
            # All calls have one size, so that one graph serves them and an image's place doesn't choose the kernels.
            rows = np.minimum(np.arange(start, start + IMAGES_AT_ONCE), len(images) - 1)
            batch = images[rows]
            floats = to_float(batch) if batch.dtype == np.uint8 else batch.astype(np.float32)
            for name, values in self._call(tf.constant(floats)).items():
                parts[name].append(values.numpy())
        return {name: np.concatenate(part)[: len(images)] for name, part in parts.items()}


def weights_file(names: Sequence[str], weights: str, *, option: str = "interactions.vgg_weights") -> Path | None:
    """The file of VGG16's weights, None for `none`, after a look at whether it has the layers; arguments as of `VGGFeatures`.

    Raises:
        InputError: If there is no such file, it is damaged, or it has no top where a layer of the top is needed.

    Source: 3.1.
    """
    if weights == "none":
        return None
    top = any(name in TOP_LAYERS for name in names)
    if weights == "imagenet":
        return pretrained.imagenet_file(pretrained.VGG16 if top else pretrained.VGG16_NO_TOP, option=option)
    path = pretrained.find_weights(weights.removeprefix("file:"))
    if top and pretrained.count_arrays(path, CALLED[True]) == ARRAYS[False]:
        raise InputError(
            f"{path} holds VGG16 without its top; expected one with it, since {names[-1]} is part of the top: name another "
            f"file in --{option}, or choose a layer of pool1 to pool5."
        )
    return path


def _whole(names: Sequence[str], weights: str, image_size: int, seed: int, option: str) -> keras.Model:
    """VGG16 with its weights, at the size, with its top if a layer needs it."""
    top = any(name in TOP_LAYERS for name in names)
    path = weights_file(names, weights, option=option)
    if path is None:
        network = _keras_vgg16(top, image_size)
        kernels = [layer for layer in network.layers if hasattr(layer, "kernel")]
        for index, layer in enumerate(kernels):  # Keras drew them from a global seed
            init = keras.initializers.HeUniform(seed=derived_seed(seed, f"vgg16_{index}"))
            layer.kernel.assign(init(layer.kernel.shape))
        return network
    file_top = top or pretrained.count_arrays(path, CALLED[top]) == ARRAYS[True]
    stored = _keras_vgg16(file_top, TOP_IMAGE_SIZE if file_top else image_size)
    expected = CALLED[file_top] if file_top == top else "VGG16 with its top or without"
    pretrained.load_weights(stored, path, expected, option=option)
    if file_top == top:
        return stored
    network = _keras_vgg16(top, image_size)
    for layer in network.layers:
        layer.set_weights(stored.get_layer(layer.name).get_weights() if layer.weights else [])
    return network


def _keras_vgg16(top: bool, image_size: int) -> keras.Model:
    shape = (image_size, image_size, 3)
    return keras.applications.VGG16(include_top=top, weights=None, input_shape=shape, classifier_activation=None)


def _preprocessed(images: keras.KerasTensor, image_size: int) -> keras.KerasTensor:
    """Images in [-1, 1] at VGG16's size, in its order of colours and its range."""
    resize = keras_layers.Resizing(image_size, image_size, interpolation="bilinear", antialias=False)
    values = (resize(images) + 1.0) * 127.5
    return keras.ops.flip(values, axis=-1) - keras.ops.convert_to_tensor(np.array(MEANS, np.float32))
