"""One experiment from the command line: `python -m pir_tf.experiments.run [smoke|laptop|paper] [--field value ...]`."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import os
import re
import sys
import time
from pathlib import Path

from pir_tf.commands import exit_code, fail, lasting_output, user_path
from pir_tf.config import ExperimentConfig
from pir_tf.config.checks import is_people
from pir_tf.errors import InputError, explain_os_errors
from pir_tf.experiments.command_line import Options, parse, public_command, resume_command
from pir_tf.runs.directory import RunDirectory, held_forms, round_of
from pir_tf.training.devices import read_cluster

LOOP = "PIR_TF_LOOP"
"""Environment variable that a loop gives its runs."""
LONGEST_NAME = 60
"""Characters of an objective in a directory's name: some file systems take 143 for all of it."""


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when done or waiting for people, 1 when training diverged or another process of the job is gone, 2 for a user's mistake,
        130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: _start(parse(arguments), arguments), "another --run-dir")
    except FloatingPointError as error:
        fail(str(error))
        return 1
    except KeyboardInterrupt:
        if not in_loop():
            said = "Interrupted: finished stages and checkpoints are kept; the first line above resumes it."
            print(f"\n{said}", file=sys.stderr)
        return 130


def _start(options: Options, arguments: list[str]) -> int:
    config = options.experiment
    if options.dry_run:
        from pir_tf.experiments.dry_run import describe

        print("\n".join([*options.notes, describe(config)]))
        return 0
    if (processes := read_cluster().size) > 1 and options.run_dir is None:
        raise InputError(
            f"TF_CONFIG names {processes} processes, which need one directory that all of them reach: name it with --run-dir."
        )
    named = options.run_dir or _run_that_waits(config)
    path = named or _new_directory(config)
    try:
        with lasting_output():
            return _run(options, arguments, path)
    finally:
        if not named:
            with contextlib.suppress(OSError):
                path.rmdir()  # where nothing was begun it is empty


def in_loop() -> bool:
    """Whether `pir-tf loop` runs this: it says itself how to go on, and what it waits for."""
    return LOOP in os.environ


def _run(options: Options, arguments: list[str], path: Path) -> int:
    config = options.experiment
    if not in_loop():
        print("Resume with:", resume_command(arguments, path), flush=True)
    for note in options.notes:
        print(note, flush=True)
    from pir_tf.training import devices, xla

    xla.prepare(config.compute)
    devices.import_quietly()
    # Before anything else runs in TensorFlow, as processes of one job have to meet.
    devices.configure(config.compute, seed=config.seed)
    from pir_tf.experiments.csv_answers import Waiting
    from pir_tf.experiments.inputs import named_files
    from pir_tf.experiments.rounds import require_same, round_files
    from pir_tf.experiments.stages import run_stages
    from pir_tf.experiments.stopwatch import note_start_up

    files = {**named_files(config), **round_files(config)}
    require_same(config, files)
    cache = os.environ.get("PIR_TF_CACHE")
    chief = devices.is_chief()
    forms = xla.forms(config, held_forms(path))
    xla.require_deterministic(config.compute, forms)
    run = RunDirectory(
        path,
        config,
        files=files,
        command=public_command(arguments),
        cache=user_path(cache) if cache else None,
        forms=forms,
        chief=chief,
    )
    try:
        if chief:
            note_start_up(run)
        run_stages(run, options.stages)
    except Waiting as waiting:
        if not in_loop():
            print(f"\nWaiting for people. {waiting}")
    except Exception as error:
        if not devices.is_peer_failure(config.compute, error):
            raise
        tasks = {f"{kind} {index}" for kind, index in re.findall(r"job:(\w+)/replica:\d+/task:(\d+)", str(error))}
        named = ", ".join(sorted(tasks - {read_cluster().task})) or str(error).strip().splitlines()[0][:200]
        fail(
            f"Another process of this job is gone (TensorFlow names {named}): start all of them again with the same commands; "
            "finished stages are skipped, and training goes on from its last checkpoint."
        )
        return 1
    finally:
        run.close()
    return 0


def _run_that_waits(config: ExperimentConfig) -> Path | None:
    """The run that asks people by these sources already, so that the same command goes on with it."""
    sources = [source for source in (config.evaluation.source, config.interactions.source) if is_people(source)]
    if not sources:
        return None
    from pir_tf.experiments.csv_answers import run_directory_of
    from pir_tf.experiments.study_answers import run_of_study

    found = (run_directory_of(source) or run_of_study(source, round_of(config)) for source in sources)
    return next((path for path in found if path), None)


def _new_directory(config: ExperimentConfig) -> Path:
    """A directory of its own below `runs`, even for one of several runs that begin in the same second."""
    people = config.interactions
    objective = people.objective.replace(":", "-") if people.source == "simulated" else "people"
    if len(objective) > LONGEST_NAME:
        objective = f"{objective[: LONGEST_NAME - 9]}-{hashlib.sha256(objective.encode()).hexdigest()[:8]}"
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{objective}-{config.preset}"
    for number in itertools.count(1):
        path = Path("runs", name if number == 1 else f"{name}-{number}")
        with explain_os_errors(path):
            path.parent.mkdir(exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                break
    return path


if __name__ == "__main__":
    sys.exit(main())
