"""A synthetic run directory: numbers with the shape of a real run's, pictures of noise and gradients."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from pir_tf.config import flatten
from pir_tf.evaluation import measure
from pir_tf.evaluation.diversity import Diversity, DiversityReport
from pir_tf.presets import by_papers_method

CLASS_NAMES = ["mountain", "coast"]
TERMS = {"L_fake_image": -0.55, "L_real_image": -0.5, "L_real_class": -0.1, "L_fake_image_fools": -0.95}
TERMS["L_fake_class"] = -0.3


def pirs(n=300, seed=0):
    """True, estimated and judged PIRs before and after tuning."""
    rng = np.random.default_rng(seed)
    means = {"true": (0.61, 0.68), "estimated": (0.60, 0.64), "judged": (0.60, 0.66)}
    return {name: tuple(np.clip(rng.normal(mean, 0.03, n), 0, 1) for mean in both) for name, both in means.items()}


def results(measured=True, judge=True):
    """results.json of a gain, or of a run that nobody has judged yet."""
    pir = pirs()
    known = {"estimated": pir["estimated"]} | ({"judged": pir["judged"]} if judge else {})
    if measured:
        known |= {"true": pir["true"], "observed": pir["true"]}
    side = lambda distance, likeness: Diversity(distance, likeness, 3, (64, 64))  # noqa: E731
    diversity = DiversityReport.compare(
        side((0.21, 0.24), (0.31, 0.27)), side((0.18, 0.20), (0.36, 0.33)), side((0.25, 0.28), (0.19, 0.17))
    )
    found = measure.results(known, training=pir["true"][0], diversity=diversity, alpha=0.001)
    found |= {"source": "simulated", "objective": "color:blue"} if measured else {"source": "csv", "objective": None}
    found |= {"images_before": 300, "images_after": 300, "class_names": CLASS_NAMES}
    return json.loads(json.dumps(found, allow_nan=False))


def pictures(n, seed, blue=0):
    """Uint8 landscapes of a kind [n, 64, 64, 3]: sky, ridge and ground, bluer with `blue`; labels [n]."""
    rng = np.random.default_rng(seed)
    y, ridge = np.arange(64)[:, None, None], rng.integers(20, 44, (n, 1, 1, 1))
    images = np.where(y < ridge, [150, 180, 215] - 0.8 * y, [95, 110, 70] + 0.5 * y) + [-blue / 2, -blue / 3, blue]
    images = images + rng.integers(-30, 30, (n, 1, 1, 3)) + rng.normal(0, 5, (n, 64, 64, 1))
    return np.clip(images, 0, 255).astype(np.uint8), np.arange(n) % 2


def write_history(path, levels, steps, every, **sparse):
    """A log: each term noise about its level, and sparse columns name -> (row distance, first value, last value)."""
    rng, rows = np.random.default_rng(0), steps // every
    done = np.arange(1, rows + 1) / rows
    log = {"step": every * np.arange(1, rows + 1)}
    log |= {name: level * (1 + 0.1 * rng.normal(size=rows)) - 0.3 * done for name, level in levels.items()}
    log |= {"discriminator_loss": np.full(rows, 1.1), "generator_loss": np.full(rows, -599.0)}
    for name, (distance, first, last) in sparse.items():
        log[name] = np.where(np.arange(1, rows + 1) % distance == 0, first + (last - first) * done, np.nan)
    pd.DataFrame(log).to_csv(path, index=False)


def quality(n=300, bias=-0.03):
    """One of the two halves of quality.json."""
    at = np.linspace(0.5, 0.7, 10)
    groups = [{"count": n // 10, "mean_predicted": float(p), "mean_true": float(p - bias)} for p in at]
    errors = {"n": n, "spearman": 0.91, "mean_absolute_error": 0.012, "bias": bias}
    return {**errors, "sd_predicted": 0.028, "sd_true": 0.031, "calibration": groups, "undefined": {}}


def write_run(path: Path, *, measured=True, judge=True, gan_history=False, **changes) -> Path:
    """Writes a whole run directory; `changes` replace entries of results.json.

    Its true PIR may not be measured, no second estimator have judged, and its ACGAN may have been trained in it.
    """

    def write(name, value):
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_text(json.dumps(value))

    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        write(f"{stage}/done.json", {"finished": "2024-03-01T10:02:11+0000", "seconds": 73.4, "peak_memory_mb": 1480})
    about = {
        "config": flatten(by_papers_method("laptop"))
        | ({} if measured else {"interactions.source": "csv:ratings.csv"}),
        "files": {},
        "versions": {"python": "3.11.9", "keras": "3.10.0", "tensorflow-hub": None},
        "commit": None,
        "hardware": {"system": "Linux", "machine": "x86_64", "cores": 2, "gpus": []},
        "started": "2024-03-01T10:00:00+0000",
    }
    write("config.json", about)
    write("gan/generator.json", {"class_names": CLASS_NAMES})
    if gan_history:
        write_history(path / "gan" / "history.csv", TERMS, 15_000, 100, swd=(5, 0.4, 0.12))
    sparse = {"gradient_fools": (10, 1.2, 1.9), "gradient_fake_class": (10, 0.3, 0.6), "gradient_pir": (10, 5.0, 2.2)}
    sparse["true_pir"] = (5 if measured else 1_000, 0.61, 0.68)
    write_history(path / "tuning" / "history.csv", {**TERMS, "L_PIR": 0.9}, 150, 5 if measured else 1, **sparse)
    both = {"at_temperature_1": quality(bias=-0.002), "at_temperature": quality()}
    measured_on = "1000 new images and their noise-free PIR"
    write("estimator/quality.json", {"temperature": 0.01, **both, "saved_as": "keras", "measured_on": measured_on})
    rng = np.random.default_rng(1)
    lines = [f"a{i},{i % 2},{0 if i == 7 else 1000},{0 if i == 7 else rng.binomial(1000, 0.61)},1" for i in range(400)]
    table = "\n".join(["image_id,class_index,impressions,positives,round", *lines]) + "\n"
    (path / "interactions" / "interactions.csv").write_text(table)
    write("evaluation/results.json", {**results(measured, judge), **changes})
    known = {"true": measured, "estimated": True, "judged": judge}
    arrays = {
        f"{name}_{when}": pir if known[name] else np.full(300, np.nan)
        for name, both in pirs().items()
        for when, pir in zip(("before", "after"), both, strict=True)
    }
    for name, labels, *made in (
        *(("before", "labels_before", 40, 1), ("after", "labels_after", 40, 2, 40), ("real", "real_labels", 40, 4)),
        *(("pair_before", "pair_labels", 20, 3), ("pair_after", "pair_labels", 20, 3, 40)),
    ):
        arrays[name], arrays[labels] = pictures(*made)
    np.savez(path / "evaluation" / "samples.npz", **arrays)
    return path
