"""Frozen features for a linear readout: what the layers of networks that never change say of an image, without places (2.3).

Of each channel of the named layers there are its mean and sqrt(mean square + 1e-6) over all positions, and with a grid its means
over g x g places too. A plain root would have an infinite gradient at channels that are zero everywhere, of which there are some.

A part of the backbone may be the generator's own discriminator, which needs no download and has looked at such images alone. It
must be a copy: the discriminator goes on training while the generator is tuned, and an estimator that moved with it would no
longer say what people answered (2.3 keeps R's weights for the same reason). The copy runs in inference mode, so neither its
weights nor its statistics change. What is not here: the readout, and everything that knows of PIR.
"""

from __future__ import annotations

import math

import keras
from keras import layers

from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator import backbones

ROOT_OFFSET = 1e-6
FEATURES = "features"


def frozen_features(config: EstimatorConfig, *, seed: int, discriminator: keras.Model | None = None) -> keras.Model:
    """The features that a config with `output linear` reads out.

    Args:
        config: Which parts (`backbone`, joined by +), layers, and grid.
        seed: Seed of a compact network's weights, which stay random.
        discriminator: The generator's, copied here, where it is one of the parts.

    Returns:
        A functional model from images, float32 [b, h, w, 3] in [-1, 1], to its layer `features`, float32 [b, f].

    Raises:
        InputError: There is no discriminator to copy, or a layer is not there.
    """
    images = keras.Input((None, None, 3), name="images")
    found: dict[str, keras.KerasTensor] = {}
    for part in config.backbone.split("+"):
        body, x = _body(part, config, images, seed, discriminator)
        names = [layer.name for layer in body.layers]
        chosen = [name for name in config.layers if name in names] or _usual(part, body)
        inner = keras.Model(body.input, [body.get_layer(name).output for name in chosen], name=f"{part}_layers")
        inner.trainable = False
        made = inner(x)
        found |= dict(zip(chosen, made if isinstance(made, list) else [made], strict=True))
    if missing := [name for name in config.layers if name not in found]:
        raise InputError(
            f"estimator.layer names {', '.join(missing)}, which {config.backbone} doesn't have; expected layers of it, or "
            "nothing for the usual ones: correct --estimator.layer."
        )
    return keras.Model(images, statistics(found, config.grid), name="frozen_features")


def statistics(maps: dict[str, keras.KerasTensor], grid: int = 0) -> keras.KerasTensor:
    """Means and roots of mean squares of all channels, and means over `grid` x `grid` places where it is above 0.

    Args:
        maps: Maps [b, h, w, c] by the names of their layers.
        grid: Places a side; rounded to what whole windows give.

    Returns:
        [b, f], the layer `features`.
    """
    means = [layers.GlobalAveragePooling2D(name=f"mean_of_{name}")(x) for name, x in maps.items()]
    squares = [
        layers.GlobalAveragePooling2D(name=f"power_of_{name}")(layers.Multiply(name=f"square_of_{name}")([x, x]))
        for name, x in maps.items()
    ]
    places = []
    for name, x in maps.items() if grid else ():
        window = tuple(math.ceil(side / grid) for side in x.shape[1:3])
        places.append(
            layers.Flatten(name=f"places_of_{name}")(
                layers.AveragePooling2D(window, padding="same", name=f"grid_of_{name}")(x)
            )
        )
    power = squares[0] if len(squares) == 1 else layers.Concatenate(name="powers")(squares)
    roots = keras.ops.sqrt(layers.Rescaling(1.0, offset=ROOT_OFFSET, name="power")(power))
    return layers.Concatenate(name=FEATURES)([*means, *places, roots])


def _body(
    part: str, config: EstimatorConfig, images: keras.KerasTensor, seed: int, discriminator: keras.Model | None
) -> tuple[keras.Model, keras.KerasTensor]:
    """A part's network and what goes into it."""
    size = config.image_size
    if part == "inception_v3":
        whole = backbones.inception_body(size, weights_from=config.weights, seed=seed)
        return whole, backbones.resized(images, size, config.input_range)
    if part == "compact":
        return backbones.compact(size, seed=seed), images
    if discriminator is None:
        raise InputError(
            f"estimator.backbone is {config.backbone}, but this generator came without a discriminator; expected one to copy: "
            "take --estimator.backbone compact, or inception_v3 with --estimator.weights."
        )
    copy = keras.models.clone_model(discriminator)
    copy.set_weights(discriminator.get_weights())
    height, width = copy.inputs[0].shape[1:3]
    resize = layers.Resizing(height, width, interpolation="bilinear", antialias=False, name="resize_to_discriminator")
    return copy, resize(images)


def _usual(part: str, body: keras.Model) -> list[str]:
    """The layers that are read out where none is named: what follows each convolution, in InceptionV3 three early ones."""
    if part == "inception_v3":
        return ["mixed0", "mixed1", "mixed2"]
    named = [layer.name for layer in body.layers if layer.name.startswith("leaky_")]
    return named or [layer.name for layer in body.layers if isinstance(layer, layers.Conv2D)]
