"""The Keras models' answers to a few requests: what the check compares, what warms a server up, what float16 changes.

What the server sends itself before a version serves, so that no user waits for first calls, is a TFRecord of
`tensorflow.serving.PredictionLog` messages. Their definitions come with the package tensorflow-serving-api alone; three nested
messages are written here by protobuf's wire format instead, so that an export needs no more than TensorFlow. A test compares
the bytes with those of that package. Source: TensorFlow Serving, "SavedModel Warmup".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pir_tf.estimator.model import estimate
from pir_tf.gan.imported.contract import all_layers
from pir_tf.gan.sampling import generate
from pir_tf.serving.from_run import Material
from pir_tf.serving.signatures import latents_of, round_weights

SEEDS = (0, 1, 2, 3, -1, 2**31, 2**63 - 1, -(2**63))
"""Of the requests: small ones, and those at the ends of the types' ranges."""
GREY_LEVELS, OF_HALVES = 1, 8
"""Most that a pixel may differ: what rounding of float32 sums can do to a value between two bytes, and rounding of 16 bits."""
WARM_UP_ROWS = (1, len(SEEDS))
COMPARED_IMAGES = 64
"""Images by which float16 is compared with float32."""
WARM_UP = Path("assets.extra", "tf_serving_warmup_requests")

# Field numbers of tensorflow_serving/apis: prediction_log.proto, predict.proto, model.proto.
_PREDICTION_LOG_PREDICT_LOG, _PREDICT_LOG_REQUEST = 6, 1
_PREDICT_REQUEST_MODEL_SPEC, _PREDICT_REQUEST_INPUTS = 1, 2
_MODEL_SPEC_NAME, _MODEL_SPEC_SIGNATURE_NAME = 1, 3
_MAP_KEY, _MAP_VALUE = 1, 2


def answers_of(material: Material) -> dict[str, np.ndarray]:
    """`seed`, `class_id`, `latent`, `class_name`, `image` (uint8), `class_count`, `grey_levels`, and `pir` with an estimator."""
    seed = np.array(SEEDS, np.int64)
    class_id = (np.arange(len(seed)) % len(material.class_names)).astype(np.int32)
    latent = latents_of(tf.constant(seed), _latent_size(material.generator)).numpy()
    image = generate(material.generator, latent, class_id)
    known = {"seed": seed, "class_id": class_id, "latent": latent, "image": image}
    known["class_name"] = np.array([material.class_names[index] for index in class_id])
    known["class_count"] = np.array(len(material.class_names))
    halves = any(layer.compute_dtype in ("float16", "bfloat16") for layer in all_layers(material.generator))
    known["grey_levels"] = np.array(OF_HALVES if halves else GREY_LEVELS)
    if material.estimator is not None:
        known["pir"] = estimate(material.estimator, image)
    return known


def requests_of(known: dict[str, np.ndarray]) -> Iterator[tuple[str, dict[str, Any]]]:
    """One small and one larger request of every endpoint."""
    png = tf.io.encode_png(known["image"]).numpy()
    for rows in WARM_UP_ROWS:
        seed, latent, class_id = (known[name][:rows] for name in ("seed", "latent", "class_id"))
        yield "serving_default", {"seed": seed, "class_id": class_id}
        yield "generate", {"seed": seed, "class_id": class_id}
        yield "generate_from_latent", {"latent": latent, "class_id": class_id}
        if "pir" in known:
            yield "score", {"image_bytes": png[:rows]}


def write_warmup(folder: Path, model_name: str, known: dict[str, np.ndarray]) -> None:
    """Writes the requests with which a version of the model warms a server up."""
    path = folder / WARM_UP
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, fields in requests_of(known):
            writer.write(prediction_log(model_name, signature, fields))


def prediction_log(model_name: str, signature: str, fields: Mapping[str, Any]) -> bytes:
    """A serialized PredictionLog of one request: arrays by field."""
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


def halve(material: Material) -> dict[str, Any]:
    """Rounds the models' weights to float16 values; says by how many grey levels pixels differ then, in how many images."""
    seeds = tf.range(COMPARED_IMAGES, dtype=tf.int64)
    latent = latents_of(seeds, _latent_size(material.generator)).numpy()
    class_id = (np.arange(COMPARED_IMAGES) % len(material.class_names)).astype(np.int32)
    before = generate(material.generator, latent, class_id).astype(int)
    round_weights([material.generator, *([material.estimator] if material.estimator is not None else [])])
    difference = np.abs(generate(material.generator, latent, class_id) - before)
    return {"greatest": int(difference.max()), "mean": float(difference.mean()), "images": COMPARED_IMAGES}


def _latent_size(generator: keras.Model) -> int:
    return int(generator.inputs[0].shape[-1])
