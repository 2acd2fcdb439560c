"""Curves of tuning: a row for each number of steps, one training for all of them, nothing done twice, two figures."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from eager import eagerly
from PIL import Image
from small_networks import images_of, small_discriminator, small_generator

from pir_tf.data.sources import ImageSet
from pir_tf.errors import InputError
from pir_tf.experiments import tuning_curves
from pir_tf.gan.saved import Networks
from pir_tf.images import to_uint8
from pir_tf.paper import publish
from pir_tf.presets import smoke
from pir_tf.report import curves
from pir_tf.tuning import tuner

pytestmark = pytest.mark.slow

SETTINGS = ((0.0, 1.0), (2.0, 1.0), (0.0, 0.3), (0.0, 0.0))
"""Two pessimisms, two ratios, and the control."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two calls: with fewer steps of one setting, then with more of all."""
    folder = tmp_path_factory.mktemp("curves")
    with pytest.MonkeyPatch.context() as patch, eagerly():
        patch.setattr(tuner, "WEIGHING_BATCHES", 3)
        patch.setattr(tuning_curves, "load_data", lambda *_: ImageSet(to_uint8(images[0]), images[1], CLASSES))
        for settings, at in ((SETTINGS[:1], [3]), (SETTINGS, [3, 6])):
            rows, study = tuning_curves.CurveRows(folder), small_study(folder)
            for setting in settings:
                left = rows.lacking(study.facts, *setting, at)
                assert left == ([6] if at == [3, 6] and setting == SETTINGS[0] else at)
                for row in study.curve(*setting, left):
                    rows.add({**row, "kid": 200.0 + row["steps"]})
                assert not rows.lacking(study.facts, *setting, at)
                if at == [3]:
                    (folder / "first.csv").write_text((folder / "tuning-curves.csv").read_text())
        rows.draw()
        with pytest.raises(InputError) as refused:
            list(study.curve(*SETTINGS[0], [4]))
        (folder / "refused.txt").write_text(str(refused.value))
    return folder


CLASSES, images = ("one", "two"), images_of(16)


def small_study(folder, **tuning):
    config = smoke()
    config = dataclasses.replace(
        config,
        gan=dataclasses.replace(config.gan, generator="train", latent_size=5),
        interactions=dataclasses.replace(config.interactions, images=40),
        estimator=dataclasses.replace(config.estimator, output="linear", backbone="discriminator"),
        tuning=dataclasses.replace(
            config.tuning, **{"batch_size": 4, "steps": 8, "log_every": 2, "learning_rate": 0.01, **tuning}
        ),
    )
    return tuning_curves.Curves(config, lambda: Networks(small_generator(), small_discriminator(), CLASSES), folder, 24)


def test_each_setting_has_one_row_for_each_number_of_steps(folder):
    rows = pd.read_csv(folder / "tuning-curves.csv")
    assert sorted(zip(rows.pessimism, rows.ratio, rows.steps, strict=True)) == sorted(
        (*setting, steps) for setting in SETTINGS for steps in (0, 3, 6)
    )
    none = rows[rows.steps == 0]
    assert (none.change == 0).all() and (none.distance_kept == 1).all()
    np.testing.assert_allclose(rows.change, rows.pir - none.pir.iloc[0])


def test_more_steps_leave_the_rows_that_are_there(folder):
    first, rows = (pd.read_csv(folder / name) for name in ("first.csv", "tuning-curves.csv"))
    both = first[first.steps == 3].merge(rows[(rows.pessimism == 0) & (rows.ratio == 1) & (rows.steps == 3)])
    assert len(both) == 1 and rows.pir.nunique() == len(rows) - len(SETTINGS) + 1  # before, all are one


def test_a_number_of_steps_that_tuning_has_passed_is_refused(folder):
    assert "is at step 6 already, expected at most the 4" in (folder / "refused.txt").read_text()


def test_the_term_raises_the_estimate_and_the_control_has_none(folder):
    rows = pd.read_csv(folder / "tuning-curves.csv").set_index(["pessimism", "ratio", "steps"])
    assert rows.estimated_change[0, 1, 6] > rows.estimated_change[0, 1, 3] > 0
    assert rows.weight[0, 0, 6] == 0 < rows.weight[0, 1, 6]
    assert rows.estimated_change[0, 0, 6] < rows.estimated_change[0, 1, 6]


def test_the_figures_and_the_table_show_all_rows(folder):
    assert {path.name for path in folder.glob("*.png")} == {"tuning-curves.png", "kid.png", "pictures.png"}
    rows = pd.read_csv(folder / "tuning-curves.csv", dtype={"settings": str})
    assert {path.name for path in (folder / "images").iterdir()} == {
        curves.picture_of(row) for row in rows.to_dict("records")
    }
    said = [axes.texts[0].get_text() for axes in curves.pictures_of_tunings(rows, folder).axes]
    assert [text.partition(":")[0] for text in said] == ["before, KID 200", "control", "ratio 0.3", "ratio 1"]
    of_one = rows[rows.ratio == 1]
    said = [axes.texts[0].get_text() for axes in curves.pictures_of_tunings(of_one, folder).axes]
    assert [text.partition(":")[0] for text in said] == ["before, KID 200", "the mean, 6 steps", "mean - 2 SD, 6 steps"]
    assert curves.pictures_of_tunings(rows, folder / "elsewhere") is None
    assert min(Image.open(folder / "tuning-curves.png").size) > 400
    lines = tuning_curves.CurveRows(folder).table().splitlines()
    assert len(lines) == 2 + 2 * len(SETTINGS) and " control " in lines[-1]


@pytest.mark.parametrize(
    "words",
    [
        ["laptop", "--estimator.output", "bins"],
        ["laptop", "--estimator.output", "linear", "--estimator.backbone", "discriminator", "--at", "0"],
        ["--pessimisms", "low"],
        ["laptop", "--tuning.keep-distance", "0.85"],
        ["laptop", "--evaluation.judge", "--tuning.stop", "judge"],
    ],
)
def test_what_it_cannot_do_is_refused_in_a_sentence(words, tmp_path, capsys):
    assert tuning_curves.main([str(tmp_path / "curves"), *words]) == 2
    said = capsys.readouterr().err
    assert said.startswith("Error: ") and said.count("\n") == 1 and not list(tmp_path.iterdir())


def test_rows_of_other_settings_are_not_taken_for_ones_own(folder, tmp_path):
    rows, study = tuning_curves.CurveRows(folder), small_study(folder)
    assert not rows.lacking(study.facts, *SETTINGS[1], [3, 6])
    for changed in ({"learning_rate": 0.02}, {"batch_size": 8}):
        other = small_study(folder, **changed)
        assert other.facts.keys() == study.facts.keys() and rows.lacking(other.facts, *SETTINGS[1], [6, 3]) == [3, 6]
    same = small_study(folder, steps=100, tensorboard=False, pir_gradient_ratio=0.3)
    assert not rows.lacking(same.facts, *SETTINGS[1], [3, 6])
    pd.read_csv(folder / "tuning-curves.csv").drop(columns="settings").to_csv(
        tmp_path / "tuning-curves.csv", index=False
    )
    with pytest.raises(InputError, match=r"tuning-curves\.csv has no column settings, .* another folder"):
        tuning_curves.CurveRows(tmp_path)


def test_curves_are_published_together_in_place_of_the_same_ones(folder, tmp_path, capsys):
    published, more = tmp_path / "published", tmp_path / "more"
    more.mkdir()
    rows = pd.read_csv(folder / "tuning-curves.csv", dtype={"settings": str})
    rows.assign(impressions=7, cohens_d=0.25).to_csv(more / "tuning-curves.csv", index=False)
    for measured in (folder, more, folder):
        assert publish.main(["curves", str(measured), str(published)]) == 0
    found = pd.read_csv(published / "tuning-curves.csv", dtype={"settings": str})
    assert len(found) == 2 * len(rows) and (published / "tuning-curves.png").is_file()
    assert [path.name for path in published.glob("pictures*")] == [
        f"pictures-{folder.name}.png"
    ]  # `more` has no images
    pd.testing.assert_frame_equal(found[found.impressions != 7].reset_index(drop=True), rows)
    assert set(found.cohens_d[found.impressions == 7]) == {0.25}
    for wrong in (tmp_path, published / "tuning-curves.png"):
        assert publish.main(["curves", str(wrong), str(published)]) == 2
    assert publish.main(["curves", str(folder), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("Error: ") == 3 and not (tmp_path / "tuning-curves.csv").exists()
