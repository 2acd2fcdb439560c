"""Which forms of the training passes a run takes."""

import pytest
import tensorflow as tf

from pir_tf.config import ComputeConfig
from pir_tf.training.devices import use_fast_forms


@pytest.mark.parametrize(
    "kernels, gpus, expected",
    [
        ("stock", 0, False),
        ("stock", 1, False),
        ("fast", 0, True),
        ("fast", 1, True),
        ("auto", 0, True),
        ("auto", 2, False),
    ],
)
def test_the_fast_forms_are_taken_when_asked_for_or_without_a_gpu(kernels, gpus, expected, monkeypatch):
    devices = {"CPU": ["/physical_device:CPU:0"], "GPU": [f"/physical_device:GPU:{i}" for i in range(gpus)]}
    every = [device for found in devices.values() for device in found]
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: devices[kind] if kind else every)
    assert use_fast_forms(ComputeConfig(kernels=kernels)) is expected
