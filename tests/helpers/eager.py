"""TensorFlow without tracing, which takes longer than a few steps do."""

import contextlib

import tensorflow as tf


@contextlib.contextmanager
def eagerly():
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(False)
