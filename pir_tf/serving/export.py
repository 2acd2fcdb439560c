"""`pir-tf export RUN --to MODELS/NAME`: a run's generator as a version that TensorFlow Serving loads as it is.

The version is written under another name, loaded and compared with the Keras models in a fresh process without this
package, and only then renamed to the model's next number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pir_tf.commands import Parser, exit_code, user_path
from pir_tf.errors import InputError, one_line
from pir_tf.runs.directory import write_json

if TYPE_CHECKING:
    from pir_tf.serving.from_run import Material

DESCRIPTION = """Writes the next version of a model for TensorFlow Serving: MODELS/NAME/1, MODELS/NAME/2 and so on.

It answers `generate` (seeds and classes to PNG files), `generate_from_latent` (latents to pixels) and, with the run's
estimator, `score` (PNG files to estimated PIR); requests have 1 to 256 rows. It is checked in a fresh process before it
gets its number, so a server that watches the folder never sees a broken one."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: _export(_parse(words)), "another --to")
    except KeyboardInterrupt:
        print("\nInterrupted: no version was added.", file=sys.stderr)
        return 130


def _export(options: argparse.Namespace) -> None:
    from pir_tf.training import devices

    devices.import_quietly()
    settings = {"which": options.generator, "half": options.float16, "score": options.score}
    version = export_run(options.run, options.to, **settings)
    print(f"Exported: {version}", flush=True)


def export_run(run: Path, to: Path, *, which: str = "tuned", half: bool = False, score: bool = True) -> Path:
    """Adds a version to a model's folder, and returns the version's.

    Args:
        run: a run directory.
        to: the model's folder, made when absent; its name is the model's name in the server.
        which: "tuned" or "untuned" generator.
        half: store matrices and kernels as float16, and say how much that changes the images.
        score: with the endpoint `score`, where the run has an estimator.

    Raises:
        InputError: the run lacks something, the folder can't be used, or the version failed its check, and is gone.
    """
    from pir_tf.serving.from_run import Material
    from pir_tf.serving.versions import publish, unfinished_version

    material = Material.load(run, which, score=score)
    if score and material.estimator is None:
        print("The run has no finished estimator: exported without the endpoint score.", flush=True)
    with unfinished_version(to) as folder, tempfile.TemporaryDirectory() as beside:
        facts = write_version(material, folder, to.resolve().name, half=half, answers=Path(beside) / "answers.npz")
        facts["checked"] = check_version(folder, Path(beside) / "answers.npz")
        write_json(folder / "assets.extra" / "provenance.json", facts)
        return publish(folder)


def write_version(material: Material, folder: Path, name: str, *, half: bool, answers: Path) -> dict[str, Any]:
    """Writes model, assets and warm-up requests into an empty folder; returns what `provenance.json` says.

    The Keras models' answers for `check_version` go to the npz `answers`. `half` rounds the material's weights too.
    """
    import numpy as np
    import tensorflow as tf

    from pir_tf.serving.expected import answers_of, halve, write_warmup
    from pir_tf.serving.signatures import Endpoints, foreign_layers

    facts = {**material.provenance, "class_names": list(material.class_names), "weights": "float32"}
    if half:
        facts.update(weights="float16", float16_difference=halve(material))
        said = "float16 changes pixels by {greatest} grey levels at most and {mean:.3f} on average, in {images} images."
        print(said.format(**facts["float16_difference"]), flush=True)
        if foreign_layers(material.generator):
            facts["weights"] = "float16, those of the imported SavedModel as they are"
            print(
                "The imported SavedModel's own weights stay as they are: float16 makes none of them smaller.",
                flush=True,
            )
    known = answers_of(material)
    np.savez(answers, allow_pickle=False, **known)
    names, names_file = material.class_names, answers.parent / "class_names.txt"
    names_file.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    endpoints = Endpoints(material.generator, names, names_file=names_file, estimator=material.estimator, half=half)
    try:
        tf.saved_model.save(endpoints, str(folder), signatures=endpoints.signatures())
        write_warmup(folder, name, known)
    except tf.errors.OpError as error:
        raise InputError(
            f"The version can't be written to {folder} ({one_line(error)}): free some space, or choose another --to."
        ) from error
    return facts


def check_version(folder: Path, answers: Path) -> dict[str, Any]:
    """The greatest differences from the Keras models' answers, by `check.py` in a fresh process without this package.

    Raises:
        InputError: the version doesn't load there, or an answer differs.
    """
    program = Path(__file__).with_name("check.py")
    # -P: what lies beside the program is not importable from it.
    line = [sys.executable, "-P", str(program), str(folder), str(answers)]
    hidden = {"CUDA_VISIBLE_DEVICES": ""}  # this process may hold the GPU's memory
    done = subprocess.run(line, env={**os.environ, **hidden}, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing."]
        raise InputError(
            f"The exported version failed its check ({said[-1].removeprefix('Checked: ').rstrip('.')}), and no version was "
            "added: keep the run, and report it with this sentence."
        )
    return json.loads(done.stdout.splitlines()[-1])


def _parse(arguments: list[str]) -> argparse.Namespace:
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(prog="pir-tf export", description=DESCRIPTION, formatter_class=raw)
    add = parser.add_argument
    add("run", type=user_path, metavar="RUN", help="the directory of a run with a finished tuning")
    add("--to", type=user_path, metavar="MODELS/NAME", required=True, help="the model's folder, made when absent")
    add("--generator", choices=("tuned", "untuned"), default="tuned", help="which of the run's two (default: tuned)")
    add("--float16", action="store_true", help="store weights as float16: half the size; says what it changes")
    add("--no-score", dest="score", action="store_false", help="leave out the estimator and its endpoint score")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
