"""A SavedModel's signature as a Keras model, whose weights are the SavedModel's own variables: tuned, they are saved back.

The SavedModel keeps its signatures and types: what is written back takes the place of what was read. Names of inputs are
kept too where they can be given again; TensorFlow 1 allowed others (`generator/noise`, `z:0`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.errors import InputError, one_line


def valid_name(name: str) -> str:
    """The nearest name that Keras and TensorFlow 2 take for an input: `z_0` for `z:0`. A valid one stays."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", name)
    return name if name[:1].isalpha() else f"arg_{name.lstrip('_')}"


class SignatureLayer(keras.Layer):
    """One signature of a loaded SavedModel, called with tensors in the order of `specs`, giving the output named."""

    def __init__(self, loaded: Any, signature: str, output_name: str, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.loaded = loaded
        self.function = loaded.signatures[signature]
        self.specs: dict[str, tf.TensorSpec] = self.function.structured_input_signature[1]
        self.output_name = output_name
        # Keras counts only its own variables: each of these is one that shares the SavedModel's storage.
        self.module_variables = [
            keras.Variable(v, trainable=v.trainable, name=f"{index:03d}_{v.name.split(':')[0].replace('/', '_')}")
            for index, v in enumerate(self.function.variables)
        ]
        self.built = True

    def call(self, tensors: Any) -> tf.Tensor:
        """The image of a list of tensors, one for each of `specs`."""
        given = zip(self.specs.items(), tensors, strict=True)
        return self.function(**{name: tf.cast(x, spec.dtype) for (name, spec), x in given})[self.output_name]

    def compute_output_spec(self, tensors: Any) -> keras.KerasTensor:
        """Shape and type of the image, as the signature states them."""
        spec = self.function.structured_outputs[self.output_name]
        return keras.KerasTensor((tensors[0].shape[0], *spec.shape[1:]), dtype=spec.dtype.name)


def open_signature(folder: Path, name: str = "") -> tuple[keras.Model, str]:
    """A signature of a SavedModel as a functional model from its inputs to its only output of images, and its name.

    Args:
        folder: The SavedModel.
        name: The signature; empty for `serving_default`, or the only one.

    Raises:
        InputError: The folder holds no whole SavedModel, or no such signature, or one without images or of a fixed batch.
    """
    if not any((folder / f"saved_model.{form}").is_file() for form in ("pb", "pbtxt")):
        raise InputError(f"{folder} has no saved_model.pb, expected a SavedModel: name the folder that holds it.")
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # damage shows as many types
        raise InputError(
            f"The SavedModel {folder} can't be loaded ({one_line(error)}); expected a whole one: export it again."
        ) from error
    signatures = dict(loaded.signatures)
    chosen = name or (next(iter(signatures)) if len(signatures) == 1 else "serving_default")
    if chosen not in signatures:
        raise InputError(
            f"The SavedModel {folder} has the signatures {', '.join(signatures) or '(none)'}, expected {chosen}: name one "
            "with --gan.import-signature NAME."
        )
    specs, outputs = signatures[chosen].structured_input_signature[1], signatures[chosen].structured_outputs
    if not specs or any(not spec.shape.rank or spec.shape[0] is not None for spec in specs.values()):
        raise InputError(
            f"The signature {chosen} of {folder} takes {_said(specs)}, expected inputs for batches of any size: export it with "
            "None as the first size."
        )
    images = [key for key, spec in outputs.items() if spec.shape.rank in (4, None)]
    if len(images) != 1:
        raise InputError(
            f"The signature {chosen} of {folder} gives {_said(outputs)}, expected one output of images [batch, height, width, "
            "channels]: name another with --gan.import-signature NAME."
        )
    layer = SignatureLayer(loaded, chosen, images[0], name="signature")
    inputs = [keras.Input(s.shape[1:], dtype=s.dtype.name, name=valid_name(key)) for key, s in specs.items()]
    return keras.Model(inputs, layer(inputs), name="saved_model"), chosen


def signature_layer(core: keras.Model) -> SignatureLayer | None:
    """The layer of a model that `open_signature` made, None for any other."""
    return next((layer for layer in core.layers if isinstance(layer, SignatureLayer)), None)


def write_saved_model(layer: SignatureLayer, folder: Path) -> None:
    """Writes the whole SavedModel, with its variables as they are now and the signatures that it came with."""
    signatures = {name: _with_valid_names(function) for name, function in layer.loaded.signatures.items()}
    tf.saved_model.save(layer.loaded, str(folder), signatures=signatures)


def _with_valid_names(function: Any) -> Any:
    """The signature itself, or where a name can't be given again, one that calls it."""
    specs = function.structured_input_signature[1]
    if all(name == valid_name(name) for name in specs):
        return function
    wanted = [tf.TensorSpec(spec.shape, spec.dtype, valid_name(name)) for name, spec in specs.items()]
    renamed = tf.function(lambda *tensors: function(**dict(zip(specs, tensors, strict=True))), input_signature=wanted)
    return renamed.get_concrete_function()


def _said(specs: dict[str, tf.TensorSpec]) -> str:
    return ", ".join(f"{name} {spec.shape}" for name, spec in specs.items()) or "nothing"
