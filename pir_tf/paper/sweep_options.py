"""The options of `pir-tf sweep`, mistakes in one sentence. Nothing heavy is imported."""

from __future__ import annotations

import argparse
import hashlib
import math
import os

from pir_tf.commands import Parser, user_path
from pir_tf.config import EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.objective_names import VGG_FILTERS
from pir_tf.paper.suites import SIZES, SUITES, Weights

DESCRIPTION = """Runs the paper's evaluation, or parts of it: many experiments, a process each.

The same command again goes on: what is done is skipped, what was killed is resumed from its checkpoints, what failed is tried
again. Several suites may share one directory, and what they have in common is run once."""


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options that a command line means.

    Raises:
        InputError: anything in it that can't be used.
        SystemExit: `--help` was answered (code 0).
    """
    options = _parser().parse_args(arguments)
    _check(options)
    return options


def weights_of(options: argparse.Namespace) -> Weights:
    """The pretrained weights that the options name."""
    low, high = options.inception_range
    inception, vgg = _absolute(options.inception_weights), _absolute(options.vgg_weights)
    return Weights(inception, vgg, (low, high), tuple(options.vgg_layers))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="pir-tf sweep", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add(
        "suites",
        nargs="+",
        metavar="SUITE",
        choices=list(SUITES),
        help=f"one or more of {', '.join(SUITES)} (all of them)",
    )
    add("--size", choices=list(SIZES), default="laptop", help="how long and how many (default: %(default)s)")
    add("--dir", type=user_path, metavar="DIR", help="where everything goes (default: sweeps/SIZE)")
    add(
        "--jobs",
        type=int,
        metavar="N",
        help="experiments at once (default: 1; with --ray what the cluster has room for)",
    )
    add(
        "--only",
        action="append",
        default=[],
        metavar="PATTERN",
        help="only names that match, as 'color-*'; may be repeated",
    )
    add("--limit", type=int, metavar="N", help="start at most N experiments")
    add("--time-limit", type=float, metavar="HOURS", help="start none after this time, and say what is left")
    add("--keep-checkpoints", action="store_true", help="keep those of finished experiments too, most of their size")
    add("--dry-run", action="store_true", help="list the experiments and their commands, and run nothing")
    weights = parser.add_argument_group("pretrained weights")
    add = weights.add_argument
    add(
        "--inception-weights",
        default="imagenet",
        metavar="WEIGHTS",
        help="imagenet, file:PATH, hub:HANDLE or none (default: imagenet)",
    )
    add("--inception-range", type=float, nargs=2, default=EstimatorConfig().input_range, metavar=("LOW", "HIGH"),
        help="pixel values that these weights expect (Keras's: -1 1)")  # fmt: skip
    add(
        "--vgg-weights",
        default="",
        metavar="WEIGHTS",
        help="imagenet, file:PATH or none (default: imagenet; size smoke: none)",
    )
    add("--vgg-layers", nargs="+", default=(), choices=list(VGG_FILTERS), metavar="LAYER",
        help="layers that the VGG weights serve (default: all with imagenet, else pool1 to pool5)")  # fmt: skip
    ray = parser.add_argument_group(
        "on a Ray cluster (extra [sweep]; its machines must share --dir and the weights by path)"
    )
    add = ray.add_argument
    add("--ray", metavar="ADDRESS", help="auto, HOST:PORT or ray://HOST:PORT of an existing cluster")
    add("--cpus", type=float, default=1.0, metavar="N", help="CPUs that an experiment reserves (default: 1)")
    add("--gpus", type=float, default=0.0, metavar="N", help="GPUs that an experiment reserves (default: 0)")
    return parser


def _check(options: argparse.Namespace) -> None:
    given = (("--jobs", options.jobs, 1), ("--limit", options.limit, 1), ("--time-limit", options.time_limit, 0))
    for name, value, least in given:
        if value is not None and not value >= least:
            raise InputError(f"{name} is {value}, expected {least} or more: change it with {name} N.")
    if not (options.cpus >= 0 and options.gpus >= 0 and options.cpus + options.gpus > 0):
        received = f"--cpus is {options.cpus} and --gpus {options.gpus}"
        raise InputError(f"{received}, expected 0 or more and one of them above 0: change them.")
    low, high = options.inception_range
    if not -math.inf < low < high < math.inf:
        raise InputError(f"--inception-range is {low} {high}, expected two numbers, the lower first: change it.")
    for name, weights in (("--inception-weights", options.inception_weights), ("--vgg-weights", options.vgg_weights)):
        scheme, _, rest = weights.partition(":")
        known = weights in ("", "imagenet", "none") or (scheme in ("file", "hub") and bool(rest))
        if not known or (scheme == "hub" and name == "--vgg-weights"):
            raise InputError(
                f"{name} is {weights!r}, expected imagenet, file:PATH or none: change it with {name} WEIGHTS."
            )


def require_files(weights: Weights) -> dict[str, str]:
    """Refuses files that aren't there before any experiment starts.

    Returns:
        SHA-256 of each file, by what names it (`file:PATH`).

    Raises:
        InputError: a file is neither where its name says nor in the folders of PIR_TF_WEIGHTS.
    """
    digests = {}
    for name, value in (("--inception-weights", weights.inception), ("--vgg-weights", weights.vgg)):
        scheme, _, rest = value.partition(":")
        if scheme != "file":
            continue
        folders = [folder for folder in os.environ.get("PIR_TF_WEIGHTS", "").split(os.pathsep) if folder]
        places = [rest, *(os.path.join(folder, os.path.basename(rest)) for folder in folders)]
        place = next((place for place in places if os.path.isfile(place)), None)
        if place is None:
            raise InputError(
                f"{name} names {rest}, expected a file that is there: name it by its path, or set PIR_TF_WEIGHTS."
            )
        with open(place, "rb") as file:
            digests[value] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _absolute(weights: str) -> str:
    """`file:PATH` by its whole path where it is there, so that every process finds it; others as they are."""
    scheme, _, rest = weights.partition(":")
    return f"file:{os.path.abspath(rest)}" if scheme == "file" and os.path.exists(rest) else weights
