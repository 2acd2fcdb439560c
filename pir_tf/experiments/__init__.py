"""Drives the stages in order; nothing but the command line (`pir_tf.cli`) loads this package."""
