"""Small generators as other people save them: 6 latents, 3 classes, images of 8x12 pixels."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pir_tf.config import GanConfig

LATENT, CLASSES, HEIGHT, WIDTH = 6, 3, 8, 12


def wide(seed):
    """First weights so large that images use their whole range."""
    return keras.initializers.RandomNormal(stddev=1.0, seed=seed)


def foreign(way="none", *, channels=3, activation="sigmoid", factor=1.0, turned=False, names=("noise", "label")):
    """A Keras model; `way` as `gan.import_class`, `turned` puts the class first."""
    x = keras.Input((LATENT + CLASSES if way == "joined" else LATENT,), name=names[0])
    inputs = [x]
    if way == "one-hot":
        inputs.append(keras.Input((CLASSES,), name=names[1]))
        x = layers.Concatenate()(inputs)
    if way == "integer":
        label = keras.Input((1,), dtype="int32", name=names[1])
        inputs.append(label)
        x = layers.Concatenate()([x, layers.Flatten()(layers.Embedding(CLASSES, 4, wide(1))(label))])
    x = layers.Dense(HEIGHT * WIDTH * channels, activation=activation, kernel_initializer=wide(2))(x)
    x = layers.Reshape((HEIGHT, WIDTH, channels))(x)
    x = layers.Rescaling(factor)(x) if factor != 1.0 else x
    return keras.Model(inputs[::-1] if turned else inputs, x)


def config(way="none", path="mine.keras", **fields):
    """The gan section that imports it; its images are in [0, 1] unless a field says otherwise."""
    named = {f"import_{name}": value for name, value in fields.items()}
    return GanConfig(generator=f"import:{path}", import_class=way, **{"import_range": (0.0, 1.0), **named})


def latents(count=5, seed=0):
    """Latents float32 and one-hot classes float32."""
    z = np.random.default_rng(seed).standard_normal((count, LATENT)).astype(np.float32)
    return z, np.eye(CLASSES, dtype=np.float32)[np.arange(count) % CLASSES]


class Module(tf.Module):
    """A generator without Keras: two signatures, a variable that is not trained, and an output that is no image."""

    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable(tf.random.stateless_normal((LATENT + CLASSES, HEIGHT * WIDTH), (1, 2)), name="kernel")
        self.ceiling = tf.Variable(1.0, trainable=False, name="ceiling")

    def image(self, latent, label):
        x = tf.concat([latent, tf.one_hot(label, CLASSES)], -1)
        return tf.reshape(self.ceiling * tf.sigmoid(x @ self.kernel), (-1, HEIGHT, WIDTH, 1))

    @tf.function(
        input_signature=[tf.TensorSpec((None, LATENT), name="latent"), tf.TensorSpec((None,), tf.int64, name="label")]
    )
    def make(self, latent, label):
        return {"picture": self.image(latent, label), "label": tf.identity(label)}

    @tf.function(input_signature=[tf.TensorSpec((None, LATENT), name="latent")])
    def mean(self, latent):
        zeros = tf.zeros(tf.shape(latent)[:1], tf.int64)
        return {"mean": tf.reduce_mean(self.image(latent, zeros), (1, 2, 3))}

    @tf.function(input_signature=[tf.TensorSpec((4, LATENT), name="latent")])
    def four(self, latent):
        return {"picture": self.image(latent, tf.zeros((4,), tf.int64))}

    def save(self, folder):
        tf.saved_model.save(self, str(folder), signatures={"make": self.make, "mean": self.mean, "four": self.four})
        return folder
