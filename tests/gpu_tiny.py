"""gpu_tiny.py SCRIPT|-m MODULE [argument ...]: what `gpu.sh` runs, with networks small enough for a CPU. Times say nothing."""

import functools
import runpy
import sys

import tensorflow as tf

from pir_tf.experiments import bench, bench_cases
from pir_tf.gan import networks


def machine(gpu=False):
    """A product of small matrices in place of large ones."""
    product = tf.function(lambda: tf.matmul(tf.ones((64, 64)), tf.ones((64, 64))))
    return dict.fromkeys(("matrix product", "convolution", "convolution, bfloat16"), (product, 2.0 * 64**3))


networks.GENERATOR_CHANNELS, networks.DISCRIMINATOR_FILTERS = (8, 4, 4, 4, 3), (4,) * 6
for title in bench_cases.ESTIMATORS:
    if title.startswith("InceptionV3"):
        bench_cases.ESTIMATORS[title] = bench_cases.ESTIMATORS["compact"]
bench.machine = bench_cases.machine = machine
bench.host_times = functools.partial(bench_cases.host_times, steps=4, rounds=1)

if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    if sys.argv[0] == "-m":
        sys.argv = sys.argv[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        runpy.run_path(sys.argv[0], run_name="__main__")
