"""The signatures of a SavedModel as a server reads them: from `saved_model.pb`, by no code of ours."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

HEAD = """The endpoints of an exported generator: names, types and shapes are fixed, n is 1 to 256.

"""


def described(version):
    """One paragraph a signature, fields in alphabetical order."""
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    paragraphs = []
    for name, signature in sorted(graph.signature_def.items()):
        if name.startswith("__"):  # the loader's own
            continue
        assert signature.method_name == "tensorflow/serving/predict"
        lines = [name]
        for title, fields in (("in ", signature.inputs), ("out", signature.outputs)):
            lines += [f"  {title}  {field:<12} {_kind(info)}" for field, info in sorted(fields.items())]
        paragraphs.append("\n".join(lines))
    return HEAD + "\n\n".join(paragraphs) + "\n"


def _kind(info):
    sizes = ["n" if dimension.size == -1 else str(dimension.size) for dimension in info.tensor_shape.dim]
    return f"{tf.dtypes.as_dtype(info.dtype).name:<8} [{', '.join(sizes)}]"
