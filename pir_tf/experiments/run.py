"""One experiment from the command line: `python -m pir_tf.experiments.run [smoke|laptop|paper] [--field value ...]`."""

from __future__ import annotations

import os
import re
import sys
import time
from pathlib import Path

from pir_tf.commands import fail, use_one_blas_thread
from pir_tf.config import ExperimentConfig
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import Options, parse, public_command, resume_command
from pir_tf.runs.directory import RunDirectory, read_json
from pir_tf.training.devices import read_cluster


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when done or waiting for people, 1 when training diverged or another process of the job is gone, 2 for a user's mistake,
        130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    use_one_blas_thread()
    try:
        return _run(parse(arguments), arguments)
    except InputError as error:
        fail(str(error))
        return 2
    except FloatingPointError as error:
        fail(str(error))
        return 1
    except KeyboardInterrupt:
        print(
            "\nInterrupted: finished stages and checkpoints are kept; the first line above resumes it.", file=sys.stderr
        )
        return 130


def _run(options: Options, arguments: list[str]) -> int:
    config = options.experiment
    if options.dry_run:
        from pir_tf.experiments.dry_run import describe

        print(describe(config))
        return 0
    cluster = read_cluster()
    if cluster.size > 1 and options.run_dir is None:
        raise InputError(
            f"TF_CONFIG names {cluster.size} processes, which need one directory that all of them reach: name it with --run-dir."
        )
    path = options.run_dir or _run_that_waits(config) or _default_directory(config)
    print("Resume with:", resume_command(arguments, path), flush=True)
    from pir_tf.training import devices

    devices.import_quietly()
    # Before anything else runs in TensorFlow, as processes of one job have to meet.
    devices.configure(config.compute, seed=config.seed)
    from pir_tf.experiments.rounds import require_same, round_files
    from pir_tf.experiments.weights import named_files

    files = {**named_files(config), **round_files(config)}
    require_same(config, files)
    cache = os.environ.get("PIR_TF_CACHE")
    run = RunDirectory(
        path,
        config,
        files=files,
        command=public_command(arguments),
        cache=Path(cache) if cache else None,
        chief=devices.is_chief(),
    )
    from pir_tf.experiments.people import Waiting
    from pir_tf.experiments.stages import run_stages
    from pir_tf.experiments.stopwatch import note_start_up

    if devices.is_chief():
        note_start_up(run)
    try:
        run_stages(run, options.stages)
        if devices.is_chief():
            _show_result(run)
    except Waiting as waiting:
        if devices.is_chief():
            _show_result(run)
        print(f"\nWaiting for people. {waiting}")
    except Exception as error:
        if not devices.says_that_one_is_gone(config.compute, error):
            raise
        tasks = {f"{kind} {index}" for kind, index in re.findall(r"job:(\w+)/replica:\d+/task:(\d+)", str(error))}
        named = ", ".join(sorted(tasks - {cluster.task})) or str(error).strip().splitlines()[0][:200]
        fail(
            f"Another process of this job is gone (TensorFlow names {named}): start all of them again with the same commands; "
            "finished stages are skipped, and training goes on from its last checkpoint."
        )
        return 1
    finally:
        run.close()
    return 0


def _show_result(run: RunDirectory) -> None:
    """The last lines of a run: the proof in a table, and where the report is."""
    results, report = run.path / "evaluation" / "results.json", run.path / "report" / "index.html"
    if results.exists():
        from pir_tf.report.tables import result_table

        print(f"\n{result_table(read_json(results))}")
    if report.exists():
        print(f"Report: {report}")


def _run_that_waits(config: ExperimentConfig) -> Path | None:
    """The run that wrote the images which `csv:PATH` answers, so that the same command goes on with it."""
    sources = (config.evaluation.source, config.interactions.source)
    if not any(source.startswith("csv:") for source in sources):
        return None
    from pir_tf.experiments.people import run_directory_of

    return next((path for source in sources if (path := run_directory_of(source))), None)


def _default_directory(config: ExperimentConfig) -> Path:
    objective = (
        config.interactions.objective.replace(":", "-") if config.interactions.source == "simulated" else "people"
    )
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{objective}-{config.preset}"


if __name__ == "__main__":
    sys.exit(main())
