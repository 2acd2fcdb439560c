"""What `pir-tf bench` times: the machine's own rates, the networks' passes, the training steps, and what `fit` adds to a step.

On CPUs a case has the forms `stock`, in Keras's layers, and `fast`, in ours. On a GPU it has `ops`, op by op, `xla`, compiled,
and `xla bf16`, which is that with bfloat16 inside the networks; there the step is timed bare and in `fit`, with real images on
their way. Weights are random and images are noise.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pir_tf.config import EstimatorConfig

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

CLASSES = 2
ESTIMATORS = {
    **{f"InceptionV3 at {size}": EstimatorConfig(weights="none", image_size=size) for size in (75, 96, 299)},
    "mixed2 at 96": EstimatorConfig(weights="none", image_size=96, layer="mixed2"),
    "compact": EstimatorConfig(backbone="compact", weights="none", image_size=64),
}
"""Estimators of the tuning step; the blocks are timed with the first."""

Forms = dict[str, Any]
"""A case's functions without arguments: `stock` and `fast`, Keras's form and ours, both traced; on a GPU `ops` and `xla`."""


def machine(gpu: bool = False) -> dict[str, tuple[Any, float]]:
    """What the machine's own rates are measured with, functions and their operations; on a GPU larger ones, and in bfloat16."""
    import tensorflow as tf

    # 2048x2048 matrices, and a 3x3 convolution of 256 to 256 channels on 32 maps of 16x16.
    size, maps = (8192, 1024) if gpu else (2048, 32)
    a, b = (tf.random.normal((size, size), seed=i) for i in (0, 1))
    x, kernel = tf.random.normal((maps, 16, 16, 256), seed=2), tf.random.normal((3, 3, 256, 256), seed=3)
    product, convolution = 2.0 * size**3, 2.0 * maps * 16**2 * 9 * 256**2
    found: dict[str, tuple[Any, float]] = {
        "matrix product": (tf.function(lambda: tf.matmul(a, b)), product),
        "convolution": (tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")), convolution),
    }
    if gpu:
        half, narrow = tf.cast(x, tf.bfloat16), tf.cast(kernel, tf.bfloat16)
        found["convolution, bfloat16"] = tf.function(lambda: tf.nn.conv2d(half, narrow, 1, "SAME")), convolution
    return found


def cases() -> dict[str, Callable[[], tuple[int, Forms]]]:
    """By its name, what makes each case's batch size and forms when its turn comes."""
    estimator = f"estimator ({next(iter(ESTIMATORS))})"
    gradients = {"generator": ("weights'",), "discriminator": ("weights'", "image's"), estimator: ("image's",)}
    found: dict[str, Callable[[], tuple[int, Forms]]] = {}
    for noun, backward in gradients.items():
        found[f"{noun}, forward"] = functools.partial(_block, noun, "")
        for of in backward:
            found[f"{noun}, forward and {of} gradient"] = functools.partial(_block, noun, of)
    for batch in (32, 64):
        found[f"ACGAN step, batch {batch}"] = functools.partial(_step, "", batch)
    for title in ESTIMATORS:
        for batch in (16, 32):
            found[f"tuning step, {title}, batch {batch}"] = functools.partial(_step, title, batch)
    return found


def _block(noun: str, backward: str) -> tuple[int, Forms]:
    """A network's pass at batch 32, and with it the gradient of the sum of what it puts out."""
    import tensorflow as tf

    calls, weights, images = _network(noun)
    forms = {}
    for form, call in calls.items():

        def run(call: Callable = call) -> object:
            with tf.GradientTape() as tape:
                tape.watch(images)
                total = tf.add_n([tf.reduce_sum(out) for out in tf.nest.flatten(call(images))])
            sources = {"weights'": weights, "image's": images}.get(backward)
            return total if sources is None else (total, tape.gradient(total, sources))

        forms[form] = tf.function(run, autograph=False)
    return 32, forms


def _network(noun: str) -> tuple[dict[str, Callable], list, tf.Tensor]:
    """How a network is called in both forms, its weights, and what it is called on."""
    import tensorflow as tf

    from pir_tf.estimator.frozen import fast_frozen
    from pir_tf.gan.fast import FastDiscriminator, fast_generator
    from pir_tf.gan.networks import build_discriminator, build_generator

    if noun == "generator":
        network = build_generator(CLASSES)
        one_hot, fast = tf.one_hot(tf.zeros(32, tf.int32), CLASSES), fast_generator(network, compiled=True)
        both: dict[str, Callable] = {"stock": lambda z: network([z, one_hot]), "fast": lambda z: fast(z, one_hot)}
        return both, network.trainable_variables, tf.random.normal((32, 64), seed=0)
    images = tf.random.uniform((32, 64, 64, 3), -1.0, 1.0, seed=1)
    if noun == "discriminator":
        network = build_discriminator(CLASSES)
        fast_call = functools.partial(FastDiscriminator(network), update=True)
        stock = functools.partial(network.__call__, training=True)
        return {"stock": stock, "fast": fast_call}, network.trainable_variables, images
    network = _frozen_estimator(next(iter(ESTIMATORS)))
    stock = functools.partial(network.__call__, training=False)
    return {"stock": stock, "fast": fast_frozen(network)}, [], images


def _step(title: str, batch: int) -> tuple[int, Forms]:
    """The tuning step with an estimator, or without one the ACGAN's."""
    data = _real(batch)
    forms = {}
    for form in ("stock", "fast"):
        model, _ = _model(title, fast=form == "fast")
        forms[form] = _traced(model.train_step, data)
    return batch, forms


def _model(title: str, *, fast: bool, jit_compile: bool = False) -> tuple[keras.Model, list[keras.Model]]:
    """The tuner with an estimator, or without one the ACGAN, compiled, and the networks that may compute in bfloat16."""
    from pir_tf.estimator.model import network_of
    from pir_tf.gan.acgan import ACGAN
    from pir_tf.gan.networks import build_discriminator, build_generator
    from pir_tf.gan.train import optimizers
    from pir_tf.tuning.tuner import Tuner

    networks = build_generator(CLASSES), build_discriminator(CLASSES)
    inside: list[keras.Model] = [*networks]
    if title:
        estimator = _frozen_estimator(title)
        inside.append(network_of(estimator))
        model: ACGAN = Tuner(*networks, estimator, pir_weight=1000.0, seed=0, fast=fast)
    else:
        model = ACGAN(*networks, seed=0, fast=fast)
    model.compile(*optimizers(1e-6, 1e-6, 0.5), jit_compile=jit_compile)
    return model, inside


def _real(batch: int) -> tuple[tf.Tensor, tf.Tensor]:
    """What stands for real images and their classes."""
    import tensorflow as tf

    return tf.random.uniform((batch, 64, 64, 3), -1.0, 1.0, seed=1), tf.zeros(batch, tf.int32)


def _traced(step: Callable, *data: Any) -> Any:
    import tensorflow as tf

    return tf.function(functools.partial(step, *data), autograph=False)


def _frozen_estimator(title: str) -> keras.Model:
    """The saved form, images to PIR, with random weights."""
    import tensorflow as tf

    from pir_tf.estimator.heads import head_of
    from pir_tf.estimator.model import build_network, with_pir

    config = ESTIMATORS[title]
    network = build_network(config, seed=0)
    kernel = network.get_layer("logits").kernel
    kernel.assign(tf.random.normal(kernel.shape, stddev=0.01, seed=0))  # it begins at 0, whose gradient is 0
    estimator = with_pir(network, head_of(config), temperature=config.temperature)
    estimator.trainable = False
    return estimator


# On a GPU


def gpu_cases() -> dict[str, Callable[[], tuple[int, Forms]]]:
    """By its name, what makes each step's batch size and forms when its turn comes."""
    steps = {"ACGAN step, batch 64": ("", 64)}
    for title, batch in (("InceptionV3 at 75", 32), ("InceptionV3 at 96", 64), ("InceptionV3 at 299", 64)):
        steps[f"tuning step, {title}, batch {batch}"] = title, batch
    return {name: functools.partial(_gpu_step, *which) for name, which in steps.items()}


def _gpu_step(title: str, batch: int) -> tuple[int, Forms]:
    return batch, {form: StepForm(title, batch, form) for form in ("ops", "xla", "xla bf16")}


class StepForm:
    """A training step in one form, called as a traced function is, and in `fit`.

    Args:
        title: The tuner's estimator; without one the step is the ACGAN's.
        batch: Images of a step.
        form: `ops`, `xla` or `xla bf16`; with `fast` in it, by our networks' forms for CPUs.
    """

    def __init__(self, title: str, batch: int, form: str) -> None:
        from pir_tf.training.precision import mixed

        self._batch, self._precision = batch, "mixed_bfloat16" if "bf16" in form else "float32"
        self._model, inside = _model(title, fast="fast" in form, jit_compile=form != "ops")
        self._mixed = lambda: mixed(self._precision, *inside)

    @functools.cached_property
    def _step(self) -> Any:
        with self._mixed():  # heeded when a step is traced
            return _traced(self._model.train_step, self._data()).get_concrete_function()

    def get_concrete_function(self) -> Any:
        """The traced step."""
        return self._step

    def __call__(self) -> Any:
        """One step."""
        return self._step()

    def seconds_in_fit(self, steps: int) -> float:
        """Seconds of a step in `fit`, the mean of a row of the log of so many, after one that isn't timed."""
        with self._mixed():
            return seconds_in_fit(self._model, self._stream(), self._batch, steps)

    def _data(self) -> tuple[tf.Tensor, tf.Tensor]:
        return _real(self._batch)

    def _stream(self) -> Callable:
        import numpy as np

        from pir_tf.data.sources import ImageSet
        from pir_tf.gan.train import stream_of

        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (4 * self._batch, 64, 64, 3), np.uint8)
        image_set = ImageSet(images, np.arange(len(images)) % CLASSES, tuple("ab"))
        return stream_of(image_set, 0)


def seconds_in_fit(model: keras.Model, stream: Callable, batch: int, steps: int) -> float:
    """Seconds of a model's step in a training as stages have it, from one row of the log of so many steps to the next."""
    from pir_tf.training.fit import Schedule, fit_resumable

    schedule = Schedule(2 * steps, batch, steps, 2 * steps, float("inf"))
    return _seconds_of_a_row(lambda clock: fit_resumable(model, stream, schedule, None, {}, callbacks=[clock])) / steps


def _seconds_of_a_row(fit: Callable[[Any], object]) -> float:
    import keras

    ends: list[float] = []
    fit(keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())))
    return ends[-1] - ends[-2]


# What `fit` adds


def host_times(steps: int = 300, rounds: int = 3) -> dict[str, float]:
    """Seconds of the smallest step, that of an estimator's head, whose time is the host's; medians, taken in turn.

    Returns:
        `bare`, called one after the other; `in Keras's fit`, a call each; and `in a stage`, several a call.
    """
    import tensorflow as tf

    data = tf.random.normal((32, 16), seed=0), tf.tile(tf.constant([[10, 3]], tf.int64), (32, 1))
    endless = tf.data.Dataset.from_tensors(data).repeat()
    bare = tf.function(functools.partial(_head().train_step, data), autograph=False)
    bare()

    def once() -> float:
        start = time.perf_counter()
        for _ in range(steps):
            bare()
        return (time.perf_counter() - start) / steps

    def by_keras() -> float:
        options: dict[str, Any] = {"epochs": 2, "steps_per_epoch": steps, "shuffle": False, "verbose": 0}
        return _seconds_of_a_row(lambda clock: _head().fit(endless, callbacks=[clock], **options)) / steps

    ways = {
        "bare": once,
        "in Keras's fit": by_keras,
        "in a stage": lambda: seconds_in_fit(_head(), lambda part, first: endless, 32, steps),
    }
    found = [{name: way() for name, way in ways.items()} for _ in range(rounds)]
    return {name: statistics.median(one[name] for one in found) for name in ways}


def _head() -> keras.Model:
    import keras

    from pir_tf.estimator.heads import Bins
    from pir_tf.estimator.model import PIREstimator

    features = keras.Input((16,))
    head = PIREstimator(keras.Model(features, keras.layers.Dense(100, name="logits")(features)), Bins(100))
    head.compile(keras.optimizers.Adam(1e-3))
    head.optimizer.build(head.trainable_variables)
    return head
