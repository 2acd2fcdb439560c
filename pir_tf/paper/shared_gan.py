"""One pretrained GAN for all runs of a sweep that would train the same one (C.2).

It is trained in a run directory of its own with the stage `gan` alone. Its files are then put into each run before that starts,
so the run finds the stage done. They are the same as if the run had made them: every field that the stage depends on is
compared, and one seed gives one result.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from pir_tf.config import ExperimentConfig
from pir_tf.errors import InputError
from pir_tf.presets import preset
from pir_tf.runs.directory import atomic, decides, identity, read_json, write_json

FILES = ("generator.keras", "discriminator.keras", "generator.json", "history.csv")
"""What the stage leaves for the others; its checkpoints and sample grids stay where it was trained."""

_SECTIONS = ("seed", "data.", "gan.", "compute.")


def gan_fields(config: ExperimentConfig) -> dict[str, Any]:
    """The fields that decide the pretrained networks, as `config.json` holds them."""
    return _decisive(identity(config))


def gan_key(config: ExperimentConfig) -> str:
    """A short name of those fields: eight hexadecimal digits."""
    text = json.dumps(gan_fields(config), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def gan_config(config: ExperimentConfig) -> ExperimentConfig:
    """The config of the run that trains the GAN: these fields, all others as in the preset."""
    start = preset(config.preset)
    return dataclasses.replace(start, seed=config.seed, data=config.data, gan=config.gan, compute=config.compute)


def needs_gan(config: ExperimentConfig) -> bool:
    """Whether the run would train a GAN: a bundled one is at hand, and a second round goes on from the first's."""
    return config.gan.generator == "train" and not config.first_round


def put_gan(source: Path, config: ExperimentConfig, run: Path) -> None:
    """Puts a trained GAN into a run directory in which the stage isn't done yet, whole or not at all.

    Args:
        source: run directory in which stage `gan` is done.
        config: the config of the run that gets it.
        run: its directory, made when absent.

    Raises:
        InputError: the source's stage isn't done, or was made with other fields.
    """
    target = run / "gan"
    if (target / "done.json").exists():
        return
    if not (source / "gan" / "done.json").exists():
        raise InputError(f"{source} has no finished stage gan, expected a trained GAN: train it first.")
    theirs, ours = _decisive(read_json(source / "config.json")["config"]), gan_fields(config)
    differ = [name for name in {**theirs, **ours} if theirs.get(name) != ours.get(name)]
    if differ:
        raise InputError(
            f"The GAN in {source} was trained with another {', '.join(differ)} than this run's: train another one for it."
        )
    target.mkdir(parents=True, exist_ok=True)
    for path in [*(source / "gan" / name for name in FILES), source / "data.json"]:
        if path.exists():
            with atomic(run / path.relative_to(source)) as beside:
                shutil.copyfile(path, beside)
    facts = {**read_json(source / "gan" / "done.json"), "trained_in": f"{source.parent.name}/{source.name}"}
    write_json(target / "done.json", facts)


def _decisive(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name.startswith(_SECTIONS) and decides(name)}
