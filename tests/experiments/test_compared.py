"""The images that people judge are kept from the moment they are asked, and the answers stay answers to them."""

import dataclasses

import numpy as np
import pytest
from pir_tf.experiments.compared import Compared, compared_images
from test_people import fill

from pir_tf.config import EvaluationConfig, InteractionsConfig
from pir_tf.experiments import evaluation_stage
from pir_tf.experiments.people import Waiting
from pir_tf.presets import smoke
from pir_tf.runs.directory import RunDirectory


@pytest.fixture
def machine(monkeypatch):
    """Stands for the generators: every call rounds one grey level otherwise, as another processor may."""
    calls = []

    def make(run):
        rng = np.random.default_rng(0)
        before, after = rng.integers(0, 255, (2, 6, 8, 8, 3)).astype(np.uint8)
        after[2, 0, 0, 0] += len(calls) % 2
        calls.append(run)
        labels = np.arange(6, dtype=np.int32) % 2
        return Compared(before, after, (labels, labels[::-1]), np.random.default_rng(len(calls)).permutation(12))

    monkeypatch.setattr(Compared, "make", make)
    return calls


@pytest.fixture
def run(tmp_path):
    people = InteractionsConfig(source=f"csv:{tmp_path / 'shown.csv'}")
    run = RunDirectory(tmp_path / "run", dataclasses.replace(smoke(), interactions=people))
    yield run
    run.close()


def equal(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("before", "after", "labels", "order")
    )


def test_people_are_asked_about_the_images_that_are_kept(run, machine):
    asked = compared_images(run)
    with pytest.raises(Waiting, match="Show people the 12 images"):
        evaluation_stage._truth(run, asked)
    fill(run.path / "evaluation" / "answers.csv")
    again = compared_images(run)
    assert equal(asked, again) and len(machine) == 1
    true, observed = evaluation_stage._truth(run, again)
    assert observed is None
    place = [np.flatnonzero(asked.order == row)[0] for row in (0, 6)]  # where people saw the first of each set
    assert [side[0] for side in true] == [(4 + i) % 11 / 10 for i in place]


def test_a_run_that_waited_before_images_were_kept_goes_on_with_its_samples(run, machine):
    old = Compared.make(run)
    labels = {"labels_before": old.labels[0], "labels_after": old.labels[1]}
    np.savez_compressed(run.file("evaluation", "samples.npz"), before=old.before, after=old.after, **labels)
    order = np.random.default_rng(evaluation_stage.seed_of(run.config, "shuffle")).permutation(12)
    for _ in range(2):
        assert equal(compared_images(run), dataclasses.replace(old, order=order)) and len(machine) == 1
        assert (run.path / "evaluation" / "images.npz").exists()


def test_nothing_is_kept_for_simulated_users_unless_people_are_asked_after_all(tmp_path, machine):
    run = RunDirectory(tmp_path / "run", smoke())
    run.file("evaluation", "samples.npz").write_bytes(b"not read")
    compared_images(run), compared_images(run)
    assert len(machine) == 2 and not (run.path / "evaluation" / "images.npz").exists()
    (run.path / "evaluation" / "samples.npz").unlink()
    run.config = dataclasses.replace(run.config, evaluation=EvaluationConfig(source="csv:people.csv"))
    compared_images(run), compared_images(run)
    assert len(machine) == 3
    run.close()
