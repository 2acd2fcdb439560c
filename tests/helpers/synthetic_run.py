"""A synthetic run directory: numbers with the shape of a real run's, pictures of noise and gradients."""

import csv
import json
from pathlib import Path

import numpy as np

from pir_tf.config import flatten
from pir_tf.presets import laptop
from pir_tf.statistics.effects import cohens_d, cohens_d_interval, pir_summary, welch_t

CLASS_NAMES = ["mountain", "coast"]
TERMS = ["L_fake_image", "L_real_image", "L_real_class", "L_fake_image_fools", "L_fake_class"]


def comparison(before, after):
    """One of `true`, `observed`, `estimated`, `judged` of results.json."""
    summary = pir_summary(before, after)
    t, df, p = welch_t(before, after) or (None, None, None)
    interval = cohens_d_interval(before, after)
    return {
        "before_mean": summary.before_mean,
        "after_mean": summary.after_mean,
        "change": summary.change,
        "before_sd": summary.before_sd,
        "after_sd": summary.after_sd,
        "cohens_d": cohens_d(before, after),
        "cohens_d_interval": list(interval) if interval else None,
        "welch_t": t,
        "degrees_of_freedom": df,
        "p_value": p,
        "n_before": summary.n_before,
        "n_after": summary.n_after,
        "clipped_before": summary.clipped_before,
        "clipped_after": summary.clipped_after,
    }


def pirs(n=300, seed=0):
    """True, estimated and judged PIRs before and after tuning."""
    rng = np.random.default_rng(seed)
    draw = lambda mean: np.clip(rng.normal(mean, 0.03, n), 0, 1)  # noqa: E731
    return {
        "true_before": draw(0.61),
        "true_after": draw(0.68),
        "estimated_before": draw(0.60),
        "estimated_after": draw(0.64),
        "judged_before": draw(0.60),
        "judged_after": draw(0.66),
    }


def results(measured=True, judge=True, seed=0):
    """results.json of a gain, or of a run that nobody has judged yet."""
    p = pirs(seed=seed)
    true = comparison(p["true_before"], p["true_after"]) if measured else {}
    estimated = comparison(p["estimated_before"], p["estimated_after"])
    side = lambda distance, likeness: {  # noqa: E731
        "distance": distance,
        "ms_ssim": likeness,
        "scales": 3,
        "size": [64, 64],
    }
    return {
        "pir_before_mean": true.get("before_mean"),
        "pir_after_mean": true.get("after_mean"),
        "change": true.get("change"),
        "cohens_d": true.get("cohens_d"),
        "cohens_d_interval": true.get("cohens_d_interval"),
        "welch_t": true.get("welch_t"),
        "p_value": true.get("p_value"),
        "significant": True if measured else None,
        "verdict": "gain" if measured else "not measured yet",
        "estimated_change": estimated["change"],
        "initial_sd": 0.031,
        "initial_percent_zero": 0.0,
        "alpha": 0.001,
        "source": "simulated" if measured else "csv",
        "objective": "color:blue" if measured else None,
        "images_before": 300,
        "images_after": 300,
        "note": None,
        "class_names": CLASS_NAMES,
        "true": true or None,
        "observed": comparison(p["true_before"], p["true_after"]) if measured else None,
        "estimated": estimated,
        "judged": comparison(p["judged_before"], p["judged_after"]) if judge else None,
        "diversity": {
            "before": side([0.21, 0.24], [0.31, 0.27]),
            "after": side([0.18, 0.20], [0.36, 0.33]),
            "real": side([0.25, 0.28], [0.19, 0.17]),
            "after_over_before": [0.857, 0.833],
            "after_over_real": [0.72, 0.714],
            "collapsed": [False, False],
            "collapsed_against_real": [False, False],
        },
    }


def pictures(n, seed, blue=0):
    """Uint8 landscapes of a kind [n, 64, 64, 3]: sky, ridge and ground, bluer with `blue`; labels [n]."""
    rng = np.random.default_rng(seed)
    x, y = np.arange(64), np.arange(64)[:, None]
    images = np.empty((n, 64, 64, 3), np.uint8)
    for i in range(n):
        ridge = 30 + 8 * np.sin(x / rng.uniform(5, 14) + rng.uniform(0, 6)) + rng.normal(0, 1, 64).cumsum() * 0.7
        sky = np.array([150, 180, 215]) + rng.integers(-30, 30, 3)
        ground = np.array([95, 110, 70]) + rng.integers(-35, 35, 3)
        picture = np.where((y < ridge)[..., None], sky - y[..., None] * 0.8, ground + y[..., None] * 0.5)
        images[i] = np.clip(picture + rng.normal(0, 5, (64, 64, 1)) + [-blue / 2, -blue / 3, blue], 0, 255)
    return images, np.arange(n) % 2


def write_history(path, terms, steps, every, seed=0, **sparse):
    """A log: each term a noisy level, and sparse columns name -> (row distance, first value, last value)."""
    rng = np.random.default_rng(seed)
    rows = steps // every
    levels = dict(zip(TERMS, (-0.55, -0.5, -0.1, -0.95, -0.3), strict=True)) | {"L_PIR": 0.6}
    with open(path, "w", newline="") as handle:
        names = [*terms, "discriminator_loss", "generator_loss", *sparse]
        writer = csv.DictWriter(handle, ["step", *names])
        writer.writeheader()
        for row in range(1, rows + 1):
            done = row / rows
            values = {name: levels[name] * (1 + 0.1 * rng.normal()) - 0.3 * done for name in terms}
            if "L_PIR" in terms:
                values["L_PIR"] = 0.6 + 0.05 * done + 0.004 * rng.normal()
            values |= {"discriminator_loss": 1.1, "generator_loss": -599.0}
            for name, (distance, first, last) in sparse.items():
                values[name] = first + (last - first) * done if row % distance == 0 else ""
            writer.writerow({"step": row * every, **values})


def quality(n=300, bias=-0.03):
    """One of the two halves of quality.json."""
    predicted = np.linspace(0.5, 0.7, 10)
    return {
        "n": n,
        "spearman": 0.91,
        "mean_absolute_error": 0.012,
        "bias": bias,
        "sd_predicted": 0.028,
        "sd_true": 0.031,
        "calibration": [
            {"count": n // 10, "mean_predicted": float(p), "mean_true": float(p - bias)} for p in predicted
        ],
        "undefined": {},
    }


def write_run(path: Path, *, measured=True, judge=True, gan_history=False, **changes) -> Path:
    """Writes a whole run directory.

    Args:
        path: where.
        measured: whether the true PIR is known.
        judge: whether a second estimator judged.
        gan_history: whether the ACGAN was trained in this run.
        changes: replaces entries of results.json.
    """
    for stage in ("gan", "interactions", "estimator", "tuning", "evaluation"):
        (path / stage).mkdir(parents=True, exist_ok=True)
        facts = {"finished": "2024-03-01T10:02:11+0000", "seconds": 73.4, "peak_memory_mb": 1480}
        (path / stage / "done.json").write_text(json.dumps(facts))
    config = {
        "config": flatten(laptop()),
        "files": {},
        "versions": {"python": "3.11.9", "keras": "3.10.0", "tensorflow-hub": None},
        "commit": None,
        "hardware": {"system": "Linux", "machine": "x86_64", "cores": 2, "gpus": []},
        "started": "2024-03-01T10:00:00+0000",
    }
    if not measured:
        config["config"]["interactions.source"] = "csv:ratings.csv"
    (path / "config.json").write_text(json.dumps(config))
    (path / "gan" / "generator.json").write_text(json.dumps({"class_names": CLASS_NAMES}))
    if gan_history:
        write_history(path / "gan" / "history.csv", TERMS, 15_000, 100, swd=(5, 0.4, 0.12))
    sparse = {
        "gradient_fools": (10, 1.2, 1.9),
        "gradient_fake_class": (10, 0.3, 0.6),
        "gradient_pir": (10, 5.0, 2.2),
        "true_pir": (5 if measured else 1_000, 0.61, 0.68),
    }
    write_history(path / "tuning" / "history.csv", [*TERMS, "L_PIR"], 150, 5 if measured else 1, **sparse)
    both = {"at_temperature_1": quality(bias=-0.002), "at_temperature": quality()}
    measured_on = "1000 new images and their noise-free PIR"
    (path / "estimator" / "quality.json").write_text(
        json.dumps({"temperature": 0.01, **both, "saved_as": "keras", "measured_on": measured_on})
    )
    rng = np.random.default_rng(1)
    lines = [f"a{i},{i % 2},{0 if i == 7 else 1000},{0 if i == 7 else rng.binomial(1000, 0.61)},1" for i in range(400)]
    table = "\n".join(["image_id,class_index,impressions,positives,round", *lines]) + "\n"
    (path / "interactions" / "interactions.csv").write_text(table)
    (path / "evaluation" / "results.json").write_text(json.dumps({**results(measured, judge), **changes}))
    arrays = pirs()
    arrays |= {name: np.full(300, np.nan) for name in arrays if name.startswith("true") and not measured}
    arrays |= {name: np.full(300, np.nan) for name in arrays if name.startswith("judged") and not judge}
    for name, labels, count, seed, blue in (
        ("before", "labels_before", 40, 1, 0),
        ("after", "labels_after", 40, 2, 40),
        ("pair_before", "pair_labels", 20, 3, 0),
        ("pair_after", "pair_labels", 20, 3, 40),
        ("real", "real_labels", 40, 4, 0),
    ):
        arrays[name], arrays[labels] = pictures(count, seed, blue)
    np.savez(path / "evaluation" / "samples.npz", **arrays)
    return path
