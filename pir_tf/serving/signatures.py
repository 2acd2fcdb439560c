"""What an exported version is: its endpoints, the latents of a seed, what is refused (INVALID_ARGUMENT), the weights it keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pir_tf.gan.fast import fast_generator, knows_generator
from pir_tf.images import tensor_to_float
from pir_tf.serving.protocol import MAX_BATCH


def latents_of(seeds: tf.Tensor, latent_size: int) -> tf.Tensor:
    """z ~ N(0, I), each row a function of its own seed alone.

    Philox is named, since TensorFlow would otherwise choose the algorithm by the device; and the rows are drawn on a CPU,
    since the logarithms and cosines that make normal numbers of its bits differ between CPU and GPU in the last place.

    Args:
        seeds: int64 `[n]`, any values.
        latent_size: entries of z, which is float32.

    Source: C.1.
    """

    def latent(seed: tf.Tensor) -> tf.Tensor:
        key = tf.stack([seed, tf.constant(0, tf.int64)])  # people keep seeds: another word would make other latents
        return tf.random.stateless_normal((latent_size,), key, alg="philox")

    with tf.device("/CPU:0"):
        return tf.map_fn(latent, seeds, fn_output_signature=tf.TensorSpec((latent_size,), tf.float32))


def checked_rows(name: str, field: tf.Tensor) -> tf.Tensor:
    """The field, once its number of rows is 1 to 256."""
    rows = tf.shape(field)[0]
    text = tf.strings.format(f"{name} has {{}} rows, expected 1 to {MAX_BATCH}: send several requests", rows)
    return _once(field, (rows >= 1) & (rows <= MAX_BATCH), text)


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
    """Encoded images, once each begins as an 8-bit PNG of the generator's size does: no other picture is decoded."""
    height, width, _ = image_shape
    sizes = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + sizes + bytes([8, 2])  # the last two: depth and colour type
    wrong = tf.strings.substr(image_bytes, 0, len(header)) != tf.constant(header)
    row = _first(wrong)
    expected = f"an 8-bit RGB PNG of {width}x{height} pixels without transparency"
    size = tf.strings.length(image_bytes[row])
    text = tf.strings.format(f"image_bytes[{{}}], {{}} bytes, is no such image as expected: {expected}", [row, size])
    return _once(image_bytes, ~tf.reduce_any(wrong), text)


def _once(value: tf.Tensor, good: tf.Tensor, message: tf.Tensor) -> tf.Tensor:
    """The value; what is computed of it waits for the check, so that the check's message comes first."""
    with tf.control_dependencies([tf.debugging.Assert(good, [message])]):
        return tf.identity(value)


def _first(wrong: tf.Tensor) -> tf.Tensor:
    """Index of the first wrong row, or 0."""
    return tf.argmax(tf.cast(wrong, tf.int32), output_type=tf.int32)


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
        faster = fast_generator(generator) if knows_generator(generator) else None
        self.generator = Stored(generator, faster, half=half)
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
        return {"pir": tf.reshape(self.estimator(tensor_to_float(images)), (-1,))}

    def _images(self, latent: tf.Tensor, class_id: tf.Tensor) -> tf.Tensor:
        one_hot = tf.one_hot(class_id, len(self._class_names))
        images = tf.ensure_shape(self.generator(latent, one_hot), (None, *self._image_shape))
        # As `images.to_uint8`: rounded half to even, clipped.
        return tf.cast(tf.clip_by_value(tf.round((images + 1.0) * 127.5), 0, 255), tf.uint8)


def _function(function: Callable[..., dict[str, tf.Tensor]], *fields: tf.TensorSpec) -> Any:
    return tf.function(function, input_signature=fields, autograph=False).get_concrete_function()


class Stored(tf.Module):
    """The function of a model in inference mode over weights of its own: no optimizer, random generators' state or Keras.

    Args:
        model: stock layers, and perhaps layers around a SavedModel, such as `estimator.hub.SavedModelLayer`, which say what
            they hold as `loaded` and `module_variables`: that is kept whole, in its own precision.
        function: what to compute of the model, by default its call; it reads the model's variables while it is called.
        half: store matrices and kernels as float16, which are cast when they are used; `round_weights` gives the model the
            same values.
    """

    def __init__(
        self, model: keras.Model, function: Callable[..., tf.Tensor] | None = None, *, half: bool = False
    ) -> None:
        super().__init__(name=model.name)
        self.foreign = [layer.loaded for layer in foreign_layers(model)]
        weights = _own_weights(model)
        with self.name_scope:
            self.weights = [tf.Variable(_stored(w, half=half), trainable=False, name=w.path) for w in weights]
        plain = lambda *inputs: model(list(inputs) if len(inputs) > 1 else inputs[0], training=False)  # noqa: E731

        def call(*inputs: tf.Tensor) -> tf.Tensor:
            """The function, with our weights read wherever it reads the model's."""
            values = [(old, tf.cast(new, old.dtype)) for old, new in zip(weights, self.weights, strict=True)]
            with keras.StatelessScope(state_mapping=values):
                return (function or plain)(*inputs)

        self._call = call  # what only closures know, such as the model, is not saved with the module

    def __call__(self, *inputs: tf.Tensor) -> tf.Tensor:
        return self._call(*inputs)


def round_weights(models: Iterable[keras.Model]) -> None:
    """Gives the models the weights that `Stored` with `half` keeps of them."""
    for model in models:
        for variable in _own_weights(model):
            variable.assign(_stored(variable, half=True).astype(np.float32))


def foreign_layers(model: keras.Model) -> list[Any]:
    """The layers around a SavedModel, in nested models too; its weights are kept as they came."""
    found = []
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            found += foreign_layers(layer)
        elif hasattr(layer, "module_variables"):
            found.append(layer)
    return found


def _own_weights(model: keras.Model) -> list[keras.Variable]:
    """The weights that belong to Keras layers."""
    theirs = {id(variable) for layer in foreign_layers(model) for variable in layer.module_variables}
    return [variable for variable in model.weights if id(variable) not in theirs]


def _stored(variable: keras.Variable, *, half: bool) -> np.ndarray:
    """The array to keep: vectors stay float32, they are few and the statistics among them need the range."""
    value = keras.ops.convert_to_numpy(variable)
    if not half or value.ndim < 2 or value.dtype != np.float32 or np.abs(value).max() > np.finfo(np.float16).max:
        return value
    return value.astype(np.float16)
