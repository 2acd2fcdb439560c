"""The one resumable training: what it leaves, in the chief alone, and exactly its steps."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_networks import KillAfter

from pir_tf.errors import InputError
from pir_tf.training import fit, replicas
from pir_tf.training.checkpoints import state_of


class Line(replicas.BuiltModel):
    """y = w x, drawn to 0 by plain gradient steps."""

    def __init__(self):
        super().__init__()
        self.network = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
        self.network.layers[0].kernel.assign([[1.0]])
        self.step = keras.Variable(0, dtype="int64", trainable=False)
        self.built = True
        self.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
        self.optimizer.build(self.network.trainable_variables)

    def state(self):
        return state_of({"network": self.network}, [self.optimizer], step=self.step)

    def train_step(self, data):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(self.network(data)))
        variables = self.network.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        self.step.assign_add(1)
        return {"error": loss}


def train(directory, steps=5, value=1.0, **options):
    def stream(part, first_step):
        rows = tf.data.Dataset.range(first_step, steps + 100)
        return rows.map(lambda row: value * tf.ones((part.batch_size, 1)) * tf.cast(1 + row, tf.float32) / 10)

    model, schedule = Line(), fit.Schedule(steps, 2, 2, 2, float("inf"), ("error",), tensorboard=True)
    fit.fit_resumable(model, stream, schedule, directory, {"value": 1}, **options)
    return float(model.network.layers[0].kernel[0, 0]), int(model.step)


def test_a_killed_training_goes_on_to_exactly_its_steps(tmp_path):
    whole = train(None)
    assert whole[1] == 5 and not list(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, callbacks=[KillAfter(3)])
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-000000002.npz"]
    assert train(tmp_path) == whole
    assert [row.split(",")[0] for row in (tmp_path / "history.csv").read_text().split()] == ["step", "2", "4", "5"]
    assert list((tmp_path / "tensorboard").iterdir())
    assert train(tmp_path) == whole  # finished: not a step more


def test_more_steps_go_on_from_a_plan_that_ended_within_an_epoch(tmp_path):
    train(tmp_path, steps=5)
    for steps in (6, 9):
        assert train(tmp_path, steps=steps) == train(None, steps=steps)


def test_fewer_steps_than_are_done_are_refused(tmp_path):
    """Or the later network would stand for the earlier one."""
    train(tmp_path, steps=5)
    with pytest.raises(InputError, match="is at step 5 already, expected at most the 3"):
        train(tmp_path, steps=3)


def test_only_the_chief_writes_and_shows(tmp_path, monkeypatch):
    seen = []
    callbacks = {
        name: [keras.callbacks.LambdaCallback(on_train_begin=lambda logs, name=name: seen.append(name))]
        for name in ("callbacks", "chief_callbacks")
    }
    monkeypatch.setattr(fit, "is_chief", lambda: False)
    train(tmp_path, **callbacks)
    assert seen == ["callbacks"] and not list(tmp_path.iterdir())


def test_a_training_that_diverged_saves_nothing_of_it(tmp_path):
    with pytest.raises(FloatingPointError, match="error is not finite"):
        train(tmp_path, value=np.inf)
    assert not list(tmp_path.glob("checkpoints/*"))
