"""TensorFlow Serving's REST API over the standard library: column form, base64 for bytes. Imports no TensorFlow.

A connection is made for every attempt: one that the server or a balancer closed meanwhile is never met, and threads share
nothing. Proxy settings of the environment are not used.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import http.client
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

import numpy as np

from pir_tf.serving.protocol import AttemptFailed, Endpoint, Values, no_server, parts_of

_STATUS = {
    **{400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED"},
    **{429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED"},
    502: "UNAVAILABLE",  # a balancer whose server is gone
}
"""The model server maps its statuses to HTTP codes; this is the way back, as far as there is one."""

_CHUNK = 1 << 20
_SHOWN = 200  # characters of an answer that is no JSON, for example a balancer's page


class RestTransport:
    """Sends requests to `http://HOST:8501` or `https://HOST`, with a path before `/v1` where a balancer wants one.

    A name and a password before the host (`https://NAME:PASSWORD@HOST`) are sent as HTTP's basic authentication.

    Raises:
        InputError: an address that can't be one.
    """

    def __init__(self, address: str, model: str) -> None:
        parts = parts_of(address, ("http", "https"), "http://localhost:8501")
        if parts.query or parts.fragment or not re.fullmatch("[!-~]*", parts.path):
            raise no_server(address, "http://localhost:8501")
        connection = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connect = lambda timeout: connection(parts.hostname or "", parts.port, timeout=timeout)
        self._headers = {"Content-Type": "application/json", "Connection": "close"}
        if parts.username is not None:  # a proxy before the server asks for it
            known = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(known).decode()}"
        self._base = f"{parts.path.rstrip('/')}/v1/models/{quote(model, safe='')}"

    def predict(
        self, endpoint: Endpoint, inputs: Mapping[str, Values], *, label: str | None, timeout: float
    ) -> dict[str, Any]:
        """Asks once, for `timeout` seconds: outputs by name, arrays or lists of bytes or text, as the endpoint has them.

        Raises:
            AttemptFailed: a refusal, no answer in time, or one that can't be read.
        """
        version = f"/labels/{quote(label, safe='')}" if label else ""
        request = {"signature_name": endpoint.signature, "inputs": {name: _to_json(v) for name, v in inputs.items()}}
        code, body = self._post(f"{self._base}{version}:predict", json.dumps(request).encode(), timeout)
        if code != 200:
            raise AttemptFailed(_STATUS.get(code, f"HTTP {code}"), _error_text(body))
        try:
            outputs = json.loads(body)["outputs"]
        except (ValueError, KeyError, TypeError) as error:
            raise AttemptFailed("UNKNOWN", f"the answer is no prediction: {_start(body)!r}") from error
        if not isinstance(outputs, dict):  # the server leaves out the name of a single output
            outputs = dict.fromkeys(endpoint.outputs, outputs)
        return {name: _from_json(name, outputs.get(name), kind) for name, kind in endpoint.outputs.items()}

    def close(self) -> None:
        """Nothing is held between requests."""

    def _post(self, path: str, body: bytes, timeout: float) -> tuple[int, bytes]:
        end = time.monotonic() + timeout
        connection = self._connect(timeout)
        try:
            with contextlib.closing(connection):
                connection.request("POST", path, body, self._headers)
                socket = connection.sock
                response = connection.getresponse()
                chunks = []
                while chunk := response.read1(_CHUNK):
                    chunks.append(chunk)
                    if (left := end - time.monotonic()) <= 0:
                        raise TimeoutError
                    if not response.isclosed():
                        socket.settimeout(left)  # which would begin anew with every byte
                if response.length:
                    raise AttemptFailed("UNAVAILABLE", f"the answer broke off {response.length} bytes before its end")
                return response.status, b"".join(chunks)
        except TimeoutError as error:
            raise AttemptFailed("DEADLINE_EXCEEDED", f"no answer within {timeout:.3g} seconds") from error
        except (OSError, http.client.HTTPException) as error:
            raise AttemptFailed("UNAVAILABLE", f"no connection ({str(error) or type(error).__name__})") from error


def _to_json(values: Values) -> Any:
    if isinstance(values, np.ndarray):
        return values.tolist()
    return [{"b64": base64.b64encode(value).decode()} for value in values]


def _from_json(name: str, value: Any, kind: Any) -> Any:
    """An output as its endpoint has it: bytes from base64, text as it is, numbers as an array."""
    try:
        if value is None:
            raise ValueError("missing")
        if kind is bytes:
            return [base64.b64decode(item["b64"], validate=True) for item in value]
        return [str(item) for item in value] if kind is str else np.array(value, dtype=kind)
    except (binascii.Error, KeyError, TypeError, ValueError, OverflowError) as error:
        raise AttemptFailed(
            "UNKNOWN", f"the answer's {name} can't be read ({error}): another model is served"
        ) from error


def _error_text(body: bytes) -> str:
    try:
        return str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return _start(body)


def _start(body: bytes) -> str:
    return body[:_SHOWN].decode("utf-8", "replace")
