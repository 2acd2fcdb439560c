"""Sizes, order and first weights of the networks of C.2, worked by hand."""

import keras
import numpy as np
import pytest
from keras import layers

from pir_tf.errors import InputError
from pir_tf.gan.networks import build_discriminator, build_generator, with_tanh, without_tanh


@pytest.fixture(scope="module")
def generator():
    return build_generator(2)


@pytest.fixture(scope="module")
def discriminator():
    return build_discriminator(2)


def of_kind(model, *kinds):
    return [layer for layer in model.layers if isinstance(layer, kinds)]


def are_linear(found):
    return all(layer.activation is keras.activations.linear for layer in found)


def test_the_generators_layers_and_parameters(generator):
    expected = [("class_one_hot", (2,)), ("dense", (8192,)), ("image_4x4", (4, 4, 512))]
    for index, (size, channels) in enumerate([(4, 512), (8, 256), (16, 128), (32, 64), (64, 3)], start=1):
        before = (size, size, expected[-1][1][-1])
        expected += [(f"upsample_{index}", before)] if index > 1 else []
        expected += [(name, (size, size, channels)) for name in (f"conv_{index}", f"leaky_{index}")]
    expected[-1] = ("image", (64, 64, 3))
    found = [(layer.name, layer.output.shape[1:]) for layer in generator.layers if "z" not in layer.name]
    assert found == expected
    assert [tensor.name for tensor in generator.inputs] == ["z", "class_one_hot"]
    convolved = sum(9 * a * b + b for a, b in [(512, 512), (512, 256), (256, 128), (128, 64), (64, 3)])
    assert generator.count_params() == (64 + 2) * 8192 + 8192 + convolved == 4_459_139
    assert generator.get_layer("image").activation is keras.activations.tanh
    linear = of_kind(generator, layers.Dense, layers.Conv2D)
    assert len(linear) == 6 and are_linear(linear)
    assert all(layer.interpolation == "nearest" for layer in of_kind(generator, layers.UpSampling2D))
    assert all(layer.negative_slope == 0.2 for layer in of_kind(generator, layers.LeakyReLU))


def test_the_discriminators_layers_and_parameters(discriminator):
    expected = ["image"]
    for index in range(1, 7):
        expected += [f"pad_{index}", f"conv_{index}", f"leaky_{index}", f"batch_norm_{index}"]
        expected += [f"dropout_{index}"] if index in (1, 3, 5) else []
    assert [layer.name for layer in discriminator.layers] == [*expected, "flatten", "source_logit", "class_logits"]
    convolutions = of_kind(discriminator, layers.Conv2D)
    assert [layer.strides for layer in convolutions] == [(2, 2), (1, 1)] * 3
    assert all(layer.kernel_size == (3, 3) for layer in convolutions)
    assert are_linear([*convolutions, *discriminator.layers[-2:]])
    leaky = of_kind(discriminator, layers.LeakyReLU)
    shapes = [(32, 16), (32, 32), (16, 64), (16, 128), (8, 256), (8, 512)]
    assert [layer.output.shape[1:] for layer in leaky] == [(size, size, channels) for size, channels in shapes]
    assert all(layer.negative_slope == 0.2 for layer in leaky)
    filters = [3, 16, 32, 64, 128, 256, 512]
    convolved = sum(9 * a * b + b + 4 * b for a, b in zip(filters, filters[1:], strict=False))
    heads = 8 * 8 * 512 + 1 + 8 * 8 * 512 * 2 + 2
    assert discriminator.count_params() == convolved + heads == 1_675_107
    moving = [v for v in discriminator.weights if not v.trainable]
    assert sum(int(np.prod(v.shape)) for v in moving) == 2 * sum(filters[1:])


def test_the_discriminator_pads_with_zeros_on_both_sides():
    discriminator = build_discriminator(2)
    first = discriminator.get_layer("conv_1")
    first.set_weights([np.ones((3, 3, 3, 16)), np.zeros(16)])
    seen = np.asarray(keras.Model(discriminator.input, first.output)(np.ones((1, 64, 64, 3), np.float32)))[0, :, :, 0]
    # A window of 3x3 pixels of 3 channels: 4 pixels lie inside at the top left, all 9 at the bottom right.
    assert (seen[0, 0], seen[0, 5], seen[5, 5], seen[31, 31]) == (12, 18, 27, 27)
    assert [v.padding for v in of_kind(discriminator, layers.ZeroPadding2D)] == [((1, 1), (1, 1))] * 6


def test_with_and_without_tanh_share_the_weights(generator, discriminator):
    outputs = lambda model, inputs: [np.asarray(out) for out in model(inputs, training=False)]  # noqa: E731
    images = np.random.default_rng(0).uniform(-1, 1, (3, 64, 64, 3)).astype(np.float32)
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
    with pytest.raises(InputError, match="expected source_logit and class_logits"):
        without_tanh(generator)


@pytest.mark.parametrize("build", [build_generator, build_discriminator])
def test_first_weights_are_a_function_of_the_seed(build):
    one, same, other = ([np.asarray(v) for v in build(2, seed=seed).weights] for seed in (3, 3, 4))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    kernels = [(a, b) for a, b in zip(one, other, strict=True) if a.ndim > 1]
    assert len(kernels) >= 6 and not any(np.array_equal(a, b) for a, b in kernels)


def test_other_numbers_of_classes_and_latents_and_another_dropout():
    generator, discriminator = build_generator(5, latent_size=8), build_discriminator(5, dropout=0.0)
    for model, rate in ((discriminator, 0.0), (build_discriminator(2), 0.5)):
        dropouts = of_kind(model, layers.Dropout)
        assert [v.rate for v in dropouts] == [rate] * 3 and len({v.seed for v in dropouts}) == 3
    assert [tensor.shape[1:] for tensor in generator.inputs] == [(8,), (5,)]
    assert [tensor.shape[1:] for tensor in discriminator.outputs] == [(1,), (5,)]
