"""What the client never sends: values, addresses and settings that can't be, each refused in a sentence."""

import sys

import numpy as np
import pytest

from pir_tf.errors import InputError
from pir_tf.serving.client import connect

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda c: c.generate([], 0), "seeds received"),
        (lambda c: c.generate([1.5], 0), "seeds received"),
        (lambda c: c.generate(["a"], 0), "seeds received"),
        (lambda c: c.generate(7, 0), "seeds received 7"),
        (lambda c: c.generate([True], 0), "seeds received"),
        (lambda c: c.generate([2**63], 0), "seeds has 9223372036854775808"),
        (lambda c: c.generate([2**64], 0), "seeds received"),
        (lambda c: c.generate([1, 2, 3], [0, 1]), "class_ids has 2 numbers and seed 3"),
        (lambda c: c.generate([1], -1), "class_ids has -1"),
        (lambda c: c.generate([1], 2**31), "class_ids has 2147483648"),
        (lambda c: c.generate_from_latent(np.zeros(64), 0), "latent received"),
        (lambda c: c.generate_from_latent(np.zeros((2, 64), int), 0), "latent received int64"),
        (lambda c: c.generate_from_latent(np.zeros((0, 64)), 0), "latent received"),
        (lambda c: c.generate_from_latent(np.full((1, 64), np.nan), 0), "latent has NaN"),
        (lambda c: c.generate_from_latent(np.full((1, 64), 1e300), 0), "latent has NaN or infinite"),
        (lambda c: c.score(b"one file"), "images received"),
        (lambda c: c.score([]), "images received"),
        (lambda c: c.score([b"file", "name.png"]), "'name.png' at place 1"),
        (lambda c: c.score([b""]), "at place 0"),
    ],
)
def test_what_cannot_be_sent_is_refused_at_once(ask, said):
    with pytest.raises(InputError, match="expected") as error:
        ask(connect(NOWHERE, model="landscapes", deadline=0.1))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "address", ["localhost:8501", "ftp://host", "http://", "http://host:port", "grpc://host", "grpc://host:8500/v1", ""]
)
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(InputError, match="is no server, expected for example"):
        connect(address, model="landscapes")


@pytest.mark.parametrize(
    "settings", [{"model": ""}, {"deadline": 0}, {"deadline": float("nan")}, {"deadline": float("inf")}]
)
def test_settings_that_are_none_are_refused(settings):
    with pytest.raises(InputError, match="expected"):
        connect(NOWHERE, **{"model": "landscapes", **settings})


def test_a_missing_extra_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(InputError, match=r"tensorflow-serving-api and grpcio .* pip install 'pir_tf\[serving\]'"):
        connect("grpc://localhost:8500", model="landscapes")
