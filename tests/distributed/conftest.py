import pytest
import tensorflow as tf


@pytest.fixture(scope="session")
def two_replicas():
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])


@pytest.fixture(params=[1, 2], ids=["1 replica", "2 replicas"])
def strategy(request, two_replicas):
    return two_replicas if request.param == 2 else tf.distribute.get_strategy()
