"""An imported generator in an experiment: opened and tried first, tuned beside its own start, and saved in its own form too."""

from __future__ import annotations

from typing import Any

import keras

from pir_tf.config import derived_seed
from pir_tf.errors import InputError
from pir_tf.gan.imported.contract import check_contract
from pir_tf.gan.imported.description import Description
from pir_tf.gan.imported.generator import import_generator, imported_facts, save_imported
from pir_tf.objective_names import Color, parse
from pir_tf.runs.directory import RunDirectory, write_json


def imported_in(run: RunDirectory) -> dict[str, Any] | None:
    """What is known of the run's imported generator; None with networks of ours. In a second round the first one's."""
    return imported_facts(run.path / "gan")


def write_imported(run: RunDirectory) -> dict[str, Any]:
    """Writes `gan/generator.keras` (or the SavedModel `gan/generator`), `gan/generator.json` and `gan/contract.json`.

    Raises:
        InputError: The generator can't be opened or tuned, or it is grey and the objective a colour.
    """
    config = run.config
    generator, description = import_generator(config.gan, config.data.classes)
    name = config.gan.generator.removeprefix("import:")
    measured = check_contract(generator, description, name, seed=derived_seed(config.seed, "contract"))
    _refuse_colours_of_grey(run, generator, name)
    if measured["share_outside"]:
        print(
            f"{measured['share_outside']:.1%} of the values lie outside gan.import_range and are clipped.", flush=True
        )
    if measured["weights_without_gradient"]:
        left = f"{measured['weights_without_gradient']} of {measured['trainable_weights']}"
        print(f"No gradient reaches {left} trainable weights: tuning leaves them as they are.", flush=True)
    directory = run.file("gan", "generator.json").parent
    save_imported(generator, description, directory, own=False)
    write_json(directory / "contract.json", measured)
    return {}


def save_tuned(run: RunDirectory, generator: keras.Model) -> None:
    """Writes `tuning/generator.keras` and `tuning/imported.keras`, the same with the inputs and range that it came with.

    A SavedModel comes back as the SavedModel `tuning/generator`, with its own signatures.
    """
    save_imported(generator, Description.of_facts(imported_in(run) or {}), run.path / "tuning", own=True)


def _refuse_colours_of_grey(run: RunDirectory, generator: keras.Model, name: str) -> None:
    """A colour objective has nothing to raise in grey images."""
    people = run.config.interactions
    grey = any(layer.name == "grey_as_rgb" for layer in generator.layers)
    if grey and people.source == "simulated" and isinstance(parse(people.objective), Color):
        raise InputError(
            f"interactions.objective is {people.objective!r} while {name} makes grey images, whose colours never change: "
            "choose filters of VGG16 (vgg:LAYER:k=N), or real people."
        )
