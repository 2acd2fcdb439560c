"""TF-Hub modules and other SavedModels as a layer of ours (2.3, D4).

tensorflow_hub's own Keras layer is a Keras 2 layer and can't be part of a Keras 3 model. So a module is loaded with
`tf.saved_model.load` and called in a Keras 3 layer that tracks its variables. A local folder needs neither
tensorflow_hub nor tf_keras; a handle needs both, since tensorflow_hub imports tf_keras.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.errors import InputError, one_line
from pir_tf.pretrained import network_timeout

REMOTE = ("http://", "https://", "gs://")
SIGNATURES = ("serving_default", "default", "image_feature_vector")


class SavedModelLayer(keras.Layer):
    """A SavedModel from images to one tensor, always in inference mode; its variables are this layer's weights.

    It is not a stock layer: a model with it is saved as a SavedModel, which carries these weights, and never as
    `.keras`.

    Args:
        folder: A SavedModel in TF-Hub's format (called as a function, with `training=False` if it takes that), or one
            with one of `SIGNATURES`.
        image_size: Side in pixels of the images that it will get.
        trainable: Whether the variables that the module marks as trainable are this layer's trainable weights.

    Raises:
        InputError: If the folder holds no whole SavedModel, or it can't be called on images of that size.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, image_size: int, trainable: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.folder = check_folder(folder)
        self.loaded = load(self.folder)  # which whoever saves this layer's function has to keep
        self._function, used = _function(self.loaded, self.folder)
        self._feature_shape = self._probe(image_size)
        marked = {id(v) for v in getattr(self.loaded, "trainable_variables", ())}
        # Keras counts only its own variables: each of these is one that shares the module's storage.
        self.module_variables = [
            keras.Variable(
                v, trainable=v.trainable and (not marked or id(v) in marked), name=v.name.replace("/", "_")[:-2]
            )
            for v in used
        ]
        self.trainable = trainable
        self.built = True

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Features [b, f], or [b, h, w, f] where the module returns maps, float32, of images [b, size, size, 3]."""
        return tf.ensure_shape(tf.cast(self._function(images), tf.float32), (None, *self._feature_shape))

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return (input_shape[0], *self._feature_shape)

    def _probe(self, image_size: int) -> tuple[int, ...]:
        """The shape of one image's features, and the proof that the module takes such images."""
        try:
            shape = tuple(self._function(tf.zeros((1, image_size, image_size, 3))).shape)
        except Exception as error:  # whatever a foreign graph raises
            raise InputError(
                f"The SavedModel {self.folder} can't be called on float32 images [1, {image_size}, {image_size}, 3] "
                f"({one_line(error)}); expected a module of image features: set --estimator.image-size to the size it "
                "takes."
            ) from error
        if len(shape) not in (2, 4) or shape[0] != 1:
            raise InputError(
                f"The SavedModel {self.folder} returns the shape {shape} for one image; expected features [1, f] or "
                "maps [1, h, w, f]: choose a module of image features."
            )
        return shape[1:]


def resolve(handle: str) -> Path:
    """The local folder of a module: itself, or of an address the one in TF-Hub's cache, downloaded if need be.

    Raises:
        InputError: If there is no such folder, no network, no tensorflow_hub, or the cached folder is broken.
    """
    if not handle.startswith(REMOTE):
        return check_folder(handle)
    try:
        import tensorflow_hub
    except ImportError as error:
        raise InputError(
            f"The handle {handle!r} needs tensorflow_hub, which can't be imported ({one_line(error)}); expected the "
            "packages tensorflow-hub, tf-keras and 'setuptools<82': install them, or unpack the module and give its "
            "folder as --estimator.weights hub:FOLDER."
        ) from error
    try:
        with network_timeout():
            folder = tensorflow_hub.resolve(handle)
    except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
        raise InputError(
            f"The TF-Hub module {handle!r} can't be fetched ({one_line(error)}); expected a network, or the module in "
            "$TFHUB_CACHE_DIR: unpack it on a machine with a network and give its folder as --estimator.weights "
            "hub:FOLDER."
        ) from error
    return check_folder(folder)


def load(folder: str | os.PathLike[str]) -> Any:
    """The object in a SavedModel folder, or an `InputError` if that isn't whole."""
    path = check_folder(folder)
    try:
        return tf.saved_model.load(os.fspath(path))
    except Exception as error:  # damage shows as many types: OSError, DataLossError, ValueError, ...
        raise InputError(
            f"The SavedModel folder {path} can't be loaded ({one_line(error)}); expected a whole one: delete it and "
            "fetch or export it again."
        ) from error


def check_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder, or an `InputError` if it holds no SavedModel as far as its file names tell."""
    path = Path(folder).expanduser()
    if not path.is_dir():
        raise InputError(
            f"The SavedModel folder {os.fspath(folder)!r} doesn't exist; expected a folder with saved_model.pb, or an "
            "address that begins with https://: correct --estimator.weights hub:..."
        )
    graph = any((path / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt"))
    variables = path / "variables"
    if not graph or (variables.is_dir() and not (variables / "variables.index").is_file()):
        files = ", ".join(sorted(item.name for item in path.iterdir())) or "nothing"
        raise InputError(
            f"The SavedModel folder {path} is broken, it holds {files}; expected saved_model.pb and whole variables: "
            "delete it and fetch or export it again."
        )
    return path


def _function(loaded: Any, folder: Path) -> tuple[Callable[[tf.Tensor], tf.Tensor], list[tf.Variable]]:
    """The module's function from images to one tensor, and the variables that it uses."""
    if callable(loaded):
        concrete = getattr(loaded.__call__, "concrete_functions", [])
        # Each trace has ((arguments), {keywords}) as its structure; TF-Hub's reusable modules take `training`.
        takes_training = any(_has_argument(function, "training") for function in concrete)
        keywords = {"training": False} if takes_training else {}
        return (lambda images: _single(loaded(images, **keywords), folder)), _variables(concrete)
    signatures = getattr(loaded, "signatures", {})
    name = next((name for name in SIGNATURES if name in signatures), None)
    if name is None:
        raise InputError(
            f"The SavedModel {folder} is no function and has the signatures {', '.join(signatures) or '(none)'}; "
            f"expected one of {', '.join(SIGNATURES)}: choose a module of image features."
        )
    signature = signatures[name]
    _, inputs = signature.structured_input_signature
    if len(inputs) != 1:
        raise InputError(
            f"The signature {name} of the SavedModel {folder} takes {', '.join(inputs) or 'nothing'}; expected images "
            "alone: choose a module of image features."
        )
    (key,) = inputs
    return (lambda images: _single(signature(**{key: images}), folder)), _variables([signature])


def _single(output: Any, folder: Path) -> tf.Tensor:
    """The one tensor of an output that may be a dictionary."""
    if not isinstance(output, dict):
        return output
    if "default" in output:  # TF-Hub's name of the features beside other outputs
        return output["default"]
    if len(output) == 1:
        return next(iter(output.values()))
    raise InputError(
        f"The SavedModel {folder} returns {', '.join(sorted(output))}; expected one tensor or one named default: "
        "choose a module of image features."
    )


def _has_argument(function: Any, name: str) -> bool:
    _, keywords = function.structured_input_signature
    names = getattr(getattr(function, "function_type", None), "parameters", {})
    return name in keywords or name in names


def _variables(functions: list[Any]) -> list[tf.Variable]:
    """Every variable that the functions use, once, in their order."""
    return list({id(v): v for function in functions for v in function.variables}.values())
