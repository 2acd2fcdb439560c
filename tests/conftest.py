"""What has to be set before TensorFlow starts: threads where tests run side by side, and two logical CPU devices for those of
distribution."""

import os

if "PYTEST_XDIST_WORKER" in os.environ:
    # Two processes with a thread for each core would wait for each other; commands that tests start inherit it.
    for name in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def pytest_collection_modifyitems(items):
    # Files with slow tests first: the processes then end together.
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    if any("/distributed/" in item.nodeid for item in items):
        import tensorflow as tf

        (cpu, *_) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
