"""The public command that makes a config: a preset and only the fields that differ from it."""

from __future__ import annotations

from typing import Any

from pir_tf.config import ExperimentConfig, flatten
from pir_tf.experiments.command_line import public_command
from pir_tf.presets import preset


def command_words(config: ExperimentConfig) -> list[str]:
    """The words after `python -m pir_tf.experiments.run` that mean exactly this config.

    Returns:
        The preset's name, then an option for each field that differs from it.
    """
    start = flatten(preset(config.preset))
    words = [config.preset]
    for name, value in flatten(config).items():
        if name != "preset" and value != start[name]:
            words += _option(name, value)
    return words


def command_of(config: ExperimentConfig) -> str:
    """The command as it is published, files by their base names."""
    return public_command(command_words(config))


def _option(name: str, value: Any) -> list[str]:
    section, dot, field = name.replace("_", "-").rpartition(".")
    if isinstance(value, bool):
        return [f"--{section}{dot}{'' if value else 'no-'}{field}"]
    values = value if isinstance(value, list) else [value]
    return [f"--{section}{dot}{field}", *(repr(one) if isinstance(one, float) else str(one) for one in values)]
