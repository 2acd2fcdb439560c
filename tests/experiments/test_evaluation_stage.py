"""The images that people judge are kept from the moment they are asked, and the answers stay answers to them."""

import dataclasses

import keras
import numpy as np
import pytest
from answers import fill
from keras import layers

from pir_tf.config import EvaluationConfig, InteractionsConfig
from pir_tf.experiments import evaluation_stage
from pir_tf.experiments.csv_answers import Waiting
from pir_tf.experiments.stopwatch import Stopwatch
from pir_tf.gan.sampling import draw_latents, generate
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory, write_json


@pytest.fixture
def machine(monkeypatch):
    """Stands for the generators: every call rounds one grey level otherwise, as another processor may."""
    calls = []

    def make(run, generators):
        before, after = np.random.default_rng(0).integers(0, 255, (2, 6, 8, 8, 3)).astype(np.uint8)
        after[2, 0, 0, 0] += len(calls) % 2
        calls.append(run)
        return {"before": before, "after": after, "order": np.random.default_rng(len(calls)).permutation(12)}

    monkeypatch.setattr(evaluation_stage, "_new_images", make)
    return calls


@pytest.fixture
def open_run(tmp_path):
    return lambda **fields: RunDirectory(tmp_path / "run", dataclasses.replace(smoke(), **fields))


def test_people_are_asked_about_the_images_that_are_kept(open_run, machine, tmp_path):
    run = open_run(interactions=InteractionsConfig(source=f"csv:{tmp_path / 'shown.csv'}"))
    path, asked = run.path / "evaluation" / "answers.csv", evaluation_stage._compared(run, ())
    with pytest.raises(Waiting, match="Show people the 12 images.*don't sort them. Then give the same command again.$"):
        evaluation_stage._people(path, asked, run.path)
    fill(path)
    again = evaluation_stage._compared(run, ())
    assert all(np.array_equal(asked[name], again[name]) for name in asked) and len(machine) == 1
    true = evaluation_stage._people(path, again, run.path)
    place = [np.flatnonzero(asked["order"] == row)[0] for row in (0, 6)]  # where people saw the first of each set
    assert [side[0] for side in true] == [(4 + i) % 11 / 10 for i in place]


def test_nothing_is_kept_for_simulated_users_unless_people_are_asked_after_all(open_run, machine):
    run = open_run()
    for _ in range(2):
        evaluation_stage._compared(run, ())
    assert len(machine) == 2 and not (run.path / "evaluation").exists()
    run.config = dataclasses.replace(run.config, evaluation=EvaluationConfig(source="csv:people.csv"))
    for _ in range(2):
        evaluation_stage._compared(run, ())
    assert len(machine) == 3 and (run.path / "evaluation" / "images.npz").exists()


@pytest.mark.parametrize("source", ["same", "people:sqlite:///study.db"])
def test_on_the_rating_page_both_sides_have_the_same_classes(open_run, source):
    """There an image is compared with one of its class: what one side had more of would tell the classes apart."""
    z, class_one_hot = keras.Input((4,)), keras.Input((3,))
    pixels = layers.Dense(8 * 8 * 3, "tanh")(layers.Concatenate()([z, class_one_hot]))
    generator = keras.Model([z, class_one_hot], layers.Reshape((8, 8, 3))(pixels))
    run = open_run(evaluation=EvaluationConfig(source=source, images=40))
    made = evaluation_stage._new_images(run, (generator, generator))
    same = np.array_equal(made["labels_before"], made["labels_after"])
    assert same == source.startswith("people") and not np.array_equal(made["before"], made["after"])
    for when in ("before", "after"):
        z, drawn = draw_latents(40, latent_size=4, class_count=3, seed=run.seed_of(f"evaluation {when}"))
        labels = made[f"labels_{when}"]
        assert np.array_equal(made[when], generate(generator, z, labels))
        assert np.array_equal(labels, drawn) != (same and when == "after")


@pytest.mark.parametrize(
    ("level", "alpha", "verdict"),
    [
        (60, 0.001, "gain"),
        (80, 0.001, "gain, not told apart from the GAN's own training"),
        (75, 0.001, "gain, not told apart from the GAN's own training"),
        (75, 0.2, "gain"),
        (None, 0.001, "gain"),
    ],
)
def test_the_controls_images_decide_with_the_others_whether_a_gain_is_the_terms(
    open_run, monkeypatch, level, alpha, verdict
):
    """All gain on the images before, of blue 40; those after are of blue 80, and between them and 75 p is about 0.05."""
    run = open_run(evaluation=EvaluationConfig(control=level is not None, alpha=alpha, diversity_pairs=2))
    write_json(run.file("gan", "generator.json"), {"class_names": ["one", "two"]})
    rng, labels = np.random.default_rng(0), np.arange(40) % 2

    def pictures(blue):
        made = rng.integers(0, 60, (40, 8, 8, 3)) + 40
        made[..., 2] += blue - 40 + rng.normal(0, 10, (40, 1, 1)).astype(int)
        return made.clip(0, 255).astype(np.uint8)

    images = {"before": pictures(40), "after": pictures(80), "real": np.zeros((0, 8, 8, 3), np.uint8)}
    images |= {"labels_before": labels, "labels_after": labels, "real_labels": labels[:0]}
    if level:
        images |= {"control": pictures(level), "labels_control": labels}
    monkeypatch.setattr(evaluation_stage, "training_pir", lambda run: np.full(4, 0.5))
    pir = {"estimated": (np.full(40, 0.5),) * 2, **evaluation_stage._simulated(run, images)}
    found = evaluation_stage.measure(run, images, pir, None, Stopwatch())
    assert found["verdict"] == verdict and found["significant"] and (found["control"] is None) == (level is None)
    if level:
        assert found["over_control"]["before_mean"] == found["control"]["after_mean"]


def test_what_is_picked_among_many_classes_is_measured_in_those_that_it_has(open_run, monkeypatch):
    """More classes than picks, as somebody's generator may have."""
    count = 2 * evaluation_stage.PICKS
    run = open_run(evaluation=EvaluationConfig(best_of=2, diversity_pairs=2))
    write_json(run.file("gan", "generator.json"), {"class_names": [f"class {i}" for i in range(count)]})
    rng = np.random.default_rng(0)
    images = {"before": rng.integers(0, 256, (count, 8, 8, 3), np.uint8), "labels_before": np.arange(count)}
    images |= {"real": images["before"][:0], "real_labels": np.zeros(0, int)}
    picked = images["before"][: evaluation_stage.PICKS], images["labels_before"][: evaluation_stage.PICKS]
    truth = lambda pictures: pictures.mean((1, 2, 3)) / 255  # noqa: E731
    monkeypatch.setattr(evaluation_stage, "true_pir", lambda run, reuse: truth)
    monkeypatch.setattr(evaluation_stage, "_best_of", lambda run, compared: compared(*picked))
    found = evaluation_stage.baselines(run, images, {"true": (truth(images["before"]),) * 2}, Stopwatch())
    assert len(found["best_of"]["after_over_before"]) == count
