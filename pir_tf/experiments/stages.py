"""The stages in order, and how a run goes through them: skip what is done, time each, stop where people must answer.

Where several processes run one experiment, all of them train and the chief alone does the rest. Before each stage they agree on
whether it is done, as the chief sees it, and wait there for each other. A chief that stops where the others don't train says so
there, so that they end with it.
"""

from __future__ import annotations

import importlib
import resource
import signal
import sys
import time
from collections.abc import Sequence

from pir_tf.errors import InputError, explain_os_errors
from pir_tf.experiments.csv_answers import Waiting, require_unchanged
from pir_tf.experiments.inputs import require_batches, require_own_generator, require_weights
from pir_tf.report.tables import print_result
from pir_tf.runs.directory import STAGES, TRAINED, RunDirectory
from pir_tf.training import devices, replicas

NEEDS = {
    "gan": (),
    "interactions": ("gan",),
    "estimator": ("gan", "interactions"),
    "tuning": ("gan", "estimator"),
    "evaluation": ("gan", "interactions", "estimator", "tuning"),
    "report": ("gan", "interactions", "estimator", "tuning", "evaluation"),
}
"""Stages whose files a stage reads."""
_WAITS, _STOPPED = 2, 3  # what the chief says of a stage instead of 0 or 1, not done or done


def run_stages(run: RunDirectory, stages: Sequence[str]) -> None:
    """Runs the named ones of `STAGES` that are not done yet, in their order.

    Raises:
        InputError: a stage needs the files of one that is not done and is not asked for.
        Waiting: people must answer before the run can go on.
    """
    asked = [stage for stage in STAGES if stage in stages]
    for stage in asked:
        if missing := [need for need in NEEDS[stage] if need not in asked and not run.is_done(need)]:
            raise InputError(
                f"Stage {stage} reads what {', '.join(missing)} writes, which is not done in {run.path}: add it to --stages."
            )
    todo = [stage for stage in asked if not run.is_done(stage)]
    require_own_generator(run.config)
    require_weights(run.config, todo)
    require_batches(run, todo)
    waiting: Waiting | None = None
    chief = devices.is_chief()
    for stage in asked:
        if chief and stage == "report":
            print_result(run.path)  # whatever becomes of the report
        done = _agree(run, run.is_done(stage))
        if not chief:
            _follow(run, stage, done)
            continue
        try:
            _lead(run, stage, done=bool(done), keep=waiting is None)
        except Waiting as message:
            if stage != "evaluation":
                _tell(run, _WAITS)
                raise
            waiting = message
        except Exception:
            if stage not in TRAINED:  # there the others are in the middle of a step
                _tell(run, _STOPPED)
            raise
    _end_with_the_chief(_agree(run, 0))
    if chief and "report" not in asked:
        print_result(run.path)
    if chief and (report := run.path / "report" / "index.html").exists():
        print(f"Report: {report}")
    if waiting:
        raise waiting


def _lead(run: RunDirectory, stage: str, *, done: bool, keep: bool) -> None:
    """A stage in the only process, or in the chief; it is noted as done if `keep`.

    A report drawn while people still judge isn't: it is drawn again when they have.
    """
    if done:
        require_unchanged(run, stage)
        print(f"{stage}: done before, skipped")
        return
    start = time.monotonic()
    module = importlib.import_module(f"pir_tf.experiments.{stage}_stage")
    with explain_os_errors(run.path / stage):
        facts = module.run(run)
        seconds = round(time.monotonic() - start, 2)
        if keep:
            run.mark_done(stage, seconds=seconds, peak_memory_mb=_peak_megabytes(), **{"parts": {}, **facts})
    print(f"{stage}: {seconds:.0f} s", flush=True)


def _agree(run: RunDirectory, value: int) -> int:
    strategy = devices.strategy(run.config.compute)
    if not replicas.is_multi_worker(strategy):
        return value
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # while TensorFlow waits no handler of Python's runs
    try:
        return replicas.agree(strategy, value)
    finally:
        signal.signal(signal.SIGINT, before)


def _tell(run: RunDirectory, said: int) -> None:
    """Tells the other processes that this one, the chief, stops; one that is gone needn't know."""
    try:
        _agree(run, said)
    except Exception as error:
        if not devices.is_peer_failure(run.config.compute, error):
            raise


def _follow(run: RunDirectory, stage: str, done: int) -> None:
    """A stage in a process that is not the chief: it helps to train."""
    _end_with_the_chief(done)
    if not done and stage in TRAINED:
        with explain_os_errors(run.path / stage):
            importlib.import_module(f"pir_tf.experiments.{stage}_stage").run(run)
    else:
        print(f"{stage}: done before, or done by the job's first process, which is waited for", flush=True)


def _end_with_the_chief(said: int) -> None:
    """Ends a process that is not the chief as the chief has ended: waiting for people, or with an error."""
    if said == _WAITS:
        raise Waiting("The job's first process says what to do; then start all of them again with the same commands.")
    if said == _STOPPED:
        raise InputError(
            "The job's first process stopped with an error, which it says itself: mend that, then start all of them again "
            "with the same commands."
        )


def _peak_megabytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024))
