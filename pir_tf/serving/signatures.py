"""The endpoints: their names, their fields and types, and what each computes.

    generate = serving_default   seed int64 [n], class_id int32 [n]        -> image_bytes string [n], class_name string [n]
    generate_from_latent         latent float32 [n, z], class_id int32 [n] -> image uint8 [n, h, w, 3]
    score                        image_bytes string [n]                    -> pir float32 [n]

with n from 1 to 256. Fields that end in `_bytes` are base64 in the server's REST interface. These are a contract with
clients: `export/signatures.txt` holds them as a server shows them, and a test compares.

The generator is computed in its cheaper, equal form (`gan.fast`): on a CPU about twice as fast as the stock layers from 4
images on, and slower for one (by 6 to 48% where it was measured).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.estimator.model import to_float
from pir_tf.gan.fast import fast_generator
from pir_tf.serving.frozen_weights import Stored
from pir_tf.serving.latents import latents_of
from pir_tf.serving.refusals import checked_classes, checked_latents, checked_png, checked_rows


class Endpoints(tf.Module):
    """What is served: a generator, its classes and perhaps the PIR estimator.

    Args:
        generator: `[z, class_one_hot]` to RGB images in [-1, 1].
        class_names: in the order of the one-hot input.
        names_file: a file `class_names.txt` with a name a line, which becomes an asset.
        estimator: images in [-1, 1] to PIR `[n, 1]`, or None.
        half: store weights as float16.
    """

    def __init__(
        self,
        generator: keras.Model,
        class_names: tuple[str, ...],
        *,
        names_file: Path,
        estimator: keras.Model | None = None,
        half: bool = False,
    ) -> None:
        super().__init__(name="endpoints")
        self._class_names = class_names
        self._latent_size = int(generator.inputs[0].shape[-1])
        height, width, channels = map(int, generator.output_shape[1:])
        self._image_shape = (height, width, channels)
        self.names_file = tf.saved_model.Asset(str(names_file))
        self.generator = Stored(generator, fast_generator(generator), half=half)
        self.estimator = Stored(estimator, half=half) if estimator is not None else None

    def signatures(self) -> dict[str, Any]:
        """The endpoints' functions by their names."""
        seed, class_id = tf.TensorSpec((None,), tf.int64, "seed"), tf.TensorSpec((None,), tf.int32, "class_id")
        latent = tf.TensorSpec((None, self._latent_size), tf.float32, "latent")
        image_bytes = tf.TensorSpec((None,), tf.string, "image_bytes")
        generate = _function(self.generate, seed, class_id)
        endpoints = {
            "serving_default": generate,
            "generate": generate,
            "generate_from_latent": _function(self.generate_from_latent, latent, class_id),
        }
        return endpoints if self.estimator is None else {**endpoints, "score": _function(self.score, image_bytes)}

    def generate(self, seed: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """PNG files of seeds and classes, and the classes' names."""
        seed = checked_rows("seed", seed)
        class_id = checked_classes(class_id, "seed", seed, self._class_names)
        images = self._images(latents_of(seed, self._latent_size), class_id)
        return {"image_bytes": tf.io.encode_png(images), "class_name": tf.gather(self._class_names, class_id)}

    def generate_from_latent(self, latent: tf.Tensor, class_id: tf.Tensor) -> dict[str, tf.Tensor]:
        """Images of latents and classes, as bytes in 0..255."""
        latent = checked_latents(checked_rows("latent", latent), self._latent_size)
        class_id = checked_classes(class_id, "latent", latent, self._class_names)
        return {"image": self._images(latent, class_id)}

    def score(self, image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        """Estimated PIR of PNG files in [0, 1]: the estimator's view, no proof of anything."""
        assert self.estimator is not None
        image_bytes = checked_png(checked_rows("image_bytes", image_bytes), self._image_shape)
        decode = lambda data: tf.io.decode_png(data, channels=3)  # noqa: E731
        with tf.name_scope("image_bytes"):  # a decoder's refusal says the scope: the field
            images = tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec(self._image_shape, tf.uint8))
        return {"pir": tf.reshape(self.estimator(to_float(images)), (-1,))}

    def _images(self, latent: tf.Tensor, class_id: tf.Tensor) -> tf.Tensor:
        one_hot = tf.one_hot(class_id, len(self._class_names))
        images = tf.ensure_shape(self.generator(latent, one_hot), (None, *self._image_shape))
        # As `images.to_uint8`: rounded half to even, clipped.
        return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0, 255), tf.uint8)


def _function(function: Callable[..., dict[str, tf.Tensor]], *fields: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=fields, autograph=False).get_concrete_function()
