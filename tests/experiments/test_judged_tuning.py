"""The stage `tuning` with a real second judge: it alone chooses the step, and a kill changes nothing of what it decides."""

import itertools
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from commands import JUDGED, small_command
from small_networks import KillAfter, assert_same

from pir_tf.experiments import tuning_stage, tuning_stops
from pir_tf.experiments.command_line import parse
from pir_tf.experiments.estimator_stage import _rows
from pir_tf.gan.saved import load_generator
from pir_tf.interactions.records import Interactions
from pir_tf.runs.directory import RunDirectory
from pir_tf.tuning import tuner

STEPS = 5
WORDS = [*JUDGED, "--tuning.steps", str(STEPS)]
pytestmark = [pytest.mark.nightly, pytest.mark.usefixtures("eager_module")]


@pytest.fixture(scope="module")
def tune(tmp_path_factory):
    """A function that tunes under one of the judges, in a folder of its own or from where tuning was left in one."""
    made = tmp_path_factory.mktemp("judged")
    done = small_command(*WORDS, "--stages", *"gan interactions estimator".split(), "--run-dir", made / "run", cwd=made)
    assert done.returncode == 0, done.stderr
    config = parse(WORDS).experiment

    def tune(judge, path=None, *, kill=None, weighing_batches=2):
        path = path or tmp_path_factory.mktemp("run") / "run"
        if not path.exists():
            shutil.copytree(made / "run", path)
            if judge == "goes on":
                turn_the_judges_answers(path, config)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tuner, "WEIGHING_BATCHES", weighing_batches)
            patch.setattr(tuning_stops, "LOOKED_AT", 24)
            patch.setattr(tuning_stage, "DISPLAY_IMAGES", 8)
            if kill:
                shown = tuning_stage._samples
                patch.setattr(tuning_stage, "_samples", lambda *known: [*shown(*known), KillAfter(kill)])
            run = RunDirectory(path, config)
            try:
                facts = tuning_stage.run(run)
            finally:
                run.close()
        with np.load(max((path / "tuning" / "checkpoints").glob("step-*.npz"))) as file:
            state = dict(file)
        log, kept = pd.read_csv(path / "tuning" / "history.csv"), load_generator(path / "tuning").get_weights()
        facts.pop("parts")
        return SimpleNamespace(facts=facts, log=log, state={**state, **{f"kept/{i}": w for i, w in enumerate(kept)}})

    return tune


@pytest.fixture(scope="module", params=["stops", "goes on"])
def unbroken(request, tune):
    """A judge and the tuning that it judged: it sees the estimator lead the wrong way and stops after the fourth row, or the
    answers that it learns from are turned round, and it likes each row better than the one before.
    """
    return request.param, tune(request.param)


def turn_the_judges_answers(path, config):
    """What the judge's people liked they dislike; the estimator's are others."""
    file = path / "interactions" / "interactions.csv"
    told = Interactions.load(file)
    run = SimpleNamespace(config=config, file=lambda stage, name: path / stage / name, path=path)
    rows, positives = _rows(run, told, of_judge=True), np.array(told.positives)
    positives[rows] = told.impressions[rows] - positives[rows]
    Interactions(told.image_id, told.class_index, told.impressions, positives, told.round).save(file)


def same(one, other, *, log=()):
    assert one.facts == other.facts
    pd.testing.assert_frame_equal(one.log.drop(columns=list(log)), other.log.drop(columns=list(log)), check_exact=True)
    assert_same(one.state, other.state)


def test_the_true_pir_chooses_no_step(unbroken, tune, monkeypatch):
    """Tuning again, with a truth that falls where the judge's view rises, and rises where that falls."""
    judge, tuned = unbroken
    views = tuned.log.judge_pir
    smooth = [np.mean(views[max(0, i - 2) : i + 1]) for i in range(len(views))]
    best, end = (1, 4) if judge == "stops" else (STEPS, None)
    assert int(np.argmax(smooth)) + 1 == best and len(views) == (end or STEPS)
    assert (tuned.facts["kept_step"], tuned.facts["stopped_at"]) == (best, end)
    sign, seen = (1 if judge == "stops" else -1), itertools.count(1)
    truth = lambda images: np.full(len(images), 0.5 + 0.01 * sign * next(seen))  # noqa: E731
    for name in ("truth", "tuning_stage", "estimator_stage"):
        monkeypatch.setattr(f"pir_tf.experiments.{name}.true_pir", lambda run, reuse=True: truth)
    again = tune(judge)
    assert (again.log.true_pir.diff()[1:] * sign > 0).all() and (views.diff()[1:] * sign < 0).all()
    same(tuned, again, log=["true_pir"])


def test_a_kill_changes_nothing_of_what_the_judge_decides(unbroken, tune, tmp_path):
    """The judge is fitted anew then, and w_PIR weighed anew, here by other batches: the weight that counts is the first one."""
    judge, tuned = unbroken
    with pytest.raises(KeyboardInterrupt):
        tune(judge, tmp_path / "run", kill=3)
    assert not (tmp_path / "run" / "tuning" / "generator.keras").exists()
    same(tuned, tune(judge, tmp_path / "run", weighing_batches=1))
