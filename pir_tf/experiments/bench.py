"""`pir-tf bench`: how fast the networks' passes and the training steps are here, in Keras's form and in ours, or on a GPU op by
op, by XLA and in bfloat16 (`bench_cases`); and what `fit` adds to a step on the host.

In one run: the machine's own rate in a matrix product and in a convolution; then each pass and each step with its operations
counted from its graph (of Keras's form, which is the definition's, and of what our form really does), its time, and how near it
comes to the limit, which is the time that the definition's operations would take at the convolution's rate. The forms, and
with `--peer` another program's step, take turns, so that what else the machine does meets all of them. Weights are random and
images are noise: the time doesn't depend on them.
"""

from __future__ import annotations

import contextlib
import fnmatch
import functools
import math
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pir_tf.commands import exit_code, user_path
from pir_tf.config import ComputeConfig
from pir_tf.errors import InputError
from pir_tf.experiments.bench_cases import Forms, StepForm, cases, gpu_cases, host_times, machine
from pir_tf.experiments.command_line import parsed
from pir_tf.runs.directory import write_json
from pir_tf.runs.provenance import now, package_commit

if TYPE_CHECKING:
    import tensorflow as tf

HOST_CASE = "the smallest step, on the host"
"""What `fit` adds to a step."""
PEER_CASE = "tuning step, InceptionV3 at 75, batch 32"
"""The step that a peer is compared with."""
CALLS = 10
"""Calls of a round on a GPU."""


@dataclass(frozen=True)
class BenchOptions:
    """Times the networks' passes and the training steps, in Keras's form and in ours, or on a GPU by XLA and in bfloat16."""

    only: str = "*"
    """Cases to time, by a pattern of their names: `tuning*`, `*compact*`."""
    rounds: int = 15
    """Times that each form of a case is run, in turn with the others (at most 5 where a step takes seconds)."""
    json: Path | None = None
    """File to write the numbers to, as each case is done."""
    peer: tuple[str, ...] = ()
    """Commands, each of which runs the step of a peer (InceptionV3 at 75, batch 32) and prints `s/step SECONDS`, or
    `MILLISECONDS ms`; it takes turns with ours, and the table gets its ratio. With `{batch}` and `{pixels}` in it, it runs for
    every tuning step."""
    forms: Literal["auto", "cpu", "gpu"] = "auto"
    """Forms to time: `cpu` (Keras's and ours), `gpu` (op by op, XLA, XLA in bfloat16), or `auto`, those of what there is."""
    deterministic: bool = True
    """Time deterministic operations, as trainings are by default."""

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise InputError(f"--rounds is {self.rounds}, expected 1 or more: change it with --rounds NUMBER.")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line: 0, 2 for a user's mistake, 130 after Ctrl-C."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        return exit_code(lambda: bench(parsed(BenchOptions, words, prog="pir-tf bench")), "another --json")
    except KeyboardInterrupt:
        return 130


def bench(options: BenchOptions) -> None:
    """Times all that is asked for and prints a row as each case is done; `--json` gets machine, rates and rows.

    Raises:
        InputError: no case has such a name, or the peer can't be run.
    """
    from pir_tf.training import devices, xla

    compute = ComputeConfig(deterministic=options.deterministic)
    xla.prepare(compute)
    devices.import_quietly()
    gpu = options.forms == "gpu" or (options.forms == "auto" and devices.gpus() > 0)
    devices.configure(compute, seed=0)
    known = gpu_cases() if gpu else cases()
    host = fnmatch.fnmatch(HOST_CASE, options.only)
    chosen = {name: build for name, build in known.items() if fnmatch.fnmatch(name, options.only)}
    if not (chosen or host):
        raise InputError(f"--only is {options.only!r}, expected a pattern of one of: {'; '.join([HOST_CASE, *known])}.")
    large = devices.gpus() > 0
    calls = CALLS if large else 1
    rates = {name: rate(name, 20, large=large) for name in machine(large)}
    print("\n".join(f"{name}: {found / 1e9:.0f} GFLOP/s" for name, found in rates.items()))
    about = {**_about_machine(), "deterministic": options.deterministic}
    facts: dict[str, Any] = {"machine": about, "rates": rates, "host": host_times() if host else {}, "rows": []}
    if host:
        said = ", ".join(f"{name} {seconds * 1e3:.2f} ms" for name, seconds in facts["host"].items())
        print(f"{HOST_CASE}: {said}")
    print(f"\n{_HEADER}")
    keep = functools.partial(_keep, options.json, facts)
    for name, build in chosen.items():
        batch, forms = build()
        rounds = min(options.rounds, 5) if "at 299" in name else options.rounds  # where a step takes seconds
        for row in _measure(forms, rates, rounds, calls):
            first = not facts["rows"] or facts["rows"][-1]["case"] != name
            facts["rows"].append({"case": name, "batch": batch, **row})
            print(_line(facts["rows"][-1], first), flush=True)
        keep()
        for command in filter(None, (_peer_of(name, batch, command) for command in options.peer)):
            ours = "xla" if gpu else "fast"
            # A peer on a GPU takes from ten seconds to minutes to start, and times many steps.
            peer = {"case": name, **_against_peer(forms[ours], command, turns=1 if large else 3, calls=calls)}
            facts["peer"] = facts.get("peer", peer)
            facts.setdefault("peers", []).append(peer)
            turns = ", ".join(f"{ratio:.2f}" for ratio in peer["ratios"])
            times = f"{ours} {peer['times_as_fast_as_peer']:.2f} times as fast"
            print(f"{'':<46}  against the peer: {times} (turns: {turns})", flush=True)
            keep()
    print(_EXPLANATION)
    if path := keep():
        print(f"Numbers: {path}")


def _keep(json: Path | None, facts: dict[str, Any]) -> Path | None:
    """Writes what is known so far where it is wanted, so that a bench that is ended leaves its rows; returns the file."""
    path = user_path(str(json)) if json else None
    if path:
        write_json(path, facts)
    return path


def _measure(forms: Forms, rates: dict[str, float], rounds: int, calls: int = 1) -> list[dict[str, Any]]:
    """What is known of each form of a case. The first is the definition's; bfloat16's limit is the rate in that, where known."""
    first, times = next(iter(forms)), _times(forms, rounds, calls)
    done = {form: count_operations(function.get_concrete_function()) for form, function in forms.items()}
    medians = {form: (statistics.median(seconds), min(seconds)) for form, seconds in times.items()}
    rows = []
    for form, (median, least) in medians.items():
        rate = rates.get("convolution, bfloat16", rates["convolution"]) if "bf16" in form else rates["convolution"]
        row = {
            "form": form,
            "operations": done[first],
            "operations_done": done[form],
            "median_s": median,
            "min_s": least,
            "rate": done[first] / median,
            "share_of_limit": done[first] / median / rate,
            "share_of_rate": done[form] / median / rate,
            f"times_as_fast_as_{first}": medians[first][0] / median,
            "rounds": rounds,
        }
        if isinstance(forms[form], StepForm):
            row["in_fit_s"] = forms[form].seconds_in_fit(max(2, rounds * calls))
        rows.append(row)
    return rows


def rate(name: str, rounds: int, *, large: bool = False) -> float:
    """Operations a second of one of `machine`'s functions, the best of some rounds."""
    function, operations = machine(large)[name]
    return operations / min(_times({name: function}, rounds)[name])


def _times(functions: Forms, rounds: int, calls: int = 1) -> dict[str, list[float]]:
    """Seconds of each function in each round, after two calls that are not timed; the functions take turns.

    A round is so many calls, whose mean counts: a GPU works on one while the host prepares the next.
    """
    import tensorflow as tf

    for function in [*functions.values()] * 2:
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            tf.test.experimental.sync_devices()
            start = time.perf_counter()
            for _ in range(calls):
                function()
            tf.test.experimental.sync_devices()
            times[name].append((time.perf_counter() - start) / calls)
    return times


def _peer_of(case: str, batch: int, command: str) -> str:
    """The peer's command for a case, with its batch and pixels where it takes them; nothing where there is none."""
    if "{batch}" not in command:
        return command if case == PEER_CASE else ""
    found = re.search(r"InceptionV3 at (\d+)", case)
    return command.replace("{batch}", str(batch)).replace("{pixels}", found[1]) if found else ""


def _against_peer(ours: Any, command: str, *, turns: int, calls: int) -> dict[str, Any]:
    """Our form and the peer in turn, each for a few seconds."""
    pairs = [(statistics.median(_times({"": ours}, 7, calls)[""]), _peer_seconds(command)) for _ in range(turns)]
    ratios = [theirs / ours for ours, theirs in pairs]
    return {
        "command": " ".join(os.path.basename(word) for word in shlex.split(command)),
        "ours_s": [ours for ours, _ in pairs],
        "peer_s": [theirs for _, theirs in pairs],
        "times_as_fast_as_peer": statistics.median(ratios),
        "ratios": ratios,
    }


def _peer_seconds(command: str) -> float:
    try:
        said = subprocess.run(shlex.split(command), capture_output=True, text=True, timeout=600, check=True).stdout
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise InputError(f"--peer {command!r} failed ({error}): give a command that prints s/step.") from error
    if found := re.search(r"s/step\s+([0-9.]+)", said):
        return float(found[1])
    if found := re.search(r"([0-9.]+) ms\b", said):
        return float(found[1]) / 1e3
    raise InputError(f"--peer {command!r} printed {said[-100:]!r}, expected a line with s/step SECONDS: add one.")


def _about_machine() -> dict[str, Any]:
    import keras
    import tensorflow as tf

    processor, gpus = platform.processor() or platform.machine(), tf.config.list_physical_devices("GPU")
    with contextlib.suppress(OSError, IndexError):
        processor = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[0]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "gpus": [tf.config.experimental.get_device_details(gpu).get("device_name", "unknown") for gpu in gpus],
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "commit": package_commit(),
        "time": now(),
    }


_HEADER = f"{'':<46}{'form':>9}{'GFLOP':>8}{'done':>7}{'median':>11}{'least':>11}{'GFLOP/s':>9}{'limit':>7}{'first':>7}"
_HEADER += f"{'in fit':>11}"
_EXPLANATION = """
GFLOP    operations of the first form, which is the definition's; `done` those of the form itself
GFLOP/s  the definition's operations over the median time
limit    that rate over the rate of a convolution here; a form with fewer operations can pass 100%
first    times as fast as the first form of the same
in fit   a step's time in a training, with real images on their way"""


def _line(row: dict[str, Any], first: bool) -> str:
    faster = next(value for name, value in row.items() if name.startswith("times_as_fast_as_"))
    in_fit = f"{row['in_fit_s'] * 1e3:>8.1f} ms" if "in_fit_s" in row else ""
    return (
        f"{row['case'] if first else '':<46}{row['form']:>9}{row['operations'] / 1e9:>8.1f}"
        f"{row['operations_done'] / 1e9:>7.1f}{row['median_s'] * 1e3:>8.1f} ms{row['min_s'] * 1e3:>8.1f} ms"
        f"{row['rate'] / 1e9:>9.0f}{row['share_of_limit']:>7.0%}{faster:>7.2f}{in_fit}"
    )


# Operations, counted from a graph


def count_operations(function: Any) -> float:
    """Floating-point operations of a call of a concrete function; a multiplication and an addition are two.

    Counted are matrix products and convolutions, forward and backward, that the results depend on, in functions inside too.

    Raises:
        ValueError: a shape that matters isn't known.
    """
    graph = function.graph
    # What changes a variable is no input of the results, but is done.
    return _count(graph, [*[t.op for t in graph.outputs], *graph.control_outputs])


def _count(graph: tf.Graph, ends: Iterable[tf.Operation]) -> float:
    total, seen, waiting = 0.0, set(), list(ends)
    while waiting:
        operation = waiting.pop()
        if operation.name in seen:
            continue
        seen.add(operation.name)
        waiting += [*(tensor.op for tensor in operation.inputs), *operation.control_inputs]
        if operation.type in ("PartitionedCall", "StatefulPartitionedCall"):
            inner = graph._get_function(operation.get_attr("f").name).graph  # TensorFlow has no public way into it
            total += _count(inner, [tensor.op for tensor in inner.outputs])
        else:
            total += _operations(operation)
    return total


def _operations(operation: tf.Operation) -> float:
    """Twice the size of the result (of a backward pass: of what the forward pass made) times what each of its numbers sums."""
    import tensorflow as tf

    kind, inputs, output = operation.type, operation.inputs, (*operation.outputs, None)[0]
    if kind == "MatMul":
        result, summed = output, [inputs[0].shape[0 if operation.get_attr("transpose_a") else 1]]
    elif kind.startswith("BatchMatMul"):
        result, summed = output, [inputs[0].shape[-2 if operation.get_attr("adj_x") else -1]]
    elif kind == "Conv2D":
        result, summed = output, inputs[1].shape[:3]
    elif kind == "Conv2DBackpropInput":  # a transposed convolution too
        result, summed = inputs[2], inputs[1].shape[:3]
    elif kind == "Conv2DBackpropFilter":
        kernel = tf.get_static_value(inputs[1])
        result, summed = inputs[2], (output.shape if kernel is None else kernel)[:3]
    else:
        return 0.0
    numbers = [result.shape.num_elements(), *summed]
    if any(number is None for number in numbers):
        raise ValueError("a shape isn't known: trace the function with a fixed batch size")
    return 2.0 * math.prod(float(number) for number in numbers)
