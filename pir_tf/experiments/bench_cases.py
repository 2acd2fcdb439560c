"""What `pir-tf bench` times: the networks' passes and whole steps, each in Keras's form and in ours, at fixed sizes.

Weights are random and images are noise: the time doesn't depend on them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import keras
import tensorflow as tf

from pir_tf.config import EstimatorConfig
from pir_tf.estimator.frozen import fast_frozen
from pir_tf.estimator.heads import head_of
from pir_tf.estimator.model import build_network, with_pir
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.fast import FastDiscriminator, fast_generator
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.train import optimizers
from pir_tf.tuning.tuner import Tuner

CLASSES = 2
ESTIMATORS = {
    "InceptionV3 at 75": EstimatorConfig(weights="none", image_size=75),
    "InceptionV3 at 96": EstimatorConfig(weights="none", image_size=96),
    "InceptionV3 at 299": EstimatorConfig(weights="none", image_size=299),
    "mixed2 at 96": EstimatorConfig(weights="none", image_size=96, layer="mixed2"),
    "compact": EstimatorConfig(backbone="compact", weights="none", image_size=64),
}
"""Estimators of the tuning step; the blocks are timed with the first."""
LEARNING_RATE = 1e-6


@dataclass
class Case:
    """One thing to time: the same function in Keras's form and in ours."""

    name: str
    batch: int
    forms: dict[str, Callable[[], object]] = field(default_factory=dict)
    """`stock` and `fast`: traced functions without arguments."""


def machine() -> dict[str, tuple[Callable[[], object], float]]:
    """The machine's own rates: functions and their operations.

    Returns:
        A matrix product of 2048x2048 and a 3x3 convolution of 256 to 256 channels on 32 maps of 16x16.
    """
    a, b = (tf.random.normal((2048, 2048), seed=i) for i in (0, 1))
    x, kernel = tf.random.normal((32, 16, 16, 256), seed=2), tf.random.normal((3, 3, 256, 256), seed=3)
    return {
        "matrix product": (tf.function(lambda: tf.matmul(a, b)), 2.0 * 2048**3),
        "convolution": (tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")), 2.0 * 32 * 16**2 * 9 * 256**2),
    }


def cases() -> Iterator[tuple[str, Callable[[], Case]]]:
    """Names, and what builds each case when its turn comes."""
    for block in (_generator, _discriminator, _estimator):
        for backward in _BACKWARD[block]:
            name = f"{_NOUNS[block]}, {'forward' if not backward else f'forward and {backward} gradient'}"
            yield name, functools.partial(_block, name, block, backward)
    for batch in (32, 64):
        yield f"ACGAN step, batch {batch}", functools.partial(_acgan_step, batch)
    for title in ESTIMATORS:
        for batch in (16, 32):
            name = f"tuning step, {title}, batch {batch}"
            yield name, functools.partial(_tuning_step, name, title, batch)


def _block(name: str, build: Callable[[], tuple[dict[str, Callable], list, tf.Tensor]], backward: str) -> Case:
    """A network's pass at batch 32, and with it the gradient of the sum of what it puts out."""
    forms, weights, images = build()
    case = Case(name, 32)
    for form, call in forms.items():

        def run(call: Callable = call) -> object:
            with tf.GradientTape() as tape:
                tape.watch(images)
                total = tf.add_n([tf.reduce_sum(out) for out in tf.nest.flatten(call(images))])
            sources = {"weights'": weights, "image's": images}.get(backward)
            return total if sources is None else (total, tape.gradient(total, sources))

        case.forms[form] = tf.function(run, autograph=False)
    return case


def _generator() -> tuple[dict[str, Callable], list, tf.Tensor]:
    generator = build_generator(CLASSES)
    one_hot = tf.one_hot(tf.zeros(32, tf.int32), CLASSES)
    fast = fast_generator(generator, compiled=True)
    forms: dict[str, Callable] = {"stock": lambda z: generator([z, one_hot]), "fast": lambda z: fast(z, one_hot)}
    return forms, generator.trainable_variables, tf.random.normal((32, 64), seed=0)


def _discriminator() -> tuple[dict[str, Callable], list, tf.Tensor]:
    discriminator = build_discriminator(CLASSES)
    forms: dict[str, Callable] = {
        "stock": lambda x: discriminator(x, training=True),
        "fast": functools.partial(FastDiscriminator(discriminator), update=True),
    }
    return forms, discriminator.trainable_variables, _images(32)


def _estimator() -> tuple[dict[str, Callable], list, tf.Tensor]:
    estimator = _frozen_estimator(next(iter(ESTIMATORS)))
    forms: dict[str, Callable] = {
        "stock": functools.partial(estimator.__call__, training=False),
        "fast": fast_frozen(estimator),
    }
    return forms, [], _images(32)


_NOUNS = {_generator: "generator", _discriminator: "discriminator", _estimator: "estimator (InceptionV3 at 75)"}
_BACKWARD = {_generator: ("", "weights'"), _discriminator: ("", "weights'", "image's"), _estimator: ("", "image's")}


def _acgan_step(batch: int) -> Case:
    build = lambda fast: ACGAN(build_generator(CLASSES), build_discriminator(CLASSES), seed=0, fast=fast)  # noqa: E731
    return _step(f"ACGAN step, batch {batch}", batch, build)


def _tuning_step(name: str, title: str, batch: int) -> Case:
    def build(fast: bool) -> Tuner:
        networks = build_generator(CLASSES), build_discriminator(CLASSES)
        return Tuner(*networks, _frozen_estimator(title), pir_weight=1000.0, seed=0, fast=fast)

    return _step(name, batch, build)


def _step(name: str, batch: int, build: Callable[[bool], ACGAN]) -> Case:
    images, labels = _images(batch), tf.zeros(batch, tf.int32)
    case = Case(name, batch)
    for form in ("stock", "fast"):
        model = build(form == "fast")
        model.compile(*optimizers(LEARNING_RATE, LEARNING_RATE, 0.5))

        def run(model: ACGAN = model) -> object:
            return model.train_step((images, labels))

        case.forms[form] = tf.function(run, autograph=False)
    return case


def _frozen_estimator(title: str) -> keras.Model:
    """The saved form, images to PIR, with random weights."""
    config = ESTIMATORS[title]
    network = build_network(config, seed=0)
    kernel = network.get_layer("logits").kernel
    kernel.assign(tf.random.normal(kernel.shape, stddev=0.01, seed=0))  # it begins at 0, whose gradient is 0
    estimator = with_pir(network, head_of(config), temperature=config.temperature)
    estimator.trainable = False
    return estimator


def _images(batch: int) -> tf.Tensor:
    return tf.random.uniform((batch, 64, 64, 3), -1.0, 1.0, seed=1)
