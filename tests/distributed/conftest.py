import pytest
import tensorflow as tf

# Two logical CPU devices, before anything computes: no test module here computes when it is imported.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)


@pytest.fixture(scope="session")
def two_replicas():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(params=[1, 2], ids=["1 replica", "2 replicas"])
def strategy(request, two_replicas):
    return two_replicas if request.param == 2 else tf.distribute.get_strategy()
