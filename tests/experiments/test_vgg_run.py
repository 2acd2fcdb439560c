"""Runs whose users like filters of VGG16 (random weights here), with a shared cache and with scaled PIR."""

import json

import numpy as np
import pytest
from commands import ENVIRONMENT, SMALL, UP_TO_EVALUATION, copy_stages, small_command

from pir_tf.config import derived_seed
from pir_tf.evaluation.measure import compare
from pir_tf.objective_names import parse
from pir_tf.objectives import vgg
from pir_tf.objectives.scaling import Scaling
from pir_tf.runs.directory import read_json

WORDS = [*SMALL, *UP_TO_EVALUATION, *"--interactions.vgg-weights none --interactions.vgg-image-size 32".split()]


@pytest.fixture(autouse=True)
def no_cache(monkeypatch):
    monkeypatch.delitem(ENVIRONMENT, "PIR_TF_CACHE", raising=False)


def run(root, name, *words):
    done = small_command(*WORDS, *words, "--run-dir", root / name, cwd=root)
    assert done.returncode == 0, done.stderr[-2000:]
    return root / name


@pytest.mark.nightly
def test_a_shared_cache_changes_no_result(tmp_path, monkeypatch):
    cache, words = tmp_path / "cache", ["--interactions.objective", "vgg:pool2:k=20:seed=1"]
    alone = run(tmp_path, "alone", *words)
    monkeypatch.setitem(ENVIRONMENT, "PIR_TF_CACHE", str(cache))
    first = run(tmp_path, "first", *words)
    entries = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    kinds = sorted(name.split("-")[0] for name in entries)
    # Shown, for the quality, before tuning; pool1 and pool2 of each.
    assert kinds == ["images"] * 3 + ["landscapes"] + ["vgg"] * 6
    second = run(tmp_path, "second", "--interactions.objective", "vgg:pool1:filters=3")
    assert entries == {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    results = [(path / "evaluation" / "results.json").read_text() for path in (alone, first, second)]
    assert results[0] == results[1] != results[2]
    assert json.loads(results[0])["unscaled"] is None and json.loads(results[0])["scaling"] is None
    drawn = sorted(np.random.default_rng(1).choice(128, 20, replace=False).tolist())
    assert [json.loads(text)["target_filters"] for text in results[1:]] == [drawn, [3]]
    assert "cache" not in (first / "config.json").read_text()


@pytest.mark.slow
def test_scaled_pir_is_one_map_of_the_unscaled(small_run, tmp_path):
    copy_stages(small_run, tmp_path / "run", "gan")
    path = run(tmp_path, "run", "--interactions.objective", "vgg:pool1:k=1", "--interactions.scaling", "normalized")
    scaling = Scaling.load(path / "interactions" / "scaling.json")
    results, samples = read_json(path / "evaluation" / "results.json"), np.load(path / "evaluation" / "samples.npz")
    features = vgg.VGGFeatures(("pool1",), weights="none", image_size=32, seed=derived_seed(0, "vgg weights"))
    filters = vgg.target_filters(parse("vgg:pool1:k=1")).tolist()
    pir = {name: vgg.pir_of_energies(features(samples[name])["pool1"], filters) for name in ("before", "after")}
    for name, values in pir.items():
        np.testing.assert_allclose(samples[f"true_{name}"], scaling(values), rtol=1e-5, atol=1e-6)
        assert results["scaling"][f"percent_clipped_{name}"] == pytest.approx(scaling.percent_clipped(values))
    expected = compare(pir["before"], pir["after"])
    for name in ("before_mean", "after_mean", "change", "cohens_d", "welch_t"):
        assert results["unscaled"][name] == pytest.approx(expected[name], rel=1e-3, abs=1e-6), name
    # A map without clipping leaves d and t as they are, so the means alone have to differ.
    assert abs(results["unscaled"]["before_mean"] - results["true"]["before_mean"]) > 1e-3
    shown = np.load(path / "interactions" / "images.npz")["images"]
    of_shown = vgg.pir_of_energies(features(shown)["pool1"], filters)
    assert scaling.mean == pytest.approx(of_shown.mean(), rel=1e-5)
    assert scaling.sd == pytest.approx(of_shown.std(ddof=1), rel=1e-4)
    facts = read_json(path / "interactions" / "done.json")
    assert facts["percent_clipped"] == results["scaling"]["percent_clipped_shown"]
