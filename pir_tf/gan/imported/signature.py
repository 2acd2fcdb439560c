"""A SavedModel's signature as a Keras model, whose weights are the SavedModel's own variables: tuned, they are saved back.

The SavedModel keeps its signatures, names and types: what is written back takes the place of what was read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.errors import InputError
from pir_tf.pretrained import one_line

DEFAULT = "serving_default"


class SignatureLayer(keras.Layer):
    """One signature of a SavedModel, called with tensors in the order of `input_names`, giving one of its outputs.

    Args:
        loaded: What `tf.saved_model.load` gave.
        signature: The signature's name.
        output_name: The output that is the image.
    """

    def __init__(self, loaded: Any, signature: str, output_name: str, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        self.loaded = loaded
        self.function = loaded.signatures[signature]
        self.specs: dict[str, tf.TensorSpec] = self.function.structured_input_signature[1]
        self.input_names = list(self.specs)
        self.output_name = output_name
        # Keras counts only its own variables: each of these is one that shares the SavedModel's storage.
        self.module_variables = [
            keras.Variable(v, trainable=v.trainable, name=f"{index:03d}_{v.name.split(':')[0].replace('/', '_')}")
            for index, v in enumerate(self.function.variables)
        ]
        self.built = True

    def call(self, tensors: Any) -> tf.Tensor:
        """The image of a list of tensors, one for each of `input_names`."""
        given = dict(zip(self.input_names, tensors, strict=True))
        cast = {name: tf.cast(tensor, self.specs[name].dtype) for name, tensor in given.items()}
        return self.function(**cast)[self.output_name]

    def compute_output_spec(self, tensors: Any) -> keras.KerasTensor:
        """Shape and type of the image, as the signature states them."""
        spec = self.function.structured_outputs[self.output_name]
        return keras.KerasTensor((tensors[0].shape[0], *spec.shape[1:]), dtype=spec.dtype.name)


def open_signature(folder: Path, name: str = "") -> tuple[keras.Model, str]:
    """A signature of a SavedModel as a functional model, and the signature's name.

    Args:
        folder: The SavedModel.
        name: The signature; empty for `serving_default`, or the only one.

    Returns:
        A model with the signature's inputs, by their names, and its only output of images.

    Raises:
        InputError: The folder holds no whole SavedModel, or it has no such signature, one without images, or one for
            batches of one size alone.
    """
    if not any((folder / file).is_file() for file in ("saved_model.pb", "saved_model.pbtxt")):
        raise InputError(
            f"gan.generator names the folder {folder}, which has no saved_model.pb, expected a SavedModel: name the folder that "
            "holds saved_model.pb."
        )
    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # damage shows as many types
        raise InputError(
            f"The SavedModel {folder} can't be loaded ({one_line(error)}); expected a whole one: export it again."
        ) from error
    signatures = dict(loaded.signatures)
    chosen = name or (next(iter(signatures)) if len(signatures) == 1 else DEFAULT)
    if chosen not in signatures:
        raise InputError(
            f"The SavedModel {folder} has the signatures {', '.join(signatures) or '(none)'}, expected {chosen} among them: name "
            "one with --gan.import-signature NAME."
        )
    function = signatures[chosen]
    specs = function.structured_input_signature[1]
    fixed = [key for key, spec in specs.items() if not spec.shape.rank or spec.shape[0] is not None]
    if fixed or not specs:
        raise InputError(
            f"The signature {chosen} of {folder} takes {', '.join(f'{n} {s.shape}' for n, s in specs.items()) or 'nothing'}, "
            "expected inputs for batches of any size: export it with None as the first size."
        )
    output = _image_output(function, folder, chosen)
    layer = SignatureLayer(loaded, chosen, output, name="signature")
    inputs = [keras.Input(spec.shape[1:], dtype=spec.dtype.name, name=key) for key, spec in specs.items()]
    return keras.Model(inputs, layer(inputs), name="saved_model"), chosen


def signature_layer(core: keras.Model) -> SignatureLayer | None:
    """The layer of a model that `open_signature` made, None for any other."""
    return next((layer for layer in core.layers if isinstance(layer, SignatureLayer)), None)


def write_saved_model(layer: SignatureLayer, folder: Path) -> None:
    """Writes the whole SavedModel, with its variables as they are now and the signatures that it came with."""
    tf.saved_model.save(layer.loaded, str(folder), signatures=dict(layer.loaded.signatures))


def _image_output(function: Any, folder: Path, signature: str) -> str:
    """Name of the one output of rank 4."""
    outputs = function.structured_outputs
    images = [key for key, spec in outputs.items() if spec.shape.rank in (4, None)]
    if len(images) != 1:
        said = ", ".join(f"{key} {spec.shape}" for key, spec in outputs.items())
        raise InputError(
            f"The signature {signature} of {folder} gives {said or 'nothing'}, expected one output of images [batch, height, "
            "width, channels]: name another with --gan.import-signature NAME."
        )
    return images[0]
