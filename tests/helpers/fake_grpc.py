"""A gRPC server for a fake model, built from the service definitions of `tensorflow-serving-api`."""

import contextlib
from concurrent import futures

import grpc
import tensorflow as tf
from fake_model import Refused
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    """`Predict` over a fake server."""

    def __init__(self, fake):
        self.fake = fake

    def Predict(self, request, context):
        spec = request.model_spec
        try:
            signature, types = self.fake.signature(spec.name, spec.version_label or None, spec.signature_name)
            inputs = {name: parsed(name, request.inputs, kind) for name, kind in types.items()}
            outputs = self.fake.versions[spec.version_label or None].predict(signature, inputs)
        except Refused as refused:
            if refused.status == "silent":
                self.fake.talk.wait(20)
            context.abort(getattr(grpc.StatusCode, refused.status, grpc.StatusCode.UNKNOWN), refused.message)
        response = predict_pb2.PredictResponse()
        for name, values in outputs.items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(values))
        return response


def parsed(name, inputs, kind):
    """An input: the server converts no type."""
    array = tf.make_ndarray(inputs[name])
    assert array.dtype == (object if kind is bytes else kind)
    return array


@contextlib.contextmanager
def grpc_server(fake, port=0):
    """The address of a server on a free port; it takes long messages, as the model server does."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0)]
    server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(fake), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield f"grpc://127.0.0.1:{port}"
    finally:
        fake.talk.set()
        server.stop(None).wait()
