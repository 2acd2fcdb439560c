"""Forms in which a GPU may compute the frozen estimator of a tuning step, most of the step at 299 pixels: which is the fastest?

    gpu_frozen.py JSON [--pixels 299] [--batch 64] [--rounds 5] [--forms PATTERN] [--seconds 300]

Timed is what a tuning step asks of R: PIR of a batch of 64x64 images and its gradient at them; first as each form is compiled,
then all in turn. Then the whole step is timed with the fastest form of each number format, where that isn't Keras's layers, with
which `pir-tf bench` times it. Weights are random.

    ops, xla    op by op, and compiled, by Keras's layers
    bf16        bfloat16 inside the network
    fast        the product's form for CPUs (`estimator.frozen`), its weights as constants
    folded      convolutions with batch normalization and ReLU folded in, and nothing else changed; its weights are the graph's
                constants, or with `arguments` are handed to it
    NCHW        channels before places
    padded N    channels filled up with zeros to a multiple of N; 8 changes the image's three alone

JSON is written after each form. A form that fails says so in its row, and the next one follows. After so many seconds, less what
the steps take, no form is begun.
"""

from __future__ import annotations

import argparse
import dataclasses
import fnmatch
import functools
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from pir_tf.estimator.frozen import Convolution, fast_frozen, open_network
from pir_tf.estimator.model import network_of
from pir_tf.experiments import bench, bench_cases
from pir_tf.training import devices
from pir_tf.training.precision import mixed


@dataclasses.dataclass(frozen=True)
class Form:
    """How the network is computed; see above."""

    by: str = "stock"  # or fast, or folded
    xla: bool = True
    bf16: bool = False
    constants: bool = True
    layout: str = "NHWC"
    multiple: int = 1

    @property
    def name(self) -> str:
        """Its name in the table."""
        words = ["xla" if self.xla else "ops", "bf16" * self.bf16, self.by.replace("stock", "")]
        words += ["arguments" * (not self.constants), self.layout.replace("NHWC", "")]
        return " ".join(filter(None, [*words, f"padded {self.multiple}" if self.multiple > 1 else ""]))


STEPS_S = 140.0
"""Seconds that two steps may take: compiling one took up to 70."""
FORMS = (
    *(Form(xla=False), Form("folded", xla=False), Form("folded", xla=False, layout="NCHW")),
    *(Form(), Form("folded"), Form(bf16=True), Form("folded", bf16=True)),
    *(Form("folded", layout="NCHW"), Form("folded", constants=False), Form("fast")),
    *(Form("folded", bf16=True, layout="NCHW"), Form("folded", bf16=True, constants=False)),
    *(Form("folded", multiple=8), Form("folded", bf16=True, multiple=8)),
    Form("folded", constants=False, layout="NCHW"),
    *(Form("folded", multiple=64), Form("folded", bf16=True, multiple=64)),
)
"""What tells most first: a call may be cut off."""


def function_of(model: keras.Model, form: Form) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images, float32 `[batch, 64, 64, 3]`, to what the model makes of them, in that form; to be traced, by XLA or not."""
    if form.by == "folded":
        return Folded(model, form)
    if form.by == "fast":
        return fast_frozen(model)
    stock = functools.partial(model.__call__, training=False)
    if not form.bf16:
        return stock

    def narrow(images: tf.Tensor) -> tf.Tensor:
        with mixed("mixed_bfloat16", network_of(model)):  # heeded when it is traced
            return stock(images)

    return narrow


class Folded:
    """A network of convolutions as `open_network` reads it: what comes before the first convolution and after the last pooling
    is called as it is."""

    def __init__(self, model: keras.Model, form: Form) -> None:
        self.form, self.dtype = form, tf.bfloat16 if form.bf16 else tf.float32
        self.steps, self.image, self.result = open_network(model)
        self.axis = 1 if form.layout == "NCHW" else 3
        self.weights: dict[int, Any] = {}
        places: dict[int, np.ndarray] = {}  # of the channels that aren't filled up
        widths: dict[int, int] = {}
        for step in self.steps:
            given = step.inputs
            if isinstance(step, Convolution):
                count = step.kernel.shape[2]
                rows = places.get(given[0], np.arange(count))
                kernel = np.zeros(
                    (*step.kernel.shape[:2], widths.get(given[0], self._full(count)), self._full(len(step.bias)))
                )
                kernel[:, :, rows[:, None], np.arange(len(step.bias))] = step.kernel
                bias = np.pad(step.bias, (0, kernel.shape[3] - len(step.bias)))
                self.weights[step.out] = kernel, bias
                places[step.out], widths[step.out] = np.arange(len(step.bias)), kernel.shape[3]
            elif (
                given
                and all(one in places for one in given)
                and not isinstance(step.layer, layers.GlobalAveragePooling2D)
            ):
                before = np.cumsum([0, *(widths[one] for one in given)])
                places[step.out] = np.concatenate([places[one] + at for one, at in zip(given, before, strict=False)])
                widths[step.out] = int(before[-1])
        self.places, self.widths = places, widths
        if not form.constants:  # tensors from outside of what is traced are handed to it
            self.weights = {out: tuple(map(self._tensor, pair)) for out, pair in self.weights.items()}

    def __call__(self, images: tf.Tensor) -> tf.Tensor:
        tensors = {self.image: images}
        for step in self.steps:
            given = [tensors[number] for number in step.inputs]
            if isinstance(step, Convolution):
                tensors[step.out] = self._convolve(step, given[0])
            elif step.inputs[0] in self.places:
                tensors[step.out] = self._other(step, given)
            else:
                tensors[step.out] = step.run(*given)
        return tensors[self.result]

    def _full(self, channels: int) -> int:
        return -(-channels // self.form.multiple) * self.form.multiple

    def _tensor(self, array: Any) -> tf.Tensor:
        return tf.cast(array, self.dtype) if tf.is_tensor(array) else tf.constant(array.astype(np.float32), self.dtype)

    def _convolve(self, step: Convolution, x: tf.Tensor) -> tf.Tensor:
        kernel, bias = map(self._tensor, self.weights[step.out])
        layout = self.form.layout
        if step.inputs[0] not in self.places:  # an image
            x = tf.pad(tf.cast(x, self.dtype), ((0, 0),) * 3 + ((0, kernel.shape[2] - x.shape[3]),))
            x = tf.transpose(x, (0, 3, 1, 2)) if layout == "NCHW" else x
        x = tf.nn.bias_add(tf.nn.conv2d(x, kernel, step.strides, step.padding, layout), bias, layout)
        return tf.nn.relu(x) if step.relu else x

    def _other(self, step: Any, given: list[tf.Tensor]) -> tf.Tensor:
        layer, layout = step.layer, self.form.layout
        if isinstance(layer, layers.Concatenate):
            return tf.concat(given, self.axis)
        if isinstance(layer, (layers.AveragePooling2D, layers.MaxPooling2D)):
            pool = tf.nn.avg_pool2d if isinstance(layer, layers.AveragePooling2D) else tf.nn.max_pool2d
            return pool(given[0], layer.pool_size, layer.strides, layer.padding.upper(), layout)
        if isinstance(layer, layers.GlobalAveragePooling2D):
            x = tf.reduce_mean(tf.cast(given[0], tf.float32), (2, 3) if layout == "NCHW" else (1, 2))
            real = self.places[step.inputs[0]]
            return x if x.shape[1] == len(real) else tf.gather(x, real, axis=1)
        raise ValueError(f"{layer.name} isn't known between convolutions here")


def with_gradient(call: Callable, images: tf.Tensor, form: Form) -> Any:
    """A traced function without arguments: the value, and its sum's gradient at the images."""

    def run(images: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            tape.watch(images)
            value = call(images)
            total = tf.reduce_sum(value)
        return value, tape.gradient(total, images)

    # Without `jit_compile=False` XLA would be what the process's flags say.
    traced = tf.function(run, jit_compile=form.xla, autograph=False)
    return functools.partial(traced, images)


def difference(found: Any, expected: Any) -> float:
    """max|a - b| / max|b|."""
    a, b = (np.asarray(tf.cast(tensor, tf.float32)) for tensor in (found, expected))
    return float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-30))


def seconds(function: Callable, rounds: int, calls: int) -> tuple[float, float]:
    """The median and the least of some rounds."""
    found = bench._times({"": function}, rounds, calls)[""]
    return statistics.median(found), min(found)


class Measure:
    """Rows of the table, kept after each."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.large = devices.gpus() > 0
        self.calls = bench.CALLS if self.large else 1
        if options.layer:
            estimator = dataclasses.replace(
                bench_cases.ESTIMATORS["mixed2 at 96"], image_size=options.pixels, layer=options.layer
            )
        else:
            estimator = dataclasses.replace(bench_cases.ESTIMATORS["InceptionV3 at 299"], image_size=options.pixels)
        self.title = f"InceptionV3 at {options.pixels}, batch {options.batch}"
        self.start = time.monotonic()
        bench_cases.ESTIMATORS[self.title] = estimator
        self.estimator = bench_cases._frozen_estimator(self.title)
        self.images = bench_cases._real(options.batch)[0]
        names = [name for name in bench_cases.machine(self.large) if name.startswith("convolution")]
        self.rates = {name: bench.rate(name, 10, large=self.large) for name in names}
        self.facts: dict[str, Any] = {
            "machine": {**bench._about_machine(), "deterministic": False},
            "rates": self.rates,
            "rows": [],
        }
        self.functions: dict[str, Callable] = {}

    def row(self, case: str, form: Form, make: Callable[[], Any]) -> None:
        """Times what `make` makes, and keeps that."""
        row: dict[str, Any] = {"case": case, "form": form.name}
        try:
            start = time.perf_counter()
            function = make()
            out = function()
            tf.nest.map_structure(lambda tensor: tensor.numpy(), out)
            row["first_s"] = time.perf_counter() - start
            row["median_s"], row["min_s"] = seconds(function, self.options.rounds, self.calls)
            self.finish(row, form, out, function)
        except Exception as error:  # the next form is what counts
            row["failed"] = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        self.facts["rows"].append(row)
        self.keep()
        off = "".join(f", {name} off by {by:.0e}" for name, by in row.get("difference", {}).items())
        said = row.get("failed") or f"{1e3 * row['median_s']:.2f} ms, first after {row['first_s']:.1f} s{off}"
        print(f"{case}: {form.name}: {said}", flush=True)

    def finish(self, row: dict[str, Any], form: Form, out: Any, function: Callable) -> None:
        """What follows from a form's time and values."""
        if not isinstance(out, tuple):
            return
        if not self.functions:
            self.expected = out
            self.operations = bench.count_operations(function.func.get_concrete_function(self.images))
        names = ("value", "gradient")
        row["difference"] = {name: difference(a, b) for name, a, b in zip(names, out, self.expected, strict=True)}
        rate = self.rates.get("convolution, bfloat16" if form.bf16 else "convolution", self.rates["convolution"])
        row["share_of_limit"] = self.operations / row["median_s"] / rate
        self.functions[form.name] = function

    def keep(self) -> None:
        """Writes all rows."""
        self.options.json.write_text(json.dumps(self.facts, indent=1), encoding="utf-8")

    def passes(self, forms: list[Form]) -> None:
        """The estimator alone, each form by itself and then all in turn."""
        for form in forms:
            if time.monotonic() - self.start < self.options.seconds - STEPS_S:
                make = functools.partial(self.made, form)
                self.row(f"estimator, {self.title}", form, make)
        for name, times in bench._times(self.functions, self.options.rounds, self.calls).items():
            row = next(row for row in self.facts["rows"] if row["form"] == name)
            row["median_s"], row["min_s"] = statistics.median(times), min(times)
        self.keep()

    def made(self, form: Form) -> Callable:
        """The estimator's pass in that form."""
        return with_gradient(function_of(self.estimator, form), self.images, form)

    def steps(self) -> None:
        """The whole step with the fastest form of each number format."""
        rows = {row["form"]: row["median_s"] for row in self.facts["rows"] if "median_s" in row}
        for bf16 in (False, True):
            of = [form for form in FORMS if form.name in self.functions and form.xla and form.bf16 == bf16]
            best = min(of, key=lambda form: rows[form.name], default=Form())
            if best.by != "stock":
                self.row(f"tuning step, {self.title}", best, functools.partial(self.step, best))

    def step(self, form: Form) -> Callable:
        """The compiled tuning step, whose estimator is in that form."""
        model, inside = bench_cases._model(self.title, fast=False, jit_compile=True)
        estimator = bench_cases._frozen_estimator(self.title)
        model._estimate = function_of(estimator, form)
        with mixed("mixed_bfloat16" if form.bf16 else "float32", *inside[:2]):
            step = bench_cases._traced(model.train_step, bench_cases._real(self.options.batch))
            step.get_concrete_function()
        return step


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("json", type=Path)
    parser.add_argument("--pixels", type=int, default=299)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--layer", default="", help="up to this one of InceptionV3's layers alone")
    parser.add_argument("--forms", default="*", help="those of such a name alone")
    parser.add_argument("--seconds", type=float, default=300.0)
    options = parser.parse_args()
    devices.import_quietly()
    devices.share_memory()
    measure = Measure(options)
    measure.passes([form for form in FORMS if fnmatch.fnmatch(form.name, options.forms)])
    measure.steps()


if __name__ == "__main__":
    main()
