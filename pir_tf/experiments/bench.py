"""`pir-tf bench`: how fast the networks' passes and the training steps are here, in Keras's form and in ours.

In one run: the machine's own rate in a matrix product and in a convolution; then each pass and each step with its operations
counted from its graph (of Keras's form, which is the definition's, and of what our form really does), its time, and how near it
comes to the limit, which is the time that the definition's operations would take at the convolution's rate. The two forms, and
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
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pir_tf.commands import exit_code, user_path
from pir_tf.config import ComputeConfig, EstimatorConfig
from pir_tf.errors import InputError
from pir_tf.experiments.command_line import parsed
from pir_tf.runs.directory import write_json
from pir_tf.runs.provenance import now, package_commit

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

PEER_CASE = "tuning step, InceptionV3 at 75, batch 32"
"""The step that a peer is compared with."""
CLASSES = 2
ESTIMATORS = {
    **{f"InceptionV3 at {size}": EstimatorConfig(weights="none", image_size=size) for size in (75, 96, 299)},
    "mixed2 at 96": EstimatorConfig(weights="none", image_size=96, layer="mixed2"),
    "compact": EstimatorConfig(backbone="compact", weights="none", image_size=64),
}
"""Estimators of the tuning step; the blocks are timed with the first."""

Forms = dict[str, Any]
"""A case's functions without arguments: `stock`, in Keras's form, and `fast`, in ours; both traced by TensorFlow."""


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
    from pir_tf.training import devices

    devices.import_quietly()
    devices.configure(ComputeConfig(), seed=0)
    chosen = {name: build for name, build in cases().items() if fnmatch.fnmatch(name, options.only)}
    if not chosen:
        raise InputError(f"--only is {options.only!r}, expected a pattern of one of: {'; '.join(cases())}.")
    rates = {name: rate(name, 20) for name in machine()}
    print("\n".join(f"{name}: {found / 1e9:.0f} GFLOP/s" for name, found in rates.items()))
    facts: dict[str, Any] = {"machine": _about_machine(), "rates": rates, "rows": []}
    print("\n" + _HEADER)
    for name, build in chosen.items():
        batch, forms = build()
        rounds = min(options.rounds, 5) if "at 299" in name else options.rounds  # where a step takes seconds
        for row in _measure(forms, rates["convolution"], rounds):
            facts["rows"].append({"case": name, "batch": batch, **row})
            print(_line(facts["rows"][-1]), flush=True)
        if name == PEER_CASE and options.peer:
            facts["peer"] = {"case": name, **_against_peer(forms["fast"], options.peer)}
            turns = ", ".join(f"{ratio:.2f}" for ratio in facts["peer"]["ratios"])
            times = f"{facts['peer']['times_as_fast_as_peer']:.2f} times as fast"
            print(f"{'':<46}  against the peer: {times} (turns: {turns})", flush=True)
    print(_EXPLANATION)
    if options.json:
        path = user_path(str(options.json))
        write_json(path, facts)
        print(f"Numbers: {path}")


def _measure(forms: Forms, rate: float, rounds: int) -> list[dict[str, Any]]:
    """What is known of each form of a case."""
    done = {form: count_operations(function.get_concrete_function()) for form, function in forms.items()}
    medians = {form: (statistics.median(seconds), min(seconds)) for form, seconds in _times(forms, rounds).items()}
    return [
        {
            "form": form,
            "operations": done["stock"],
            "operations_done": done[form],
            "median_s": median,
            "min_s": least,
            "rate": done["stock"] / median,
            "share_of_limit": done["stock"] / median / rate,
            "share_of_rate": done[form] / median / rate,
            "times_as_fast_as_stock": medians["stock"][0] / median,
            "rounds": rounds,
        }
        for form, (median, least) in medians.items()
    ]


def rate(name: str, rounds: int) -> float:
    """Operations a second of one of `machine`'s functions, the best of some rounds."""
    function, operations = machine()[name]
    return operations / min(_times({name: function}, rounds)[name])


def _times(functions: Forms, rounds: int) -> dict[str, list[float]]:
    """Seconds of each function in each round, after two calls that are not timed; the functions take turns."""
    for function in [*functions.values()] * 2:
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return times


def _against_peer(ours: Any, command: str, turns: int = 3) -> dict[str, Any]:
    """Our fast form and the peer in turn, each for a few seconds."""
    pairs = [(statistics.median(_times({"": ours}, 7)[""]), _peer_seconds(command)) for _ in range(turns)]
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
    raise InputError(f"--peer {command!r} printed {said[-100:]!r}, expected a line with s/step SECONDS: add one.")


def _about_machine() -> dict[str, Any]:
    import keras
    import tensorflow as tf

    processor = platform.processor() or platform.machine()
    with contextlib.suppress(OSError, IndexError):
        processor = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))[0]
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "commit": package_commit(),
        "time": now(),
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


# What is timed


def machine() -> dict[str, tuple[Any, float]]:
    """What the machine's own rates are measured with: functions and their operations."""
    import tensorflow as tf

    # 2048x2048 matrices, and a 3x3 convolution of 256 to 256 channels on 32 maps of 16x16.
    a, b = (tf.random.normal((2048, 2048), seed=i) for i in (0, 1))
    x, kernel = tf.random.normal((32, 16, 16, 256), seed=2), tf.random.normal((3, 3, 256, 256), seed=3)
    return {
        "matrix product": (tf.function(lambda: tf.matmul(a, b)), 2.0 * 2048**3),
        "convolution": (tf.function(lambda: tf.nn.conv2d(x, kernel, 1, "SAME")), 2.0 * 32 * 16**2 * 9 * 256**2),
    }


def cases() -> dict[str, Callable[[], tuple[int, Forms]]]:
    """By its name, what makes each case's batch size and forms when its turn comes."""
    estimator = f"estimator ({next(iter(ESTIMATORS))})"
    gradients = {"generator": ("weights'",), "discriminator": ("weights'", "image's"), estimator: ("image's",)}
    found: dict[str, Callable[[], tuple[int, Forms]]] = {}
    for noun, backward in gradients.items():
        found[f"{noun}, forward"] = functools.partial(_block, noun, "")
        for of in backward:
            found[f"{noun}, forward and {of} gradient"] = functools.partial(_block, noun, of)
    for batch in (32, 64):
        found[f"ACGAN step, batch {batch}"] = functools.partial(_step, "", batch)
    for title in ESTIMATORS:
        for batch in (16, 32):
            found[f"tuning step, {title}, batch {batch}"] = functools.partial(_step, title, batch)
    return found


def _block(noun: str, backward: str) -> tuple[int, Forms]:
    """A network's pass at batch 32, and with it the gradient of the sum of what it puts out."""
    import tensorflow as tf

    calls, weights, images = _network(noun)
    forms = {}
    for form, call in calls.items():

        def run(call: Callable = call) -> object:
            with tf.GradientTape() as tape:
                tape.watch(images)
                total = tf.add_n([tf.reduce_sum(out) for out in tf.nest.flatten(call(images))])
            sources = {"weights'": weights, "image's": images}.get(backward)
            return total if sources is None else (total, tape.gradient(total, sources))

        forms[form] = tf.function(run, autograph=False)
    return 32, forms


def _network(noun: str) -> tuple[dict[str, Callable], list, tf.Tensor]:
    """How a network is called in both forms, its weights, and what it is called on."""
    import tensorflow as tf

    from pir_tf.estimator.frozen import fast_frozen
    from pir_tf.gan.fast import FastDiscriminator, fast_generator
    from pir_tf.gan.networks import build_discriminator, build_generator

    if noun == "generator":
        network = build_generator(CLASSES)
        one_hot, fast = tf.one_hot(tf.zeros(32, tf.int32), CLASSES), fast_generator(network, compiled=True)
        both: dict[str, Callable] = {"stock": lambda z: network([z, one_hot]), "fast": lambda z: fast(z, one_hot)}
        return both, network.trainable_variables, tf.random.normal((32, 64), seed=0)
    images = tf.random.uniform((32, 64, 64, 3), -1.0, 1.0, seed=1)
    if noun == "discriminator":
        network = build_discriminator(CLASSES)
        fast_call = functools.partial(FastDiscriminator(network), update=True)
        stock = functools.partial(network.__call__, training=True)
        return {"stock": stock, "fast": fast_call}, network.trainable_variables, images
    network = _frozen_estimator(next(iter(ESTIMATORS)))
    stock = functools.partial(network.__call__, training=False)
    return {"stock": stock, "fast": fast_frozen(network)}, [], images


def _step(title: str, batch: int) -> tuple[int, Forms]:
    """The tuning step with an estimator, or without one the ACGAN's."""
    import tensorflow as tf

    from pir_tf.gan.acgan import ACGAN
    from pir_tf.gan.networks import build_discriminator, build_generator
    from pir_tf.gan.train import optimizers
    from pir_tf.tuning.tuner import Tuner

    data = tf.random.uniform((batch, 64, 64, 3), -1.0, 1.0, seed=1), tf.zeros(batch, tf.int32)
    forms = {}
    for form in ("stock", "fast"):
        networks, fast = (build_generator(CLASSES), build_discriminator(CLASSES)), form == "fast"
        if title:
            model: ACGAN = Tuner(*networks, _frozen_estimator(title), pir_weight=1000.0, seed=0, fast=fast)
        else:
            model = ACGAN(*networks, seed=0, fast=fast)
        model.compile(*optimizers(1e-6, 1e-6, 0.5))
        forms[form] = tf.function(functools.partial(model.train_step, data), autograph=False)
    return batch, forms


def _frozen_estimator(title: str) -> keras.Model:
    """The saved form, images to PIR, with random weights."""
    import tensorflow as tf

    from pir_tf.estimator.heads import head_of
    from pir_tf.estimator.model import build_network, with_pir

    config = ESTIMATORS[title]
    network = build_network(config, seed=0)
    kernel = network.get_layer("logits").kernel
    kernel.assign(tf.random.normal(kernel.shape, stddev=0.01, seed=0))  # it begins at 0, whose gradient is 0
    estimator = with_pir(network, head_of(config), temperature=config.temperature)
    estimator.trainable = False
    return estimator


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
