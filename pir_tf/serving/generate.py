"""`python -m pir_tf.serving.generate`: images from a served model, as PNG files."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pir_tf.commands import Parser, exit_code, fail, user_path
from pir_tf.errors import InputError
from pir_tf.runs.directory import atomic
from pir_tf.serving.canary import label_for
from pir_tf.serving.client import ServingError, connect

DESCRIPTION = """Asks a model behind TensorFlow Serving for images and writes each as a PNG file, named after its seed and class.

A seed and a class give the same picture whenever and wherever they are asked for."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0; 2 for a user's mistake; 1 when the server refuses or doesn't answer."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: _generate(_parse(words)), "another --to")
    except ServingError as error:
        fail(str(error))
        return 1


def _generate(options: argparse.Namespace) -> int:
    label = label_for(options.user, options.canary_percent) if options.user is not None else options.label
    classes = options.classes[0] if len(options.classes) == 1 else options.classes
    with connect(options.url, model=options.model, label=label, deadline=options.deadline) as client:
        answer = client.generate(options.seed, classes)
    options.to.mkdir(parents=True, exist_ok=True)
    for seed, name, image in zip(options.seed, answer.class_names, answer.image_bytes, strict=True):
        path = options.to / f"{seed}-{_file_name(name)}.png"
        with atomic(path) as beside:
            beside.write_bytes(image)
        print(path)
    return 0


def _file_name(text: str) -> str:
    """A class name comes from the server: it must not lead out of the folder."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in text) or "image"


def _parse(arguments: list[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="python -m pir_tf.serving.generate", description=DESCRIPTION, formatter_class=raw)
    add = parser.add_argument
    url = "the server: http://, https://, grpc:// or grpcs:// (default: %(default)s)"
    add("--url", default="http://localhost:8501", help=url)
    add("--model", required=True, metavar="NAME", help="the model's name in the server's configuration")
    add("--seed", type=int, nargs="+", required=True, metavar="N", help="seeds, an image for each")
    classes = "class of each, or one for all (default: 0)"
    add("--class", type=int, nargs="+", default=[0], metavar="N", dest="classes", help=classes)
    to = "where the images go (default: %(default)s)"
    add("--to", type=user_path, default=Path("images"), metavar="DIR", help=to)
    add("--label", metavar="LABEL", help="label of the version to ask (default: the newest version that is loaded)")
    add("--user", metavar="ID", help="instead of --label: stable or canary, chosen by this user's id")
    add("--canary-percent", type=float, default=0.0, metavar="P", help="share of users who see the canary (default: 0)")
    add("--deadline", type=float, default=60.0, metavar="SECONDS", help="time for everything (default: %(default)g)")
    options = parser.parse_args(arguments)
    if options.user is not None and options.label:
        raise InputError("--user and --label were both given, expected one of them: leave one out.")
    return options


if __name__ == "__main__":
    sys.exit(main())
