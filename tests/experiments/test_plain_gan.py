"""A GAN without classes (footnote 1): the ACGAN whose real images are all of one class."""

import csv
import json

import keras
import numpy as np
import pytest
from commands import SMALL, small_command

from pir_tf.config import DataConfig
from pir_tf.data import sources
from pir_tf.experiments.gan_stage import _load
from pir_tf.images import save_png


def test_all_real_images_are_of_one_class_named_by_theirs(tmp_path):
    with_classes, without = (_load(DataConfig(count=16), 0, one_class) for one_class in (False, True))
    assert np.array_equal(with_classes.images, without.images)
    assert with_classes.labels.any() and not without.labels.any()
    assert without.class_names == ("landscape",)
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
        save_png(tmp_path / name / "a.png", np.zeros((64, 64, 3), np.uint8))
    assert _load(DataConfig(source=f"folder:{tmp_path}"), 0, True).class_names == ("cats+dogs",)


def test_landscapes_are_rendered_once_for_all_runs_with_a_cache(tmp_path, monkeypatch):
    first = _load(DataConfig(count=18), 0, False, tmp_path)
    monkeypatch.setattr(sources, "load", lambda *_, **__: pytest.fail("rendered again"))
    _load.cache_clear()  # as in another process
    second = _load(DataConfig(count=18), 0, False, tmp_path)
    assert second.digest == first.digest and second.class_names == first.class_names
    _load.cache_clear()
    with pytest.raises(pytest.fail.Exception):
        _load(DataConfig(count=18), 1, False, tmp_path)


@pytest.mark.slow
def test_every_stage_works_without_classes(tmp_path):
    words = [*SMALL, "--gan.kind", "gan", "--tuning.gradients_every", 2, "--run-dir", tmp_path / "run"]
    done = small_command(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "run"
    for stage in ("gan", "tuning"):
        with open(run / stage / "history.csv", newline="") as handle:
            rows = list(csv.DictReader(handle))
        assert rows and all(float(row[name]) == 0 for row in rows for name in ("L_real_class", "L_fake_class"))
        assert all(float(row["L_fake_image_fools"]) < 0 for row in rows)
        assert keras.models.load_model(run / stage / "generator.keras").inputs[1].shape == (None, 1)
    results = json.loads((run / "evaluation" / "results.json").read_text())
    assert results["class_names"] == ["landscape"]
    assert len(results["diversity"]["before"]["distance"]) == 1
    assert "landscape" in (run / "report" / "index.html").read_text()
