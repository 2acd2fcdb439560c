"""A run directory as the stages leave it, from the bundled networks and an estimator with random weights, in a second."""

import numpy as np

from pir_tf.estimator.heads import Bins
from pir_tf.estimator.model import PIREstimator, build_network, save_estimator
from pir_tf.gan.bundled import bundled_networks
from pir_tf.presets import preset
from pir_tf.runs.directory import identity, write_json

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
