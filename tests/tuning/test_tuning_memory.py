"""A long tuning run needs no more memory than a short one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

RUN = """
import ctypes
import os

import keras
import numpy as np

from pir_tf.config import EstimatorConfig
from pir_tf.data.sources import ImageSet, batches
from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import build_network, with_pir
from pir_tf.gan import networks
from pir_tf.gan.networks import build_discriminator, build_generator
from pir_tf.gan.train import optimizers
from pir_tf.tuning.tuner import Tuner

PAGE = os.sysconf("SC_PAGE_SIZE") / 2**20
# The C library keeps freed memory, in an arena for each thread: the size would tell which thread needed a large block first.
# One arena (MALLOC_ARENA_MAX) that gives back what is free leaves the memory that is in use, to 3 MB in 1,100.
trim = getattr(ctypes.CDLL(None), "malloc_trim", lambda size: None)


def resident():
    trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * PAGE


class Show(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        print(resident(), flush=True)


networks.GENERATOR_CHANNELS, networks.DISCRIMINATOR_FILTERS = (4, 4, 4, 4, 3), (4, 4, 4, 4, 4, 4)
network = build_network(EstimatorConfig("compact", "none", image_size=32), seed=0)
estimator = with_pir(network, Bins(100), temperature=0.01)
tuner = Tuner(build_generator(2), build_discriminator(2), estimator, pir_weight=1000.0, seed=0, fast=True)
tuner.compile(*optimizers(1e-5, 1e-5, 0.5))
rng = np.random.default_rng(0)
images = ImageSet(rng.integers(0, 256, (64, 64, 64, 3), np.uint8), np.arange(64, dtype=np.int32) % 2, ("a", "b"))
data = batches(images, batch_size=2, seed=0, first_step=0)
tuner.fit(data, epochs=10, steps_per_epoch=30, callbacks=[Show()], verbose=0)
"""


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident size is read from /proc")
def test_ten_epochs_need_no_more_memory_than_five():
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, "-c", RUN]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    sizes = [float(line) for line in done.stdout.split()]
    assert len(sizes) == 10
    # The second five epochs are 150 steps: if they kept their images alone, 15 MB more.
    assert max(sizes) - sizes[4] < 10, sizes
