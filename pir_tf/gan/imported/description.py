"""How somebody else's generator is called: what its config says of it and its shapes confirm, with nothing left open.

Only shapes and names are looked at here. What its images are like is the business of `contract`.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras

from pir_tf.config import GanConfig
from pir_tf.errors import InputError
from pir_tf.gan.imported.signature import valid_name

CLASS_WORDS = ("class", "label", "one_hot", "onehot")  # what tells an input's name where shapes alone don't
LEAST_SIDE = 3  # pixels: the evaluation measures images by thirds


@dataclasses.dataclass(frozen=True)
class Description:
    """How an imported generator is called."""

    class_as: str  # how the class enters: `one-hot`, `integer`, `joined` (one-hot behind the latent vector) or `none`
    class_names: tuple[str, ...]  # in their order
    latent_size: int
    value_range: tuple[float, float]  # lowest and highest pixel value of its images
    class_input: str  # name of the class's own input, empty where it has none
    signature: str  # of a SavedModel, empty for a Keras model

    @classmethod
    def of_facts(cls, facts: dict[str, Any]) -> Description:
        """The description from what JSON gave back of its fields; other entries are left alone."""
        known = {field.name: facts[field.name] for field in dataclasses.fields(cls)}
        low, high = known["value_range"]
        return cls(**{**known, "class_names": tuple(known["class_names"]), "value_range": (low, high)})


def describe(core: keras.Model, config: GanConfig, class_names: tuple[str, ...], *, signature: str = "") -> Description:
    """The description of a generator with its own inputs and output.

    Args:
        core: The generator.
        config: Its fields `import_*`, and `generator`, which messages name.
        class_names: `data.classes`; empty for numbered classes.
        signature: The SavedModel's.

    Raises:
        InputError: Inputs or output are not as the config says, or leave something open.
    """
    _check_output(core, config)
    separate = config.import_class in ("one-hot", "integer")
    if len(core.inputs) != 1 + separate:
        ways = "--gan.import-class none or joined" if len(core.inputs) == 1 else "--gan.import-class one-hot or integer"
        raise InputError(
            f"{config.generator} takes {_said(core.inputs)}, expected {'two inputs' if separate else 'one input'} with "
            f"gan.import_class {config.import_class!r}: say how its class enters with {ways}."
        )
    count = len(class_names) or config.import_class_count
    class_input = _class_input(core, config, count) if separate else None
    latent = next(tensor for tensor in core.inputs if tensor is not class_input)
    if config.import_class == "joined":
        latent_size, count = _split(latent, config, count)
    else:
        latent_size = _size(latent, config.import_latent_size, "--gan.import-latent-size", config)
        if config.import_class == "none":
            count = 1
        elif config.import_class == "one-hot":
            count = _size(class_input, count, "--gan.import-class-count or --data.classes", config)
            if count == 1 and class_input is not None:  # whose only class would be shown, tuned and exported
                raise InputError(
                    f"{config.generator} takes its class in {class_input.name!r}, one number, expected an entry for each "
                    "class: say --gan.import-class integer, and name the classes with --data.classes or count them with "
                    "--gan.import-class-count N; or --gan.import-class none."
                )
        elif not count:
            raise InputError(
                f"{config.generator} takes its class as a whole number, expected to know of how many: name them with "
                "--data.classes, or count them with --gan.import-class-count N."
            )
    if class_names and len(class_names) != count:
        raise InputError(
            f"data.classes names {len(class_names)} classes ({', '.join(class_names)}) while {config.generator} has "
            f"{count}, expected a name for each in their order: change --data.classes."
        )
    numbered = ("images",) if config.import_class == "none" else tuple(f"class {index}" for index in range(count))
    class_name = "" if class_input is None else class_input.name
    names = class_names or numbered
    return Description(config.import_class, names, latent_size, config.import_range, class_name, signature)


def _check_output(core: keras.Model, config: GanConfig) -> None:
    """Refuses what is not one batch of grey or RGB images."""
    image = core.outputs[0]
    known = len(core.outputs) == 1 and len(image.shape) == 4 and None not in image.shape[1:]
    if not known or min(image.shape[1:3]) < LEAST_SIDE or image.shape[3] not in (1, 3) or "float" not in image.dtype:
        raise InputError(
            f"{config.generator} gives {_said(core.outputs)} of type {image.dtype}, expected one output of images [batch, "
            f"height, width, 1 or 3], {LEAST_SIDE} pixels a side or more, as floating-point numbers: save it with its image "
            "alone, channels last, without what comes after it."
        )


def _class_input(core: keras.Model, config: GanConfig, count: int) -> Any:
    """The input that takes the class, of two."""
    inputs = {tensor.name: tensor for tensor in core.inputs}
    if named := config.import_class_input:
        for known in (named, valid_name(named)):
            if known in inputs:
                return inputs[known]
        raise InputError(
            f"gan.import_class_input is {named!r}, expected one of {', '.join(inputs)}: change it with "
            "--gan.import-class-input NAME."
        )
    if config.import_class == "integer":
        fits = [t for t in core.inputs if "int" in t.dtype] or [t for t in core.inputs if t.shape[1:] in ((), (1,))]
    else:
        fits = [t for t in core.inputs if len(t.shape) == 2 and (not count or t.shape[1] in (count, None))]
    if len(fits) == 2:
        latent = config.import_latent_size
        fits = [t for t in fits if latent and t.shape[1:] != (latent,)] or [
            t for t in fits if any(word in t.name.lower() for word in CLASS_WORDS)
        ]
    if len(fits) != 1:
        raise InputError(
            f"{config.generator} takes {_said(core.inputs)}, and which of them is the class ({config.import_class}) can't be "
            "told: name it with --gan.import-class-input NAME."
        )
    return fits[0]


def _split(joined: Any, config: GanConfig, count: int) -> tuple[int, int]:
    """Latent size and number of classes of an input that holds both."""
    size, latent = joined.shape[-1], config.import_latent_size
    if len(joined.shape) == 2 and (latent or count):
        latent = latent or (size or 0) - count
        count = count or (size or 0) - latent
        if min(latent, count) >= 1 and size in (None, latent + count):
            return latent, count
    raise InputError(
        f"{config.generator} takes {_said([joined])}, expected the latent vector and behind it one entry for each class: say "
        "how many entries each has with --gan.import-latent-size N and --gan.import-class-count N."
    )


def _size(tensor: Any, stated: int, option: str, config: GanConfig) -> int:
    """Entries of an input, as its shape or the config says; both must agree."""
    shape = tensor.shape[1:]
    if None in shape and stated and len(shape) == 1:
        return stated
    if None in shape or (stated and math.prod(shape) != stated):
        expected = f"{stated} entries" if stated else "a known size"
        raise InputError(f"{config.generator} takes {_said([tensor])}, expected {expected}: change {option}.")
    return math.prod(shape)


def _said(tensors: Any) -> str:
    """Names and shapes, for messages."""
    return " and ".join(f"{tensor.name} {list(tensor.shape[1:])}".replace("None", "any") for tensor in tensors)
