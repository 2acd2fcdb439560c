"""A REST handler for a fake model: parses the JSON that TensorFlow Serving documents, in row and column form; both servers."""

import base64
import contextlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from fake_model import Refused

from pir_tf.serving.protocol import Patience

MODEL = r"/v1/models/([^/:]+)(?:/versions/(\d+)|/labels/([^/:]+))?"
QUICK = Patience(first_wait=0.01, longest_wait=0.02)
CODES = {"INVALID_ARGUMENT": 400, "NOT_FOUND": 404, "INTERNAL": 500, "UNAVAILABLE": 503, "DEADLINE_EXCEEDED": 504}


@contextlib.contextmanager
def rest_server(fake, port=0):
    """The address of a server, on a free port unless one is given."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found = re.fullmatch(f"{MODEL}:predict", self.path)
            try:
                self.answer(200, predict(fake, found[1], found[3], body))
            except Refused as refused:
                self.trouble(refused)

        def do_GET(self):
            found = re.fullmatch(MODEL, self.path)
            assert found[1] == fake.name and found[3] in fake.versions
            state = {"version": "1", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
            self.answer(200, {"model_version_status": [state]})

        def trouble(self, refused):
            if refused.status == "silent":
                return fake.talk.wait(20)
            if refused.status in CODES:
                return self.answer(CODES[refused.status], {"error": refused.message})
            self.send_response(200)
            if refused.status == "cut":
                self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"<html>Welcome to the hotel's network" if refused.status == "page" else b"{")
            with contextlib.suppress(OSError):
                while refused.status == "drip" and not fake.talk.wait(0.05):
                    self.wfile.write(b" ")

        def answer(self, code, value):
            body = json.dumps(value, indent=4).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        fake.talk.set()
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def serving(kind, fake, port=0):
    """The address of a server of a kind; gRPC's needs the extra `[serving]`."""
    if kind == "grpc":
        pytest.importorskip("tensorflow_serving.apis", reason="needs the extra [serving]: pip install '.[serving]'")
        from fake_grpc import grpc_server as server
    else:
        server = rest_server
    with server(fake, port) as address:
        yield address


def predict(fake, model, label, body):
    """A request's answer in the form of the request; what isn't as documented breaks the connection."""
    request = json.loads(body)
    signature, types = fake.signature(model, label, request.get("signature_name", ""))
    (form,) = request.keys() & {"instances", "inputs"}
    given, first = request[form], next(iter(types))
    if form == "instances":
        rows = [row if isinstance(row, dict) and "b64" not in row else {first: row} for row in given]
        given = {name: [row[name] for row in rows] for name in rows[0]}
    elif not isinstance(given, dict):
        given = {first: given}
    assert given.keys() == types.keys()
    inputs = {name: parsed(values, types[name]) for name, values in given.items()}
    outputs = {name: printed(name, values) for name, values in fake.versions[label].predict(signature, inputs).items()}
    only = next(iter(outputs.values())) if len(outputs) == 1 else None
    if form == "inputs":
        return {"outputs": only or outputs}
    return {
        "predictions": only or [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    }


def parsed(values, kind):
    """An input: the server takes {"b64": ...} or text for strings, and no fraction for a whole number."""
    if kind is bytes:
        return [base64.b64decode(v["b64"], validate=True) if isinstance(v, dict) else v.encode() for v in values]
    wanted = (int, float) if np.dtype(kind).kind == "f" else (int,)
    assert all(type(value) in wanted for value in np.array(values).ravel().tolist())
    return np.array(values, kind)


def printed(name, values):
    """An output: names that end in `_bytes` come as base64."""
    if name.endswith("_bytes"):
        return [{"b64": base64.b64encode(value).decode()} for value in values]
    return values.tolist() if isinstance(values, np.ndarray) else values
