"""Progress bars: where they begin."""

import pytest

from pir_tf.training.callbacks import ProgressBar


@pytest.mark.parametrize(
    ("done", "said"), [(0, ""), (1200, "Tuning: resumed from its checkpoint of step 1,200 of 2,000\n")]
)
def test_a_resumed_training_says_from_which_step(capsys, done, said):
    bar = ProgressBar("Tuning", 2000, done=lambda: done)
    bar.on_train_begin()
    bar.on_train_end()
    printed = capsys.readouterr()
    assert printed.out == said
    assert f"{done}/2000" in printed.err
