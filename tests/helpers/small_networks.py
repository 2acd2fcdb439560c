"""Networks of 8x8 images, small enough for a step in milliseconds, and what tests do with networks."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

BINS = 10


def init(seed):
    return keras.initializers.GlorotUniform(seed)


def images_of(count, seed=0):
    """Images float32 in [-1, 1] and their classes in turn."""
    images = np.random.default_rng(seed).uniform(-1, 1, (count, 8, 8, 3)).astype(np.float32)
    return images, (np.arange(count) % 2).astype(np.int32)


def small_generator(seed=0):
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    x = layers.Concatenate(name="z_and_class")([z, class_one_hot])
    x = layers.Dense(4 * 4 * 6, kernel_initializer=init(seed + 1), name="dense")(x)
    x = layers.Reshape((4, 4, 6), name="image_4x4")(x)
    x = layers.UpSampling2D(2, name="upsample")(x)
    x = layers.Conv2D(3, 3, padding="same", activation="tanh", kernel_initializer=init(seed + 2), name="conv")(x)
    return keras.Model([z, class_one_hot], x, name="generator")


def small_discriminator(seed=0, *, dropout=0.5, batch_norm=True):
    image = keras.Input((8, 8, 3), name="image")
    x = layers.ZeroPadding2D(1, name="pad_1")(image)
    x = layers.Conv2D(4, 3, strides=2, kernel_initializer=init(seed + 3), name="conv_1")(x)
    x = layers.LeakyReLU(negative_slope=0.2, name="leaky_1")(x)
    x = layers.BatchNormalization(name="batch_norm_1")(x) if batch_norm else x
    x = layers.Dropout(dropout, seed=seed + 11, name="dropout_1")(x)
    x = layers.Flatten(name="flatten")(x)
    u = layers.Dense(1, kernel_initializer=init(seed + 4), name="source_logit")(x)
    class_logits = layers.Dense(2, kernel_initializer=init(seed + 5), name="class_logits")(x)
    return keras.Model(image, [u, class_logits], name="discriminator")


def small_estimator(temperature=1.0, scale=1.0):
    """Images to PIR: a backbone with batch normalization and dropout inside, a softmax over bins and their centres."""
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, kernel_initializer=init(6))(image)
    x = layers.BatchNormalization(moving_mean_initializer=keras.initializers.Constant(0.1))(x)
    x = layers.Dropout(0.5, seed=7)(x)
    backbone = keras.Model(image, layers.GlobalAveragePooling2D()(x), name="backbone")
    image = keras.Input((8, 8, 3))
    x = layers.Dense(BINS, kernel_initializer=init(8), name="logits")(backbone(image))
    x = layers.Softmax()(layers.Rescaling(scale / temperature)(x))
    centres = keras.initializers.Constant(((np.arange(BINS) + 0.5) / BINS)[:, None])
    pir = layers.Dense(1, use_bias=False, kernel_initializer=centres, name="centres")(x)
    return keras.Model(image, pir, name="estimator")


def least_generator():
    """With one layer of weights, for what doesn't depend on the layers: a step takes half as long."""
    z, class_one_hot = keras.Input((5,), name="z"), keras.Input((2,), name="class_one_hot")
    x = layers.Concatenate(name="z_and_class")([z, class_one_hot])
    x = layers.Dense(8 * 8 * 3, activation="tanh", kernel_initializer=init(1), name="dense")(x)
    return keras.Model([z, class_one_hot], layers.Reshape((8, 8, 3), name="image")(x), name="generator")


def least_discriminator(*, dropout=0.0):
    """With dropout, and its two dense layers alone."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Dropout(dropout, seed=11, name="dropout")(layers.Flatten(name="flatten")(image))
    u = layers.Dense(1, kernel_initializer=init(4), name="source_logit")(x)
    class_logits = layers.Dense(2, kernel_initializer=init(5), name="class_logits")(x)
    return keras.Model(image, [u, class_logits], name="discriminator")


def least_estimator():
    """Images to PIR; brighter is better, in some places more."""
    image = keras.Input((8, 8, 3))
    x = layers.Dense(1, activation="sigmoid", kernel_initializer=init(6))(layers.Flatten()(image))
    return keras.Model(image, x, name="estimator")


def arrays(state):
    """Copies of variables by name; those of a network by their paths."""
    named = state if isinstance(state, dict) else {variable.path: variable for variable in state.variables}
    return {name: np.array(variable) for name, variable in named.items()}


def compiles(model, data):
    """Whether XLA compiles the model's step of such data: its graph has a call that XLA must compile."""
    step = tf.function(model.train_step, autograph=False).get_concrete_function(
        tf.nest.map_structure(tf.constant, data)
    )
    return any(
        operation.type.endswith("PartitionedCall") and operation.node_def.attr["_XlaMustCompile"].b
        for operation in step.graph.get_operations()
    )


def assert_same(one, other):
    """Equal to the last bit."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


class KillAfter(keras.callbacks.Callback):
    """Ends a training as a kill would, once a step is done, or the last one of its call."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def on_train_batch_begin(self, batch, logs=None):
        if int(self.model.step.numpy()) >= self.step:
            raise KeyboardInterrupt
