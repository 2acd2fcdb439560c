"""Other people's generators behind our contract: `[z, class_one_hot]` to RGB images float32 `[batch, h, w, 3]` in [-1, 1].

A generator comes as a Keras model (`.keras`, safe mode) or as a SavedModel with a signature, with latents, class and range of
values as its description says. Around it go stock layers that turn ours into theirs: so everything behind it (people,
estimator, tuning, evaluation, report) is the same as with our own networks. Grey images are repeated to RGB. The weights are
shared: what tunes the wrapped generator tunes the one inside.

It is called in inference mode always, in tuning too: its batch statistics stay as they are.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import math
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
from keras import layers

from pir_tf.config import GanConfig
from pir_tf.errors import InputError, one_line
from pir_tf.gan.imported.description import Description, describe
from pir_tf.gan.imported.signature import open_signature, signature_layer, write_saved_model
from pir_tf.runs.directory import atomic, atomic_folder, read_json, write_json
from pir_tf.runs.models import load_model, unusable

# Of the layers around a generator, which can't have the same name.
OUR_NAMES = ("z", "class_one_hot", "z_and_class", "z_reshaped", "class_reshaped", "float32", "rescale", "grey_as_rgb")
AS_FOLDER = "export it where it was made with model.export(FOLDER), in Keras 2 model.save(FOLDER), and name FOLDER"
OWN_NAME = "imported.keras"  # a tuned Keras generator in its own form, with the inputs and the range that it came with


def import_generator(config: GanConfig, class_names: tuple[str, ...]) -> tuple[keras.Model, Description]:
    """The generator that a config names by `import:PATH`, behind our contract, and its description."""
    path = Path(config.generator.removeprefix("import:")).expanduser()
    core, signature = open_signature(path, config.import_signature) if path.is_dir() else (_load_keras(path), "")
    description = describe(core, config, class_names, signature=signature)
    return wrap(core, description), description


def wrap(core: keras.Model, description: Description) -> keras.Model:
    """A functional model of our contract that shares the weights of `core`, the generator with its own inputs and output.

    It is from `[z, class_one_hot]`, float32 `[batch, latent]` (standard normal) and `[batch, classes]`, to images float32
    `[batch, h, w, 3]`, in [-1, 1] if `core` keeps to its range.
    """
    if core.name in OUR_NAMES:
        core.name = f"imported_{core.name}"
    z = keras.Input((description.latent_size,), name="z")
    class_one_hot = keras.Input((len(description.class_names),), name="class_one_hot")
    given = []
    for tensor in core.inputs:
        if tensor.name == description.class_input:
            given.append(_class_as(description.class_as, class_one_hot, tensor))
        elif description.class_as == "joined":
            given.append(layers.Concatenate(name="z_and_class")([z, class_one_hot]))
        else:
            flat = len(tensor.shape) == 2
            given.append(z if flat else layers.Reshape(tensor.shape[1:], name="z_reshaped")(z))
    # A functional model takes its inputs as it was made of them: one tensor, a list or a dictionary.
    structure = core.inputs[0] if isinstance(core, keras.Sequential) else core.input
    (x,) = keras.tree.flatten(
        core(keras.tree.pack_sequence_as(structure, given))
    )  # an output in a list or dictionary too
    if x.dtype != "float32":
        x = layers.Activation("linear", dtype="float32", name="float32")(x)
    low, high = description.value_range
    if (low, high) != (-1.0, 1.0):
        x = layers.Rescaling(2.0 / (high - low), offset=-1.0 - 2.0 * low / (high - low), name="rescale")(x)
    if x.shape[-1] == 1:
        x = layers.Concatenate(name="grey_as_rgb")([x, x, x])
    return keras.Model([z, class_one_hot], x, name="generator")


def core_of(generator: keras.Model) -> keras.Model:
    """The generator inside a wrapped one, with its own inputs and range. Shares the weights."""
    return next(layer for layer in generator.layers if isinstance(layer, keras.Model))


def save_imported(generator: keras.Model, description: Description, directory: Path, *, own: bool) -> None:
    """Writes a wrapped generator: `generator.keras`, or the SavedModel folder `generator`, and `generator.json`.

    Args:
        generator: A wrapped generator.
        description: How the one inside is called.
        directory: Made when absent.
        own: Whether to write a Keras generator in its own form too, as `imported.keras`. A SavedModel has no other.
    """
    directory.mkdir(parents=True, exist_ok=True)
    core = core_of(generator)
    inner = signature_layer(core)
    if inner is None:
        for model, name in [(generator, "generator.keras"), (core, OWN_NAME)][: 1 + own]:
            with atomic(directory / name) as beside:
                model.save(beside)
    else:
        with atomic_folder(directory / "generator") as beside:
            write_saved_model(inner, beside)
    height, width = generator.output_shape[1:3]
    form, channels = "keras" if inner is None else "saved_model", core.outputs[0].shape[-1]
    facts = {
        "class_names": list(description.class_names),
        "latent_size": description.latent_size,
        "image_size": height,
        "image_shape": [height, width, 3],
        "image_range": [-1, 1],
        "inputs": [tensor.name for tensor in generator.inputs],
        "imported": {"form": form, "channels": channels, **dataclasses.asdict(description)},
    }
    write_json(directory / "generator.json", facts)


def load_imported(directory: Path) -> keras.Model:
    """A wrapped generator from what `save_imported` wrote."""
    facts = read_json(directory / "generator.json")["imported"]
    if facts["form"] == "keras":
        return load_model(directory / "generator.keras")
    description, folder = Description.of_facts(facts), directory / "generator"
    try:
        core, _ = open_signature(folder, description.signature)
    except InputError as error:
        raise unusable(folder, one_line(error)) from error
    return wrap(core, description)


def imported_facts(directory: Path) -> dict[str, Any] | None:
    """What `generator.json` says of an imported generator, or None where the networks are ours."""
    path = directory / "generator.json"
    return read_json(path).get("imported") if path.exists() else None


def architecture_digest(directory: Path) -> str:
    """SHA-256 of what an imported generator in `directory` is besides its weights: the same in every run that imports it."""
    stock = directory / "generator.keras"
    if stock.exists():
        with zipfile.ZipFile(stock) as whole:
            # Keras marks objects that layers share by their addresses.
            parts = [re.sub(rb'"shared_object_id": \d+', b"", whole.read("config.json"))]
    else:
        folder = directory / "generator"  # whose fingerprint.pb is another one each time that it is written
        files = [folder / "saved_model.pb", *sorted(path for path in (folder / "assets").rglob("*") if path.is_file())]
        parts = [path.read_bytes() for path in files]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _class_as(way: str, class_one_hot: Any, tensor: Any) -> Any:
    """The class as the generator's own input takes it."""
    if way == "one-hot":
        if len(tensor.shape) == 2:
            return class_one_hot
        shape, count = tensor.shape[1:], class_one_hot.shape[-1]
        if None in shape or math.prod(shape) != count:
            raise InputError(
                f"The class input {tensor.name} has the shape {shape}, expected {count} entries, one for each class: name "
                "another with --gan.import-class-input, or other --data.classes."
            )
        return layers.Reshape(tensor.shape[1:], name="class_reshaped")(class_one_hot)
    index = keras.ops.cast(keras.ops.argmax(class_one_hot, axis=-1), tensor.dtype)
    return index if len(tensor.shape) == 1 else keras.ops.expand_dims(index, -1)


def _load_keras(path: Path) -> keras.Model:
    """A functional or sequential Keras model, loaded in safe mode: nothing in the file is run as a program."""
    expected = "a Keras model saved as .keras, or a SavedModel folder"
    if not path.is_file():
        raise InputError(f"gan.generator names {path}, which is not there, expected {expected}: correct import:PATH.")
    if path.suffix != ".keras":
        raise InputError(
            f"gan.generator names {path}, expected {expected}: save it with model.save('generator.keras') of Keras 3, or "
            f"{AS_FOLDER}."
        )
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"The generator {path} has {path.stat().st_size:,} bytes and is no whole .keras file, expected {expected}: copy it "
            "again."
        )
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # what a foreign file raises is of many types
        raise InputError(f"The generator {path} {_why_not(path, error)}, or {AS_FOLDER}.") from error
    if not isinstance(model, keras.Model) or not getattr(model, "inputs", None) or not getattr(model, "outputs", None):
        raise InputError(
            f"The generator {path} holds a {type(model).__name__} without known inputs, expected a functional or sequential "
            f"Keras model: build it on keras.Input, or {AS_FOLDER}."
        )
    return model


def _why_not(path: Path, error: Exception) -> str:
    """Why a file can't be loaded, by what it says of itself, and what to do."""
    with contextlib.suppress(Exception), zipfile.ZipFile(path) as whole:
        version = json.loads(whole.read("metadata.json"))["keras_version"]
        if version.startswith("2."):
            return f"was saved by Keras 2 ({version}), expected Keras 3: build and save it there"
        if own := list(_own_layers(json.loads(whole.read("config.json")))):
            more = f" and {len(own) - 3} more" if len(own) > 3 else ""
            return f"has layers that are no stock layers of Keras ({', '.join(own[:3])}{more}): replace them"
    return f"can't be loaded ({one_line(error)}), expected a Keras model of stock layers alone: mend the file"


def _own_layers(config: Any) -> Iterator[str]:
    """Names and classes of layers whose code lies elsewhere than in Keras."""
    if isinstance(config, dict):
        name = config["config"].get("name") if isinstance(config.get("config"), dict) else None
        stock = str(config.get("module")).split(".")[0] == "keras" and config.get("class_name") != "Lambda"
        if name and not stock:
            yield f"{name} of class {config.get('class_name')}"
    values = config.values() if isinstance(config, dict) else config if isinstance(config, list) else ()
    for value in values:
        yield from _own_layers(value)
