"""bfloat16 inside the networks, float32 at their ends, and nothing of it left afterwards."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import compiles, images_of, small_discriminator, small_generator

from pir_tf.config import ComputeConfig, EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import PIREstimator, build_network, network_of
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.training.precision import mixed
from pir_tf.tuning.tuner import Tuner

COMPACT = EstimatorConfig(backbone="compact", weights="none", image_size=32, trainable="all")


def networks():
    estimator = PIREstimator(build_network(COMPACT, seed=3), Bins(100)).saved_model()
    return build_generator(2, seed=1), build_discriminator(2, dropout=0.3, seed=2), estimator


def computing(model, name):
    return model.get_layer(name).compute_dtype


@pytest.mark.slow
def test_insides_compute_in_bfloat16_ends_softmaxes_and_weights_in_float32(tmp_path):
    generator, discriminator, estimator = networks()
    z, c = tf.random.stateless_normal((2, 64), (1, 2)), tf.one_hot([0, 1], 2)
    before = generator([z, c])
    # An error in the block leaves nothing of it either.
    with pytest.raises(RuntimeError), mixed("mixed_bfloat16", generator, discriminator, network_of(estimator)):
        assert {computing(generator, f"conv_{i}") for i in (1, 2, 3, 4)} == {"bfloat16"}
        assert computing(generator, "conv_5") == computing(generator, "image") == "float32"
        assert computing(discriminator, "conv_6") == computing(discriminator, "batch_norm_6") == "bfloat16"
        assert computing(discriminator, "source_logit") == computing(discriminator, "class_logits") == "float32"
        assert computing(estimator, "conv_2") == "bfloat16"
        ends = ("resize", "rescale", "logits", "temperature", "probabilities", "pir")
        assert {computing(estimator, name) for name in ends} == {"float32"}
        images = generator([z, c])
        u, class_logits = discriminator(images, training=True)
        assert images.dtype == u.dtype == class_logits.dtype == estimator(images).dtype == tf.float32
        every = [*generator.weights, *discriminator.weights, *estimator.weights]
        assert {weight.dtype for weight in every if "seed" not in weight.path} == {"float32"}
        difference = float(tf.reduce_max(tf.abs(images - before)))
        assert 1e-6 < difference < 0.1  # other rounding, the same picture
        raise RuntimeError
    assert np.array_equal(generator([z, c]), before)
    after = [*generator.layers, *discriminator.layers, *estimator.layers]
    generator.save(tmp_path / "generator.keras")
    after += keras.models.load_model(tmp_path / "generator.keras").layers
    assert {layer.compute_dtype for layer in after} == {layer.dtype_policy.name for layer in after} == {"float32"}


def test_the_image_of_a_generator_inside_another_is_float32():
    inner = small_generator()
    z, c = (keras.Input(tensor.shape[1:]) for tensor in inner.inputs)
    outer = keras.Model([z, c], inner([z * 1.0, c]))
    with mixed("mixed_bfloat16", outer):
        kinds = {layer.name: layer.compute_dtype for layer in inner.layers}
        assert "bfloat16" in kinds.values() and kinds[inner.layers[-1].name] == "float32"
        images = outer([tf.random.stateless_normal((2, z.shape[-1]), (1, 2)), tf.one_hot([0, 1], c.shape[-1])])
    assert images.dtype == tf.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    "how", [{"run_eagerly": True, "jit_compile": False}, pytest.param({"jit_compile": True}, marks=pytest.mark.nightly)]
)
def test_tuning_steps_in_bfloat16_with_and_without_xla(how):
    """The gradient goes through the resize in the estimator; losses and weights stay finite float32."""
    generator, discriminator, estimator = small_generator(), small_discriminator(), networks()[2]
    with mixed("mixed_bfloat16", generator, discriminator, network_of(estimator)):
        tuner = Tuner(generator, discriminator, estimator, pir_weight=100.0, seed=4)
        tuner.compile(keras.optimizers.Adam(1e-4), keras.optimizers.RMSprop(1e-4), **how)
        # Keras's own way leaves XLA out beside determinism.
        assert tuner.by_xla is how["jit_compile"] and not tuner.jit_compile
        assert compiles(tuner, images_of(4)) is how["jit_compile"]
        start = [np.array(weight) for weight in generator.trainable_variables]
        data = tf.data.Dataset.from_tensor_slices(images_of(4)).batch(4).repeat(2)
        logs = tuner.fit(data, shuffle=False, verbose=0).history
    assert all(np.isfinite(values).all() for values in logs.values())
    assert all(np.abs(weight - old).max() > 0 for weight, old in zip(generator.trainable_variables, start, strict=True))


@pytest.mark.parametrize("asked", ["mixed_float16", "float16"])
def test_float16_is_refused_with_the_reason(asked):
    with pytest.raises(InputError, match="loss scale"):
        ComputeConfig(precision=asked)
