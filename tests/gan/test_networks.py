"""Sizes, order and first weights of the networks of C.2, worked by hand."""

import keras
import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.gan.networks import build_discriminator, build_generator, with_tanh, without_tanh


@pytest.fixture(scope="module")
def generator():
    return build_generator(2)


@pytest.fixture(scope="module")
def discriminator():
    return build_discriminator(2)


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(-1, 1, (3, 64, 64, 3)).astype(np.float32)


def parameters(model):
    return {layer.name: layer.count_params() for layer in model.layers if layer.count_params()}


def outputs(model, inputs):
    return [np.asarray(out) for out in model(inputs, training=False)]


def test_the_generators_parameters(generator):
    assert parameters(generator) == {
        "dense": (64 + 2) * 8192 + 8192,
        "conv_1": 9 * 512 * 512 + 512,
        "conv_2": 9 * 512 * 256 + 256,
        "conv_3": 9 * 256 * 128 + 128,
        "conv_4": 9 * 128 * 64 + 64,
        "conv_5": 9 * 64 * 3 + 3,
    }
    assert generator.count_params() == 4_459_139


def test_the_discriminators_parameters(discriminator):
    assert parameters(discriminator) == {
        "conv_1": 9 * 3 * 16 + 16,
        "batch_norm_1": 4 * 16,
        "conv_2": 9 * 16 * 32 + 32,
        "batch_norm_2": 4 * 32,
        "conv_3": 9 * 32 * 64 + 64,
        "batch_norm_3": 4 * 64,
        "conv_4": 9 * 64 * 128 + 128,
        "batch_norm_4": 4 * 128,
        "conv_5": 9 * 128 * 256 + 256,
        "batch_norm_5": 4 * 256,
        "conv_6": 9 * 256 * 512 + 512,
        "batch_norm_6": 4 * 512,
        "source_logit": 8 * 8 * 512 + 1,
        "class_logits": 8 * 8 * 512 * 2 + 2,
    }
    assert discriminator.count_params() == 1_675_107
    moving = [v for v in discriminator.weights if not v.trainable]
    assert sum(int(np.prod(v.shape)) for v in moving) == 2 * (16 + 32 + 64 + 128 + 256 + 512) == 2016


def test_the_generators_layers_in_order(generator):
    assert [(layer.name, layer.output.shape[1:]) for layer in generator.layers if "z" not in layer.name] == [
        ("class_one_hot", (2,)),
        ("dense", (8192,)),
        ("image_4x4", (4, 4, 512)),
        ("conv_1", (4, 4, 512)),
        ("leaky_1", (4, 4, 512)),
        ("upsample_2", (8, 8, 512)),
        ("conv_2", (8, 8, 256)),
        ("leaky_2", (8, 8, 256)),
        ("upsample_3", (16, 16, 256)),
        ("conv_3", (16, 16, 128)),
        ("leaky_3", (16, 16, 128)),
        ("upsample_4", (32, 32, 128)),
        ("conv_4", (32, 32, 64)),
        ("leaky_4", (32, 32, 64)),
        ("upsample_5", (64, 64, 64)),
        ("conv_5", (64, 64, 3)),
        ("image", (64, 64, 3)),
    ]
    assert [tensor.name for tensor in generator.inputs] == ["z", "class_one_hot"]
    assert generator.get_layer("image").activation is keras.activations.tanh
    linear = [layer for layer in generator.layers if isinstance(layer, keras.layers.Dense | keras.layers.Conv2D)]
    assert len(linear) == 6 and all(layer.activation is keras.activations.linear for layer in linear)
    assert all(layer.interpolation == "nearest" for layer in generator.layers if "upsample" in layer.name)


def test_the_discriminators_layers_in_order(discriminator):
    expected = ["image"]
    for index in range(1, 7):
        expected += [f"pad_{index}", f"conv_{index}", f"leaky_{index}", f"batch_norm_{index}"]
        expected += [f"dropout_{index}"] if index in (1, 3, 5) else []
    assert [layer.name for layer in discriminator.layers] == [*expected, "flatten", "source_logit", "class_logits"]
    convolutions = [layer for layer in discriminator.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.strides for layer in convolutions] == [(2, 2), (1, 1)] * 3
    assert [layer.filters for layer in convolutions] == [16, 32, 64, 128, 256, 512]
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    sizes = [discriminator.get_layer(f"leaky_{i}").output.shape[1] for i in range(1, 7)]
    assert sizes == [32, 32, 16, 16, 8, 8]
    linear = [*convolutions, *discriminator.layers[-2:]]
    assert all(layer.activation is keras.activations.linear for layer in linear)


def test_every_leaky_slope_is_a_fifth(generator, discriminator):
    leaky = [v for model in (generator, discriminator) for v in model.layers if isinstance(v, keras.layers.LeakyReLU)]
    assert len(leaky) == 4 + 6
    for layer in leaky:
        np.testing.assert_allclose(layer(np.float32([-5, 10])), [-1, 10], rtol=1e-6)


def test_the_discriminator_pads_with_zeros_on_both_sides():
    discriminator = build_discriminator(2)
    first = discriminator.get_layer("conv_1")
    first.set_weights([np.ones((3, 3, 3, 16)), np.zeros(16)])
    seen = np.asarray(keras.Model(discriminator.input, first.output)(np.ones((1, 64, 64, 3), np.float32)))[0, :, :, 0]
    # A window of 3x3 pixels of 3 channels: 4 pixels lie inside at the top left, all 9 at the bottom right.
    assert (seen[0, 0], seen[0, 5], seen[5, 5], seen[31, 31]) == (12, 18, 27, 27)
    paddings = [v.padding for v in discriminator.layers if isinstance(v, keras.layers.ZeroPadding2D)]
    assert paddings == [((1, 1), (1, 1))] * 6


@pytest.mark.parametrize("rate", [0.0, 0.5])
def test_the_dropout_rate(rate):
    dropouts = [v for v in build_discriminator(2, dropout=rate).layers if isinstance(v, keras.layers.Dropout)]
    assert [v.rate for v in dropouts] == [rate] * 3
    assert len({v.seed for v in dropouts}) == 3


def test_with_and_without_tanh_share_the_weights(discriminator, images):
    saved = with_tanh(discriminator)
    back = without_tanh(saved)
    u, class_logits = outputs(discriminator, images)
    source, same_logits = outputs(saved, images)
    np.testing.assert_allclose(source, np.tanh(u), atol=1e-6)
    np.testing.assert_array_equal(same_logits, class_logits)
    for ours, theirs in zip(outputs(back, images), (u, class_logits), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert {id(v) for v in saved.weights} == {id(v) for v in back.weights} == {id(v) for v in discriminator.weights}
    assert saved.output_names == ["source", "class_logits"] and saved.inputs[0].name == "image"


def test_without_tanh_refuses_other_networks(generator):
    with pytest.raises(InputError, match="expected source_logit and class_logits"):
        without_tanh(generator)


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_first_weights_are_a_function_of_the_seed(build):
    one, same, other = ([np.asarray(v) for v in build(2, seed=seed).weights] for seed in (3, 3, 4))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a, b)
    kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1]
    assert len(kernels) >= 6 and not any(np.array_equal(a, b) for a, b in kernels)


def test_other_numbers_of_classes_and_latents():
    generator, discriminator = build_generator(5, latent_size=8), build_discriminator(5)
    assert [tensor.shape[1:] for tensor in generator.inputs] == [(8,), (5,)]
    assert [tensor.shape[1:] for tensor in discriminator.outputs] == [(1,), (5,)]
    assert generator.count_params() == 4_459_139 + (8 + 5 - 66) * 8192
