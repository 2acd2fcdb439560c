"""The client and the export together: a real version behind the test's servers, by REST and by gRPC."""

import numpy as np
import pytest
import tensorflow as tf
from fake_model import FakeServer, Refused
from fake_rest import serving

from pir_tf.serving.client import ServingError, connect


class ExportedVersion:
    """A loaded version, asked as the servers ask a fake one."""

    def __init__(self, endpoints):
        self.endpoints = endpoints

    def predict(self, signature, inputs):
        try:
            outputs = self.endpoints[signature](**{name: tf.constant(values) for name, values in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            raise Refused("INVALID_ARGUMENT", error.message) from None
        return {name: listed(name, value.numpy()) for name, value in outputs.items()}


def listed(name, array):
    if array.dtype != object:
        return array
    return [item if name.endswith("_bytes") else item.decode() for item in array]


@pytest.fixture(params=["rest", "grpc"])
def client(request, endpoints):
    fake = FakeServer()
    fake.versions = {"stable": ExportedVersion(endpoints)}
    with serving(request.param, fake) as address:
        with connect(address, model="landscapes", label="stable", deadline=300) as client:
            yield client


def test_what_the_client_gets_is_the_versions_own(client, endpoints):
    answer = client.generate([3, -1, 2**40], [0, 1, 0])
    direct = endpoints["generate"](seed=tf.constant([3, -1, 2**40], tf.int64), class_id=tf.constant([0, 1, 0]))
    assert answer.image_bytes == direct["image_bytes"].numpy().tolist()
    assert [name.encode() for name in answer.class_names] == direct["class_name"].numpy().tolist()
    latent = np.random.default_rng(0).standard_normal((3, 64)).astype(np.float32)
    direct = endpoints["generate_from_latent"](latent=tf.constant(latent), class_id=tf.constant([1, 1, 1]))
    assert np.array_equal(client.generate_from_latent(latent, 1), direct["image"].numpy())
    direct = endpoints["score"](image_bytes=tf.constant(answer.image_bytes))["pir"].numpy()
    np.testing.assert_array_equal(client.score(answer.image_bytes), direct)


def test_the_versions_refusals_name_the_field(client):
    for field, ask in {
        "class_id": lambda: client.generate([1], 9),
        "latent": lambda: client.generate_from_latent(np.zeros((1, 3)), 0),
        "image_bytes": lambda: client.score([b"no image"]),
    }.items():
        with pytest.raises(ServingError) as error:
            ask()
        assert (error.value.status, error.value.field) == ("INVALID_ARGUMENT", field)
        assert "node" not in str(error.value) and "\n" not in str(error.value)
