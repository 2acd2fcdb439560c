"""What stops a tuning: decisions against a plain reading of them, and a kill in the middle of a tuning that may stop."""

import functools
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import (
    KillAfter,
    arrays,
    assert_same,
    images_of,
    least_discriminator,
    least_estimator,
    least_generator,
)

from pir_tf.gan.train import optimizers
from pir_tf.training import fit, replicas
from pir_tf.training.callbacks import read, steps_done
from pir_tf.tuning.stops import DistanceStop, JudgedStop
from pir_tf.tuning.tuner import Tuner

EVERY = 2
"""Steps of a row."""


def tune(directory, judge, estimator, callbacks=(), view=True):
    """Tunes with these views of a judge, a row each; the tuner and what judged it."""
    by_judge = lambda tuner, view: JudgedStop(tuner.networks(), view)  # noqa: E731
    return tune_with(by_judge, directory, list(zip(judge, estimator, strict=True)), callbacks, view)


def tune_with(stop, directory, views, callbacks=(), view=True):
    tuner = Tuner(least_generator(), least_discriminator(), least_estimator(), pir_weight=10.0, seed=1)
    tuner.compile(*optimizers(1e-2, 1e-2), run_eagerly=True)
    row = lambda model: steps_done(model) // EVERY - 1  # noqa: E731
    judged = stop(tuner, (lambda model: views[row(model)]) if view else None)
    tuner.keep_with_state(judged.state)
    schedule = fit.Schedule(EVERY * len(views), 4, EVERY, EVERY, float("inf"), tuner.columns(*judged.columns))
    fit.fit_resumable(
        tuner,
        lambda *_: tf.data.Dataset.from_tensors(images_of(4)).repeat(),
        schedule,
        directory,
        {},
        callbacks=[judged, *callbacks],
        ended=lambda: judged.stopped > 0,
    )
    return tuner, judged


def plainly(judge, estimator):
    """The row that is kept and the row after which tuning stops, None where it doesn't."""
    mean = lambda values: [np.mean(values[max(0, i - 2) : i + 1]) for i in range(len(values))]  # noqa: E731
    smooth, own = mean(judge), mean(estimator)
    falls = [smooth[i] < smooth[i - 1] and own[i] > own[i - 1] for i in range(1, len(judge))]
    ends = [i + 1 for i in range(2, len(falls)) if all(falls[i - 2 : i + 1])]
    last = ends[0] if ends else len(judge) - 1
    return int(np.argmax(smooth[: last + 1])), ends[0] if ends else None


class Model:
    """As much of a model as the callback sees."""

    stop_training = False

    def __init__(self):
        self.distribute_strategy, self.step = tf.distribute.get_strategy(), tf.Variable(0)


@pytest.mark.slow
def test_the_decisions_are_those_of_a_plain_reading():
    rng, stopped = np.random.default_rng(0), 0
    for _ in range(40):
        judge = rng.normal(0.5, size=20).cumsum() * 0.1
        estimator = np.arange(20) * 0.1 + rng.normal(size=20) * rng.choice([0.01, 0.2])
        model, judged = Model(), JudgedStop({}, None)
        judged.set_model(model)
        judged._view = functools.partial(
            lambda views, model: views[int(model.step) - 1], np.stack([judge, estimator], 1)
        )
        while not model.stop_training and int(model.step) < 20:
            model.step.assign_add(1)
            judged.on_epoch_end(0, {})
        kept, end = plainly(judge, estimator)
        assert (judged.kept, judged.stopped) == (kept + 1, (end or -1) + 1)
        stopped += end is not None
    assert 6 < stopped < 34


VIEWS = [0.4, 0.8, 0.3, 0.1, 0.0, 0.9, 0.9, 0.9], [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
"""The judge's, in means of three, are 0.4, 0.6, 0.5, 0.4, 0.13: tuning stops after the fifth row and keeps the second."""


class See(keras.callbacks.Callback):
    """The networks' weights after each row."""

    def __init__(self):
        super().__init__()
        self.seen = {}

    def on_epoch_end(self, epoch, logs=None):
        self.seen[steps_done(self.model)] = arrays(self.model.generator) | arrays(self.model.discriminator)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """Its directory, its state at the end, what judged it, and what the chief told the other processes; its best networks."""
    path, told, see = tmp_path_factory.mktemp("whole"), [], See()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicas, "agree", lambda strategy, mine: told.append(mine) or mine)
        tuner, judged = tune(path, *VIEWS, [see])
    state = arrays(tuner.state())
    judged.restore_best()
    mine = arrays(tuner.generator) | arrays(tuner.discriminator)
    return types.SimpleNamespace(path=path, state=state, judged=judged, told=told, best=mine, seen=see.seen)


@pytest.mark.slow
@pytest.mark.parametrize("kill", [pytest.param(4, marks=pytest.mark.nightly), 9])
def test_a_judged_tuning_that_was_killed_goes_on_to_the_same_end(unbroken, tmp_path, kill):
    judged = unbroken.judged
    kept, end = plainly(*VIEWS)
    assert (judged.kept, judged.stopped) == ((kept + 1) * EVERY, (end + 1) * EVERY) == (2 * EVERY, 5 * EVERY)
    with pytest.raises(KeyboardInterrupt):
        tune(tmp_path / "killed", *VIEWS, [KillAfter(kill)])
    resumed, _ = tune(tmp_path / "killed", *VIEWS)
    assert_same(unbroken.state, arrays(resumed.state()))
    logs = [read(path / "history.csv") for path in (unbroken.path, tmp_path / "killed")]
    assert logs[0] == logs[1] and [float(row["judge_pir"]) for row in logs[0]] == VIEWS[0][: end + 1]
    # Killed once more before its networks are saved: not a step more, and the same state, the best networks in it.
    last, again = tune(tmp_path / "killed", *VIEWS)
    assert_same(unbroken.state, arrays(last.state()))
    assert again.kept == judged.kept


def test_the_networks_of_the_best_row_are_kept(unbroken):
    judged, seen = unbroken.judged, unbroken.seen
    assert judged.kept < judged.stopped == max(seen)
    assert_same(unbroken.best, seen[judged.kept])
    assert not any(np.array_equal(array, seen[judged.stopped][name]) for name, array in unbroken.best.items())


@pytest.mark.slow
def test_a_process_that_follows_stops_where_the_chief_says(monkeypatch):
    said = iter([0, 0, 1])
    monkeypatch.setattr(replicas, "agree", lambda strategy, mine: next(said))
    tuner, judged = tune(None, *VIEWS, view=False)
    assert steps_done(tuner) == judged.stopped == 3 * EVERY and judged.kept == 0
    judged.restore_best()  # nothing to go back to


def test_the_chief_says_when(unbroken):
    # First the step that all processes begin at.
    assert unbroken.told == [0] + [0] * (unbroken.judged.stopped // EVERY - 1) + [1]


def half(tuner, view):
    return DistanceStop(tuner.networks(), view, least=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shares", "kept", "stopped"),
    [
        ([0.9, 0.5, 0.4, 0.6], 4, 0),  # lacking once
        ([0.9, 0.4, 0.4, 0.5, 0.4, 0.3, 0.2, 0.9], 4, 7),
        ([0.9, 0.8, 0.4], 2, 0),
        ([0.4, 0.3, 0.2, 0.1], 0, 3),
    ],
)
def test_the_last_row_that_keeps_the_distance_is_kept_and_three_that_lack_it_stop(shares, kept, stopped, tmp_path):
    see = See()
    see.seen[0] = arrays(least_generator()) | arrays(least_discriminator())
    tuner, stop = tune_with(half, tmp_path, [(share,) for share in shares], [see])
    assert (stop.kept, stop.stopped) == (kept * EVERY, stopped * EVERY)
    stop.restore_best()
    assert_same(arrays(tuner.generator) | arrays(tuner.discriminator), see.seen[stop.kept])
    assert [float(row["distance_kept"]) for row in read(tmp_path / "history.csv")] == shares[: stopped or None]


@pytest.mark.slow
def test_a_tuning_that_a_distance_stops_goes_on_to_the_same_end_after_a_kill(tmp_path):
    views = [(share,) for share in (0.9, 0.4, 0.3, 0.2, 0.9)]
    whole, stop = tune_with(half, tmp_path / "whole", views)
    with pytest.raises(KeyboardInterrupt):
        tune_with(half, tmp_path / "killed", views, [KillAfter(7)])
    resumed, again = tune_with(half, tmp_path / "killed", views)
    assert (again.kept, again.stopped) == (stop.kept, stop.stopped) == (EVERY, 4 * EVERY)
    assert_same(arrays(whole.state()), arrays(resumed.state()))
