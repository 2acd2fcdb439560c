"""The command `pir-tf`: a subcommand's module is imported only when it is chosen."""

from __future__ import annotations

import importlib
import sys

from pir_tf.commands import exit_code
from pir_tf.errors import InputError

COMMANDS = {
    "run": (
        "pir_tf.experiments.run",
        "one experiment, from data to report (the same as python -m pir_tf.experiments.run)",
    ),
    "loop": (
        "pir_tf.experiments.loop_command",
        "rounds of images, people's answers and tuning, and a proof; `loop demo` shows it",
    ),
    "people": ("pir_tf.experiments.study_command", "a study with people: plan, rating page, status, export, report"),
    "sweep": ("pir_tf.paper.sweep", "the paper's evaluation, or parts of it: many experiments, a process each"),
    "figures": ("pir_tf.paper.figures.command", "the paper's figures and linear models over many experiments"),
    "claims": ("pir_tf.paper.claims.command", "every claim of the paper beside what was run, with a verdict"),
    "few-answers": (
        "pir_tf.experiments.few_answers",
        "how well estimators do with few images and answers, without tuning",
    ),
    "tuning-curves": (
        "pir_tf.experiments.tuning_curves",
        "how far tuning goes with the linear estimator, by steps, pessimism and weight",
    ),
    "bench": ("pir_tf.experiments.bench", "how fast the networks' passes and the training steps are here"),
    "export": ("pir_tf.serving.export", "a run's generator as a version that TensorFlow Serving loads"),
}
"""Module and help of each subcommand; the module's `main` takes the words after it and returns the exit code."""

USAGE = """usage: pir-tf COMMAND [...]

Improve an image generator with people's reactions.

{commands}

pir-tf COMMAND --help explains a command."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a subcommand and returns its exit code; 2 for an unknown one."""
    words = sys.argv[1:] if arguments is None else arguments
    return exit_code(lambda: _run(words), "another place")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help"):
        width = max(map(len, COMMANDS))
        print(USAGE.format(commands="\n".join(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items())))
        return 0 if words else 2
    if words[0] not in COMMANDS:
        raise InputError(f"command {words[0]!r} is unknown, expected {', '.join(COMMANDS)}: see pir-tf --help.")
    return int(importlib.import_module(COMMANDS[words[0]][0]).main(words[1:]))


if __name__ == "__main__":
    sys.exit(main())
