"""Backbones: images to features, each with its own preprocessing inside (2.3, D4, D5).

Every backbone takes float32 images [b, h, w, 3] in [-1, 1] of any size, square or not. It stretches them to its own
square size, bilinearly with half-pixel centres and without antialiasing (which has no GPU kernel), and rescales them to
the range that its weights expect: so training, tuning, evaluation and serving can't differ in it. Its output is its
layer `features`. What is not here: the output layer and everything that knows of PIR.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from pir_tf import pretrained
from pir_tf.config import EstimatorConfig, derived_seed
from pir_tf.errors import InputError
from pir_tf.estimator import hub

COMPACT_FILTERS = (16, 32, 64, 96)
COMPACT_POSITIONS = 4
COMPACT_FEATURES = 64


def build_backbone(config: EstimatorConfig, *, seed: int, pretrained: bool = True) -> keras.Model:
    """The backbone that the config names; the seed is of weights that are not pretrained.

    Without `pretrained` no weights file is looked for: all weights will be replaced anyway.

    Returns:
        A functional model from images, float32 [b, h, w, 3] in [-1, 1], to its layer `features`, float32 [b, f].

    Raises:
        InputError: If weights are missing, damaged or of another network, or the layer doesn't exist.

    Source: 2.3. Deviation: D4, D5.
    """
    if config.backbone == "compact":
        return compact(config.image_size, seed=seed)
    scheme, _, rest = config.weights.partition(":")
    if scheme == "hub":
        if config.layer:
            raise InputError(
                f"estimator.layer is {config.layer!r} with the weights {config.weights!r}; expected nothing, since a "
                "TF-Hub module can't be cut: leave out --estimator.layer."
            )
        return hub_module(rest, config.image_size, config.input_range, trainable=config.trainable == "all")
    source = config.weights if pretrained else "none"
    return inception_v3(
        config.image_size, weights_from=source, layer=config.layer, input_range=config.input_range, seed=seed
    )


def compact(image_size: int, *, seed: int) -> keras.Model:
    """A small convolutional network to train from scratch: a thousand 64x64 images in seconds on two CPU cores.

    Four 3x3 convolutions of stride 2 with ReLU, means over a grid of at most 4x4 places, and a dense layer of 64 features.
    The places let it tell left from right, without which the split colours of C.4.3 can't be learnt. There is no batch
    normalization: an image's PIR depends on that image alone, in training too. Images are resized to 32 pixels or more.
    """
    images = keras.Input((None, None, 3), name="images")
    x = resized(images, image_size, (-1.0, 1.0))
    for index, filters in enumerate(COMPACT_FILTERS, start=1):
        name = f"conv_{index}"
        init = _he(seed, name)
        x = layers.Conv2D(filters, 3, 2, padding="same", activation="relu", kernel_initializer=init, name=name)(x)
    side = math.ceil(image_size / 2 ** len(COMPACT_FILTERS))
    if side > COMPACT_POSITIONS:
        x = layers.AveragePooling2D(math.ceil(side / COMPACT_POSITIONS), padding="same", name="positions")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(COMPACT_FEATURES, activation="relu", kernel_initializer=_he(seed, "features"), name="features")(x)
    return keras.Model(images, x, name="compact")


def inception_v3(
    image_size: int,
    *,
    weights_from: str = "none",
    layer: str = "",
    input_range: tuple[float, float] = (-1.0, 1.0),
    seed: int = 0,
) -> keras.Model:
    """InceptionV3 without its output layer, whole or up to one of its mixed layers, then the mean over all positions.

    The mean forgets where something is: on features that stay as they are, objectives that differ from left to right
    are learnt only as far as the padding at the borders tells places apart.

    Args:
        image_size: Side in pixels to which images are resized, 75 or more.
        weights_from: `imagenet`, `file:PATH` or `none` (random, from the seed).
        layer: `mixed0` to `mixed10`, the last when empty.
        input_range: Range of values that the weights expect, lowest first.
        seed: Seed of random weights.

    Source: 2.3. Deviation: D4 (InceptionV3 in place of v2, other weights), D5.
    """
    whole = inception_body(image_size, weights_from=weights_from, seed=seed)
    names = [item.name for item in whole.layers if item.name.startswith("mixed")]
    last = layer or names[-1]
    if last not in names:
        raise InputError(
            f"estimator.layer is {layer!r}; expected one of {', '.join(names)} of InceptionV3, or nothing for the "
            "last: change it with --estimator.layer NAME."
        )
    body = keras.Model(whole.input, whole.get_layer(last).output, name="inception_v3")
    images = keras.Input((None, None, 3), name="images")
    x = body(resized(images, image_size, input_range))
    return keras.Model(images, layers.GlobalAveragePooling2D(name="features")(x), name="inception_v3_features")


def inception_body(image_size: int, *, weights_from: str, seed: int) -> keras.Model:
    """InceptionV3 without its output layer, whole, from images of that size in the range of its weights; see `inception_v3`."""
    whole = keras.applications.InceptionV3(include_top=False, weights=None, input_shape=(image_size, image_size, 3))
    scheme, _, path = weights_from.partition(":")
    if weights_from == "none":
        _seed_kernels(whole, seed)
    else:  # a file always has to hold the whole network
        named = scheme == "file"
        found = pretrained.find_weights(path) if named else pretrained.imagenet_file(pretrained.INCEPTION_V3)
        pretrained.load_weights(whole, found, "InceptionV3 without its output layer")
    return whole


def hub_module(handle: str, image_size: int, input_range: tuple[float, float], *, trainable: bool) -> keras.Model:
    """A TF-Hub module of image features, or a local folder in its format, as a model with a layer that is not stock.

    The module runs in inference mode even where its weights are trained: its batch statistics stay those of its
    pretraining.

    It takes images of that size, in a range that is [0, 1] by TF-Hub's convention.

    Source: 2.3. Deviation: D4, D5.
    """
    images = keras.Input((None, None, 3), name="images")
    module = hub.SavedModelLayer(hub.resolve(handle), image_size=image_size, trainable=trainable, name="hub_module")
    x = module(resized(images, image_size, input_range))
    last = layers.GlobalAveragePooling2D if len(x.shape) == 4 else layers.Flatten
    return keras.Model(images, last(name="features")(x), name="hub_features")


def resized(images: keras.KerasTensor, image_size: int, input_range: tuple[float, float]) -> keras.KerasTensor:
    """Images in [-1, 1] at a backbone's size and in its range."""
    low, high = input_range
    resize = layers.Resizing(image_size, image_size, interpolation="bilinear", antialias=False, name="resize")
    return layers.Rescaling((high - low) / 2, offset=(high + low) / 2, name="rescale")(resize(images))


def _seed_kernels(model: keras.Model, seed: int) -> None:
    """Draws the convolutions' first weights anew, from the seed alone: Keras drew them from a global one."""
    convolutions = [item for item in model.layers if isinstance(item, layers.Conv2D)]
    for index, item in enumerate(convolutions):
        init = keras.initializers.GlorotUniform(seed=derived_seed(seed, f"inception_{index}"))
        item.kernel.assign(init(item.kernel.shape))


def _he(seed: int, name: str) -> keras.Initializer:
    return keras.initializers.HeUniform(seed=derived_seed(seed, name))
