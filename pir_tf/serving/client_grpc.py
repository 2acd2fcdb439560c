"""TensorFlow Serving's gRPC API with `tensorflow-serving-api`, which imports TensorFlow: loaded only for a grpc:// address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pir_tf.errors import InputError
from pir_tf.serving.protocol import AttemptFailed, Endpoint, Values, no_server, parts_of

_OPTIONS = [
    # The model server's own limit in bytes. gRPC's default of 4 MiB is passed by 342 images of 64 pixels.
    ("grpc.max_send_message_length", 2**31 - 1),
    ("grpc.max_receive_message_length", 2**31 - 1),
    # After a failed connection gRPC refuses calls, without trying, for a second and then up to two minutes. The waits between
    # our attempts are enough.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.enable_http_proxy", 0),  # as in the REST client
]


class GrpcTransport:
    """Sends requests to `grpc://HOST:8500`, or `grpcs://HOST:PORT` for TLS with the system's certificates.

    Raises:
        InputError: an address that can't be one, or the extra `[serving]` is not installed.
    """

    def __init__(self, address: str, model: str) -> None:
        parts = parts_of(address, ("grpc", "grpcs"), "grpc://localhost:8500")
        if not parts.port or parts.path not in ("", "/") or parts.username is not None:
            raise no_server(address, "grpc://localhost:8500")
        try:
            import grpc
            import tensorflow as tf
            from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
        except ImportError as error:
            raise InputError(
                f"{address} needs the packages tensorflow-serving-api and grpcio ({error}): pip install 'pir_tf[serving]', "
                "or use the REST address, for example http://localhost:8501."
            ) from error
        self._grpc, self._tf, self._request = grpc, tf, predict_pb2.PredictRequest
        if parts.scheme == "grpcs":
            self._channel = grpc.secure_channel(parts.netloc, grpc.ssl_channel_credentials(), options=_OPTIONS)
        else:
            self._channel = grpc.insecure_channel(parts.netloc, options=_OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._model = model

    def predict(
        self, endpoint: Endpoint, inputs: Mapping[str, Values], *, label: str | None, timeout: float
    ) -> dict[str, Any]:
        """As the REST transport."""
        request = self._request()
        request.model_spec.name = self._model
        request.model_spec.signature_name = endpoint.signature
        if label:
            request.model_spec.version_label = label
        for name, values in inputs.items():
            dtype = values.dtype if isinstance(values, np.ndarray) else self._tf.string
            # The server takes numbers of the signature's own type alone, and never converts.
            request.inputs[name].CopyFrom(self._tf.make_tensor_proto(values, dtype=dtype))
        try:
            response = self._stub.Predict(request, timeout=timeout)
        except self._grpc.RpcError as error:
            raise AttemptFailed(error.code().name, error.details() or "") from error
        return {name: self._output(response, name, kind) for name, kind in endpoint.outputs.items()}

    def close(self) -> None:
        """Closes the connection."""
        self._channel.close()

    def _output(self, response: Any, name: str, kind: Any) -> Any:
        if name not in response.outputs:
            there = ", ".join(sorted(response.outputs)) or "nothing"
            raise AttemptFailed("UNKNOWN", f"the answer has no {name} but {there}: another model is served")
        array = self._tf.make_ndarray(response.outputs[name])
        if kind is bytes or kind is str:
            return [bytes(item) if kind is bytes else item.decode("utf-8") for item in array.tolist()]
        return array.astype(kind, copy=False)
