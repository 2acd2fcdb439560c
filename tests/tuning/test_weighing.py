"""w_PIR by a ratio of gradients: training begins at that ratio, by that weight, and goes on with it."""

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
from pir_tf.training import fit
from pir_tf.training.callbacks import read
from pir_tf.tuning.tuner import LogGradientNorms, Tuner

BATCH = 16


def make(pir_weight=1000.0):
    made = Tuner(least_generator(), least_discriminator(), least_estimator(), pir_weight=pir_weight, seed=3)
    made.compile(*optimizers(1e-3, 1e-3), run_eagerly=True)
    return made


def train(tuner, directory, callbacks=()):
    """Three steps, whose gradients are measured after each; the state at the end."""
    schedule = fit.Schedule(3, BATCH, 1, 1, float("inf"), tuner.columns(*tuner.gradient_columns))
    stream = lambda *_: tf.data.Dataset.from_tensors(images_of(BATCH)).repeat()  # noqa: E731
    norms = LogGradientNorms(1, batch_size=BATCH)
    fit.fit_resumable(tuner, stream, schedule, directory, {}, callbacks=[norms, *callbacks])
    return arrays(tuner.state())


@pytest.mark.parametrize("ratio", [0.25, 4.0])
def test_the_first_step_has_the_ratio_that_was_asked_for(ratio, tmp_path, eager):
    weighed = make()
    by_number = make(weighed.weigh(ratio, batch_size=BATCH))
    first = {name: float(norm) for name, norm in weighed.gradient_norms(BATCH).items()}  # of its own latents
    state = train(weighed, tmp_path)
    logged = read(tmp_path / "history.csv")[0]
    for norms in (first, {name: float(logged[name]) for name in first}):
        assert norms["gradient_pir"] / norms["gradient_fools"] == pytest.approx(ratio, rel=0.2)
    # It is what steps have, too.
    assert_same({name: value for name, value in state.items() if name != "pir_weight"}, train(by_number, None))


@pytest.mark.slow
def test_a_resumed_tuning_keeps_the_weight_that_it_began_with(tmp_path, eager):
    """Also where weighing anew would give another."""
    whole, killed, resumed = make(), make(), make()
    began = whole.weigh(0.5, batch_size=BATCH)
    state = train(whole, tmp_path / "whole")
    assert killed.weigh(0.5, batch_size=BATCH) == began < resumed.weigh(0.6, batch_size=BATCH)
    with pytest.raises(KeyboardInterrupt):
        train(killed, tmp_path / "killed", [KillAfter(2)])
    assert_same(state, train(resumed, tmp_path / "killed"))
    assert float(resumed.pir_weight) == np.float32(began)
    logs = [(tmp_path / name / "history.csv").read_text() for name in ("whole", "killed")]
    assert logs[0] == logs[1]
