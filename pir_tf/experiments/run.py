"""One experiment from the command line: `python -m pir_tf.experiments.run [smoke|laptop|paper] [--field value ...]`.

Nothing heavy is imported until the command line is understood, so `--help` answers at once.
"""

from __future__ import annotations

import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from pir_tf.config import PRESETS, ExperimentConfig, preset
from pir_tf.errors import InputError
from pir_tf.runs import STAGES, RunDirectory, read_json

DESCRIPTION = """Improve an image generator with people's reactions: data, ACGAN, interactions, PIR estimator, tuning, proof.

The first word may name a preset: laptop (minutes on two CPU cores; used when none is named), smoke (every stage in under a
minute) or paper (every value of the paper). Each option below changes one field of it. "Source" names the section of the
paper, D1 to D21 the deviations that the README lists."""


@dataclass(frozen=True)
class Options:
    """What to run and where."""

    experiment: Annotated[ExperimentConfig, tyro.conf.arg(name="")]
    run_dir: Path | None = None
    """Directory of the run, made when absent; the same one again resumes it. Default: runs/<time>-<objective>-<preset>."""
    stages: tuple[str, ...] = STAGES
    """Stages to run, of gan, interactions, estimator, tuning, evaluation, report; finished ones are skipped."""
    dry_run: bool = False
    """Print the whole config, counts, steps and an estimate of time and memory, and run nothing."""

    def __post_init__(self) -> None:
        unknown = [stage for stage in self.stages if stage not in STAGES]
        if unknown or not self.stages:
            raise InputError(f"--stages has {unknown or 'nothing'}, expected some of {', '.join(STAGES)}.")


def parse(arguments: list[str]) -> Options:
    """The options that a command line means.

    Raises:
        InputError: a value that the config refuses.
        SystemExit: `--help` (code 0), or an option that doesn't exist (code 2).
    """
    words = list(arguments)
    name = words.pop(0) if words and not words[0].startswith("-") else "laptop"
    if name not in PRESETS:
        raise InputError(f"Preset {name!r} is unknown, expected one of {', '.join(PRESETS)}: name it first, or leave it out.")
    default = Options(preset(name))
    return tyro.cli(
        Options, default=default, args=words, prog="python -m pir_tf.experiments.run [smoke|laptop|paper]",
        description=DESCRIPTION,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0 when done or waiting for people, 2 for a user's mistake, 130 after Ctrl-C.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        return _run(parse(arguments), arguments)
    except InputError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted: finished stages and checkpoints are kept; the command above resumes the run.", file=sys.stderr)
        return 130


def _run(options: Options, arguments: list[str]) -> int:
    config = options.experiment
    path = options.run_dir or _default_directory(config)
    print("Resume with:", resume_command(arguments, path), flush=True)
    from pir_tf import compute

    compute.quiet_logs()
    run = RunDirectory(path, config)
    compute.configure(config.compute, seed=config.seed)
    from pir_tf.experiments.people import Waiting
    from pir_tf.experiments.stages import run_stages

    try:
        run_stages(run, options.stages)
        _show_result(run)
    except Waiting as waiting:
        _show_result(run)
        print(f"\nWaiting for people. {waiting}")
    finally:
        run.close()
    return 0


def _show_result(run: RunDirectory) -> None:
    """The last lines of a run: the proof in a table, and where the report is."""
    results, report = run.file("evaluation", "results.json"), run.file("report", "index.html")
    if results.exists():
        from pir_tf.report.tables import result_table

        print(f"\n{result_table(read_json(results))}")
    if report.exists():
        print(f"Report: {report}")


def resume_command(arguments: list[str], path: Path) -> str:
    """The command that goes on with this run, whatever ended it."""
    words = [word for word in arguments]
    if not any(word == "--run-dir" or word.startswith("--run-dir=") or word.startswith("--run_dir") for word in words):
        words += ["--run-dir", str(path)]
    return shlex.join(["python", "-m", "pir_tf.experiments.run", *words])


def _default_directory(config: ExperimentConfig) -> Path:
    objective = config.interactions.objective.replace(":", "-") if config.interactions.source == "simulated" else "people"
    return Path("runs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{objective}-{config.preset}"


if __name__ == "__main__":
    sys.exit(main())
