"""Compiled steps equal those op by op, for every kind of step; several steps a call equal one a call, to the last bit."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import (
    KillAfter,
    arrays,
    assert_same,
    compiles,
    images_of,
    init,
    least_discriminator,
    least_generator,
    small_discriminator,
    small_estimator,
    small_generator,
)
from tensorflow.python.framework.config import disable_op_determinism

from pir_tf.errors import InputError
from pir_tf.estimator.heads import Bins, Scalar
from pir_tf.estimator.linear import LinearEstimator, objective
from pir_tf.estimator.model import PIREstimator
from pir_tf.gan.acgan import ACGAN
from pir_tf.training import steps
from pir_tf.training.fit import Schedule, fit_resumable
from pir_tf.training.precision import mixed
from pir_tf.tuning.anchored import AnchoredTuner
from pir_tf.tuning.latents import LatentTuner
from pir_tf.tuning.tuner import Tuner

BATCH = 6
REAL = images_of(BATCH)
COUNTS = np.array([[10, 3], [10, 5], [0, 0], [10, 9], [10, 1], [10, 4]])


@pytest.fixture(scope="module")
def deterministic():
    """As commands are by default."""
    tf.config.experimental.enable_op_determinism()
    yield
    disable_op_determinism()


def plain():
    """A GAN without classes: one class, without a say; and by the other loss."""
    z, one = keras.Input((5,)), keras.Input((1,))
    generator = keras.Model([z, one], least_generator()([z, layers.Concatenate()([one, one])]))
    image = keras.Input((8, 8, 3))
    u, _ = least_discriminator()(image)
    judge = keras.Model(image, [u, layers.Dense(1)(layers.Flatten()(image))])
    return ACGAN(generator, judge, seed=3, fake_class_weight=0.0, real_class_weight=0.0, loss="saturating")


def tuner():
    """An ACGAN with one more term, whose gradient is limited."""
    networks = small_generator(), small_discriminator(dropout=0.0), small_estimator()
    return Tuner(*networks, pir_weight=10.0, seed=3, pir_gradient_limit=2.0)


def linear():
    """A tuner with the linear estimator's objective; its backbone resizes and pools, as InceptionV3 does."""
    image = keras.Input((8, 8, 3))
    x = layers.Resizing(13, 13, interpolation="bilinear")(image)
    x = layers.Conv2D(6, 3, kernel_initializer=init(6))(x)
    x = layers.MaxPooling2D(3, strides=2)(layers.ReLU()(x))
    x = layers.MaxPooling2D(2, padding="same")(layers.AveragePooling2D(3, strides=1, padding="same")(x))
    backbone = keras.Model(image, layers.Flatten()(x))
    images, counts = images_of(20)[0], np.stack([np.full(20, 10), np.arange(20) % 11], axis=1)
    fitted = LinearEstimator.fit(backbone, np.asarray(backbone(images)), counts)
    estimator = objective(fitted.saved_model(), 1.0)
    return Tuner(small_generator(), small_discriminator(dropout=0.0), estimator, pir_weight=10.0, seed=3)


def anchored():
    return AnchoredTuner(small_generator(), small_estimator(), seed=3, pir_weight=10.0, anchor_weight=5.0)


def latents(kind):
    """Moved by something, so that KL and its gradient aren't 0."""
    made = LatentTuner(small_generator(), small_estimator(), kind=kind, seed=3, pir_weight=10.0, kl_weight=1.0)
    rng = np.random.default_rng(0)
    made.move.set_weights([0.1 * rng.standard_normal(weights.shape) for weights in made.move.get_weights()])
    return made


def estimator(head, *, whole=True):
    """Of images, or of their features alone."""
    given = keras.Input((8, 8, 3) if whole else (12,))
    x = layers.Conv2D(2, 3, strides=2, kernel_initializer=init(7))(given) if whole else given
    x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x)) if whole else x
    logits = layers.Dense(head.units, kernel_initializer=init(6), name="logits")(layers.Flatten()(x))
    return PIREstimator(keras.Model(given, logits), head)


def judged(whole=True):
    images = REAL[0] if whole else REAL[0].reshape(BATCH, -1)[:, :12]
    return images, COUNTS


KINDS = {
    "plain GAN, saturating": (plain, (REAL[0], 0 * REAL[1])),
    "tuner, limited": (tuner, REAL),
    "tuner, linear and pessimistic": (linear, REAL),
    "anchored": (anchored, np.zeros(BATCH, np.float32)),
    "latents, shift": (lambda: latents("shift"), np.zeros(BATCH, np.float32)),
    "latents, residual": (lambda: latents("residual"), np.zeros(BATCH, np.float32)),
    "estimator, bins of counts": (lambda: estimator(Bins(10, 0.2, 0.7, binomial=True)), judged()),
    "estimator, scalar": (lambda: estimator(Scalar()), judged()),
    "estimator, head alone, bins": (lambda: estimator(Bins(10), whole=False), judged(whole=False)),
    "estimator, head alone, scalar": (lambda: estimator(Scalar(), whole=False), judged(whole=False)),
}

NIGHTLY = {"tuner, linear and pessimistic": pytest.mark.nightly}
"""What takes longer than the others."""


def stepped(make, data, *, jit_compile):
    """What two steps change, by plain SGD the gradients, and their logs."""
    model = make()
    count = len(model.networks()) if hasattr(model, "networks") else 1
    model.compile(*[keras.optimizers.SGD(0.1) for _ in range(count)], jit_compile=jit_compile)
    if isinstance(model, PIREstimator):
        model.optimizer.build(model.trainable_variables)
    assert not jit_compile or compiles(model, data)
    before = arrays(model.state())
    logs = [model.train_step(tf.nest.map_structure(tf.constant, data)) for _ in range(2)]
    after = arrays(model.state())
    changes = {name: after[name].astype(np.float64) - before[name] for name in after}
    return changes, [{name: float(value) for name, value in one.items()} for one in logs]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [pytest.param(kind, marks=NIGHTLY.get(kind, ())) for kind in KINDS])
def test_a_compiled_step_equals_the_step_op_by_op(kind, deterministic):
    """In values and in gradients; XLA draws other dropout masks, so there is no dropout here."""
    (changes, logs), (expected, expected_logs) = (stepped(*KINDS[kind], jit_compile=on) for on in (True, False))
    for name, change in expected.items():
        error = np.abs(changes[name] - change).max(initial=0)
        assert error <= 1e-5 * max(np.abs(change).max(initial=0), 1e-2), f"{name}: {error}"
    assert any(np.abs(change).max(initial=0) > 1e-3 for change in expected.values())
    for one, other in zip(logs, expected_logs, strict=True):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-6)


@pytest.mark.nightly
def test_a_compiled_step_in_bfloat16_is_the_step_op_by_op_but_for_rounding(deterministic):
    """bfloat16 has 8 bits, and XLA rounds less often: it is no farther from float32 than the step op by op is."""

    def changes(precision, jit_compile):
        model = tuner()
        with mixed(precision, model.generator, model.discriminator):
            return stepped(lambda: model, REAL, jit_compile=jit_compile)[0]

    exact, rounded, found = (
        changes(*how) for how in (("float32", False), ("mixed_bfloat16", False), ("mixed_bfloat16", True))
    )
    largest = max(map(np.linalg.norm, exact.values()))
    for name, change in exact.items():
        near, far = (np.linalg.norm(one[name] - change) for one in (found, rounded))
        assert near <= 1.5 * far + 1e-3 * largest, f"{name}: {near} beside {far}"
        assert near > 1e-3 * np.linalg.norm(change) > 0 or not name.endswith("or/000"), name  # in bfloat16 it is


def test_latents_are_those_of_the_step_op_by_op(monkeypatch):
    """XLA would draw others; what it is given to compile is the rest of the step."""
    model, seen = ACGAN(least_generator(), least_discriminator(), seed=3), []
    model.compile(keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1), jit_compile=True)
    monkeypatch.setattr(model, "compiled_update", lambda data, *drawn: seen.append(drawn) or {})
    model.train_step(tuple(map(tf.constant, REAL)))
    for found, expected in zip(seen[0], model.draw(BATCH), strict=True):
        np.testing.assert_array_equal(found, expected)


# `fit`


def stream(part, first):
    data = tf.data.Dataset.from_tensor_slices(images_of(15)).repeat()  # batches of 4 shift from pass to pass
    return data.batch(part.batch_size, drop_remainder=True).skip(first)


def train(directory, count, *, jit_compile=False, epoch=5, callbacks=()):
    """Its state in the end; by XLA or not is looked up in the graph."""
    model = ACGAN(least_generator(), least_discriminator(dropout=0.5), seed=3)
    model.compile(keras.optimizers.Adam(1e-2), keras.optimizers.RMSprop(1e-2), jit_compile=jit_compile)
    assert not jit_compile or compiles(model, images_of(4))
    schedule = Schedule(count, 4, epoch, 5, float("inf"), model.columns())
    fit_resumable(model, stream, schedule, directory, {}, callbacks=callbacks)
    return arrays(model.state())


class Calls(keras.callbacks.Callback):
    """Steps that are done at the end of each of `fit`'s batches."""

    def __init__(self):
        super().__init__()
        self.done = []

    def on_train_batch_end(self, batch, logs=None):
        self.done.append(int(self.model.step.numpy()))


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, deterministic):
    """Its directory, state and calls; 23 steps in rows of 5; the clock stands, so that a call is as long as it may be."""
    directory, calls = tmp_path_factory.mktemp("unbroken"), Calls()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps.time, "monotonic", lambda: 0.0)
        return directory, train(directory, 23, callbacks=[calls]), calls.done


@pytest.mark.slow
def test_several_steps_a_call_are_keras_own_one_step_a_call_to_the_bit(unbroken, tmp_path, monkeypatch):
    directory, found, several = unbroken
    # The first call is traced; one that isn't tells how long steps take; none goes beyond its row, nor the end.
    assert several == [1, 2, 5, 5, 5, *[10] * 5, *[15] * 5, *[20] * 5, *[23] * 3]
    one = Calls()
    monkeypatch.setattr("pir_tf.training.fit._alone", lambda model: False)
    assert_same(train(tmp_path, 23, callbacks=[one]), found)
    assert one.done == list(range(1, 24))
    logs = [(path / "history.csv").read_bytes() for path in (directory, tmp_path)]
    assert logs[0] == logs[1] and logs[0].count(b"\n") == 6


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, pytest.param(True, marks=pytest.mark.nightly)], ids=["op by op", "XLA"])
def test_a_killed_training_resumes_to_the_bit(unbroken, tmp_path, jit_compile):
    directory, whole, _ = unbroken
    if jit_compile:
        directory = tmp_path / "whole"
        whole = train(directory, 23, jit_compile=True)
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", 23, jit_compile=jit_compile, callbacks=[KillAfter(7)])
    assert [path.name for path in (tmp_path / "killed" / "checkpoints").iterdir()] == ["step-000000005.npz"]
    assert_same(train(tmp_path / "killed", 23, jit_compile=jit_compile), whole)
    logs = [(path / "history.csv").read_bytes() for path in (directory, tmp_path / "killed")]
    assert logs[0] == logs[1]
    other = {True: "'on' there, 'off' now", False: "'off' there, 'on' now"}[jit_compile]
    with pytest.raises(InputError, match=rf"differs in compute.jit_compile \({other}\)"):
        train(tmp_path / "killed", 25, jit_compile=not jit_compile)
