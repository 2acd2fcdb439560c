"""The warm-up file: its bytes are those of the serving API's own messages, and every endpoint is in it."""

import numpy as np
import pytest
import tensorflow as tf

from pir_tf.serving.warmup import FILE, prediction_log

apis = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2", reason="needs tensorflow-serving-api")


@pytest.mark.parametrize(
    "fields",
    [
        {"seed": np.array([1, -1], np.int64), "class_id": np.array([0, 1], np.int32)},
        {"latent": np.random.default_rng(0).normal(size=(3, 64)).astype(np.float32)},
        {"image_bytes": np.array([b"\x89PNG" * 100, b""], object)},
    ],
)
def test_the_bytes_are_those_of_the_serving_api(fields):
    log = apis.PredictionLog()
    request = log.predict_log.request
    request.model_spec.name, request.model_spec.signature_name = "landscapes", "generate"
    for name, value in fields.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    ours = prediction_log("landscapes", "generate", fields)
    assert apis.PredictionLog.FromString(ours) == log
    assert ours == log.SerializeToString(deterministic=True)


def test_every_endpoint_is_warmed_up_by_requests_that_it_answers(version, endpoints):
    asked = {}
    for record in tf.data.TFRecordDataset(str(version / "assets.extra" / FILE)):
        request = apis.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "landscapes"
        name = request.model_spec.signature_name
        fields = {field: tf.constant(tf.make_ndarray(value)) for field, value in request.inputs.items()}
        answer = endpoints[name](**fields)
        rows = {len(value) for value in answer.values()}
        assert rows == {len(next(iter(fields.values())))}
        asked.setdefault(name, []).extend(rows)
    assert asked == {name: [1, 8] for name in endpoints}
