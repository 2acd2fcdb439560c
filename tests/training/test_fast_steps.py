"""Whole steps of the ACGAN and of the tuner by the cheaper, equal passes are those of the stock layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_networks import compiles

from pir_tf.estimator.backbones import compact
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import with_pir
from pir_tf.gan import fast
from pir_tf.gan.acgan import ACGAN
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.tuning.tuner import Tuner

pytestmark = pytest.mark.slow

REAL = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype(np.float32), np.array([0, 1], np.int32)


def narrow(network):
    """The same network with a sixteenth of the channels."""

    def clone(layer):
        config = layer.get_config()
        if "filters" in config and config["filters"] > 3:
            config["filters"] = max(4, config["filters"] // 16)
        return layer.__class__.from_config(config)

    return keras.models.clone_model(network, clone_function=clone)


def off_the_kinks(network, inputs):
    """Sets kernels and biases so that no (leaky) ReLU stands near 0, where rounding chooses its slope."""
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.5, layer.beta.shape))
        if isinstance(layer, layers.Conv2D):
            layer.bias.assign(0 * layer.bias)
            largest = np.abs(keras.Model(network.inputs, layer.output)(inputs, training=True)).max()
            layer.kernel.assign(layer.kernel / largest)
            layer.bias.assign(rng.choice([-1.3, 1.3], layer.bias.shape))
    return network


@pytest.fixture(scope="module")
def networks():
    """Arrays of a generator, a discriminator and an estimator."""
    generator, discriminator = narrow(build_generator(2)), narrow(build_discriminator(2))
    rng = np.random.default_rng(2)
    latents = tf.constant(rng.standard_normal((16, 64)), tf.float32), tf.one_hot(np.arange(16) % 2, 2)
    off_the_kinks(generator, latents)
    images = tf.concat([REAL[0], generator(latents)], 0)
    off_the_kinks(discriminator, images)
    backbone = off_the_kinks(compact(64, seed=3), images)
    logits = layers.Dense(100, name="logits")
    network = keras.Model(backbone.input, logits(backbone.output))
    features = backbone(images).numpy()
    kernel = rng.standard_normal(logits.kernel.shape) / (features - features.mean(0)).std()
    logits.set_weights([kernel / 1000, -features.mean(0) @ kernel / 1000])
    return generator.get_weights(), discriminator.get_weights(), network


@pytest.fixture
def uncompiled(monkeypatch):
    """Without XLA, which takes seconds."""
    monkeypatch.setattr(fast, "_compiled_images", fast._images)


@pytest.fixture(scope="module")
def make(networks):
    """A function that makes a compiled ACGAN or tuner of equal weights."""

    def made(kind, *, fast, jit_compile=False, **options):
        generator = narrow(build_generator(2))
        discriminator = narrow(build_discriminator(2, seed=6, **options))
        generator.set_weights(networks[0])
        discriminator.set_weights(networks[1])
        if kind == "tuner":
            estimator = with_pir(networks[2], Bins(100), temperature=0.01)
            model = Tuner(generator, discriminator, estimator, pir_weight=1000.0, seed=5, fast=fast)
        else:
            model = ACGAN(generator, discriminator, seed=5, fast=fast)
        both = keras.optimizers.SGD(1e-4, name="g"), keras.optimizers.SGD(1e-3, name="d")
        model.compile(*both, jit_compile=jit_compile)
        return model

    return made


def steps(model, count):
    """The logs of each of so many steps, which are not traced: that would take longer than the steps."""
    return [{name: float(value) for name, value in model.train_step(REAL).items()} for _ in range(count)]


def arrays(model):
    """Copies of a model's state, and of its networks' weights by path."""
    weights = {f"{name}/{v.path}": v for name, network in model.networks().items() for v in network.trainable_variables}
    return {name: np.array(value) for name, value in {**model.state(), **weights}.items()}


def check(make, count, *, jit_compile=False, rounding=1.0, **options):
    """By plain SGD: Adam's first steps are the gradient's sign, which rounding can turn where it is 0."""
    stock, ours = make("tuner", fast=False, **options), make("tuner", fast=True, jit_compile=jit_compile, **options)
    assert not jit_compile or compiles(ours, REAL)
    before = arrays(stock)
    for logs, expected in zip(steps(ours, count), steps(stock, count), strict=True):
        assert logs == pytest.approx(expected, rel=1e-4 * rounding)
    found = arrays(ours)
    largest = max(np.linalg.norm(value - before[name]) for name, value in arrays(stock).items())
    for name, expected in arrays(stock).items():
        # Of each array the change, but for rounding: of the array itself, and of a bias that normalization makes vain.
        error, change = np.linalg.norm(found[name] - expected), np.linalg.norm(expected - before[name])
        assert error <= rounding * 1e-3 * change + rounding * 1e-6 * max(np.linalg.norm(expected), largest), name
    return before, found


@pytest.fixture(scope="module")
def stepped(make):
    """Weights before and after a step of the fast tuner, once they have been found equal to the stock one's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "_compiled_images", fast._images)
        return check(make, 1)


def test_a_step_equals_that_of_the_stock_layers(stepped):
    before, after = stepped
    # Whatever is trained has changed by more than rounding, but for what the normalization makes vain.
    vain = [f"discriminator/conv_{i}/bias" for i in range(1, 7)]
    still = {name for name in before if name not in vain and np.array_equal(before[name], after[name])}
    assert not {name for name in still if "conv" in name or "dense" in name or "logit" in name}


@pytest.mark.nightly
def test_two_compiled_steps_equal_those_of_the_stock_layers(make):
    check(make, 2)


@pytest.mark.nightly
def test_a_step_by_xla_equals_that_of_the_stock_layers_op_by_op(make):
    """XLA draws other dropout masks, so there is no dropout here. It rounds otherwise, and batches of two make much of it."""
    check(make, 1, jit_compile=True, rounding=20.0, dropout=0.0)


def test_the_tuner_pulls_at_the_generator_by_the_estimator(make, stepped, uncompiled):
    """Without which the test above would say nothing of the estimator's form."""
    alone, name = make("acgan", fast=True), "generator/conv_4/kernel"
    steps(alone, 1)
    before, tuned = stepped
    pulls = [np.linalg.norm(after[name] - before[name]) for after in (arrays(alone), tuned)]
    assert pulls[1] > 3 * pulls[0] > 0


def test_no_stock_pass_is_left_in_a_step(make, uncompiled, monkeypatch):
    model = make("tuner", fast=True)
    for layer in (layers.Conv2D, layers.BatchNormalization, layers.UpSampling2D):
        monkeypatch.setattr(layer, "call", None)
    steps(model, 1)


def test_only_training_takes_the_fast_form(make, uncompiled):
    """`test_step` is by the moving statistics and without dropout, which the fast form doesn't know."""
    ours, stock = make("acgan", fast=True), make("acgan", fast=False)
    logs = [{name: float(value) for name, value in model.test_step(REAL).items()} for model in (ours, stock)]
    assert logs[0] == pytest.approx(logs[1], rel=1e-4)
