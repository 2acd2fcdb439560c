"""A disk that TensorFlow's own writers find full, in the same sentence as for everybody else."""

import errno
import os

import pytest
import tensorflow as tf

from pir_tf.errors import InputError, explain_os_errors, is_full_disk


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_that_tensorflow_meets(tmp_path):
    with pytest.raises(InputError, match="disk is full while writing to .*tuning; what was finished is whole"):
        with explain_os_errors(tmp_path / "tuning"):
            tf.io.write_file("/dev/full", "x")


def test_a_quota_is_a_full_disk_and_a_full_gpu_is_not(tmp_path):
    error = tf.errors.ResourceExhaustedError
    assert is_full_disk(error(None, None, f"run/events.out; {os.strerror(errno.EDQUOT)}"))
    oom = error(None, None, "OOM when allocating tensor with shape[64,2048] on /device:GPU:0 by allocator GPU_0_bfc")
    with pytest.raises(error, match="OOM"), explain_os_errors(tmp_path):
        raise oom
