"""Two logical CPU devices for the tests of distribution, which TensorFlow takes only before anything has run."""


def pytest_collection_modifyitems(items):
    if any("/distributed/" in item.nodeid for item in items):
        import tensorflow as tf

        (cpu, *_) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
