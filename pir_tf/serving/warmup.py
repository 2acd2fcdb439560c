"""Warm-up requests: what the server sends itself before a version serves, so that no user waits for first calls.

The file is a TFRecord of `tensorflow.serving.PredictionLog` messages. Their definitions come with the package
tensorflow-serving-api alone; three nested messages are written here by protobuf's wire format instead, so that an export
needs no more than TensorFlow. A test compares the bytes with those of that package where it is installed.

Source: TensorFlow Serving, "SavedModel Warmup".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

FILE = "tf_serving_warmup_requests"

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
_PREDICTION_LOG_PREDICT_LOG = 6
_PREDICT_LOG_REQUEST = 1
_PREDICT_REQUEST_MODEL_SPEC, _PREDICT_REQUEST_INPUTS = 1, 2
_MODEL_SPEC_NAME, _MODEL_SPEC_SIGNATURE_NAME = 1, 3
_MAP_KEY, _MAP_VALUE = 1, 2


def write_warmup(folder: Path, model_name: str, requests: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
    """Writes `assets.extra/tf_serving_warmup_requests` of a version.

    Args:
        folder: the version.
        model_name: the model's name in the server.
        requests: signature and arrays by field; the server takes at most 1000.
    """
    extra = folder / "assets.extra"
    extra.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(extra / FILE)) as writer:
        for signature, fields in requests:
            writer.write(prediction_log(model_name, signature, fields))


def prediction_log(model_name: str, signature: str, fields: Mapping[str, Any]) -> bytes:
    """A serialized PredictionLog of one request.

    Args:
        model_name: the model's name in the server.
        signature: the endpoint.
        fields: arrays by field.
    """
    spec = _field(_MODEL_SPEC_NAME, model_name.encode()) + _field(_MODEL_SPEC_SIGNATURE_NAME, signature.encode())
    request = _field(_PREDICT_REQUEST_MODEL_SPEC, spec)
    for name in sorted(fields):
        value = tf.make_tensor_proto(fields[name]).SerializeToString()
        request += _field(_PREDICT_REQUEST_INPUTS, _field(_MAP_KEY, name.encode()) + _field(_MAP_VALUE, value))
    return _field(_PREDICTION_LOG_PREDICT_LOG, _field(_PREDICT_LOG_REQUEST, request))


def _field(number: int, content: bytes) -> bytes:
    """A string, bytes or nested message: key with wire type 2, length, content."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    """Seven bits a byte, lowest first, the eighth says that more follow."""
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
