"""What an endpoint refuses: INVALID_ARGUMENT with the field's name, what was received and what is expected.

The checks are operations of the graph, since nothing else of this package is there when it is served.
"""

from __future__ import annotations

import tensorflow as tf

MOST = 256
"""Rows of one request."""


def checked_rows(name: str, field: tf.Tensor) -> tf.Tensor:
    """The field, once its number of rows is 1 to 256."""
    rows = tf.shape(field)[0]
    text = tf.strings.format(f"{name} has {{}} rows, expected 1 to {MOST}: send several requests", rows)
    return _once(field, (rows >= 1) & (rows <= MOST), text)


def checked_classes(class_id: tf.Tensor, other: str, field: tf.Tensor, class_names: tuple[str, ...]) -> tf.Tensor:
    """Class ids, once there are as many as rows of the other field and each names a class."""
    rows, expected = tf.shape(class_id)[0], tf.shape(field)[0]
    text = tf.strings.format(f"class_id has {{}} rows, expected as many as {other}, which has {{}}", [rows, expected])
    class_id = _once(class_id, rows == expected, text)
    last = len(class_names) - 1
    listed = ", ".join(f"{index} {name}" for index, name in enumerate(class_names[:10]))
    known = f"{listed}{', ...' if last >= 10 else ''}".replace("{", "(").replace("}", ")")  # braces are for values
    wrong = (class_id < 0) | (class_id > last)
    row = _first(wrong)
    text = tf.strings.format(f"class_id[{{}}] is {{}}, expected 0 to {last} ({known})", [row, class_id[row]])
    return _once(class_id, ~tf.reduce_any(wrong), text)


def checked_latents(latent: tf.Tensor, latent_size: int) -> tf.Tensor:
    """Latents, once they are of the generator's size and finite."""
    width = tf.shape(latent)[1]
    text = tf.strings.format(f"latent has rows of {{}} numbers, expected {latent_size}", width)
    latent = tf.ensure_shape(_once(latent, width == latent_size, text), (None, latent_size))
    wrong = tf.reduce_any(~tf.math.is_finite(latent), axis=1)
    text = tf.strings.format("latent[{}] has a value that is not finite, expected numbers like N(0, 1)", _first(wrong))
    return _once(latent, ~tf.reduce_any(wrong), text)


def checked_png(image_bytes: tf.Tensor, image_shape: tuple[int, int, int]) -> tf.Tensor:
    """Encoded images, once each begins as an 8-bit PNG of the generator's size does.

    The header alone is compared: a picture of another kind or size, however large, is never decoded.
    """
    header = png_header(image_shape)
    wrong = tf.strings.substr(image_bytes, 0, len(header)) != tf.constant(header)
    row = _first(wrong)
    expected = f"an 8-bit RGB PNG of {image_shape[1]}x{image_shape[0]} pixels without transparency"
    size = tf.strings.length(image_bytes[row])
    text = tf.strings.format(f"image_bytes[{{}}], {{}} bytes, is no such image as expected: {expected}", [row, size])
    return _once(image_bytes, ~tf.reduce_any(wrong), text)


def png_header(image_shape: tuple[int, int, int]) -> bytes:
    """The first 26 bytes of an 8-bit RGB PNG: signature, size in pixels, depth and colour type."""
    height, width, _ = image_shape
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + sizes + bytes([8, 2])


def _once(value: tf.Tensor, good: tf.Tensor, message: tf.Tensor) -> tf.Tensor:
    """The value; what is computed of it waits for the check, so that the check's message comes first."""
    with tf.control_dependencies([tf.debugging.Assert(good, [message])]):
        return tf.identity(value)


def _first(wrong: tf.Tensor) -> tf.Tensor:
    """Index of the first wrong row, or 0."""
    return tf.argmax(tf.cast(wrong, tf.int32), output_type=tf.int32)
