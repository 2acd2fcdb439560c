"""A server of either kind for the client's tests, and a client's patience that wastes no time."""

import contextlib

import pytest
from fake_rest import rest_server

from pir_tf.serving.retries import Patience

QUICK = Patience(first_wait=0.01, longest_wait=0.02)


@contextlib.contextmanager
def serving(kind, fake, port=0):
    """The address of a server of a kind; gRPC's needs the extra `[serving]`."""
    if kind == "rest":
        with rest_server(fake, port) as address:
            yield address
    else:
        pytest.importorskip("tensorflow_serving.apis", reason="needs the extra [serving]: pip install '.[serving]'")
        from fake_grpc import grpc_server

        with grpc_server(fake, port) as address:
            yield address
