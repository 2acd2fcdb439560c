"""Forms in which a GPU may compute a training step: which is the fastest?

    gpu_forms.py JSON [--only PATTERN,PATTERN] [--rounds 5] [--seconds 300] [--fit] [--deterministic]

Each form is compiled and timed by itself: XLA chooses the convolutions by timing them, and its clocks fail where something else
uses the GPU meanwhile, another thread of this program too. XLA reads its flags from the environment. Weights are random, images
are noise.

    ops, xla, xla bf16   op by op; compiled; compiled, with bfloat16 inside the networks
    folded               the frozen estimator with batch normalization folded into its convolutions
    filled               the same, and its image filled up from 3 channels to 8
    fast                 all networks in the product's forms for CPUs (`gan.fast`, `estimator.frozen`)

JSON gets a row as a form is done, with what the step logged first: the forms of a case should agree. A form that fails says so in
its row. After so many seconds no form is begun.
"""

from __future__ import annotations

import argparse
import fnmatch
import functools
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from pir_tf.estimator.frozen import Convolution, open_network
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import PIREstimator, build_network
from pir_tf.experiments import bench, bench_cases
from pir_tf.training import devices
from pir_tf.training.precision import mixed

ACGAN, LARGE = "ACGAN step, batch 64", "tuning step, InceptionV3 at 299, batch 64"
SMALL, WHOLE = "tuning step, InceptionV3 at 96, batch 64", "estimator's step, InceptionV3 at 96, batch 32"
FORMS = (
    *((LARGE, "xla bf16"), (LARGE, "xla"), (LARGE, "xla bf16 folded"), (LARGE, "xla folded"), (SMALL, "xla")),
    *((WHOLE, "xla"), (ACGAN, "xla"), (ACGAN, "xla fast"), (SMALL, "xla folded"), (SMALL, "xla fast")),
    *((case, "ops") for case in (LARGE, SMALL, WHOLE, ACGAN)),
    *((LARGE, "xla bf16 filled"), (ACGAN, "xla bf16"), (SMALL, "xla bf16"), (WHOLE, "xla bf16"), (LARGE, "xla filled")),
)
"""What tells most first: a call may be cut off."""


class FrozenForm(bench_cases.StepForm):
    """A tuning step whose frozen estimator is `folded`."""

    def __init__(self, title: str, batch: int, form: str) -> None:
        super().__init__(title, batch, form)
        estimator, channels = bench_cases._frozen_estimator(title), 8 if "filled" in form else 3
        self._model._estimate = folded(estimator, narrow="bf16" in form, channels=channels)


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


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    parser.add_argument("--only", default="*", help="patterns of `case: form`, with commas between")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--fit", action="store_true", help="each form in `fit` too")
    parser.add_argument("--deterministic", action="store_true")
    options = parser.parse_args()
    begun, flags = time.monotonic(), os.environ.get("XLA_FLAGS", "")
    devices.import_quietly()
    devices.share_memory()
    if options.deterministic:
        tf.config.experimental.enable_op_determinism()
    bench_cases._frozen_estimator = functools.cache(bench_cases._frozen_estimator)  # all forms of a case share it
    large = devices.gpus() > 0
    rates = {name: bench.rate(name, 10, large=large) for name in bench_cases.machine(large)}
    about = {**bench._about_machine(), "deterministic": options.deterministic, "flags": flags}
    facts: dict[str, Any] = {"machine": about, "rates": rates, "rows": []}
    for case, form in FORMS:
        asked = any(fnmatch.fnmatch(f"{case}: {form}", pattern) for pattern in options.only.split(","))
        if not asked or time.monotonic() - begun > options.seconds:
            continue
        try:
            row = row_of(case, form, rates, options.rounds, options.fit)
        except Exception as error:  # the next form is what counts
            row = {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
        facts["rows"].append({"case": case, "form": form, **row})
        options.json.write_text(json.dumps(facts, indent=1), encoding="utf-8")
        print(f"{case}: {form}: {row.get('failed') or '%.2f ms' % (1e3 * row['median_s'])}", flush=True)


if __name__ == "__main__":
    main()
