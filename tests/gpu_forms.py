"""Forms in which a GPU may compute a training step: which is the fastest?

    gpu_forms.py JSON [--only PATTERN,PATTERN] [--rounds 5] [--seconds 300] [--form-seconds 150] [--fit] [--deterministic]

Each form is compiled and timed by itself: XLA chooses the convolutions by timing them, and its clocks fail where something else
uses the GPU meanwhile, another thread of this program too. XLA reads its flags from the environment. Weights are random, images
are noise.

    ops, xla, xla bf16   op by op; compiled; compiled, with bfloat16 inside the networks
    folded               the frozen estimator with batch normalization folded into its convolutions
    filled               the same, and its image filled up from 3 channels to 8
    fast                 all networks in the product's forms for CPUs (`gan.fast`, `estimator.frozen`)
    own pooling          max pooling as TensorFlow has it, in place of the largest of shifted slices

JSON gets a row as a form is done, with what the step logged first: the forms of a case should agree. A form that fails says so in
its row. It may have left the GPU unusable, so the process ends with it, and exits with 75 where others are left; one that takes
longer than `--form-seconds`, or ends the process by itself, leaves its row too. The same command again, with the same JSON, goes
on with those that have none. In the end the exit status is 1 where one failed. After `--seconds` no form is begun.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import functools
import json
import os
import signal
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import keras
import tensorflow as tf

from pir_tf.estimator.frozen import Convolution, open_network
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import PIREstimator, build_network
from pir_tf.experiments import bench, bench_cases
from pir_tf.runs.directory import atomic
from pir_tf.training import devices, pooling
from pir_tf.training.precision import mixed

ACGAN, LARGE = "ACGAN step, batch 64", "tuning step, InceptionV3 at 299, batch 64"
SMALL, WHOLE = "tuning step, InceptionV3 at 96, batch 64", "estimator's step, InceptionV3 at 96, batch 32"
FORMS = (
    *((ACGAN, "xla"), (LARGE, "xla"), (LARGE, "xla bf16"), (SMALL, "xla"), (WHOLE, "xla")),
    *((case, "ops") for case in (LARGE, SMALL, WHOLE, ACGAN)),
    *(
        (LARGE, "xla bf16 folded"),
        (LARGE, "xla folded"),
        (SMALL, "xla folded"),
        (ACGAN, "xla fast"),
        (SMALL, "xla fast"),
    ),
    *((LARGE, "xla bf16 filled"), (ACGAN, "xla bf16"), (SMALL, "xla bf16"), (WHOLE, "xla bf16"), (LARGE, "xla filled")),
    (LARGE, "xla own pooling"),
)
"""What tells most first, which is the product's own steps: a call may be cut off."""
LEFT = 75
"""Exit status where forms are left."""


class FrozenForm(bench_cases.StepForm):
    """A tuning step whose frozen estimator is `folded`."""

    def __init__(self, title: str, batch: int, form: str) -> None:
        super().__init__(title, batch, form)
        estimator, channels = bench_cases._frozen_estimator(title), 8 if "filled" in form else 3
        self._model._estimate = folded(estimator, narrow="bf16" in form, channels=channels)


class OwnPoolingForm(bench_cases.StepForm):
    """A compiled step without `training.pooling`: nothing for a training, whose gradient may not be deterministic."""

    def __init__(self, title: str, batch: int, form: str) -> None:
        super().__init__(title, batch, form)
        usual = self._mixed

        @contextlib.contextmanager
        def traced_so() -> Iterator[None]:
            with usual(), mock.patch.object(pooling, "of_slices", contextlib.nullcontext):
                yield

        self._mixed = traced_so


class WholeForm(bench_cases.StepForm):
    """A step of an estimator that is trained whole."""

    def __init__(self, title: str, batch: int, form: str) -> None:
        network = build_network(bench_cases.ESTIMATORS[title], seed=0)
        self._batch, self._model = batch, PIREstimator(network, Bins(100))
        self._model.compile(keras.optimizers.Adam(1e-4), jit_compile=form != "ops")
        self._model.optimizer.build(self._model.trainable_variables)
        self._mixed = functools.partial(mixed, "mixed_bfloat16" if "bf16" in form else "float32", network)

    def _data(self) -> tuple[tf.Tensor, tf.Tensor]:
        return super()._data()[0], tf.tile(tf.constant([[10, 3]], tf.int64), (self._batch, 1))

    def _stream(self) -> Callable:
        return lambda part, first: tf.data.Dataset.from_tensors(self._data()).repeat()


def made(case: str, form: str) -> bench_cases.StepForm:
    """The step of a case in a form."""
    title, batch = ("" if case == ACGAN else case.split(", ")[1]), int(case.split()[-1])
    if case == WHOLE:
        return WholeForm(title, batch, form)
    if "pooling" in form:
        return OwnPoolingForm(title, batch, form)
    return (FrozenForm if {"folded", "filled"} & {*form.split()} else bench_cases.StepForm)(title, batch, form)


def folded(model: keras.Model, *, narrow: bool, channels: int = 3) -> Callable[[tf.Tensor], tf.Tensor]:
    """A frozen model, folded; its convolutions in bfloat16 where `narrow`, its image's channels filled up to so many."""
    steps, image, result = open_network(model)
    dtype = tf.bfloat16 if narrow else tf.float32

    def convolve(step: Convolution, x: tf.Tensor) -> tf.Tensor:
        kernel, x = tf.constant(step.kernel, dtype), tf.cast(x, dtype)
        if x.shape[-1] == 3:
            more = channels - 3
            kernel = tf.pad(kernel, ((0, 0), (0, 0), (0, more), (0, 0)))
            x = tf.pad(x, ((0, 0), (0, 0), (0, 0), (0, more)))
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, step.strides, step.padding), tf.constant(step.bias, dtype))
        return tf.nn.relu(x) if step.relu else x

    def call(images: tf.Tensor) -> tf.Tensor:
        tensors = {image: images}
        for step in steps:
            given = [tensors[number] for number in step.inputs]
            tensors[step.out] = convolve(step, *given) if isinstance(step, Convolution) else step.run(*given)
        return tensors[result]

    return call


def row_of(case: str, form: str, rates: dict[str, float], rounds: int, in_fit: bool) -> dict[str, Any]:
    """What is measured of a form."""
    start, calls = time.perf_counter(), bench.CALLS if devices.gpus() else 1
    step = made(case, form)
    logs = {name: float(value) for name, value in step().items()}
    row: dict[str, Any] = {"first_s": time.perf_counter() - start, "logs": logs}
    seconds = bench._times({"": step}, rounds, calls)[""]
    row |= {"median_s": statistics.median(seconds), "min_s": min(seconds)}
    rate = rates.get("convolution, bfloat16", rates["convolution"]) if "bf16" in form else rates["convolution"]
    row |= {"operations": bench.count_operations(step.get_concrete_function())}
    row |= {"share_of_limit": row["operations"] / row["median_s"] / rate}
    if in_fit:
        row["in_fit_s"] = step.seconds_in_fit(max(2, rounds * calls))
    return row


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("json", type=Path)
    made.add_argument("--only", default="*", help="patterns of `case: form`, with commas between")
    made.add_argument("--rounds", type=int, default=5)
    made.add_argument("--seconds", type=float, default=300.0)
    made.add_argument("--form-seconds", type=int, default=150)
    made.add_argument("--fit", action="store_true", help="each form in `fit` too")
    made.add_argument("--deterministic", action="store_true")
    return made


def chosen(patterns: str) -> list[tuple[str, str]]:
    """The forms that `--only` means, in their order."""
    return [one for one in FORMS if any(fnmatch.fnmatch(": ".join(one), pattern) for pattern in patterns.split(","))]


def opened(options: argparse.Namespace) -> dict[str, Any]:
    """TensorFlow is made ready; facts of the machine, and the rows that an earlier process left."""
    flags = os.environ.get("XLA_FLAGS", "")
    devices.import_quietly()
    devices.share_memory()
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    bench_cases._frozen_estimator = functools.cache(bench_cases._frozen_estimator)  # all forms of a case share it
    if options.json.exists():
        facts = json.loads(options.json.read_text(encoding="utf-8"))
        held = facts["machine"]["flags"], facts["machine"]["deterministic"]
        if held != (flags, options.deterministic):
            raise SystemExit(f"{options.json} has rows of other flags, {held}: name another file, or repeat them.")
        return facts
    large = devices.gpus() > 0
    rates = {name: bench.rate(name, 10, large=large) for name in bench_cases.machine(large)}
    about = {**bench._about_machine(), "deterministic": options.deterministic, "flags": flags}
    return {"machine": about, "rates": rates, "rows": []}


def keep(path: Path, facts: dict[str, Any]) -> None:
    """Writes the facts, whole or not at all."""
    with atomic(path) as beside:
        beside.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def main() -> int:
    """The program."""
    options, begun = parser().parse_args(), time.monotonic()
    facts = opened(options)
    rows, left = facts["rows"], chosen(options.only)
    left = [one for one in left if one not in [(row["case"], row["form"]) for row in rows]]
    while left and time.monotonic() - begun <= options.seconds:
        case, form = left.pop(0)
        row = {"failed": f"it ended its process, or took longer than {options.form_seconds} s"}  # until it is done
        rows.append({"case": case, "form": form, **row})
        keep(options.json, facts)
        signal.alarm(options.form_seconds)  # ends this process, also where a library doesn't return
        try:
            row = row_of(case, form, facts["rates"], options.rounds, options.fit)
        except Exception as error:  # the next form is what counts
            row = {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
        signal.alarm(0)
        rows[-1] = {"case": case, "form": form, **row}
        keep(options.json, facts)
        print(f"{case}: {form}: {row.get('failed') or '%.2f ms' % (1e3 * row['median_s'])}", flush=True)
        if "failed" in row and left:
            return LEFT
    return int(any("failed" in row for row in rows))


if __name__ == "__main__":
    raise SystemExit(main())
