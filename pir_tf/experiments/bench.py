"""`pir-tf bench`: how fast the networks' passes and the training steps are here, in Keras's form and in ours.

In one run: the machine's own rate in a matrix product and in a convolution; then each pass and each step with its operations
counted (of Keras's form, which is the definition's, and of what our form really does), its time, and how near it comes to
the limit, which is the time that the definition's operations would take at the convolution's rate. The two forms, and with
`--peer` another program's step, take turns, so that what else the machine does meets all of them.
"""

from __future__ import annotations

import fnmatch
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pir_tf.commands import fail
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parsed
from pir_tf.runs.provenance import package_commit

PEER_CASE = "tuning step, InceptionV3 at 75, batch 32"
"""The step that a peer is compared with."""
LARGE = "at 299"
"""Cases of this name take seconds a step and get fewer rounds."""


@dataclass(frozen=True)
class BenchOptions:
    """Times the networks' passes and the training steps, in Keras's form and in ours."""

    only: str = "*"
    """Cases to time, by a pattern of their names: `tuning*`, `*compact*`."""
    rounds: int = 15
    """Times that each form of a case is run, in turn with the others (at most 5 where a step takes seconds)."""
    json: Path | None = None
    """File to write the numbers to."""
    peer: str = ""
    """A command that runs the step of a peer (InceptionV3 at 75, batch 32) and prints `s/step SECONDS`; it takes turns with
    ours, and the table gets its ratio."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"--rounds is {self.rounds}, expected 1 or more: change it with --rounds NUMBER.")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line.

    Returns:
        0, or 2 for a user's mistake.
    """
    try:
        options = parsed(BenchOptions, sys.argv[1:] if arguments is None else arguments, prog="pir-tf bench")
        facts = bench(options)
        if options.json:
            from pir_tf.errors import explain_os_errors
            from pir_tf.runs.directory import write_json

            with explain_os_errors(options.json):
                write_json(options.json, facts)
            print(f"Numbers: {options.json}")
    except InputError as error:
        fail(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def bench(options: BenchOptions) -> dict[str, Any]:
    """Times everything that is asked for and prints a row as each case is done.

    Returns:
        Machine, versions, rates in operations a second, and a row of numbers for each form of each case.

    Raises:
        InputError: no case has such a name, or the peer can't be run.
    """
    from pir_tf.training import devices

    devices.import_quietly()
    from pir_tf.config import ComputeConfig
    from pir_tf.experiments import bench_cases

    devices.configure(ComputeConfig(), seed=0)
    chosen = [(name, build) for name, build in bench_cases.cases() if fnmatch.fnmatch(name, options.only)]
    if not chosen:
        names = "; ".join(name for name, _ in bench_cases.cases())
        raise InputError(f"--only is {options.only!r}, expected a pattern of one of: {names}.")
    rates = {}
    for name, (function, operations) in bench_cases.machine().items():
        rates[name] = operations / min(_times({name: function}, 20)[name])
        print(f"{name}: {rates[name] / 1e9:.0f} GFLOP/s")
    facts: dict[str, Any] = {"machine": _machine(), "rates": rates, "rows": []}
    print("\n" + _HEADER)
    for name, build in chosen:
        rounds = min(options.rounds, 5) if LARGE in name else options.rounds
        case = build()
        for row in _measure(case, rates["convolution"], rounds):
            facts["rows"].append(row)
            print(_line(row), flush=True)
        if name == PEER_CASE and options.peer:
            facts["peer"] = _against_peer(case, options.peer)
            print(_peer_sentence(facts["peer"]), flush=True)
    print(_EXPLANATION)
    return facts


def _measure(case: Any, rate: float, rounds: int) -> list[dict[str, Any]]:
    """A row for each form of a case."""
    from pir_tf.experiments.operations import count_operations

    done = {form: count_operations(function.get_concrete_function()) for form, function in case.forms.items()}
    times = _times(case.forms, rounds)
    stock = statistics.median(times["stock"])
    rows = []
    for form, seconds in times.items():
        median = statistics.median(seconds)
        rows.append(
            {
                "case": case.name,
                "batch": case.batch,
                "form": form,
                "operations": done["stock"],
                "operations_done": done[form],
                "median_s": median,
                "min_s": min(seconds),
                "rate": done["stock"] / median,
                "share_of_limit": done["stock"] / median / rate,
                "share_of_rate": done[form] / median / rate,
                "times_as_fast_as_stock": stock / median,
                "rounds": rounds,
            }
        )
    return rows


def _times(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each function in each round, after two calls that are not timed; the functions take turns."""
    for function in functions.values():
        function()
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def _against_peer(case: Any, command: str, turns: int = 3) -> dict[str, Any]:
    """Our fast form and the peer in turn, each for a few seconds."""
    ours, theirs = [], []
    for _ in range(turns):
        ours.append(statistics.median(_times({"fast": case.forms["fast"]}, 7)["fast"]))
        theirs.append(_peer_seconds(command))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return {
        "command": " ".join(os.path.basename(word) for word in shlex.split(command)),
        "case": case.name,
        "ours_s": ours,
        "peer_s": theirs,
        "times_as_fast_as_peer": statistics.median(ratios),
        "ratios": ratios,
    }


def _peer_seconds(command: str) -> float:
    try:
        said = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=600, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InputError(
            f"--peer {command!r} failed ({error}): give a command that runs the step and prints s/step."
        ) from error
    found = re.search(r"s/step\s+([0-9.]+)", said)
    if not found:
        raise InputError(
            f"--peer {command!r} printed {said[-100:]!r}, expected a line with s/step SECONDS: make it print one."
        )
    return float(found.group(1))


def _machine() -> dict[str, Any]:
    import keras
    import tensorflow as tf

    processor = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        processor = re.findall(r"model name\s*: (.*)", lines)[0]
    except (OSError, IndexError):
        pass
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "commit": package_commit(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


_HEADER = f"{'':<46}{'form':>6}{'GFLOP':>8}{'done':>7}{'median':>10}{'least':>10}{'GFLOP/s':>9}{'limit':>7}{'stock':>7}"
_EXPLANATION = """
GFLOP    operations of Keras's form, which is the definition's; `done` those of the form itself
GFLOP/s  the definition's operations over the median time
limit    that rate over the rate of a convolution here; a form with fewer operations can pass 100%
stock    times as fast as Keras's form of the same"""


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['case'] if row['form'] == 'stock' else '':<46}{row['form']:>6}{row['operations'] / 1e9:>8.1f}"
        f"{row['operations_done'] / 1e9:>7.1f}{row['median_s'] * 1e3:>7.0f} ms{row['min_s'] * 1e3:>7.0f} ms"
        f"{row['rate'] / 1e9:>9.0f}{row['share_of_limit']:>7.0%}{row['times_as_fast_as_stock']:>7.2f}"
    )


def _peer_sentence(peer: dict[str, Any]) -> str:
    turns = ", ".join(f"{ratio:.2f}" for ratio in peer["ratios"])
    return f"{'':<46}  against the peer: {peer['times_as_fast_as_peer']:.2f} times as fast (turns: {turns})"


if __name__ == "__main__":
    sys.exit(main())
