"""Stands in for `python -m pir_tf.experiments.run` where a sweep is tested: the same files, in no time.

The environment says what it does: FAKE_JOURNAL (a line is appended for each start and each stage), FAKE_SECONDS (a stage takes as
long), FAKE_FAIL (names that fail in the middle), FAKE_HANG (names that never end).
"""

import hashlib
import os
import sys
import time

from pir_tf.commands import fail
from pir_tf.config import flatten
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parse
from pir_tf.runs.directory import RunDirectory, identity, write_json


def main():
    options = parse(sys.argv[1:])
    config, name = options.experiment, options.run_dir.name
    try:
        run = RunDirectory(options.run_dir, config, files=files_of(config), command="fake")
    except InputError as error:
        fail(str(error))
        return 2
    note(f"start {name}")
    print("Tuning the generator        :  45%|####      | 68/150", flush=True)
    for stage in options.stages:
        if run.is_done(stage):
            continue
        note(f"stage {name} {stage}")
        time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
        if stage == "estimator" and name in os.environ.get("FAKE_FAIL", "").split():
            print(f"Error: {run.path / 'estimator'} is broken: mend it.", file=sys.stderr)
            return 2
        if stage == "estimator" and name in os.environ.get("FAKE_HANG", "").split():
            time.sleep(600)
        if stage == "gan":
            for file in ("generator.keras", "discriminator.keras", "generator.json", "history.csv"):
                run.file("gan", file).write_text(f"{file} of seed {config.seed} and {config.gan.loss}")
            write_json(run.path / "data.json", {"images": config.data.count})
        if stage == "evaluation":
            digest = hashlib.sha256(repr(sorted(identity(config).items())).encode()).digest()
            results = {"pir_before_mean": digest[0] / 256, "cohens_d": digest[1] / 100, "significant": digest[2] > 127}
            write_json(
                run.file("evaluation", "results.json"), {**results, "diversity": {"after": {"distance": [0.25, 0.5]}}}
            )
        run.mark_done(stage, seconds=2.0, peak_memory_mb=100)
    return 0


def files_of(config):
    """SHA-256 of the weights that the config names by their paths."""
    named = {name: value for name, value in flatten(config).items() if str(value).startswith("file:")}
    return {name: hashlib.sha256(open(value[5:], "rb").read()).hexdigest() for name, value in named.items()}


def note(line):
    with open(os.environ["FAKE_JOURNAL"], "a") as journal:
        journal.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
