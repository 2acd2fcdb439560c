"""A disk that TensorFlow's own writers find full, in the same sentence as for everybody else."""

import errno
import os

import pytest
import tensorflow as tf

from pir_tf.errors import InputError, explain_os_errors


def test_a_full_disk_and_quota_that_tensorflow_meets_are_said_and_a_full_gpu_is_not(tmp_path):
    error = tf.errors.ResourceExhaustedError
    quota = error(None, None, f"run/events.out; {os.strerror(errno.EDQUOT)}")
    oom = error(None, None, "OOM when allocating tensor with shape[64,2048] on /device:GPU:0 by allocator GPU_0_bfc")
    for refused, expected, said in ((quota, InputError, "disk is full while writing to "), (oom, error, "OOM")):
        with pytest.raises(expected, match=said), explain_os_errors(tmp_path):
            raise refused
    said = "disk is full while writing to .*tuning; what was finished is whole"
    with pytest.raises(InputError, match=said), explain_os_errors(tmp_path / "tuning"):
        tf.io.write_file("/dev/full", "x")
