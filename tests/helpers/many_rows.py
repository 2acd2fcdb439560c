"""Rows of synthetic experiments, made as real ones are: from a flat config and a results.json."""

import json

import numpy as np

from pir_tf.config import flatten
from pir_tf.paper.rows import row_of
from pir_tf.presets import by_papers_method

PAIRS = ("red-green", "red-blue", "green-red", "green-blue", "blue-red", "blue-green")
ROTATIONS = ("red-green-blue", "green-blue-red", "blue-red-green")


def results(d, *, sd=0.05, before=0.5, zero=0.0, estimated=None, ms_ssim=0.45, **more):
    """results.json of an experiment with the effect size `d`; significant beyond 0.15."""
    change, p = d * sd, 1e-30 if abs(d) > 0.15 else 0.2
    estimated = change / 1.6 if estimated is None else estimated
    interval = [d - 0.1, d + 0.1]
    return {
        **{"pir_before_mean": before, "pir_after_mean": before + change, "change": change},
        "estimated_change": estimated,
        **{"cohens_d": d, "cohens_d_interval": interval, "welch_t": 20 * d, "p_value": p, "significant": p < 0.001},
        **{"initial_mean": before, "initial_sd": sd, "initial_percent_zero": zero, "verdict": "gain", "alpha": 0.001},
        "true": {"before_mean": before, "before_sd": sd, "after_sd": sd},
        "estimated": {"before_mean": before - 0.01, "change": estimated},
        "judged": {"change": 0.9 * change},
        "diversity": {
            "before": {"distance": [0.21, 0.19], "ms_ssim": [0.4, 0.38]},
            "after": {"distance": [0.18, 0.17], "ms_ssim": [ms_ssim] * 2},
            "real": {"distance": [0.25, 0.23], "ms_ssim": [0.31, 0.33]},
            "collapsed": [False, False],
        },
        **more,
    }


def config(objective="color:blue", **changes):
    """A flat config; `tuning__steps=5` changes `tuning.steps`."""
    named = {name.replace("__", "."): value for name, value in changes.items()}
    return {**flatten(by_papers_method("laptop")), "interactions.objective": objective, **named}


def experiment(objective="color:blue", d=1.0, name=None, measured=None, **changes):
    """A row."""
    found = results(d, **(measured or {}))
    return row_of(config(objective, **changes), found, experiment=name or objective.replace(":", "-"))


def write_run(path, d=1.0, *, published=False, measured=None, **changes):
    """A run directory, or a published folder, with the files that make a row; without results for no `d`."""
    place = path if published else path / "evaluation"
    place.mkdir(parents=True)
    (path / "config.json").write_text(json.dumps({"config": config(**changes), "files": {}}))
    if d is not None:
        (place / "results.json").write_text(json.dumps(results(d, **(measured or {}))))
    return path


def whole(layers=("pool1", "pool2", "pool3", "pool4", "pool5"), seed=0):
    """Five single filters and five sets of 20 for each layer, and all colours."""
    rng = np.random.default_rng(seed)
    rows = []
    for place, layer in enumerate(layers):
        for i in range(5):
            sparse = {"zero": float(rng.uniform(0, 60)), "sd": float(rng.uniform(0.01, 0.03))}
            d = 1.4 - 0.2 * place + rng.normal(0, 0.2)
            rows.append(experiment(f"vgg:{layer}:filters={7 * i}", d, measured=sparse))
            spread = {"sd": float(rng.uniform(0.01, 0.03)), "zero": float(rng.uniform(0, 5))}
            d = 1.6 - 0.13 * place + rng.normal(0, 0.1)
            rows.append(experiment(f"vgg:{layer}:k=20:seed={i}", d, measured=spread))
    for i, colors in enumerate(("red", "green", "blue", *PAIRS, *ROTATIONS)):
        rows.append(experiment(f"color:{colors}", (3.0, 1.5, 0.03)[colors.count("-")] + 0.01 * i))
    return rows
