"""What the estimator's tests share: small random images whose PIR follows from their colours, worked out here and not by
the package's objectives; a module in TF-Hub's format."""

import functools

import keras
import numpy as np
import tensorflow as tf

from pir_tf.estimator import backbones
from pir_tf.interactions.records import Interactions


@functools.cache
def inception(layer="", seed=1):
    """InceptionV3 at 75 pixels with random weights, built once for a process: leave its kernels as they are."""
    return backbones.inception_v3(75, layer=layer, seed=seed)


def call(model, images):
    return keras.ops.convert_to_numpy(model(images, training=False))


def smooth_images(count, seed, size=64):
    """uint8 [count, size, size, 3]: coarse random colours, blended between places."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 4, 4, 3)) + 0.8 * rng.normal(size=(count, 1, 1, 3))
    position = np.linspace(0, 3, size)
    weights = np.maximum(0, 1 - np.abs(position[:, None] - np.arange(4)))  # linear interpolation [size, 4]
    values = np.einsum("yi,xj,nijc->nyxc", weights, weights, coarse)
    return np.clip((np.tanh(0.7 * values) + 1) * 127.5, 0, 255).astype(np.uint8)


def blueness(images):
    """|blue|_2 / |all|_2 of values in [0, 1], float64 [n]."""
    energy = np.square(images / 255.0).sum(axis=(1, 2))
    return np.sqrt(energy[:, 2] / energy.sum(axis=1))


def left_red_right_blue(images):
    """|left half's red, right half's blue|_2 / |all|_2, float64 [n]."""
    energy = np.square(images / 255.0).sum(axis=1)
    half = images.shape[2] // 2
    target = energy[:, :half, 0].sum(axis=1) + energy[:, half:, 2].sum(axis=1)
    return np.sqrt(target / energy.sum(axis=(1, 2)))


def answers(pir, seed=0, impressions=1000):
    """Binomial answers to each image."""
    return Interactions(
        image_id=[f"{i:04}" for i in range(len(pir))],
        class_index=np.zeros(len(pir), np.int64),
        impressions=np.full(len(pir), impressions),
        positives=np.random.default_rng(seed).binomial(impressions, pir),
    )


HUB_SIZE, HUB_FEATURES = 32, 6


class HubModule(tf.Module):
    """Means of [0, 1] images over quarters, then a dense layer; `training` spoils the output and moves a statistic."""

    def __init__(self, size):
        super().__init__()
        self.half = size // 2
        rng = np.random.default_rng(0)
        self.kernel = tf.Variable(rng.normal(size=(12, HUB_FEATURES)).astype(np.float32), name="kernel")
        # Three of one shape, trained and not: their order shows when weights are restored.
        self.moving = tf.Variable(np.full(HUB_FEATURES, 0.5, np.float32), trainable=False, name="moving")
        self.bias = tf.Variable(np.full(HUB_FEATURES, 0.1, np.float32), name="bias")
        self.scale = tf.Variable(np.full(HUB_FEATURES, 2.0, np.float32), name="scale")

    @tf.function
    def __call__(self, images, training=False):
        quarters = tf.reshape(tf.nn.avg_pool2d(images, self.half, self.half, "VALID"), (-1, 12))
        if training:
            self.moving.assign_add(tf.ones(HUB_FEATURES))
            quarters += 1000.0
        return (quarters @ self.kernel - self.moving) * self.scale + self.bias


def save_hub_module(folder, size=HUB_SIZE):
    """Writes the module in TF-Hub's format, with one trace for each value of `training`."""
    module = HubModule(size)
    images = tf.TensorSpec((None, size, size, 3), tf.float32)
    for training in (True, False):
        module.__call__.get_concrete_function(images, training=training)
    tf.saved_model.save(module, str(folder))
    return folder


def hub_features(images, kernel):
    """What the module gives for uint8 images of its size, in NumPy."""
    x = images.astype(np.float64) / 255
    half = HUB_SIZE // 2
    quarters = x.reshape(len(x), 2, half, 2, half, 3).mean(axis=(2, 4)).reshape(len(x), 12)
    return (quarters @ kernel - 0.5) * 2.0 + 0.1
