"""The two networks on disk: stock Keras files beside a small JSON file that names the classes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras

from pir_tf.gan.imported.generator import imported_facts, load_imported
from pir_tf.gan.networks import with_tanh, without_tanh
from pir_tf.runs.directory import atomic, read_json, write_json
from pir_tf.runs.models import load_model, unusable


@dataclass(frozen=True)
class Networks:
    """A generator, a discriminator (with the logit u) and the names of the classes, in the order of the one-hot input."""

    generator: keras.Model
    discriminator: keras.Model
    class_names: tuple[str, ...]

    def save(self, directory: Path) -> None:
        """Writes `generator.keras`, `discriminator.keras` (tanh u and class logits, D17) and `generator.json`.

        Both load with `keras.models.load_model` in a process without this package.
        """
        directory.mkdir(parents=True, exist_ok=True)
        with atomic(directory / "generator.keras") as beside:
            self.generator.save(beside)
        with atomic(directory / "discriminator.keras") as beside:
            with_tanh(self.discriminator).save(beside)
        facts = {
            "class_names": list(self.class_names),
            "latent_size": self.generator.inputs[0].shape[-1],
            "image_size": self.generator.output_shape[1],
            "image_range": [-1, 1],
            "inputs": [tensor.name for tensor in self.generator.inputs],
        }
        write_json(directory / "generator.json", facts)

    @classmethod
    def load(cls, directory: Path) -> Networks:
        """Reads what `save` wrote.

        Raises:
            InputError: a file is missing or damaged.
        """
        facts = directory / "generator.json"
        if not facts.exists():
            raise unusable(facts, "no such file")
        generator = load_model(directory / "generator.keras")
        discriminator = without_tanh(load_model(directory / "discriminator.keras"))
        return cls(generator, discriminator, tuple(read_json(facts)["class_names"]))


def load_generator(directory: Path) -> keras.Model:
    """The generator alone, for sampling: ours, or somebody else's behind our contract."""
    return load_imported(directory) if imported_facts(directory) else load_model(directory / "generator.keras")
