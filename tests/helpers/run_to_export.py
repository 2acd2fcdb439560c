"""A run directory as the stages leave it, from the bundled networks and an estimator with random weights, in a second.

And what a version that is exported from it promises.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import PIREstimator, build_network, save_estimator
from pir_tf.gan.bundled import bundled_networks
from pir_tf.presets import preset
from pir_tf.runs.directory import identity, write_json

CONTRACT = Path(__file__).parents[2] / "export" / "signatures.txt"
RESULTS = {
    **{"pir_before_mean": 0.5, "pir_after_mean": 0.75, "change": 0.25, "cohens_d": 3.5, "p_value": 1e-9},
    **{"verdict": "gain", "objective": "color:blue"},
}


def make_run(folder):
    """Writes the run; its tuned generator makes lighter images than the untuned one."""
    folder.mkdir(parents=True)
    about = {"command": "python -m pir_tf.experiments.run smoke", "commit": "a" * 40, "versions": {}, "started": "now"}
    write_json(folder / "config.json", {"config": identity(preset("smoke")), "files": {}, **about})
    networks = bundled_networks()
    networks.save(folder / "gan")
    bias = networks.generator.get_layer("conv_5").bias
    bias.assign(bias + 0.1)
    for layer in networks.generator.layers:
        if hasattr(layer, "kernel"):
            layer.kernel.assign(layer.kernel * 1.0007)  # the bundled kernels are float16 numbers
    networks.save(folder / "tuning")
    save_estimator(random_estimator(), folder / "estimator")
    (folder / "evaluation").mkdir()
    write_json(folder / "evaluation" / "results.json", RESULTS)
    for stage in ("gan", "estimator", "tuning", "evaluation"):
        write_json(folder / stage / "done.json", {})
    return folder


def random_estimator():
    """The compact estimator with random logits, so that images differ in their PIR."""
    network = build_network(preset("smoke").estimator, seed=0)
    kernel = network.get_layer("logits").kernel
    kernel.assign(0.02 * np.random.default_rng(0).normal(size=kernel.shape))
    return PIREstimator(network, Bins(100), temperature=0.01)


def described(version):
    """The signatures as a server reads them: a paragraph for each, fields in alphabetical order."""
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    (graph,) = saved.meta_graphs
    assert list(graph.meta_info_def.tags) == ["serve"]
    paragraphs = ["The endpoints of an exported generator: names, types and shapes are fixed, n is 1 to 256."]
    for name, signature in sorted(graph.signature_def.items()):
        if name.startswith("__"):  # the loader's own
            continue
        assert signature.method_name == "tensorflow/serving/predict"
        lines = [name]
        for title, fields in (("in ", signature.inputs), ("out", signature.outputs)):
            for field, info in sorted(fields.items()):
                sizes = ["n" if dimension.size == -1 else str(dimension.size) for dimension in info.tensor_shape.dim]
                kind = tf.dtypes.as_dtype(info.dtype).name
                lines.append(f"  {title}  {field:<12} {kind:<8} [{', '.join(sizes)}]")
        paragraphs.append("\n".join(lines))
    return "\n\n".join(paragraphs) + "\n"
